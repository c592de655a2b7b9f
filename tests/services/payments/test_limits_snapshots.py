"""Years of payments against one limit: what is kept stays small, and a start reads little of it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

import orjson
import pytest

from libs.decider import Cause
from libs.event_store import NewEvent, StoredEvent
from libs.ids import named_id
from libs.memory_store import MemoryStore
from services.payments.domain import limits as d
from services.payments.domain.limits import Limit, Mode, Posture, Span, left_of
from services.payments.limiting import LimitStreams
from services.payments.limits_codec import codec
from services.payments.limits_snapshots import EVERY, TYPE, LimitsSnapshots, decode, encode

SCOPE = "tenant/wallet"
STREAM = f"limit-{SCOPE}"
DAY_MS = 24 * 60 * 60 * 1_000
SPANS = [
    Limit(span.name, "", "CZK", span, 10**12, 10**6, Mode.ENFORCE, Posture.CLOSED)
    for span in (Span.DAY, Span.MONTH, Span.ROLLING_24H)
]


class Counting(MemoryStore):
    """How many events of the scope's own stream were read."""

    def __init__(self) -> None:
        super().__init__()
        self.events_read = 0

    async def read(self, stream: str, from_revision: int = 0) -> AsyncIterator[StoredEvent]:
        async for stored in super().read(stream, from_revision):
            self.events_read += stream == STREAM
            yield stored


class Desk:
    """A process that answers for one scope."""

    def __init__(self, store: MemoryStore, every: int = EVERY) -> None:
        self.snapshots = LimitsSnapshots(store, every)
        self.streams = LimitStreams(
            store, "limit", d.limits, codec, origin_of=self.snapshots.origin_of
        )

    async def do(self, command: d.Command, key: str) -> d.Scope:
        done = await self.streams.transact(SCOPE, command, Cause(key))
        await self.snapshots.offer(SCOPE, done.state, done.revision, len(done.events))
        return done.state

    async def pay(self, n: int, minor: int, day: date, at_ms: int, *, fails: bool) -> d.Scope:
        id_ = f"payment-{n}"
        reserve = d.Reserve(id_, "payout", "CZK", minor, day.isoformat(), at_ms)
        await self.do(reserve, f"{n}/reserve")
        end = d.Release(id_, "FAILED") if fails else d.Confirm(id_, minor)
        return await self.do(end, f"{n}/end")


async def _years(store: MemoryStore, days: int) -> list[tuple[date, int, int]]:
    """Payments of so many days, some of which fail; what those that counted were."""
    random = Random(7)  # noqa: S311 - a history that can be told again
    desk, counted = Desk(store, every=100), []
    await desk.do(d.SetLimits(tuple(SPANS)), "set")
    first = date(2026, 1, 1)
    for n in range(days * 3):
        day, at_ms = first + timedelta(days=n // 3), (n // 3) * DAY_MS + (n % 3) * 1_000
        minor, fails = random.randint(1, 999), random.random() < 0.2
        state = await desk.pay(n, minor, day, at_ms, fails=fails)
        if not fails:
            counted.append((day, at_ms, minor))
        assert len(state.reservations) <= 8
        assert len(state.totals) <= d.KEPT_DAYS + 2
    return counted


async def test_two_years_count_as_they_were_and_little_is_kept_or_read() -> None:
    store = Counting()
    counted = await _years(store, 2 * 365)
    store.events_read = 0

    state = (await Desk(store).streams.load(SCOPE)).state

    assert store.events_read <= 100 + 2, "of some 4,400 events"
    today, now_ms = counted[-1][0], counted[-1][1] + 1
    month = [minor for day, _, minor in counted if day.isoformat()[:7] == today.isoformat()[:7]]
    expected = {
        Span.DAY: [minor for day, _, minor in counted if day == today],
        Span.MONTH: month,
        Span.ROLLING_24H: [m for _, at_ms, m in counted if at_ms > now_ms - d.ROLLING_MS],
    }
    for limit in SPANS:
        minors = expected[limit.span]
        left = left_of(limit, state, today.isoformat(), now_ms)
        assert left == (10**12 - sum(minors), 10**6 - len(minors)), limit.name
    whole = d.Scope()
    async for stored in store.read(STREAM):
        whole = d.limits.evolve(whole, codec.decode(stored.type, stored.data))
    assert state == whole


async def test_what_may_still_be_restored_is_kept_one_by_one() -> None:
    store = MemoryStore()
    desk = Desk(store, every=2)
    restoring = replace(SPANS[1], restore_on_refund=True)
    await desk.do(d.SetLimits((restoring,)), "set")
    for n in range(5):
        await desk.pay(n, 100, date(2026, 3, 1 + n), n * DAY_MS, fails=False)

    await Desk(store).do(d.Restore("payment-0", "refund", 60), "refund")

    state = (await Desk(store).streams.load(SCOPE)).state
    assert left_of(restoring, state, "2026-03-05", 5 * DAY_MS)[0] == 10**12 - 440


@pytest.mark.parametrize("data", [b"{}", b'{"revision": "2"}'])
async def test_a_snapshot_that_is_none_is_as_if_there_were_none(data: bytes) -> None:
    store = Counting()
    await _years(store, 5)
    snapshots = f"limit_snapshot-{SCOPE}"
    last = await store.read_last(snapshots)
    new = [NewEvent(named_id("none"), TYPE, data, {})]
    await store.append(snapshots, new, -1 if last is None else last.revision)
    assert len((await Desk(store).streams.load(SCOPE)).state.reservations) > 0


async def test_a_snapshot_of_another_history_is_not_used() -> None:
    store = Counting()
    await _years(store, 20)
    origin = await LimitsSnapshots(store).origin_of(SCOPE)
    assert origin is not None
    foreign = encode(replace(origin, event_id=str(named_id("another")), state=d.Scope()))
    snapshots = f"limit_snapshot-{SCOPE}"
    last = await store.read_last(snapshots)
    assert last is not None
    await store.append(snapshots, [NewEvent(named_id("x"), TYPE, foreign, {})], last.revision)

    assert (await Desk(store).streams.load(SCOPE)).state.limits == tuple(SPANS)


async def test_the_stored_form_is_what_it_always_was(root: Path) -> None:
    golden = root / "tests" / "golden" / "payments" / "limits_snapshot_taken.v1.json"
    body = orjson.loads(golden.read_bytes())
    assert orjson.loads(encode(decode(body))) == body
