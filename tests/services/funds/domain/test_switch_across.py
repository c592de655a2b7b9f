"""A switch from one registrar to another: redeemed at the one, its money buys at the other."""

from dataclasses import replace

import pytest

from libs.money import Money
from libs.suitability import InvestorClass, RiskLevel
from services.funds.domain.investor import Investor
from services.funds.domain.order import (
    Record,
    order,
)
from services.funds.domain.order_lifecycle import (
    Begun,
    Confirmed,
    EntryRefused,
    Event,
    Funded,
    FundingFailed,
    PartCovered,
    PartPaid,
    Placed,
    Refused,
    Returned,
    Settled,
    Stage,
    SuitabilityPassed,
)
from services.funds.domain.order_placing import Reason
from services.funds.domain.order_steps import (
    Action,
    Enter,
    PayInvestor,
    next_step,
    return_of,
)
from services.funds.domain.order_terms import Subscription, Terms, entry_id, entry_of
from services.funds.domain.product import RegisterModel
from tests.scenario import Scenario
from tests.services.funds.domain.stories import (
    ABROAD,
    ACCEPTED,
    BATCHED,
    CROSS,
    ORDER_ID,
    PLACE_US,
    PROFILE,
    RECEIVED,
    SWITCH,
    TARGET,
    listed,
    place,
    placed,
    row,
    sent,
    setting,
    terms,
)

story = Scenario(order)
ACROSS = setting(target=listed(ABROAD))
ANSWER = row(CROSS)
NET = ANSWER.amount_minor
REFUSED = EntryRefused(ANSWER.row_id, "FUND_CLOSED", "the fund is CLOSED")
# Redeemed, booked, and paid for by the registrar.
COVERED: list[Event] = [
    *sent(CROSS),
    Confirmed(ANSWER, is_booked=True),
    PartCovered(ANSWER.row_id, "pull-1"),
]


def entered() -> Terms:
    return entry_of(ORDER_ID, terms(CROSS), Money("CNY", NET))


def bought() -> list[Event]:
    """The purchase as it is placed."""
    entry = entry_id(ORDER_ID, ANSWER.row_id)
    within = setting(listed(ABROAD))
    return list(order.decide(replace(place(entered(), within), order_id=entry), order.initial))


def state_of(history: list[Event]) -> Begun:
    state = story.given(history).state
    assert isinstance(state, Begun)
    return state


@pytest.mark.parametrize("target", [ABROAD, replace(TARGET, register_model=RegisterModel.OMNIBUS)])
def test_what_no_registrar_can_switch_is_redeemed_for_it(target: object) -> None:
    within = setting(target=listed(target))  # type: ignore[arg-type]
    begun = placed(SWITCH, within)[0]
    assert isinstance(begun, Placed)
    assert begun.terms.kind == CROSS
    assert (begun.ta_id, begun.business_code, begun.shares) == ("HFTA", "024", 1_000_00)
    # Asked again in the same words, or in its own, it is the same order.
    story.given(placed(SWITCH, within)).when(place(terms(SWITCH), within)).then_nothing()
    story.given(placed(SWITCH, within)).when(place(terms(CROSS), within)).then_nothing()


def test_the_level_that_counts_is_that_of_the_fund_which_is_entered() -> None:
    cautious = Investor(replace(PROFILE, investor_class=InvestorClass.C2))
    risky = replace(ABROAD, risk_level=RiskLevel.R4)
    passed = placed(SWITCH, ACROSS)[1]
    assert isinstance(passed, SuitabilityPassed)
    assert passed.risk_level is ABROAD.risk_level
    within = setting(investor=cautious, target=listed(risky))
    story.given([]).when(place(terms(SWITCH), within)).then_rejected(
        Reason.SUITABILITY_WARNING_NEEDED
    )


def test_what_the_registrar_has_paid_buys_and_the_switch_is_settled() -> None:
    assert next_step(state_of(COVERED)) == Enter(ANSWER.row_id)
    paid = PartPaid(ANSWER.row_id, NET, 0)
    after = story.given(COVERED).when(Record(paid)).then([paid, Settled()])
    assert next_step(after) is None


def test_what_buys_nothing_goes_to_the_wallet() -> None:
    story.given(COVERED).when(Record(REFUSED)).then([REFUSED])
    refused = [*COVERED, REFUSED]
    assert next_step(state_of(refused)) == PayInvestor(ANSWER.row_id)
    paid = PartPaid(ANSWER.row_id, NET, 20)
    story.given(refused).when(Record(paid)).then([paid, Settled()])


def test_what_has_bought_is_not_refused_any_more() -> None:
    paid = [*COVERED, PartPaid(ANSWER.row_id, NET, 0), Settled()]
    story.given(paid).when(Record(REFUSED)).then_rejected(Reason.CONTRADICTS_RECORD)
    early = [event for event in COVERED if not isinstance(event, PartCovered)]
    story.given(early).when(Record(REFUSED)).then_rejected(Reason.CONTRADICTS_RECORD)


def test_each_answered_part_has_a_purchase_of_its_own() -> None:
    assert entry_id(ORDER_ID, "a") == entry_id(ORDER_ID, "a") != entry_id(ORDER_ID, "b")
    assert entered().kind == Subscription(ABROAD.code, Money("CNY", NET))
    assert entered().switch_id == ORDER_ID


def test_the_purchase_takes_what_is_there_instead_of_a_hold() -> None:
    history = bought()
    assert next_step(state_of(history)) is Action.CARRY_OVER
    funded = Funded(21, PLACE_US)
    story.given(history).when(Record(funded)).then([funded])
    assert next_step(state_of([*history, funded])) is Action.ACCEPT


def test_a_purchase_without_a_switch_still_needs_its_hold() -> None:
    history = placed(Subscription("000001", Money("CNY", 10_000_00)))
    story.given(history).when(Record(Funded(21, PLACE_US))).then_rejected(Reason.CONTRADICTS_RECORD)


def test_a_purchase_that_could_not_take_its_money_has_none_to_give_back() -> None:
    failed = FundingFailed("ABOVE_MAXIMUM", "")
    state = state_of([*bought(), failed])
    assert state.stage is Stage.REJECTED
    assert next_step(state) is Action.GIVE_BACK
    story.given([*bought(), failed]).when(Record(Returned(0, 0))).then([Returned(0, 0)])


def test_what_the_other_registrar_refuses_is_given_back_to_the_wallet() -> None:
    history = [*bought(), Funded(21, PLACE_US), ACCEPTED, BATCHED, RECEIVED]
    refused = [*history, Refused("FUND_CLOSED", "", "0003")]
    assert next_step(state_of(refused)) is Action.GIVE_BACK
    assert return_of(state_of(refused)) == Returned(NET, 0)
