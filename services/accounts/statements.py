"""Statements made from the rows: what one says, its lines, and its files."""

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, and_, func, select

from libs.iso20022 import Entry, StatementPage, Summary, build
from libs.money import Money, major
from libs.read_model import Database
from services.accounts.codec.rows import told_by
from services.accounts.domain.kinds import Kind, sign_of
from services.accounts.domain.sharding import position_of
from services.accounts.domain.statements import Issued, Period
from services.accounts.projections import (
    AccountEntries,
    accounts,
    entries,
    entry_accounts,
    page_count,
    pages,
    shard_of_account,
)

LINES_AT_ONCE = 1_000
# A camt.053 message has at most so many entries; a longer statement is several messages.
CAMT_ENTRIES_MAX = 5_000
COLUMNS = (
    "account",
    "statement",
    "record",
    "business_date",
    "value_date",
    "entry",
    "seq",
    "fact",
    "reference",
    "command",
    "purpose",
    "amount",
    "balance",
    "held",
    "currency",
)
_REFERENCE = re.compile(r"[A-Za-z0-9/?:().,'+ -]{1,35}")
# A spreadsheet would take a text that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Owned:
    """Whose account it is. `sign` 1: credits raise the balance; -1: debits do."""

    account_id: str
    owner: str
    kind: int
    currency: str

    @property
    def sign(self) -> int:
        return sign_of(Kind(self.kind))


class Line(NamedTuple):
    """An entry on the account's statement; amounts in minor units on the normal side."""

    page_number: int
    ordinal: int
    seq: int
    business_date: str
    value_date: str
    fact: str
    command_id: str
    correlation_id: str
    purpose: str
    amount: int
    posted: int
    held: int


def owned(connection: Connection, account_id: str) -> Owned | None:
    query = select(accounts).where(accounts.c.account_id == account_id)
    found = connection.execute(query).first()
    if found is None:
        return None
    return Owned(account_id, found.owner, found.kind, found.currency)


def first_date(connection: Connection, account_id: str) -> str:
    """The business date of the account's first entry, or of the first page."""
    of_account = AccountEntries(connection, account_id)
    if of_account.last:
        return str(of_account.row(1).business_date)
    query = select(pages.c.business_date).where(pages.c.page_number == 0)
    return str(connection.execute(query).scalar_one())


def draft(connection: Connection, account: Owned, period: Period, number: int) -> Issued:
    """What a statement of the period says, but for its hash. Number 0: it is not to be issued."""
    of_account = AccountEntries(connection, account.account_id)
    opening_seq = of_account.first_on(period.from_date) - 1
    closing_seq = of_account.first_behind(period.to_date) - 1
    shard = shard_of_account(connection, account.account_id)
    return Issued(
        account.account_id,
        number,
        period,
        of_account.row(opening_seq).posted_minor if opening_seq else 0,
        of_account.row(closing_seq).posted_minor if closing_seq else 0,
        opening_seq,
        max(opening_seq, closing_seq),
        b"",
        position_of(shard, page_count(connection, shard) - 1),
        0,
    )


def lines(connection: Connection, account: Owned, after: int, upto: int) -> list[Line]:
    """The account's entries behind a sequence number, up to another."""
    query = (
        select(
            entry_accounts,
            entries.c.correlation_id,
            entries.c.data,
        )
        .join(
            entries,
            and_(
                entries.c.page_number == entry_accounts.c.page_number,
                entries.c.ordinal == entry_accounts.c.ordinal,
            ),
        )
        .where(
            entry_accounts.c.account_id == account.account_id,
            entry_accounts.c.account_seq > after,
            entry_accounts.c.account_seq <= upto,
        )
        .order_by(entry_accounts.c.account_seq)
    )
    sign = account.sign
    return [_line(row, sign) for row in connection.execute(query)]


def _line(row: Row[*tuple[Any, ...]], sign: int) -> Line:
    told = told_by(row.data)
    return Line(
        row.page_number,
        row.ordinal,
        row.account_seq,
        row.business_date,
        row.value_date,
        told.fact,
        told.command_id,
        row.correlation_id,
        told.purpose,
        sign * row.moved_minor,
        row.posted_minor,
        row.held_minor,
    )


async def csv_chunks(database: Database, account: Owned, statement: Issued) -> AsyncIterator[bytes]:
    """The statement as CSV (RFC 4180), piece by piece; the SHA-256 of them all is its hash."""
    period = statement.period
    yield _csv([COLUMNS, _bound(account, statement, "OPENING", period.from_date)])
    for after in range(statement.opening_seq, statement.closing_seq, LINES_AT_ONCE):
        upto = min(after + LINES_AT_ONCE, statement.closing_seq)
        yield await database.read(
            lambda c, after=after, upto=upto: _csv(  # type: ignore[misc]
                [_told(account, statement, line) for line in lines(c, account, after, upto)]
            )
        )
    yield _csv([_bound(account, statement, "CLOSING", period.to_date)])


