"""The journal's calls: message, command, answer. Nothing is decided here."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import accounts_pb2_grpc, events_pb2
from libs import auth
from libs.decider import FieldViolation
from libs.event_store import EventStore
from libs.grpc_edge import Quick
from libs.grpc_errors import Refused as EdgeRefused
from libs.grpc_server import Binding
from libs.projection import Projection
from libs.read_model import Database
from libs.wire import time_to_wire
from services.accounts import projections
from services.accounts.codec import commands
from services.accounts.codec.answers import (
    account_message,
    quote_message,
    result_of,
    trial_balance,
    window_message,
)
from services.accounts.codec.continuous import Continuous
from services.accounts.codec.pages import journal_of, page_message
from services.accounts.codec.plain_calls import (
    PlainTransfers,
    read_commands,
    read_transfers,
    response_bytes,
)
from services.accounts.domain.answers import Answer
from services.accounts.domain.book import Account, Book, Place, Window
from services.accounts.domain.callers import Caller, caller_of
from services.accounts.domain.commands import Command, Item
from services.accounts.domain.refusals import Reason, Refusal, Refused
from services.accounts.domain.sharding import page_of, position_of
from services.accounts.shards import Shards
from services.accounts.writer import Writer

if TYPE_CHECKING:
    import grpc

    Context: TypeAlias = grpc.aio.ServicerContext[object, object]

T = TypeVar("T")

PAGE_SIZE_DEFAULT = 100
# Who watches some accounts is told at least this often how far the journal was looked through.
PAGES_PASSED_MAX = 1_000
_HOLDS = frozenset({"place_hold", "capture_hold", "release_hold", "give_quote"})
_TRANSFERS = frozenset({"transfer"})
# Kinds of command that a role may not send, one by one or in bulk.
_BARRED = {"wallet": _HOLDS, "operator": _HOLDS | _TRANSFERS}


@dataclass(frozen=True, slots=True)
class AccountsApi(accounts_pb2_grpc.AccountsServiceServicer):
    writer: Writer | Shards
    store: EventStore
    database: Database
    projection: Projection

    def binding(self) -> Binding:
        add = accounts_pb2_grpc.add_AccountsServiceServicer_to_server
        quick = {
            "PostTransfers": Quick(read_transfers, self._post_transfers),
            "PostCommands": Quick(read_commands, self._post_commands),
        }
        lasting = {"PostCommandsContinuously": Continuous()}
        return Binding(add, self, "hefu.accounts.v1.AccountsService", quick, lasting)

    async def OpenAccount(
        self, request: pb.OpenAccountRequest, context: "Context"
    ) -> pb.OpenAccountResponse:
        command = commands.opening_of(request.opening)
        answer, account = await self._on_account(
            command, command.account_id, is_preview=request.validate_only
        )
        return pb.OpenAccountResponse(
            account=account, position=answer.position, is_replayed=answer.is_replayed
        )

    async def FreezeAccount(
        self, request: pb.FreezeAccountRequest, context: "Context"
    ) -> pb.FreezeAccountResponse:
        answer, account = await self._on_account(
            commands.freeze_of(request), request.account_id, is_preview=request.validate_only
        )
        return pb.FreezeAccountResponse(
            account=account, position=answer.position, is_replayed=answer.is_replayed
        )

    async def UnfreezeAccount(
        self, request: pb.UnfreezeAccountRequest, context: "Context"
    ) -> pb.UnfreezeAccountResponse:
        answer, account = await self._on_account(
            commands.unfreeze_of(request), request.account_id, is_preview=request.validate_only
        )
        return pb.UnfreezeAccountResponse(
            account=account, position=answer.position, is_replayed=answer.is_replayed
        )

    async def CloseAccount(
        self, request: pb.CloseAccountRequest, context: "Context"
    ) -> pb.CloseAccountResponse:
        answer, account = await self._on_account(
            commands.close_of(request), request.account_id, is_preview=request.validate_only
        )
        return pb.CloseAccountResponse(
            account=account, position=answer.position, is_replayed=answer.is_replayed
        )

    async def ReopenAccount(
        self, request: pb.ReopenAccountRequest, context: "Context"
    ) -> pb.ReopenAccountResponse:
        answer, account = await self._on_account(
            commands.reopening_of(request), request.account_id, is_preview=request.validate_only
        )
        return pb.ReopenAccountResponse(
            account=account, position=answer.position, is_replayed=answer.is_replayed
        )

    async def SetBounds(
        self, request: pb.SetBoundsRequest, context: "Context"
    ) -> pb.SetBoundsResponse:
        answer, account = await self._on_account(
            commands.bounds_of(request), request.account_id, is_preview=request.validate_only
        )
        return pb.SetBoundsResponse(
            account=account, position=answer.position, is_replayed=answer.is_replayed
        )

    async def GiveQuote(
        self, request: pb.GiveQuoteRequest, context: "Context"
    ) -> pb.GiveQuoteResponse:
        command = commands.quote_of(request.quote)
        answer, _ = await self._one(command, is_preview=request.validate_only)
        return pb.GiveQuoteResponse(
            quote=quote_message(answer), position=answer.position, is_replayed=answer.is_replayed
        )

    async def GetAccount(
        self, request: pb.GetAccountRequest, context: "Context"
    ) -> pb.GetAccountResponse:
        with _told():
            return await self.writer.read(
                lambda book: pb.GetAccountResponse(
                    account=account_message(_account(book, request.account_id)),
                    position=book.page_number,
                ),
                request.min_position,
                [request.account_id],
            )

    async def GetAccounts(
        self, request: pb.GetAccountsRequest, context: "Context"
    ) -> pb.GetAccountsResponse:
        def look(book: Book) -> pb.GetAccountsResponse:
            found = (book.accounts.get(id_) for id_ in request.account_ids)
            return pb.GetAccountsResponse(
                accounts=[account_message(account) for account in found if account is not None],
                position=book.page_number,
                business_date=book.business_date,
            )

        with _told():
            return await self.writer.read(look, request.min_position, request.account_ids)

    async def ListAccounts(
        self, request: pb.ListAccountsRequest, context: "Context"
    ) -> pb.ListAccountsResponse:
        await self._rows_reach(request.min_position)
        size = request.page_size or PAGE_SIZE_DEFAULT
        found = await self.database.read(
            lambda connection: projections.list_accounts(
                connection, request.owner, request.kind, request.page_token, size + 1
            )
        )
        return pb.ListAccountsResponse(
            accounts=map(account_message, found[:size]),
            next_page_token=found[size - 1].account_id if len(found) > size else "",
            position=self.writer.position,
        )

    async def ListEntries(
        self, request: pb.ListEntriesRequest, context: "Context"
    ) -> pb.ListEntriesResponse:
        after, wanted = _place(request.page_token), _filter_of(request)
        await self._rows_reach(request.min_position)
        size = request.page_size or PAGE_SIZE_DEFAULT
        found = await self.database.read(
            lambda connection: projections.list_entries(connection, wanted, after, size + 1)
        )
        last = found[size - 1] if len(found) > size else None
        return pb.ListEntriesResponse(
            entries=[
                pb.PlacedEntry(
                    page_number=row.page_number,
                    written_time=time_to_wire(row.written_us),
                    entry=events_pb2.Entry.FromString(row.data),
                )
                for row in found[:size]
            ],
            next_page_token="" if last is None else f"{last.page_number}.{last.ordinal}",
            position=self.writer.position,
        )

    async def PostTransfers(
        self, request: pb.PostTransfersRequest, context: "Context"
    ) -> pb.PostTransfersResponse:
        asked = [commands.transfer_of(transfer) for transfer in request.transfers]
        items = commands.items_of(asked, [transfer.is_linked for transfer in request.transfers])
        results, position = await self._bulk(asked, items, is_preview=request.validate_only)
        return pb.PostTransfersResponse(results=results, position=position)

    async def PostCommands(
        self, request: pb.PostCommandsRequest, context: "Context"
    ) -> pb.PostCommandsResponse:
        barred = _barred()
        for n, command in enumerate(request.commands):
            if command.WhichOneof("command") in barred:
                raise _not_for_caller(n)
        asked = [commands.command_of(command) for command in request.commands]
        items = commands.items_of(asked, commands.links_of(request.commands))
        results, position = await self._bulk(asked, items, is_preview=request.validate_only)
        return pb.PostCommandsResponse(results=results, position=position)

    def PostCommandsContinuously(
        self, request_iterator: object, context: "Context"
    ) -> AsyncIterator[pb.PostCommandsContinuouslyResponse]:
        raise AssertionError("the edge serves each message of it as a PostCommands")

    async def PlaceHold(
        self, request: pb.PlaceHoldRequest, context: "Context"
    ) -> pb.PlaceHoldResponse:
        command = commands.placement_of(request.placement)
        result = await self._single(command, is_preview=request.validate_only)
        return pb.PlaceHoldResponse(result=result, position=result.position)

    async def CaptureHold(
        self, request: pb.CaptureHoldRequest, context: "Context"
    ) -> pb.CaptureHoldResponse:
        command = commands.capture_of(request.capture)
        result = await self._single(command, is_preview=request.validate_only)
        return pb.CaptureHoldResponse(result=result, position=result.position)

    async def ReleaseHold(
        self, request: pb.ReleaseHoldRequest, context: "Context"
    ) -> pb.ReleaseHoldResponse:
        command = commands.release_of(request.release)
        result = await self._single(command, is_preview=request.validate_only)
        return pb.ReleaseHoldResponse(result=result, position=result.position)

    async def OpenWindow(
        self, request: pb.OpenWindowRequest, context: "Context"
    ) -> pb.OpenWindowResponse:
        def look(book: Book) -> pb.Window:
            return window_message(_open_window(book, request.bank_id, request.currency_code))

        answer, window = await self._on_window(request, look)
        return pb.OpenWindowResponse(window=window, position=answer.position)

    async def SealWindow(
        self, request: pb.SealWindowRequest, context: "Context"
    ) -> pb.SealWindowResponse:
        answer, window = await self._on_window(request, _window_in(request.window_id))
        return pb.SealWindowResponse(
            window=window,
            position=answer.position if request.validate_only else window.seal_position,
            is_replayed=answer.is_replayed,
        )

    async def CloseWindow(
        self, request: pb.CloseWindowRequest, context: "Context"
    ) -> pb.CloseWindowResponse:
        answer, window = await self._on_window(request, _window_in(request.window_id))
        return pb.CloseWindowResponse(window=window, position=answer.position)

    async def GetWindow(
        self, request: pb.GetWindowRequest, context: "Context"
    ) -> pb.GetWindowResponse:
        def work(book: Book) -> pb.GetWindowResponse:
            if request.WhichOneof("window") == "open_bank_id":
                window = _open_window(book, request.open_bank_id, request.currency_code)
            else:
                window = _known_window(book, request.window_id)
            return pb.GetWindowResponse(window=window_message(window), position=book.page_number)

        with _told():
            return await self.writer.read(work, request.min_position)

    async def GetTrialBalance(
        self, request: pb.GetTrialBalanceRequest, context: "Context"
    ) -> pb.GetTrialBalanceResponse:
        with _told():
            return trial_balance(await self.writer.trial())

    async def MoveBusinessDate(
        self, request: pb.MoveBusinessDateRequest, context: "Context"
    ) -> pb.MoveBusinessDateResponse:
        command = commands.date_move_of(request)
        answer, _ = await self._one(command, is_preview=request.validate_only)
        return pb.MoveBusinessDateResponse(business_date=request.to_date, position=answer.position)

    async def LockPeriod(
        self, request: pb.LockPeriodRequest, context: "Context"
    ) -> pb.LockPeriodResponse:
        answer, _ = await self._one(commands.lock_of(request), is_preview=request.validate_only)
        return pb.LockPeriodResponse(last_date=request.last_date, position=answer.position)

    async def WatchJournal(
        self, request: pb.WatchJournalRequest, context: "Context"
    ) -> AsyncIterator[pb.WatchJournalResponse]:
        wanted, next_page = frozenset(request.account_ids), request.from_page
        while True:
            await self.writer.reached(next_page)
            passed = 0
            shard, number = page_of(next_page)
            async for stored in self.store.read(journal_of(shard), number):
                position = position_of(shard, stored.revision)
                next_page = position + 1
                page = page_message(stored.data)
                if wanted:
                    page = _only(page, wanted)
                if page.entries:
                    passed = 0
                    yield pb.WatchJournalResponse(page=page, position=position)
                    continue
                passed += 1
                if passed == PAGES_PASSED_MAX:
                    passed = 0
                    yield pb.WatchJournalResponse(position=position)
            if passed:
                yield pb.WatchJournalResponse(position=next_page - 1)

    async def _on_account(
        self, command: Command, account_id: str, *, is_preview: bool
    ) -> tuple[Answer, pb.Account]:
        answer, trial = await self._one(command, is_preview=is_preview)
        return answer, await self._look(
            lambda book: account_message(_account(book, account_id)), trial, [account_id]
        )

    async def _on_window(
        self, request: commands.WindowRequest, look: Callable[[Book], pb.Window]
    ) -> tuple[Answer, pb.Window]:
        command = commands.window_of(request)
        answer, trial = await self._one(command, is_preview=request.validate_only)
        return answer, await self._look(look, trial)

    async def _look(
        self, work: Callable[[Book], T], trial: Book | None, accounts: Sequence[str] = ()
    ) -> T:
        """What is found in the book, or in the one of a preview."""
        with _told():
            return await self.writer.read(work, 0, accounts) if trial is None else work(trial)

    async def _one(self, command: Command, *, is_preview: bool) -> tuple[Answer, Book | None]:
        """A command on its own: a refusal is the call's status."""
        (answer,), trial = await self._answers([command], is_preview=is_preview)
        if answer.refusal is not None:
            raise _edge(answer.refusal)
        return answer, trial

    async def _answers(
        self, items: Sequence[Item], *, is_preview: bool
    ) -> tuple[list[Answer], Book | None]:
        """The answers, with the book they stand in where they are a preview."""
        with _told():
            if is_preview:
                return await self.writer.preview(_caller(), items)
            return await self.writer.submit(_caller(), items), None

    async def _single(self, command: Command, *, is_preview: bool) -> pb.CommandResult:
        answer, _ = await self._one(command, is_preview=is_preview)
        return result_of(command[0], answer, is_preview=is_preview)

    async def _post_transfers(self, request: PlainTransfers) -> bytes:
        with _told():
            return response_bytes(*await self.writer.submit_plain(_caller(), request))

    async def _post_commands(self, request: PlainTransfers) -> bytes:
        if "transfer" in _barred():
            raise _not_for_caller(0)
        # Both responses are the same in bytes.
        return await self._post_transfers(request)

    async def _bulk(
        self, asked: Sequence[Command], items: Sequence[Item], *, is_preview: bool
    ) -> tuple[list[pb.CommandResult], int]:
        answers, _ = await self._answers(items, is_preview=is_preview)
        results = [
            result_of(command[0], answer, is_preview=is_preview)
            for command, answer in zip(asked, answers, strict=True)
        ]
        return results, self.writer.latest(answer.position for answer in answers)

    async def _rows_reach(self, min_position: int) -> None:
        """A position asked for, in pages; page 0 if there is one, where none is asked for."""
        with _told():
            await self.writer.wait_for(min_position)
        if self.writer.position >= 0:
            await self.projection.wait_for(self.writer.store_position(min_position))


