"""Holds captured around the page of their deadline: the deadline wins, the same on every replay."""

import random

import pytest

from services.accounts.domain.book import End
from services.accounts.domain.entries import CommandRefused, Entry, HoldCaptured, HoldExpired
from services.accounts.domain.kinds import Kind
from tests.services.accounts.desk import PAYMENTS, Desk


def _captured_around_the_deadline(holds: int, replays: int, seed: int) -> None:
    pick = random.Random(seed)  # noqa: S311 - a seed makes the run the same each time
    desk = Desk()
    wallet, merchant = desk.account(funds=10 * holds), desk.account(Kind.MERCHANT)
    tried: dict[str, int] = {}
    due: dict[int, list[str]] = {}
    for second in range(holds // 20 + 8):
        if second:
            desk.turn_page(1)
        for hold_id in due.pop(second, []):
            decision = desk.do(desk.capturing(hold_id, 10, merchant))
            assert isinstance(decision, Entry)
            is_lapsed = tried[hold_id] <= second
            if is_lapsed:
                assert isinstance(decision.fact, CommandRefused)
                assert decision.fact.reason == "HOLD_EXPIRED"
            else:
                assert isinstance(decision.fact, HoldCaptured)
        for _ in range(20 if len(tried) < holds else 0):
            seconds = pick.randint(2, 5)
            placing = desk.placing(wallet, 10, pick.choice(["", merchant]), seconds)
            hold_id = desk.posted(placing).command_id
            tried[hold_id] = second + seconds
            due.setdefault(second + seconds + pick.choice([-1, 0, 1]), []).append(hold_id)
    assert not due

    ends = [desk.book.holds[PAYMENTS.name, hold_id].end for hold_id in tried]
    lapsed = [e for page in desk.pages for e in page if isinstance(e.fact, HoldExpired)]
    assert len(tried) == holds
    assert ends.count(End.EXPIRED) == len(lapsed)
    assert 0 < ends.count(End.CAPTURED) < holds
    assert desk.figures(wallet)[1:] == (0, desk.figures(wallet)[0])
    for _ in range(replays):
        assert desk.replayed() == desk.book


def test_a_capture_on_the_page_of_the_deadline_loses() -> None:
    _captured_around_the_deadline(400, 3, seed=1)


@pytest.mark.full
@pytest.mark.timeout(1_800)
def test_10_000_captures_around_the_deadline_are_the_same_on_20_replays() -> None:
    _captured_around_the_deadline(10_000, 20, seed=2)
