"""What the fund day talks to: funds as operator and as wallet, and the sample registrars."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from hefu.funds.v1.funds_pb2_grpc import FundDayServiceStub, FundsServiceStub
from hefu.recommendations.v1.recommendations_pb2_grpc import FeedServiceStub
from hefu.registrar.v1.sample_registrar_pb2_grpc import SampleRegistrarServiceStub
from libs.cli.connections import CALL_S, Connections, connect
from libs.failure import StartFailed
from libs.grpc_client import open_channel
from libs.supervisor import Running

if TYPE_CHECKING:
    from hefu.funds.v1.funds_pb2_grpc import FundDayServiceAsyncStub, FundsServiceAsyncStub
    from hefu.recommendations.v1.recommendations_pb2_grpc import FeedServiceAsyncStub
    from hefu.registrar.v1.sample_registrar_pb2_grpc import SampleRegistrarServiceAsyncStub


@dataclass(frozen=True, slots=True)
class FundLink:
    """Stubs of the fund day, beside those of every other command."""

    link: Connections
    # As the operator.
    desk: "FundDayServiceAsyncStub"
    books: "FundsServiceAsyncStub"
    # As the wallet.
    orders: "FundsServiceAsyncStub"
    registrars: "Mapping[str, SampleRegistrarServiceAsyncStub]"
    # None where no advice is given.
    feeds: "FeedServiceAsyncStub | None"


@asynccontextmanager
async def connect_funds(run_dir: Path, system: Running) -> AsyncIterator[FundLink]:
    """Open every connection. Raises `StartFailed` where no funds or no registrar are running."""
    if "funds" not in system.addresses:
        raise StartFailed("funds do not run here: `hefu down`, then `hefu up`")
    if not system.registrars:
        raise StartFailed("no registrar runs here: `hefu fund-day` starts one, or `hefu up` does")
    operator, wallet = (run_dir / "identities" / name for name in ("operator", "wallet"))
    async with AsyncExitStack() as stack:

        async def channel(
            address: str, identity: Path = operator, *, mutual: bool = False
        ) -> grpc.aio.Channel:
            opened = open_channel(address, identity, mutual=mutual, timeout_s=CALL_S)
            return await stack.enter_async_context(opened)

        link = await stack.enter_async_context(connect(run_dir, system))
        as_operator = await channel(system.addresses["funds"])
        as_wallet = await channel(system.addresses["funds"], wallet)
        advice = system.addresses.get("recommendations")
        yield FundLink(
            link=link,
            desk=FundDayServiceStub(as_operator),
            books=FundsServiceStub(as_operator),
            orders=FundsServiceStub(as_wallet),
            registrars={
                registrar.registrar_id: SampleRegistrarServiceStub(
                    await channel(registrar.address, mutual=True)
                )
                for registrar in system.registrars
            },
            feeds=FeedServiceStub(await channel(advice)) if advice else None,
        )
