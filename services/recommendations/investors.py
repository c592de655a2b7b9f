"""Investors as streams; and their states from rows, where a list need not ask the store."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from libs.decider import Cause, Rejected, Streams, Transacted
from libs.projection import Projection
from services.recommendations.codec import investor_codec
from services.recommendations.domain import investor as who
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.known_facts import Happened

InvestorStreams: TypeAlias = Streams[who.Command, life.State, life.Event]
Done: TypeAlias = Transacted[life.State, life.Event]

# Investors that are kept in mind with what the rows lack, before those are dropped that they have.
AHEAD_KEPT: Final = 1_000
_NOT_KNOWN: Final = math.inf


@dataclass
class Investors:
    """One process records what happens to investors: what its rows still lack is known here."""

    streams: InvestorStreams
    own: Projection
    # By investor, the position up to which the rows must have come to tell all.
    _ahead: dict[str, float] = field(default_factory=dict, repr=False)

    async def load(self, investor_id: str) -> Done:
        """As it stands. Raises `StoreUnavailable`."""
        found = await self.streams.load(investor_id)
        if investor_id in self._ahead:
            self._ahead[investor_id] = found.position
        return found

    async def transact(self, investor_id: str, command: who.Command, cause: Cause) -> Done:
        """`Streams.transact`. What is not known to be recorded is asked of the store."""
        before = self._ahead.get(investor_id, 0)
        self._ahead[investor_id] = _NOT_KNOWN
        try:
            done = await self.streams.transact(investor_id, command, cause)
        except Rejected:
            self._ahead[investor_id] = before
            raise
        except BaseException:
            # Who asked meanwhile was told what there was before.
            self._ahead[investor_id] = _NOT_KNOWN
            raise
        self._ahead[investor_id] = done.position
        if len(self._ahead) > AHEAD_KEPT:
            at = self.own.position
            self._ahead = {each: upto for each, upto in self._ahead.items() if upto > at}
        return done

    def are_in_rows(self, investor_id: str) -> bool:
        """Whether the rows have all of an investor, and memory, which is quicker, has nothing."""
        return (
            self.own.is_caught_up
            and not self.own.parked
            and self._ahead.get(investor_id, 0) <= self.own.position
            and self.streams.known(investor_id) is None
        )


def of_rows(events: Sequence[Happened]) -> tuple[life.State, int]:
    """State, as far as advice asks for it, and revision; of nobody -1."""
    state: life.State = life.Unknown()
    revision = -1
    for at, type_, data in sorted(events):
        revision = at
        if data:
            state = life.evolve(state, investor_codec.decode(type_, data.encode()))
    return state, revision
