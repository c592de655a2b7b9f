"""Stories of fund orders: what happens to one, and what comes next."""

from dataclasses import replace
from datetime import date

import pytest

from services.funds.domain.expectation import Expected
from services.funds.domain.order import (
    FUNDING_MAX_US,
    AcceptDifference,
    Amend,
    BeginByRegistrar,
    Cancel,
    Confirm,
    GiveUpFunding,
    JudgePart,
    Record,
    order,
    says_booked,
)
from services.funds.domain.order_lifecycle import (
    Begun,
    Cancelled,
    ConfirmationAmended,
    Confirmed,
    Difference,
    DifferenceAccepted,
    Event,
    FundingFailed,
    PartAgreed,
    PartBooked,
    PartCovered,
    PartDisputed,
    PartlyConfirmed,
    PartPaid,
    PartStage,
    Placed,
    Priced,
    Refused,
    RemainderCancelled,
    RemainderRolledOver,
    Returned,
    Settled,
    Stage,
)
from services.funds.domain.order_steps import (
    Action,
    BookShares,
    Judge,
    PayInvestor,
    Step,
    next_step,
    return_of,
)
from services.funds.domain.order_terms import Kind, RegistrarMovement
from services.funds.domain.product import Limits
from tests.scenario import Scenario
from tests.services.funds.domain.stories import (
    ACCEPTED,
    ADVANCED,
    BATCHED,
    BUY,
    CALLER,
    CONFIRM_DAY,
    CUT_OFF_US,
    DIVIDEND,
    FAST,
    FROZEN,
    FUND,
    FUNDED,
    HELD,
    MODE,
    NAV,
    NEXT_T,
    ORDER_ID,
    PLACE_US,
    RECEIVED,
    REQUEST_ID,
    RESERVED,
    SELL,
    SERIAL,
    SWITCH,
    T,
    accepted,
    expected,
    kinds,
    listed,
    place,
    placed,
    row,
    sent,
    setting,
    terms,
)

story = Scenario(order)
ROW = row(BUY).row_id
GIVEN_BACK = Returned(10_000_00, 0)
DEFERRED = row(SELL, shares=400_00, is_final=False, rolls_over=True)


def state_of(history: list[Event]) -> Begun:
    state = story.given(history).state
    assert isinstance(state, Begun)
    return state


@pytest.mark.parametrize("kind", kinds())
def test_an_order_is_placed_once_and_its_suitability_is_kept_with_it(kind: Kind) -> None:
    after = story.when(place(terms(kind))).then(placed(kind))

    assert isinstance(after, Begun)
    assert after.stage is Stage.SUITABILITY_PASSED
    assert after.suitability is not None
    assert after.suitability.fund_version == 1


@pytest.mark.parametrize(
    ("kind", "code"),
    [(BUY, "022"), (SELL, "024"), (SWITCH, "036"), (MODE, "029"), (FAST, "024")],
)
def test_each_kind_has_its_code_with_the_registrar(kind: Kind, code: str) -> None:
    assert state_of(placed(kind)).placed.business_code == code


def test_a_subscription_goes_from_a_hold_to_units_and_to_the_registrars_money() -> None:
    answer = row(BUY)
    history = [*sent(BUY), Priced(T, NAV)]

    story.given(history).when(Confirm(answer, expected(answer))).then(
        [Confirmed(answer), PartAgreed(ROW)]
    )
    history += [Confirmed(answer), PartAgreed(ROW)]
    story.given(history).when(Record(PartBooked(ROW))).then([PartBooked(ROW)])
    history += [PartBooked(ROW)]
    after = (
        story.given(history)
        .when(Record(PartCovered(ROW, "payment-1")))
        .then([PartCovered(ROW, "payment-1"), Settled()])
    )

    assert isinstance(after, Begun)
    assert after.stage is Stage.SETTLED
    assert next_step(after) is None


def test_a_redemption_is_settled_when_the_wallet_has_its_proceeds() -> None:
    answer = row(SELL)
    covered = PartCovered(answer.row_id, "pull-1")
    history = [*sent(SELL), Confirmed(answer), PartAgreed(answer.row_id), PartBooked(answer.row_id)]

    assert next_step(state_of(history)) is None
    assert next_step(state_of([*history, covered])) == PayInvestor(answer.row_id)
    paid = PartPaid(answer.row_id, 997_49, 20)
    story.given([*history, covered]).when(Record(paid)).then([paid, Settled()])


