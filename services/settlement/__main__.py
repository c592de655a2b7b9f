"""The settlement service, put together: one port for operators and services, one for banks."""

import asyncio
from contextlib import AsyncExitStack

from libs.client.accounts import AccountsClient
from libs.clock import system_clock
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.operations import OPERATIONS_POLICY, OperationsServicer
from libs.service import foundation, run
from libs.signing import Signer
from services.settlement.api import link, service
from services.settlement.clients.accounts import JournalAccounts
from services.settlement.clients.bank_link import GrpcBankLink
from services.settlement.parts import Outside, build
from services.settlement.settings import SettlementSettings


async def main(settings: SettlementSettings) -> None:
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(foundation(settings))
        channel = await stack.enter_async_context(open_channel(settings.accounts, on.identity_dir))
        client = AccountsClient(channel)
        stack.push_async_callback(client.close)
        bank_link = GrpcBankLink(on.identity_dir)
        stack.push_async_callback(bank_link.close)
        parts = build(
            Outside(
                on.store,
                on.bus,
                on.database,
                JournalAccounts(client),
                bank_link,
                Signer(on.identity_dir / "signing.key"),
                system_clock,
            ),
            transfers_at_once=settings.transfers_at_once,
            watch_every_s=settings.watch_every_s,
        )
        await parts.prepare()
        followers = (parts.relay, parts.inbox)
        operations = OperationsServicer(
            "settlement", parts.projections, followers, on.database, on.store
        )
        await stack.enter_async_context(
            serve(
                settings.port,
                [parts.api.binding(), operations.binding()],
                {**service.POLICY, **OPERATIONS_POLICY},
                on.identity_dir,
                verifier=on.verifier,
                host=settings.host,
            )
        )
        await stack.enter_async_context(
            serve(
                settings.bank_link_port,
                [parts.link_api.binding()],
                link.POLICY,
                on.identity_dir,
                mutual=True,
                host=settings.host,
            )
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(parts.run())


if __name__ == "__main__":
    run(main, SettlementSettings)
