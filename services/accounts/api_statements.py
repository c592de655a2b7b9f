"""The calls for balances as of a moment, and for statements. Nothing is decided here."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, TypeAlias

from hefu.accounts.v1 import statements_pb2 as pb
from hefu.accounts.v1 import statements_pb2_grpc
from libs import auth
from libs.clock import Clock
from libs.decider import Cause, Streams
from libs.event_store import EventStore
from libs.grpc_server import Binding
from libs.ids import named_id
from libs.wire import time_from_wire
from services.accounts import as_of
from services.accounts import statements as made
from services.accounts.codec.statements import (
    CATEGORY,
    StatementCodec,
    balance_message,
    line_message,
    statement_message,
)
from services.accounts.domain import statements as domain
from services.accounts.domain.statements import Issue, Issued, Period, Statements, of_period
from services.accounts.reading import Rows, refused, told
from services.accounts.statements import Owned

if TYPE_CHECKING:
    import grpc

    Context: TypeAlias = grpc.aio.ServicerContext[object, object]

Which: TypeAlias = pb.GetStatementRequest | pb.ListStatementLinesRequest | pb.ExportStatementRequest
PAGE_SIZE_DEFAULT = 100
PIECE_BYTES = 256 * 1_024


def statement_streams(store: EventStore) -> "Streams[Issue, Statements, Issued]":
    """Where issued statements are kept: a stream for each account."""
    return Streams(store, CATEGORY, domain.statements, StatementCodec())


@dataclass(frozen=True, slots=True)
class StatementsApi(statements_pb2_grpc.AccountStatementsServiceServicer):
    rows: Rows
    streams: "Streams[Issue, Statements, Issued]"
    clock: Clock

    def binding(self) -> Binding:
        add = statements_pb2_grpc.add_AccountStatementsServiceServicer_to_server
        return Binding(add, self, "hefu.accounts.v1.AccountStatementsService")

    async def GetBalanceAsOf(
        self, request: pb.GetBalanceAsOfRequest, context: "Context"
    ) -> pb.GetBalanceAsOfResponse:
        account_id = request.account_id
        known = request.known_position if request.HasField("known_position") else None
        basis = request.WhichOneof("as_of")
        if known is not None and basis != "value_date":
            raise refused(
                "FIELD_NOT_ALLOWED", "known_position", "goes with a value date and nothing else"
            )
        # What lies ahead is waited for: an answer as of a position is the same for ever.
        wanted = request.at_position if basis == "at_position" else known or 0
        newest = max(request.min_position, wanted)
        if basis == "at_position":
            found = await self.rows.read(
                lambda c: as_of.at_position(c, account_id, request.at_position), newest
            )
            meant = pb.BALANCE_BASIS_POSITION
        elif basis == "at_time":
            time_us = time_from_wire(request.at_time)
            newest = max(newest, self.rows.writer.position)
            found = await self.rows.read(lambda c: as_of.at_time(c, account_id, time_us), newest)
            meant = pb.BALANCE_BASIS_TIME
        else:
            day = _date(request.value_date, "value_date")
            found = await self.rows.read(
                lambda c: as_of.by_value_date(c, account_id, day, known), newest
            )
            meant = pb.BALANCE_BASIS_VALUE_DATE
        if found is None:
            raise refused("ACCOUNT_NOT_FOUND", "account_id", "no such account")
        return balance_message(found, meant)

    async def IssueStatement(
        self, request: pb.IssueStatementRequest, context: "Context"
    ) -> pb.IssueStatementResponse:
        account = await self._account(request.account_id, await self._closed(request.to_date))
        issued = (await self.streams.load(account.account_id)).state
        first = request.from_date or domain.next_date(issued) or await self._first_date(account)
        period = _period(first, request.to_date)
        found = of_period(issued, period)
        if found is None:
            drafted = await self.rows.read(
                lambda c: made.draft(c, account, period, len(issued) + 1)
            )
            content_hash = await made.content_hash(self.rows.database, account, drafted)
            statement = replace(drafted, content_hash=content_hash, issued_us=self.clock())
            period_id = named_id(CATEGORY, account.account_id, first, request.to_date)
            cause = Cause(str(period_id), actor=auth.current_caller().name)
            done = await self.streams.transact(account.account_id, Issue(statement), cause)
            found = of_period(done.state, period)
            if found is None:
                raise AssertionError(f"{period} was issued and is not there")
            is_replayed = not done.events
        else:
            is_replayed = True
        return pb.IssueStatementResponse(
            statement=statement_message(account, found),
            is_replayed=is_replayed,
            position=self.rows.writer.position,
        )

    async def GetStatement(
        self, request: pb.GetStatementRequest, context: "Context"
    ) -> pb.GetStatementResponse:
        account, statement = await self._found(request)
        return pb.GetStatementResponse(
            statement=statement_message(account, statement), position=self.rows.writer.position
        )

    async def ListStatements(
        self, request: pb.ListStatementsRequest, context: "Context"
    ) -> pb.ListStatementsResponse:
        after = _number(request.page_token)
        account = await self._account(request.account_id, request.min_position)
        issued = (await self.streams.load(account.account_id)).state
        size = request.page_size or PAGE_SIZE_DEFAULT
        last = after + size
        return pb.ListStatementsResponse(
            statements=[statement_message(account, each) for each in issued[after:last]],
            next_page_token=str(last) if last < len(issued) else "",
            position=self.rows.writer.position,
        )

    async def ListStatementLines(
        self, request: pb.ListStatementLinesRequest, context: "Context"
    ) -> pb.ListStatementLinesResponse:
        passed = _number(request.page_token)
        account, statement = await self._found(request, is_whole=False)
        after = max(statement.opening_seq, passed)
        last = min(after + (request.page_size or PAGE_SIZE_DEFAULT), statement.closing_seq)
        lines = await self.rows.read(lambda c: made.lines(c, account, after, last))
        return pb.ListStatementLinesResponse(
            lines=map(line_message, lines),
            next_page_token=str(last) if last < statement.closing_seq else "",
            position=self.rows.writer.position,
        )

    async def ExportStatement(
        self, request: pb.ExportStatementRequest, context: "Context"
    ) -> AsyncIterator[pb.ExportStatementResponse]:
        account, statement = await self._found(request)
        name = f"statement-{account.account_id}-{_name(statement)}"
        database = self.rows.database
        if request.format == pb.STATEMENT_FORMAT_CSV:
            async for chunk in made.csv_chunks(database, account, statement):
                yield pb.ExportStatementResponse(file_name=f"{name}.csv", data=chunk)
            return
        created_ms = (statement.issued_us or self.clock()) // 1_000
        issued = (await self.streams.load(account.account_id)).state
        number = statement.number or len(issued) + 1
        page = 0
        async for body in made.camt_messages(database, account, statement, (number, created_ms)):
            page += 1
            for at in range(0, len(body), PIECE_BYTES):
                yield pb.ExportStatementResponse(
                    file_name=f"{name}-{page:03}.xml", data=body[at : at + PIECE_BYTES]
                )

    async def _found(self, request: Which, *, is_whole: bool = True) -> tuple[Owned, Issued]:
        """The statement meant: an issued one, proven to be what was issued, or a draft."""
        account = await self._account(request.account_id, request.min_position)
        issued = (await self.streams.load(account.account_id)).state
        if request.WhichOneof("which") == "number":
            if request.number > len(issued):
                raise refused("STATEMENT_NOT_FOUND", "number", f"{len(issued)} were issued")
            statement: Issued | None = issued[request.number - 1]
            position = request.min_position
        else:
            period = _period(request.period.from_date, request.period.to_date)
            statement, position = of_period(issued, period), self.rows.writer.position
        if statement is None:
            drafted = await self.rows.read(lambda c: made.draft(c, account, period, 0), position)
            if not is_whole:
                return account, drafted
            content_hash = await made.content_hash(self.rows.database, account, drafted)
            return account, replace(drafted, content_hash=content_hash)
        content_hash = await made.content_hash(self.rows.database, account, statement)
        if content_hash != statement.content_hash:
            text = f"the rows no longer give statement {statement.number} as it was issued"
            raise refused("STATEMENT_DIFFERS", "", text)
        return account, statement

    async def _account(self, account_id: str, min_position: int) -> Owned:
        account = await self.rows.read(lambda c: made.owned(c, account_id), min_position)
        if account is None:
            raise refused("ACCOUNT_NOT_FOUND", "account_id", "no such account")
        return account

    async def _closed(self, day: str) -> int:
        """A page behind all that may still get this business date. Raises `EdgeRefused`."""
        day = _date(day, "to_date")
        with told():
            business_date = await self.rows.writer.read(lambda book: book.business_date)
        if day >= business_date:
            raise refused("PERIOD_NOT_ENDED", "to_date", f"the business date is {business_date}")
        return self.rows.writer.position

    async def _first_date(self, account: Owned) -> str:
        return await self.rows.read(lambda c: made.first_date(c, account.account_id))


def _name(statement: Issued) -> str:
    period = statement.period
    return str(statement.number or f"{period.from_date}-{period.to_date}")


def _period(from_date: str, to_date: str) -> Period:
    period = Period(_date(from_date, "from_date"), _date(to_date, "to_date"))
    if period.from_date > period.to_date:
        raise refused("DATE_MALFORMED", "from_date", "lies behind the period's end")
    return period


def _date(text: str, field: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise refused("DATE_MALFORMED", field, "is not a day of the calendar") from error


def _number(token: str) -> int:
    if token and not (token.isascii() and token.isdigit()):
        raise refused("PAGE_TOKEN_INVALID", "page_token", "not a token of this list")
    return int(token[:18] or 0)