@pytest.mark.parametrize("kind", [BUY, SELL, SWITCH, MODE])
def test_a_row_whose_shares_are_booked_already_is_one_record(kind: Kind) -> None:
    answer = row(kind)
    end: list[Event] = [Settled()] if kind in (SWITCH, MODE) else []

    booked = Confirm(answer, expected(answer), is_booked=True)
    assert says_booked(order.decide(booked, state_of(sent(kind))))
    after = story.given(sent(kind)).when(booked).then([Confirmed(answer, is_booked=True), *end])

    assert isinstance(after, Begun)
    assert after.parts[0].stage is PartStage.BOOKED


def test_one_record_of_a_booked_row_leaves_what_three_left_before() -> None:
    answer = row(SELL)
    apart: list[Event] = [Confirmed(answer), PartAgreed(answer.row_id), PartBooked(answer.row_id)]

    at_once = Confirmed(answer, is_booked=True)
    assert state_of([*sent(SELL), *apart]) == state_of([*sent(SELL), at_once])


def test_a_row_that_does_not_agree_is_never_booked() -> None:
    answer = row(BUY)
    ours = Expected(NAV, 1, 10_000_00, 79_37)

    for expectation in (ours, None):
        confirm = Confirm(answer, expectation, is_booked=True)
        events = order.decide(confirm, state_of(sent(BUY)))
        assert not says_booked(events)
        assert events[0] == Confirmed(answer)


def test_cash_may_come_before_the_shares_are_booked() -> None:
    answer = row(SELL)
    history = [*sent(SELL), Confirmed(answer), PartCovered(answer.row_id, "pull-1")]

    assert next_step(state_of(history)) == Judge(answer.row_id)
    agreed = [*history, PartAgreed(answer.row_id)]
    assert next_step(state_of(agreed)) == BookShares(answer.row_id)
    assert next_step(state_of([*agreed, PartBooked(answer.row_id)])) == PayInvestor(answer.row_id)


@pytest.mark.parametrize("kind", [SWITCH, MODE])
def test_what_moves_no_cash_is_settled_when_it_is_booked(kind: Kind) -> None:
    answer = row(kind)
    history = [*sent(kind), Confirmed(answer), PartAgreed(answer.row_id)]
    booked = PartBooked(answer.row_id)

    story.given(history).when(Record(booked)).then([booked, Settled()])


def test_a_change_of_mode_is_not_measured_by_a_price() -> None:
    answer = row(MODE)

    story.given(sent(MODE)).when(Confirm(answer, None)).then(
        [Confirmed(answer), PartAgreed(answer.row_id)]
    )


@pytest.mark.parametrize(
    ("history", "step"),
    [
        (placed(BUY), Action.PLACE_HOLD),
        ([*placed(BUY), HELD], Action.CAPTURE),
        ([*placed(BUY), HELD, FUNDED], Action.ACCEPT),
        (placed(SELL), Action.FREEZE_SHARES),
        ([*placed(SELL), FROZEN], Action.ACCEPT),
        (placed(MODE), Action.ACCEPT),
        (placed(FAST), Action.FREEZE_SHARES),
        ([*placed(FAST), FROZEN], Action.PAY_ADVANCE),
        ([*placed(FAST), FROZEN, ADVANCED], Action.ACCEPT),
        (accepted(BUY), None),
        (sent(BUY), None),
        ([*accepted(BUY), Cancelled(REQUEST_ID)], Action.GIVE_BACK),
        ([*accepted(BUY), Cancelled(REQUEST_ID), GIVEN_BACK], None),
        ([*accepted(SELL), Cancelled(REQUEST_ID)], Action.GIVE_BACK),
        ([*accepted(MODE), Cancelled(REQUEST_ID)], None),
        ([*sent(BUY), Refused("FUND_CLOSED", "", "0003")], Action.GIVE_BACK),
        ([*placed(SELL), FundingFailed("SHARES_NOT_FREE", "")], None),
        # Whether a hold was placed is not known: releasing it finds out.
        ([*placed(BUY), FundingFailed("FUNDING_TIMED_OUT", "")], Action.GIVE_BACK),
        ([*sent(SELL), Confirmed(row(SELL))], Judge(row(SELL).row_id)),
        (
            [
                *sent(SELL),
                PartlyConfirmed(DEFERRED),
                PartAgreed(row(SELL).row_id),
                PartBooked(row(SELL).row_id),
            ],
            Action.ROLL_OVER,
        ),
    ],
)
def test_the_next_step_follows_from_what_is_stored(history: list[Event], step: Step | None) -> None:
    assert next_step(story.given(history).state) == step


