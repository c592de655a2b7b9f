"""Stories of advances: only a bank's word pays, and its limit holds whatever happens."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.decider import Rejected
from services.funds.domain import advance as adv
from services.funds.domain import facility as fac
from tests.scenario import Scenario

desk = Scenario(fac.facility)
TERMS = fac.Terms("CD", "CZK", "FAST1", 10_000_00)
OPENED = fac.Opened(TERMS, "olga")
RESERVED = fac.Reserved("a1", 6_000_00)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], fac.OpenFacility(TERMS, "olga"), [OPENED]),
        ([OPENED], fac.Reserve("a1", 6_000_00), [RESERVED]),
        ([OPENED, RESERVED], fac.Reserve("a2", 4_000_00), [fac.Reserved("a2", 4_000_00)]),
        ([OPENED, RESERVED], fac.Release("a1"), [fac.Released("a1")]),
        (
            [OPENED, RESERVED],
            fac.OpenFacility(replace(TERMS, limit_minor=6_000_00), "petr"),
            [fac.LimitChanged(6_000_00, "petr")],
        ),
        ([OPENED], fac.CloseFacility("olga"), [fac.Closed("olga")]),
    ],
)
def test_a_facility_is_drawn_on_and_paid_back(
    history: list[fac.Event], command: fac.Command, events: list[fac.Event]
) -> None:
    desk.given(history).when(command).then(events)


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([], fac.OpenFacility(replace(TERMS, limit_minor=0), "o"), fac.Reason.AMOUNT_NOT_POSITIVE),
        ([], fac.Reserve("a1", 1), fac.Reason.FACILITY_NOT_FOUND),
        ([OPENED], fac.Reserve("a1", 0), fac.Reason.AMOUNT_NOT_POSITIVE),
        ([OPENED, RESERVED], fac.Reserve("a2", 4_000_01), fac.Reason.FACILITY_EXHAUSTED),
        ([OPENED, RESERVED], fac.Reserve("a1", 5), fac.Reason.IDEMPOTENCY_KEY_REUSED),
        (
            [OPENED, RESERVED, fac.Released("a1")],
            fac.Reserve("a1", 6_000_00),
            fac.Reason.IDEMPOTENCY_KEY_REUSED,
        ),
        ([OPENED, fac.Closed("o")], fac.Reserve("a1", 1), fac.Reason.FACILITY_CLOSED),
        ([OPENED], fac.Release("a9"), fac.Reason.ADVANCE_NOT_FOUND),
        (
            [OPENED, RESERVED],
            fac.OpenFacility(replace(TERMS, limit_minor=5_999_99), "o"),
            fac.Reason.FACILITY_DRAWN,
        ),
        (
            [OPENED],
            fac.OpenFacility(replace(TERMS, bank_account="X"), "o"),
            fac.Reason.FACILITY_TERMS_FIXED,
        ),
    ],
)
def test_a_facility_refuses_what_it_has_not(
    history: list[fac.Event], command: fac.Command, reason: fac.Reason
) -> None:
    desk.given(history).when(command).then_rejected(reason)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 8_000_00))))
def test_what_is_drawn_never_exceeds_the_limit(steps: list[tuple[bool, int, int]]) -> None:
    state = fac.facility.fold(fac.Absent(), [OPENED])
    for is_draw, n, amount in steps:
        command = fac.Reserve(f"a{n}", amount) if is_draw else fac.Release(f"a{n}")
        try:
            state = fac.facility.fold(state, fac.decide(command, state))
        except Rejected:
            continue
        assert isinstance(state, fac.Open)
        assert 0 <= sum(state.advances.values()) == state.used_minor <= TERMS.limit_minor


story = Scenario(adv.advance)
ASK = adv.Terms("o1", "CD", "CZK", "w1", "HFTA", 6_000_00)
REQUESTED = adv.Requested("o1", ASK)
HEADROOM, DRAWING, DRAWN = adv.HeadroomReserved(), adv.DrawRequested("d1"), adv.Drawn("B1")
PAID, ARRIVED = adv.Paid(9), adv.ProceedsArrived(6_000_00, "pull-1")
REPAYING, REPAID = adv.RepayRequested("r1", 6_000_00), adv.Repaid("r1")
LIFE: list[adv.Event] = [
    REQUESTED,
    HEADROOM,
    DRAWING,
    DRAWN,
    PAID,
    ARRIVED,
    REPAYING,
    REPAID,
    adv.HeadroomReleased(),
]
STEPS = [
    adv.Action.RESERVE_HEADROOM,
    adv.Action.REQUEST_DRAW,
    adv.Action.AWAIT_DRAW,
    adv.Action.PAY_WALLET,
    None,
    adv.Action.REPAY,
    adv.Action.AWAIT_REPAY,
    adv.Action.RELEASE_HEADROOM,
    None,
]


@pytest.mark.parametrize("place", range(len(LIFE)))
def test_an_advance_goes_from_the_banks_money_to_its_repayment(place: int) -> None:
    history = LIFE[: place + 1]

    assert adv.next_step(story.given(history).state) == STEPS[place]
    if place + 1 < len(LIFE):
        fact = LIFE[place + 1]
        assert not isinstance(fact, adv.Requested | adv.IncomeDue)
        story.given(history).when(adv.Record(fact)).then([fact])


@pytest.mark.parametrize("place", range(1, len(LIFE)))
def test_what_is_told_again_later_records_nothing(place: int) -> None:
    fact = LIFE[place]
    assert not isinstance(fact, adv.Requested | adv.IncomeDue)
    for end in range(place + 1, len(LIFE) + 1):
        story.given(LIFE[:end]).when(adv.Record(fact)).then_nothing()


def test_an_unknown_draw_keeps_its_reservation_and_pays_nobody() -> None:
    doubted = adv.DrawDoubted("no answer")
    history = [*LIFE[:3], doubted]

    story.given(LIFE[:3]).when(adv.Record(doubted)).then([doubted])
    state = story.given(history).state
    assert adv.next_step(state) is adv.Action.AWAIT_DRAW
    story.given(history).when(adv.Record(PAID)).then_rejected(adv.Reason.ADVANCE_STATE)
    story.given(history).when(adv.Record(DRAWN)).then([DRAWN])


@pytest.mark.parametrize(
    ("history", "step"),
    [
        # The facility had no room: there is nothing to give back.
        ([REQUESTED], None),
        ([REQUESTED, HEADROOM], adv.Action.RELEASE_HEADROOM),
        ([REQUESTED, HEADROOM, DRAWING], adv.Action.RELEASE_HEADROOM),
    ],
)
def test_what_is_refused_gives_its_headroom_back(
    history: list[adv.Event], step: adv.Action | None
) -> None:
    refused = adv.Refused("EXHAUSTED")

    after = story.given(history).when(adv.Record(refused)).then([refused])

    assert adv.next_step(after) is step


def test_a_repayment_that_fails_is_asked_for_anew() -> None:
    failed = adv.RepayFailed("r1", "AC04")
    history = [*LIFE[:7], failed]

    story.given(LIFE[:7]).when(adv.Record(failed)).then([failed])
    assert adv.next_step(story.given(history).state) is adv.Action.REPAY
    story.given(history).when(adv.Record(adv.RepayRequested("r2", 6_000_00))).then(
        [adv.RepayRequested("r2", 6_000_00)]
    )


def test_proceeds_that_come_in_parts_repay_when_all_is_there() -> None:
    first, second = adv.ProceedsArrived(2_000_00, "p1"), adv.ProceedsArrived(4_000_00, "p2")

    assert adv.next_step(story.given([*LIFE[:5], first]).state) is None
    assert adv.next_step(story.given([*LIFE[:5], first, second]).state) is adv.Action.REPAY


def test_an_advance_has_one_outcome_for_ever() -> None:
    story.when(adv.Request("o1", ASK)).then([REQUESTED])
    story.given(LIFE).when(adv.Request("o1", ASK)).then_nothing()
    other = adv.Request("o1", replace(ASK, amount_minor=1))
    story.given(LIFE).when(other).then_rejected(adv.Reason.IDEMPOTENCY_KEY_REUSED)
    story.when(adv.Record(PAID)).then_rejected(adv.Reason.ADVANCE_NOT_FOUND)


INCOME = adv.IncomeOwed(57)
EARNED: list[adv.Event] = [
    *LIFE[:5],
    INCOME,
    *LIFE[5:],
    adv.IncomeDue(57),
    adv.IncomeRequested("i1", 57),
    adv.IncomeArrived("i1"),
    adv.IncomePayRequested("i2", 57),
    adv.IncomePaid("i2"),
]
EARNED_STEPS = [
    adv.Action.REQUEST_INCOME,
    adv.Action.AWAIT_INCOME,
    adv.Action.PAY_INCOME,
    adv.Action.AWAIT_INCOME_PAID,
    None,
]


@pytest.mark.parametrize("back", range(5))
def test_what_the_earmarked_shares_have_earned_comes_and_goes_to_the_bank(back: int) -> None:
    history = EARNED[: len(EARNED) - 4 + back]

    assert adv.next_step(story.given(history).state) == EARNED_STEPS[back]
    if back < 4:
        fact = EARNED[len(history)]
        assert not isinstance(fact, adv.Requested | adv.IncomeDue)
        story.given(history).when(adv.Record(fact)).then([fact])
        story.given(EARNED).when(adv.Record(fact)).then_nothing()


def test_with_the_headroom_free_again_the_income_is_due() -> None:
    history = [*LIFE[:5], INCOME, *LIFE[5:8]]

    story.given(history).when(adv.Record(adv.HeadroomReleased())).then(
        [adv.HeadroomReleased(), adv.IncomeDue(57)]
    )


@pytest.mark.parametrize(("places", "payment_id"), [(3, "i1"), (1, "i2")])
def test_a_payment_of_income_that_fails_is_asked_for_anew(places: int, payment_id: str) -> None:
    history, failed = EARNED[:-places], adv.IncomeFailed(payment_id, "AC04")
    again = adv.Action.REQUEST_INCOME if payment_id == "i1" else adv.Action.PAY_INCOME

    after = story.given(history).when(adv.Record(failed)).then([failed])

    assert adv.next_step(after) is again
    same = adv.IncomeRequested("i1", 57) if places == 3 else adv.IncomePayRequested("i2", 57)
    story.given([*history, failed]).when(adv.Record(same)).then_nothing()


def test_once_repaid_no_more_income_is_told() -> None:
    more = adv.Record(adv.IncomeOwed(58))

    story.given([*LIFE[:5], INCOME]).when(more).then([adv.IncomeOwed(58)])
    story.given([*LIFE[:5], INCOME, *LIFE[5:7]]).when(more).then_rejected(adv.Reason.ADVANCE_STATE)
