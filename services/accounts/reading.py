"""The rows as new as a caller asks for, and refusals of ours as the edge tells them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from libs.decider import FieldViolation
from libs.grpc_errors import Refused as EdgeRefused
from libs.projection import Projection
from libs.read_model import Database
from services.accounts.domain.refusals import Refused
from services.accounts.shards import Shards
from services.accounts.writer import Writer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rows:
    """The read model of the journal, and the writer it follows."""

    writer: Writer | Shards
    database: Database
    projection: Projection

    async def read(self, work: Callable[[Connection], T], min_position: int = 0) -> T:
        """What `work` finds once a page is in the rows. Raises `EdgeRefused`, `Behind`.

        Where none is asked for it is page 0, if there is one.
        """
        with told():
            await self.writer.wait_for(min_position)
        if self.writer.position >= 0:
            await self.projection.wait_for(self.writer.store_position(min_position))
        return await self.database.read(work)


@contextmanager
def told() -> Iterator[None]:
    """Refusals of the writer as the edge tells them."""
    try:
        yield
    except Refused as refused:
        refusal = refused.refusal
        violations = [FieldViolation(field, refusal.description) for field in refusal.fields]
        raise EdgeRefused(refusal.reason, refusal.description, violations) from refused


def refused(reason: str, field: str, text: str) -> EdgeRefused:
    """A refusal of one field."""
    return EdgeRefused(reason, text, [FieldViolation(field, text)] if field else [])
