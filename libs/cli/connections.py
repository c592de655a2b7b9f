"""Everything a command may talk to: as the operator, and for payments as the wallet."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import grpc
import typer
import uvloop

from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceStub
from hefu.accounts.v1.audit_pb2_grpc import JournalAuditServiceStub
from hefu.accounts.v1.statements_pb2_grpc import AccountStatementsServiceStub
from hefu.funds.v1.funds_pb2_grpc import FundDayServiceStub
from hefu.operations.v1.operations_pb2_grpc import OperationsServiceStub
from hefu.payments.v1.payments_pb2_grpc import PaymentsServiceStub
from hefu.samplebank.v1.samplebank_pb2_grpc import SampleBankServiceStub
from hefu.settlement.v1.settlement_pb2_grpc import SettlementServiceStub
from libs.cli.terminal import EXIT_FAILED, console
from libs.client import Addresses, HefuClient, HefuError
from libs.event_store import EventStore, StoreUnavailable
from libs.failure import StartFailed
from libs.grpc_client import open_channel
from libs.grpc_errors import reason_of
from libs.kurrent_store import KurrentStore
from libs.supervisor import Running, event_store_uri, running

if TYPE_CHECKING:
    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub
    from hefu.accounts.v1.audit_pb2_grpc import JournalAuditServiceAsyncStub
    from hefu.accounts.v1.statements_pb2_grpc import AccountStatementsServiceAsyncStub
    from hefu.funds.v1.funds_pb2_grpc import FundDayServiceAsyncStub
    from hefu.operations.v1.operations_pb2_grpc import OperationsServiceAsyncStub
    from hefu.payments.v1.payments_pb2_grpc import PaymentsServiceAsyncStub
    from hefu.samplebank.v1.samplebank_pb2_grpc import SampleBankServiceAsyncStub
    from hefu.settlement.v1.settlement_pb2_grpc import SettlementServiceAsyncStub

T = TypeVar("T")
RUN_DIR = Path(".run")
# A person waits while a killed process comes back, a service does not.
STORE_ATTEMPTS_MAX = 30
CALL_S = 60.0
SERVICES = ("accounts", "payments", "settlement")


@dataclass(frozen=True, slots=True)
class Connections:
    """Stubs of every service, the store, and the wallet's own client."""

    client: HefuClient
    store: EventStore
    accounts: "AccountsServiceAsyncStub"
    statements: "AccountStatementsServiceAsyncStub"
    audit: "JournalAuditServiceAsyncStub"
    payments: "PaymentsServiceAsyncStub"
    settlement: "SettlementServiceAsyncStub"
    operations: "Mapping[str, OperationsServiceAsyncStub]"
    banks: "Mapping[str, SampleBankServiceAsyncStub]"


Work: TypeAlias = Callable[[Connections], Awaitable[int | None]]


@asynccontextmanager
async def connect(run_dir: Path, system: Running) -> AsyncIterator[Connections]:
    """Open every connection. Raises `StartFailed` where an identity is missing."""
    operator = run_dir / "identities" / "operator"
    async with AsyncExitStack() as stack:

        async def channel(address: str, *, mutual: bool = False) -> grpc.aio.Channel:
            opened = open_channel(address, operator, mutual=mutual)
            return await stack.enter_async_context(opened)

        where = {name: await channel(system.addresses[name]) for name in SERVICES}
        banks = {bank.bank_id: await channel(bank.address, mutual=True) for bank in system.banks}
        addresses = Addresses(*(system.addresses[name] for name in SERVICES))
        wallet = run_dir / "identities" / "wallet"
        yield Connections(
            client=await stack.enter_async_context(HefuClient.open(addresses, wallet)),
            store=await stack.enter_async_context(
                KurrentStore.open(event_store_uri(run_dir, "operator"), STORE_ATTEMPTS_MAX)
            ),
            accounts=AccountsServiceStub(where["accounts"]),
            statements=AccountStatementsServiceStub(where["accounts"]),
            audit=JournalAuditServiceStub(where["accounts"]),
            payments=PaymentsServiceStub(where["payments"]),
            settlement=SettlementServiceStub(where["settlement"]),
            operations={name: OperationsServiceStub(where[name]) for name in SERVICES},
            banks={bank: SampleBankServiceStub(opened) for bank, opened in banks.items()},
        )


@asynccontextmanager
async def channel_to(
    run_dir: Path, service: str, who: str = "operator"
) -> AsyncIterator[grpc.aio.Channel | None]:
    """As somebody whom the run folder knows; None where the service does not run there."""
    identity = run_dir / "identities" / who
    address = running(run_dir).addresses.get(service)
    if address is None:
        yield None
        return
    if not identity.is_dir():
        raise StartFailed(f"{identity.parent} knows no {who!r}")
    async with open_channel(address, identity, timeout_s=CALL_S) as channel:
        yield channel


@asynccontextmanager
async def fund_desk(
    run_dir: Path, who: str = "operator"
) -> "AsyncIterator[FundDayServiceAsyncStub | None]":
    """The fund day's desk; None where no funds run there."""
    async with channel_to(run_dir, "funds", who) as channel:
        yield None if channel is None else FundDayServiceStub(channel)


def connected(run_dir: Path, work: Work) -> None:
    """Run a command on the running system; its answer is the exit code, an error one line."""

    async def run() -> int:
        async with connect(run_dir, running(run_dir)) as link:
            return await work(link) or 0

    raise typer.Exit(told(run))


def told(run: Callable[[], Awaitable[int]]) -> int:
    """The exit code of a piece of work, its failure told in one line."""
    try:
        return uvloop.run(_awaited(run))
    except Exception as error:
        line = _line_of(error)
        if line is None:
            raise
        console.print(f"[red]hefu: {line}[/]", highlight=False)
    return EXIT_FAILED


def _line_of(error: BaseException) -> str | None:
    """What a person is told; of work done side by side, the first failure that has words."""
    match error:
        case StartFailed() | HefuError() | StoreUnavailable():
            return str(error)
        case grpc.aio.AioRpcError():
            return f"{reason_of(error) or error.code().name}: {error.details()}"
        case BaseExceptionGroup():
            return next((line for each in error.exceptions if (line := _line_of(each))), None)
    return None


async def _awaited(run: Callable[[], Awaitable[T]]) -> T:
    return await run()
