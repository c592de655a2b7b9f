"""A trade day's orders decided: each confirmed at NAV_T, in part, or rejected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from libs.fund_arithmetic import (
    DividendMode,
    Entering,
    Flows,
    InvestorKind,
    Leaving,
    is_large,
    least_accepted,
    redeem,
    share_out,
    shares_for,
    subscribe,
    switch,
)
from libs.registrar_files import ConfirmationRow
from services.sampleregistrar.domain.answers import (
    BELOW_MINIMUM,
    BUYING,
    DIVIDEND_MODE,
    NOT_SERVED,
    SELLING,
    SWITCH,
    TOO_FEW_SHARES,
    UNKNOWN_FUND,
    Days,
    Decided,
    Request,
    answer,
    rejected,
)
from services.sampleregistrar.domain.fund import Fund
from services.sampleregistrar.domain.register import Register, lot

ROLL_OVER = "1"


@dataclass(frozen=True, slots=True)
class Market:
    """What the day is decided by: funds, their prices, and the managers' answers to large days."""

    funds: Mapping[str, Fund]
    navs: Mapping[str, int]
    # Shares accepted in all, by fund; 0: what must be.
    gates: Mapping[str, int]


class Numbering:
    """The registrar's own serial numbers: unique for ever, made of the day and a place in it."""

    def __init__(self, registrar_id: str, days: Days, first: int = 1) -> None:
        self._prefix = f"{registrar_id}{days.trade:%y%m%d}"
        self._count = count(first)

    def next(self) -> str:
        """The next one."""
        return f"{self._prefix}{next(self._count):06d}"


class Clerk:
    """Decides orders against the register, in the order of their serials."""

    def __init__(
        self,
        register: Register,
        market: Market,
        days: Days,
        numbering: Numbering,
        ta_accounts: Mapping[str, str],
    ) -> None:
        self._register = register
        self._market = market
        self._days = days
        self._numbering = numbering
        self._ta_accounts = ta_accounts

    def decide(self, requests: Sequence[Request]) -> list[Decided]:
        """Every request once. Gates are seen before the first is decided."""
        ordered = sorted(requests, key=lambda request: request.serial)
        accepted = self._gated(ordered)
        # What is bought today cannot be sold today: sellers first, on what was there before.
        sold = {
            request.serial: self._one(request, accepted)
            for request in ordered
            if request.row.business_code not in BUYING
        }
        return [
            sold[request.serial] if request.serial in sold else self._one(request, accepted)
            for request in ordered
        ]

    def _one(self, request: Request, accepted: Mapping[str, int]) -> Decided:
        asked = request.row
        ta_account = self._ta_accounts[asked.transaction_account_id]
        row = answer(request, self._numbering.next(), self._days, ta_account)
        fund = self._market.funds.get(asked.fund_code)
        if fund is None:
            return rejected(row, UNKNOWN_FUND)
        if asked.business_code in BUYING:
            return self._buy(fund, row)
        if asked.business_code in SELLING:
            return self._sell(fund, row, request.kind, accepted.get(request.serial, request.shares))
        if asked.business_code == SWITCH:
            part = accepted.get(request.serial, request.shares)
            return self._switch(fund, row, request.kind, part)
        if asked.business_code == DIVIDEND_MODE:
            return self._set_mode(row)
        return rejected(row, NOT_SERVED)

    def _buy(self, fund: Fund, row: ConfirmationRow) -> Decided:
        if row.application_amount <= 0:
            return rejected(row, BELOW_MINIMUM)
        decided = bought(fund, row, self._market.navs[fund.code])
        self._register.add(
            row.transaction_account_id,
            fund.code,
            lot(
                row.app_sheet_serial_no,
                self._days.confirm,
                decided.confirmed_vol,
                row.application_amount,
                decided.nav,
            ),
        )
        return Decided(decided)

    def _sell(self, fund: Fund, row: ConfirmationRow, kind: InvestorKind, accepted: int) -> Decided:
        asked = row.application_vol
        if not self._has(row, asked):
            return rejected(row, TOO_FEW_SHARES)
        taken = self._register.remove(row.transaction_account_id, fund.code, accepted)
        decided = Decided(row, kind, taken)
        done = sold(fund, decided, self._market.navs[fund.code])
        return self._with_rest(replace(decided, row=done), asked - accepted)

    def _switch(
        self, fund: Fund, row: ConfirmationRow, kind: InvestorKind, accepted: int
    ) -> Decided:
        target = self._market.funds.get(row.code_of_target_fund)
        if target is None or target.code == fund.code:
            return rejected(row, UNKNOWN_FUND)
        asked = row.application_vol
        if not self._has(row, asked):
            return rejected(row, TOO_FEW_SHARES)
        taken = self._register.remove(row.transaction_account_id, fund.code, accepted)
        navs = self._market.navs
        decided = Decided(row, kind, taken)
        done = switched(fund, target, decided, navs[fund.code], navs[target.code])
        self._register.add(
            row.transaction_account_id,
            target.code,
            lot(
                row.app_sheet_serial_no,
                self._days.confirm,
                done.cfm_vol_of_target_fund,
                done.confirmed_amount,
                done.target_nav,
            ),
        )
        return self._with_rest(replace(decided, row=done), asked - accepted)

    def _set_mode(self, row: ConfirmationRow) -> Decided:
        mode = DividendMode.CASH if row.def_dividend_method == "1" else DividendMode.REINVEST
        before = self._register.position(row.transaction_account_id, row.fund_code)
        self._register.put(replace(before, mode=mode))
        return Decided(row)

    def _has(self, row: ConfirmationRow, shares: int) -> bool:
        position = self._register.position(row.transaction_account_id, row.fund_code)
        # What this order has frozen since an earlier day is its own.
        return 0 < shares <= position.shares

    def _with_rest(self, decided: Decided, rest: int) -> Decided:
        if rest <= 0 or decided.row.large_redemption_flag != ROLL_OVER:
            return decided
        row = decided.row._replace(business_finish_flag="0")
        return replace(decided, row=row, left=rest)

    def _gated(self, requests: Sequence[Request]) -> dict[str, int]:
        accepted: dict[str, int] = {}
        for code, told in self._market.gates.items():
            fund = self._market.funds.get(code)
            leaving = {
                request.serial: request.shares
                for request in requests
                if request.row.fund_code == code
                and request.row.business_code in SELLING | {SWITCH}
                and self._can_leave(request)
            }
            if fund is None or not leaving:
                continue
            prior = self._register.shares_of(code)
            if is_large(self._flows(fund, requests, sum(leaving.values())), prior, fund.gate_ppm):
                least = max(told, least_accepted(prior, fund.gate_ppm))
                accepted |= share_out(leaving, min(least, sum(leaving.values())))
        return accepted

    def _can_leave(self, request: Request) -> bool:
        asked = request.row
        held = self._register.position(asked.transaction_account_id, asked.fund_code).shares
        return 0 < request.shares <= held

    def _flows(self, fund: Fund, requests: Sequence[Request], leaving: int) -> Flows:
        # What comes in is asked for in money: its shares are counted at the day's price.
        coming = 0
        for request in requests:
            if request.row.fund_code == fund.code and request.row.business_code in BUYING:
                nav = self._market.navs[fund.code]
                coming += shares_for(request.row.application_amount, nav, fund.scales)
        return Flows(redeem=leaving, switch_out=0, subscribe=coming, switch_in=0)


