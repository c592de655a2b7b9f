"""Which versions serve: each slot is a stream, kept in memory and changed by one process."""

from dataclasses import dataclass, field
from typing import TypeAlias

from libs.decider import Cause, Streams, Transacted
from services.recommendations.domain import release
from services.recommendations.domain.release import Release, Slot

ReleaseStreams: TypeAlias = Streams[release.Command, Release, release.Event]


@dataclass
class Releases:
    """A version changes without a restart: the next question is answered by the new one."""

    streams: ReleaseStreams
    _kept: dict[Slot, Release] = field(default_factory=dict, repr=False)

    async def of(self, slot: Slot) -> Release:
        if slot not in self._kept:
            self._kept[slot] = (await self.streams.load(slot.value.lower())).state
        return self._kept[slot]

    async def change(
        self, slot: Slot, command: release.Command
    ) -> Transacted[Release, release.Event]:
        """Raises `Rejected` where the version is not loaded."""
        cause = Cause(f"{command.request_id}/release", actor=command.actor)
        done = await self.streams.transact(slot.value.lower(), command, cause)
        self._kept[slot] = done.state
        return done
