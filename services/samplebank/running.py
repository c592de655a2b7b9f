"""A sample bank put together: books, servers, and the messenger."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import replace

from libs.clock import Clock
from libs.failure import StartFailed
from libs.grpc_client import open_channel
from libs.grpc_server import Serving, serve
from libs.messenger import Bell, Messenger
from libs.read_model import Database
from libs.signing import KeyUnusable, Signer, read_public_key
from libs.telemetry import get_logger
from services.samplebank import outbox
from services.samplebank.api.desk import Desk
from services.samplebank.api.serving import POLICY, bindings
from services.samplebank.clients import deliverer
from services.samplebank.domain.behaviours import script_of
from services.samplebank.domain.orders import Account
from services.samplebank.schema import metadata
from services.samplebank.settings import Settings
from services.samplebank.settlements import Ledger
from services.samplebank.statements import DayBook
from services.samplebank.submissions import Bank

log = get_logger()


@asynccontextmanager
async def open_bank(settings: Settings, clock: Clock) -> AsyncIterator[Serving]:
    """The bank at work until the block is left. Raises `StartFailed`."""
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        database = stack.enter_context(closing(Database.open(settings.database)))
        await database.write(metadata.create_all)
        desk = _desk(settings, database, clock)
        channel = open_channel(settings.bank_link, settings.identity_dir, mutual=True)
        await stack.enter_async_context(channel)
        send = deliverer(channel, desk.signed)
        messenger = Messenger(database, outbox, send, clock, desk.bell)
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
        log.info(
            "bank_opened",
            bank_id=settings.bank_id,
            manners=settings.manners,
            port=serving.bound_port,
            operation=",".join(desk.bank.script.behaviours),
        )
        async with asyncio.TaskGroup() as tasks:
            delivering = tasks.create_task(messenger.run())
            try:
                yield serving
            finally:
                delivering.cancel()


def _desk(settings: Settings, database: Database, clock: Clock) -> Desk:
    try:
        signer = Signer(settings.identity_dir / "signing.key")
        wallet_key = read_public_key(settings.wallet_key)
    except KeyUnusable as error:
        raise StartFailed(str(error)) from error
    script = script_of(
        settings.manners,
        settings.seed,
        settings.bank_id,
        settings.bank_ordinal,
        settings.bank_count,
    )
    script = replace(script, customers=frozenset(settings.customers.split(",")))
    terms = Account(
        settings.bank_id,
        settings.account_number,
        settings.currency,
        settings.credit_line_minor,
    )
    return Desk(
        database=database,
        bank=Bank(terms, script),
        ledger=Ledger(terms, script),
        day_book=DayBook(terms, script),
        signer=signer,
        wallet_key=wallet_key,
        clock=clock,
        bell=Bell(),
    )
