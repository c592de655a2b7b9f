"""All of settlement's aggregates over one store, and the breaks that all of the work may open."""

from dataclasses import dataclass
from typing import TypeAlias

from libs.decider import Cause, Rejected, Streams
from libs.event_store import EventStore
from libs.ids import named_id
from libs.money import Money
from services.settlement.codec import own
from services.settlement.domain import (
    bank_transfer,
    breaks,
    cut_off,
    evidence,
    partner,
    settlement,
    statement,
)

PartnerStreams: TypeAlias = Streams[partner.Command, partner.Partner, partner.Event]
TransferStreams: TypeAlias = Streams[
    bank_transfer.Command, bank_transfer.Transfer, bank_transfer.Event
]
MessageStreams: TypeAlias = Streams[evidence.Command, evidence.Evidence, evidence.Event]
CutOffStreams: TypeAlias = Streams[cut_off.Command, cut_off.CutOff, cut_off.Event]
SettlementStreams: TypeAlias = Streams[settlement.Command, settlement.Settlement, settlement.Event]
StatementStreams: TypeAlias = Streams[statement.Command, statement.Statement, statement.Event]
BreakStreams: TypeAlias = Streams[breaks.Command, breaks.Break, breaks.Event]

ACTOR = "settlement"


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Streams by category. The names are storage."""

    partners: PartnerStreams
    transfers: TransferStreams
    messages: MessageStreams
    cut_offs: CutOffStreams
    settlements: SettlementStreams
    statements: StatementStreams
    breaks: BreakStreams

    @classmethod
    def over(cls, store: EventStore) -> "Aggregates":
        """The aggregates of this store."""
        return cls(
            Streams(store, "partner", partner.partner, own.partners),
            Streams(store, "bank_transfer", bank_transfer.bank_transfer, own.bank_transfers),
            Streams(store, "bank_message", evidence.evidence, own.bank_messages),
            Streams(store, "cut_off", cut_off.cut_off, own.cut_offs),
            Streams(store, "settlement", settlement.settlement, own.settlements),
            Streams(store, "statement", statement.statement, own.statements),
            Streams(store, "break", breaks.breaks, own.break_events),
        )

    async def partner_of(self, bank_id: str) -> partner.Open:
        """A partner whose accounts stand. Raises `Rejected`."""
        state = (await self.partners.load(bank_id)).state
        if isinstance(state, partner.Open):
            return state
        if isinstance(state, partner.Absent):
            raise Rejected(partner.Reason.PARTNER_NOT_FOUND, f"{bank_id} is no partner")
        raise Rejected(partner.Reason.PARTNER_NOT_OPEN, f"{bank_id}'s accounts are not open yet")

    async def open_break(  # noqa: PLR0913 - a break is told all of it
        self,
        type_: str,
        bank_id: str,
        place: str,
        *,
        payment_id: str = "",
        settlement_id: str = "",
        amount: Money | None = None,
        description: str = "",
    ) -> None:
        """Open a break, named by its type and place: seen again, it is the same one."""
        break_id = break_id_of(type_, place)
        terms = breaks.Opened(
            break_id, type_, bank_id, payment_id, settlement_id, amount, description
        )
        cause = Cause(f"{break_id}/open", payment_id or settlement_id, actor=ACTOR)
        await self.breaks.transact(break_id, breaks.OpenBreak(terms), cause, is_new=True)

    async def clear_break(self, type_: str, place: str, evidence_: str) -> None:
        """Clear a break, where there is one."""
        break_id = break_id_of(type_, place)
        if isinstance((await self.breaks.load(break_id)).state, breaks.Standing):
            cause = Cause(f"{break_id}/clear", actor=ACTOR)
            await self.breaks.transact(break_id, breaks.ClearBreak(evidence_), cause)


def break_id_of(type_: str, place: str) -> str:
    """A break's id, from what it is and where."""
    return str(named_id("break", type_, place))
