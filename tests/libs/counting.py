"""The smallest aggregate: a counter that is told totals, and refuses to go back."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from libs.decider import Decider, Rejected


class Reason(Enum):
    GOES_BACK = auto()


@dataclass(frozen=True, slots=True)
class Reach:
    """Go up to this total; `add` goes up from wherever it is, unless this key was seen."""

    total: int = 0
    add: str = ""


@dataclass(frozen=True, slots=True)
class State:
    total: int = 0
    keys: frozenset[str] = frozenset()


def decide(command: Reach, state: State) -> Sequence[str]:
    if command.add:
        return [] if command.add in state.keys else [command.add]
    if command.total < state.total:
        raise Rejected(Reason.GOES_BACK)
    return [f"step {n}" for n in range(state.total, command.total)]


def evolve(state: State, event: str) -> State:
    return State(state.total + 1, state.keys | {event})


class Codec:
    def encode(self, event: str) -> tuple[str, bytes]:
        return "hefu.test.v1.Counted", event.encode()

    def decode(self, _event_type: str, data: bytes) -> str:
        return data.decode()


counter: Decider[Reach, State, str] = Decider(State(), decide, evolve)