async def content_hash(database: Database, account: Owned, statement: Issued) -> bytes:
    """SHA-256 over the CSV."""
    digest = sha256()
    async for chunk in csv_chunks(database, account, statement):
        digest.update(chunk)
    return digest.digest()


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _bound(account: Owned, statement: Issued, record: str, date: str) -> Sequence[str]:
    balance = statement.opening if record == "OPENING" else statement.closing
    seq = statement.opening_seq if record == "OPENING" else statement.closing_seq
    return (
        account.account_id,
        str(statement.number),
        record,
        date,
        "",
        "",
        str(seq),
        "",
        "",
        "",
        "",
        "",
        major(balance, account.currency),
        "",
        account.currency,
    )


def _told(account: Owned, statement: Issued, line: Line) -> Sequence[str]:
    currency = account.currency
    return (
        account.account_id,
        str(statement.number),
        "ENTRY",
        line.business_date,
        line.value_date,
        f"{line.page_number}.{line.ordinal}",
        str(line.seq),
        line.fact,
        _harmless(line.correlation_id),
        line.command_id,
        _harmless(line.purpose),
        major(line.amount, currency),
        major(line.posted, currency),
        major(line.held, currency),
        currency,
    )


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def camt_summary(connection: Connection, account: Owned, statement: Issued) -> Summary:
    """Counts and sums of all that moved the balance: credits and debits of the account."""
    moved = entry_accounts.c.moved_minor
    mine = (
        entry_accounts.c.account_id == account.account_id,
        entry_accounts.c.account_seq > statement.opening_seq,
        entry_accounts.c.account_seq <= statement.closing_seq,
    )
    sums = [
        connection.execute(
            select(func.count(), func.coalesce(func.sum(moved), 0)).where(*mine, which)
        ).one()
        for which in (moved > 0, moved < 0)
    ]
    (credits_, credited), (debits, debited) = sums
    return Summary(int(credits_), int(credited), int(debits), -int(debited))


def camt_entries(
    connection: Connection, account: Owned, statement: Issued, after: int
) -> tuple[list[Entry], int]:
    """Entries of one message: those behind a sequence number, and the last one looked at."""
    found: list[Entry] = []
    while after < statement.closing_seq and len(found) < CAMT_ENTRIES_MAX:
        room = min(LINES_AT_ONCE, CAMT_ENTRIES_MAX - len(found))
        upto = min(after + room, statement.closing_seq)
        found += [
            _entry(line, account) for line in lines(connection, account, after, upto) if line.amount
        ]
        after = upto
    return found, after


def _entry(line: Line, account: Owned) -> Entry:
    credited = account.sign * line.amount
    compact = line.correlation_id.replace("-", "")
    return Entry(
        amount=Money(account.currency, abs(credited)),
        favour="C" if credited > 0 else "D",
        booking_date=line.business_date,
        value_date=line.value_date,
        bank_reference=f"{line.page_number}.{line.ordinal}",
        uetr=None,
        end_to_end_id=compact if _REFERENCE.fullmatch(compact) else "",
    )


async def camt_messages(
    database: Database, account: Owned, statement: Issued, under: tuple[int, int]
) -> AsyncIterator[bytes]:
    """The statement as camt.053 messages, in the order of their pages.

    `under`: its number, and when it was made (milliseconds since 1970). What was not issued is a
    copy, under the number it would have: a reader books nothing of it.
    """
    summary = await database.read(lambda c: camt_summary(c, account, statement))
    total = summary.credits + summary.debits
    after, page, told = statement.opening_seq, 0, 0
    while page == 0 or told < total:
        found, after = await database.read(
            lambda c, after=after: camt_entries(c, account, statement, after)  # type: ignore[misc]
        )
        page, told = page + 1, told + len(found)
        yield _message(account, statement, under, (page, told == total), summary, found)


def _message(
    account: Owned,
    statement: Issued,
    under: tuple[int, int],
    page: tuple[int, bool],
    summary: Summary,
    found: Sequence[Entry],
) -> bytes:
    number, created_ms = under
    page_number, is_last = page
    name = statement.content_hash.hex()[:20]
    _, body = build(
        StatementPage(
            message_id=f"{name}-{page_number}",
            statement_id=f"{name}-{number}",
            number=number,
            page=page_number,
            is_last=is_last,
            created_ms=created_ms,
            from_date=statement.period.from_date,
            to_date=statement.period.to_date,
            account_number=account.account_id.replace("-", "").upper(),
            currency=account.currency,
            opening=Money(account.currency, account.sign * statement.opening),
            closing=Money(account.currency, account.sign * statement.closing),
            summary=summary,
            entries=tuple(found),
            copy_indicator="" if statement.number else "COPY",
        )
    )
    return body
