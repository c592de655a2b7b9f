"""Stories of payments: what happens to one, and what comes next."""

import pytest

from libs.money import Money
from services.payments.domain.lifecycle import (
    Begun,
    Cancelled,
    CancelRequested,
    Event,
    Failed,
    RefundCompleted,
    RefundGivenUp,
    RefundReserved,
    Stage,
    Stuck,
)
from services.payments.domain.payment import (
    Action,
    BeginRefund,
    Cancel,
    Command,
    CompleteRefund,
    GiveUpRefund,
    HearDone,
    HearRefused,
    Record,
    ReserveRefund,
    Step,
    next_step,
)
from services.payments.domain.terms import Kind
from services.payments.domain.view import Settlement, Status, view_of
from tests.services.payments.domain.stories import (
    AT_MS,
    CALLER,
    CARRIED,
    COMPLETED,
    CONFIRMED,
    CREDITED,
    DOUBTED,
    ENTERED,
    HELD,
    PAID,
    PAYOUT,
    PULL,
    REFUND,
    REFUND_ID,
    REFUSED,
    REQUEST_ID,
    SALE,
    SETTLED,
    TOP_UP,
    TRANSFER,
    request,
    requested,
    story,
    terms,
)

FAILED = Failed("AC01", "no such account")
STUCK = Stuck("GIVE_BACK", "ACCOUNT_CLOSED", "", AT_MS)
RESERVED = RefundReserved(REFUND_ID, 1_000, 985, 15, "", AT_MS, is_rest=False)


def test_a_payment_is_requested_once() -> None:
    story.given().when(request(terms(PAYOUT))).then([requested(PAYOUT)])


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([requested(PAYOUT)], Record(HELD), [HELD]),
        ([requested(PAYOUT), HELD], Record(ENTERED), [ENTERED]),
        ([requested(PAYOUT), HELD, ENTERED], HearDone("B1"), [PAID]),
        ([requested(PAYOUT), HELD, ENTERED], HearRefused("AC01", "no such account"), [REFUSED]),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED], Record(FAILED), [FAILED]),
        ([requested(PAYOUT), HELD, ENTERED], Record(DOUBTED), [DOUBTED]),
        ([requested(PAYOUT), HELD, ENTERED, DOUBTED], HearDone("B1"), [PAID]),
        ([requested(PAYOUT), HELD, ENTERED], Record(CARRIED), [CARRIED]),
        ([requested(PAYOUT), HELD, ENTERED, PAID], Record(SETTLED), [SETTLED]),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED], Record(STUCK), [STUCK]),
        ([requested(PAYOUT)], Record(FAILED), [FAILED]),
        ([requested(PAYOUT), HELD], Record(FAILED), [FAILED]),
        ([requested(TOP_UP)], Record(PULL), [PULL]),
        ([requested(TOP_UP), PULL], HearDone("B1"), [CONFIRMED]),
        ([requested(TOP_UP), PULL], HearRefused("AC01", "no such account"), [FAILED]),
        ([requested(TOP_UP), PULL, CONFIRMED], Record(CREDITED), [CREDITED]),
        ([requested(TOP_UP), PULL, CONFIRMED, CREDITED], Record(SETTLED), [SETTLED]),
        ([requested(TRANSFER)], Record(COMPLETED), [COMPLETED]),
        ([requested(TRANSFER)], Record(FAILED), [FAILED]),
    ],
)
def test_what_is_told_in_order_is_recorded(
    history: list[Event], command: Command, events: list[Event]
) -> None:
    story.given(history).when(command).then(events)


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        # The bank's side may be heard before our own record of the step it answers.
        ([requested(PAYOUT), HELD], HearDone("B1"), [PAID]),
        ([requested(PAYOUT), HELD], HearRefused("AC01", "no such account"), [REFUSED]),
        ([requested(PAYOUT), HELD, PAID], Record(ENTERED), [ENTERED]),
        ([requested(PAYOUT), HELD, REFUSED], Record(ENTERED), [ENTERED]),
        ([requested(PAYOUT), HELD], Record(CARRIED), [CARRIED]),
        ([requested(PAYOUT), HELD, CARRIED], Record(ENTERED), [ENTERED]),
        ([requested(PAYOUT), HELD], Record(DOUBTED), [DOUBTED]),
        ([requested(PAYOUT), HELD], Record(SETTLED), [SETTLED]),
        ([requested(TOP_UP)], HearDone("B1"), [CONFIRMED]),
        ([requested(TOP_UP)], Record(DOUBTED), [DOUBTED]),
        ([requested(TOP_UP)], HearRefused("AC01", "no such account"), [FAILED]),
        ([requested(TOP_UP), CONFIRMED], Record(SETTLED), [SETTLED]),
    ],
)
def test_what_is_told_too_early_is_recorded_too(
    history: list[Event], command: Command, events: list[Event]
) -> None:
    story.given(history).when(command).then(events)


