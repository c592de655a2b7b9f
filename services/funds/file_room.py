"""Files as they are kept: exact bytes under their key for ever, compressed: mostly blanks."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from libs.decider import Cause
from libs.registrar_files import File, FileFault, FileKey, Row, parse_file, sha256_of
from services.funds.aggregates import Aggregates, file_key
from services.funds.domain import files
from services.funds.domain.registrar import Registrar
from services.funds.reading import profile_of

_ACTOR: Final = "funds"
# The index of a package is kept as a file of its own.
INDEX: Final = "IX"


@dataclass(frozen=True, slots=True)
class FileRoom:
    """Keeps files and gives them out."""

    aggregates: Aggregates

    async def keep(self, key: str, body: bytes, *, is_outgoing: bool) -> files.Kept:
        """Keep the bytes, or find them kept. Raises `Rejected` where others are."""
        store = files.Store(key, zlib.compress(body), sha256_of(body).hex(), is_outgoing)
        cause = Cause(f"{key}/store/{store.sha256}", correlation_id=key, actor=_ACTOR)
        state = (await self.aggregates.files.transact(key, store, cause)).state
        if isinstance(state, files.Absent):
            raise AssertionError("what was kept is there")  # noqa: TRY004 - a bug of ours
        return state

    async def accept(self, key: str, rows: int) -> None:
        """It is whole."""
        cause = Cause(f"{key}/accept", correlation_id=key, actor=_ACTOR)
        await self.aggregates.files.transact(key, files.Accept(rows), cause)

    async def quarantine(self, key: str, faults: Sequence[FileFault]) -> None:
        """Nothing of it is applied; the bytes stay."""
        told = files.Quarantine(faults[0].reason.value, "; ".join(map(str, faults[:5])))
        cause = Cause(f"{key}/quarantine", correlation_id=key, actor=_ACTOR)
        await self.aggregates.files.transact(key, told, cause)

    async def find(self, key: str) -> files.Kept | None:
        """A file that is kept."""
        state = (await self.aggregates.files.load(key)).state
        return state if isinstance(state, files.Kept) else None

    async def rows(
        self, registrar: Registrar, distributor: str, trade_date: date, file_type: str, batch: int
    ) -> Sequence[Row]:
        """Rows of an accepted file of the registrar's."""
        key = file_key(registrar.ta_id, trade_date, file_type, batch)
        kept = await self.find(key)
        if kept is None:
            raise AssertionError(f"{key} was accepted and is not kept")
        wire_key = FileKey(registrar.ta_id, distributor, trade_date, file_type, batch)
        return parse_file(body_of(kept), wire_key, profile_of(registrar.profile))

    async def outgoing(
        self, ta_id: str, distributor: str, trade_date: date, file_type: str
    ) -> Sequence[tuple[File, int]]:
        """All batches of a type that we keep for a day, in order, and how many rows each has."""
        found: list[tuple[File, int]] = []
        while True:
            batch = len(found) + 1
            kept = await self.find(file_key(ta_id, trade_date, file_type, batch))
            if kept is None or not isinstance(kept.outcome, files.Accepted):
                return found
            name = FileKey(distributor, ta_id, trade_date, file_type, batch).name
            found.append((File(file_type, batch, name, body_of(kept)), kept.outcome.rows))


def body_of(kept: files.Kept) -> bytes:
    """The exact bytes of a file."""
    return zlib.decompress(kept.content)
