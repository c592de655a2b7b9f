"""What payments may rely on of the journal: one suite, on the fake and on the accounts service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from hefu.accounts.v1 import accounts_pb2
from libs.auth import Verifier
from libs.client.accounts import AccountsClient
from libs.clock import system_clock
from libs.grpc_client import open_channel
from libs.grpc_server import serve
from libs.ids import account_id_of, new_id
from libs.memory_store import MemoryStore
from libs.money import Money
from libs.projection import Projection
from libs.read_model import Database
from libs.transient import Unavailable
from services.accounts.api import AccountsApi
from services.accounts.policy import POLICY
from services.accounts.projections import ACCOUNTS_ENTRIES
from services.accounts.recovery import recover
from services.accounts.snapshots import Snapshots
from services.accounts.writer import Writer
from services.payments.clients import Accounts, GrpcAccounts
from services.payments.postings import Capture, Hold, Move, Posted, Refused, Release
from tests.services.payments.worlds import IN_TRANSIT_IN, MERCHANT, OTHER, WALLET, Journal

AMOUNT = Money("CZK", 1_000)
FEES = str(account_id_of("house", "FEE_INCOME", "CZK"))


@dataclass
class Desk:
    """A journal with three accounts at 0, bank CD with an open window, and bank AB without one."""

    accounts: Accounts
    available: Callable[[str], Awaitable[int]]

    async def fund(self, minor: int) -> None:
        assert isinstance(await self.accounts.post(move(minor, IN_TRANSIT_IN, WALLET)), Posted)


def some_id() -> str:
    return str(new_id())


def move(minor: int, debit: str, credit: str, *, id_: str = "", fact_key: str = "") -> Move:
    transfer_id = id_ or some_id()
    legs = ((debit, minor),), ((credit, minor),)
    return Move(transfer_id, "CZK", *legs, some_id(), "test", fact_key or f"{transfer_id}/test")


def hold(minor: int = 1_000, account_id: str = WALLET) -> Hold:
    return Hold(some_id(), account_id, Money("CZK", minor), some_id())


def capture(held: Hold, bank_id: str = "CD") -> Capture:
    capture_id = some_id()
    return Capture(
        capture_id, held.hold_id, bank_id, held.amount, held.payment_id, f"{capture_id}/test"
    )


def release(held: Hold) -> Release:
    return Release(some_id(), held.hold_id, held.payment_id)


async def on_the_fake(_run_dir: Path, _stack: AsyncExitStack) -> Desk:
    journal = Journal()

    async def available(account_id: str) -> int:
        return journal.available(account_id)

    return Desk(journal, available)


async def on_the_service(run_dir: Path, stack: AsyncExitStack) -> Desk:
    store, database = MemoryStore(), Database.open("sqlite://")
    stack.callback(database.close)
    recovered = await recover(store)
    writer = Writer(store, recovered, system_clock, Snapshots(store, recovered, 500))
    projection = Projection(ACCOUNTS_ENTRIES, database, store)
    await projection.prepare()
    for work in (writer, projection):
        stack.push_async_callback(_stop, asyncio.create_task(work.run()))
    api = AccountsApi(writer, store, database, projection)
    identities = run_dir / "identities"
    verifier = Verifier(run_dir / "authority" / "token.pub")
    serving = serve(0, [api.binding()], POLICY, identities / "payments", verifier=verifier)
    address = f"localhost:{(await stack.enter_async_context(serving)).bound_port}"

    async def client_of(name: str) -> AccountsClient:
        channel = open_channel(address, identities / name)
        client = AccountsClient(await stack.enter_async_context(channel), patience_s=5)
        stack.push_async_callback(client.close)
        return client

    wallet, settlement, payments = [
        await client_of(name) for name in ("wallet", "settlement", "payments")
    ]
    for account_id, owner, kind in (
        (WALLET, "jana", "CUSTOMER_WALLET"),
        (OTHER, "petr", "CUSTOMER_WALLET"),
        (MERCHANT, "shop", "MERCHANT"),
    ):
        await wallet.open_account(account_id, owner, kind, "CZK")
    for kind in ("IN_TRANSIT_IN", "IN_TRANSIT_OUT"):
        account_id = str(account_id_of("bank:CD", kind, "CZK"))
        await settlement.open_account(account_id, "bank:CD", kind, "CZK")
    opened = await client_of("settlement")
    request = accounts_pb2.OpenWindowRequest(window_id=some_id(), bank_id="CD", currency_code="CZK")
    await opened.stub.OpenWindow(request, timeout=30)

    async def available(account_id: str) -> int:
        return (await payments.get_account(account_id)).available_minor

    return Desk(GrpcAccounts(payments), available)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.fixture(params=[on_the_fake, on_the_service], ids=["fake", "service"])
async def desk(request: pytest.FixtureRequest, run_dir: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        yield await request.param(run_dir, stack)


async def test_what_is_held_is_not_available_until_it_is_released(desk: Desk) -> None:
    await desk.fund(1_500)
    held = hold()
    assert isinstance(await desk.accounts.post(held), Posted)
    assert await desk.available(WALLET) == 500
    assert isinstance(await desk.accounts.post(release(held)), Posted)
    assert await desk.available(WALLET) == 1_500


async def test_more_than_there_is_cannot_be_held_and_the_id_never_succeeds(desk: Desk) -> None:
    held = hold()
    refused = await desk.accounts.post(held)
    assert isinstance(refused, Refused)
    assert refused.reason == "BALANCE_TOO_LOW"
    await desk.fund(1_500)
    again = await desk.accounts.post(held)
    assert isinstance(again, Refused)
    assert again.reason == "BALANCE_TOO_LOW"


async def test_a_capture_enters_the_window_and_says_which_each_time_it_is_asked(
    desk: Desk,
) -> None:
    await desk.fund(1_000)
    held = hold()
    await desk.accounts.post(held)
    taken = capture(held)
    first, again = await desk.accounts.post(taken), await desk.accounts.post(taken)
    assert isinstance(first, Posted)
    assert first.window_id
    assert again == first


async def test_of_capture_and_release_only_the_first_is_posted(desk: Desk) -> None:
    await desk.fund(2_000)
    taken, given = hold(), hold()
    for each in (taken, given):
        await desk.accounts.post(each)
    await desk.accounts.post(capture(taken))
    await desk.accounts.post(release(given))
    late_release = await desk.accounts.post(release(taken))
    late_capture = await desk.accounts.post(capture(given))
    assert isinstance(late_release, Refused)
    assert isinstance(late_capture, Refused)
    assert (late_release.reason, late_capture.reason) == ("HOLD_CAPTURED", "HOLD_RELEASED")
    assert await desk.available(WALLET) == 1_000


async def test_a_capture_for_a_bank_without_a_window_decides_nothing(desk: Desk) -> None:
    await desk.fund(1_000)
    held = hold()
    await desk.accounts.post(held)
    with pytest.raises(Unavailable):
        await desk.accounts.post(capture(held, "AB"))
    assert isinstance(await desk.accounts.post(release(held)), Posted)


async def test_a_fact_is_posted_once_whatever_the_ids(desk: Desk) -> None:
    await desk.fund(2_000)
    first = await desk.accounts.post(move(700, WALLET, OTHER, fact_key="p/move"))
    second = await desk.accounts.post(move(700, WALLET, OTHER, fact_key="p/move"))
    assert isinstance(first, Posted)
    assert isinstance(second, Refused)
    assert second.reason == "FACT_ALREADY_POSTED"
    assert await desk.available(OTHER) == 700


async def test_a_movement_in_our_favour_stands_in_the_banks_window(desk: Desk) -> None:
    id_ = some_id()
    legs = ((IN_TRANSIT_IN, 1_000),), ((WALLET, 1_000),)
    credit = Move(id_, "CZK", *legs, some_id(), "credit", f"{id_}/credit", "CD")
    done = await desk.accounts.post(credit)
    assert isinstance(done, Posted)
    assert done.window_id


async def test_fees_have_an_account_once_asked_for_however_often(desk: Desk) -> None:
    await desk.accounts.open_fee_income("CZK")
    await desk.accounts.open_fee_income("CZK")
    await desk.fund(1_000)
    id_ = some_id()
    legs = ((WALLET, 1_000),), ((MERCHANT, 985), (FEES, 15))
    split = Move(id_, "CZK", *legs, some_id(), "payment", f"{id_}/move")
    assert isinstance(await desk.accounts.post(split), Posted)


async def test_a_wallet_is_looked_at_before_a_bank_is_asked(desk: Desk) -> None:
    assert await desk.accounts.check_wallet(WALLET, "CZK") is None
    missing = await desk.accounts.check_wallet(some_id(), "CZK")
    foreign = await desk.accounts.check_wallet(WALLET, "EUR")
    assert missing is not None
    assert foreign is not None
    assert (missing.reason, foreign.reason) == ("ACCOUNT_NOT_FOUND", "ACCOUNT_CURRENCY_DIFFERS")
