"""The funds' clock: real, or one that an operator moves forward, and that a restart finds again."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from libs.clock import Clock, system_clock
from libs.decider import Cause, Decider, Rejected, Streams
from libs.event_store import EventStore
from services.funds.shapes import ShapeCodec

CLOCK_ID: Final = "main"


@dataclass(frozen=True, slots=True)
class FundClockMoved:
    now_us: int


@dataclass(frozen=True, slots=True)
class At:
    """Where it stands, in microseconds since 1970; 0: it was never moved, and is the real time."""

    now_us: int = 0


class Reason(Enum):
    CLOCK_IS_REAL = auto()
    CLOCK_ONLY_FORWARD = auto()


@dataclass(frozen=True, slots=True)
class MoveClock:
    now_us: int


def evolve(_at: At, event: FundClockMoved) -> At:
    return At(event.now_us)


def decide(command: MoveClock, at: At) -> Sequence[FundClockMoved]:
    if command.now_us < at.now_us:
        raise Rejected(Reason.CLOCK_ONLY_FORWARD, f"it stands at {at.now_us}")
    return [] if command.now_us == at.now_us else [FundClockMoved(command.now_us)]


fund_clock: Decider[MoveClock, At, FundClockMoved] = Decider(At(), decide, evolve)
codec: ShapeCodec[FundClockMoved] = ShapeCodec("hefu.funds.v1.", {"FundClockMoved": FundClockMoved})


class FundClock:
    """A clock as a value. Simulated, it stands still between moves; unmoved, it is the real one."""

    def __init__(
        self, store: EventStore, *, is_simulated: bool, real: Clock = system_clock
    ) -> None:
        self.is_simulated = is_simulated
        self._streams: Streams[MoveClock, At, FundClockMoved] = Streams(
            store, "fund_clock", fund_clock, codec
        )
        self._real = real
        self._now_us = 0

    def __call__(self) -> int:
        """Microseconds since 1970."""
        return self._now_us or self._real()

    async def wake(self) -> None:
        """Find where it stood before a restart."""
        if self.is_simulated:
            self._now_us = (await self._streams.load(CLOCK_ID)).state.now_us

    async def move(self, now_us: int, actor: str) -> None:
        """Move it forward. Raises `Rejected`."""
        if not self.is_simulated:
            raise Rejected(Reason.CLOCK_IS_REAL, "this system keeps real time")
        cause = Cause(f"clock/{now_us}", actor=actor)
        done = await self._streams.transact(CLOCK_ID, MoveClock(now_us), cause)
        self._now_us = done.state.now_us
