"""The statements of one account: numbered without gaps, each begins where the last one ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum, auto
from typing import TypeAlias

from libs.decider import Decider, FieldViolation, Rejected


@dataclass(frozen=True, slots=True)
class Period:
    """Business dates, both within it, ISO 8601."""

    from_date: str
    to_date: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A statement; amounts in minor units on the account's normal side.

    Its lines are the account's entries behind `opening_seq`, up to `closing_seq`: they are in the
    journal and need not be kept here.
    """

    account_id: str
    number: int
    period: Period
    opening: int
    closing: int
    opening_seq: int
    closing_seq: int
    content_hash: bytes
    made_position: int
    issued_us: int


# In the order of their numbers.
Statements: TypeAlias = tuple[Issued, ...]


def evolve(statements: Statements, issued: Issued) -> Statements:
    if not _follows(issued, statements):
        raise AssertionError(f"{issued} cannot follow {statements[-1:]}")
    if statements:
        last = statements[-1]
        ends, begins = (last.closing_seq, last.closing), (issued.opening_seq, issued.opening)
        if ends != begins:
            raise AssertionError(f"it opens with {begins} and the last one closed with {ends}")
    return (*statements, issued)


class Reason(Enum):
    STATEMENT_GAP = auto()


@dataclass(frozen=True, slots=True)
class Issue:
    statement: Issued


def decide(command: Issue, statements: Statements) -> Sequence[Issued]:
    issued = command.statement
    if of_period(statements, issued.period) is not None:
        return []
    if not _follows(issued, statements):
        text = f"the next statement begins on {next_date(statements)}"
        raise Rejected(Reason.STATEMENT_GAP, text, [FieldViolation("from_date", text)])
    return [issued]


def of_period(statements: Statements, period: Period) -> Issued | None:
    """The statement of exactly this period."""
    return next((issued for issued in statements if issued.period == period), None)


def next_date(statements: Statements) -> str:
    """The day on which the next statement begins; empty: any day, there was none yet."""
    if not statements:
        return ""
    last = date.fromisoformat(statements[-1].period.to_date)
    return (last + timedelta(days=1)).isoformat()


def _follows(issued: Issued, statements: Statements) -> bool:
    is_next = issued.number == len(statements) + 1
    return is_next and (not statements or issued.period.from_date == next_date(statements))


statements: Decider[Issue, Statements, Issued] = Decider((), decide, evolve)