@pytest.mark.parametrize(
    ("history", "command"),
    [
        ([requested(PAYOUT), HELD, ENTERED], Record(HELD)),
        ([requested(PAYOUT), HELD, ENTERED, PAID], Record(ENTERED)),
        ([requested(PAYOUT), HELD, ENTERED, PAID], HearDone("another reference")),
        ([requested(PAYOUT), HELD, ENTERED, PAID], Record(DOUBTED)),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED, FAILED], HearRefused("AC01")),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED], Record(SETTLED)),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED, FAILED], Record(SETTLED)),
        ([requested(PAYOUT), HELD, ENTERED, CARRIED], Record(CARRIED)),
        ([requested(PAYOUT), HELD, ENTERED, PAID, SETTLED], Record(SETTLED)),
        ([requested(TOP_UP), CONFIRMED], Record(PULL)),
        ([requested(TOP_UP), PULL, CONFIRMED, CREDITED], HearDone("B1")),
        ([requested(TOP_UP), PULL, FAILED], HearRefused("MS03")),
    ],
)
def test_what_is_told_again_or_too_late_to_matter_records_nothing(
    history: list[Event], command: Command
) -> None:
    story.given(history).when(command).then_nothing()


@pytest.mark.parametrize(
    ("history", "step"),
    [
        ([requested(PAYOUT)], Action.PLACE_HOLD),
        ([requested(PAYOUT), HELD], Action.ENTER_WINDOW),
        ([requested(PAYOUT), HELD, ENTERED], None),
        ([requested(PAYOUT), HELD, PAID], Action.ENTER_WINDOW),
        ([requested(PAYOUT), HELD, REFUSED], Action.ENTER_WINDOW),
        ([requested(PAYOUT), HELD, REFUSED, ENTERED], Action.GIVE_BACK),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED, STUCK], Action.GIVE_BACK),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED, FAILED], None),
        ([requested(PAYOUT), CancelRequested(REQUEST_ID)], Action.PLACE_HOLD),
        ([requested(PAYOUT), HELD, CancelRequested(REQUEST_ID)], Action.RELEASE_HOLD),
        ([requested(PAYOUT), HELD, CancelRequested(REQUEST_ID), ENTERED], None),
        ([requested(PAYOUT), HELD, CancelRequested(REQUEST_ID), Cancelled()], None),
        ([requested(TOP_UP)], Action.REQUEST_PULL),
        ([requested(TOP_UP), PULL], None),
        ([requested(TOP_UP), PULL, CONFIRMED], Action.CREDIT_WALLET),
        ([requested(TOP_UP), CONFIRMED, CREDITED], None),
        ([requested(TRANSFER)], Action.MOVE),
        ([requested(SALE)], Action.MOVE),
        ([requested(REFUND)], Action.MOVE),
        ([requested(SALE), COMPLETED], None),
        ([requested(SALE), COMPLETED, RESERVED], BeginRefund(REFUND_ID)),
        ([requested(SALE), COMPLETED, RESERVED, RefundCompleted(REFUND_ID, 1_000)], None),
    ],
)
def test_the_next_step_follows_from_what_has_happened(
    history: list[Event], step: Step | None
) -> None:
    assert next_step(story.given(history).state) == step


