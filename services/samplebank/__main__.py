"""A scripted bank core, for the demo and for testing any bank link."""

import asyncio
from contextlib import AsyncExitStack, closing

from libs.clock import system_clock
from libs.failure import StartFailed
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.read_model import Database
from libs.service import run
from libs.signing import KeyUnusable, Signer, read_public_key
from libs.telemetry import get_logger
from services.samplebank.api.desk import Desk
from services.samplebank.api.serving import POLICY, bindings
from services.samplebank.clients import deliverer
from services.samplebank.delivery import Bell, Delivery
from services.samplebank.domain.behaviours import script_of
from services.samplebank.domain.orders import Account
from services.samplebank.schema import metadata
from services.samplebank.settings import Settings
from services.samplebank.settlements import Ledger
from services.samplebank.statements import DayBook
from services.samplebank.submissions import Bank

log = get_logger()


async def main(settings: Settings) -> None:
    """Serve the link and deliver what is due, until told to stop."""
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
    terms = Account(
        settings.bank_id,
        settings.account_number,
        settings.currency,
        settings.credit_line_minor,
    )
    async with AsyncExitStack() as stack:
        database = stack.enter_context(closing(Database.open(settings.database)))
        await database.write(metadata.create_all)
        desk = Desk(
            database=database,
            bank=Bank(terms, script),
            ledger=Ledger(terms, script),
            day_book=DayBook(terms, script),
            signer=signer,
            wallet_key=wallet_key,
            clock=system_clock,
            bell=Bell(),
        )
        channel = open_channel(settings.bank_link, settings.identity_dir, mutual=True)
        await stack.enter_async_context(channel)
        delivery = Delivery(database, deliverer(channel, desk.signed), system_clock, desk.bell)
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
            operation=",".join(script.behaviours),
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(delivery.run())
            tasks.create_task(serving.wait_for_termination())


if __name__ == "__main__":
    run(main, Settings)
