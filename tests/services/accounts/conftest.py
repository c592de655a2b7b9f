"""The accounts service on a free port, over memory ports, with callers of every role."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from hefu.accounts.v1 import accounts_pb2_grpc, audit_pb2_grpc, statements_pb2_grpc
from libs.auth import Verifier
from libs.authority import Identity, establish
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.memory_store import MemoryStore
from libs.projection import Projection
from libs.read_model import Database
from libs.signing import Signer
from services.accounts.api import AccountsApi
from services.accounts.api_audit import AuditApi
from services.accounts.api_statements import StatementsApi, statement_streams
from services.accounts.codec.pages import journal_of
from services.accounts.heads import Heads
from services.accounts.policy import AUDIT_POLICY, POLICY, STATEMENTS_POLICY
from services.accounts.projections import ACCOUNTS_ENTRIES
from services.accounts.reading import Rows
from services.accounts.shards import Shards
from services.accounts.writer import Writer
from tests.services.accounts.journals import Now, running
from tests.services.accounts.sharded import sharded

if TYPE_CHECKING:
    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub
    from hefu.accounts.v1.audit_pb2_grpc import JournalAuditServiceAsyncStub
    from hefu.accounts.v1.statements_pb2_grpc import AccountStatementsServiceAsyncStub

# Short: a test that waits for a head should not wait for long.
HEAD_EVERY_S = 0.05
CALLERS = ("operator", "wallet", "payments", "settlement")


@dataclass
class Served:
    """The service, and one stub for each caller."""

    operator: "AccountsServiceAsyncStub"
    wallet: "AccountsServiceAsyncStub"
    payments: "AccountsServiceAsyncStub"
    settlement: "AccountsServiceAsyncStub"
    statements: "AccountStatementsServiceAsyncStub"
    audit: "JournalAuditServiceAsyncStub"
    payments_channel: grpc.aio.Channel
    # Of the first journal.
    heads: Heads
    all_heads: list[Heads]
    heads_dir: Path
    database: Database
    writer: Writer | Shards
    store: MemoryStore
    clock: Now


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("accounts-run")
    establish(folder, [Identity("accounts", signs=True), *map(Identity, CALLERS)])
    return folder


@pytest.fixture
async def served(run_dir: Path, tmp_path: Path) -> AsyncIterator[Served]:
    store, clock = MemoryStore(), Now()
    async with (
        running(store, clock) as journal,
        _served(run_dir, tmp_path, store, clock, [journal.writer]) as service,
    ):
        yield service


@pytest.fixture
async def served_by_shards(run_dir: Path, tmp_path: Path) -> AsyncIterator[Served]:
    """The same service over three journals."""
    store, clock = MemoryStore(), Now()
    async with sharded(store, clock) as journals:
        writers: list[Writer | Shards] = [journals.shards, *journals.writers[1:]]
        async with _served(run_dir, tmp_path, store, clock, writers) as service:
            yield service


@asynccontextmanager
async def _served(
    run_dir: Path,
    tmp_path: Path,
    store: MemoryStore,
    clock: Now,
    writers: Sequence[Writer | Shards],
) -> AsyncIterator[Served]:
    """What is served, by the first of the writers, one for each journal."""
    writer = writers[0]
    async with AsyncExitStack() as stack:
        database = stack.enter_context(closing(Database.open("sqlite://")))
        projection = Projection(ACCOUNTS_ENTRIES, database, store)
        await projection.prepare()
        projecting = asyncio.create_task(projection.run())
        stack.push_async_callback(_cancelled, projecting)
        api = AccountsApi(writer, store, database, projection)
        rows = Rows(writer, database, projection)
        statements = StatementsApi(rows, statement_streams(store), clock)
        identities = run_dir / "identities"
        signer = Signer(identities / "accounts" / "signing.key")
        heads = [
            Heads(store, journal_of(shard), tmp_path / "heads", signer, clock, HEAD_EVERY_S)
            for shard in range(len(writers))
        ]
        for each in heads:
            stack.push_async_callback(_cancelled, asyncio.create_task(each.run()))
        audit = AuditApi(rows, heads)
        serving = await stack.enter_async_context(
            serve(
                0,
                [api.binding(), statements.binding(), audit.binding()],
                {**POLICY, **STATEMENTS_POLICY, **AUDIT_POLICY},
                identities / "accounts",
                verifier=Verifier(run_dir / "authority" / "token.pub"),
            )
        )

        async def channel(caller: str) -> grpc.aio.Channel:
            opened = open_channel(f"localhost:{serving.bound_port}", identities / caller)
            return await stack.enter_async_context(opened)

        channels = {caller: await channel(caller) for caller in CALLERS}
        stubs: dict[str, AccountsServiceAsyncStub] = {
            caller: accounts_pb2_grpc.AccountsServiceStub(opened)
            for caller, opened in channels.items()
        }
        yield Served(
            **stubs,
            statements=statements_pb2_grpc.AccountStatementsServiceStub(channels["operator"]),
            audit=audit_pb2_grpc.JournalAuditServiceStub(channels["operator"]),
            payments_channel=channels["payments"],
            heads=heads[0],
            all_heads=heads,
            heads_dir=tmp_path / "heads",
            database=database,
            writer=writer,
            store=store,
            clock=clock,
        )


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
