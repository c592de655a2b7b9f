"""Money of rows that were amended: back from the wallet, and told to the registrar's day."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from libs.decider import Cause
from services.funds.aggregates import Aggregates, ta_day_id
from services.funds.booking_desk import purpose_of
from services.funds.domain import order_lifecycle as life
from services.funds.domain import ta_day

_ACTOR: Final = "funds"


@dataclass(frozen=True, slots=True)
class Amending:
    """The day pays or collects the difference; the order waits until it is even."""

    aggregates: Aggregates
    wake_day: Callable[[str], None]

    async def tell(self, ta_id: str, order: life.Begun, part: life.Part) -> life.Fact:
        """Tell the day by how much the row differs from what its file said first."""
        row, order_id = part.confirmation, order.placed.order_id
        id_ = ta_day_id(ta_id, row.trade_date)
        place = f"{order_id}/{part.row_id}"
        amended = ta_day.CashAmended(place, purpose_of(order, row), part.amended_minor)
        cause = Cause(f"{place}/{part.proposal_id}", correlation_id=order_id, actor=_ACTOR)
        await self.aggregates.ta_days.transact(id_, ta_day.Record(amended), cause)
        self.wake_day(id_)
        return life.PartCashTold(part.row_id, part.amended_minor)

    async def see(self, ta_id: str, order: life.Begun, part: life.Part) -> life.Fact | None:
        """The payment that made the day even; None while it is not."""
        purpose = purpose_of(order, part.confirmation)
        id_ = ta_day_id(ta_id, part.confirmation.trade_date)
        day = (await self.aggregates.ta_days.load(id_)).state
        if isinstance(day, ta_day.Absent) or not day.is_even(purpose):
            return None
        done = [
            each.request.payment_id
            for each in day.cash
            if each.request.purpose is purpose and each.stage is ta_day.CashStage.DONE
        ]
        # Where differences come to nothing, nothing was paid: the day itself is named.
        return life.PartCovered(part.row_id, done[-1] if done else id_)
