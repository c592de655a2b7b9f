"""A break of funds: typed, with an age and an owner, and closed by two people or the late row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected


class BreakType(Enum):
    """The names are storage."""

    MISSING_AT_TA = auto()
    LATE = auto()
    MISSING_HERE = auto()
    AMOUNT_DIFF = auto()
    SHARE_DIFF = auto()
    NAV_DIFF = auto()
    FILE_QUARANTINED = auto()
    RETURN_CODE_UNKNOWN = auto()
    CASH_DIFF = auto()
    CALENDAR_ENDING = auto()
    # An amended row paid too much, and the wallet that had it has not so much any more.
    WALLET_SHORT = auto()
    # A bank's advance is in the wallet, and the redemption that repays it was refused.
    ADVANCE_UNPAID = auto()


class Repair(Enum):
    """What ends a break; the names are storage."""

    ACCEPT_THEIRS = auto()  # book the registrar's row as it is
    AMEND = auto()  # reverse what was booked and book the row that came later
    KEEP_OURS = auto()  # the registrar corrects its side
    POST = auto()  # a posting in the journal, by hand


class Outcome(Enum):
    """How a break ended; the first word of its cause."""

    BOOKED_AS_THEIRS = auto()  # their row is booked as it is
    BOOKED_AGAIN = auto()  # what was booked is reversed, and their later row booked
    REFUSAL_STANDS = auto()  # the registrar's no counts: all was given back
    ORDER_GIVEN_UP = auto()  # the registrar never had it: all is given back
    OURS_STANDS = auto()
    CARRIED_BY_SUSPENSE = auto()  # what the wallet lacks is booked as what we are short of
    SETTLED_BY_HAND = auto()  # by what the operators have agreed on, outside of this order


@dataclass(frozen=True, slots=True)
class Terms:
    break_id: str
    type: BreakType
    ta_id: str
    trade_date: date
    fund_code: str = ""
    order_id: str = ""
    investor_id: str = ""
    # The registrar's row it is about.
    row_id: str = ""
    ours: str = ""
    theirs: str = ""
    description: str = ""


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Found:
    terms: Terms
    found_us: int


@dataclass(frozen=True, slots=True)
class OwnerSet:
    owner: str


@dataclass(frozen=True, slots=True)
class RepairProposed:
    proposal_id: str
    repair: Repair
    note: str
    maker: str


@dataclass(frozen=True, slots=True)
class RepairApproved:
    proposal_id: str
    checker: str


@dataclass(frozen=True, slots=True)
class RepairRefused:
    proposal_id: str
    checker: str
    note: str


@dataclass(frozen=True, slots=True)
class RepairFailed:
    """What was approved cannot be done, and nothing was: another may be proposed."""

    proposal_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Closed:
    """By the repair that was approved, or by itself when what was late arrived."""

    cause: str


Event: TypeAlias = (
    Found | OwnerSet | RepairProposed | RepairApproved | RepairRefused | RepairFailed | Closed
)


# States.
@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Standing:
    found: Found
    owner: str = ""
    proposal: RepairProposed | None = None
    approval: RepairApproved | None = None
    refused: tuple[str, ...] = ()
    cause: str = ""

    @property
    def terms(self) -> Terms:
        return self.found.terms

    @property
    def is_closed(self) -> bool:
        return bool(self.cause)


Break: TypeAlias = Absent | Standing


def age_us(standing: Standing, now_us: int) -> int:
    """Microseconds since it was found."""
    return now_us - standing.found.found_us


def evolve(state: Break, event: Event) -> Break:
    match state, event:
        case Absent(), Found():
            return Standing(event)
        case Standing(cause=""), OwnerSet(owner):
            return replace(state, owner=owner)
        case Standing(cause="", approval=None), RepairProposed():
            return replace(state, proposal=event)
        case Standing(cause="", approval=None), RepairApproved():
            return replace(state, approval=event)
        case Standing(cause="", approval=None), RepairRefused(proposal_id):
            return replace(state, proposal=None, refused=(*state.refused, proposal_id))
        case Standing(cause=""), RepairFailed(proposal_id):
            refused = (*state.refused, proposal_id)
            return replace(state, proposal=None, approval=None, refused=refused)
        case Standing(cause=""), Closed(cause):
            return replace(state, cause=cause)
    raise AssertionError(f"{event} cannot follow {state}")


# Commands.
class Reason(Enum):
    FIELD_REQUIRED = auto()
    BREAK_NOT_FOUND = auto()
    BREAK_CLOSED = auto()
    PROPOSAL_DIFFERS = auto()
    PROPOSAL_NOT_FOUND = auto()
    APPROVER_IS_MAKER = auto()
    REPAIR_NOT_APPROVED = auto()
    REPAIR_NOT_POSSIBLE = auto()


@dataclass(frozen=True, slots=True)
class Find:
    terms: Terms
    found_us: int


@dataclass(frozen=True, slots=True)
class SetOwner:
    owner: str


@dataclass(frozen=True, slots=True)
class ProposeRepair:
    proposal_id: str
    repair: Repair
    note: str
    maker: str


@dataclass(frozen=True, slots=True)
class ApproveRepair:
    proposal_id: str
    checker: str


@dataclass(frozen=True, slots=True)
class RefuseRepair:
    proposal_id: str
    checker: str
    note: str


@dataclass(frozen=True, slots=True)
class FailRepair:
    proposal_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Close:
    """The approved repair is done; or, of what was only late, it has arrived."""

    cause: str


Command: TypeAlias = (
    Find | SetOwner | ProposeRepair | ApproveRepair | RefuseRepair | FailRepair | Close
)


# What is waited for, and ends by itself when it comes.
_WAITS = (
    BreakType.LATE,
    BreakType.MISSING_AT_TA,
    BreakType.WALLET_SHORT,
    BreakType.ADVANCE_UNPAID,
)
# Money that is missing, and what it waits for; operators may let suspense carry it.
_CARRIED = {
    BreakType.WALLET_SHORT: "the wallet has the money",
    BreakType.ADVANCE_UNPAID: "the registrar's money has repaid the bank",
}


def decide(command: Command, state: Break) -> Sequence[Event]:
    if isinstance(command, Find):
        # A difference is named by its place: seen again, it is the same break.
        return [Found(command.terms, command.found_us)] if isinstance(state, Absent) else []
    if isinstance(state, Absent):
        raise Rejected(Reason.BREAK_NOT_FOUND)
    match command:
        case SetOwner(owner):
            return [] if state.owner == owner or state.is_closed else [OwnerSet(owner)]
        case ProposeRepair():
            return _propose(command, state)
        case ApproveRepair():
            return _approve(command, state)
        case RefuseRepair():
            return _refuse(command, state)
        case FailRepair():
            return _fail(command, state)
        case Close(cause):
            return _close(cause, state)
        case _:
            assert_never(command)


def _propose(command: ProposeRepair, state: Standing) -> Sequence[Event]:
    if not command.proposal_id:
        told = "must be given"
        raise Rejected(Reason.FIELD_REQUIRED, told, [FieldViolation("proposal_id", told)])
    proposed = RepairProposed(command.proposal_id, command.repair, command.note, command.maker)
    if state.proposal is not None and state.proposal.proposal_id == command.proposal_id:
        if state.proposal == proposed:
            return []
        raise Rejected(Reason.PROPOSAL_DIFFERS, "the id was used for another proposal")
    if command.proposal_id in state.refused:
        raise Rejected(Reason.PROPOSAL_DIFFERS, "this proposal was refused")
    if state.is_closed:
        raise Rejected(Reason.BREAK_CLOSED, state.cause)
    if state.approval is not None:
        raise Rejected(Reason.PROPOSAL_DIFFERS, "another proposal was approved")
    _check_possible(command.repair, state.terms)
    return [proposed]


def _check_possible(repair: Repair, terms: Terms) -> None:
    """An amendment needs the registrar's later row; and such a row is never taken as it is."""
    is_later_row = bool(terms.order_id) and "#" in terms.theirs
    if repair is Repair.AMEND and not is_later_row:
        told = "no later row of the registrar stands against an order here"
    elif repair is Repair.ACCEPT_THEIRS and is_later_row:
        told = "the order was answered otherwise before: their row is booked by AMEND"
    elif terms.type in _CARRIED and repair is not Repair.POST:
        told = f"it ends when {_CARRIED[terms.type]}, or by POST: then suspense carries it"
    else:
        return
    raise Rejected(Reason.REPAIR_NOT_POSSIBLE, told, [FieldViolation("repair", told)])


