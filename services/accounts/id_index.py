"""The index of all that happens once: every id, fact, business key and ended hold, and its place.

It follows the journal page by page, off the writer's way, and commits its position with its rows.
It is disposable: without its rows, or with another journal's, it is made again from the pages; in
the meantime what is old is answered `ID_INDEX_BEHIND`, never guessed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple, TypeAlias

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, MetaData, Table, delete, select
from sqlalchemy.exc import OperationalError

from libs.event_store import EventStore
from libs.read_model import Database, DatabaseUnavailable
from libs.telemetry import get_logger
from libs.writes import for_driver, put_many
from services.accounts.codec.replaying import once_in
from services.accounts.domain.book import ORDINAL_BITS
from services.accounts.domain.pages import NO_HASH, PageDamaged, verified_hash
from services.accounts.domain.recalling import HOLD, ID, Found, Key, Once

# Rows are committed this often, or once there are so many: each commit costs a flush to disk.
COMMIT_EVERY_S = 0.5
ROWS_MAX = 20_000
# Keys that wait in memory to be indexed; what comes on top is read back from the store.
WAITING_MAX = 60_000
_KEYS_PER_QUERY = 500
_RETRY_S = 1.0
_ID_BYTES = 16
# Of a row: name, place, value.
_COLUMNS, _BINARY = 3, (0, 2)

log = get_logger()

_Row: TypeAlias = tuple[bytes, int, bytes]


class IndexBehind(Exception):
    """The index does not answer for all that has left memory."""


class IndexMoved(Exception):
    """Somebody else writes this index too: what is known of it here is not true any more."""


class Indexed(NamedTuple):
    """What happens for the only time with a page."""

    page_number: int
    page_hash: bytes
    once: Sequence[Once]


# `index_pages`, done elsewhere.
IndexPages: TypeAlias = Callable[[str, int, Sequence[Indexed]], bool]


class IdIndex:
    """One journal's index. `position`: the last page whose rows are durable; -1: none."""

    def __init__(
        self,
        database: Database,
        store: EventStore,
        journal: str,
        commit_every_s: float = COMMIT_EVERY_S,
        apart: IndexPages | None = None,
    ) -> None:
        """`apart`: does `index_pages` in another process, where it stands in nobody's way."""
        self._database = database
        self._store = store
        self._journal = journal
        self._commit_every_s = commit_every_s
        self._apart = apart
        self._tables = _tables(journal)
        self._waiting: deque[Indexed] = deque()
        self.waiting_keys = 0
        self._head = -1
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self.position = -1

    async def prepare(self) -> None:
        """Make the tables where there are none; begin anew where they are another journal's."""
        await self._database.write(self._tables.metadata.create_all)
        found = await self._database.read(
            lambda connection: connection.execute(select(self._tables.positions)).one_or_none()
        )
        if found is None:
            return
        if await self._page_hash(found.page_number) == bytes(found.page_hash):
            self.position = self._head = found.page_number
            return
        log.warning("id_index_discarded", stream=self._journal, page=found.page_number)
        await self._database.write(self._clear)

    def _clear(self, connection: Connection) -> None:
        connection.execute(delete(self._tables.rows))
        connection.execute(delete(self._tables.positions))

    async def _page_hash(self, number: int) -> bytes:
        stored = await self._store.read_one(self._journal, number)
        try:
            return verified_hash(stored.data) if stored is not None else NO_HASH
        except PageDamaged:
            return NO_HASH

    def offer(self, page_number: int, page_hash: bytes, once: Sequence[Once]) -> None:
        """A page that stands in the journal, by its keys. They come in order."""
        self.expect(page_number)
        if page_number <= self.position:
            return
        if self.waiting_keys < WAITING_MAX:
            follows = not self._waiting or self._waiting[-1].page_number == page_number - 1
            if follows:
                self._waiting.append(Indexed(page_number, page_hash, once))
                self.waiting_keys += len(once)

    def expect(self, page_number: int) -> None:
        """The journal has this page: what was not offered is read from the store."""
        self._head = page_number
        self._wake.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            while self.position >= self._head:
                self._wake.clear()
                await self._wake.wait()
            try:
                if self.waiting_keys < ROWS_MAX:
                    await asyncio.sleep(self._commit_every_s)
                await self.catch_up()
            except DatabaseUnavailable as error:
                log.warning("id_index_waits", stream=self._journal, reason=str(error))
                await asyncio.sleep(_RETRY_S)

    async def catch_up(self) -> None:
        """Index one batch of what has been offered. Raises `DatabaseUnavailable`."""
        pages = await self._next_pages()
        if not pages:
            return
        if self._apart is None:
            index, journal, after = index_pages, self._journal, self.position
            is_ours = await self._database.write(lambda c: index(c, journal, after, pages))
        else:
            done = partial(self._apart, self._journal, self.position, pages)
            is_ours = await self._database.in_turn(done)
        if not is_ours:
            raise IndexMoved(f"the index of {self._journal} is not at page {self.position}")
        self.position = pages[-1].page_number
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def reached(self, page_number: int) -> None:
        """Return once this page is indexed."""
        while self.position < page_number:
            await self._moved.wait()

    async def look_up(self, keys: Iterable[Key], floor: int) -> Mapping[Key, Found]:
        """Those of the keys that have a place up to the floor. Raises `IndexBehind`."""
        if self.position < floor:
            text = f"the index of {self._journal} is at page {self.position} of {floor}"
            raise IndexBehind(text)
        names = {_name(*key): key for key in keys}
        try:
            rows = await self._database.read(lambda connection: self._find(connection, list(names)))
        except (DatabaseUnavailable, OperationalError) as error:
            raise IndexBehind(f"the index of {self._journal} does not answer") from error
        last = (floor + 1) << ORDINAL_BITS
        # What is above the floor is in memory: the index may run ahead of it.
        return {
            names[bytes(name)]: Found(place, bytes(value))
            for name, place, value in rows
            if place < last
        }

    def _find(self, connection: Connection, names: Sequence[bytes]) -> list[_Row]:
        rows: list[_Row] = []
        mark, table = _mark(connection), self._tables.rows.name
        for at in range(0, len(names), _KEYS_PER_QUERY):
            some = tuple(names[at : at + _KEYS_PER_QUERY])
            marks = ",".join([mark] * len(some))
            query = f"SELECT name, place, value FROM {table} WHERE name IN ({marks})"  # noqa: S608 - marks alone
            rows += [tuple(row) for row in connection.exec_driver_sql(query, some)]
        return rows

    async def _next_pages(self) -> list[Indexed]:
        """The pages after our position, from memory, else from the store: up to `ROWS_MAX`."""
        while self._waiting and self._waiting[0].page_number <= self.position:
            self.waiting_keys -= len(self._waiting.popleft().once)
        pages: list[Indexed] = []
        rows = 0
        if self._waiting and self._waiting[0].page_number == self.position + 1:
            while self._waiting and rows < ROWS_MAX:
                page = self._waiting.popleft()
                self.waiting_keys -= len(page.once)
                pages.append(page)
                rows += len(page.once)
            return pages
        end = self._waiting[0].page_number if self._waiting else self._head + 1
        async for stored in self._store.read(self._journal, self.position + 1):
            page_number = stored.revision
            if page_number >= end or rows >= ROWS_MAX:
                break
            page_hash, once = once_in(stored.data)
            pages.append(Indexed(page_number, page_hash, once))
            rows += len(once)
        return pages


