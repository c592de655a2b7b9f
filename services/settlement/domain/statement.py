"""A bank's statement: taken in whole or not at all, its lines matched in a fixed order."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, Rejected
from libs.money import Money

LINES_IN_PART_MAX = 500
RUNG_UETR = 1
RUNG_REFERENCE = 2
RUNG_BANK_REFERENCE = 3
RUNG_DIFFERS = 8
RUNG_DUPLICATE = 9
RUNG_NOTHING = 11


class Favour(Enum):
    """In whose favour a line or leg is: C ours, D the bank's."""

    OURS = auto()
    BANK = auto()


@dataclass(frozen=True, slots=True)
class Line:
    ordinal: int
    uetr: str
    end_to_end_id: str
    bank_reference: str
    favour: Favour
    amount: Money
    booking_date: str
    value_date: str


@dataclass(frozen=True, slots=True)
class LineMatch:
    ordinal: int
    payment_id: str
    rung: int

    @property
    def is_match(self) -> bool:
        return self.rung < RUNG_DIFFERS


# Events.
@dataclass(frozen=True, slots=True)
class Accepted:
    statement_id: str
    bank_id: str
    account_number: str
    currency_code: str
    number: int
    from_date: str
    to_date: str
    opening_minor: int
    closing_minor: int
    line_count: int
    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LinesMatched:
    lines: tuple[Line, ...]
    matches: tuple[LineMatch, ...]
    part: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    bank_id: str
    reason: str
    description: str
    message_id: str


Event: TypeAlias = Accepted | LinesMatched | Quarantined


# States.
@dataclass(frozen=True, slots=True)
class Absent:
    """Not accepted; message ids of what was set aside."""

    set_aside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Held:
    """Accepted; how many lines are matched."""

    terms: Accepted
    matched: int = 0
    parts: int = 0
    set_aside: frozenset[str] = frozenset()

    @property
    def is_matched(self) -> bool:
        return self.matched == self.terms.line_count


Statement: TypeAlias = Absent | Held


def evolve(statement: Statement, event: Event) -> Statement:
    match statement, event:
        case Absent(set_aside), Accepted():
            return Held(event, set_aside=set_aside)
        case Held(terms, matched, parts, set_aside), LinesMatched(lines, _, part) if (
            part == parts + 1
        ):
            return Held(terms, matched + len(lines), part, set_aside)
        case Absent(set_aside), Quarantined():
            return Absent(set_aside | {event.message_id})
        case Held(terms, matched, parts, set_aside), Quarantined():
            return Held(terms, matched, parts, set_aside | {event.message_id})
    raise AssertionError(f"{event} cannot follow {statement}")


class Reason(Enum):
    STATE_CHANGE_NOT_ALLOWED = auto()
    IDEMPOTENCY_KEY_REUSED = auto()


@dataclass(frozen=True, slots=True)
class Accept:
    terms: Accepted


@dataclass(frozen=True, slots=True)
class RecordMatches:
    part: int
    lines: tuple[Line, ...]
    matches: tuple[LineMatch, ...]


@dataclass(frozen=True, slots=True)
class SetAside:
    terms: Quarantined


Command: TypeAlias = Accept | RecordMatches | SetAside


def decide(command: Command, statement: Statement) -> Sequence[Event]:
    match command:
        case Accept(terms):
            if isinstance(statement, Absent):
                return [terms]
            if statement.terms == terms:
                return []
            raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "its number was accepted otherwise")
        case RecordMatches(part, lines, matches):
            return _record(part, lines, matches, statement)
        case SetAside(terms):
            return [] if terms.message_id in statement.set_aside else [terms]
        case _:
            assert_never(command)


def _record(
    part: int, lines: tuple[Line, ...], matches: tuple[LineMatch, ...], statement: Statement
) -> Sequence[Event]:
    if isinstance(statement, Absent):
        raise Rejected(Reason.STATE_CHANGE_NOT_ALLOWED, "only an accepted statement is matched")
    if part <= statement.parts:
        return []
    if part != statement.parts + 1 or statement.matched + len(lines) > statement.terms.line_count:
        raise Rejected(
            Reason.STATE_CHANGE_NOT_ALLOWED, "parts come in order and end with the lines"
        )
    return [LinesMatched(lines, matches, part)]