def test_a_fund_with_a_daily_limit_reserves_it_first() -> None:
    within = setting(listed(replace(FUND, limits=Limits(daily_minor=20_000_00))))
    history = placed(BUY, within)

    assert next_step(state_of(history)) is Action.RESERVE_LIMIT
    assert next_step(state_of([*history, RESERVED])) is Action.PLACE_HOLD
    failed = [*history, RESERVED, FundingFailed("BALANCE_TOO_LOW", "")]
    assert next_step(state_of(failed)) is Action.GIVE_BACK


def test_what_was_dropped_gives_back_what_was_set_aside_and_no_more() -> None:
    assert return_of(state_of([*accepted(BUY), Cancelled(REQUEST_ID)])) == GIVEN_BACK
    assert return_of(state_of([*accepted(SELL), Cancelled(REQUEST_ID)])) == Returned(0, 1_000_00)
    failed = [*placed(BUY), HELD, FundingFailed("ACCOUNT_CLOSED", "")]
    assert return_of(state_of(failed)) == Returned(0, 0)


def test_an_order_is_cancelled_strictly_before_its_cut_off() -> None:
    last = Cancel(REQUEST_ID, CALLER, CUT_OFF_US - 1)

    story.given(accepted(BUY)).when(last).then([Cancelled(REQUEST_ID)])


def test_money_that_does_not_come_in_time_gives_the_order_up() -> None:
    late = GiveUpFunding(PLACE_US + FUNDING_MAX_US)
    failed = FundingFailed("FUNDING_TIMED_OUT", "the money or the shares were not there in time")

    story.given(placed(BUY)).when(late).then([failed])
    story.given(placed(BUY)).when(GiveUpFunding(PLACE_US + FUNDING_MAX_US - 1)).then_nothing()
    story.given([*placed(BUY), HELD, FUNDED]).when(late).then_nothing()


@pytest.mark.parametrize("before", [[], [BATCHED], [BATCHED, RECEIVED], [BATCHED, Priced(T, NAV)]])
def test_a_confirmation_may_overtake_price_and_acknowledgement(before: list[Event]) -> None:
    answer = row(BUY)
    history = [*accepted(BUY), BATCHED, *[each for each in before if each != BATCHED]]

    story.given(history).when(Confirm(answer, None)).then([Confirmed(answer)])
    after = [*history, Confirmed(answer)]
    assert next_step(state_of(after)) == Judge(ROW)
    story.given(after).when(JudgePart(ROW, expected(answer))).then([PartAgreed(ROW)])


def test_the_same_row_again_records_nothing_wherever_it_was_read() -> None:
    answer = row(BUY, file_key="a", row=1)
    history = [*sent(BUY), Confirmed(answer)]

    story.given(history).when(Confirm(replace(answer, file_key="b", row=9), None)).then_nothing()


def test_units_that_the_price_does_not_give_are_not_booked_before_two_operators_agree() -> None:
    answer = row(BUY, shares=9_895_90)
    ours = Expected(NAV, 9_895_89, 10_000_00, 79_37)
    disputed = PartDisputed(ROW, (Difference("UNITS_DIFFER", "shares", 9_895_89, 9_895_90),))

    story.given(sent(BUY)).when(Confirm(answer, ours)).then([Confirmed(answer), disputed])
    history = [*sent(BUY), Confirmed(answer), disputed]
    assert next_step(state_of(history)) is None
    accepted_ = DifferenceAccepted(ROW, "proposal-1")
    story.given(history).when(AcceptDifference(ROW, "proposal-1")).then([accepted_])
    assert next_step(state_of([*history, accepted_])) == BookShares(ROW)


