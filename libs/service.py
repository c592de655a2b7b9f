"""How a service runs: settings, telemetry, one event loop, and an orderly end."""

import asyncio
import contextlib
import gc
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import uvloop

from libs import telemetry
from libs.auth import Verifier
from libs.event_store import StoreUnavailable
from libs.failure import StartFailed, first_line
from libs.settings import ServiceSettings, SettingsT, load

if TYPE_CHECKING:
    from libs.event_store import EventStore
    from libs.kurrent_store import KurrentStore
    from libs.nats_bus import NatsBus
    from libs.read_model import Database

WAIT_S = 30.0
READY_S = 900.0
# How often a service says that it waits for the store.
TELL_EVERY_S = 10.0
_LOOK_EVERY_S = 0.05
# A task that was told to end and lives so much longer has forgotten it: it is told again.
FORGOTTEN_AFTER_S = 3.0
EXIT_STOPPED = 0
# Thousands of short-lived tasks and messages at once are the rule: collect less often.
GC_THRESHOLDS = (50_000, 20, 50)
EXIT_CRASHED = 1
EXIT_NOT_STARTED = 69  # sysexits.h, EX_UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Foundation:
    """What every service stands on."""

    store: "KurrentStore"
    bus: "NatsBus"
    database: "Database"
    verifier: Verifier
    identity_dir: Path


def run(main: Callable[[SettingsT], Awaitable[None]], settings_type: type[SettingsT]) -> None:
    """Run a service until SIGTERM or SIGINT, which cancel `main`; then leave with an exit code.

    0: stopped when told; 1: crashed; 69: could not start (one line says why); 78: wrong settings.
    """
    settings = load(settings_type)
    telemetry.setup(
        settings.service,
        log_level=settings.log_level,
        metrics_port=settings.metrics_port,
        otlp_endpoint=settings.otlp_endpoint,
    )
    # What was imported lives as long as we do; the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    code = uvloop.run(_supervised(main, settings))
    telemetry.shutdown()
    raise SystemExit(code)


async def _supervised(main: Callable[[SettingsT], Awaitable[None]], settings: SettingsT) -> int:
    log = telemetry.get_logger()
    work = asyncio.ensure_future(main(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _end, work)
    try:
        await work
    except asyncio.CancelledError:
        log.info("process_stopped", process=settings.service)
        return EXIT_STOPPED
    except BaseException as error:
        line = first_line(error)
        if line is not None:
            sys.stderr.write(f"hefu: {settings.service}: {line}\n")
            return EXIT_NOT_STARTED
        log.critical("process_crashed", process=settings.service, exc_info=error)
        return EXIT_CRASHED
    return EXIT_STOPPED


def _end(work: asyncio.Future[None]) -> None:
    """Tell the work to end; what forgets it on the way (see `libs.cancelling`), again and again."""
    work.cancel()
    asyncio.get_running_loop().call_later(FORGOTTEN_AFTER_S, _remind, work)


def _remind(work: asyncio.Future[None]) -> None:
    for task in asyncio.all_tasks():
        if task is not work and task.cancelling():
            telemetry.get_logger().warning("task_forgot_its_end", task=repr(task.get_coro()))
            task.cancel()
    asyncio.get_running_loop().call_later(FORGOTTEN_AFTER_S, _remind, work)


@asynccontextmanager
async def foundation(settings: ServiceSettings) -> AsyncIterator[Foundation]:
    """Store, bus, database and token check, closed in reverse. Raises `StartFailed`."""
    from libs.kurrent_store import KurrentStore  # noqa: PLC0415 - late: not every process needs them
    from libs.nats_bus import NatsBus  # noqa: PLC0415 - as above
    from libs.read_model import Database  # noqa: PLC0415 - as above

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    verifier = verifier_of(settings)
    # Everything is started at once: what we stand on may come up a moment after us.
    for url in (settings.event_store, settings.bus):
        await _until_reachable(url)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(KurrentStore.open(settings.event_store))
        await until_ready(store, lambda: _until_reachable(settings.event_store))
        bus = await stack.enter_async_context(
            NatsBus.open(settings.bus, settings.identity_dir, settings.service)
        )
        database = stack.enter_context(contextlib.closing(Database.open(settings.database)))
        yield Foundation(store, bus, database, verifier, settings.identity_dir)


async def until_ready(store: "EventStore", reached: Callable[[], Awaitable[None]]) -> None:
    """Wait while the store proves its history before it serves: of a long one, minutes.

    Raises `StartFailed` after `READY_S`, and what `reached` raises where nobody answers at all.
    """
    log = telemetry.get_logger()
    told_s = begun_s = time.monotonic()
    while True:
        try:
            await store.head()
        except StoreUnavailable as error:
            await reached()
            if time.monotonic() > begun_s + READY_S:
                raise StartFailed(f"the event store is not ready: {error}") from error
            if time.monotonic() > told_s + TELL_EVERY_S:
                told_s = time.monotonic()
                log.info("store_awaited", waited_s=round(told_s - begun_s), reason=str(error))
            await asyncio.sleep(_LOOK_EVERY_S)
        else:
            return


async def _until_reachable(url: str) -> None:
    where = urlsplit(url)
    until_s = time.monotonic() + WAIT_S
    while True:
        try:
            _, writer = await asyncio.open_connection(where.hostname, where.port)
        except OSError as error:
            if time.monotonic() > until_s:
                what = f"{where.hostname}:{where.port}"
                raise StartFailed(f"nobody answers at {what} after {WAIT_S:.0f} s") from error
            await asyncio.sleep(_LOOK_EVERY_S)
        else:
            writer.close()
            return


def verifier_of(settings: ServiceSettings) -> Verifier:
    """The token check of a service. Raises `StartFailed` without a key."""
    try:
        return Verifier(settings.token_key)
    except OSError as error:
        raise StartFailed(f"no token key at {settings.token_key}: `hefu up` makes one") from error