@pytest.mark.parametrize(
    ("history", "status", "settlement", "window"),
    [
        ([requested(PAYOUT)], Status.PROCESSING, Settlement.NONE, ""),
        ([requested(PAYOUT), HELD], Status.PROCESSING, Settlement.NONE, ""),
        ([requested(PAYOUT), HELD, ENTERED], Status.PROCESSING, Settlement.IN_WINDOW, "w1"),
        (
            [requested(PAYOUT), HELD, CARRIED, ENTERED],
            Status.PROCESSING,
            Settlement.IN_WINDOW,
            "w2",
        ),
        ([requested(PAYOUT), HELD, ENTERED, PAID], Status.SUCCEEDED, Settlement.IN_WINDOW, "w1"),
        (
            [requested(PAYOUT), HELD, ENTERED, PAID, SETTLED],
            Status.SUCCEEDED,
            Settlement.SETTLED,
            "w1",
        ),
        (
            [requested(PAYOUT), HELD, ENTERED, REFUSED],
            Status.PROCESSING,
            Settlement.IN_WINDOW,
            "w1",
        ),
        (
            [requested(PAYOUT), HELD, ENTERED, REFUSED, STUCK],
            Status.NEEDS_ACTION,
            Settlement.IN_WINDOW,
            "w1",
        ),
        (
            [requested(PAYOUT), HELD, ENTERED, REFUSED, FAILED],
            Status.FAILED,
            Settlement.NONE,
            "w1",
        ),
        ([requested(TOP_UP), PULL, CONFIRMED], Status.PROCESSING, Settlement.NONE, ""),
        ([requested(TOP_UP), CONFIRMED, CREDITED], Status.SUCCEEDED, Settlement.IN_WINDOW, "w1"),
        ([requested(TRANSFER), COMPLETED], Status.SUCCEEDED, Settlement.NONE, ""),
    ],
)
def test_the_public_words(
    history: list[Event], status: Status, settlement: Settlement, window: str
) -> None:
    state = story.given(history).state
    assert isinstance(state, Begun)
    view = view_of(state)
    assert (view.status, view.settlement, view.window_id) == (status, settlement, window)


def test_a_doubted_payment_is_processing_and_in_doubt() -> None:
    state = story.given([requested(PAYOUT), HELD, ENTERED, DOUBTED]).state
    assert isinstance(state, Begun)
    view = view_of(state)
    assert (view.status, view.is_in_doubt) == (Status.PROCESSING, True)


@pytest.mark.parametrize(
    "history",
    [
        [requested(PAYOUT), HELD, ENTERED, DOUBTED, PAID],
        [requested(PAYOUT), HELD, ENTERED, DOUBTED, REFUSED],
        [requested(TOP_UP), PULL, DOUBTED, CONFIRMED],
        [requested(TOP_UP), PULL, DOUBTED, FAILED],
    ],
)
def test_the_banks_word_ends_a_doubt(history: list[Event]) -> None:
    state = story.given(history).state
    assert isinstance(state, Begun)
    assert not view_of(state).is_in_doubt


def test_a_payout_in_our_hands_is_cancelled() -> None:
    cancel = Cancel(REQUEST_ID, CALLER)
    story.given([requested(PAYOUT), HELD]).when(cancel).then([CancelRequested(REQUEST_ID)])


def test_the_journal_decides_between_a_cancel_and_the_window() -> None:
    cancelling: list[Event] = [requested(PAYOUT), HELD, CancelRequested(REQUEST_ID)]
    story.given(cancelling).when(Record(ENTERED)).then([ENTERED])
    state = story.given(cancelling).when(Record(Cancelled())).then([Cancelled()])
    assert isinstance(state, Begun)
    assert state.stage is Stage.CANCELLED


@pytest.mark.parametrize(
    ("kind", "minor", "parts"),
    [
        (TRANSFER, 1_000, (1_000, 0)),
        (SALE, 1_000, (985, 15)),
        (SALE, 1, (1, 0)),
        (SALE, None, (9_850, 150)),
    ],
)
def test_a_refund_is_reserved_leg_by_leg(
    kind: Kind, minor: int | None, parts: tuple[int, int]
) -> None:
    asked = None if minor is None else Money("CZK", minor)
    reserve = ReserveRefund(REFUND_ID, asked, "sorry", CALLER, AT_MS)
    expected = RefundReserved(REFUND_ID, sum(parts), *parts, "sorry", AT_MS, is_rest=minor is None)
    story.given([requested(kind), COMPLETED]).when(reserve).then([expected])


def test_a_refund_given_up_is_free_again_and_a_completed_one_is_not() -> None:
    sold: list[Event] = [requested(TRANSFER, 1_000), COMPLETED]
    whole = RefundReserved(REFUND_ID, 1_000, 1_000, 0, "", AT_MS, is_rest=True)
    given_up = RefundGivenUp(REFUND_ID, "BALANCE_TOO_LOW")
    story.given([*sold, whole]).when(GiveUpRefund(REFUND_ID, "BALANCE_TOO_LOW")).then([given_up])
    again = ReserveRefund(REQUEST_ID, None, "", CALLER, AT_MS)
    reserved = RefundReserved(REQUEST_ID, 1_000, 1_000, 0, "", AT_MS, is_rest=True)
    story.given([*sold, whole, given_up]).when(again).then([reserved])
    done = RefundCompleted(REFUND_ID, 1_000)
    state = story.given([*sold, whole]).when(CompleteRefund(REFUND_ID)).then([done])
    assert isinstance(state, Begun)
    assert view_of(state).status is Status.REVERSED
