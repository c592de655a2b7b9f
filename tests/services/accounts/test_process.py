"""The accounts service as a process over a real store and bus: kills, a rival, an orderly stop."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import grpc
import pytest

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import accounts_pb2_grpc, events_pb2
from hefu.type.v1.money_pb2 import Money
from libs.authority import Identity, establish
from libs.client.accounts import AccountsClient
from libs.grpc_client import open_channel
from libs.ids import new_id
from services.accounts.domain.sharding import hashed
from tests.servers import EventStoreServer, NatsServer, Server, children_of, free_port, identities

if TYPE_CHECKING:
    from hefu.accounts.v1.accounts_pb2_grpc import AccountsServiceAsyncStub

Send: TypeAlias = Callable[[pb.Command], Awaitable[pb.CommandResult]]

FUNDS = 1_000_000
CALLERS = 8
KILLS = 3
SHARDS, WALLETS = 3, 12
_TRY_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Accounts(Server):
    """`python -m services.accounts`."""

    def __init__(
        self, run_dir: Path, store: EventStoreServer, bus: NatsServer, shards: int = 1
    ) -> None:
        self.port = free_port()
        super().__init__(
            [sys.executable, "-m", "services.accounts"],
            lambda line: '"journal_recovered"' in line,
            {
                "HEFU_SERVICE": "accounts",
                "HEFU_RUN_DIR": str(run_dir),
                "HEFU_PORT": str(self.port),
                "HEFU_EVENT_STORE": store.uri,
                "HEFU_BUS": bus.address,
                "HEFU_SNAPSHOT_EVERY_PAGES": "20",
                "HEFU_SHARDS": str(shards),
                # So little that most of what is asked again has left memory.
                "HEFU_KEEP_ENTRIES": "50",
            },
        )


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    # Rows belong to one store: a folder of its own for each.
    folder = tmp_path / "run"
    folder.mkdir()
    identities(folder)
    establish(folder, [Identity("operator")])
    return folder


@pytest.fixture
def servers(run_dir: Path, tmp_path: Path) -> Iterator[tuple[EventStoreServer, NatsServer]]:
    folder = run_dir / "identities"
    store = EventStoreServer(tmp_path / "store", folder / "eventstore")
    bus = NatsServer(tmp_path / "bus", folder / "nats")
    try:
        store.start()
        bus.start()
        yield store, bus
    finally:
        bus.stop()
        store.stop()


@asynccontextmanager
async def _stub(accounts: Accounts, run_dir: Path) -> AsyncIterator["AccountsServiceAsyncStub"]:
    address = f"localhost:{accounts.port}"
    async with open_channel(address, run_dir / "identities" / "payments") as channel:
        yield accounts_pb2_grpc.AccountsServiceStub(channel)


@asynccontextmanager
async def _client(accounts: Accounts, run_dir: Path) -> AsyncIterator[AccountsClient]:
    address = f"localhost:{accounts.port}"
    async with open_channel(address, run_dir / "identities" / "payments") as channel:
        client = AccountsClient(channel)
        yield client
        await client.close()


def _czk(minor: int) -> Money:
    return Money(currency_code="CZK", minor_units=minor)


def _opening(kind: events_pb2.AccountKind.ValueType) -> pb.Command:
    account_id = str(new_id())
    opening = pb.Opening(
        account_id=account_id, owner=f"o:{account_id}", kind=kind, currency_code="CZK"
    )
    return pb.Command(open_account=opening)


def _transfer(payer: str, payee: str, minor: int, *others: str) -> pb.Command:
    """The others get 1 each besides."""
    debit, credit = events_pb2.DIRECTION_DEBIT, events_pb2.DIRECTION_CREDIT
    total = minor + len(others)
    return pb.Command(
        transfer=pb.Transfer(
            transfer_id=str(new_id()),
            legs=[
                pb.Leg(account_id=payer, direction=debit, amount=_czk(total)),
                pb.Leg(account_id=payee, direction=credit, amount=_czk(minor)),
                *(pb.Leg(account_id=each, direction=credit, amount=_czk(1)) for each in others),
            ],
        )
    )


async def _sent(stub: "AccountsServiceAsyncStub", *commands: pb.Command) -> pb.CommandResult:
    """The same request until it is answered; the last one's result."""
    request = pb.PostCommandsRequest(commands=commands)
    while True:
        try:
            reply = await stub.PostCommands(request, timeout=30, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _TRY_AGAIN:
                raise
        else:
            return reply.results[-1]


async def _two_accounts(stub: "AccountsServiceAsyncStub") -> tuple[str, str]:
    payer = _opening(events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET)
    payee = _opening(events_pb2.ACCOUNT_KIND_MERCHANT)
    fees = _opening(events_pb2.ACCOUNT_KIND_FEE_INCOME)
    a, b, c = (each.open_account.account_id for each in (payer, payee, fees))
    result = await _sent(stub, payer, payee, fees, _transfer(c, a, FUNDS))
    assert not result.HasField("refusal")
    return a, b


async def _listed(
    stub: "AccountsServiceAsyncStub", account_id: str, min_position: int
) -> list[pb.PlacedEntry]:
    asked = pb.ListEntriesRequest(account_id=account_id, page_size=1_000, min_position=min_position)
    found: list[pb.PlacedEntry] = []
    while True:
        page = await stub.ListEntries(asked)
        found += page.entries
        if not page.next_page_token:
            return found
        asked.page_token = page.next_page_token


async def test_no_acknowledged_entry_is_lost_or_doubled_by_kills(
    run_dir: Path, servers: tuple[EventStoreServer, NatsServer]
) -> None:
    accounts = Accounts(run_dir, *servers)
    accounts.start()
    posted = asyncio.Event()
    acknowledged: list[tuple[pb.Command, pb.CommandResult]] = []
    is_over = False

    async def caller(send: Send, payer: str, payee: str) -> None:
        while not is_over:
            command = _transfer(payer, payee, 7)
            acknowledged.append((command, await send(command)))
            posted.set()

    try:
        async with _stub(accounts, run_dir) as stub, _client(accounts, run_dir) as client:
            payer, payee = await _two_accounts(stub)
            async with asyncio.TaskGroup() as calling:
                # By calls of their own, and together on the one that lasts.
                for send in (partial(_sent, stub), client.submit):
                    for _ in range(CALLERS):
                        calling.create_task(caller(send, payer, payee))
                for _ in range(KILLS):
                    for _ in range(10):
                        posted.clear()
                        await posted.wait()
                    await asyncio.to_thread(accounts.kill)
                    await asyncio.to_thread(accounts.start)
                posted.clear()
                await posted.wait()
                is_over = True
            account = (await stub.GetAccount(pb.GetAccountRequest(account_id=payee))).account
            again = [await _sent(stub, command) for command, _ in acknowledged]
            listed = await _listed(stub, payee, max(each.position for each in again))
    finally:
        accounts.kill()
    assert account.posted_minor == 7 * len(acknowledged)
    assert all(each.is_replayed for each in again)
    assert [each.position for each in again] == [result.position for _, result in acknowledged]
    assert listed[0].entry.WhichOneof("fact") == "account_opened", listed[0]
    ids = [each.entry.command_id for each in listed[1:]]
    assert sorted(ids) == sorted(command.transfer.transfer_id for command, _ in acknowledged)


@pytest.mark.full
async def test_kills_between_shards_lose_and_make_nothing(  # noqa: PLR0915 - one long story
    run_dir: Path, servers: tuple[EventStoreServer, NatsServer]
) -> None:
    accounts = Accounts(run_dir, *servers, shards=SHARDS)
    accounts.start()
    posted = asyncio.Event()
    acknowledged: list[pb.Command] = []
    is_over = False

    async def caller(stub: "AccountsServiceAsyncStub", wallets: list[str], n: int) -> None:
        while not is_over:
            payer, payee = wallets[n % WALLETS], wallets[(n * 5 + 1) % WALLETS]
            n += 1
            if payer != payee:
                # Every third goes over three shards, or on one pays two.
                other = wallets[(n * 7 + 3) % WALLETS]
                is_split = n % 3 == 0 and other not in (payer, payee)
                command = _transfer(payer, payee, 7, *([other] if is_split else []))
                await _decided(stub, command)
                acknowledged.append(command)
                posted.set()

    try:
        async with _stub(accounts, run_dir) as stub:
            wallets = [await _wallet(stub, n % SHARDS) for n in range(WALLETS)]
            async with asyncio.TaskGroup() as calling:
                for n in range(CALLERS):
                    calling.create_task(caller(stub, wallets, n))
                for _ in range(KILLS):
                    for _ in range(20):
                        posted.clear()
                        await posted.wait()
                    await asyncio.to_thread(accounts.kill)
                    await asyncio.to_thread(accounts.start)
                is_over = True
            request = pb.GetAccountsRequest(account_ids=wallets)
            before = (await stub.GetAccounts(request)).accounts
            again = [await _decided(stub, command) for command in acknowledged]
            after = (await stub.GetAccounts(request)).accounts
            trial = await stub.GetTrialBalance(pb.GetTrialBalanceRequest())
            reached = max(each.position for each in again)
            listed = [await _listed(stub, wallet, reached) for wallet in wallets]
    finally:
        accounts.kill()
    assert all(each.is_replayed and not each.HasField("refusal") for each in again)
    assert list(before) == list(after), "what was asked again has moved nothing"
    assert sum(account.posted_minor for account in after) == FUNDS * WALLETS
    assert sum(total.credit_minus_debit_minor for total in trial.totals) == 0
    transit = events_pb2.ACCOUNT_KIND_SHARD_TRANSIT
    assert sum(t.credit_minus_debit_minor for t in trial.totals if t.kind == transit) == 0
    for account, entries in zip(after, listed, strict=True):
        assert len(entries) == account.account_seq


async def _decided(stub: "AccountsServiceAsyncStub", command: pb.Command) -> pb.CommandResult:
    """The same until it is decided, on every shard that it needs."""
    while True:
        result = await _sent(stub, command)
        if result.refusal.reason not in ("ID_INDEX_BEHIND", "STORE_UNAVAILABLE", "QUEUE_FULL"):
            return result


async def _wallet(stub: "AccountsServiceAsyncStub", shard: int) -> str:
    """A wallet on a shard, with money from our own account, which is on shard 0."""
    wallet = _opening(events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET)
    while hashed(wallet.open_account.account_id, SHARDS) != shard:
        wallet = _opening(events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET)
    fees = _opening(events_pb2.ACCOUNT_KIND_FEE_INCOME)
    for opening in (wallet, fees):
        await _decided(stub, opening)
    account_id = wallet.open_account.account_id
    moved = _transfer(fees.open_account.account_id, account_id, FUNDS)
    assert not (await _decided(stub, moved)).HasField("refusal")
    return account_id


async def test_rows_are_all_there_although_the_process_that_makes_them_was_killed(
    run_dir: Path, servers: tuple[EventStoreServer, NatsServer]
) -> None:
    accounts = Accounts(run_dir, *servers)
    try:
        accounts.start()
        async with _stub(accounts, run_dir) as stub:
            payer, payee = await _two_accounts(stub)
            for kill in range(KILLS):
                (maker,) = children_of(accounts.pid)
                sent = [_decided(stub, _transfer(payer, payee, 1)) for _ in range(CALLERS)]
                under_way = asyncio.gather(*sent)
                os.kill(maker, signal.SIGKILL)
                decided = await under_way
                assert not any(result.HasField("refusal") for result in decided)

                last = max(result.position for result in decided)
                listed = await _listed(stub, payee, last)
                received = [placed.entry.transfer_posted for placed in listed]
                assert len([each for each in received if each.legs]) == CALLERS * (kill + 1)
    finally:
        accounts.kill()


async def test_a_second_writer_stops_with_one_clear_line(
    run_dir: Path, servers: tuple[EventStoreServer, NatsServer]
) -> None:
    first, second = Accounts(run_dir, *servers), Accounts(run_dir, *servers)
    try:
        first.start()
        second.start()
        async with _stub(first, run_dir) as stub:
            await _two_accounts(stub)
        async with _stub(second, run_dir) as stub:
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.PostCommands(
                    pb.PostCommandsRequest(
                        commands=[_opening(events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET)]
                    ),
                    timeout=10,
                )
        await asyncio.to_thread(second.stop)
        async with _stub(first, run_dir) as stub:
            await _two_accounts(stub)
    finally:
        second.kill()
        first.kill()
    assert "hefu: accounts: another writer has written page 0 of journal-0; this one stops" in (
        second.said
    )


async def test_it_stops_in_order_when_told_to(
    run_dir: Path, servers: tuple[EventStoreServer, NatsServer]
) -> None:
    accounts = Accounts(run_dir, *servers)
    try:
        accounts.start()
        async with _stub(accounts, run_dir) as stub:
            await _two_accounts(stub)
        accounts.stop()
    finally:
        accounts.kill()

    assert any('"process_stopped"' in line for line in accounts.said)
    assert not any('"critical"' in line for line in accounts.said)