@contextmanager
def _told() -> Iterator[None]:
    """Refusals of ours as the edge tells them."""
    try:
        yield
    except Refused as refused:
        raise _edge(refused.refusal) from refused


def _edge(refusal: Refusal) -> EdgeRefused:
    violations = [FieldViolation(field, refusal.description) for field in refusal.fields]
    return EdgeRefused(refusal.reason, refusal.description, violations)


def _not_for_caller(place: int) -> EdgeRefused:
    text = "not for this caller"
    return EdgeRefused("PERMISSION_DENIED", text, [FieldViolation(f"commands[{place}]", text)])


def _barred() -> frozenset[str]:
    return _BARRED.get(auth.current_caller().role, frozenset())


def _caller() -> Caller:
    caller = auth.current_caller()
    return caller_of(caller.name, caller.role)


def _account(book: Book, account_id: str) -> Account:
    account = book.accounts.get(account_id)
    if account is None:
        raise Refused(Reason.ACCOUNT_NOT_FOUND, "account_id", "no such account")
    return account


def _window_in(window_id: str) -> Callable[[Book], pb.Window]:
    return lambda book: window_message(_known_window(book, window_id))


def _known_window(book: Book, window_id: str) -> Window:
    window = book.windows.get(window_id)
    if window is None:
        raise Refused(Reason.WINDOW_NOT_FOUND, "window_id", "no such window")
    return window


