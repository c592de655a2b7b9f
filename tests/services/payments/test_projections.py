"""The row of a payment says what its events add up to, at every moment of every life."""

import asyncio
from functools import partial
from uuid import uuid4

from hypothesis import given, settings
from sqlalchemy import Connection

from libs.event_store import StoredEvent
from libs.read_model import Database, apply
from services.payments import projections
from services.payments.codec import codec
from services.payments.domain.lifecycle import Begun, Event
from services.payments.domain.payment import Command, next_step, payment
from services.payments.domain.view import Settlement, Status, view_of
from services.payments.projections import Filter, Seen
from tests.services.payments.domain.stories import ID
from tests.services.payments.walks import walks

CHANGED_US = 1_714_000_000_000_000


def stored(event: Event, revision: int, position: int) -> StoredEvent:
    type_, data = codec.encode(event)
    return StoredEvent(
        uuid4(), type_, data, {}, f"payment-{ID}", revision, position, CHANGED_US + revision
    )


@given(walks())
@settings(max_examples=50)
def test_the_row_is_the_state(walked: list[tuple[Command, list[Event]]]) -> None:
    events = [event for _, recorded in walked for event in recorded]
    database = Database.open("sqlite://")
    asyncio.run(database.write(partial(_compare, events)))
    database.close()


def _compare(events: list[Event], connection: Connection) -> None:
    projections.metadata.create_all(connection)
    state, seen = payment.initial, None
    for revision, event in enumerate(events):
        apply(connection, projections.project(stored(event, revision, 100 + revision)))
        state = payment.evolve(state, event)
        seen = projections.find(connection, ID)
        _is_same(seen, state, revision)
        is_open = next_step(state) is not None
        assert (projections.open_ids(connection) == [ID]) == is_open
    assert seen is not None
    for settlement in Settlement:
        found = projections.page(connection, Filter(settlement=settlement), 0, 10)
        assert bool(found) == (seen.view.settlement is settlement)
    for status in Status:
        found = projections.page(connection, Filter(status=status), 0, 10)
        assert bool(found) == (seen.view.status is status)


def _is_same(seen: Seen | None, state: object, revision: int) -> None:
    assert seen is not None
    assert isinstance(state, Begun)
    view = seen.view
    assert (view.change_us, seen.revision) == (CHANGED_US + revision, revision)
    from_state = view_of(state)
    assert view._replace(change_us=0) == from_state
