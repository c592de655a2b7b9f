"""One instruction: sent by one sender, doubted honestly, decided for ever, asked in bounds."""

from collections.abc import Sequence

import pytest

from libs.money import Money
from services.settlement.domain.bank_transfer import (
    Book,
    Command,
    Contradicted,
    Decide,
    Doubt,
    Doubted,
    Event,
    InquirySent,
    Intend,
    Intended,
    Item,
    ItemOutcome,
    ItemsBooked,
    ItemsDecided,
    Kind,
    Live,
    NotSent,
    Reason,
    RecordInquiry,
    RecordNotSent,
    SendStarted,
    Source,
    StartSend,
    Step,
    bank_transfer,
    due_ms,
    next_step,
    not_found_gap_ms,
)
from services.settlement.domain.partner import Capability
from services.settlement.domain.status import NOT_FOUND, Outcome
from tests.scenario import Scenario

T0 = 1_000_000
ITEMS = tuple(Item(f"p{n}", f"u{n}", Money("CZK", 100 + n), f"A{n}") for n in (1, 2, 3))
INTENDED = Intended("t", "CD", Kind.PAYOUT, ITEMS, "s")
STARTED = SendStarted(1, "m", T0)
DOUBTED = Doubted("RESET", T0 + 10, ("p1", "p2", "p3"))
SENT: Sequence[Event] = (INTENDED, STARTED)
BANK = Capability(
    (60, 600, 3_600), ("ACSC",), refusal_is_final=True, batch_max=250, dedupe_horizon_s=86_400
)
story = Scenario(bank_transfer)


def said(n: int, outcome: Outcome, reason: str = "") -> ItemOutcome:
    return ItemOutcome(f"p{n}", f"u{n}", outcome, reason)


def told(
    *outcomes: ItemOutcome, source: Source = Source.REPLY, id_: str = "r", at: int = T0
) -> Decide:
    return Decide(outcomes, id_, source, at)


def decided(
    *outcomes: ItemOutcome, source: Source = Source.REPLY, id_: str = "r", at: int = T0
) -> ItemsDecided:
    return ItemsDecided(outcomes, id_, source.name, at)


def test_an_instruction_is_intended_once() -> None:
    story.when(Intend(INTENDED)).then([INTENDED])


def test_other_terms_under_one_id_are_refused_field_by_field() -> None:
    pull = Intended("t", "CD", Kind.PULL, (ITEMS[0],))
    other = Item("p1", "u1", Money("CZK", 5), "B1")
    story.given([pull]).when(Intend(Intended("t", "EF", Kind.PULL, (other,)))).then_rejected(
        Reason.IDEMPOTENCY_KEY_REUSED, "bank_id", "amount", "bank_account"
    )


def test_a_send_is_started_by_one_sender() -> None:
    story.given([INTENDED]).when(StartSend(1, "m", T0)).then([STARTED])
    story.given(SENT).when(StartSend(2, "m", T0)).then_rejected(Reason.STATE_CHANGE_NOT_ALLOWED)
    story.given(SENT).when(StartSend(1, "other", T0)).then_rejected(Reason.STATE_CHANGE_NOT_ALLOWED)


def test_a_resend_has_the_same_bytes() -> None:
    waiting = [*SENT, NotSent("refused", T0)]
    story.given(waiting).when(StartSend(2, "m", T0)).then([SendStarted(2, "m", T0)])
    story.given(waiting).when(StartSend(2, "n", T0)).then_rejected(Reason.STATE_CHANGE_NOT_ALLOWED)


def test_a_send_without_outcome_is_doubted_after_a_crash() -> None:
    state = story.given(SENT).state
    assert next_step(state, BANK, T0) is Step.DOUBT
    story.given(SENT).when(Doubt("RESET", T0 + 10)).then([DOUBTED])


def test_nothing_is_decided_on_what_was_never_sent() -> None:
    for history in ((), (INTENDED,)):
        story.given(history).when(told(said(1, Outcome.DONE))).then_rejected(Reason.NEVER_SENT)


def test_an_answer_decides_item_by_item_and_silence_is_doubt() -> None:
    outcomes = (
        said(1, Outcome.DONE),
        said(2, Outcome.REFUSED, "AC01"),
        said(3, Outcome.UNKNOWN, "NO_STATUS"),
    )
    story.given(SENT).when(told(*outcomes)).then(
        [decided(*outcomes), Doubted("NO_STATUS", T0, ("p3",))]
    )


@pytest.mark.parametrize("final", [Outcome.DONE, Outcome.REFUSED])
def test_a_final_outcome_never_changes(final: Outcome) -> None:
    other = Outcome.REFUSED if final is Outcome.DONE else Outcome.DONE
    given = story.given([*SENT, decided(said(1, final), said(2, final), said(3, final))])
    given.when(told(said(1, final), id_="later")).then_nothing()
    for less in (Outcome.PENDING, Outcome.UNKNOWN):
        given.when(told(said(1, less), id_="later")).then_nothing()
    after = given.when(told(said(1, other), id_="later")).then([Contradicted("p1", final, other)])
    assert isinstance(after, Live)
    assert after.items["p1"].outcome is final


def test_a_late_confirmation_closes_what_was_pending_or_in_doubt() -> None:
    pending = decided(said(1, Outcome.PENDING), said(2, Outcome.PENDING), said(3, Outcome.PENDING))
    done = (said(1, Outcome.DONE),)
    for before in ([*SENT, pending], [*SENT, DOUBTED]):
        story.given(before).when(told(*done, source=Source.NOTICE)).then(
            [decided(*done, source=Source.NOTICE)]
        )


