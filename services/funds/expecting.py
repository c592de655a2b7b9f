"""What the price of its day makes of an order: the expectation that a registrar's row must meet."""

from dataclasses import dataclass, replace
from datetime import date

from libs.fund_arithmetic import InvestorKind, TooFewShares
from services.funds.aggregates import Aggregates, holding_id
from services.funds.domain import fund as funds
from services.funds.domain import order_lifecycle as life
from services.funds.domain.expectation import (
    Expected,
    Owner,
    expected_dividend,
    expected_forced_redemption,
    expected_offering,
    expected_redemption,
    expected_subscription,
    expected_switch,
)
from services.funds.domain.order_terms import (
    DIVIDEND,
    FORCED_REDEMPTION,
    Confirmation,
    DividendModeChange,
    FastRedemption,
    Redemption,
    RegistrarMovement,
    Subscription,
    Switching,
    Terms,
)
from services.funds.domain.product import RegisterModel

_OFFERING = "120"


@dataclass(frozen=True, slots=True)
class Expecting:
    """Reads prices and lots as they stand; decides nothing."""

    aggregates: Aggregates

    async def of(self, order: life.Begun, row: Confirmation) -> Expected | None:
        """What the row ought to say; None while the price of its day is missing."""
        kind = InvestorKind.PERSON
        if order.suitability is not None:
            kind = order.suitability.investor_kind
        return await self.of_terms(order.terms, row, kind)

    async def of_terms(
        self, terms: Terms, row: Confirmation, investor: InvestorKind = InvestorKind.PERSON
    ) -> Expected | None:
        """The same, before there is an order."""
        match terms.kind:
            case DividendModeChange():
                return as_told(row)
            case RegistrarMovement(business_code=code) if code not in (FORCED_REDEMPTION, DIVIDEND):
                # Nothing of ours says how many: the registrar's word is what we have.
                return as_told(row)
            case _:
                pass
        fund = await self._listed(terms.kind.fund_code)
        price = fund.nav_on(row.trade_date)
        if price is None:
            return None
        if _is_part_of_nominees(terms, fund):
            # The whole row was measured when it was shared out; its price is what was missing.
            return replace(as_told(row), nav=price.nav)
        match terms.kind:
            case Subscription():
                if row.business_code == _OFFERING:
                    return expected_offering(fund.terms, row.amount_minor, 0, row.trade_date)
                return expected_subscription(
                    fund.terms, row.amount_minor, price.nav, row.trade_date
                )
            case Switching(target_code=target_code):
                return await self._switch(terms, fund, target_code, row, investor)
            case RegistrarMovement(business_code=code) if code == DIVIDEND:
                return await self._dividend(terms, fund, row, price.nav)
            case RegistrarMovement():
                return expected_forced_redemption(fund.terms, row.shares, price.nav)
            case Redemption() | FastRedemption():
                owner = await self._owner(terms, fund.terms.code, investor)
                days = (row.trade_date, row.confirm_date)
                try:
                    return expected_redemption(fund.terms, owner, row.shares, price.nav, days)
                except TooFewShares:
                    return _nothing(row)

    async def _switch(
        self,
        terms: Terms,
        fund: funds.Listed,
        target_code: str,
        row: Confirmation,
        investor: InvestorKind,
    ) -> Expected | None:
        target = await self._listed(target_code)
        left, entered = fund.nav_on(row.trade_date), target.nav_on(row.trade_date)
        if left is None or entered is None:
            return None
        owner = await self._owner(terms, fund.terms.code, investor)
        days = (row.trade_date, row.confirm_date)
        try:
            return expected_switch(
                (fund.terms, target.terms), owner, row.shares, (left.nav, entered.nav), days
            )
        except TooFewShares:
            return _nothing(row)

    async def _dividend(
        self, terms: Terms, fund: funds.Listed, row: Confirmation, ex_nav: int
    ) -> Expected:
        declared = [each for each in fund.dividends if each.ex_date == row.trade_date]
        if not declared:
            return as_told(row)
        dividend = declared[-1]
        id_ = holding_id(terms.investor_id, fund.terms.code)
        holding = (await self.aggregates.holdings.load(id_)).state
        mode = holding.mode_on(dividend.record_date, fund.terms.default_dividend_mode)
        shares = holding.registered_on(dividend.record_date)
        return expected_dividend(fund.terms, dividend, shares, mode, ex_nav)

    async def price_of(self, code: str, day: date) -> funds.Nav | None:
        """A fund's price of a day."""
        return (await self._listed(code)).nav_on(day)

    async def _owner(self, terms: Terms, code: str, investor: InvestorKind) -> Owner:
        id_ = holding_id(terms.investor_id, code)
        return Owner((await self.aggregates.holdings.load(id_)).state.lots, investor)

    async def _listed(self, code: str) -> funds.Listed:
        state = (await self.aggregates.funds.load(code)).state
        if isinstance(state, funds.Absent):
            raise AssertionError(f"{code} is in no catalogue")  # noqa: TRY004 - a bug of ours
        return state


def _is_part_of_nominees(terms: Terms, fund: funds.Listed) -> bool:
    is_omnibus = fund.terms.register_model is RegisterModel.OMNIBUS
    return is_omnibus and isinstance(terms.kind, RegistrarMovement)


def as_told(row: Confirmation) -> Expected:
    """Where nothing is to be measured."""
    return Expected(
        row.nav,
        row.shares,
        row.amount_minor,
        row.fee_minor,
        row.back_end_minor,
        row.target_nav,
        row.target_shares,
        row.recuperate_fee_minor,
    )


def _nothing(row: Confirmation) -> Expected:
    """More shares than are held: whatever the row says, it is disputed."""
    return Expected(row.nav, 0, 0)