def _proposal(proposal_id: str, state: Standing) -> RepairProposed:
    if state.proposal is None or state.proposal.proposal_id != proposal_id:
        raise Rejected(Reason.PROPOSAL_NOT_FOUND, "this is not the proposal that stands")
    return state.proposal


def _approve(command: ApproveRepair, state: Standing) -> Sequence[Event]:
    proposal = _proposal(command.proposal_id, state)
    if proposal.maker == command.checker:
        raise Rejected(Reason.APPROVER_IS_MAKER, "another operator approves")
    if state.approval is not None:
        return []
    if state.is_closed:
        raise Rejected(Reason.BREAK_CLOSED, state.cause)
    return [RepairApproved(command.proposal_id, command.checker)]


def _refuse(command: RefuseRepair, state: Standing) -> Sequence[Event]:
    if command.proposal_id in state.refused:
        return []
    proposal = _proposal(command.proposal_id, state)
    if proposal.maker == command.checker:
        raise Rejected(Reason.APPROVER_IS_MAKER, "another operator refuses")
    if state.approval is not None:
        raise Rejected(Reason.PROPOSAL_DIFFERS, "it was approved")
    return [RepairRefused(command.proposal_id, command.checker, command.note)]


def _fail(command: FailRepair, state: Standing) -> Sequence[Event]:
    if state.is_closed or command.proposal_id in state.refused:
        return []
    if state.approval is None or state.approval.proposal_id != command.proposal_id:
        raise Rejected(Reason.REPAIR_NOT_APPROVED, "only what was approved is tried")
    return [RepairFailed(command.proposal_id, command.reason)]


def _close(cause: str, state: Standing) -> Sequence[Event]:
    if state.is_closed:
        return []
    # Only what is waited for closes itself; everything else is closed by two people.
    if state.terms.type not in _WAITS and state.approval is None:
        raise Rejected(
            Reason.REPAIR_NOT_APPROVED, f"a break {state.terms.type.name} needs a repair"
        )
    return [Closed(cause)]


class Action(Enum):
    REPAIR = auto()


def next_step(state: Break) -> Action | None:
    is_due = isinstance(state, Standing) and state.approval is not None and not state.is_closed
    return Action.REPAIR if is_due else None


breaks: Decider[Command, Break, Event] = Decider(Absent(), decide, evolve)
