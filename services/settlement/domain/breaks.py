"""A break: a difference between our books and a bank's, opened once and cleared by a later fact."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, Rejected
from libs.money import Money


# Events.
@dataclass(frozen=True, slots=True)
class Opened:
    break_id: str
    type: str
    bank_id: str
    payment_id: str = ""
    settlement_id: str = ""
    amount: Money | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Cleared:
    evidence: str


Event: TypeAlias = Opened | Cleared


# States.
@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Standing:
    terms: Opened


@dataclass(frozen=True, slots=True)
class Explained:
    terms: Opened
    evidence: str


Break: TypeAlias = Absent | Standing | Explained


def evolve(state: Break, event: Event) -> Break:
    match state, event:
        case Absent(), Opened():
            return Standing(event)
        case Standing(terms), Cleared(evidence):
            return Explained(terms, evidence)
    raise AssertionError(f"{event} cannot follow {state}")


class Reason(Enum):
    BREAK_NOT_FOUND = auto()


@dataclass(frozen=True, slots=True)
class OpenBreak:
    terms: Opened


@dataclass(frozen=True, slots=True)
class ClearBreak:
    evidence: str


Command: TypeAlias = OpenBreak | ClearBreak


def decide(command: Command, state: Break) -> Sequence[Event]:
    match command, state:
        case OpenBreak(terms), Absent():
            return [terms]
        # A difference is named by its place, so seeing it again is the same break.
        case OpenBreak(), (Standing() | Explained()):
            return []
        case ClearBreak(evidence), Standing():
            return [Cleared(evidence)]
        case ClearBreak(), Explained():
            return []
        case ClearBreak(), Absent():
            raise Rejected(Reason.BREAK_NOT_FOUND)
        case _:
            assert_never(command)  # type: ignore[arg-type]


breaks: Decider[Command, Break, Event] = Decider(Absent(), decide, evolve)
