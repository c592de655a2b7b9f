"""Money of rows that were amended: back from the wallet, and told to the registrar's day."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from libs.decider import Cause
from services.funds.aggregates import Aggregates, ta_day_id
from services.funds.booking_desk import purpose_of
from services.funds.cash_desk import CashDesk
from services.funds.domain import order_lifecycle as life
from services.funds.domain import ta_day
from services.funds.domain.registrar import Registrar

_ACTOR: Final = "funds"


@dataclass(frozen=True, slots=True)
class Amending:
    """The day pays or collects the difference; the order waits until it is even."""

    aggregates: Aggregates
    cash: CashDesk
    wake_day: Callable[[str], None]

    async def tell(self, ta_id: str, order: life.Begun, part: life.Part) -> life.Fact:
        """Tell the day by how much the row differs from what its file said first."""
        row, order_id = part.confirmation, order.placed.order_id
        id_ = ta_day_id(ta_id, row.trade_date)
        place, agency = f"{order_id}/{part.row_id}", part.agency_amended_minor
        registrar = await self._registrar(ta_id)
        if registrar.nets_agency_fee and agency < part.agency_kept_minor:
            # What we have kept too much goes to the registrar with the rest of the purchase.
            await self.cash.amend_agency_fee(registrar, place, part, agency)
        before, now = part.told_minor, part.amended_minor
        fee = [ta_day.CashAmended(f"{place}/fee", ta_day.Purpose.FEE, agency)]
        if registrar.nets_agency_fee:
            before, now, fee = before - part.agency_told_minor, now - agency, []
        row_itself = [ta_day.CashAmended(place, purpose_of(order, row), now)]
        changed = row_itself if now != before else []
        changed += fee if agency != part.agency_told_minor else []
        for each in changed:
            said = f"{each.place}/{part.proposal_id}"
            cause = Cause(said, correlation_id=order_id, actor=_ACTOR)
            await self.aggregates.ta_days.transact(id_, ta_day.Record(each), cause)
        self.wake_day(id_)
        return life.PartCashTold(part.row_id, part.amended_minor, agency)

    async def see(self, ta_id: str, order: life.Begun, part: life.Part) -> life.Fact | None:
        """The payment that made the day even; None while it is not."""
        purpose = purpose_of(order, part.confirmation)
        id_ = ta_day_id(ta_id, part.confirmation.trade_date)
        day = (await self.aggregates.ta_days.load(id_)).state
        moved = {purpose, ta_day.Purpose.FEE} if life.pays_in(order) else {purpose}
        if isinstance(day, ta_day.Absent) or not all(day.is_even(each) for each in moved):
            return None
        registrar = await self._registrar(ta_id)
        if registrar.nets_agency_fee and part.agency_told_minor > part.agency_kept_minor:
            place = f"{order.placed.order_id}/{part.row_id}"
            await self.cash.amend_agency_fee(registrar, place, part, part.agency_told_minor)
        done = [
            each.request.payment_id
            for each in day.cash
            if each.request.purpose is purpose and each.stage is ta_day.CashStage.DONE
        ]
        # Where differences come to nothing, nothing was paid: the day itself is named.
        return life.PartCovered(part.row_id, done[-1] if done else id_)

    async def _registrar(self, ta_id: str) -> Registrar:
        known = (await self.aggregates.registrars.load(ta_id)).state
        if known is None:
            raise AssertionError(f"{ta_id} was registered before its orders")
        return known.registrar
