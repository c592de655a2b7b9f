"""Limits: what they let through, what counts, and that each call can be made again."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.decider import Rejected
from services.payments.domain.limits import (
    KEPT_MS,
    ROLLING_MS,
    TIMED_OUT,
    Command,
    Confirm,
    Denied,
    Event,
    Limit,
    LimitsSet,
    Mode,
    Posture,
    Reason,
    Release,
    Reserve,
    Reserved,
    Restore,
    Restored,
    Scope,
    SetLimits,
    Span,
    Stage,
    left_of,
    limits,
)

DAY, NEXT_DAY, NEXT_MONTH = "2026-09-29", "2026-09-30", "2026-10-01"
DAILY = Limit("daily", "", "CZK", Span.DAY, 1_000, 3, Mode.ENFORCE, Posture.CLOSED)
MONTHLY = replace(DAILY, name="monthly", span=Span.MONTH, amount_max=1_500, count_max=None)
ROLLING = replace(DAILY, name="rolling", span=Span.ROLLING_24H, amount_max=700, count_max=None)
SINGLE = replace(DAILY, name="single", span=Span.SINGLE, amount_max=500, count_max=None)


class Desk:
    """One scope, told commands; each is told twice."""

    def __init__(self, *of: Limit) -> None:
        self.scope = Scope()
        self._ids = count(1)
        self.do(SetLimits(of))

    def do(self, command: Command) -> list[Event]:
        events = list(limits.decide(command, self.scope))
        self.scope = limits.fold(self.scope, events)
        assert list(limits.decide(command, self.scope)) == []
        return events

    def reserve(
        self,
        minor: int,
        day: str = DAY,
        at_ms: int = 0,
        kind: str = "payout",
        currency: str = "CZK",
    ) -> tuple[str, Event | None]:
        payment_id = f"payment-{next(self._ids)}"
        events = self.do(Reserve(payment_id, kind, currency, minor, day, at_ms))
        return payment_id, events[0] if events else None

    def granted(self, minor: int, day: str = DAY, at_ms: int = 0, kind: str = "payout") -> str:
        payment_id, event = self.reserve(minor, day, at_ms, kind)
        assert isinstance(event, Reserved), event
        return payment_id

    def denied(self, minor: int, day: str = DAY, at_ms: int = 0) -> Denied:
        _, event = self.reserve(minor, day, at_ms)
        assert isinstance(event, Denied), event
        return event


def test_a_day_has_an_amount_and_a_count() -> None:
    desk = Desk(DAILY)
    desk.granted(600)
    said_no = desk.denied(401)
    assert (said_no.limit, said_no.left_minor, said_no.left_count) == ("daily", 400, 2)
    desk.granted(399)
    desk.granted(1)
    assert desk.denied(1).left_count == 0
    desk.granted(1_000, NEXT_DAY)


def test_a_month_a_single_payment_and_24_hours() -> None:
    desk = Desk(SINGLE, MONTHLY, ROLLING)
    assert desk.denied(501).limit == "single"
    desk.granted(500, DAY, 0)
    assert desk.denied(201, NEXT_DAY, ROLLING_MS - 1).limit == "rolling"
    desk.granted(500, NEXT_DAY, ROLLING_MS)
    desk.granted(500, NEXT_DAY, 2 * ROLLING_MS)
    assert desk.denied(1, NEXT_DAY, 3 * ROLLING_MS).limit == "monthly"
    desk.granted(500, NEXT_MONTH, 3 * ROLLING_MS)


def test_only_payments_of_its_kind_and_currency_count() -> None:
    desk = Desk(replace(DAILY, kind="payout", amount_max=100))
    assert desk.reserve(5_000, kind="transfer")[1] is None
    assert desk.reserve(5_000, currency="EUR")[1] is None
    desk.granted(100)
    desk.denied(1)


def test_off_says_nothing_and_advisory_says_it_and_lets_through() -> None:
    off = Desk(replace(DAILY, mode=Mode.OFF))
    assert off.reserve(5_000)[1] is None
    desk = Desk(replace(DAILY, mode=Mode.ADVISORY), replace(DAILY, name="other", amount_max=9_000))
    _, event = desk.reserve(5_000)
    assert isinstance(event, Reserved)
    assert event.exceeded == ("daily",)


def test_a_reservation_counts_in_its_own_day_even_if_confirmed_on_the_next() -> None:
    desk = Desk(DAILY)
    payment_id = desk.granted(600)
    desk.do(Confirm(payment_id, 600))
    assert left_of(DAILY, desk.scope, DAY, 0) == (400, 2)
    assert left_of(DAILY, desk.scope, NEXT_DAY, 0) == (1_000, 3)


def test_what_was_reserved_and_not_moved_is_given_back() -> None:
    desk = Desk(DAILY)
    first, second = desk.granted(600), desk.granted(400)
    desk.do(Confirm(first, 150))
    desk.do(Release(second, "FAILED"))
    assert left_of(DAILY, desk.scope, DAY, 0) == (850, 2)


def test_a_denial_stands_and_is_no_reservation() -> None:
    desk = Desk(DAILY)
    first = desk.granted(900)
    said_no = desk.denied(200)
    desk.do(Release(first, "FAILED"))
    again = Reserve(said_no.payment_id, "payout", "CZK", 200, DAY, 0)
    assert desk.do(again) == []
    assert said_no.payment_id not in desk.scope.reservations
    desk.do(Release(said_no.payment_id, "FAILED"))


def test_one_taken_for_forgotten_may_come_back() -> None:
    desk = Desk(DAILY)
    first, second = desk.granted(300), desk.granted(300)
    for payment_id in (first, second):
        desk.do(Release(payment_id, TIMED_OUT))
    desk.do(Confirm(first, 300))
    assert desk.scope.reservations[first].stage is Stage.CONFIRMED
    reserve = Reserve(second, "payout", "CZK", 300, NEXT_DAY, 5)
    assert len(desk.do(reserve)) == 1
    assert left_of(DAILY, desk.scope, NEXT_DAY, 5) == (700, 2)


def test_a_refund_restores_only_the_limits_that_say_so() -> None:
    restoring = replace(DAILY, name="restoring", restore_on_refund=True)
    desk = Desk(DAILY, restoring)
    payment_id = desk.granted(600)
    assert desk.do(Restore(payment_id, "r0", 5)) == []
    desk.do(Confirm(payment_id, 600))
    desk.do(Restore(payment_id, "r1", 200))
    assert desk.do(Restore(payment_id, "r2", 9_000)) == [Restored(payment_id, "r2", 400)]
    assert left_of(restoring, desk.scope, DAY, 0) == (1_000, 3)
    assert left_of(DAILY, desk.scope, DAY, 0) == (400, 2)


def test_what_has_ended_long_ago_is_forgotten() -> None:
    desk = Desk(DAILY)
    old, waiting = desk.granted(1), desk.granted(1)
    desk.do(Confirm(old, 1))
    desk.granted(1, NEXT_MONTH, KEPT_MS)
    assert old not in desk.scope.reservations
    assert waiting in desk.scope.reservations


REFUSED: list[tuple[Reason, Callable[[Desk, str], Command]]] = [
    (Reason.RESERVATION_NOT_FOUND, lambda _, __: Confirm("nobody", 1)),
    (Reason.CONFIRM_EXCEEDS_RESERVED, lambda _, id_: Confirm(id_, 601)),
    (Reason.IDEMPOTENCY_KEY_REUSED, lambda _, id_: Reserve(id_, "payout", "CZK", 5, DAY, 0)),
    (Reason.AMOUNT_NOT_POSITIVE, lambda _, __: Reserve("new", "payout", "CZK", 0, DAY, 0)),
    (Reason.FIELD_NOT_ALLOWED, lambda _, __: SetLimits((DAILY, DAILY))),
    (Reason.FIELD_NOT_ALLOWED, lambda _, __: SetLimits((replace(SINGLE, count_max=1),))),
    (
        Reason.FIELD_NOT_ALLOWED,
        lambda _, __: SetLimits((replace(DAILY, amount_max=None, count_max=None),)),
    ),
    (Reason.CURRENCY_UNKNOWN, lambda _, __: SetLimits((replace(DAILY, currency="XXX"),))),
    (Reason.AMOUNT_OUT_OF_RANGE, lambda _, __: SetLimits((replace(DAILY, amount_max=-1),))),
]


@pytest.mark.parametrize(("reason", "command"), REFUSED)
def test_refused(reason: Reason, command: Callable[[Desk, str], Command]) -> None:
    desk = Desk(DAILY)
    payment_id = desk.granted(600)
    with pytest.raises(Rejected) as caught:
        limits.decide(command(desk, payment_id), desk.scope)
    assert caught.value.reason is reason


def test_released_is_not_confirmed_and_confirmed_is_not_released() -> None:
    desk = Desk(DAILY)
    first, second = desk.granted(5), desk.granted(5)
    desk.do(Confirm(first, 5))
    desk.do(Release(second, "FAILED"))
    for command, reason in (
        (Release(first, "FAILED"), Reason.RESERVATION_CONFIRMED),
        (Confirm(first, 4), Reason.RESERVATION_CONFIRMED),
        (Confirm(second, 5), Reason.RESERVATION_RELEASED),
    ):
        with pytest.raises(Rejected) as caught:
            limits.decide(command, desk.scope)
        assert caught.value.reason is reason


def test_setting_the_same_again_records_nothing() -> None:
    desk = Desk(DAILY)
    assert limits.decide(SetLimits((DAILY,)), desk.scope) == []
    assert limits.decide(SetLimits(()), desk.scope) == [LimitsSet((), ())]


ACTS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 700), st.integers(0, 9), st.integers(0, 3)),
    max_size=40,
)


@settings(max_examples=200)
@given(ACTS)
def test_nothing_enforced_is_ever_exceeded(acts: list[tuple[int, int, int, int]]) -> None:
    """Each act: what, how much, on which of the last payments, how many hours on."""
    desk, now_ms, made = Desk(DAILY, MONTHLY, ROLLING, SINGLE), 0, list[str]()
    # What counts, kept for ever and one by one: day, time, minor units.
    kept: dict[str, tuple[str, int, int]] = {}
    for what, minor, which, hours in acts:
        now_ms += hours * 3_600_000
        day = f"2026-09-{1 + now_ms // ROLLING_MS:02d}"
        target = made[which % len(made)] if made else ""
        standing = desk.scope.reservations.get(target)
        if what == 0 or standing is None:
            payment_id, event = desk.reserve(minor, day, now_ms)
            if isinstance(event, Reserved):
                made.append(payment_id)
                kept[payment_id] = day, now_ms, minor
        elif what == 1 and standing.stage is Stage.RESERVED:
            moved = min(minor, standing.minor)
            desk.do(Confirm(target, moved))
            kept[target] = (*kept[target][:2], moved)
        elif what == 2 and standing.stage is Stage.RESERVED:
            desk.do(Release(target, "FAILED"))
            del kept[target]
        for limit, most in ((DAILY, 1_000), (MONTHLY, 1_500), (ROLLING, 700)):
            counted = [
                counts
                for made_on, made_ms, counts in kept.values()
                if (limit is DAILY and made_on == day)
                or (limit is MONTHLY and made_on[:7] == day[:7])
                or (limit is ROLLING and made_ms > now_ms - ROLLING_MS)
            ]
            assert sum(counted) <= most
            left, _ = left_of(limit, desk.scope, day, now_ms)
            assert left == most - sum(counted)
