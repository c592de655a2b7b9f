"""Stories of a proposal: issued, accepted and ordered, dismissed, expired."""

from dataclasses import replace

import pytest

from services.recommendations.domain import proposal as what
from services.recommendations.domain.proposal import Reason, next_step, proposal
from tests.scenario import Scenario
from tests.services.recommendations.domain.proposals import ACCEPTED_ITEMS, ISSUED, ORDERS
from tests.services.recommendations.domain.sheets import DAY_US, NOW_US

STORY = Scenario(proposal, [ISSUED])
ACCEPTED = what.Accepted("r1", ACCEPTED_ITEMS, "a1", NOW_US)
EXPIRED = what.Expired("CLASS_EXPIRED", "", NOW_US)


def accepting(**changed: object) -> what.Accept:
    command = what.Accept("r1", (), ORDERS, "a1", NOW_US)
    return replace(command, **changed)  # type: ignore[arg-type]


def test_a_proposal_is_issued_once() -> None:
    Scenario(proposal).when(what.Issue(ISSUED)).then([ISSUED])
    other = replace(ISSUED, terms_digest="x")
    STORY.when(what.Issue(other)).then_rejected(Reason.IDEMPOTENCY_KEY_REUSED, "proposal_id")


def test_the_same_question_computed_anew_answers_what_was_stored() -> None:
    STORY.when(what.Issue(replace(ISSUED, items=()))).then_nothing()


def test_acceptance_fixes_the_orders_and_they_are_placed_one_by_one() -> None:
    state = STORY.when(accepting()).then([ACCEPTED])
    first = next_step(state)
    assert first == what.PlaceOrder(ACCEPTED_ITEMS[0])

    linked = what.OrderLinked("000002", "o-bond")
    state = STORY.given([ACCEPTED]).when(what.LinkOrder(linked)).then([linked])
    assert next_step(state) == what.PlaceOrder(ACCEPTED_ITEMS[1])

    refused = what.OrderLinked("000004", "o-mixed", "LIMIT", "full")
    state = STORY.given([ACCEPTED, linked]).when(what.LinkOrder(refused)).then([refused])
    assert next_step(state) is None


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([EXPIRED], accepting(), Reason.PROPOSAL_EXPIRED),
        ([], accepting(now_us=NOW_US + DAY_US), Reason.PROPOSAL_EXPIRED),
        ([what.Dismissed("d", "no", NOW_US)], accepting(), Reason.PROPOSAL_STATE),
        ([ACCEPTED], accepting(request_id="r2"), Reason.PROPOSAL_STATE),
        ([ACCEPTED], accepting(account_id="a2"), Reason.IDEMPOTENCY_KEY_REUSED),
        ([], accepting(choices=(what.Choice("999999", 5),)), Reason.ITEM_NOT_PROPOSED),
        ([ACCEPTED], what.Dismiss("d", "no", NOW_US), Reason.PROPOSAL_STATE),
    ],
)
def test_what_is_over_or_strange_is_refused(
    history: list[what.Event], command: what.Command, reason: Reason
) -> None:
    STORY.given(history).when(command).then_rejected(reason)


SALE = replace(ISSUED.items[0], amount_minor=-60_000, shares=5_900)
SWAP = Scenario(proposal, [replace(ISSUED, items=(ISSUED.items[1], SALE))])
SOLD = what.AcceptedItem("000002", -60_000, "o-bond", 5_900)
BOUGHT = what.AcceptedItem("000004", 40_000, "o-mixed")


def test_what_is_sold_is_ordered_first_and_in_the_shares_that_were_proposed() -> None:
    accepted = what.Accepted("r1", (BOUGHT, SOLD), "a1", NOW_US)
    state = SWAP.when(accepting()).then([accepted])
    assert next_step(state) == what.PlaceOrder(SOLD)

    linked = what.OrderLinked("000002", "o-bond")
    state = SWAP.given([accepted]).when(what.LinkOrder(linked)).then([linked])
    assert next_step(state) == what.PlaceOrder(BOUGHT)


@pytest.mark.parametrize(
    ("choices", "field"),
    [
        ((what.Choice("000002", 500),), "items.000002"),
        ((what.Choice("000004", 500), what.Choice("000004", 700)), "items.000004"),
    ],
)
def test_a_sale_is_not_turned_into_a_purchase_and_no_fund_is_chosen_twice(
    choices: tuple[what.Choice, ...], field: str
) -> None:
    command = accepting(choices=choices)

    SWAP.when(command).then_rejected(Reason.AMOUNT_NOT_TAKEN, field)


def test_a_list_is_accepted_with_amounts_only() -> None:
    items = tuple(replace(item, amount_minor=0, weight=0) for item in ISSUED.items)
    story = Scenario(proposal, [replace(ISSUED, items=items)])

    story.when(accepting()).then_rejected(Reason.ITEMS_REQUIRED, "items")
    chosen = accepting(choices=(what.Choice("000004", 5_000),))
    item = what.AcceptedItem("000004", 5_000, "o-mixed")
    story.when(chosen).then([what.Accepted("r1", (item,), "a1", NOW_US)])


def test_only_what_is_open_expires() -> None:
    STORY.when(what.Expire("CLASS_EXPIRED", "", NOW_US)).then([EXPIRED])
    expire = what.Expire("FUND_CLOSED", "000002", NOW_US)
    STORY.given([ACCEPTED]).when(expire).then_nothing()
    STORY.given([EXPIRED]).when(expire).then_nothing()


def test_nothing_is_done_with_what_was_never_issued() -> None:
    Scenario(proposal).when(accepting()).then_rejected(Reason.PROPOSAL_NOT_FOUND)


def test_what_was_shown_opened_and_answered_in_the_shadow_is_kept_once() -> None:
    STORY.when(what.Show("s", NOW_US)).then([what.Shown("s", NOW_US)])
    STORY.when(what.OpenItem("o", "000002", NOW_US)).then([what.ItemOpened("o", "000002", NOW_US)])
    answered = what.ShadowAnswered("blend@2", ISSUED.items, "h", 500_000)
    STORY.when(what.AnswerInShadow(answered)).then([answered])
