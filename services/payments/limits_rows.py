"""Rows of limits: which scopes have any, and which reservations are still open."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    MetaData,
    Table,
    Text,
    select,
)

from libs.event_store import StoredEvent
from libs.read_model import Patch, Put, ReadModel, Write
from services.payments.domain import limits as d
from services.payments.limits_codec import codec, limit_from_json, limit_to_json

PREFIX: Final = "limit-"
# Reservations looked at in one look; the oldest come first.
OPEN_MAX: Final = 20_000

metadata = MetaData()
scopes = Table(
    "limit_scopes",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("limits", Text, nullable=False),
    Column("accounts", Text, nullable=False),
)
reservations = Table(
    "limit_reservations",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("payment_id", Text, primary_key=True),
    Column("made_ms", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
)
_IS_OPEN: Final = reservations.c.is_open
Index(
    "limit_reservations_open",
    reservations.c.made_ms,
    sqlite_where=_IS_OPEN,
    postgresql_where=_IS_OPEN,
)


@dataclass(frozen=True, slots=True)
class ScopeRow:
    """A scope's limits as they stand."""

    scope: str
    limits: tuple[d.Limit, ...]
    accounts: frozenset[str]


@dataclass(frozen=True, slots=True)
class OpenReservation:
    scope: str
    payment_id: str
    made_ms: int


def project(stored: StoredEvent) -> Iterator[Write]:
    scope = stored.stream.removeprefix(PREFIX)
    match codec.decode(stored.type, stored.data):
        case d.LimitsSet(limits, accounts):
            body = orjson.dumps([limit_to_json(limit) for limit in limits]).decode()
            row = {"scope": scope, "limits": body, "accounts": orjson.dumps(accounts).decode()}
            yield Put(scopes, row)
        case d.Reserved() as made:
            key = {"scope": scope, "payment_id": made.payment_id}
            yield Put(reservations, {**key, "made_ms": made.at_ms, "is_open": True})
        case d.Confirmed(payment_id) | d.Released(payment_id):
            key = {"scope": scope, "payment_id": payment_id}
            yield Patch(reservations, key, {"is_open": False})
        case d.Denied() | d.Restored():
            pass


model = ReadModel("payments_limits", 1, "payments", (PREFIX,), metadata, project)


def all_scopes(connection: Connection) -> list[ScopeRow]:
    """Every scope that has limits."""
    found = connection.execute(select(scopes).order_by(scopes.c.scope))
    rows = [
        ScopeRow(
            row.scope,
            tuple(limit_from_json(each) for each in orjson.loads(row.limits)),
            frozenset(orjson.loads(row.accounts)),
        )
        for row in found
    ]
    return [row for row in rows if row.limits]


def open_reservations(connection: Connection) -> Sequence[OpenReservation]:
    """Reservations neither confirmed nor given back, the oldest first."""
    query = select(reservations).where(_IS_OPEN).order_by(reservations.c.made_ms).limit(OPEN_MAX)
    return [
        OpenReservation(row.scope, row.payment_id, row.made_ms) for row in connection.execute(query)
    ]
