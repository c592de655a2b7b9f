"""Limits at work: payments denied before any money moves, and reservations settled by their end."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from google.protobuf import json_format

from hefu.payments.v1 import limits_pb2, limits_pb2_grpc
from libs.client import transfer
from libs.decider import Cause
from libs.event_store import Appended, NewEvent, StoreUnavailable
from libs.grpc_client import open_channel
from libs.grpc_errors import violations_of
from libs.memory_store import MemoryStore
from libs.money import Money
from services.payments.__main__ import Payments
from services.payments.domain import limits as d
from services.payments.domain.lifecycle import Begun, Failed, Stage
from services.payments.domain.limit_keeping import FORGOTTEN_MS, due
from services.payments.domain.limits import Limit, Mode, Posture, SetLimits, Span
from services.payments.domain.payment import ReserveRefund
from services.payments.domain.terms import Kind
from services.payments.limits_codec import codec
from tests.services.payments.asking import PAYOUT, SALE, TOP_UP, TRANSFER, ask
from tests.services.payments.conftest import Served
from tests.services.payments.worlds import MERCHANT, OTHER, WALLET, World, payment_id

DAILY = Limit("daily", "", "CZK", Span.DAY, 15_000, None, Mode.ENFORCE, Posture.CLOSED)
ACCOUNT, TENANT = f"account/{WALLET}", "tenant/wallet"


async def _limit(
    parts: Payments, scope: str, *limits: Limit, accounts: tuple[str, ...] = ()
) -> None:
    await parts.limiting.set_limits(scope, SetLimits(limits, accounts), "operator")


async def _scope(parts: Payments, scope: str) -> d.Scope:
    """As stored: what a process remembers may come a moment later."""
    stored = parts.limiting.streams.store.read(f"limit-{scope}")
    return d.limits.fold(d.Scope(), [codec.decode(e.type, e.data) async for e in stored])


async def _settled(parts: Payments, scope: str, stage: d.Stage) -> d.Reservation:
    """The scope's one reservation, once it has come to this stage."""
    async with asyncio.timeout(10):
        async for _ in parts.limiting.streams.store.follow((f"limit-{scope}",)):
            found = list((await _scope(parts, scope)).reservations.values())
            if found and found[-1].stage is stage:
                return found[-1]
    raise AssertionError("a store is followed for ever")


async def _failure(world: World, parts: Payments, id_: str) -> Failed:
    await world.until(id_, "Failed")
    state = (await parts.streams.load(id_)).state
    assert isinstance(state, Begun)
    assert state.failure is not None
    return state.failure


def _funded() -> World:
    world = World()
    world.journal.balances[WALLET] = 100_000
    return world


async def test_what_is_beyond_the_limit_fails_before_any_money_moves() -> None:
    world = _funded()
    async with world.payments() as parts:
        await _limit(parts, ACCOUNT, DAILY)
        first = await ask(world, parts, TRANSFER)
        await world.until(first, "Completed")
        await _settled(parts, ACCOUNT, d.Stage.CONFIRMED)
        postings = len(world.journal.asked)

        second = await ask(world, parts, PAYOUT, number=2)
        failure = await _failure(world, parts, second)

        assert failure.reason == "LIMIT_DENIED"
        assert failure.description == f"{ACCOUNT}, limit daily: 5000 minor units left"
        assert len(world.journal.asked) == postings
    assert world.journal.balances[WALLET] == 90_000


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        (ACCOUNT, PAYOUT),
        (ACCOUNT, TOP_UP),
        (f"merchant/{MERCHANT}", SALE),
        (TENANT, TRANSFER),
        ("customer/ann", TRANSFER),
    ],
)
async def test_each_scope_counts_its_payments(scope: str, kind: Kind) -> None:
    world = _funded()
    async with world.payments() as parts:
        accounts = (WALLET,) if scope.startswith("customer") else ()
        await _limit(parts, scope, replace(DAILY, amount_max=9_999), accounts=accounts)
        await _limit(parts, f"account/{OTHER}", replace(DAILY, amount_max=0))
        failure = await _failure(world, parts, await ask(world, parts, kind))
        assert failure.reason == "LIMIT_DENIED"
        assert failure.description.startswith(scope)
    assert world.journal.asked == []


