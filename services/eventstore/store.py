"""The store put together: folder, proof, writer, readers, and the newest events in memory."""

import json
import time
import uuid
from pathlib import Path

import structlog

from services.eventstore import storage, verify
from services.eventstore.head import HeadFile
from services.eventstore.model import IS_JSON, NO_STREAM, Append, NewEvent
from services.eventstore.reader import Reader
from services.eventstore.storage import Folder
from services.eventstore.tail import Tail
from services.eventstore.writer import Writer

_SYSTEM_STREAM = "$store"
_CREATED_TYPE = "$store-created"

_log = structlog.get_logger("eventstore")


class Store:
    """Open files of one folder; made by `open_store`, ended by `close`."""

    def __init__(self, folder: Folder, writer: Writer, tail: Tail, store_id: str) -> None:
        self.writer = writer
        self.tail = tail
        self.reader = Reader(folder.database)
        self.store_id = store_id
        self._folder = folder

    async def close(self) -> None:
        """End subscriptions, finish what is queued, move the log into the database, unlock."""
        self.tail.close()
        await self.writer.close()
        self.reader.close()
        self._folder.close()


async def open_store(path: Path, reserve_bytes: int) -> Store:
    """Lock, prove and open a folder; StoreError says why not, in one line."""
    folder = Folder(path)
    folder.forget_cached_pages()
    connection = storage.open_writer(folder.database)
    head_file = HeadFile(path)
    started = time.monotonic()
    verified = verify.verify(connection, head_file.read())
    store_id = storage.store_id(connection)
    # The tail is made before the writer knows its head, and told it at once.
    tail = Tail()
    writer = Writer(connection, head_file, path, reserve_bytes, tail.publish)
    tail.begin(writer.head.position)
    verify.mark_verified(connection, writer.head.position)
    _log.info(
        "store_verified",
        events=verified.events,
        streams=verified.streams,
        head=writer.head.position,
        seconds=round(time.monotonic() - started, 3),
    )
    writer.start()
    if writer.head.position < 0:
        await writer.submit(_created(store_id))
    return Store(folder, writer, tail, store_id)


def _created(store_id: str) -> Append:
    """The first event of all, so that no event of a user has position 0."""
    data = json.dumps({"store_id": store_id, "format_version": storage.FORMAT_VERSION}).encode()
    event = NewEvent(_SYSTEM_STREAM, uuid.uuid4().bytes, _CREATED_TYPE, IS_JSON, data, b"")
    return Append((event,), {_SYSTEM_STREAM: NO_STREAM}, event.size, float("inf"))
