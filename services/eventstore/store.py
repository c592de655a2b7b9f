"""The store put together: folder, proof, writer, readers, and the newest events in memory."""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.telemetry import get_logger
from services.eventstore import storage, verify
from services.eventstore.head import HeadFile
from services.eventstore.model import IS_JSON, NO_STREAM, Append, NewEvent, Stored, StoreError
from services.eventstore.reader import Reader
from services.eventstore.storage import Connection, Folder
from services.eventstore.tail import Tail
from services.eventstore.verify import Verified
from services.eventstore.writer import Writer

_SYSTEM_STREAM = "$store"
_CREATED_TYPE = "$store-created"
# A little at a time, so that who waits for a page hardly notices.
_GROUPS_BESIDE_WORK: Final = 50
_PAUSE_S: Final = 0.05

_log = get_logger()


class Store:
    """Open files of one folder; made by `open_store`, ended by `close`."""

    def __init__(self, folder: Folder, writer: Writer, tail: Tail, store_id: str) -> None:
        self.writer = writer
        self.tail = tail
        self.reader = Reader(folder.database)
        self.store_id = store_id
        self._folder = folder
        self._proof: asyncio.Task[None] | None = None

    def prove_older(self, end: int) -> None:
        """Read again, beside the work, what was proven at an earlier start: disks forget."""
        if end >= 0:
            self._proof = asyncio.create_task(self._prove_older(end))

    async def _prove_older(self, end: int) -> None:
        place = verify.BEGINNING
        while place.position < end and not self.tail.is_closing:
            place, _ = await self.reader.run(verify.fold, place, _GROUPS_BESIDE_WORK)
            await asyncio.sleep(_PAUSE_S)
        _log.info("older_events_verified", position=place.position)

    async def close(self) -> None:
        """End subscriptions, finish what is queued, move the log into the database, unlock."""
        self.tail.close()
        if self._proof is not None:
            await self._proof
        # Before the writer: a page being read would keep the log from being emptied.
        await self.reader.close()
        await self.writer.close()
        self._folder.close()


@dataclass(frozen=True, slots=True)
class _Files:
    folder: Folder
    connection: Connection
    head_file: HeadFile
    store_id: str
    verified: Verified


async def open_store(path: Path, reserve_bytes: int) -> Store:
    """Lock, prove and open a folder; StoreError says why not, in one line."""
    files = await asyncio.to_thread(_open_files, path)
    tail = Tail()
    writer = Writer(files.connection, files.head_file, path, reserve_bytes, tail.publish)
    tail.begin(writer.head.position)
    writer.start()
    if writer.head.position < 0:
        await _create_first_event(writer, files.store_id)
    store = Store(files.folder, writer, tail, files.store_id)
    store.prove_older(files.verified.start)
    return store


def _open_files(path: Path) -> _Files:
    folder = Folder(path)
    try:
        folder.forget_cached_pages()
        connection = storage.open_writer(folder.database)
        head_file = HeadFile(path)
        verified = _prove(connection, head_file)
        return _Files(folder, connection, head_file, storage.store_id(connection), verified)
    except BaseException:
        folder.close()
        raise


def _prove(connection: Connection, head_file: HeadFile) -> Verified:
    started = time.monotonic()
    verified = verify.verify(connection, head_file.read())
    verify.mark_verified(connection, verified.head)
    _log.info(
        "store_verified",
        events=verified.events,
        head=verified.head,
        duration_ms=round(1_000 * (time.monotonic() - started)),
    )
    return verified


async def _create_first_event(writer: Writer, store_id: str) -> None:
    outcome = await writer.submit(_created(store_id))
    if not isinstance(outcome, Stored):
        await writer.close()
        raise StoreError("the disk has only its reserve left: a new store cannot be made")


def _created(store_id: str) -> Append:
    """The first event of all, so that no event of a user has position 0."""
    data = json.dumps({"store_id": store_id, "format_version": storage.FORMAT_VERSION}).encode()
    event = NewEvent(_SYSTEM_STREAM, uuid.uuid4().bytes, _CREATED_TYPE, IS_JSON, data, b"")
    return Append((event,), {_SYSTEM_STREAM: NO_STREAM}, event.size, float("inf"))
