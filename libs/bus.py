"""What we ask of a bus: one ordered stream of facts a service, rebuildable from the store."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

# The header that tells the place of a message's event in the store; it rises along a source.
POSITION = "Hefu-Position"


def nowhere() -> int:
    """Nothing was reached yet."""
    return -1


class Message(NamedTuple):
    """A fact on its way. `id` is the event's; the bus drops repeats of it inside its window."""

    id: str
    subject: str
    headers: Mapping[str, str]
    data: bytes


class HeaderLines(Mapping[str, str]):
    """Headers as they travel, `Name: value` and a line's end each: not read before one is wanted.

    Who knows what lines there are reads the few it needs from `raw` itself, in a tenth of the time.
    """

    __slots__ = ("_values", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._values: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, str]:
        if self._values is None:
            lines = self.raw.decode("utf-8", "replace").split("\r\n")
            parts = [line.partition(":") for line in lines if ":" in line]
            self._values = {name.strip(): value.strip() for name, _, value in parts}
        return self._values


def lines_of(headers: Mapping[str, str]) -> HeaderLines:
    """Headers in their lines. What would end a line in the middle is a space."""
    lines = [f"{name}: {one_line(value)}\r\n" for name, value in headers.items()]
    return HeaderLines("".join(lines).encode())


def one_line(value: str) -> str:
    """A header's value without line ends."""
    if "\r" in value or "\n" in value:
        return value.replace("\r", " ").replace("\n", " ")
    return value


class Delivered(NamedTuple):
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
        self,
        source: str,
        consumer: str,
        *,
        only: str = "",
        reached: Callable[[], int] = nowhere,
    ) -> AsyncIterator[Sequence[Delivered]]:
        """Batches in order, acknowledged when the next is asked for. Empty: nothing for a while.

        With `only`, messages whose subject ends in that name. A consumer that the bus does not
        know, or not any more, begins behind the position that `reached` tells.
        """
        ...