async def test_several_scopes_are_reserved_together_or_not_at_all() -> None:
    world = _funded()
    async with world.payments() as parts:
        await _limit(parts, ACCOUNT, DAILY)
        await _limit(parts, TENANT, replace(DAILY, amount_max=1))
        id_ = await ask(world, parts, TRANSFER)
        assert (await _failure(world, parts, id_)).reason == "LIMIT_DENIED"
        given_back = await _settled(parts, ACCOUNT, d.Stage.RELEASED)
        assert given_back.cause == "DENIED"
        assert d.left_of(DAILY, await _scope(parts, ACCOUNT), world.journal.today, 0)[0] == 15_000


async def test_a_payment_that_fails_gives_its_reservation_back() -> None:
    world = World()  # there is no money in the wallet
    async with world.payments() as parts:
        await _limit(parts, ACCOUNT, DAILY)
        failure = await _failure(world, parts, await ask(world, parts, TRANSFER))
        assert failure.reason == "BALANCE_TOO_LOW"
        assert (await _settled(parts, ACCOUNT, d.Stage.RELEASED)).cause == "FAILED"


async def test_advice_lets_through_and_is_written_down() -> None:
    world = _funded()
    async with world.payments() as parts:
        await _limit(parts, ACCOUNT, replace(DAILY, amount_max=1, mode=Mode.ADVISORY))
        await world.until(await ask(world, parts, TRANSFER), "Completed")
        made = await _settled(parts, ACCOUNT, d.Stage.CONFIRMED)
        assert made.made.exceeded == ("daily",)


async def test_limits_and_reservations_outlive_the_process() -> None:
    world = _funded()
    world.journal.cut_after = 0
    async with world.payments() as parts:
        await _limit(parts, ACCOUNT, DAILY)
        first = await ask(world, parts, PAYOUT)
        await world.journal.was_cut.wait()
    async with world.payments() as parts:
        await world.until(first, "EnteredWindow")
        second = await ask(world, parts, TRANSFER, number=2)
        assert (await _failure(world, parts, second)).reason == "LIMIT_DENIED"
        await world.banks.decided(first, "REFUSED", reason="AC01")
        await world.until(first, "Failed")
        released = await _settled(parts, ACCOUNT, d.Stage.RELEASED)
        assert released.made.payment_id == first
        third = await ask(world, parts, TRANSFER, number=3)
        await world.until(third, "Completed")


async def test_a_refund_gives_back_to_the_limits_that_say_so() -> None:
    world = _funded()
    restoring = replace(DAILY, restore_on_refund=True)
    async with world.payments() as parts:
        await _limit(parts, ACCOUNT, restoring)
        sale = await ask(world, parts, SALE)
        await world.until(sale, "Completed")
        refund = ReserveRefund("018f0000-0000-7000-8000-0000000000ff", None, "", "wallet", 0)
        request = replace(refund, request_ms=world.now_us // 1_000)
        await parts.streams.transact(sale, request, Cause("refund"))
        parts.driver.wake(sale)
        await world.until(sale, "RefundCompleted")
        async with asyncio.timeout(10):
            async for _ in world.store.follow((f"limit-{ACCOUNT}",)):
                if (await _scope(parts, ACCOUNT)).reservations[sale].restored:
                    break
        left = d.left_of(restoring, await _scope(parts, ACCOUNT), world.journal.today, 0)
        assert left[0] == 15_000


class DeafToLimits(MemoryStore):
    """A store that does not answer for limits, once told so."""

    is_deaf = False

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if self.is_deaf and stream.startswith("limit-"):
            raise StoreUnavailable("not for limits")
        return await super().append(stream, events, expected)


@pytest.mark.parametrize(
    ("posture", "last"), [(Posture.OPEN, "Completed"), (Posture.CLOSED, "Failed")]
)
async def test_a_limit_that_is_not_known_does_as_its_posture_says(
    posture: Posture, last: str
) -> None:
    store = DeafToLimits()
    world = World(store=store)
    world.journal.balances[WALLET] = 100_000
    async with world.payments() as parts:
        await _limit(parts, ACCOUNT, replace(DAILY, posture=posture))
        store.is_deaf = True
        id_ = await ask(world, parts, TRANSFER)
        names = await world.until(id_, last)
        assert names[-1] == last
        if last == "Failed":
            failure = await _failure(world, parts, id_)
            assert failure.reason == "LIMIT_DENIED"
            assert "not known" in failure.description


KEPT = [
    (Stage.HELD, False),
    (Stage.WITH_BANK, False),
    (Stage.WITH_BANK, True),
    (Stage.REQUESTED, True),
    (Stage.CONFIRMED, False),
    (Stage.REFUSED, False),
]


@pytest.mark.parametrize(("stage", "is_in_doubt"), KEPT)
async def test_what_is_held_in_transit_or_in_doubt_keeps_its_reservation(
    stage: Stage, *, is_in_doubt: bool
) -> None:
    world = _funded()
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "EnteredWindow")
        state = (await parts.streams.load(id_)).state
    assert isinstance(state, Begun)
    waiting = replace(state, stage=stage, is_in_doubt=is_in_doubt)
    assert due(id_, 0, waiting, 1_000 * FORGOTTEN_MS) is None
    forgotten = replace(state, stage=Stage.REQUESTED)
    assert due(id_, 0, forgotten, FORGOTTEN_MS - 1) is None
    assert due(id_, 0, forgotten, FORGOTTEN_MS) == d.Release(id_, d.TIMED_OUT)


