"""Delivers what was issued: in order for each day, again and again until each has arrived."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from libs.clock import Clock
from libs.read_model import Database
from libs.registrar_files import Package
from libs.telemetry import get_logger
from services.sampleregistrar import issuing
from services.sampleregistrar.issuing import Issuer, Parcel

WAIT_MAX_S = 5.0
log = get_logger()


class NotArrived(Exception):
    """Nobody knows whether the package has arrived, or its turn has not come: send it again."""


class NotTaken(Exception):
    """It arrived, and is not taken or not all of it; the text says why."""


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
    """The registrar's messenger. `send` raises `NotArrived` or `NotTaken`."""

    database: Database
    issuer: Issuer
    send: Callable[[Package], Awaitable[None]]
    clock: Clock
    bell: Bell

    async def run(self) -> None:
        """Delivers for ever."""
        while True:
            due = partial(self.issuer.due, now_ms=self.clock() // 1_000)
            parcel = await self.database.read(due)
            if parcel is None:
                await self.bell.wait(await self._wait_s())
            else:
                await self._deliver(parcel)

    async def _deliver(self, parcel: Parcel) -> None:
        name, is_refused = parcel.package.key.name, False
        try:
            await self.send(parcel.package)
        except NotArrived as error:
            log.info("delivery_failed", message_id=name, reason=str(error))
            now_ms = self.clock() // 1_000
            await self.database.write(lambda connection: issuing.failed(connection, parcel, now_ms))
            return
        except NotTaken as error:
            is_refused = True
            log.warning("delivery_refused", message_id=name, reason=str(error))
        await self.database.write(
            lambda connection: issuing.delivered(connection, parcel, is_refused=is_refused)
        )

    async def _wait_s(self) -> float:
        due_ms = await self.database.read(issuing.next_due_ms)
        if due_ms is None:
            return WAIT_MAX_S
        left_ms = due_ms - self.clock() // 1_000
        return min(max(left_ms, 1) / 1_000, WAIT_MAX_S)
