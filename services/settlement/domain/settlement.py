"""A joint settlement: drafted, proven by both halves, instructed, confirmed, tied out, final."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected

ROUNDS_MAX = 3
DISPUTED_MAX_PERCENT = 5
DISPUTED_ALLOWED = 1
PAYMENTS_IN_PART_MAX = 1_000


# Events.
@dataclass(frozen=True, slots=True)
class Drafted:
    settlement_id: str
    bank_id: str
    currency_code: str
    window_ids: tuple[str, ...]
    legs: int
    sum_ours_minor: int
    sum_bank_minor: int
    value_date: str
    previous_digest: bytes
    seal_position: int


@dataclass(frozen=True, slots=True)
class Proposed:
    round: int
    header: bytes
    root: bytes
    signature: bytes
    legs: int
    sum_ours_minor: int
    sum_bank_minor: int


@dataclass(frozen=True, slots=True)
class DisputedLeg:
    payment_id: str
    uetr: str
    type: str
    our_leaf: bytes
    bank_leaf: bytes


@dataclass(frozen=True, slots=True)
class Differed:
    round: int
    bank_root: bytes
    disputed: tuple[DisputedLeg, ...]
    exchanges: int


@dataclass(frozen=True, slots=True)
class LegsCarried:
    payment_ids: tuple[str, ...]
    from_window_id: str
    to_window_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class Agreed:
    round: int
    digest: bytes
    countersignature: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Aborted:
    reason: str


@dataclass(frozen=True, slots=True)
class Instructed:
    transfer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confirmed:
    confirmed_legs: int
    refused_legs: int
    in_doubt_resolved: int


@dataclass(frozen=True, slots=True)
class TiedOut:
    statement_id: str
    mirror_minor: int
    statement_minor: int
    journal_position: int


@dataclass(frozen=True, slots=True)
class Finalised:
    final_signature: bytes
    bank_final_signature: bytes


@dataclass(frozen=True, slots=True)
class PaymentsSettled:
    settlement_id: str
    payment_ids: tuple[str, ...]
    part: int


Event: TypeAlias = (
    Drafted
    | Proposed
    | Differed
    | LegsCarried
    | Agreed
    | Aborted
    | Instructed
    | Confirmed
    | TiedOut
    | Finalised
    | PaymentsSettled
)


# States.
class Stage(Enum):
    DRAFT = auto()
    PROPOSED = auto()
    AGREED = auto()
    INSTRUCTED = auto()
    CONFIRMED = auto()
    TIED_OUT = auto()
    FINAL = auto()
    ABORTED = auto()


@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Live:
    """A settlement past its draft. `stuck` says why nothing more happens without people."""

    terms: Drafted
    stage: Stage = Stage.DRAFT
    proposal: Proposed | None = None
    differed: Differed | None = None
    carried: frozenset[str] = frozenset()
    agreement: Agreed | None = None
    transfer_ids: tuple[str, ...] = ()
    confirmed: Confirmed | None = None
    tied_out: TiedOut | None = None
    finalised: Finalised | None = None
    settled: frozenset[str] = frozenset()
    is_told: bool = False
    stuck: str = ""

    @property
    def round(self) -> int:
        """Round of the proposal in hand; 0 before the first."""
        return self.proposal.round if self.proposal else 0

    @property
    def uncarried(self) -> tuple[DisputedLeg, ...]:
        """Disputed legs that still stand in the window."""
        if self.differed is None:
            return ()
        return tuple(leg for leg in self.differed.disputed if leg.payment_id not in self.carried)


Settlement: TypeAlias = Absent | Live


def evolve(settlement: Settlement, event: Event) -> Settlement:
    match settlement, event:
        case Absent(), Drafted():
            return Live(event)
        case Live(stage=Stage.DRAFT | Stage.PROPOSED), Proposed():
            return replace(settlement, stage=Stage.PROPOSED, proposal=event)
        case Live(stage=Stage.PROPOSED), Differed():
            stuck = why_stuck(event, settlement.proposal)
            return replace(settlement, differed=event, stuck=stuck)
        case Live(stage=Stage.PROPOSED), LegsCarried(payment_ids):
            return replace(settlement, carried=settlement.carried | set(payment_ids))
        case Live(stage=Stage.PROPOSED), Agreed():
            return replace(settlement, stage=Stage.AGREED, agreement=event)
        case Live(stage=Stage.DRAFT | Stage.PROPOSED), Aborted():
            return replace(settlement, stage=Stage.ABORTED)
        case Live(stage=Stage.AGREED), Instructed(transfer_ids):
            return replace(settlement, stage=Stage.INSTRUCTED, transfer_ids=transfer_ids)
        case Live(stage=Stage.INSTRUCTED), Confirmed():
            return replace(settlement, stage=Stage.CONFIRMED, confirmed=event)
        case Live(stage=Stage.CONFIRMED), TiedOut():
            return replace(settlement, stage=Stage.TIED_OUT, tied_out=event)
        case Live(stage=Stage.TIED_OUT), Finalised():
            return replace(settlement, stage=Stage.FINAL, finalised=event)
        case Live(stage=Stage.FINAL), PaymentsSettled(_, payment_ids, _):
            return replace(settlement, settled=settlement.settled | set(payment_ids), is_told=True)
    raise AssertionError(f"{event} cannot follow {settlement}")


def why_stuck(differed: Differed, proposal: Proposed | None) -> str:
    """Why people must decide about a difference; empty where the legs may simply be carried."""
    legs = proposal.legs if proposal else 0
    if any(leg.bank_leaf == b"" for leg in differed.disputed) or not differed.disputed:
        return "the bank's answer proves nothing"
    if any(leg.type == "UNKNOWN_TO_US" for leg in differed.disputed):
        return "the bank names a leg that we do not know"
    if any(not _is_payout(leg) for leg in differed.disputed):
        return "a movement in our favour is disputed"
    allowed = max(DISPUTED_ALLOWED, legs * DISPUTED_MAX_PERCENT // 100)
    if len(differed.disputed) > allowed:
        return f"{len(differed.disputed)} of {legs} legs are disputed"
    if differed.round >= ROUNDS_MAX:
        return f"no agreement after {ROUNDS_MAX} rounds"
    return ""


# Where the direction stands in a leaf: after its name (10 bytes) and the UETR (16).
_DIRECTION_AT = 26


def _is_payout(leg: DisputedLeg) -> bool:
    return leg.our_leaf[_DIRECTION_AT : _DIRECTION_AT + 1] == b"D"


# Commands.
class Reason(Enum):
    STATE_CHANGE_NOT_ALLOWED = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    ROUND_TERMS_DIFFER = auto()
    SETTLEMENT_NOT_FOUND = auto()


@dataclass(frozen=True, slots=True)
class Draft:
    terms: Drafted


@dataclass(frozen=True, slots=True)
class Propose:
    proposal: Proposed


@dataclass(frozen=True, slots=True)
class Differ:
    difference: Differed


@dataclass(frozen=True, slots=True)
class Carry:
    moves: tuple[LegsCarried, ...]


@dataclass(frozen=True, slots=True)
class Agree:
    agreement: Agreed


@dataclass(frozen=True, slots=True)
class Abort:
    reason: str


@dataclass(frozen=True, slots=True)
class Instruct:
    transfer_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confirm:
    confirmed: Confirmed


@dataclass(frozen=True, slots=True)
class TieOut:
    tied_out: TiedOut


@dataclass(frozen=True, slots=True)
class Finalise:
    finalised: Finalised


@dataclass(frozen=True, slots=True)
class TellPayments:
    payment_ids: tuple[str, ...]


Command: TypeAlias = (
    Draft
    | Propose
    | Differ
    | Carry
    | Agree
    | Abort
    | Instruct
    | Confirm
    | TieOut
    | Finalise
    | TellPayments
)


def decide(  # noqa: C901, PLR0912 - one case a command
    command: Command, settlement: Settlement
) -> Sequence[Event]:
    if isinstance(command, Draft):
        return _draft(command.terms, settlement)
    if isinstance(settlement, Absent):
        raise Rejected(Reason.SETTLEMENT_NOT_FOUND, "nothing was drafted")
    match command:
        case Propose(proposal):
            return _propose(proposal, settlement)
        case Differ(difference):
            return _differ(difference, settlement)
        case Carry(moves):
            return _carry(moves, settlement)
        case Agree(agreement):
            return _agree(agreement, settlement)
        case Abort(reason):
            return _abort(reason, settlement)
        case Instruct(transfer_ids):
            return _move(
                settlement, Stage.AGREED, settlement.transfer_ids, transfer_ids, Instructed
            )
        case Confirm(confirmed):
            return _reach(settlement, Stage.INSTRUCTED, settlement.confirmed, confirmed)
        case TieOut(tied_out):
            return _reach(settlement, Stage.CONFIRMED, settlement.tied_out, tied_out)
        case Finalise(finalised):
            return _reach(settlement, Stage.TIED_OUT, settlement.finalised, finalised)
        case TellPayments(payment_ids):
            return _tell(payment_ids, settlement)
        case _:
            assert_never(command)


def _refuse(settlement: Live) -> Rejected:
    stage = settlement.stage.name
    return Rejected(Reason.STATE_CHANGE_NOT_ALLOWED, f"the settlement is {stage}")


def _draft(terms: Drafted, settlement: Settlement) -> Sequence[Event]:
    if isinstance(settlement, Absent):
        return [terms]
    # The chain's head moves on meanwhile; a settlement keeps the one it was drafted on.
    known = replace(settlement.terms, previous_digest=terms.previous_digest)
    if known == terms:
        return []
    violations = [
        FieldViolation(name, f"was {getattr(known, name)}")
        for name in Drafted.__slots__
        if getattr(known, name) != getattr(terms, name)
    ]
    raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "drafted on other terms", violations)


def _propose(proposal: Proposed, settlement: Live) -> Sequence[Event]:
    if settlement.stage not in (Stage.DRAFT, Stage.PROPOSED):
        raise _refuse(settlement)
    if settlement.proposal and settlement.round == proposal.round:
        if settlement.proposal == proposal:
            return []
        raise Rejected(Reason.ROUND_TERMS_DIFFER, f"round {proposal.round} had another header")
    has_differed = settlement.differed is not None and settlement.differed.round == settlement.round
    is_next = proposal.round == settlement.round + 1
    may_go_on = settlement.stage is Stage.DRAFT or (has_differed and not settlement.uncarried)
    if not is_next or not may_go_on or settlement.stuck:
        raise _refuse(settlement)
    return [proposal]


def _differ(difference: Differed, settlement: Live) -> Sequence[Event]:
    if settlement.differed == difference:
        return []
    has_differed = settlement.differed is not None and settlement.differed.round == settlement.round
    is_current = settlement.stage is Stage.PROPOSED and difference.round == settlement.round
    if not is_current or has_differed:
        raise _refuse(settlement)
    return [difference]


def _carry(moves: tuple[LegsCarried, ...], settlement: Live) -> Sequence[Event]:
    moved = {payment_id for move in moves for payment_id in move.payment_ids}
    if moved and moved <= settlement.carried:
        return []
    waiting = {leg.payment_id for leg in settlement.uncarried}
    if settlement.stage is not Stage.PROPOSED or settlement.stuck or moved != waiting:
        raise _refuse(settlement)
    return list(moves)


def _agree(agreement: Agreed, settlement: Live) -> Sequence[Event]:
    if settlement.agreement == agreement:
        return []
    is_current = settlement.stage is Stage.PROPOSED and agreement.round == settlement.round
    has_differed = settlement.differed is not None and settlement.differed.round == settlement.round
    if not is_current or has_differed:
        raise _refuse(settlement)
    return [agreement]


def _abort(reason: str, settlement: Live) -> Sequence[Event]:
    if settlement.stage is Stage.ABORTED:
        return []
    if settlement.stage not in (Stage.DRAFT, Stage.PROPOSED):
        raise _refuse(settlement)
    return [Aborted(reason)]


def _move(
    settlement: Live,
    needed: Stage,
    known: tuple[str, ...],
    asked: tuple[str, ...],
    event: Callable[[tuple[str, ...]], Event],
) -> Sequence[Event]:
    if settlement.stage is needed:
        return [event(asked)]
    if settlement.stage.value > needed.value and known == asked and settlement.agreement:
        return []
    raise _refuse(settlement)


def _reach(settlement: Live, needed: Stage, known: Event | None, asked: Event) -> Sequence[Event]:
    if settlement.stage is needed:
        return [asked]
    if known == asked:
        return []
    raise _refuse(settlement)


def _tell(payment_ids: tuple[str, ...], settlement: Live) -> Sequence[Event]:
    if settlement.stage is not Stage.FINAL:
        raise _refuse(settlement)
    if settlement.is_told:
        return []
    # One part at least, so that the end of the telling is itself an event.
    starts = range(0, max(len(payment_ids), 1), PAYMENTS_IN_PART_MAX)
    return [
        PaymentsSettled(
            settlement.terms.settlement_id, payment_ids[start : start + PAYMENTS_IN_PART_MAX], part
        )
        for part, start in enumerate(starts, 1)
    ]


# What is next.
class Step(Enum):
    PROPOSE = auto()
    SUBMIT_PROPOSAL = auto()
    CARRY = auto()
    INSTRUCT = auto()
    CONFIRM = auto()
    TIE_OUT = auto()
    CONFIRM_FINAL = auto()
    CLOSE_WINDOW = auto()


def next_step(settlement: Settlement) -> Step | None:
    if isinstance(settlement, Absent):
        return None
    match settlement.stage:
        case Stage.DRAFT:
            return Step.PROPOSE
        case Stage.PROPOSED:
            return _next_of_proposed(settlement)
        case Stage.AGREED:
            return Step.INSTRUCT
        case Stage.INSTRUCTED:
            return Step.CONFIRM
        case Stage.CONFIRMED:
            return Step.TIE_OUT
        case Stage.TIED_OUT:
            return Step.CONFIRM_FINAL
        case Stage.FINAL:
            return None if settlement.is_told else Step.CLOSE_WINDOW
        case Stage.ABORTED:
            return None
        case _:
            assert_never(settlement.stage)


def _next_of_proposed(settlement: Live) -> Step | None:
    if settlement.stuck:
        return None
    if settlement.uncarried:
        return Step.CARRY
    has_differed = settlement.differed is not None and settlement.differed.round == settlement.round
    return Step.PROPOSE if has_differed else Step.SUBMIT_PROPOSAL


settlement: Decider[Command, Settlement, Event] = Decider(Absent(), decide, evolve)