# One file each under tests/golden/payments, never edited.
EVENTS: dict[str, tuple[d.Event, type]] = {
    "limits_set": (
        d.LimitsSet((DAILY, replace(DAILY, name="b", kind="payout", count_max=0)), ("a",)),
        limits_pb2.LimitsSet,
    ),
    "limits_unset": (d.LimitsSet((), ()), limits_pb2.LimitsSet),
    "limit_reserved": (
        d.Reserved("p", "payout", "CZK", 5, "2026-09-21", 7, ("daily",)),
        limits_pb2.LimitReserved,
    ),
    "limit_denied": (d.Denied("p", "daily", -1, 0, 7), limits_pb2.LimitDenied),
    "limit_confirmed": (d.Confirmed("p", 0), limits_pb2.LimitConfirmed),
    "limit_released": (d.Released("p", "FAILED"), limits_pb2.LimitReleased),
    "limit_restored": (d.Restored("p", "r", 5), limits_pb2.LimitRestored),
}


@pytest.mark.parametrize("name", EVENTS)
def test_what_is_stored_reads_back_and_is_what_protobuf_writes(name: str, root: Path) -> None:
    event, message = EVENTS[name]
    type_, data = codec.encode(event)
    assert data == (root / "tests" / "golden" / "payments" / f"{name}.v1.json").read_bytes()
    assert codec.decode(type_, data) == event
    parsed = json_format.Parse(data, message())
    assert type_ == parsed.DESCRIPTOR.full_name
    again = json_format.MessageToJson(parsed, preserving_proto_field_name=True)
    assert codec.decode(type_, again.encode()) == event


async def test_an_operator_sets_limits_and_sees_what_is_left(served: Served, run_dir: Path) -> None:
    served.world.journal.balances[WALLET] = 100_000
    limit = limits_pb2.Limit(
        name="daily",
        currency_code="CZK",
        span=limits_pb2.LIMIT_SPAN_DAY,
        amount_max_minor=15_000,
        mode=limits_pb2.LIMIT_MODE_ENFORCE,
        posture=limits_pb2.LIMIT_POSTURE_CLOSED,
    )
    setting = limits_pb2.SetLimitsRequest(scope=ACCOUNT, limits=[limit])
    async with AsyncExitStack() as stack:
        stubs = []
        for name in ("operator", "wallet"):
            channel = open_channel(f"localhost:{served.port}", run_dir / "identities" / name)
            stubs.append(
                limits_pb2_grpc.LimitsServiceStub(await stack.enter_async_context(channel))
            )
        operator, wallet = stubs
        await operator.SetLimits(setting, timeout=30)
        await served.wallet.create(payment_id(1), transfer(WALLET, OTHER, Money("CZK", 10_000)))
        await served.wallet.wait(payment_id(1))
        await served.wallet.create(payment_id(2), transfer(WALLET, OTHER, Money("CZK", 10_000)))
        failed = await served.wallet.wait(payment_id(2))
        got = await operator.GetLimits(limits_pb2.GetLimitsRequest(scope=ACCOUNT), timeout=30)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await wallet.SetLimits(setting, timeout=30)
        limit.count_max = 1
        limit.span = limits_pb2.LIMIT_SPAN_SINGLE
        bad = limits_pb2.SetLimitsRequest(scope=ACCOUNT, limits=[limit])
        with pytest.raises(grpc.aio.AioRpcError) as wrong:
            await operator.SetLimits(bad, timeout=30)

    assert failed.failure_reason == "LIMIT_DENIED"
    assert [each.left_minor for each in got.limits] == [5_000]
    assert got.business_date == served.world.journal.today
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert [v.field for v in violations_of(wrong.value)] == ["limits[0].count_max"]
