"""A redemption that repays a bank's advance: refused, it is offered again, and never sold twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.funds.domain.order import Confirm, Record, order
from services.funds.domain.order_lifecycle import (
    OFFERS_MAX,
    Accepted,
    Begun,
    Event,
    OfferedAgain,
    Order,
    PartBooked,
    PartCovered,
    PartlyConfirmed,
    PartPaid,
    Refused,
    RemainderCancelled,
    Returned,
    Settled,
    Stage,
)
from services.funds.domain.order_placing import Reason
from services.funds.domain.order_steps import Action, next_step, return_of
from tests.scenario import Scenario
from tests.services.funds.domain.stories import (
    ACCEPTED,
    ADVANCED,
    BATCHED,
    FAST,
    FROZEN,
    NEXT_T,
    PLACE_US,
    RECEIVED,
    SELL,
    SERIAL,
    expected,
    placed,
    row,
    sent,
)

story = Scenario(order)
ADVANCE = replace(ADVANCED, amount_minor=6_000_00)
NO = Refused("REDEMPTION_SUSPENDED", "", "0005", SERIAL)
LATER = PLACE_US + 86_400_000_000


def sent_fast() -> list[Event]:
    return [*placed(FAST), FROZEN, ADVANCE, ACCEPTED, BATCHED, RECEIVED]


def offer(number: int) -> OfferedAgain:
    return OfferedAgain(f"{number}{SERIAL[1:]}", number, LATER)


def once_more(number: int) -> list[Event]:
    """Offered again, and with the registrar."""
    day = NEXT_T + timedelta(days=number - 1)
    accepted = Accepted(day, day, day, LATER, LATER + 1)
    return [offer(number), accepted, replace(BATCHED, row=number), RECEIVED]


def state_of(history: list[Event]) -> Order:
    return order.fold(order.initial, history)


def test_what_repays_the_bank_is_offered_again_when_the_registrar_has_refused_it() -> None:
    refused = [*sent_fast(), NO]

    assert next_step(state_of(refused)) is Action.OFFER_AGAIN
    after = story.given(refused).when(Record(offer(1))).then([offer(1)])

    assert isinstance(after, Begun)
    assert (after.stage, after.serial) == (Stage.SHARES_FROZEN, offer(1).serial)
    assert next_step(after) is Action.ACCEPT


def test_any_other_redemption_that_is_refused_gives_its_shares_back_at_once() -> None:
    refused = state_of([*sent(SELL), NO])

    assert next_step(refused) is Action.GIVE_BACK
    story.given([*sent(SELL), NO]).when(Record(offer(1))).then_rejected(Reason.CONTRADICTS_RECORD)


def test_the_no_to_an_earlier_try_says_nothing_of_the_one_under_way() -> None:
    history = [*sent_fast(), NO, *once_more(1)]

    story.given(history).when(Record(replace(NO, description="told again"))).then_nothing()
    second = replace(NO, serial=offer(1).serial)
    story.given(history).when(Record(second)).then([second])


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ([], Reason.ORDER_STATE),
        ([offer(1)], Reason.ORDER_STATE),
        (once_more(1), Reason.CONFIRMATION_DIFFERS),
    ],
)
def test_a_late_yes_to_an_earlier_try_sells_nothing_beside_the_next(
    since: list[Event], reason: Reason
) -> None:
    late = row(FAST)
    told = Confirm(late, expected(late))
    story.given([*sent_fast(), NO, *since]).when(told).then_rejected(reason)


def test_a_later_try_repays_the_bank_and_ends_the_order() -> None:
    answer = row(FAST, trade_date=NEXT_T)
    history = [*sent_fast(), NO, *once_more(1)]
    said = Confirm(answer, expected(answer), is_booked=True)
    confirmed = order.decide(said, state_of(history))
    covered = PartCovered(answer.row_id, "pull-1")
    paid = PartPaid(answer.row_id, 6_000_00, 0)

    story.given([*history, *confirmed, covered]).when(Record(paid)).then([paid, Settled()])


def test_after_the_last_try_it_stays_for_operators_and_the_shares_do_not_come_back() -> None:
    history: list[Event] = [*sent_fast(), NO]
    for number in range(1, OFFERS_MAX + 1):
        history += [*once_more(number), replace(NO, serial=offer(number).serial)]
    given_up = state_of(history)

    assert next_step(given_up) is Action.GIVE_BACK
    assert isinstance(given_up, Begun)
    assert return_of(given_up) == Returned(0, 0)
    told = Record(offer(OFFERS_MAX + 1))
    story.given(history).when(told).then_rejected(Reason.CONTRADICTS_RECORD)
    assert next_step(state_of([*history, Returned(0, 0)])) is None


def partly() -> list[Event]:
    """Two thirds are redeemed and paid, the rest is given up."""
    first = row(FAST, shares=4_000_00, amount_minor=4_000_00)
    part: list[Event] = [PartlyConfirmed(first, is_booked=True), RemainderCancelled(2_000_00)]
    return [*sent_fast(), *part]


def test_the_rest_that_a_registrar_gives_up_is_offered_again_and_what_it_gave_stays() -> None:
    left = partly()
    assert next_step(state_of(left)) is Action.OFFER_AGAIN

    again = [*left, *once_more(1)]
    later = row(FAST, ta_serial="TA0002", trade_date=NEXT_T)
    rest = replace(later, shares=2_000_00, amount_minor=2_000_00)
    too_much = replace(rest, shares=2_000_01)
    story.given(again).when(Confirm(too_much, expected(too_much))).then_rejected(
        Reason.CONFIRMED_ABOVE_ASKED
    )
    events = order.decide(Confirm(rest, expected(rest), is_booked=True), state_of(again))
    after = state_of([*again, *events])
    assert isinstance(after, Begun)
    assert (after.stage, after.remaining_shares) == (Stage.CONFIRMED, 0)


def test_the_rest_that_is_refused_to_the_last_is_told_to_operators_once() -> None:
    history = partly()
    for number in range(1, OFFERS_MAX + 1):
        refused = Record(replace(NO, serial=offer(number).serial))
        history += once_more(number)
        history += order.decide(refused, state_of(history))
        assert history[-1] == RemainderCancelled(2_000_00)
    first = row(FAST).row_id
    history += [PartCovered(first, "pull-1"), PartPaid(first, 4_000_00, 0)]

    assert next_step(state_of(history)) is Action.GIVE_BACK
    told = Returned(0, 0)
    story.given(history).when(Record(told)).then([told, Settled()])


def test_a_redemption_that_brings_less_than_the_bank_has_lent_is_told_to_operators() -> None:
    dear = row(FAST, amount_minor=5_999_00, fee_minor=1_00)
    booked = PartBooked(dear.row_id)
    history = [*sent_fast(), *order.decide(Confirm(dear, expected(dear)), state_of(sent_fast()))]

    assert next_step(state_of([*history, booked])) is Action.GIVE_BACK
