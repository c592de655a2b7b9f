"""What lies in an outbox is delivered in order, until it has arrived or will never be taken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from libs.messenger import Bell, Messenger, NotArrived, NotTaken
from libs.read_model import Database

PATIENCE_S = 30.0
RETRY_MS = 5


class Parcel(NamedTuple):
    name: str
    due_ms: int


@dataclass
class Shelf:
    """An outbox in memory; tells when something has become of a parcel."""

    waiting: list[Parcel] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    failures: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def due(self, _connection: Connection, now_ms: int) -> list[Parcel]:
        return [parcel for parcel in self.waiting if parcel.due_ms <= now_ms][:1]

    def next_due_ms(self, _connection: Connection) -> int | None:
        return min((parcel.due_ms for parcel in self.waiting), default=None)

    def name_of(self, parcel: Parcel) -> str:
        return parcel.name

    def failed(self, _connection: Connection, parcel: Parcel, now_ms: int) -> None:
        self.failures += 1
        self.waiting[self.waiting.index(parcel)] = Parcel(parcel.name, now_ms + RETRY_MS)

    def delivered(
        self, _connection: Connection, parcel: Parcel, _now_ms: int, refusal: str
    ) -> None:
        self.waiting.remove(parcel)
        self.ended.append((parcel.name, refusal))

    async def until_ended(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.ended) < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def messenger_of(
    shelf: Shelf, send: Callable[[Parcel], Awaitable[None]], bell: Bell
) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()

    async def told(parcel: Parcel) -> None:
        loop.call_soon(shelf.changed.set)
        await send(parcel)

    def now_us() -> int:
        loop.call_soon_threadsafe(shelf.changed.set)
        return int(loop.time() * 1_000_000)

    with closing(Database.open("sqlite://")) as database:
        running = asyncio.create_task(Messenger(database, shelf, told, now_us, bell).run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])


async def test_a_parcel_that_does_not_arrive_is_sent_until_it_does() -> None:
    sent: list[str] = []

    async def send(parcel: Parcel) -> None:
        sent.append(parcel.name)
        if len(sent) < 3:
            raise NotArrived("nobody answers")

    shelf = Shelf([Parcel("first", 0)])
    async with messenger_of(shelf, send, Bell()):
        await shelf.until_ended(1)
    assert sent == ["first"] * 3
    assert shelf.failures == 2
    assert shelf.ended == [("first", "")]


async def test_what_is_not_taken_is_sent_once_and_the_next_follows() -> None:
    sent: list[str] = []

    async def send(parcel: Parcel) -> None:
        sent.append(parcel.name)
        if parcel.name == "bad":
            raise NotTaken("the file has no index")

    shelf = Shelf([Parcel("bad", 0), Parcel("good", 0)])
    async with messenger_of(shelf, send, Bell()):
        await shelf.until_ended(2)
    assert sent == ["bad", "good"]
    assert shelf.ended == [("bad", "the file has no index"), ("good", "")]


async def test_a_refusal_without_words_is_still_a_refusal() -> None:
    async def send(_parcel: Parcel) -> None:
        raise NotTaken

    shelf = Shelf([Parcel("bad", 0)])
    async with messenger_of(shelf, send, Bell()):
        await shelf.until_ended(1)
    assert shelf.ended == [("bad", "not taken")]


async def test_the_bell_wakes_a_messenger_with_an_empty_outbox() -> None:
    async def send(_parcel: Parcel) -> None:
        """It arrives."""

    shelf, bell = Shelf(), Bell()
    async with messenger_of(shelf, send, bell):
        shelf.waiting.append(Parcel("late", 0))
        bell.ring()
        await shelf.until_ended(1)
    assert shelf.ended == [("late", "")]