def bought(fund: Fund, row: ConfirmationRow, nav: int) -> ConfirmationRow:
    """A subscription at a price."""
    front_end = fund.front_end(row.discount_rate_of_commission)
    purchase = subscribe(row.application_amount, nav, front_end, fund.scales)
    return row._replace(
        confirmed_vol=purchase.shares,
        confirmed_amount=row.application_amount - purchase.refund,
        refund_amount=purchase.refund,
        nav=nav,
        charge=purchase.fee,
        agency_fee=fund.agency_fee(purchase.fee),
        share_register_date=row.transaction_cfm_date,
    )


def sold(fund: Fund, decided: Decided, nav: int) -> ConfirmationRow:
    """A redemption of the lots taken, at a price."""
    row = decided.row
    shares = sum(part.shares for part in decided.taken)
    terms = fund.redemption_terms(row.transaction_date, decided.kind)
    redemption = redeem(decided.taken, shares, nav, row.transaction_cfm_date, terms)
    return row._replace(
        confirmed_vol=shares,
        confirmed_amount=redemption.net,
        nav=nav,
        charge=redemption.fee,
        # The whole fee goes to the fund (funds, section 9).
        breach_fee_back_to_fund=redemption.fee,
        total_backend_load=redemption.back_end,
    )


def switched(
    fund: Fund, target: Fund, decided: Decided, nav: int, target_nav: int
) -> ConfirmationRow:
    """A switch of the lots taken, at both prices."""
    row = decided.row
    discount = row.discount_rate_of_commission
    terms = fund.redemption_terms(row.transaction_date, decided.kind)
    leaving = Leaving(nav, terms, fund.front_end(discount))
    entering = Entering(target_nav, target.front_end(discount), target.scales)
    shares = sum(part.shares for part in decided.taken)
    done = switch(decided.taken, shares, row.transaction_cfm_date, leaving, entering)
    return row._replace(
        confirmed_vol=shares,
        # What is converted: 补差费 is told beside it.
        confirmed_amount=done.redemption.net,
        nav=nav,
        charge=done.redemption.fee,
        breach_fee_back_to_fund=done.redemption.fee,
        total_backend_load=done.redemption.back_end,
        recuperate_fee=done.recuperate_fee,
        agency_fee=target.agency_fee(done.recuperate_fee),
        target_nav=target_nav,
        cfm_vol_of_target_fund=done.shares_in,
        share_register_date=row.transaction_cfm_date,
    )
