"""Every trigger in every state: what the table lists passes, all else is refused."""

from collections.abc import Callable, Sequence

import pytest

from libs.decider import Rejected
from services.settlement.domain.settlement import (
    Abort,
    Aborted,
    Agree,
    Agreed,
    Carry,
    Command,
    Confirm,
    Confirmed,
    Differ,
    Differed,
    DisputedLeg,
    Draft,
    Drafted,
    Event,
    Finalise,
    Finalised,
    Instruct,
    Instructed,
    LegsCarried,
    Live,
    PaymentsSettled,
    Propose,
    Proposed,
    Reason,
    Stage,
    Step,
    TellPayments,
    TiedOut,
    TieOut,
    next_step,
    settlement,
    why_stuck,
)
from tests.scenario import Scenario

DRAFTED = Drafted("s", "CD", "CZK", ("w",), 100, 500, 900, "2030-01-15", b"", 7)
PROPOSED = Proposed(1, b"header", b"root", b"signature", 100, 500, 900)
AGAIN = Proposed(2, b"header 2", b"root 2", b"signature 2", 99, 500, 890)
OUR_LEAF = b"HEFU-LEG-1" + bytes(16) + b"D" + bytes(8)
LEG = DisputedLeg("p1", "u1", "AMOUNT", OUR_LEAF, b"theirs")
DIFFERED = Differed(1, b"other root", (LEG,), 9)
CARRIED = LegsCarried(("p1",), "w", "w2", "AMOUNT")
AGREED = Agreed(1, b"digest", b"countersignature", "key")
INSTRUCTED = Instructed(("t1", "t2"))
CONFIRMED = Confirmed(98, 2, 1)
TIED_OUT = TiedOut("CD-1", 5, 5, 9)
FINALISED = Finalised(b"ours", b"theirs")
TOLD = PaymentsSettled("s", ("p2",), 1)

TO_AGREED: Sequence[Event] = (DRAFTED, PROPOSED, AGREED)
STORIES: dict[str, Sequence[Event]] = {
    "NOTHING": (),
    "DRAFT": (DRAFTED,),
    "PROPOSED": (DRAFTED, PROPOSED),
    "DIFFERED": (DRAFTED, PROPOSED, DIFFERED),
    "CARRIED": (DRAFTED, PROPOSED, DIFFERED, CARRIED),
    "PROPOSED_AGAIN": (DRAFTED, PROPOSED, DIFFERED, CARRIED, AGAIN),
    "AGREED": TO_AGREED,
    "INSTRUCTED": (*TO_AGREED, INSTRUCTED),
    "CONFIRMED": (*TO_AGREED, INSTRUCTED, CONFIRMED),
    "TIED_OUT": (*TO_AGREED, INSTRUCTED, CONFIRMED, TIED_OUT),
    "FINAL": (*TO_AGREED, INSTRUCTED, CONFIRMED, TIED_OUT, FINALISED),
    "TOLD": (*TO_AGREED, INSTRUCTED, CONFIRMED, TIED_OUT, FINALISED, TOLD),
    "ABORTED": (DRAFTED, Aborted("why")),
}
COMMANDS: dict[str, tuple[Command, Event]] = {
    "draft": (Draft(DRAFTED), DRAFTED),
    "propose": (Propose(PROPOSED), PROPOSED),
    "propose again": (Propose(AGAIN), AGAIN),
    "differ": (Differ(DIFFERED), DIFFERED),
    "carry": (Carry((CARRIED,)), CARRIED),
    "agree": (Agree(AGREED), AGREED),
    "abort": (Abort("why"), Aborted("why")),
    "instruct": (Instruct(("t1", "t2")), INSTRUCTED),
    "confirm": (Confirm(CONFIRMED), CONFIRMED),
    "tie out": (TieOut(TIED_OUT), TIED_OUT),
    "finalise": (Finalise(FINALISED), FINALISED),
    "tell": (TellPayments(("p2",)), TOLD),
}
# What is listed happens; "=" is a repeat of what is so already: accepted, and nothing recorded.
ALLOWED = {
    "NOTHING": {"draft"},
    "DRAFT": {"propose", "abort"},
    "PROPOSED": {"differ", "agree", "abort"},
    "DIFFERED": {"carry", "abort"},
    "CARRIED": {"propose again", "abort"},
    "PROPOSED_AGAIN": {"abort"},
    "AGREED": {"instruct"},
    "INSTRUCTED": {"confirm"},
    "CONFIRMED": {"tie out"},
    "TIED_OUT": {"finalise"},
    "FINAL": {"tell"},
}
HAPPENED = {
    DRAFTED: "draft",
    PROPOSED: "propose",
    AGAIN: "propose again",
    DIFFERED: "differ",
    CARRIED: "carry",
    AGREED: "agree",
    INSTRUCTED: "instruct",
    CONFIRMED: "confirm",
    TIED_OUT: "tie out",
    FINALISED: "finalise",
    TOLD: "tell",
    Aborted("why"): "abort",
}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("name", COMMANDS)
def test_only_the_listed_changes_pass(story: str, name: str) -> None:
    history, (command, event) = STORIES[story], COMMANDS[name]
    given = Scenario(settlement).given(history)

    if name in ALLOWED.get(story, ()):
        given.when(command).then([event])
        return
    try:
        events = list(settlement.decide(command, given.state))
    except Rejected as rejected:
        known = {Reason.STATE_CHANGE_NOT_ALLOWED, Reason.SETTLEMENT_NOT_FOUND}
        assert rejected.reason in known  # noqa: PT017 - a repeat is no refusal, so both ways are seen
        return
    assert events == []
    assert name in {HAPPENED[past] for past in history}, "only a repeat may be accepted silently"


