"""Go on without events that are known to be gone: an operator's decision, and recorded as such.

`python -m services.eventstore.accept_loss` with the settings of the stopped server. Everything that
is left must be whole; the first event after it tells where the head was and where it is now.
"""

import asyncio
import json
import sys
import uuid
from pathlib import Path

from libs.settings import load
from services.eventstore import storage, verify
from services.eventstore.head import HeadFile
from services.eventstore.model import ANY, IS_JSON, Append, NewEvent, Stored, StoreError
from services.eventstore.settings import Settings
from services.eventstore.storage import Folder
from services.eventstore.writer import Writer

_SYSTEM_STREAM = "$store"
_ACCEPTED_TYPE = "$store-loss-accepted"
_EXIT_REFUSED = 69


async def accept_loss(path: Path) -> str:
    """Prove what is left, record the loss, set the head; what was done, in one line."""
    folder = Folder(path)
    try:
        connection = storage.open_writer(folder.database)
        head_file = HeadFile(path)
        known = head_file.read()
        verified = verify.verify(connection, None)
        if known is None or known.position <= verified.end.position:
            return f"nothing is missing: the log ends at {verified.end.position}"
        writer = Writer(connection, head_file, path, 0, lambda _: None)
        writer.start()
        outcome = await writer.submit(_record(known.position, verified.end.position))
        await writer.close()
        if not isinstance(outcome, Stored):
            raise StoreError("the loss could not be recorded")
        return f"events after {verified.end.position} up to {known.position} are given up"
    finally:
        folder.close()


def _record(known: int, actual: int) -> Append:
    data = json.dumps({"acknowledged_up_to": known, "found_up_to": actual}).encode()
    event = NewEvent(_SYSTEM_STREAM, uuid.uuid4().bytes, _ACCEPTED_TYPE, IS_JSON, data, b"")
    return Append((event,), {_SYSTEM_STREAM: ANY}, event.size, float("inf"))


def main() -> int:
    """Exit status 0 when the store can start again."""
    settings = load(Settings)
    try:
        sys.stdout.write(asyncio.run(accept_loss(settings.data_dir)) + "\n")
    except StoreError as error:
        sys.stderr.write(f"hefu: eventstore: {error}\n")
        return _EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
