"""Delivers the outbox: in order, again and again until each parcel has arrived."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from libs.clock import Clock
from libs.read_model import Database
from libs.telemetry import get_logger
from services.samplebank import outbox
from services.samplebank.outbox import Parcel

PARCELS_MAX = 20
WAIT_MAX_S = 5.0
log = get_logger()


class NotTaken(Exception):
    """The wallet will never take the parcel, and says why."""


class NotArrived(Exception):
    """Nobody knows whether the parcel has arrived: it is to be sent again."""


class Bell:
    """Rung when there may be something to deliver."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()

    async def wait(self, timeout_s: float) -> None:
        """Until it is rung or the time is up."""
        # Not `wait_for`: in Python 3.11 it loses a cancellation that comes with the bell.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        self._event.clear()


@dataclass(frozen=True, slots=True)
class Delivery:
    """The bank's messenger. `send` raises `NotTaken` or `NotArrived`."""

    database: Database
    send: Callable[[str, bytes], Awaitable[None]]
    clock: Clock
    bell: Bell

    async def run(self) -> None:
        """Delivers for ever."""
        while True:
            now_ms = self.clock() // 1_000
            due = partial(outbox.due, now_ms=now_ms, limit=PARCELS_MAX)
            parcels = await self.database.read(due)
            for parcel in parcels:
                await self._deliver(parcel)
            if not parcels:
                await self.bell.wait(await self._wait_s())

    async def _deliver(self, parcel: Parcel) -> None:
        refusal = ""
        try:
            await self.send(parcel.message_type, parcel.body)
        except NotArrived as error:
            log.info("delivery_failed", message_type=parcel.message_type, reason=str(error))
            await self.database.write(
                lambda connection: outbox.failed(connection, parcel, self.clock() // 1_000)
            )
            return
        except NotTaken as error:
            refusal = str(error)
            log.warning("delivery_refused", message_type=parcel.message_type, reason=refusal)
        await self.database.write(
            lambda connection: outbox.delivered(connection, parcel, self.clock() // 1_000, refusal)
        )

    async def _wait_s(self) -> float:
        due_ms = await self.database.read(outbox.next_due_ms)
        if due_ms is None:
            return WAIT_MAX_S
        left_ms = due_ms - self.clock() // 1_000
        return min(max(left_ms, 1) / 1_000, WAIT_MAX_S)
