"""What comes without an order: income of money funds, dividends, forced redemptions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from libs.fund_arithmetic import (
    DividendMode,
    InvestorKind,
    TooFewShares,
    accrue,
    dividend_cash,
    reinvested,
    value_of,
)
from libs.registrar_files import ConfirmationRow, DividendRow
from services.sampleregistrar.domain.answers import Days, Decided
from services.sampleregistrar.domain.fund import Fund
from services.sampleregistrar.domain.orders import Numbering
from services.sampleregistrar.domain.register import Register, lot

PER_SHARE_SCALE = 4
PAR = 10_000


@dataclass(frozen=True, slots=True)
class Income:
    """A money fund's income of one natural day: of ten thousand shares, four decimals."""

    fund: str
    date: date
    per_ten_thousand: int
    seven_day_yield_ppm: int = 0


@dataclass(frozen=True, slots=True)
class Dividend:
    """A dividend with record and ex-date T; `per_share` has four decimals."""

    fund: str
    per_share: int
    payment: date


@dataclass(frozen=True, slots=True)
class Forced:
    """Shares to be redeemed by force; an empty account means the one that has the most."""

    fund: str
    account: str
    shares: int


@dataclass(frozen=True, slots=True)
class Office:
    """What is written into every row: days, numbers, the distributor, accounts' numbers here."""

    days: Days
    numbering: Numbering
    distributor: str
    ta_accounts: Mapping[str, str]


def credit_income(
    register: Register,
    incomes: Sequence[Income],
    days: Days,
    taken: Mapping[tuple[str, str], int],
) -> int:
    """Credits each day's income to the shares of that day, whole cents at once; their sum.

    `taken`: shares by account and fund that a bank has paid for in advance. They bring the holder
    nothing any more.
    """
    credited = 0
    for income in sorted(incomes, key=lambda each: (each.fund, each.date)):
        for position in register.of_fund(income.fund):
            if not position.shares and not position.bucket:
                continue
            earmarked = taken.get((position.account, position.fund), 0)
            shares, per = max(position.shares - earmarked, 0), income.per_ten_thousand
            accrued = accrue(shares, per, position.bucket, is_carry_day=True)
            register.put(replace(position, bucket=accrued.bucket))
            if accrued.credit:
                credited += accrued.credit
                # Priced at 1.00: a cent of income is a hundredth of a share.
                new = lot("", days.confirm, accrued.credit, accrued.credit, PAR)
                register.add(position.account, position.fund, new)
    return credited


def pay_dividend(
    register: Register, fund: Fund, dividend: Dividend, nav: int, office: Office
) -> list[DividendRow]:
    """A row for each account that holds shares before the day's orders."""
    rows = []
    for position in register.of_fund(fund.code):
        shares = position.shares
        cash = dividend_cash(shares, dividend.per_share, PER_SHARE_SCALE, fund.scales)
        if not cash:
            continue
        serial = office.numbering.next()
        is_cash = position.mode is DividendMode.CASH
        bought = 0 if is_cash else reinvested(cash, nav, fund.scales)
        if bought:
            new = lot(serial, office.days.confirm, bought, cash, nav)
            register.add(position.account, fund.code, new)
        rows.append(
            DividendRow(
                ta_serial_no=serial,
                fund_code=fund.code,
                transaction_cfm_date=office.days.confirm,
                registration_date=office.days.trade,
                xr_date=office.days.trade,
                dividend_date=dividend.payment,
                ta_account_id=office.ta_accounts[position.account],
                transaction_account_id=position.account,
                distributor_code=office.distributor,
                currency_type=fund.currency,
                basis_vol=shares,
                dividend_per_unit=dividend.per_share,
                dividend_amount=cash,
                confirmed_amount=cash if is_cash else 0,
                vol_of_dividend_for_reinvestment=bought,
                nav=nav,
                def_dividend_method=str(position.mode.value),
            )
        )
    return rows


def redeem_by_force(
    register: Register, fund: Fund, forced: Forced, nav: int, office: Office
) -> Decided | None:
    """A redemption that nobody asked for (142), without a fee; none where there is nothing."""
    account = forced.account or _largest(register, fund.code)
    shares = min(forced.shares, register.position(account, fund.code).shares) if account else 0
    if not shares:
        return None
    try:
        taken = register.remove(account, fund.code, shares)
    except TooFewShares as error:  # pragma: no cover - bounded above
        raise AssertionError(str(error)) from error
    serial = office.numbering.next()
    row = ConfirmationRow(
        # Nobody's order: the number is the registrar's own.
        app_sheet_serial_no=f"TA{serial}",
        ta_serial_no=serial,
        business_code="142",
        fund_code=fund.code,
        transaction_date=office.days.trade,
        transaction_cfm_date=office.days.confirm,
        distributor_code=office.distributor,
        ta_account_id=office.ta_accounts[account],
        transaction_account_id=account,
        confirmed_vol=shares,
        confirmed_amount=value_of(shares, nav, fund.scales),
        nav=nav,
        currency_type=fund.currency,
        from_ta_flag="1",
        force_redemption_type="1",
    )
    return Decided(row, InvestorKind.PERSON, taken)


def _largest(register: Register, fund: str) -> str:
    found = max(register.of_fund(fund), key=lambda each: each.shares, default=None)
    return found.account if found is not None else ""
