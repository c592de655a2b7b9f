"""Each code of the bank's means exactly one of five outcomes."""

import pytest

from services.settlement.domain.status import (
    NOT_FOUND,
    Outcome,
    Standing,
    Verdict,
    line_outcome,
    verdict,
)

FINAL = frozenset({"ACSC", "ACCC"})
TRUSTED = Standing(FINAL, refusal_is_final=True)
CAUTIOUS = Standing(frozenset(), refusal_is_final=False)
PENDING = ("RCVD", "ACTC", "ACCP", "ACFC", "ACPD", "ACSP", "ACWP", "PATC", "PDNG", "ACWC")
RULES = ("AC01", "AC04", "AC06", "AM02", "AM03", "AM04", "AG01", "FF01", "RR04")
REPEATS = ("AM05", "DU01", "DU02", "DU03", "DU04", "DU05")
ABORTED = ("AB01", "AB05", "AB09", "AB10", "AB11")
STRANGE = ("", "ZZ99", "AB12", "AB00", "DU06", "AM01", "AM09", "AC1", "AC011", "ac01")


def inquiry(agreeing: int, *, is_final: bool = False) -> Standing:
    return Standing(FINAL, is_final, is_inquiry_answer=True, inquiries_refused=agreeing)


@pytest.mark.parametrize("status", ["ACSC", "ACCC"])
def test_a_good_end_is_done_only_where_the_bank_said_that_it_is_final(status: str) -> None:
    assert verdict(status, "", TRUSTED) == Verdict(Outcome.DONE)
    assert verdict(status, "", CAUTIOUS) == Verdict(Outcome.PENDING)


@pytest.mark.parametrize("status", PENDING)
def test_what_is_on_its_way_is_pending(status: str) -> None:
    assert verdict(status, "", TRUSTED).outcome is Outcome.PENDING


def test_what_the_bank_stopped_is_pending_with_a_case() -> None:
    assert verdict("BLCK", "", TRUSTED) == Verdict(Outcome.PENDING, "BLCK", opens_case=True)
    assert verdict("CANC", "", TRUSTED) == Verdict(Outcome.UNKNOWN, "CANC", opens_case=True)


@pytest.mark.parametrize("reason", RULES)
def test_a_refusal_for_a_rule_is_final_where_the_banks_refusals_are(reason: str) -> None:
    assert verdict("RJCT", reason, TRUSTED) == Verdict(Outcome.REFUSED, reason)
    assert verdict("RJCT", reason, CAUTIOUS).outcome is Outcome.UNKNOWN
    assert verdict("RJCT", reason, inquiry(1)).outcome is Outcome.UNKNOWN
    assert verdict("RJCT", reason, inquiry(2)).outcome is Outcome.REFUSED


@pytest.mark.parametrize("reason", REPEATS)
def test_a_refusal_because_of_a_repeat_says_that_another_copy_exists(reason: str) -> None:
    for standing in (TRUSTED, CAUTIOUS, inquiry(9, is_final=True)):
        assert verdict("RJCT", reason, standing) == Verdict(Outcome.UNKNOWN, reason)


@pytest.mark.parametrize("reason", ABORTED)
def test_an_aborted_one_needs_one_inquiry_that_agrees(reason: str) -> None:
    assert verdict("RJCT", reason, TRUSTED).outcome is Outcome.UNKNOWN
    assert verdict("RJCT", reason, inquiry(0)).outcome is Outcome.UNKNOWN
    assert verdict("RJCT", reason, inquiry(1)).outcome is Outcome.REFUSED


@pytest.mark.parametrize("reason", ["AG09", "NOOR"])
def test_not_found_is_no_refusal(reason: str) -> None:
    assert verdict("RJCT", reason, inquiry(5, is_final=True)) == Verdict(Outcome.UNKNOWN, NOT_FOUND)
    assert verdict("RJCT", reason, TRUSTED).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("reason", STRANGE)
def test_a_refusal_for_an_unlisted_reason_is_unknown(reason: str) -> None:
    assert verdict("RJCT", reason, TRUSTED).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("status", ["", "PART", "acsc", "ACSC ", "XXXX", "DONE"])
def test_a_code_not_in_the_table_is_unknown(status: str) -> None:
    assert verdict(status, "", TRUSTED).outcome is Outcome.UNKNOWN


def test_a_line_is_done_when_booked_and_says_nothing_when_informing() -> None:
    assert line_outcome("BOOK") is Outcome.DONE
    assert line_outcome("PDNG") is Outcome.PENDING
    assert line_outcome("INFO") is None
    assert line_outcome("????") is Outcome.UNKNOWN