def test_a_difference_is_named_by_what_explains_it() -> None:
    answer = row(BUY, nav=1_0026, fee_minor=79_38)
    ours = Expected(NAV, 9_895_89, 10_000_00, 79_37)

    _, disputed = order.decide(Confirm(answer, ours), state_of(sent(BUY)))

    assert isinstance(disputed, PartDisputed)
    assert [each.reason for each in disputed.differences] == ["NAV_DIFFERS", "FEE_MISMATCH"]


def test_an_amended_row_is_reversed_and_booked_again() -> None:
    answer = row(BUY)
    other = row(BUY, shares=9_990_00, nav=9930)
    history = [
        *sent(BUY),
        Confirmed(answer),
        PartAgreed(ROW),
        PartBooked(ROW),
        PartCovered(ROW, "payment-1"),
        Settled(),
    ]
    amended = ConfirmationAmended(answer, other, "proposal-1")

    story.given(history).when(Amend(other, "proposal-1")).then([amended])
    after = state_of([*history, amended])
    assert after.stage is Stage.AMENDED
    assert after.parts[0].booked_as == answer
    assert next_step(after) == BookShares(ROW)
    booked = PartBooked(ROW)
    story.given([*history, amended]).when(Record(booked)).then([booked, Settled()])


def test_a_large_redemption_rolls_over_and_is_answered_at_the_next_days_price() -> None:
    first = row(SELL, shares=400_00, amount_minor=399_00, is_final=False, rolls_over=True)
    second = row(
        SELL,
        ta_serial="TA0002",
        trade_date=NEXT_T,
        confirm_date=date(2025, 10, 24),
        shares=600_00,
        amount_minor=600_00,
        nav=1_0100,
    )
    history = [*sent(SELL), PartlyConfirmed(first)]
    rolled = RemainderRolledOver(NEXT_T, 600_00)

    story.given(history).when(Record(rolled)).then([rolled])
    after = [*history, rolled]
    assert state_of(after).stage is Stage.ROLLED_OVER
    story.given(after).when(Confirm(second, None)).then([Confirmed(second)])
    # Where the registrar goes on before we do, its row says so.
    story.given(history).when(Confirm(second, None)).then([rolled, Confirmed(second)])


def test_a_remainder_may_chain_over_days() -> None:
    first = row(SELL, shares=400_00, is_final=False, rolls_over=True)
    second = row(
        SELL, ta_serial="TA0002", trade_date=NEXT_T, shares=100_00, is_final=False, rolls_over=True
    )
    history = [*sent(SELL), PartlyConfirmed(first), RemainderRolledOver(NEXT_T, 600_00)]

    story.given(history).when(Confirm(second, None)).then([PartlyConfirmed(second)])
    after = state_of([*history, PartlyConfirmed(second)])
    assert after.remaining_shares == 500_00
    third = RemainderRolledOver(date(2025, 10, 24), 500_00)
    story.given([*history, PartlyConfirmed(second)]).when(Record(third)).then([third])


def test_a_cancelled_remainder_is_free_again() -> None:
    answer = row(SELL, shares=400_00)
    history = [*sent(SELL)]

    after = (
        story.given(history)
        .when(Confirm(answer, None))
        .then([PartlyConfirmed(answer), RemainderCancelled(600_00)])
    )

    assert isinstance(after, Begun)
    assert after.stage is Stage.CONFIRMED
    assert return_of(after) == Returned(0, 600_00)


def test_intermediate_rows_add_up() -> None:
    first = row(BUY, amount_minor=4_000_00, shares=3_958_35, is_final=False)
    last = row(
        BUY, ta_serial="TA0002", amount_minor=5_000_00, shares=4_947_94, refund_minor=1_000_00
    )
    history = [*sent(BUY), PartlyConfirmed(first)]

    after = story.given(history).when(Confirm(last, None)).then([Confirmed(last)])

    assert isinstance(after, Begun)
    assert return_of(after) == Returned(1_000_00, 0)


def test_a_remainder_that_the_registrar_refuses_ends_and_what_was_answered_stands() -> None:
    answer = row(SELL, shares=400_00, is_final=False, rolls_over=True)
    history = [*sent(SELL), PartlyConfirmed(answer), RemainderRolledOver(NEXT_T, 600_00)]

    story.given(history).when(Record(Refused("ILLIQUID", "", "0009"))).then(
        [RemainderCancelled(600_00)]
    )


