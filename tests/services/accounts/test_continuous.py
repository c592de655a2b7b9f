"""Commands sent message by message on one call that lasts: what its caller may rely on."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest
from structlog.testing import capture_logs

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from libs.auth import LEEWAY_S, Caller, Verifier
from libs.authority import TOKEN_LIFETIME_S
from libs.client.accounts import AccountsClient
from libs.client.errors import HefuError, Unanswered
from libs.client.posting_call import CallBroken, PostingCall
from libs.clock import system_clock
from libs.event_store import Appended, NewEvent
from libs.grpc_client import open_channel
from libs.grpc_errors import Refused, reason_of
from libs.grpc_lasting import UNDER_WAY_MAX
from libs.grpc_server import Serving, serve
from libs.ids import new_id
from libs.memory_store import MemoryStore
from libs.money import Money
from libs.projection import Projection
from libs.read_model import Database
from services.accounts.api import AccountsApi
from services.accounts.codec.continuous import Continuous
from services.accounts.codec.pages import JOURNAL, page_message
from services.accounts.policy import POLICY
from services.accounts.projections import ACCOUNTS_ENTRIES
from tests.services.accounts.journals import Now, running

METHOD = "/hefu.accounts.v1.AccountsService/PostCommandsContinuously"
CZK = Money("CZK", 1)
TOO_LARGE = 17 * 1024 * 1024


def _now() -> Now:
    # The clients here make ids of today.
    now = Now()
    now.us = system_clock()
    return now


class SlowStore(MemoryStore):
    """Appends wait while it is told to hold them, and it tells that one waits."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.waits = asyncio.Event()

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if not self.goes_on.is_set():
            self.waits.set()
            await self.goes_on.wait()
        return await super().append(stream, events, expected)

    async def pages(self) -> list[list[str]]:
        """Ids of the entries of each page."""
        found = [page_message(event.data) async for event in self.read(JOURNAL)]
        return [[entry.command_id for entry in page.entries] for page in found]


class LaterVerifier(Verifier):
    """Tokens as they are judged when so many seconds have passed."""

    passed_s = 0.0

    def verify(self, token: str, now_s: float | None = None) -> Caller:
        return super().verify(token, (now_s or time.time()) + self.passed_s)


@dataclass
class Journal:
    """The service over a journal, on one port: it can be stopped, and served again."""

    run_dir: Path
    api: AccountsApi
    store: SlowStore
    verifier: LaterVerifier
    stack: AsyncExitStack
    port: int = 0
    serving: Serving | None = None
    stopping: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def begin(self) -> None:
        service = serve(
            self.port,
            [self.api.binding()],
            {name: who for name, who in POLICY.items() if name.startswith("AccountsService/")},
            self.run_dir / "identities" / "accounts",
            verifier=self.verifier,
        )
        self.serving = serving = await self.stopping.enter_async_context(service)
        self.port = serving.bound_port

    async def killed(self) -> None:
        """End at once: what is under way is done, and nobody is told."""
        assert self.serving is not None
        await self.serving.server.stop(None)
        self.store.goes_on.set()
        await self.stopping.aclose()

    async def channel(self, caller: str = "payments") -> grpc.aio.Channel:
        opened = open_channel(f"localhost:{self.port}", self.run_dir / "identities" / caller)
        return await self.stack.enter_async_context(opened)

    async def client(self, caller: str = "payments") -> AccountsClient:
        client = AccountsClient(await self.channel(caller), patience_s=10)
        self.stack.push_async_callback(client.close)
        return client

    async def accounts(self) -> tuple[UUID, UUID]:
        """One that may owe, and one that gets."""
        client, payer, payee = await self.client(), new_id(), new_id()
        await client.open_account(payer, f"o:{payer}", "FEE_INCOME", "CZK")
        await client.open_account(payee, f"o:{payee}", "CUSTOMER_WALLET", "CZK")
        return payer, payee

    async def entries(self) -> list[str]:
        return [id_ for page in await self.store.pages() for id_ in page]


@pytest.fixture
async def journal(run_dir: Path) -> AsyncIterator[Journal]:
    store = SlowStore()
    async with running(store, _now()) as work, AsyncExitStack() as stack:
        database = stack.enter_context(closing(Database.open("sqlite://")))
        api = AccountsApi(
            work.writer, store, database, Projection(ACCOUNTS_ENTRIES, database, store)
        )
        verifier = LaterVerifier(run_dir / "authority" / "token.pub")
        found = Journal(run_dir, api, store, verifier, stack)
        await found.begin()
        stack.push_async_callback(found.stopping.aclose)
        yield found


