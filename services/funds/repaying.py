"""What a bank advances of a fast redemption, and what is done so that the bank is repaid."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from libs.clock import Clock
from libs.decider import Cause
from libs.fund_arithmetic import value_of
from libs.money import exponent
from services.funds import days
from services.funds.advancing import advance_id_of, unpaid_place
from services.funds.aggregates import Aggregates, holding_id
from services.funds.breaking import Breaking, about
from services.funds.domain import advance as advances
from services.funds.domain import order_lifecycle as life
from services.funds.domain.breaks import BreakType
from services.funds.domain.order import Command, Record
from services.funds.serials import again_of

_ACTOR: Final = "funds"
# Decimals of the currency's unit in which a day's income is counted.
INCOME_SCALE: Final = 4

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Repaying:
    """Steps of a fast redemption's order that have to do with the bank's advance."""

    aggregates: Aggregates
    breaking: Breaking
    clock: Clock
    wake_advance: Callable[[str], None]

    async def advance(self, order: life.Begun) -> Command | None:
        """Ask the bank for it; None while it is not known what the bank does."""
        kind, advance_id = order.terms.kind, advance_id_of(order)
        fund = await self.aggregates.terms_of(kind.fund_code)
        amount = value_of(order.placed.shares, 10**fund.nav_scale, fund.scales)
        terms = advances.Terms(
            order.placed.order_id,
            fund.advancing_bank_id,
            fund.currency,
            order.terms.wallet_account_id,
            fund.ta_id,
            amount,
        )
        cause = _cause(order.placed.order_id, "advance")
        request = advances.Request(advance_id, terms)
        state = (await self.aggregates.advances.transact(advance_id, request, cause)).state
        self.wake_advance(advance_id)
        if not isinstance(state, advances.Begun):
            return None
        if state.refusal:
            told = "the bank did not advance it: ask for an ordinary redemption"
            return Record(life.FundingFailed(state.refusal, told))
        paid = life.AdvancePaid(advance_id, self.clock(), amount)
        return Record(paid) if state.is_paid else None

    async def offer_again(self, order: life.Begun) -> Command | None:
        """On the next trading day, under another number; operators see it from the first no."""
        await self.tell(order)
        fund, now_us = await self.aggregates.terms_of(order.terms.kind.fund_code), self.clock()
        day = days.trade_day_of([fund], now_us, is_buying=False)
        if day is None or (order.trade_date is not None and day <= order.trade_date):
            return None
        number = order.offers + 1
        return Record(life.OfferedAgain(again_of(order.placed.serial, number), number, now_us))

    async def tell(self, order: life.Begun) -> None:
        """The wallet was paid, and what was to repay it has come to nothing so far."""
        advance = (await self.aggregates.advances.load(order.advance_id)).state
        if not isinstance(advance, advances.Begun):
            raise AssertionError("an advance that was paid was begun")  # noqa: TRY004 - a bug
        place = order.placed.order_id
        refusal = order.refusal.reason if order.refusal is not None else "NOT_REDEEMED"
        terms = about(
            advance.terms.ta_id,
            order.trade_date or days.utc_day(self.clock()),
            fund_code=order.terms.kind.fund_code,
            order_id=place,
            investor_id=order.terms.investor_id,
            ours=str(advance.terms.amount_minor),
            theirs=str(order.confirmed_minor),
            description=(
                f"{refusal}: the advance is not repaid; its shares stay earmarked,"
                f" and are offered {life.OFFERS_MAX} times more"
            ),
        )
        await self.breaking.find(BreakType.ADVANCE_UNPAID, unpaid_place(place), terms)

    async def repay(self, order: life.Begun, part: life.Part, owes: int) -> Command:
        """The wallet has had its money long since: what came goes back to the bank."""
        await self._tell_income(order, part)
        arrived = advances.Record(advances.ProceedsArrived(owes, part.payment_id))
        cause = _cause(order.placed.order_id, f"arrived/{part.row_id}")
        await self.aggregates.advances.transact(order.advance_id, arrived, cause)
        self.wake_advance(order.advance_id)
        return Record(life.PartPaid(part.row_id, owes, 0))

    async def _tell_income(self, order: life.Begun, part: life.Part) -> None:
        """What the earmarked shares have earned so far is the bank's; parts of a cent are not."""
        code, investor_id = order.terms.kind.fund_code, order.terms.investor_id
        holding = (await self.aggregates.holdings.load(holding_id(investor_id, code))).state
        earned = holding.bank_income.get(order.placed.order_id, 0)
        currency = (await self.aggregates.terms_of(code)).currency
        minor = earned * 10 ** exponent(currency) // 10**INCOME_SCALE
        known = (await self.aggregates.advances.load(order.advance_id)).state
        if not isinstance(known, advances.Begun) or minor <= known.income_minor:
            return
        if known.stage is not advances.Stage.PAID:
            logger.error("fund_income_after_repayment", advance_id=order.advance_id)
            return
        owed = advances.Record(advances.IncomeOwed(minor))
        cause = _cause(order.placed.order_id, f"income/{part.row_id}")
        await self.aggregates.advances.transact(order.advance_id, owed, cause)


def _cause(order_id: str, step: str) -> Cause:
    return Cause(f"{order_id}/{step}", correlation_id=order_id, actor=_ACTOR)
