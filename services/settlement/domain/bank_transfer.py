"""A bank transfer: one instruction to a bank, sent by one sender, until each item is final."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.money import Money
from services.settlement.domain.partner import Capability
from services.settlement.domain.status import NOT_FOUND, Outcome

RESENDS_MAX = 3
NOT_FOUNDS_MIN = 2
NOT_FOUND_GAP_MS = 300_000
NOT_SENT_WAIT_MS = 1_000
NOT_SENT_WAIT_MAX_MS = 60_000
LATE_INQUIRIES_MAX = 5
# After the schedule we ask once a day; a day is this many of its longest interval (an hour).
LATE_INTERVALS = 24


class Kind(Enum):
    PULL = auto()
    PAYOUT = auto()


class Source(Enum):
    """How an outcome was learned."""

    REPLY = auto()
    NOTICE = auto()
    INQUIRY = auto()
    STATEMENT = auto()


@dataclass(frozen=True, slots=True)
class Item:
    payment_id: str
    uetr: str
    amount: Money
    bank_account: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    payment_id: str
    uetr: str
    outcome: Outcome
    reason: str = ""
    bank_reference: str = ""
    value_date: str = ""


# Events.
@dataclass(frozen=True, slots=True)
class Intended:
    transfer_id: str
    bank_id: str
    kind: Kind
    items: tuple[Item, ...]
    settlement_id: str = ""


@dataclass(frozen=True, slots=True)
class SendStarted:
    attempt: int
    message_id: str
    started_ms: int


@dataclass(frozen=True, slots=True)
class NotSent:
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Doubted:
    cause: str
    since_ms: int
    payment_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InquirySent:
    ordinal: int
    message_id: str
    sent_ms: int


@dataclass(frozen=True, slots=True)
class ItemsDecided:
    outcomes: tuple[ItemOutcome, ...]
    message_id: str
    source: str
    decided_ms: int


@dataclass(frozen=True, slots=True)
class ItemsBooked:
    payment_ids: tuple[str, ...]
    journal_position: int


@dataclass(frozen=True, slots=True)
class Contradicted:
    payment_id: str
    said_before: Outcome
    says_now: Outcome


Event: TypeAlias = (
    Intended
    | SendStarted
    | NotSent
    | Doubted
    | InquirySent
    | ItemsDecided
    | ItemsBooked
    | Contradicted
)


# States.
class Phase(Enum):
    INTENDED = auto()
    SENDING = auto()
    NOT_SENT = auto()
    SENT = auto()


@dataclass(frozen=True, slots=True)
class ItemState:
    """An item and what is known of it; `outcome` is None until the first word or doubt."""

    item: Item
    outcome: Outcome | None = None
    reason: str = ""
    bank_reference: str = ""
    value_date: str = ""
    since_ms: int = 0
    was_doubted: bool = False
    is_booked: bool = False
    not_found_ms: tuple[int, ...] = ()
    inquiries_refused: int = 0
    answers: frozenset[str] = frozenset()
    contradictions: frozenset[Outcome] = frozenset()

    @property
    def is_final(self) -> bool:
        return self.outcome is not None and self.outcome.is_final


@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Live:
    """An instruction that was intended. `since_ms` is when its phase began, where that matters."""

    terms: Intended
    items: Mapping[str, ItemState]
    phase: Phase = Phase.INTENDED
    attempt: int = 0
    message_id: str = ""
    first_sent_ms: int = 0
    phase_ms: int = 0
    inquiries: int = 0
    inquired_ms: int = 0
    inquiry_ids: tuple[str, ...] = field(default=())

    def those(self, *outcomes: Outcome) -> list[ItemState]:
        """Items with one of these outcomes, in the order of the instruction."""
        return [item for item in self.items.values() if item.outcome in outcomes]

    @property
    def is_final(self) -> bool:
        return all(item.is_final for item in self.items.values())

    @property
    def unbooked(self) -> list[ItemState]:
        """Payouts the bank has made that do not stand on its side of the journal yet."""
        if self.terms.kind is Kind.PULL:
            return []
        return [item for item in self.those(Outcome.DONE) if not item.is_booked]


Transfer: TypeAlias = Absent | Live


def evolve(transfer: Transfer, event: Event) -> Transfer:
    match transfer, event:
        case Absent(), Intended():
            return Live(event, {item.payment_id: ItemState(item) for item in event.items})
        case Live(), SendStarted(attempt, message_id, started_ms):
            cleared = _changed(transfer, transfer.items, lambda s: replace(s, not_found_ms=()))
            return replace(
                transfer,
                items=cleared,
                phase=Phase.SENDING,
                attempt=attempt,
                message_id=message_id,
                first_sent_ms=transfer.first_sent_ms or started_ms,
                phase_ms=started_ms,
                inquiries=0,
            )
        case Live(), NotSent(_, at_ms):
            return replace(transfer, phase=Phase.NOT_SENT, phase_ms=at_ms)
        case Live(), Doubted(_, since_ms, payment_ids):
            items = _changed(
                transfer,
                payment_ids,
                lambda s: replace(s, outcome=Outcome.UNKNOWN, was_doubted=True, since_ms=since_ms),
            )
            return replace(transfer, items=items, phase=Phase.SENT)
        case Live(), InquirySent(ordinal, message_id, sent_ms):
            ids = (*transfer.inquiry_ids, message_id)
            return replace(transfer, inquiries=ordinal, inquired_ms=sent_ms, inquiry_ids=ids)
        case Live(), ItemsDecided():
            return _decided(transfer, event)
        case Live(), ItemsBooked(payment_ids, _):
            items = _changed(transfer, payment_ids, lambda s: replace(s, is_booked=True))
            return replace(transfer, items=items)
        case Live(), Contradicted(payment_id, _, says_now):
            items = _changed(
                transfer,
                (payment_id,),
                lambda s: replace(s, contradictions=s.contradictions | {says_now}),
            )
            return replace(transfer, items=items)
    raise AssertionError(f"{event} cannot follow {transfer}")


def _changed(
    transfer: Live, payment_ids: Iterable[str], change: Callable[[ItemState], ItemState]
) -> Mapping[str, ItemState]:
    items = dict(transfer.items)
    for payment_id in payment_ids:
        items[payment_id] = change(items[payment_id])
    return items


def _decided(transfer: Live, event: ItemsDecided) -> Live:
    items = dict(transfer.items)
    is_inquiry = event.source == Source.INQUIRY.name
    for said in event.outcomes:
        known = items[said.payment_id]
        not_found = known.not_found_ms
        refused = known.inquiries_refused
        if said.reason == NOT_FOUND:
            not_found = (*not_found, event.decided_ms)
        elif is_inquiry and said.outcome is Outcome.UNKNOWN and said.reason:
            refused += 1
        items[said.payment_id] = replace(
            known,
            outcome=said.outcome,
            reason=said.reason,
            bank_reference=said.bank_reference or known.bank_reference,
            value_date=said.value_date or known.value_date,
            since_ms=known.since_ms if said.outcome is known.outcome else event.decided_ms,
            not_found_ms=not_found,
            inquiries_refused=refused,
            answers=known.answers | {event.message_id},
        )
    is_answered = event.source == Source.REPLY.name or all(
        item.outcome is not None for item in items.values()
    )
    is_open = transfer.phase is Phase.SENDING and not is_answered
    return replace(transfer, items=items, phase=Phase.SENDING if is_open else Phase.SENT)


# Commands.
class Reason(Enum):
    IDEMPOTENCY_KEY_REUSED = auto()
    STATE_CHANGE_NOT_ALLOWED = auto()
    REFERENCE_UNKNOWN = auto()
    NEVER_SENT = auto()


@dataclass(frozen=True, slots=True)
class Intend:
    terms: Intended


@dataclass(frozen=True, slots=True)
class StartSend:
    attempt: int
    message_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class RecordNotSent:
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Doubt:
    cause: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class RecordInquiry:
    ordinal: int
    message_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Decide:
    outcomes: tuple[ItemOutcome, ...]
    message_id: str
    source: Source
    at_ms: int


@dataclass(frozen=True, slots=True)
class Book:
    payment_ids: tuple[str, ...]
    journal_position: int


Command: TypeAlias = Intend | StartSend | RecordNotSent | Doubt | RecordInquiry | Decide | Book


def decide(command: Command, transfer: Transfer) -> Sequence[Event]:
    if isinstance(command, Intend):
        return _intend(command.terms, transfer)
    if isinstance(transfer, Absent):
        raise Rejected(Reason.NEVER_SENT, "no such instruction was intended")
    match command:
        case StartSend():
            return _start(command, transfer)
        case RecordNotSent(cause, at_ms):
            return _not_sent(cause, at_ms, transfer)
        case Doubt(cause, at_ms):
            return _doubt(cause, at_ms, transfer)
        case RecordInquiry(ordinal, message_id, at_ms):
            if message_id in transfer.inquiry_ids:
                return []
            return [InquirySent(ordinal, message_id, at_ms)]
        case Decide():
            return _decide(command, transfer)
        case Book(payment_ids, journal_position):
            return _book(payment_ids, journal_position, transfer)
        case _:
            assert_never(command)


def _intend(terms: Intended, transfer: Transfer) -> Sequence[Event]:
    if isinstance(transfer, Absent):
        return [terms]
    if transfer.terms == terms:
        return []
    violations = [
        FieldViolation(name, f"was {getattr(transfer.terms, name)}")
        for name in ("bank_id", "kind", "settlement_id")
        if getattr(terms, name) != getattr(transfer.terms, name)
    ] + _differing_items(terms, transfer.terms)
    raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the payment has other terms", violations)


def _differing_items(asked: Intended, known: Intended) -> list[FieldViolation]:
    if len(asked.items) != 1 or len(known.items) != 1:
        is_same = asked.items == known.items
        return [] if is_same else [FieldViolation("items", "were others")]
    return [
        FieldViolation(name, f"was {getattr(known.items[0], name)}")
        for name in Item.__slots__
        if getattr(asked.items[0], name) != getattr(known.items[0], name)
    ]


def _start(command: StartSend, transfer: Live) -> Sequence[Event]:
    if (transfer.attempt, transfer.message_id) == (command.attempt, command.message_id):
        # Started before: whoever asks again must not send again.
        return []
    if command.attempt != transfer.attempt + 1 or transfer.phase is Phase.SENDING:
        raise Rejected(Reason.STATE_CHANGE_NOT_ALLOWED, "another sender has begun")
    if transfer.is_final:
        raise Rejected(Reason.STATE_CHANGE_NOT_ALLOWED, "its outcome is final")
    if transfer.attempt and command.message_id != transfer.message_id:
        raise Rejected(Reason.STATE_CHANGE_NOT_ALLOWED, "a resend has the same bytes")
    return [SendStarted(command.attempt, command.message_id, command.at_ms)]


def _not_sent(cause: str, at_ms: int, transfer: Live) -> Sequence[Event]:
    if transfer.phase is Phase.SENDING:
        return [NotSent(cause, at_ms)]
    if transfer.phase is Phase.NOT_SENT:
        return []
    raise Rejected(Reason.STATE_CHANGE_NOT_ALLOWED, f"it is {transfer.phase.name}")


def _doubt(cause: str, at_ms: int, transfer: Live) -> Sequence[Event]:
    if transfer.phase is not Phase.SENDING:
        return []
    unsure = tuple(
        item.item.payment_id
        for item in transfer.items.values()
        if item.outcome in (None, Outcome.UNKNOWN)
    )
    return [Doubted(cause, at_ms, unsure)]


def _decide(command: Decide, transfer: Live) -> Sequence[Event]:
    if transfer.attempt == 0:
        raise Rejected(Reason.NEVER_SENT, "the instruction has not been sent")
    news: list[ItemOutcome] = []
    contradictions: list[Event] = []
    for said in command.outcomes:
        known = transfer.items.get(said.payment_id)
        if known is None or known.item.uetr != said.uetr:
            raise Rejected(Reason.REFERENCE_UNKNOWN, "the item is not of this transfer")
        if known.is_final:
            contradictions += _contradiction(known, said)
        elif _is_news(said, known, command):
            news.append(said)
    decided: list[Event] = (
        [ItemsDecided(tuple(news), command.message_id, command.source.name, command.at_ms)]
        if news
        else []
    )
    doubted = tuple(
        said.payment_id
        for said in news
        if said.outcome is Outcome.UNKNOWN
        and transfer.items[said.payment_id].outcome is not Outcome.UNKNOWN
    )
    if doubted:
        causes = sorted({said.reason for said in news if said.payment_id in doubted})
        decided.append(Doubted(" ".join(causes), command.at_ms, doubted))
    return decided + contradictions


def _is_news(said: ItemOutcome, known: ItemState, command: Decide) -> bool:
    if said.outcome is Outcome.UNKNOWN:
        # Each answer to an inquiry counts once; otherwise doubt after doubt says nothing.
        is_answer = command.source is Source.INQUIRY and command.message_id not in known.answers
        return is_answer or known.outcome not in (Outcome.UNKNOWN, Outcome.PENDING)
    return said.outcome is not known.outcome


def _contradiction(known: ItemState, said: ItemOutcome) -> list[Event]:
    """A later word never edits a final one; a word that is not final says less, so nothing."""
    if known.outcome is None or not said.outcome.is_final or said.outcome is known.outcome:
        return []
    if said.outcome in known.contradictions:
        return []
    return [Contradicted(said.payment_id, known.outcome, said.outcome)]


def _book(payment_ids: tuple[str, ...], position: int, transfer: Live) -> Sequence[Event]:
    open_ids = {item.item.payment_id for item in transfer.unbooked}
    for payment_id in payment_ids:
        known = transfer.items.get(payment_id)
        if known is None or (payment_id not in open_ids and not known.is_booked):
            raise Rejected(Reason.STATE_CHANGE_NOT_ALLOWED, "only what is done is booked")
    fresh = tuple(payment_id for payment_id in payment_ids if payment_id in open_ids)
    return [ItemsBooked(fresh, position)] if fresh else []


# What is next.
class Step(Enum):
    SEND = auto()
    DOUBT = auto()
    BOOK = auto()
    INQUIRE = auto()
    ESCALATE = auto()


def next_step(transfer: Transfer, capability: Capability, now_ms: int) -> Step | None:
    """What to do now. A send without outcome is a doubt: only a crash leaves it so."""
    if isinstance(transfer, Absent):
        return None
    if transfer.phase is Phase.SENDING:
        return Step.DOUBT
    if transfer.unbooked:
        return Step.BOOK
    if transfer.is_final:
        return None
    if transfer.phase is Phase.INTENDED:
        return Step.SEND
    if transfer.phase is Phase.NOT_SENT:
        return Step.SEND if now_ms >= _retry_ms(transfer) else None
    if may_resend(transfer, capability, now_ms):
        return Step.SEND
    if (due := inquiry_due_ms(transfer, capability)) is not None and now_ms >= due:
        return Step.INQUIRE
    if is_too_long_in_doubt(transfer, capability, now_ms):
        return Step.ESCALATE
    return None


def due_ms(transfer: Transfer, capability: Capability) -> int | None:
    """When to look again, where time alone brings the next step; in milliseconds since 1970."""
    if isinstance(transfer, Absent) or transfer.is_final:
        return None
    if transfer.phase is Phase.NOT_SENT:
        return _retry_ms(transfer)
    return inquiry_due_ms(transfer, capability) if transfer.phase is Phase.SENT else None


def _retry_ms(transfer: Live) -> int:
    wait = NOT_SENT_WAIT_MS << min(transfer.attempt - 1, 16)
    return transfer.phase_ms + min(wait, NOT_SENT_WAIT_MAX_MS)


def inquiry_due_ms(transfer: Live, capability: Capability) -> int | None:
    """When the next inquiry is due: by schedule for a doubt, by its longest interval else."""
    schedule, asked = capability.schedule_s, transfer.inquiries
    late_ms = schedule[-1] * 1_000 * LATE_INTERVALS
    if unsure := transfer.those(Outcome.UNKNOWN):
        since = min(item.since_ms for item in unsure)
        if asked < len(schedule):
            return since + schedule[asked] * 1_000
        late = asked - len(schedule)
        return transfer.inquired_ms + late_ms if late < LATE_INQUIRIES_MAX else None
    if waiting := transfer.those(Outcome.PENDING):
        if asked >= len(schedule) + LATE_INQUIRIES_MAX:
            return None
        last = max(transfer.inquired_ms, *(item.since_ms for item in waiting))
        return last + (schedule[-1] * 1_000 if asked < len(schedule) else late_ms)
    return None


def may_resend(transfer: Live, capability: Capability, now_ms: int) -> bool:
    """Whether the same bytes may leave again.

    The bank deduplicates, its index was twice empty, and its memory still reaches back to the first
    send (less a tenth).
    """
    unsure = transfer.those(Outcome.UNKNOWN)
    if not unsure or transfer.attempt > RESENDS_MAX:
        return False
    if now_ms >= transfer.first_sent_ms + capability.dedupe_horizon_s * 900:
        return False
    gap = not_found_gap_ms(capability)
    return all(
        len(item.not_found_ms) >= NOT_FOUNDS_MIN
        and item.not_found_ms[-1] - item.not_found_ms[0] >= gap
        for item in unsure
    )


def not_found_gap_ms(capability: Capability) -> int:
    """How far apart two "not found" lie: five minutes, or less by the bank's own schedule."""
    schedule = capability.schedule_s
    if len(schedule) < NOT_FOUNDS_MIN:
        return NOT_FOUND_GAP_MS
    return min(NOT_FOUND_GAP_MS, (schedule[1] - schedule[0]) * 1_000)


def is_too_long_in_doubt(transfer: Live, capability: Capability, now_ms: int) -> bool:
    """Whether the schedule is over and an item is still in doubt."""
    since = [item.since_ms for item in transfer.those(Outcome.UNKNOWN)]
    return bool(since) and now_ms - min(since) > 2 * capability.schedule_s[-1] * 1_000


bank_transfer: Decider[Command, Transfer, Event] = Decider(Absent(), decide, evolve)
