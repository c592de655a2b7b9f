"""Partners, cut-offs, evidence and breaks: each recorded once, and never otherwise."""

from dataclasses import replace

from libs.money import Money
from services.settlement.domain import breaks, cut_off, evidence, partner
from tests.scenario import Scenario

TERMS = partner.Registered(
    "CD", "Bank", "h:1", "hefu://bank/CD", bytes(32), "k", "ACCT", "CZK", partner.Capability()
)


def test_a_partner_is_registered_once_and_then_opened() -> None:
    story = Scenario(partner.partner)
    story.when(partner.Register(TERMS)).then([TERMS])
    opened = partner.Opened("w", "mirror")
    state = story.given([TERMS]).when(partner.RecordOpening("w", "mirror")).then([opened])
    assert partner.next_step(state) is None
    assert partner.next_step(story.given([TERMS]).state) is partner.Step.OPEN_ACCOUNTS
    story.when(partner.RecordOpening("w", "m")).then_rejected(partner.Reason.PARTNER_NOT_FOUND)


def test_a_partner_with_other_terms_is_refused_naming_the_fields() -> None:
    other = replace(TERMS, address="h:2", key_id="l")
    Scenario(partner.partner).given([TERMS]).when(partner.Register(other)).then_rejected(
        partner.Reason.PARTNER_TERMS_DIFFER, "partner.address", "partner.key_id"
    )


REQUESTED = cut_off.Requested("r", (cut_off.WindowOfBank("CD", "w"),), "2030-01-15")


def test_a_cut_off_keeps_the_windows_of_its_first_moment() -> None:
    story = Scenario(cut_off.cut_off)
    story.when(cut_off.Request(REQUESTED)).then([REQUESTED])
    later = replace(REQUESTED, windows=(cut_off.WindowOfBank("CD", "w2"),))
    story.given([REQUESTED]).when(cut_off.Request(later)).then_nothing()
    story.given([REQUESTED]).when(cut_off.Request(later, ("CD",))).then_nothing()
    story.given([REQUESTED]).when(
        cut_off.Request(replace(REQUESTED, value_date="2030-01-16"), ("EF",))
    ).then_rejected(cut_off.Reason.IDEMPOTENCY_KEY_REUSED, "value_date", "bank_ids")


def test_a_cut_off_is_completed_once() -> None:
    story = Scenario(cut_off.cut_off)
    done = cut_off.Completed(("s",))
    story.given([REQUESTED]).when(cut_off.Complete(("s",))).then([done])
    story.given([REQUESTED, done]).when(cut_off.Complete(())).then_rejected(
        cut_off.Reason.STATE_CHANGE_NOT_ALLOWED
    )
    assert cut_off.next_step(story.given([REQUESTED]).state) is cut_off.Step.SEAL_WINDOWS
    assert cut_off.next_step(story.given([REQUESTED, done]).state) is None


SENT = evidence.Sent("CD", "m", "pain.001.001.09", b"<a/>", b"h1", b"s")
RECEIVED = evidence.Received("CD", "m", "pain.002.001.10", b"<a/>", b"h1", b"s")


def test_what_we_send_is_kept_once_and_its_id_never_names_other_bytes() -> None:
    story = Scenario(evidence.evidence)
    story.when(evidence.KeepSent(SENT)).then([SENT])
    story.given([SENT]).when(evidence.KeepSent(replace(SENT, sha256=b"h2"))).then_rejected(
        evidence.Reason.MESSAGE_ID_REUSED
    )


def test_what_comes_again_is_counted_without_its_bytes() -> None:
    given = Scenario(evidence.evidence).given([RECEIVED])
    events = evidence.decide(evidence.KeepReceived(RECEIVED), given.state)
    assert events == [replace(RECEIVED, body=b"", is_repeat=True)]
    state = evidence.evidence.fold(given.state, events)
    assert isinstance(state, evidence.Kept)
    assert state.repeats == 1
    given.when(evidence.KeepReceived(replace(RECEIVED, sha256=b"h2"))).then_rejected(
        evidence.Reason.MESSAGE_ID_REUSED
    )


def test_a_break_is_opened_once_and_cleared_once() -> None:
    opened = breaks.Opened("b", "ONLY_AT_BANK", "CD", amount=Money("CZK", 1))
    story = Scenario(breaks.breaks)
    story.when(breaks.OpenBreak(opened)).then([opened])
    story.given([opened]).when(breaks.ClearBreak("why")).then([breaks.Cleared("why")])
    story.given([opened, breaks.Cleared("why")]).when(breaks.OpenBreak(opened)).then_nothing()
    story.when(breaks.ClearBreak("why")).then_rejected(breaks.Reason.BREAK_NOT_FOUND)
