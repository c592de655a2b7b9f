"""What we ask of a bus: one ordered stream of facts a service, rebuildable from the store."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """A fact on its way. `id` is the event's; the bus drops repeats of it inside its window."""

    id: str
    subject: str
    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message with its place in the source's stream on the bus."""

    message: Message
    sequence: int


class Fenced(Exception):
    """Another publisher wrote in between: read the last message and go on from there, or leave."""


class BusUnavailable(Exception):
    """Nothing is known of what was published; read the last message before publishing again."""


class BusRefuses(BusUnavailable):
    """The bus is there, and yet gives or takes nothing of this source: its stream may be broken."""


class Bus(Protocol):
    """The port. A source is a service's name; its stream is made on first use, and when lost."""

    async def last(self, source: str) -> Delivered | None:
        """The newest message of a source's stream; None for an empty or new one."""
        ...

    async def publish(self, source: str, messages: Sequence[Message], expected_last: int) -> int:
        """Publish all or nothing behind the sequence given; answers the new last sequence.

        Raises `Fenced` and `BusUnavailable`.
        """
        ...

    async def renew(self, source: str) -> None:
        """Drop a source's stream, which is made again on its next use: it takes nothing any more.

        Raises `BusUnavailable`.
        """
        ...

    def consume(
        self, source: str, consumer: str, *, only: str = ""
    ) -> AsyncIterator[Sequence[Delivered]]:
        """Batches in order, acknowledged when the next is asked for. Empty: nothing for a while.

        With `only`, messages whose subject ends in that name.
        """
        ...
