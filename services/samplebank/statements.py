"""The end of the bank's business day: a statement without gaps, kept and sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from libs.iso20022 import Entry, build
from libs.money import Money
from services.samplebank import books
from services.samplebank.domain.behaviours import Behaviour, Script
from services.samplebank.domain.orders import REFUSED, Account
from services.samplebank.messages import Statement, pages_of
from services.samplebank.outbox import put
from services.samplebank.schema import (
    account_table,
    lines,
    orders,
    statement_pages,
    statements,
)

LATE_MS = 3_000
PAGES_FETCHED_MAX = 80


class DayEnded(Exception):
    """A later business date has ended already."""


@dataclass(frozen=True, slots=True)
class DayEnd:
    """What a day's statement says."""

    number: int
    closing_minor: int
    lines: int


@dataclass(frozen=True, slots=True)
class Books:
    """What the books say altogether."""

    balance_minor: int
    executed: int
    executed_twice: int
    refused: int
    behaviours: dict[str, int]


@dataclass(frozen=True, slots=True)
class DayBook:
    """The side of the books that statements are made from."""

    terms: Account
    script: Script

    def end_day(self, connection: Connection, business_date: str, now_ms: int) -> DayEnd:
        """Issues the statement of a date; another one only for lines booked since.

        Raises `DayEnded` for a date before the last.
        """
        account = books.account_of(connection, self.terms)
        if business_date < account.ended_date:
            raise DayEnded(business_date)
        last = _last(connection)
        statement = self._statement(connection, business_date, last)
        if last and last["business_date"] == business_date and not statement.entries:
            return DayEnd(last["number"], last["closing_minor"], last["lines"])
        if statement.closing_minor != account.balance_minor:
            raise AssertionError("the lines do not add up to the balance")
        self._write(connection, statement)
        self._send(connection, statement, account, now_ms)
        return DayEnd(statement.number, statement.closing_minor, len(statement.entries))

    def fetch(self, connection: Connection, from_number: int) -> list[bytes]:
        """Pages from a number on, whole statements, about as many as fit one answer."""
        rows = connection.execute(
            select(statement_pages)
            .where(statement_pages.c.number >= from_number)
            .order_by(statement_pages.c.number, statement_pages.c.page)
        ).mappings()
        found: list[bytes] = []
        number = 0
        for row in rows:
            if row["number"] != number and len(found) >= PAGES_FETCHED_MAX:
                break
            number = row["number"]
            found.append(row["body"])
        return found

    def books(self, connection: Connection) -> Books:
        """Balance and counts."""
        executed, of_orders = connection.execute(
            select(func.count(), func.count(lines.c.uetr.distinct()))
        ).one()
        refused = connection.execute(
            select(func.count()).select_from(orders).where(orders.c.status == REFUSED)
        ).scalar_one()
        return Books(
            books.account_of(connection, self.terms).balance_minor,
            of_orders,
            executed - of_orders,
            refused,
            {
                behaviour.value: books.times(connection, behaviour)
                for behaviour in self.script.behaviours
            },
        )

    def _statement(
        self, connection: Connection, business_date: str, last: RowMapping | None
    ) -> Statement:
        rows = (
            connection.execute(
                select(lines).where(lines.c.statement_number == 0).order_by(lines.c.ordinal)
            )
            .mappings()
            .all()
        )
        return Statement(
            last["number"] + 1 if last else 1,
            business_date,
            last["closing_minor"] if last else 0,
            tuple(self._entry(row, business_date) for row in rows),
        )

    def _entry(self, row: RowMapping, business_date: str) -> Entry:
        return Entry(
            amount=Money(self.terms.currency, row["amount_minor"]),
            favour=row["favour"],
            booking_date=business_date,
            value_date=row["value_date"],
            bank_reference=row["bank_reference"],
            uetr=books.uuid_of(row["uetr"]),
            end_to_end_id=row["end_to_end_id"],
        )

    @staticmethod
    def _write(connection: Connection, statement: Statement) -> None:
        connection.execute(
            insert(statements).values(
                number=statement.number,
                business_date=statement.business_date,
                opening_minor=statement.opening_minor,
                closing_minor=statement.closing_minor,
                lines=len(statement.entries),
            )
        )
        connection.execute(
            update(lines)
            .where(lines.c.statement_number == 0)
            .values(statement_number=statement.number)
        )
        connection.execute(update(account_table).values(ended_date=statement.business_date))

    def _send(
        self, connection: Connection, statement: Statement, account: Account, now_ms: int
    ) -> None:
        built = [build(page) for page in pages_of(statement, account, now_ms)]
        connection.execute(
            insert(statement_pages),
            [
                {"number": statement.number, "page": page, "body": body}
                for page, (_, body) in enumerate(built, 1)
            ],
        )
        due_ms = now_ms
        name = statement.business_date
        if self._does(connection, Behaviour.STATEMENT_LATE, name):
            due_ms += LATE_MS
        for _ in range(1 + self._does(connection, Behaviour.STATEMENT_REPEATED, name)):
            self._deliver(connection, built, due_ms)

    @staticmethod
    def _deliver(connection: Connection, pages: Sequence[tuple[str, bytes]], due_ms: int) -> None:
        for message_type, body in pages:
            put(connection, message_type, body, due_ms)

    def _does(self, connection: Connection, behaviour: Behaviour, subject: str) -> bool:
        return behaviour in self.script.beside and books.occurred(connection, behaviour, subject)


def _last(connection: Connection) -> RowMapping | None:
    newest = select(statements).order_by(statements.c.number.desc()).limit(1)
    return connection.execute(newest).mappings().one_or_none()
