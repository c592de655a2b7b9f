"""A messenger: delivers what lies in an outbox, again and again until each parcel has arrived.

The outbox is rows of its owner, written in one transaction with what they are about.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from libs.clock import Clock
from libs.read_model import Database
from libs.telemetry import get_logger

WAIT_MAX_S = 5.0
log = get_logger()

ParcelT = TypeVar("ParcelT")


class NotArrived(Exception):
    """Nobody knows whether the parcel has arrived, or its turn has not come: send it again."""


class NotTaken(Exception):
    """It arrived and will never be taken, or not all of it; the text says why."""


class Outbox(Protocol[ParcelT]):
    """What is still to be delivered. Times are milliseconds since 1970."""

    def due(self, connection: Connection, now_ms: int) -> Sequence[ParcelT]:
        """Some of what is to be sent now, in the order in which it is to be sent."""

    def next_due_ms(self, connection: Connection) -> int | None:
        """When the next is to be sent; None if there is nothing."""

    def name_of(self, parcel: ParcelT) -> str:
        """What logs call it."""

    def failed(self, connection: Connection, parcel: ParcelT, now_ms: int) -> None:
        """It has not arrived: again after a while."""

    def delivered(self, connection: Connection, parcel: ParcelT, now_ms: int, refusal: str) -> None:
        """It has arrived; with a `refusal`, and was not taken."""


class Bell:
    """Rung when there may be something to deliver."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake the messenger."""
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Until it is rung or the time is up."""
        # Not `wait_for`: in Python 3.11 it loses a cancellation that comes with the bell.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        self._event.clear()


@dataclass(frozen=True, slots=True)
class Messenger(Generic[ParcelT]):
    """One an outbox. `send` raises `NotArrived` or `NotTaken`."""

    database: Database
    outbox: Outbox[ParcelT]
    send: Callable[[ParcelT], Awaitable[None]]
    clock: Clock
    bell: Bell

    async def run(self) -> None:
        """Delivers for ever."""
        while True:
            parcels = await self.database.read(partial(self.outbox.due, now_ms=self._now_ms()))
            for parcel in parcels:
                await self._deliver(parcel)
            if not parcels:
                await self.bell.wait(await self._wait_s())

    async def _deliver(self, parcel: ParcelT) -> None:
        name, refusal = self.outbox.name_of(parcel), ""
        try:
            await self.send(parcel)
        except NotArrived as error:
            log.info("delivery_failed", message_id=name, reason=str(error))
            await self.database.write(
                lambda connection: self.outbox.failed(connection, parcel, self._now_ms())
            )
            return
        except NotTaken as error:
            refusal = str(error) or "not taken"
            log.warning("delivery_refused", message_id=name, reason=refusal)
        await self.database.write(
            lambda connection: self.outbox.delivered(connection, parcel, self._now_ms(), refusal)
        )

    async def _wait_s(self) -> float:
        due_ms = await self.database.read(self.outbox.next_due_ms)
        if due_ms is None:
            return WAIT_MAX_S
        left_ms = due_ms - self._now_ms()
        return min(max(left_ms, 1) / 1_000, WAIT_MAX_S)

    def _now_ms(self) -> int:
        return self.clock() // 1_000
