"""The funds service, put together: one port for wallets and operators, one for registrars."""

import asyncio
from contextlib import AsyncExitStack

from libs.client.accounts import AccountsClient
from libs.client.payments import PaymentsClient
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.operations import OPERATIONS_POLICY, OperationsServicer
from libs.service import foundation, run
from services.funds.clients.accounts import GrpcAccounts
from services.funds.clients.payments import GrpcPayments
from services.funds.clients.registrar import GrpcRegistrarLink
from services.funds.parts import Outside, build
from services.funds.policy import LINK_POLICY, POLICY
from services.funds.settings import FundsSettings


async def main(settings: FundsSettings) -> None:
    async with AsyncExitStack() as stack:
        on = await stack.enter_async_context(foundation(settings))
        to_accounts, to_payments = [
            await stack.enter_async_context(open_channel(address, on.identity_dir))
            for address in (settings.accounts, settings.payments)
        ]
        accounts, payments = AccountsClient(to_accounts), PaymentsClient(to_payments)
        link = GrpcRegistrarLink(on.identity_dir)
        for client in (accounts, payments, link):
            stack.push_async_callback(client.close)
        parts = build(
            Outside(
                on.store,
                on.bus,
                on.database,
                GrpcAccounts(accounts),
                GrpcPayments(payments),
                link,
                settings.distributor_code,
                is_simulated=settings.clock == "simulated",
            ),
            steps_at_once=settings.steps_at_once,
            watch_every_s=settings.watch_every_s,
        )
        await parts.prepare()
        operations = OperationsServicer(
            "funds", [parts.projection], [parts.relay, parts.inbox], on.database, on.store
        )
        serving = serve(
            settings.port,
            [parts.api.binding(), parts.desk_api.binding(), operations.binding()],
            {**POLICY, **OPERATIONS_POLICY},
            on.identity_dir,
            verifier=on.verifier,
            host=settings.host,
        )
        to_registrars = serve(
            settings.registrar_link_port,
            [parts.link_api.binding()],
            LINK_POLICY,
            on.identity_dir,
            mutual=True,
            host=settings.host,
        )
        # The servers are the inner ones: they drain while the read model still moves.
        async with asyncio.TaskGroup() as tasks, serving, to_registrars:
            tasks.create_task(parts.run())
            await asyncio.get_running_loop().create_future()  # until we are told to stop


if __name__ == "__main__":
    run(main, FundsSettings)