statement: Decider[Command, Statement, Event] = Decider(Absent(), decide, evolve)


# Intake: all or nothing.
@dataclass(frozen=True, slots=True)
class Totals:
    credits: int
    credits_minor: int
    debits: int
    debits_minor: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page as it came; balances and totals are those of the whole statement."""

    message_id: str
    statement_id: str
    account_number: str
    currency: str
    number: int
    page: int
    is_last: bool
    from_date: str
    to_date: str
    opening: Money
    closing: Money
    totals: Totals
    lines: tuple[Line, ...]
    is_copy: bool = False


@dataclass(frozen=True, slots=True)
class Before:
    """The account as the last accepted statement left it."""

    bank_id: str
    account_number: str
    currency: str
    number: int = 0
    closing_minor: int = 0


class Waiting(Enum):
    """Why nothing is decided yet."""

    GAP = auto()
    PAGES = auto()
    COPY = auto()


@dataclass(frozen=True, slots=True)
class Faulty:
    """Set aside whole. `reason` is a break's type or the name of a failed check."""

    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class Whole:
    """All pages are here and all sums hold. Lines are numbered from 1 over all pages."""

    terms: Accepted
    lines: tuple[Line, ...]


def take_in(pages: Sequence[Page], before: Before) -> Whole | Faulty | Waiting:
    """What the pages of one statement number come to."""
    ordered = sorted(pages, key=lambda page: page.page)
    first = ordered[0]
    if any(page.is_copy for page in ordered):
        return Waiting.COPY
    if fault := _header_fault(ordered, before):
        return fault
    if first.number != before.number + 1:
        return Waiting.GAP
    if [page.page for page in ordered] != list(range(1, len(ordered) + 1)):
        return Waiting.PAGES
    lasts = [page.page for page in ordered if page.is_last]
    if not lasts:
        return Waiting.PAGES
    if lasts != [len(ordered)]:
        return Faulty("STATEMENT_PAGES", "a page follows the one marked as last")
    return _summed(ordered, before)


def _header_fault(pages: Sequence[Page], before: Before) -> Faulty | None:
    first = pages[0]
    if first.account_number != before.account_number:
        return Faulty("ACCOUNT", "the account is not ours")
    heads = {
        (p.statement_id, p.account_number, p.number, p.opening, p.closing, p.totals) for p in pages
    }
    if len(heads) != 1:
        return Faulty("STATEMENT_TOTALS", "the pages belong to different statements")
    moneys = [first.opening, first.closing, *(line.amount for p in pages for line in p.lines)]
    if {first.currency, *(money.currency for money in moneys)} != {before.currency}:
        return Faulty("CURRENCY", f"not all of it is in {before.currency}")
    return None


def _summed(pages: Sequence[Page], before: Before) -> Whole | Faulty:
    first = pages[0]
    lines = [line for page in pages for line in page.lines]
    ours = [line.amount.minor for line in lines if line.favour is Favour.OURS]
    banks = [line.amount.minor for line in lines if line.favour is Favour.BANK]
    if any(minor <= 0 for minor in (*ours, *banks)):
        return Faulty("STATEMENT_TOTALS", "a line's amount is not positive")
    if first.opening.minor != before.closing_minor:
        return Faulty("STATEMENT_TOTALS", "it does not open where the one before closed")
    if first.opening.minor + sum(ours) - sum(banks) != first.closing.minor:
        return Faulty("STATEMENT_TOTALS", "opening and lines do not make the closing balance")
    if first.totals != Totals(len(ours), sum(ours), len(banks), sum(banks)):
        return Faulty("STATEMENT_TOTALS", "the summary does not agree with the lines")
    numbered = tuple(
        Line(
            ordinal,
            line.uetr,
            line.end_to_end_id,
            line.bank_reference,
            line.favour,
            line.amount,
            line.booking_date,
            line.value_date,
        )
        for ordinal, line in enumerate(lines, 1)
    )
    terms = Accepted(
        statement_id=f"{before.bank_id}-{first.number}",
        bank_id=before.bank_id,
        account_number=first.account_number,
        currency_code=first.currency,
        number=first.number,
        from_date=min(page.from_date for page in pages),
        to_date=max(page.to_date for page in pages),
        opening_minor=first.opening.minor,
        closing_minor=first.closing.minor,
        line_count=len(numbered),
        message_ids=tuple(page.message_id for page in pages),
    )
    return Whole(terms, numbered)