def test_a_foreign_item_is_refused() -> None:
    for foreign in (ItemOutcome("p9", "u9", Outcome.DONE), ItemOutcome("p1", "u2", Outcome.DONE)):
        story.given(SENT).when(told(foreign)).then_rejected(Reason.REFERENCE_UNKNOWN)


def test_only_what_is_done_is_booked_and_once() -> None:
    given = story.given([*SENT, decided(said(1, Outcome.DONE), said(2, Outcome.REFUSED, "AC01"))])
    given.when(Book(("p1",), 9)).then([ItemsBooked(("p1",), 9)])
    given.when(Book(("p2",), 9)).then_rejected(Reason.STATE_CHANGE_NOT_ALLOWED)


def test_not_sent_waits_longer_each_time() -> None:
    state = story.given([*SENT, NotSent("refused", T0)]).state
    assert next_step(state, BANK, T0 + 999) is None
    assert next_step(state, BANK, T0 + 1_000) is Step.SEND
    again = [*SENT, NotSent("refused", T0), SendStarted(2, "m", T0), NotSent("refused", T0)]
    assert next_step(story.given(again).state, BANK, T0 + 1_999) is None
    assert next_step(story.given(again).state, BANK, T0 + 2_000) is Step.SEND


def test_inquiries_follow_the_schedule_and_then_stop_short_of_a_case() -> None:
    history: list[Event] = [*SENT, DOUBTED]
    since = DOUBTED.since_ms
    for ordinal, after_s in enumerate((60, 600, 3_600), 1):
        state = story.given(history).state
        due = since + after_s * 1_000
        assert due_ms(state, BANK) == due
        assert next_step(state, BANK, due - 1) is None
        assert next_step(state, BANK, due) is Step.INQUIRE
        history.append(InquirySent(ordinal, f"i{ordinal}", due))
    state = story.given(history).state
    assert next_step(state, BANK, since + 3_600_001) is None
    assert next_step(state, BANK, since + 2 * 3_600_000 + 1) is Step.ESCALATE
    day_ms = 24 * 3_600_000
    assert due_ms(state, BANK) == since + 3_600_000 + day_ms


def not_found(times: Sequence[int]) -> list[Event]:
    history: list[Event] = [*SENT, DOUBTED]
    for n, at in enumerate(times, 1):
        missing = tuple(said(i, Outcome.UNKNOWN, NOT_FOUND) for i in (1, 2, 3))
        history += [
            InquirySent(n, f"i{n}", at),
            decided(*missing, source=Source.INQUIRY, id_=f"a{n}", at=at),
        ]
    return history


RESENDS = {
    "asked once": ([T0 + 60_000], BANK, T0 + 90_000, False),
    "asked twice": ([T0 + 60_000, T0 + 600_000], BANK, T0 + 600_001, True),
    "too close": ([T0 + 60_000, T0 + 359_999], BANK, T0 + 360_000, False),
    "bank forgets": (
        [T0 + 60_000, T0 + 600_000],
        Capability((60, 600), dedupe_horizon_s=600),
        T0 + 600_001,
        False,
    ),
    "never dedupes": ([T0 + 60_000, T0 + 600_000], Capability((60, 600)), T0 + 600_001, False),
}


@pytest.mark.parametrize("name", RESENDS)
def test_a_resend_needs_two_not_founds_and_a_bank_that_remembers(name: str) -> None:
    times, capability, now, is_allowed = RESENDS[name]
    step = next_step(story.given(not_found(times)).state, capability, now)
    assert (step is Step.SEND) == is_allowed


def test_the_gap_between_two_not_founds_is_five_minutes_at_the_usual_schedule() -> None:
    assert not_found_gap_ms(BANK) == 300_000
    assert not_found_gap_ms(Capability((2, 5, 10, 20))) == 3_000
    assert not_found_gap_ms(Capability((2,))) == 300_000


REPEATABLE: list[tuple[Sequence[Event], Command]] = [
    (SENT, RecordNotSent("refused", T0)),
    ([*SENT, DOUBTED], RecordInquiry(1, "i1", T0)),
    ([*SENT, DOUBTED], told(said(1, Outcome.UNKNOWN, NOT_FOUND), source=Source.INQUIRY, id_="a")),
]


@pytest.mark.parametrize(("history", "command"), REPEATABLE)
def test_the_same_command_twice_records_nothing_the_second_time(
    history: Sequence[Event], command: Command
) -> None:
    state = story.given(history).state
    events = list(bank_transfer.decide(command, state))
    assert events
    story.given([*history, *events]).when(command).then_nothing()


def test_a_pull_needs_no_booking_of_ours() -> None:
    pull = Intended("t", "CD", Kind.PULL, (ITEMS[0],))
    state = story.given([pull, STARTED, decided(said(1, Outcome.DONE))]).state
    assert next_step(state, BANK, T0) is None


def test_a_payout_is_booked_and_then_at_rest() -> None:
    done = decided(*(said(n, Outcome.DONE) for n in (1, 2, 3)))
    assert next_step(story.given([*SENT, done]).state, BANK, T0) is Step.BOOK
    booked = ItemsBooked(("p1", "p2", "p3"), 1)
    assert next_step(story.given([*SENT, done, booked]).state, BANK, T0) is None
