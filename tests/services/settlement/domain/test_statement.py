"""Statements are taken in whole or not at all; each line climbs the ladder to exactly one end."""

import random
from dataclasses import replace
from typing import Any

import pytest

from libs.money import Money
from services.settlement.domain.statement import (
    RUNG_BANK_REFERENCE,
    RUNG_NOTHING,
    RUNG_REFERENCE,
    RUNG_UETR,
    Accept,
    Accepted,
    Before,
    Expectation,
    Faulty,
    Favour,
    Line,
    LineMatch,
    LinesMatched,
    Page,
    Quarantined,
    Reason,
    RecordMatches,
    SetAside,
    Totals,
    Waiting,
    Whole,
    match_lines,
    statement,
    take_in,
)
from tests.scenario import Scenario

BEFORE = Before("CD", "ACCT", "CZK", 4, 1_000)


def czk(minor: int) -> Money:
    return Money("CZK", minor)


def line(n: int, **changes: Any) -> Line:  # noqa: ANN401 - a field of any kind
    favour = Favour.OURS if n % 3 else Favour.BANK
    made = Line(
        n, f"uetr-{n}", f"e2e-{n}", f"ref-{n}", favour, czk(100 + n), "2030-01-15", "2030-01-15"
    )
    return replace(made, **changes)


def expected(n: int) -> Expectation:
    made = line(n)
    return Expectation(f"p{n}", made.uetr, made.end_to_end_id, "", made.favour, made.amount)


