"""The store put together: folder, proof, writer, readers, and the newest events in memory."""

import asyncio
import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from libs.cancelling import end
from libs.telemetry import get_logger
from services.eventstore import storage, verify
from services.eventstore.head import HeadFile
from services.eventstore.model import IS_JSON, NO_STREAM, Append, NewEvent, Stored, StoreError
from services.eventstore.proving import Proof
from services.eventstore.reader import Reader
from services.eventstore.storage import Connection, Folder
from services.eventstore.tail import Tail
from services.eventstore.verify import BOUNDS, Bounds, Verified
from services.eventstore.writer import Writer

_SYSTEM_STREAM = "$store"
_CREATED_TYPE = "$store-created"
_EXIT_UNPROVEN: Final = 70

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

    def prove(self, verified: Verified) -> None:
        """Go on proving beside the work, behind what was proven before it."""
        proof = Proof(self.reader, self.writer, self.tail, verified)
        self._proof = asyncio.create_task(proof.run())
        self._proof.add_done_callback(_proof_ended)

    async def close(self) -> None:
        """End subscriptions, finish what is queued, move the log into the database, unlock."""
        self.tail.close()
        if self._proof is not None:
            await end([self._proof])
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


def _proof_ended(proof: asyncio.Task[None]) -> None:
    error = None if proof.cancelled() else proof.exception()
    if error is not None:
        # What cannot be proven is not served on.
        _log.critical("proof_failed", error=type(error).__name__, reason=str(error))
        os._exit(_EXIT_UNPROVEN)


async def open_store(path: Path, reserve_bytes: int, bounds: Bounds = BOUNDS) -> Store:
    """Lock, prove and open a folder; StoreError says why not, in one line."""
    files = await asyncio.to_thread(_open_files, path, bounds)
    tail = Tail()
    writer = Writer(files.connection, files.head_file, path, reserve_bytes, tail.publish)
    tail.begin(writer.head.position)
    writer.start()
    if writer.head.position < 0:
        await _create_first_event(writer, files.store_id)
    store = Store(files.folder, writer, tail, files.store_id)
    store.prove(files.verified)
    return store


def _open_files(path: Path, bounds: Bounds) -> _Files:
    folder = Folder(path)
    try:
        folder.forget_cached_pages()
        connection = storage.open_writer(folder.database)
        head_file = HeadFile(path)
        verified = _prove(connection, head_file, bounds)
        return _Files(folder, connection, head_file, storage.store_id(connection), verified)
    except BaseException:
        folder.close()
        raise


def _prove(connection: Connection, head_file: HeadFile, bounds: Bounds) -> Verified:
    started = time.monotonic()
    verified = verify.verify(connection, head_file.read(), bounds)
    storage.mark_verified(connection, verified.end.position)
    _log.info(
        "store_verified",
        events=verified.events,
        position=verified.start,
        head=verified.end.position,
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