def _open_window(book: Book, bank_id: str, currency: str) -> Window:
    window = book.open_windows.get((bank_id, currency))
    if window is None:
        text = "no window is open for this bank and currency"
        raise Refused(Reason.WINDOW_NOT_FOUND, "open_bank_id", text)
    return window


def _place(token: str) -> Place:
    if not token:
        return Place(-1, -1)
    page, _, ordinal = token.partition(".")
    if not (page.isascii() and page.isdigit() and ordinal.isascii() and ordinal.isdigit()):
        text = "not a token of this list"
        raise EdgeRefused("PAGE_TOKEN_INVALID", text, [FieldViolation("page_token", text)])
    return Place(int(page[:18]), int(ordinal[:9]))


def _filter_of(request: pb.ListEntriesRequest) -> projections.EntryFilter:
    return projections.EntryFilter(
        request.account_id,
        request.correlation_id,
        request.window_id,
        request.from_date,
        request.to_date,
        request.past_day_negative_only,
    )


def _only(page: events_pb2.PageWritten, wanted: frozenset[str]) -> events_pb2.PageWritten:
    kept = events_pb2.PageWritten()
    kept.CopyFrom(page)
    del kept.entries[:]
    kept.entries.extend(
        entry
        for entry in page.entries
        if any(balance.account_id in wanted for balance in entry.balances)
    )
    return kept
