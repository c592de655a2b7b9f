"""What we ask of a bus: one ordered stream of facts per service, carried to others, rebuildable from the store."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """A fact on its way. `id` is the event's id; repeats of it are dropped by the bus inside its window."""

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


class Bus(Protocol):
    """The port. A source is a service's name; its stream is made on first use and made again when lost."""

    async def last(self, source: str) -> Delivered | None:
        """The newest message of a source's stream; None for an empty or new one."""
        ...

    async def publish(self, source: str, messages: Sequence[Message], expected_last: int) -> int:
        """Publish all or nothing behind the sequence given; answers the new last sequence.

        Raises `Fenced` and `BusUnavailable`.
        """
        ...

    def consume(self, source: str, consumer: str) -> AsyncIterator[Sequence[Delivered]]:
        """Batches in order, acknowledged when the next one is asked for. An empty batch: nothing for a while."""
        ...
