"""A calendar's days past the library's data: published by one operator, approved by another."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum, auto
from itertools import pairwise
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.trading_calendar import Extension
from services.funds.domain import two_operators
from services.funds.domain.two_operators import Proposals


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class ExtensionProposed:
    proposal_id: str
    calendar: str
    # All sessions after what is known, up to and on this day.
    until: date
    sessions: tuple[date, ...]
    maker: str


@dataclass(frozen=True, slots=True)
class ExtensionApproved:
    proposal_id: str
    checker: str


@dataclass(frozen=True, slots=True)
class ExtensionRefused:
    proposal_id: str
    checker: str
    note: str


Event: TypeAlias = ExtensionProposed | ExtensionApproved | ExtensionRefused


# State.
@dataclass(frozen=True, slots=True)
class TradingDays:
    """What operators published of one exchange."""

    proposals: Proposals[ExtensionProposed] = field(default_factory=Proposals)

    @property
    def extensions(self) -> Sequence[Extension]:
        """What was approved, as `libs.trading_calendar.extended` takes it."""
        return [
            Extension(each.calendar, each.until, each.sessions)
            for each in self.proposals.every
            if each.proposal_id in self.proposals.approved
        ]


def evolve(days: TradingDays, event: Event) -> TradingDays:
    match event:
        case ExtensionProposed():
            return replace(days, proposals=days.proposals.proposed(event))
        case ExtensionApproved(proposal_id):
            return replace(days, proposals=days.proposals.with_approved(proposal_id))
        case ExtensionRefused(proposal_id):
            return replace(days, proposals=days.proposals.with_refused(proposal_id))
        case _:
            assert_never(event)


# Commands.
class Reason(Enum):
    FIELD_REQUIRED = auto()
    CALENDAR_GAP = auto()


@dataclass(frozen=True, slots=True)
class Propose:
    extension: ExtensionProposed
    # The last day that is known without it.
    known_until: date


@dataclass(frozen=True, slots=True)
class Approve:
    proposal_id: str
    checker: str
    known_until: date


@dataclass(frozen=True, slots=True)
class Refuse:
    proposal_id: str
    checker: str
    note: str


Command: TypeAlias = Propose | Approve | Refuse


def decide(command: Command, days: TradingDays) -> Sequence[Event]:
    match command:
        case Propose(extension, known_until):
            return _propose(extension, known_until, days)
        case Approve():
            return _approve(command, days)
        case Refuse(proposal_id, checker, note):
            known = days.proposals.to_refuse(proposal_id, checker)
            return [] if known is None else [ExtensionRefused(proposal_id, checker, note)]
        case _:
            assert_never(command)


def _propose(extension: ExtensionProposed, known_until: date, days: TradingDays) -> Sequence[Event]:
    if not extension.proposal_id:
        told = "must be given"
        raise Rejected(Reason.FIELD_REQUIRED, told, [FieldViolation("proposal_id", told)])
    known = days.proposals.get(extension.proposal_id)
    if known is not None:
        if known == extension:
            return []
        raise Rejected(two_operators.Reason.PROPOSAL_DIFFERS, "the id was used for other days")
    _check(extension, known_until)
    return [extension]


def _check(extension: ExtensionProposed, known_until: date) -> None:
    sessions = extension.sessions
    is_rising = all(earlier < later for earlier, later in pairwise(sessions))
    is_after = bool(sessions) and sessions[0] > known_until and sessions[-1] <= extension.until
    if not is_rising or not is_after:
        told = f"sessions rise, from after {known_until} to {extension.until}"
        raise Rejected(Reason.CALENDAR_GAP, told, [FieldViolation("sessions", told)])


def _approve(command: Approve, days: TradingDays) -> Sequence[Event]:
    known = days.proposals.to_approve(command.proposal_id, command.checker)
    if known is None:
        return []
    # Another may have been approved since: then its days are known, and may differ from these.
    _check(known, command.known_until)
    return [ExtensionApproved(command.proposal_id, command.checker)]


trading_days: Decider[Command, TradingDays, Event] = Decider(TradingDays(), decide, evolve)
