"""`make bench`: journal and payments on a real system, durability on, beside a bare call."""

import asyncio
import json
import os
import platform
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import grpc
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2 as entries
from hefu.payments.v1 import payments_pb2 as payments
from hefu.type.v1 import money_pb2 as money
from libs.cli.connections import Connections, connect
from libs.cli.day import register_partners
from libs.client import top_up, transfer
from libs.client.payments import is_final
from libs.grpc_client import open_channel
from libs.ids import new_id
from libs.money import Money
from libs.supervisor import BankSpec, System, start

RESULTS = Path(__file__).parents[2] / "bench" / "results.json"
SECONDS = 8.0
BULK = 500
WALLETS = 200
_SLOWEST_US = 60_000_000
_HEALTH = "/grpc.health.v1.Health/Check"


@dataclass(frozen=True, slots=True)
class Measured:
    """What one shape of load came to; latencies in milliseconds, from the call to its answer."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    items: int


async def measure(
    name: str, callers: int, call: Callable[[], Awaitable[int]], seconds: float = SECONDS
) -> Measured:
    """Callers that await one call after another; a call answers how many items it was."""
    histogram = HdrHistogram(1, _SLOWEST_US, 3)
    items = 0
    begun = time.perf_counter()

    async def one() -> None:
        nonlocal items
        while (at := time.perf_counter()) - begun < seconds:
            items += await call()
            histogram.record_value(int((time.perf_counter() - at) * 1_000_000))

    await asyncio.gather(*(one() for _ in range(callers)))
    lasted = time.perf_counter() - begun
    p50, p99, p999 = (histogram.get_value_at_percentile(p) / 1000 for p in (50, 99, 99.9))
    return Measured(name, items / lasted, p50, p99, p999, items)


async def funded(link: Connections, count: int) -> list[UUID]:
    """Wallets with plenty of money, pulled from the sample bank."""
    wallets = [new_id() for _ in range(count)]

    async def fill(wallet: UUID) -> None:
        await link.client.accounts.open_account(
            wallet, f"customer:{wallet}", "CUSTOMER_WALLET", "CZK"
        )
        terms = top_up(wallet, "AB", str(wallet.int % 10**9), Money("CZK", 10**12))
        asked = await link.client.payments.create(new_id(), terms)
        await link.client.payments.wait(asked.payment_id, is_final)

    await asyncio.gather(*(fill(wallet) for wallet in wallets))
    return wallets


class Load:
    """Transfers of one haler between wallets taken in turn."""

    def __init__(self, link: Connections, wallets: Sequence[UUID]) -> None:
        self._link = link
        self._wallets = wallets
        self._turn = 0

    def pair(self) -> tuple[UUID, UUID]:
        """The next payer and payee."""
        self._turn += 1
        count = len(self._wallets)
        return self._wallets[self._turn % count], self._wallets[(self._turn + 1) % count]

    async def single(self) -> int:
        """One transfer; calls made at once travel together."""
        await self._link.client.accounts.transfer(new_id(), *self.pair(), Money("CZK", 1))
        return 1

    async def bulk(self) -> int:
        """A bulk call."""
        transfers = [self._message() for _ in range(BULK)]
        request = pb.PostTransfersRequest(transfers=transfers)
        answer = await self._link.client.accounts.stub.PostTransfers(request, timeout=60)
        refused = [result for result in answer.results if result.HasField("refusal")]
        if refused:
            raise AssertionError(refused[0].refusal)
        return BULK

    async def payment(self) -> int:
        """A payment between wallets, to its end."""
        asked = await self._link.client.payments.create(
            new_id(), transfer(*self.pair(), Money("CZK", 1))
        )
        ended = await self._link.client.payments.wait(asked.payment_id, is_final)
        if ended.status != payments.PAYMENT_STATUS_SUCCEEDED:
            raise AssertionError(ended)
        return 1

    def _message(self) -> pb.Transfer:
        payer, payee = self.pair()
        amount = money.Money(currency_code="CZK", minor_units=1)
        legs = [
            pb.Leg(account_id=str(payer), direction=entries.DIRECTION_DEBIT, amount=amount),
            pb.Leg(account_id=str(payee), direction=entries.DIRECTION_CREDIT, amount=amount),
        ]
        return pb.Transfer(transfer_id=str(new_id()), legs=legs)


def bare_call(channel: grpc.aio.Channel) -> Callable[[], Awaitable[int]]:
    """The ceiling: a call over the same server, TLS and client that does nothing."""
    ask = channel.unary_unary(
        _HEALTH,
        request_serializer=Message.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )

    async def call() -> int:
        await ask(health_pb2.HealthCheckRequest(), timeout=10)
        return 1

    return call


async def run_all(system: System, console: Console) -> list[Measured]:
    """Every shape, one after the other."""
    identity = system.run_dir / "identities" / "operator"
    async with (
        connect(system.run_dir, system.running) as link,
        open_channel(system.addresses["accounts"], identity) as channel,
    ):
        await register_partners(link, system)
        load = Load(link, await funded(link, WALLETS))
        shapes: list[tuple[str, int, Callable[[], Awaitable[int]]]] = [
            ("peer: a bare call, one caller", 1, bare_call(channel)),
            ("peer: bare calls, 64 callers", 64, bare_call(channel)),
            ("transfers, one caller, one at a time", 1, load.single),
            ("transfers, 64 callers through the client", 64, load.single),
            (f"transfers, bulk of {BULK}, 4 in flight", 4, load.bulk),
            ("payments wallet to wallet, 64 callers", 64, load.payment),
        ]
        found = []
        for name, callers, call in shapes:
            with console.status(name):
                found.append(await measure(name, callers, call))
    return found


async def main() -> None:
    """Start a system of its own, measure, print the table, keep the figures."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        system = await start(
            Path(folder), banks=[BankSpec("AB")], manners="clean", port_offset=None, fresh=True
        )
        try:
            found = await run_all(system, console)
        finally:
            await system.stop()
    table = Table("load", "per second", "p50 ms", "p99 ms", "p99.9 ms")
    for one in found:
        latencies = (f"{ms:.1f}" for ms in (one.p50_ms, one.p99_ms, one.p999_ms))
        table.add_row(one.name, f"{one.per_second:,.0f}", *latencies)
    console.print(table)
    told = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "durability": "fsync before every answer",
        "results": [asdict(one) for one in found],
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")
    console.print(f"written to {RESULTS.relative_to(RESULTS.parents[1])}")


if __name__ == "__main__":
    asyncio.run(main())
