"""What makes proposals expire, what tells funds of a class, and how accepted ones are ordered."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson
import structlog

from libs.clock import Clock
from libs.decider import Cause, Rejected
from libs.event_store import EventStore, StoredEvent
from libs.money import Money
from libs.process import Recorded
from libs.projection import Behind, Projection
from libs.read_model import Database
from libs.subject_keys import SubjectKeys
from libs.suitability import InvestorClass
from libs.transient import Unavailable, is_transient
from services.recommendations import watching
from services.recommendations.advising import ProposalStreams
from services.recommendations.clients import Funds, Order, Refused
from services.recommendations.codec import any_codec
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain import proposal as what
from services.recommendations.domain.investor import EndClass
from services.recommendations.domain.investor_lifecycle import REVIEW_DUE
from services.recommendations.domain.proposal import (
    Expire,
    LinkOrder,
    OrderLinked,
    PlaceOrder,
)
from services.recommendations.investors import Investors
from services.recommendations.measuring import Measuring
from services.recommendations.rows.own import INVESTOR
from services.recommendations.shelf import Shelf

ACTOR: Final = "recommendations"
SWEEP_EVERY_S: Final = 1.0
SWEEP_MAX: Final = 500
ROWS_WITHIN_S: Final = 10.0
# A fund that is gated pays within 20 working days.
SALES_AWAITED_US: Final = 30 * life.DAY_US
# More is not taken from a wallet than was accepted.
_NOT_PAID_FOR: Final = Refused("SALE_NOT_PAID", "what was to be sold for it has brought no money")
# What ends an investor's open proposals, and the word for it.
_ENDS: Final[dict[type, str]] = {
    life.ClassExpired: "CLASS_EXPIRED",
    life.ConsentWithdrawn: "CONSENT_WITHDRAWN",
    life.Blocked: "BLOCKED",
    life.Forgotten: "CONSENT_WITHDRAWN",
    life.ClassAssigned: "CLASS_CHANGED",
    life.ProfessionalRecognised: "CLASS_CHANGED",
    life.ProfessionalWithdrawn: "CLASS_CHANGED",
}
_CLASS_EVENTS: Final = (
    life.ClassAssigned,
    life.ClassExpired,
    life.ProfessionalRecognised,
    life.ProfessionalWithdrawn,
)

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Expiring:
    """Ends proposals, each at most once."""

    proposals: ProposalStreams
    clock: Clock

    async def expire(self, proposal_id: str, cause: str, fund_code: str = "") -> None:
        command = Expire(cause, fund_code, self.clock())
        key = Cause(
            f"{proposal_id}/EXPIRE/{cause}/{fund_code}", correlation_id=proposal_id, actor=ACTOR
        )
        with suppress(Rejected):
            await self.proposals.transact(proposal_id, command, key)


@dataclass(frozen=True, slots=True)
class HearingOwn:
    """Our own facts of investors: their open proposals end, and funds are told of the class."""

    investors: Investors
    expiring: Expiring
    own: Projection
    database: Database
    funds: Funds
    keys: SubjectKeys
    clock: Clock

    async def react(self, events: Sequence[StoredEvent]) -> None:
        for stored in events:
            if stored.stream.startswith(INVESTOR):
                await self._hear(stored, any_codec.decode(stored.type, stored.data))

    async def _hear(self, stored: StoredEvent, event: object) -> None:
        investor_id = stored.stream.removeprefix(INVESTOR)
        if isinstance(event, _CLASS_EVENTS):
            await self._tell(investor_id)
        if isinstance(event, life.Forgotten):
            await self.keys.destroy(investor_id)
        cause = _ENDS.get(type(event))
        if cause is None:
            return
        await self.own.wait_for(stored.position, ROWS_WITHIN_S)
        for id_ in await self.database.read(lambda c: watching.open_proposals(c, investor_id)):
            if cause != "CLASS_CHANGED" or await self._differs(id_, investor_id, event):
                await self.expiring.expire(id_, cause)

    async def _differs(self, proposal_id: str, investor_id: str, event: object) -> bool:
        """Whether the class is another one than when the proposal was issued.

        One that is over by now was ended by a later event, which says why.
        """
        issued = (await self.expiring.proposals.load(proposal_id)).state
        now = (await self.investors.load(investor_id)).state
        if isinstance(issued, what.Absent) or isinstance(now, life.Unknown):
            return True
        found = life.class_at(now, self.clock())
        if found is None and not isinstance(event, life.ProfessionalWithdrawn):
            return False
        return found is not issued.issued.suitability.investor_class

    async def _tell(self, investor_id: str) -> None:
        """As it stands now, whatever was heard: told again it is no effect."""
        state = (await self.investors.load(investor_id)).state
        if isinstance(state, life.Unknown):
            return
        now_us = self.clock()
        found = life.class_at(state, now_us)
        until_us = life.valid_until_us(state) if found is not None else now_us - life.DAY_US
        known = found or (state.profile.investor_class if state.profile else None)
        version = state.profile.questionnaire_version if state.profile else "professional"
        until = datetime.fromtimestamp(until_us // 1_000_000, UTC).date().isoformat()
        refused = await self.funds.record_class(
            investor_id, known or InvestorClass.C1_MINIMUM, until, version
        )
        if refused is not None:
            stream = f"investor-{investor_id}"
            logger.error("class_not_recorded", reason=refused.reason, stream=stream)


@dataclass(frozen=True, slots=True)
class HearingFunds:
    """A level that rises, or a fund that closes, ends the proposals that hold it."""

    expiring: Expiring
    own: Projection
    database: Database
    store: EventStore

    async def react(self, events: Sequence[StoredEvent]) -> None:
        heard = [event for event in events if event.type.rpartition(".")[2] in _FUND_CHANGES]
        if not heard:
            return
        # Proposals made on what was known before this are in the rows by now.
        with suppress(Behind):
            await self.own.wait_for(await self.store.head(), ROWS_WITHIN_S)
        for stored in heard:
            code = stored.stream.removeprefix("fund-")
            body = orjson.loads(stored.data)
            held = await self.database.read(lambda c, code=code: watching.proposals_with(c, code))  # type: ignore[misc]
            for proposal_id, highest in held:
                cause = _cause_of(stored, body, highest)
                if cause:
                    await self.expiring.expire(proposal_id, cause, code)


_FUND_CHANGES: Final = frozenset({"FundPublished", "FundStatusChanged"})


def _cause_of(stored: StoredEvent, body: dict[str, object], highest: int) -> str:
    if stored.type.endswith("FundStatusChanged"):
        return "" if body.get("status") == "FUND_STATUS_OPEN" else "FUND_CLOSED"
    terms = body.get("terms")
    level = terms.get("risk_level", "") if isinstance(terms, dict) else ""
    return "LEVEL_RAISED" if int(str(level)[-1:] or 0) > highest else ""


@dataclass(frozen=True, slots=True)
class Ordering:
    """One step of an accepted proposal: one order at funds, with the proposal's id."""

    shelf: Shelf
    funds: Funds

    async def perform(
        self, proposal_id: str, state: what.State, step: PlaceOrder
    ) -> Recorded[what.Command] | None:
        """None: not yet, what is sold pays for it. Raises `Unavailable`: the same again later."""
        if isinstance(state, what.Absent) or state.accepted is None:
            raise AssertionError("only what is accepted is ordered")
        item, issued = step.item, state.issued
        have_paid = await self._have_paid(state.accepted, state) if item.amount_minor > 0 else True
        if have_paid is None:
            return None
        refused: Refused | None = _NOT_PAID_FOR
        if have_paid:
            refused = await self._place(proposal_id, issued, state.accepted, item)
        linked = OrderLinked(
            item.fund_code,
            item.order_id,
            "" if refused is None else refused.reason,
            "" if refused is None else refused.description,
        )
        cause = Cause(f"{proposal_id}/{step.name}", correlation_id=proposal_id, actor=ACTOR)
        return Recorded(LinkOrder(linked), cause)

    async def _have_paid(self, accepted: what.Accepted, state: what.Proposal) -> bool | None:
        """Whether all that was sold has brought its money; None: it may still come."""
        is_late = self.shelf.clock() - accepted.accepted_us > SALES_AWAITED_US
        for sale in (item for item in accepted.items if item.amount_minor < 0):
            if state.orders[sale.order_id].refusal_reason:
                return False
            paid = await self.funds.has_paid(sale.order_id)
            if not paid:
                return False if is_late else paid
        return True

    async def _place(
        self,
        proposal_id: str,
        issued: what.Issued,
        accepted: what.Accepted,
        item: what.AcceptedItem,
    ) -> Refused | None:
        fund = self.shelf.catalogue.find(item.fund_code)
        if fund is None:
            # It was advised, so it was known: after a start the catalogue is heard in a while.
            raise Unavailable(f"{item.fund_code} is not heard of yet")
        shares = item.shares
        amount = Money(fund.currency, item.amount_minor) if item.amount_minor > 0 else None
        if amount is None and not shares:
            # Accepted before shares were kept.
            price = fund.price_of_10k
            if price <= 0:
                raise Unavailable(f"{item.fund_code} has no price yet")
            shares = -item.amount_minor * 10_000 // price
        return await self.funds.place(
            Order(
                item.order_id,
                issued.investor_id,
                accepted.account_id,
                item.fund_code,
                proposal_id,
                amount,
                shares,
            )
        )


@dataclass(frozen=True, slots=True)
class Sweeping:
    """What happens because time passes: reviews, ends of proposals, outcomes of those followed."""

    investors: Investors
    expiring: Expiring
    measuring: Measuring
    database: Database
    clock: Clock

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self.sweep()
            except Exception as error:
                if not is_transient(error):
                    raise
                logger.warning("sweep_waits", reason=str(error))
            await asyncio.sleep(SWEEP_EVERY_S)

    async def sweep(self) -> None:
        """Once. What was done before is not done again."""
        now_us = self.clock()
        due, over = await self.database.read(
            lambda c: (
                watching.due_reviews(c, now_us, SWEEP_MAX),
                watching.over_proposals(c, now_us, SWEEP_MAX),
            )
        )
        for investor_id in due:
            command = EndClass(REVIEW_DUE, now_us)
            cause = Cause(f"{investor_id}/REVIEW/{now_us}", actor=ACTOR)
            await self.investors.transact(investor_id, command, cause)
        for proposal_id in over:
            await self.expiring.expire(proposal_id, "VALIDITY_ENDED")
        await self.measuring.sweep()