def test_a_subscription_of_which_the_rest_is_refused_gives_that_back() -> None:
    first = row(BUY, amount_minor=4_000_00, shares=3_958_35, is_final=False)
    history = [*sent(BUY), PartlyConfirmed(first)]

    after = (
        story.given(history).when(Record(Refused("NO", "", "0009"))).then([RemainderCancelled(0)])
    )

    assert isinstance(after, Begun)
    assert after.stage is Stage.CONFIRMED
    assert return_of(after) == Returned(6_000_00, 0)


def test_shares_that_were_paid_for_at_once_do_not_come_back_beside_the_money() -> None:
    refused = Refused("ILLIQUID", "", "0009")
    unpaid = [*placed(FAST), FROZEN, FundingFailed("REFUSED", "")]

    assert return_of(state_of(unpaid)) == Returned(0, 6_000_00)
    assert return_of(state_of([*sent(FAST), refused])) == Returned(0, 0)


def test_a_fast_redemption_is_repaid_by_the_ordinary_one() -> None:
    answer = row(FAST)
    history = [
        *sent(FAST),
        Confirmed(answer),
        PartAgreed(answer.row_id),
        PartBooked(answer.row_id),
        PartCovered(answer.row_id, "pull-1"),
    ]

    assert next_step(state_of(history)) == PayInvestor(answer.row_id)
    repaid = PartPaid(answer.row_id, 6_000_00, 30)
    story.given(history).when(Record(repaid)).then([repaid, Settled()])


def test_what_the_registrar_begins_has_an_order_of_its_own() -> None:
    asked = terms(DIVIDEND)
    answer = row(DIVIDEND)
    begin = BeginByRegistrar(ORDER_ID, asked, "HFTA", SERIAL, PLACE_US, answer, expected(answer))
    began = Placed(ORDER_ID, asked, "registrar:HFTA", PLACE_US, "HFTA", SERIAL, "143")

    after = story.when(begin).then([began, Confirmed(answer), PartAgreed(answer.row_id)])

    assert isinstance(after, Begun)
    assert next_step(after) == BookShares(answer.row_id)


def test_a_dividend_in_shares_brings_no_cash_and_one_in_cash_is_paid() -> None:
    for shares, is_paid in ((355_64, False), (0, True)):
        answer = row(DIVIDEND, shares=shares, amount_minor=432_10)
        history = [
            *order.decide(
                BeginByRegistrar(
                    ORDER_ID, terms(DIVIDEND), "HFTA", SERIAL, PLACE_US, answer, expected(answer)
                ),
                order.initial,
            )
        ]
        booked = PartBooked(answer.row_id)
        events: list[Event] = [booked] if is_paid else [booked, Settled()]
        story.given(history).when(Record(booked)).then(events)


def test_forced_shares_have_no_price_to_be_measured_by() -> None:
    forced = RegistrarMovement("000001", "144")
    answer = row(forced, shares=5_00, amount_minor=0)

    events = order.decide(
        BeginByRegistrar(ORDER_ID, terms(forced), "HFTA", SERIAL, PLACE_US, answer, None),
        order.initial,
    )

    assert events[1:] == [Confirmed(answer), PartAgreed(answer.row_id)]


@pytest.mark.parametrize(
    ("history", "fact"),
    [
        ([*placed(BUY), HELD], HELD),
        ([*placed(BUY), HELD, FUNDED], FUNDED),
        ([*placed(SELL), FROZEN], FROZEN),
        (accepted(BUY), replace(ACCEPTED, trade_date=CONFIRM_DAY)),
        ([*accepted(BUY), BATCHED], BATCHED),
        (sent(BUY), RECEIVED),
        ([*sent(BUY), Priced(T, NAV)], RECEIVED),
        ([*sent(BUY), Priced(T, NAV)], Priced(T, NAV)),
        ([*sent(BUY), Refused("A", "")], Refused("B", "")),
    ],
)
def test_what_is_told_again_records_nothing(history: list[Event], fact: Event) -> None:
    story.given(history).when(Record(fact)).then_nothing()  # type: ignore[arg-type]


def test_a_corrected_price_is_recorded_before_the_answer() -> None:
    story.given([*sent(BUY), Priced(T, NAV)]).when(Record(Priced(T, NAV + 1))).then(
        [Priced(T, NAV + 1)]
    )