def pages(lines: list[Line], count: int = 2, **changes: Any) -> list[Page]:  # noqa: ANN401 - as above
    ours = [each.amount.minor for each in lines if each.favour is Favour.OURS]
    banks = [each.amount.minor for each in lines if each.favour is Favour.BANK]
    size = max(1, -(-len(lines) // count))
    made = [
        Page(
            f"m{n}",
            "STMT5",
            "ACCT",
            "CZK",
            5,
            n,
            n == count,
            "2030-01-15",
            "2030-01-15",
            czk(1_000),
            czk(1_000 + sum(ours) - sum(banks)),
            Totals(len(ours), sum(ours), len(banks), sum(banks)),
            tuple(lines[(n - 1) * size : n * size]),
        )
        for n in range(1, count + 1)
    ]
    return [replace(page, **changes) for page in made]


LINES = [line(n) for n in range(1, 10)]


def test_a_whole_statement_is_taken_in_whatever_order_its_pages_came() -> None:
    taken = take_in(list(reversed(pages(LINES, 3))), BEFORE)
    assert isinstance(taken, Whole)
    assert [each.ordinal for each in taken.lines] == list(range(1, 10))
    assert taken.terms.number == 5
    assert taken.terms.message_ids == ("m1", "m2", "m3")


def test_a_statement_without_lines_is_one() -> None:
    assert isinstance(take_in(pages([], 1), BEFORE), Whole)


def test_pages_that_have_not_come_are_waited_for() -> None:
    assert take_in(pages(LINES, 3)[:2], BEFORE) is Waiting.PAGES
    assert take_in(pages(LINES, 3)[1:], BEFORE) is Waiting.PAGES


def test_a_gap_in_the_numbers_is_waited_for() -> None:
    assert take_in(pages(LINES, number=6), BEFORE) is Waiting.GAP


def test_a_copy_books_nothing() -> None:
    assert take_in(pages(LINES, is_copy=True), BEFORE) is Waiting.COPY


FAULTS = {
    "another account": (pages(LINES, account_number="OTHER"), "ACCOUNT"),
    "another currency": (pages(LINES, currency="EUR"), "CURRENCY"),
    "wrong opening": (pages(LINES, opening=czk(999)), "STATEMENT_TOTALS"),
    "wrong closing": (pages(LINES, closing=czk(1)), "STATEMENT_TOTALS"),
    "wrong counts": (pages(LINES, totals=Totals(9, 1, 9, 1)), "STATEMENT_TOTALS"),
    "two last pages": (pages(LINES, is_last=True), "STATEMENT_PAGES"),
    "a page of another statement": (
        [pages(LINES)[0], replace(pages(LINES)[1], statement_id="STMT6")],
        "STATEMENT_TOTALS",
    ),
    "a line of nothing": (pages([*LINES, line(10, amount=czk(0))]), "STATEMENT_TOTALS"),
    "an amount off by one": (
        [
            pages(LINES)[0],
            replace(pages(LINES)[1], lines=(*pages(LINES)[1].lines[:-1], line(9, amount=czk(110)))),
        ],
        "STATEMENT_TOTALS",
    ),
    "a sign": (
        [
            pages(LINES)[0],
            replace(
                pages(LINES)[1], lines=(*pages(LINES)[1].lines[:-1], line(9, favour=Favour.OURS))
            ),
        ],
        "STATEMENT_TOTALS",
    ),
    "a line missing": (
        [pages(LINES)[0], replace(pages(LINES)[1], lines=pages(LINES)[1].lines[:-1])],
        "STATEMENT_TOTALS",
    ),
    "a line twice": (
        [
            pages(LINES)[0],
            replace(pages(LINES)[1], lines=(*pages(LINES)[1].lines, line(9))),
        ],
        "STATEMENT_TOTALS",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_any_failed_check_sets_the_whole_statement_aside(name: str) -> None:
    given, reason = FAULTS[name]
    taken = take_in(given, BEFORE)
    assert isinstance(taken, Faulty)
    assert taken.reason == reason


RUNGS = {
    RUNG_UETR: line(1),
    RUNG_REFERENCE: line(1, uetr=""),
    RUNG_BANK_REFERENCE: line(1, uetr="", end_to_end_id=""),
}


@pytest.mark.parametrize("rung", RUNGS)
def test_the_first_rung_that_fits_wins(rung: int) -> None:
    known = replace(expected(1), bank_reference="ref-1")
    assert match_lines([RUNGS[rung]], [known], {}).matches == (LineMatch(1, "p1", rung),)


DIFFERENCES: dict[str, dict[str, Any]] = {
    "AMOUNT_UNDER": {"amount": czk(100)},
    "AMOUNT_OVER": {"amount": czk(102)},
    "CURRENCY": {"amount": Money("EUR", 101)},
    "DIRECTION": {"favour": Favour.BANK},
}


@pytest.mark.parametrize("type_", DIFFERENCES)
def test_an_identity_with_other_terms_is_a_break_of_that_kind(type_: str) -> None:
    found = match_lines([line(1, **DIFFERENCES[type_])], [expected(1)], {})
    assert [(f.type, f.payment_id) for f in found.findings] == [(type_, "p1")]
    assert not found.matches[0].is_match


def test_a_second_line_for_one_payment_is_a_second_execution() -> None:
    found = match_lines([line(1), line(1, ordinal=2)], [expected(1)], {})
    assert found.matches[0].is_match
    assert [(f.ordinal, f.type) for f in found.findings] == [(2, "DUPLICATE_EXECUTION")]


def test_a_line_for_a_payment_of_an_earlier_statement_is_one_too() -> None:
    found = match_lines([line(1)], [expected(1)], {"p1": "CD-3/7"})
    assert [f.type for f in found.findings] == ["DUPLICATE_EXECUTION"]


def test_a_line_that_nobody_expects_is_only_at_the_bank() -> None:
    found = match_lines([line(1)], [], {})
    assert found.matches == (LineMatch(1, "", RUNG_NOTHING),)
    assert [f.type for f in found.findings] == ["ONLY_AT_BANK"]


@pytest.mark.parametrize("seed", range(50))
def test_seeded_breaks_are_found_exactly_and_in_any_order_the_same(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - seeded on purpose
    count = chance.randrange(1, 60)
    lines, wanted = [], {}
    for n in range(1, count + 1):
        kind = chance.choice(
            ["FITS", "FITS", "FITS", "MISSING", "DUPLICATE", "EXTRA", *DIFFERENCES]
        )
        if kind == "EXTRA":
            lines.append(line(n, uetr="x", end_to_end_id="y", bank_reference="z"))
            wanted[n] = "ONLY_AT_BANK"
        elif kind == "DUPLICATE":
            lines += [line(n), line(n, ordinal=1_000 + n)]
            wanted[1_000 + n] = "DUPLICATE_EXECUTION"
        elif kind in DIFFERENCES:
            amount = {"AMOUNT_UNDER": czk(99 + n), "AMOUNT_OVER": czk(101 + n)}.get(kind)
            changes: dict[str, Any] = {"amount": amount} if amount else {}
            if kind == "CURRENCY":
                changes = {"amount": Money("EUR", 100 + n)}
            elif kind == "DIRECTION":
                other = {Favour.OURS: Favour.BANK, Favour.BANK: Favour.OURS}
                changes = {"favour": other[line(n).favour]}
            lines.append(line(n, **changes))
            wanted[n] = kind
        elif kind == "FITS":
            lines.append(line(n))
    known = [expected(n) for n in range(1, count + 1)]

    first = match_lines(lines, known, {})

    assert {f.ordinal: f.type for f in first.findings} == wanted
    for _ in range(5):
        chance.shuffle(lines)
        chance.shuffle(known)
        assert match_lines(lines, known, {}) == first


ACCEPTED = Accepted("CD-5", "CD", "ACCT", "CZK", 5, "d", "d", 0, 101, 2, ("m1",))
MATCH = LineMatch(1, "p1", 1)


def test_an_accepted_statement_is_matched_in_parts_and_never_accepted_otherwise() -> None:
    part = LinesMatched((line(1),), (MATCH,), 1)
    story = Scenario(statement)
    story.when(Accept(ACCEPTED)).then([ACCEPTED])
    story.given([ACCEPTED]).when(RecordMatches(1, (line(1),), (MATCH,))).then([part])
    story.given([ACCEPTED]).when(RecordMatches(2, (line(1),), (MATCH,))).then_rejected(
        Reason.STATE_CHANGE_NOT_ALLOWED
    )
    story.given([ACCEPTED]).when(Accept(replace(ACCEPTED, closing_minor=1))).then_rejected(
        Reason.IDEMPOTENCY_KEY_REUSED
    )
    story.when(RecordMatches(1, (line(1),), (MATCH,))).then_rejected(
        Reason.STATE_CHANGE_NOT_ALLOWED
    )


def test_a_page_is_set_aside_once() -> None:
    aside = Quarantined("CD", "STATEMENT_TOTALS", "why", "m1")
    Scenario(statement).when(SetAside(aside)).then([aside])
    Scenario(statement).given([aside]).when(Accept(ACCEPTED)).then([ACCEPTED])
    Scenario(statement).given([ACCEPTED]).when(SetAside(aside)).then([aside])
