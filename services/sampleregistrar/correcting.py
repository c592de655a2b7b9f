"""What was told wrong, told right: a corrected price and all it moved, or rows a fault spoiled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import Connection, select

from libs.fund_arithmetic import reinvested
from libs.registrar_files import DONE, ConfirmationRow, DividendRow, PriceRow, Row
from services.sampleregistrar import books
from services.sampleregistrar.day import balances_of
from services.sampleregistrar.domain.answers import CONFIRMED_AS, SELLING, SWITCH, Days, Decided
from services.sampleregistrar.domain.fund import Fund
from services.sampleregistrar.domain.income import Office
from services.sampleregistrar.domain.orders import Numbering, bought, sold, switched
from services.sampleregistrar.domain.register import Register
from services.sampleregistrar.issuing import Issuer
from services.sampleregistrar.rows import row_text
from services.sampleregistrar.schema import days as days_table

_SOLD = frozenset(CONFIRMED_AS[code] for code in SELLING)
_SWITCHED = CONFIRMED_AS[SWITCH]


class DayNotRun(Exception):
    """The day has not been run, or a later one has: what was built on it stands."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """How many rows were told again, and in which files."""

    rows: int
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CorrectionDesk:
    """Corrects the last day that was run."""

    registrar_id: str
    distributor: str
    issuer: Issuer

    def correct_price(
        self, connection: Connection, code: str, trade: date, nav: int, now_ms: int
    ) -> Corrected:
        """Takes another price for a fund's day, and amends all that was confirmed at the old one.

        Raises `DayNotRun`.
        """
        days = self._days(connection, trade)
        before = books.price_of(connection, code, trade)
        if before is None or trade.isoformat() != books.last_day(connection):
            raise DayNotRun(trade.isoformat())
        funds, register = books.funds_of(connection), books.register_of(connection)
        navs = {code: nav}
        amended: list[ConfirmationRow] = []
        for each in books.confirmed_on(connection, trade, fund=code):
            row = _again(each, funds, navs)
            if row == each.row:
                continue
            _move(register, each.row, row)
            books.rewrite(connection, row.ta_serial_no, row_text(row))
            amended.append(row)
        paid = self._pay_again(connection, register, funds[code], trade, nav)
        books.set_price(connection, code, trade, nav, nav)
        books.write_positions(connection, register.changed())
        contents: dict[str, Sequence[Row]] = {
            "04": amended,
            "05": balances_of(register, self._office(connection, days)),
            "07": [_price(funds[code], trade, nav)],
        }
        if paid:
            contents["06"] = paid
        files = self.issuer.issue(connection, trade, contents, due_ms=now_ms)
        return Corrected(len(amended) + len(paid), tuple(files))

    def correct_rows(self, connection: Connection, trade: date, now_ms: int) -> Corrected:
        """Tells rows right that a fault told wrong or not at all. Raises `DayNotRun`."""
        self._days(connection, trade)
        spoiled = books.take_spoiled(connection, trade)
        confirmed = books.confirmed_on(connection, trade)
        rows = [each.row for each in confirmed if each.row.ta_serial_no in spoiled]
        contents: dict[str, Sequence[Row]] = {"04": rows} if rows else {}
        prices = self._right_prices(connection, trade)
        if prices:
            contents["07"] = prices
        if not contents:
            return Corrected(0, ())
        files = self.issuer.issue(connection, trade, contents, due_ms=now_ms)
        return Corrected(len(rows) + len(prices), tuple(files))

    @staticmethod
    def _right_prices(connection: Connection, trade: date) -> list[PriceRow]:
        found = []
        for code, fund in books.funds_of(connection).items():
            price = books.price_of(connection, code, trade)
            if price is not None and price[0] != price[1]:
                found.append(_price(fund, trade, price[0]))
                books.set_price(connection, code, trade, price[0], price[0])
        return found

    @staticmethod
    def _pay_again(
        connection: Connection, register: Register, fund: Fund, trade: date, nav: int
    ) -> list[DividendRow]:
        amended = []
        for row in books.paid_on(connection, trade):
            if row.fund_code != fund.code or not row.vol_of_dividend_for_reinvestment:
                continue
            shares = reinvested(row.dividend_amount, nav, fund.scales)
            new = row._replace(vol_of_dividend_for_reinvestment=shares, nav=nav)
            if new != row:
                _resize(register, row.transaction_account_id, fund.code, row.ta_serial_no, shares)
                books.rewrite(connection, row.ta_serial_no, row_text(new))
                amended.append(new)
        return amended

    @staticmethod
    def _days(connection: Connection, trade: date) -> Days:
        confirm = connection.execute(
            select(days_table.c.confirm_date).where(days_table.c.trade_date == trade.isoformat())
        ).scalar_one_or_none()
        if confirm is None:
            raise DayNotRun(trade.isoformat())
        return Days(trade, date.fromisoformat(confirm))

    def _office(self, connection: Connection, days: Days) -> Office:
        numbering = Numbering(self.registrar_id, days)
        return Office(days, numbering, self.distributor, books.ta_accounts_of(connection))


def _again(decided: Decided, funds: Mapping[str, Fund], navs: Mapping[str, int]) -> ConfirmationRow:
    """The row at the corrected price."""
    row = decided.row
    fund, nav = funds.get(row.fund_code), navs.get(row.fund_code, row.nav)
    if row.return_code != DONE or fund is None:
        return row
    if row.business_code == _SWITCHED:
        target = funds[row.code_of_target_fund]
        target_nav = navs.get(row.code_of_target_fund, row.target_nav)
        return switched(fund, target, decided, nav, target_nav)
    if row.business_code in _SOLD:
        return sold(fund, decided, nav)
    if row.application_amount:
        return bought(fund, row, nav)
    return row


def _move(register: Register, old: ConfirmationRow, new: ConfirmationRow) -> None:
    """What the amendment does to the register: only what was bought changes its size."""
    account, serial = old.transaction_account_id, old.app_sheet_serial_no
    if old.business_code == _SWITCHED:
        shares = new.cfm_vol_of_target_fund
        _resize(register, account, old.code_of_target_fund, serial, shares)
    elif old.application_amount:
        _resize(register, account, old.fund_code, serial, new.confirmed_vol)


def _resize(register: Register, account: str, fund: str, lot_id: str, shares: int) -> None:
    position = register.position(account, fund)
    lots = tuple(
        replace(lot, shares=shares) if lot.lot_id == lot_id else lot for lot in position.lots
    )
    register.put(replace(position, lots=lots))


def _price(fund: Fund, trade: date, nav: int) -> PriceRow:
    return PriceRow(
        fund_code=fund.code,
        nav_date=trade,
        nav=nav,
        accumulative_nav=nav,
        currency_type=fund.currency,
    )
