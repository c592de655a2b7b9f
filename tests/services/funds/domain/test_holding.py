"""Stories of holdings: lots come and go, shares are set aside, income is kept to the last part."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.decider import Rejected
from libs.fund_arithmetic import DividendMode, Lot, day_income
from services.funds.domain.holding import (
    AccrueIncome,
    AddLot,
    BookAgain,
    Command,
    FreezeShares,
    Reason,
    ReceiveDividend,
    RedeemShares,
    ReleaseFast,
    ReleasePurchase,
    ReserveFast,
    ReservePurchase,
    SetDividendMode,
    UnfreezeShares,
    holding,
)
from services.funds.domain.holding_lifecycle import (
    BookingReversed,
    DividendModeSet,
    DividendReceived,
    Event,
    FastReleased,
    FastReserved,
    Holding,
    IncomeAccrued,
    LotAdded,
    PurchaseReleased,
    PurchaseReserved,
    SharesFrozen,
    SharesRedeemed,
    SharesUnfrozen,
)
from tests.scenario import Scenario

story = Scenario(holding)
DAY = date(2026, 3, 2)
OLD, YOUNG = DAY - timedelta(days=45), DAY - timedelta(days=3)


def added(row: str, shares: int, since: date = OLD, paid: int | None = None) -> LotAdded:
    return LotAdded(f"o-{row}", row, shares, since, since, shares if paid is None else paid, 1_0000)


def add(row: str, shares: int, since: date = OLD, paid: int | None = None) -> AddLot:
    return AddLot(f"o-{row}", row, shares, since, since, shares if paid is None else paid, 1_0000)


def sell(row: str, shares: int, order: str = "sale", day: date = DAY) -> RedeemShares:
    return RedeemShares(order, row, shares, day, shares, 0)


def part(row: str, shares: int, since: date, paid: int) -> Lot:
    return Lot(row, since, since, shares, paid, 1_0000)


OWNED: list[Event] = [added("young", 500_00, YOUNG, 510_00), added("old", 800_00, OLD, 790_00)]
FROZEN = SharesFrozen("sale", 900_00)


def state_of(events: Sequence[Event]) -> Holding:
    return story.given(events).state


def test_lots_add_up_and_stand_oldest_first() -> None:
    state = state_of(OWNED)

    assert [lot.lot_id for lot in state.lots] == ["old", "young"]
    assert (state.shares, state.cost_minor, state.free) == (1_300_00, 1_300_00, 1_300_00)


def test_a_redemption_takes_the_oldest_lot_first_and_its_own_freeze() -> None:
    parts = (part("old", 800_00, OLD, 790_00), part("young", 100_00, YOUNG, 102_00))
    redeemed = SharesRedeemed("sale", "r1", parts, DAY, 900_00, 0, 900_00)

    after = story.given([*OWNED, FROZEN]).when(sell("r1", 900_00)).then([redeemed])

    assert (after.shares, after.frozen, after.cost_minor) == (400_00, 0, 408_00)


def test_a_redemption_in_parts_leaves_the_rest_frozen() -> None:
    state = (
        story.given([*OWNED, FROZEN])
        .when(sell("r1", 300_00))
        .then(
            [
                SharesRedeemed(
                    "sale", "r1", (part("old", 300_00, OLD, 296_25),), DAY, 300_00, 0, 300_00
                )
            ]
        )
    )

    assert (state.frozen, state.free) == (600_00, 400_00)


def test_what_a_registrar_takes_by_force_comes_out_of_free_shares() -> None:
    state_of([*OWNED, FROZEN])

    story.given([*OWNED, FROZEN]).when(sell("r1", 400_01, "forced")).then_rejected(
        Reason.SHARES_NOT_FREE
    )
    story.given([*OWNED, FROZEN]).when(sell("r1", 400_00, "forced")).then(
        [SharesRedeemed("forced", "r1", (part("old", 400_00, OLD, 395_00),), DAY, 400_00, 0, 0)]
    )


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        (OWNED, FreezeShares("sale", 900_00, DAY), [FROZEN]),
        ([*OWNED, FROZEN], UnfreezeShares("sale"), [SharesUnfrozen("sale", 900_00)]),
        (
            OWNED,
            ReserveFast("fast", 600_00, 600_00, DAY, 1_000_00),
            [FastReserved("fast", 600_00, 600_00, DAY)],
        ),
        (
            [*OWNED, FastReserved("fast", 600_00, 600_00, DAY)],
            ReleaseFast("fast"),
            [FastReleased("fast")],
        ),
        ([], ReservePurchase("o", DAY, 5_00, 5_00), [PurchaseReserved("o", DAY, 5_00)]),
        ([PurchaseReserved("o", DAY, 5_00)], ReleasePurchase("o"), [PurchaseReleased("o")]),
        ([], ReleasePurchase("nobody"), []),
        ([], ReceiveDividend("o", "r", 432_10, DAY), [DividendReceived("o", "r", 432_10, DAY)]),
        (
            [],
            SetDividendMode("o", DividendMode.REINVEST, DAY),
            [DividendModeSet("o", DividendMode.REINVEST, DAY)],
        ),
    ],
)
def test_what_is_asked_is_recorded_once(
    history: list[Event], command: Command, events: list[Event]
) -> None:
    story.given(history).when(command).then(events)


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        (OWNED, FreezeShares("sale", 0, DAY), Reason.SHARES_NOT_POSITIVE),
        ([*OWNED, FROZEN], FreezeShares("sale", 1, DAY), Reason.IDEMPOTENCY_KEY_REUSED),
        (OWNED, FreezeShares("sale", 1_300_01, DAY), Reason.SHARES_NOT_FREE),
        ([*OWNED, FROZEN], FreezeShares("other", 400_01, DAY), Reason.SHARES_NOT_FREE),
        (OWNED, FreezeShares("sale", 800_01, DAY, lock_days=10), Reason.LOCKED_IN),
        (OWNED, UnfreezeShares("sale"), Reason.FREEZE_UNKNOWN),
        (OWNED, ReserveFast("fast", 0, 0, DAY, 5), Reason.SHARES_NOT_POSITIVE),
        (OWNED, ReserveFast("fast", 2_000_00, 6_00, DAY, 5_99), Reason.FAST_LIMIT),
        (OWNED, ReserveFast("fast", 1_300_01, 5_00, DAY, 5_00), Reason.SHARES_NOT_FREE),
        (
            [*OWNED, FROZEN],
            ReserveFast("sale", 900_00, 5_00, DAY, 5_00),
            Reason.IDEMPOTENCY_KEY_REUSED,
        ),
        (OWNED, ReleaseFast("fast"), Reason.FREEZE_UNKNOWN),
        (
            [PurchaseReserved("o", DAY, 3_00)],
            ReservePurchase("p", DAY, 3, 3_02),
            Reason.ABOVE_MAXIMUM,
        ),
        (OWNED, add("young", 500_01, YOUNG), Reason.ROW_DIFFERS),
        (OWNED, add("new", 0), Reason.SHARES_NOT_POSITIVE),
        (OWNED, sell("r1", 1_300_01), Reason.SHARES_MISSING),
        (OWNED, BookAgain(add("nobody", 1), "p"), Reason.ROW_UNKNOWN),
    ],
)
def test_the_rest_is_refused(history: list[Event], command: Command, reason: Reason) -> None:
    story.given(history).when(command).then_rejected(reason)


def test_the_fast_limit_is_of_one_natural_day_and_what_is_released_counts_no_more() -> None:
    limit = 10_000_00
    history: list[Event] = [added("r", 50_000_00)]

    def ask(order: str, amount: int, day: date = DAY) -> ReserveFast:
        return ReserveFast(order, amount, amount, day, limit)

    history += (
        story.given(history)
        .when(ask("a", 6_000_00))
        .decider.decide(ask("a", 6_000_00), state_of(history))
    )
    history += holding.decide(ask("b", 4_000_00), state_of(history))
    story.given(history).when(ask("c", 1)).then_rejected(Reason.FAST_LIMIT)
    tomorrow = ask("c", 1, DAY + timedelta(days=1))
    story.given(history).when(tomorrow).then([FastReserved("c", 1, 1, DAY + timedelta(days=1))])
    story.given([*history, FastReleased("b")]).when(ask("c", 4_000_00)).then(
        [FastReserved("c", 4_000_00, 4_000_00, DAY)]
    )


def test_an_order_that_had_its_shares_frozen_once_never_freezes_them_again() -> None:
    history = [*OWNED, FROZEN, SharesUnfrozen("sale", 900_00)]

    story.given(history).when(FreezeShares("sale", 900_00, DAY)).then_nothing()
    assert state_of(history).free == 1_300_00


def test_a_mode_counts_for_record_dates_after_its_confirmation() -> None:
    state = state_of([DividendModeSet("o", DividendMode.REINVEST, DAY)])

    assert state.mode_on(DAY, DividendMode.CASH) is DividendMode.CASH
    assert state.mode_on(DAY + timedelta(days=1), DividendMode.CASH) is DividendMode.REINVEST


def test_an_amended_purchase_is_reversed_and_booked_again() -> None:
    again = add("young", 480_00, YOUNG, 510_00)

    after = (
        story.given(OWNED)
        .when(BookAgain(again, "p1"))
        .then([BookingReversed("young", "p1"), added("young", 480_00, YOUNG, 510_00)])
    )

    assert after.shares == 1_280_00


def test_an_amended_purchase_of_which_part_has_left_keeps_what_has_left() -> None:
    history: list[Event] = [*OWNED, *holding.decide(sell("r1", 900_00), state_of(OWNED))]
    again = add("young", 480_00, YOUNG, 510_00)

    events = holding.decide(BookAgain(again, "p1"), state_of(history))

    assert state_of([*history, *events]).shares == 380_00
    too_few = BookAgain(add("young", 99_99, YOUNG), "p1")
    story.given(history).when(too_few).then_rejected(Reason.REVERSAL_NOT_POSSIBLE)


def test_an_amended_redemption_gives_the_lots_back_and_takes_them_again() -> None:
    history: list[Event] = [*OWNED, FROZEN]
    history += holding.decide(sell("r1", 900_00), state_of(history))
    again = BookAgain(sell("r1", 850_00), "p1")

    events = holding.decide(again, state_of(history))
    after = state_of([*history, *events])

    assert (after.shares, after.frozen) == (450_00, 50_00)
    assert [(lot.lot_id, lot.shares) for lot in after.lots] == [("young", 450_00)]
    story.given([*history, *events]).when(again).then_nothing()


def test_a_reversal_that_would_touch_frozen_shares_is_refused() -> None:
    history = [*OWNED, SharesFrozen("other", 1_300_00)]

    story.given(history).when(BookAgain(add("young", 499_99, YOUNG), "p")).then_rejected(
        Reason.REVERSAL_NOT_POSSIBLE
    )


def income(day: date, rate: int = 5432, *, carry: bool = True) -> AccrueIncome:
    return AccrueIncome(day, rate, carry)


def test_income_is_credited_in_whole_cents_and_the_rest_is_kept() -> None:
    history: list[Event] = [added("r", 8_000_00, DAY)]

    first = IncomeAccrued(DAY, 4345, 0, 43, 45)
    story.given(history).when(income(DAY)).then([first])
    second = IncomeAccrued(DAY + timedelta(days=1), 4400, 0, 44, 45)
    after = (
        story.given([*history, first]).when(income(DAY + timedelta(days=1), 5500)).then([second])
    )

    assert after.shares == 8_000_87


def test_a_day_of_income_is_neither_skipped_nor_counted_twice() -> None:
    history: list[Event] = [added("r", 8_000_00, DAY), IncomeAccrued(DAY, 4345, 0, 43, 45)]

    story.given(history).when(income(DAY)).then_nothing()
    story.given(history).when(income(DAY + timedelta(days=2))).then_rejected(Reason.ACCRUAL_GAP)
    story.given(history[:1]).when(income(DAY + timedelta(days=1))).then_rejected(Reason.ACCRUAL_GAP)
    # Nothing was held before.
    story.given(history[:1]).when(income(DAY - timedelta(days=1))).then_nothing()


FRIDAY, SATURDAY, SUNDAY, MONDAY = (date(2026, 3, day) for day in (6, 7, 8, 9))


def test_money_in_on_friday_earns_from_monday() -> None:
    bought = added("r", 10_000_00, MONDAY)

    for day in (FRIDAY, SATURDAY, SUNDAY):
        story.given([bought]).when(income(day, 10_000)).then_nothing()
    story.given([bought]).when(income(MONDAY, 10_000)).then(
        [IncomeAccrued(MONDAY, 1_0000, 0, 1_00, 0)]
    )


def test_money_out_on_friday_earns_the_weekend_whenever_it_is_published() -> None:
    history: list[Event] = [added("r", 10_000_00, FRIDAY)]
    history += holding.decide(sell("s", 10_000_00, day=MONDAY), state_of(history))

    for day in (FRIDAY, SATURDAY, SUNDAY):
        (accrued,) = holding.decide(income(day, 10_000, carry=False), state_of(history))
        assert accrued == IncomeAccrued(day, 1_0000, 0, 0, 1_0000 * (day - FRIDAY).days + 1_0000)
        history.append(accrued)
    (last,) = holding.decide(income(MONDAY, 10_000), state_of(history))
    assert last == IncomeAccrued(MONDAY, 0, 0, 3_00, 0)


def test_income_of_shares_that_a_bank_has_advanced_for_is_the_banks() -> None:
    history: list[Event] = [
        added("r", 10_000_00, FRIDAY),
        FastReserved("fast", 4_000_00, 4_000_00, FRIDAY),
    ]
    accrued = IncomeAccrued(FRIDAY, 6000, 4000, 60, 0)

    story.given(history).when(income(FRIDAY, 10_000)).then([accrued])
    # Confirmed on Monday; the weekend's income, published with it, is still shared.
    history.append(accrued)
    history += holding.decide(sell("s", 4_000_00, "fast", MONDAY), state_of(history))
    (saturday,) = holding.decide(income(SATURDAY, 10_000, carry=False), state_of(history))
    assert saturday == IncomeAccrued(SATURDAY, 6000, 4000, 0, 6000)


SHARES = st.integers(1, 10**6)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), SHARES),
        st.tuples(st.just("freeze"), SHARES),
        st.tuples(st.just("redeem"), SHARES),
        st.tuples(st.just("unfreeze"), SHARES),
        st.tuples(st.just("amend"), SHARES),
        st.tuples(st.just("income"), st.integers(0, 30_000)),
    ),
    max_size=40,
)


def command_of(kind: str, number: int, n: int, day: date, state: Holding) -> Command | None:
    """Something that this state accepts, or is likely to."""
    open_freezes = [id_ for id_, freeze in state.freezes.items() if freeze.left]
    lots = [row for row, each in state.bookings.items() if isinstance(each, LotAdded)]
    match kind:
        case "buy":
            return AddLot(f"o{n}", f"r{n}", number, day, day, number, 1_0000)
        case "freeze" if state.free:
            return FreezeShares(f"f{n}", min(number, state.free), day)
        case "redeem" if open_freezes:
            left = state.freezes[open_freezes[0]].left
            return RedeemShares(open_freezes[0], f"s{n}", min(number, left), day, number, 0)
        case "unfreeze" if open_freezes:
            return UnfreezeShares(open_freezes[-1])
        case "amend" if lots:
            row = lots[number % len(lots)]
            was = state.bookings[row]
            assert isinstance(was, LotAdded)
            again = AddLot(
                was.order_id, row, number, was.confirm_date, was.register_date, number, was.nav
            )
            return BookAgain(again, f"p{n}")
        case "income" if state.lots or state.removals:
            return AccrueIncome(day, number, n % 2 == 0)
        case _:
            return None


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_whatever_happens_lots_add_up_and_nothing_is_frozen_that_is_not_there(
    steps: list[tuple[str, int]],
) -> None:
    state, shares, income_given, income_due = holding.initial, 0, 0, 0
    for n, (kind, number) in enumerate(steps):
        day = DAY + timedelta(days=n)
        if kind != "income" and state.lots:
            # A money fund has income each day: keep up, at nothing.
            state = holding.fold(state, _decided(AccrueIncome(day, 0, is_carry_day=False), state))
        command = command_of(kind, number, n, day, state)
        if command is None:
            continue
        held = state.registered_on(day)
        try:
            events = list(holding.decide(command, state))
        except Rejected as refused:
            if refused.reason not in (Reason.REVERSAL_NOT_POSSIBLE, Reason.ACCRUAL_GAP):
                raise
            continue
        before = state
        state = holding.fold(state, events)
        assert list(holding.decide(command, state)) == []
        for event in events:
            match event:
                case SharesRedeemed(parts=parts):
                    _check_oldest_first(before, parts)
                case IncomeAccrued(_, accrued, bank, credited, _):
                    income_given += credited * 100
                    income_due += day_income(held, number)
                    assert accrued + bank <= day_income(held, number)
        shares = state.shares
        assert sum(lot.shares for lot in state.lots) == shares
        assert 0 <= state.frozen <= shares
        assert all(lot.shares > 0 and lot.cost >= 0 for lot in state.lots)
        assert income_given + state.bucket <= income_due
        assert [lot.confirm_date for lot in state.lots] == sorted(
            lot.confirm_date for lot in state.lots
        )


def _decided(command: Command, state: Holding) -> list[Event]:
    try:
        return list(holding.decide(command, state))
    except Rejected:
        return []


def _check_oldest_first(before: Holding, parts: Sequence[Lot]) -> None:
    taken = {each.lot_id: each.shares for each in parts}
    youngest = max(each.confirm_date for each in parts)
    for lot in before.lots:
        if lot.confirm_date < youngest:
            assert taken.get(lot.lot_id) == lot.shares, "a younger lot went before an older one"