# The matching ladder.
@dataclass(frozen=True, slots=True)
class Expectation:
    """A movement we sent: the line it should become."""

    payment_id: str
    uetr: str
    end_to_end_id: str
    bank_reference: str
    favour: Favour
    amount: Money


@dataclass(frozen=True, slots=True)
class Finding:
    """A line that is not simply matched: the break's type, and the payment where one is named."""

    ordinal: int
    type: str
    payment_id: str = ""


@dataclass(frozen=True, slots=True)
class Matching:
    """Every line with its rung, and the breaks; input in any order gives the same result."""

    matches: tuple[LineMatch, ...]
    findings: tuple[Finding, ...]


def match_lines(
    lines: Sequence[Line], expected: Sequence[Expectation], taken: Mapping[str, str]
) -> Matching:
    """Runs the ladder. `taken` names payments that an earlier statement's line already explains.

    Lines are taken by booking date and place; the first rung with exactly one candidate wins;
    amount, currency and direction are equal on all of them.
    """
    rungs = _rungs(expected)
    used = dict(taken)
    matches: dict[int, LineMatch] = {}
    findings: dict[int, Finding] = {}
    for line in sorted(lines, key=lambda line: (line.booking_date, line.ordinal)):
        found = _climb(line, rungs, used)
        if isinstance(found, Finding):
            rung = RUNG_DIFFERS
            if found.type == "DUPLICATE_EXECUTION":
                rung = RUNG_DUPLICATE
            elif found.type == "ONLY_AT_BANK":
                rung = RUNG_NOTHING
            findings[line.ordinal] = found
            matches[line.ordinal] = LineMatch(line.ordinal, found.payment_id, rung)
        else:
            used[found.payment_id] = str(line.ordinal)
            matches[line.ordinal] = found
    ordinals = sorted(matches)
    return Matching(
        tuple(matches[ordinal] for ordinal in ordinals),
        tuple(findings[ordinal] for ordinal in ordinals if ordinal in findings),
    )


_Rung: TypeAlias = tuple[int, str, Mapping[str, Sequence[Expectation]]]


def _rungs(expected: Sequence[Expectation]) -> Sequence[_Rung]:
    fields = (
        (RUNG_UETR, "uetr"),
        (RUNG_REFERENCE, "end_to_end_id"),
        (RUNG_BANK_REFERENCE, "bank_reference"),
    )
    rungs = []
    for rung, name in fields:
        found: defaultdict[str, list[Expectation]] = defaultdict(list)
        for expectation in expected:
            if key := getattr(expectation, name):
                found[key].append(expectation)
        rungs.append((rung, name, found))
    return rungs


def _climb(line: Line, rungs: Sequence[_Rung], used: Mapping[str, str]) -> LineMatch | Finding:
    differing: Finding | None = None
    for rung, name, found in rungs:
        named = found.get(getattr(line, name), ()) if getattr(line, name) else ()
        fitting = [e for e in named if _difference(line, e) is None]
        free = [e for e in fitting if e.payment_id not in used]
        if len(free) == 1:
            return LineMatch(line.ordinal, free[0].payment_id, rung)
        if fitting and not free:
            return Finding(line.ordinal, "DUPLICATE_EXECUTION", fitting[0].payment_id)
        if len(named) == 1 and not fitting and differing is None:
            type_ = _difference(line, named[0])
            if type_ is None:
                raise AssertionError("what does not fit differs")
            differing = Finding(line.ordinal, type_, named[0].payment_id)
    return differing or Finding(line.ordinal, "ONLY_AT_BANK")


def _difference(line: Line, expectation: Expectation) -> str | None:
    if line.amount.currency != expectation.amount.currency:
        return "CURRENCY"
    if line.favour is not expectation.favour:
        return "DIRECTION"
    if line.amount.minor < expectation.amount.minor:
        return "AMOUNT_UNDER"
    if line.amount.minor > expectation.amount.minor:
        return "AMOUNT_OVER"
    return None