class Line:
    """The call as any client may make it: messages out, answers in."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        open_: Any = channel.stream_stream(
            METHOD, response_deserializer=pb.PostCommandsContinuouslyResponse.FromString
        )
        self.call = open_()

    async def send(
        self, number: int, commands: Iterable[pb.Command] | bytes, timeout_ms: int = 10_000
    ) -> None:
        raw = (
            commands
            if isinstance(commands, bytes)
            else pb.PostCommandsRequest(commands=commands).SerializeToString()
        )
        message = pb.PostCommandsContinuouslyRequest(
            number=number, timeout_ms=timeout_ms, post_commands_request=raw
        )
        await self.call.write(message.SerializeToString())

    async def heard(self) -> pb.PostCommandsContinuouslyResponse:
        found: pb.PostCommandsContinuouslyResponse = await self.call.read()
        return found


def _transfer(payer: UUID, payee: UUID, id_: UUID | None = None) -> pb.Command:
    legs = [
        pb.Leg(account_id=str(account), direction=direction)
        for account, direction in (
            (payer, events_pb2.DIRECTION_DEBIT),
            (payee, events_pb2.DIRECTION_CREDIT),
        )
    ]
    for leg in legs:
        leg.amount.currency_code, leg.amount.minor_units = "CZK", 1
    return pb.Command(transfer=pb.Transfer(transfer_id=str(id_ or new_id()), legs=legs))


async def test_each_message_has_its_own_answer(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    line = Line(await journal.channel())
    sent = {number: [_transfer(payer, payee) for _ in range(number)] for number in (1, 2, 3)}

    for number, commands in sent.items():
        await line.send(number, commands)
    answers = {answer.number: answer.answered for answer in [await line.heard() for _ in sent]}
    await line.call.done_writing()

    for number, commands in sent.items():
        ids = [result.command_id for result in answers[number].results]
        assert ids == [command.transfer.transfer_id for command in commands]
        assert answers[number].position == max(each.position for each in answers[number].results)
    assert await line.call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("number", "timeout_ms", "raw", "reason", "fields"),
    [
        (5, 1_000, b"\x0a\x22\xff\xff", "MESSAGE_MALFORMED", []),
        (5, 1_000, b"\x78\x01", "FIELD_NOT_ALLOWED", []),
        (5, 1_000, b"", "FIELD_INVALID", ["commands"]),
        (0, 1_000, b"", "FIELD_INVALID", ["number"]),
        (5, 0, b"", "FIELD_INVALID", ["timeout_ms"]),
    ],
)
async def test_a_message_that_is_refused_does_not_end_the_call(
    journal: Journal, number: int, timeout_ms: int, raw: bytes, reason: str, fields: list[str]
) -> None:
    payer, payee = await journal.accounts()
    line = Line(await journal.channel())

    await line.send(number, raw, timeout_ms)
    refused = await line.heard()
    await line.send(7, [_transfer(payer, payee)])
    answered = await line.heard()

    assert (refused.number, refused.refused.reason) == (number, reason)
    assert [each.field for each in refused.refused.violations] == fields
    assert (answered.number, answered.WhichOneof("outcome")) == (7, "answered")


async def test_a_message_without_a_number_to_answer_by_ends_the_call(journal: Journal) -> None:
    line = Line(await journal.channel())

    await line.call.write(b"\x0a\x22\xff\xff")
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await line.heard()

    assert reason_of(ended.value) == "MESSAGE_MALFORMED"


async def test_a_message_is_answered_whatever_the_others_wait_for(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    line = Line(await journal.channel())
    journal.store.goes_on.clear()

    await line.send(1, [_transfer(payer, payee)])
    await journal.store.waits.wait()
    await line.send(2, b"")
    first = await line.heard()
    journal.store.goes_on.set()
    second = await line.heard()

    assert [first.number, second.number] == [2, 1]


async def test_a_message_whose_time_has_passed_is_completed_all_the_same(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    line, command = Line(await journal.channel()), _transfer(payer, payee)
    journal.store.goes_on.clear()

    await line.send(1, [command], timeout_ms=50)
    late = await line.heard()
    journal.store.goes_on.set()
    await line.send(2, [command])
    again = await line.heard()

    assert (late.number, late.refused.reason) == (1, "DEADLINE_PASSED")
    assert [result.is_replayed for result in again.answered.results] == [True]


async def test_a_stop_answers_what_was_taken_and_takes_no_more(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    line = Line(await journal.channel())
    journal.store.goes_on.clear()
    await line.send(1, [_transfer(payer, payee)])
    await journal.store.waits.wait()

    stopping = asyncio.create_task(journal.stopping.aclose())
    asyncio.get_running_loop().call_later(0.1, journal.store.goes_on.set)
    answered = await line.heard()
    rest = await line.call.read()
    await stopping

    assert (answered.number, answered.WhichOneof("outcome")) == (1, "answered")
    assert rest is grpc.aio.EOF
    assert await line.call.code() is grpc.StatusCode.OK


async def test_a_client_goes_on_where_the_service_was_stopped_and_begun_again(
    journal: Journal,
) -> None:
    payer, payee = await journal.accounts()
    client, ids = await journal.client(), [new_id() for _ in range(30)]
    await client.transfer(new_id(), payer, payee, CZK)

    async def send(at: int) -> None:
        await client.transfer(ids[at], payer, payee, CZK)

    sending = [asyncio.create_task(send(at)) for at in range(20)]
    await asyncio.sleep(0)
    await journal.stopping.aclose()
    await journal.begin()
    await asyncio.gather(*sending, *(send(at) for at in range(20, 30)))

    entries = await journal.entries()
    assert sorted(entries[-30:]) == sorted(map(str, ids))


async def test_what_a_killed_service_did_not_answer_has_one_outcome(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    client, transfer_id = await journal.client(), new_id()
    await client.transfer(new_id(), payer, payee, CZK)
    journal.store.goes_on.clear()

    sending = asyncio.create_task(client.transfer(transfer_id, payer, payee, CZK))
    await journal.store.waits.wait()
    await journal.killed()
    await journal.begin()
    result = await sending

    assert result.is_replayed
    assert (await journal.entries()).count(str(transfer_id)) == 1


async def test_too_large_a_message_ends_the_call_and_hurts_no_other(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    channel = await journal.channel()
    line, call = Line(channel), PostingCall(channel)
    journal.store.goes_on.clear()
    request = pb.PostCommandsRequest(commands=[_transfer(payer, payee)]).SerializeToString()
    other = asyncio.create_task(call.post(request, 10))
    await journal.store.waits.wait()

    with pytest.raises(CallBroken):
        await call.post(bytes(TOO_LARGE), 10)
    journal.store.goes_on.set()
    with pytest.raises(CallBroken):
        await other
    await line.send(1, request)
    again = await line.heard()
    await call.close()

    assert [result.is_replayed for result in again.answered.results] == [True]


async def test_no_more_messages_of_a_call_are_under_way_than_are_allowed(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    line, count = Line(await journal.channel()), 3 * UNDER_WAY_MAX
    journal.store.goes_on.clear()

    for number in range(1, count + 1):
        await line.send(number, [_transfer(payer, payee)])
    await journal.store.waits.wait()
    journal.store.goes_on.set()
    answers = [await line.heard() for _ in range(count)]

    pages = await journal.store.pages()
    assert {answer.number for answer in answers} == set(range(1, count + 1))
    assert max(map(len, pages)) <= UNDER_WAY_MAX


async def test_two_callers_are_told_apart_on_calls_of_their_own(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    wallet, payments = Line(await journal.channel("wallet")), Line(await journal.channel())
    same = _transfer(payer, payee)
    hold = pb.HoldPlacement(hold_id=str(new_id()), account_id=str(payee))
    hold.amount.currency_code, hold.amount.minor_units = "CZK", 1

    await payments.send(1, [same])
    posted = (await payments.heard()).answered.results[0]
    await wallet.send(1, [same])
    refused = (await wallet.heard()).answered.results[0]
    await wallet.send(2, [pb.Command(place_hold=hold)])
    barred = (await wallet.heard()).refused
    await payments.send(2, [pb.Command(place_hold=hold)])
    held = (await payments.heard()).answered.results[0]

    assert not posted.HasField("refusal")
    assert not refused.is_replayed
    assert refused.refusal.reason == "ROUTE_NOT_ALLOWED"
    assert (barred.reason, [each.field for each in barred.violations]) == (
        "PERMISSION_DENIED",
        ["commands[0]"],
    )
    assert not held.HasField("refusal")


async def test_a_caller_that_may_not_post_may_not_open_the_call(run_dir: Path) -> None:
    store = SlowStore()
    policy = {name: who for name, who in POLICY.items() if name.startswith("AccountsService/")}
    policy["AccountsService/PostCommands"] = frozenset({"operator"})
    async with running(store, _now()) as work, AsyncExitStack() as stack:
        database = stack.enter_context(closing(Database.open("sqlite://")))
        rows = Projection(ACCOUNTS_ENTRIES, database, store)
        api = AccountsApi(work.writer, store, database, rows)
        verifier, folder = Verifier(run_dir / "authority" / "token.pub"), run_dir / "identities"
        service = serve(0, [api.binding()], policy, folder / "accounts", verifier=verifier)
        serving = await stack.enter_async_context(service)
        opened = open_channel(f"localhost:{serving.bound_port}", folder / "payments")
        line = Line(await stack.enter_async_context(opened))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await line.heard()

    assert reason_of(ended.value) == "PERMISSION_DENIED"


async def test_the_call_ends_with_the_token_that_opened_it(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    line, late = Line(await journal.channel()), _transfer(payer, payee)
    await line.send(1, [_transfer(payer, payee)])
    await line.heard()

    journal.verifier.passed_s = TOKEN_LIFETIME_S + LEEWAY_S + 60
    await line.send(2, [late])
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await line.heard()

    assert ended.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert late.transfer.transfer_id not in await journal.entries()


async def test_a_client_sends_by_calls_of_their_own_while_the_lasting_one_is_refused(
    journal: Journal,
) -> None:
    payer, payee = await journal.accounts()
    client = await journal.client()
    journal.verifier.passed_s = TOKEN_LIFETIME_S + LEEWAY_S + 60

    with pytest.raises(HefuError) as refused:
        await client.transfer(new_id(), payer, payee, CZK)
    journal.verifier.passed_s = 0
    result = await client.transfer(new_id(), payer, payee, CZK)

    assert refused.value.reason == "UNAUTHENTICATED"
    assert not isinstance(refused.value, Unanswered)
    assert not result.HasField("refusal")


async def test_a_call_that_has_lasted_gives_way_to_the_next(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    call = PostingCall(await journal.channel(), lasts_s=0)
    requests = [
        pb.PostCommandsRequest(commands=[_transfer(payer, payee)]).SerializeToString()
        for _ in range(5)
    ]

    with capture_logs() as said:
        answers = await asyncio.gather(*(call.post(request, 10) for request in requests))
        await call.close()
        await journal.stopping.aclose()

    served = [each["method"] for each in said if each["event"] == "call_served"]
    assert [len(answer.results) for answer in answers] == [1] * 5
    assert served.count(METHOD) >= len(requests)


async def test_a_message_is_told_of_like_a_call(journal: Journal) -> None:
    payer, payee = await journal.accounts()
    line = Line(await journal.channel())

    with capture_logs() as said:
        await line.send(1, [_transfer(payer, payee)])
        await line.heard()
        await line.send(2, b"")
        await line.heard()

    told = [
        (each["method"].rpartition("/")[2], each["caller"], each["code"], each["reason"])
        for each in said
        if each["event"] == "call_served"
    ]
    assert told == [
        ("PostCommands", "service:payments", "OK", ""),
        ("PostCommands", "service:payments", "INVALID_ARGUMENT", "FIELD_INVALID"),
    ]


def test_an_answer_in_bytes_is_the_message() -> None:
    response = pb.PostCommandsResponse(
        results=[pb.CommandResult(command_id=str(n), position=n) for n in range(40)], position=40
    )

    for number in (1, 200, 2**40):
        raw = Continuous().answered(number, response.SerializeToString())
        found = pb.PostCommandsContinuouslyResponse.FromString(raw)
        assert found == pb.PostCommandsContinuouslyResponse(number=number, answered=response)
    refused = pb.PostCommandsContinuouslyResponse.FromString(
        Continuous().refused(3, Refused("QUEUE_FULL", "later"))
    )
    assert (refused.number, refused.refused.reason) == (3, "QUEUE_FULL")
