"""A sample registrar put together: books, servers, and the messenger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing

from libs.clock import Clock
from libs.failure import StartFailed
from libs.grpc_client import open_channel
from libs.grpc_server import Serving, serve
from libs.messenger import Bell, Messenger
from libs.read_model import Database
from libs.registrar_files import ProfileWrong, load_profile
from libs.telemetry import get_logger
from services.sampleregistrar.api.desk import Desk
from services.sampleregistrar.api.serving import POLICY, bindings
from services.sampleregistrar.clients import deliverer
from services.sampleregistrar.correcting import CorrectionDesk
from services.sampleregistrar.day import DayDesk
from services.sampleregistrar.intake import Intake
from services.sampleregistrar.issuing import Issuer
from services.sampleregistrar.schema import metadata
from services.sampleregistrar.settings import Settings

log = get_logger()


@asynccontextmanager
async def open_registrar(settings: Settings, clock: Clock) -> AsyncIterator[Serving]:
    """The registrar at work until the block is left. Raises `StartFailed`."""
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        database = stack.enter_context(closing(Database.open(settings.database)))
        await database.write(metadata.create_all)
        desk = _desk(settings, database, clock)
        messenger = None
        if settings.registrar_link:
            channel = open_channel(settings.registrar_link, settings.identity_dir, mutual=True)
            await stack.enter_async_context(channel)
            send = deliverer(channel, settings.registrar_id)
            messenger = Messenger(database, desk.issuer, send, clock, desk.bell)
        serving = await stack.enter_async_context(
            serve(
                settings.port,
                bindings(desk),
                POLICY,
                settings.identity_dir,
                mutual=True,
                host=settings.host,
            )
        )
        log.info("registrar_opened", process=settings.service, port=serving.bound_port)
        async with asyncio.TaskGroup() as tasks:
            delivering = tasks.create_task(messenger.run()) if messenger is not None else None
            try:
                yield serving
            finally:
                if delivering is not None:
                    delivering.cancel()


def _desk(settings: Settings, database: Database, clock: Clock) -> Desk:
    try:
        profile = load_profile(settings.profile)
    except ProfileWrong as error:
        raise StartFailed(str(error)) from error
    issuer = Issuer(profile, settings.registrar_id, settings.distributor)
    return Desk(
        registrar_id=settings.registrar_id,
        distributor=settings.distributor,
        database=database,
        intake=Intake(profile),
        days=DayDesk(settings.registrar_id, settings.distributor, settings.seed, issuer),
        corrections=CorrectionDesk(settings.registrar_id, settings.distributor, issuer),
        issuer=issuer,
        clock=clock,
        bell=Bell(),
    )