def index_pages(connection: Connection, journal: str, after: int, pages: Sequence[Indexed]) -> bool:
    """Index the pages that follow `after`, in one transaction; no page: -1.

    False, and nothing is written, where the index is neither there nor at the last of them already:
    somebody else writes it too.
    """
    tables, last = _tables(journal), pages[-1]
    at = connection.execute(select(tables.positions.c.page_number)).scalar()
    if (-1 if at is None else at) != after:
        return bool(at == last.page_number)
    rows = [
        (_name(kind, scope, name), page.page_number << ORDINAL_BITS | ordinal, value)
        for page in pages
        for kind, scope, name, value, ordinal in page.once
    ]
    rows.sort()
    if rows:
        _insert_rows(connection, tables.rows, rows)
    connection.execute(delete(tables.positions))
    position = {"page_number": last.page_number, "page_hash": last.page_hash}
    connection.execute(tables.positions.insert(), position)
    return True


def _insert_rows(connection: Connection, table: Table, rows: Sequence[_Row]) -> None:
    mark = _mark(connection)
    insert = f"INSERT INTO {table.name} (name, place, value) VALUES ({mark}, {mark}, {mark})"  # noqa: S608 - marks alone
    if connection.dialect.name == "sqlite":
        put_many(connection, insert, _COLUMNS, for_driver(rows, _BINARY))
    else:
        connection.exec_driver_sql(insert, list(rows))


def _mark(connection: Connection) -> str:
    """What stands for a value in a statement."""
    return "?" if connection.dialect.name == "sqlite" else "%s"


class _Tables(NamedTuple):
    metadata: MetaData
    rows: Table
    positions: Table


@cache
def _tables(journal: str) -> _Tables:
    """The tables of one journal's index: those of several shards may be in one database."""
    metadata, shard = MetaData(), journal.rpartition("-")[2]
    rows = Table(
        f"once_{shard}",
        metadata,
        # Kind, then what is ordered by time: new rows come at the end of their kind.
        Column("name", LargeBinary, primary_key=True, autoincrement=False),
        Column("place", BigInteger, nullable=False),
        Column("value", LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    positions = Table(
        f"once_{shard}_position",
        metadata,
        Column("page_number", BigInteger, primary_key=True, autoincrement=False),
        Column("page_hash", LargeBinary, nullable=False),
    )
    return _Tables(metadata, rows, positions)


def _name(kind: str, scope: str, name: str) -> bytes:
    """The stored form of a key. What is no UUID in its one form is no id, and never stored."""
    if kind in (ID, HOLD):
        return kind.encode() + _id_bytes(name) + scope.encode()
    return kind.encode() + name.encode()


def _id_bytes(id_: str) -> bytes:
    try:
        found = bytes.fromhex(id_.replace("-", ""))
    except ValueError:
        return id_.encode()
    return found if len(found) == _ID_BYTES else id_.encode()