STEPS = {
    "NOTHING": None,
    "DRAFT": Step.PROPOSE,
    "PROPOSED": Step.SUBMIT_PROPOSAL,
    "DIFFERED": Step.CARRY,
    "CARRIED": Step.PROPOSE,
    "PROPOSED_AGAIN": Step.SUBMIT_PROPOSAL,
    "AGREED": Step.INSTRUCT,
    "INSTRUCTED": Step.CONFIRM,
    "CONFIRMED": Step.TIE_OUT,
    "TIED_OUT": Step.CONFIRM_FINAL,
    "FINAL": Step.CLOSE_WINDOW,
    "TOLD": None,
    "ABORTED": None,
}


@pytest.mark.parametrize("story", STEPS)
def test_each_state_has_its_next_step(story: str) -> None:
    assert next_step(Scenario(settlement).given(STORIES[story]).state) is STEPS[story]


def test_the_same_round_with_another_header_is_refused() -> None:
    other = Proposed(1, b"another header", b"root", b"signature", 100, 500, 900)
    Scenario(settlement, STORIES["PROPOSED"]).when(Propose(other)).then_rejected(
        Reason.ROUND_TERMS_DIFFER
    )


def test_a_countersignature_of_an_old_round_is_refused() -> None:
    Scenario(settlement, STORIES["PROPOSED_AGAIN"]).when(Agree(AGREED)).then_rejected(
        Reason.STATE_CHANGE_NOT_ALLOWED
    )


def test_other_terms_under_the_same_settlement_are_refused_field_by_field() -> None:
    other = Drafted("s", "CD", "CZK", ("w",), 99, 400, 900, "2030-01-15", b"", 7)
    Scenario(settlement, STORIES["DRAFT"]).when(Draft(other)).then_rejected(
        Reason.IDEMPOTENCY_KEY_REUSED, "legs", "sum_ours_minor"
    )


def disputes(count: int, *, type_: str = "AMOUNT", favour: bytes = b"D") -> Differed:
    leaf = b"HEFU-LEG-1" + bytes(16) + favour + bytes(8)
    legs = tuple(DisputedLeg(f"p{n}", f"u{n}", type_, leaf, b"x") for n in range(count))
    return Differed(1, b"root", legs, 3)


STUCK: dict[str, Callable[[], Differed]] = {
    "more than 5 in a hundred": lambda: disputes(6),
    "ours": lambda: disputes(1, favour=b"C"),
    "unknown to us": lambda: disputes(1, type_="UNKNOWN_TO_US"),
    "nothing named": lambda: disputes(0),
    "third round": lambda: Differed(3, b"root", disputes(1).disputed, 3),
}


@pytest.mark.parametrize("name", STUCK)
def test_beyond_the_limits_people_decide(name: str) -> None:
    differed = STUCK[name]()
    assert why_stuck(differed, PROPOSED)


def test_within_the_limits_legs_are_carried() -> None:
    assert why_stuck(disputes(5), PROPOSED) == ""
    few = Proposed(1, b"h", b"r", b"s", 3, 0, 3)
    assert why_stuck(disputes(1), few) == ""
    assert why_stuck(disputes(2), few)


def test_a_stuck_settlement_waits_and_carries_nothing() -> None:
    given = Scenario(settlement).given([DRAFTED, PROPOSED, disputes(6)])
    assert next_step(given.state) is None
    moves = LegsCarried(tuple(f"p{n}" for n in range(6)), "w", "w2", "AMOUNT")
    given.when(Carry((moves,))).then_rejected(Reason.STATE_CHANGE_NOT_ALLOWED)


def test_payments_are_told_in_parts() -> None:
    ids = tuple(f"p{n}" for n in range(2_500))
    events = settlement.decide(
        TellPayments(ids), Scenario(settlement).given(STORIES["FINAL"]).state
    )
    parts = [event for event in events if isinstance(event, PaymentsSettled)]
    assert [len(part.payment_ids) for part in parts] == [1_000, 1_000, 500]
    assert tuple(id_ for part in parts for id_ in part.payment_ids) == ids


def test_a_settlement_without_payments_still_says_that_it_has_told() -> None:
    state = (
        Scenario(settlement)
        .given(STORIES["FINAL"])
        .when(TellPayments(()))
        .then([PaymentsSettled("s", (), 1)])
    )
    assert isinstance(state, Live)
    assert state.stage is Stage.FINAL
    assert next_step(state) is None
