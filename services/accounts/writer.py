"""The one writer of the journal: takes all that is queued, decides it, writes a page, answers.

What arrives while a page is being written goes on the next one. The book runs ahead of the store
only while a page is on its way, and nobody sees it then: answers and reads wait for the page.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias, TypeVar
from uuid import UUID, uuid5

import stamina

from libs.clock import Clock
from libs.event_store import Busy, EventStore, NewEvent, OutcomeUnknown, WrongVersion
from libs.failure import StartFailed
from services.accounts.calls import Call
from services.accounts.codec.pages import (
    JOURNAL,
    OF_NO_WINDOW,
    OF_WINDOWS,
    PAGE_TYPE,
    encode_page,
)
from services.accounts.codec.plain_calls import PlainTransfers, result_text
from services.accounts.codec.replaying import StoredPage, WrittenPage
from services.accounts.domain.answers import Answer, answer_of
from services.accounts.domain.book import Book, Window, place_of
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Item, Linked
from services.accounts.domain.entries import Entry
from services.accounts.domain.forgetting import end_page, forget
from services.accounts.domain.groups import decide_linked, none_recorded
from services.accounts.domain.journal import Decision, Repeated, decide, expiries
from services.accounts.domain.previews import Preview, preview
from services.accounts.domain.recalling import Found, Key, put_back, take_away
from services.accounts.domain.refusals import Reason, Refusal, Refused
from services.accounts.domain.terms import checks_behind, differing
from services.accounts.domain.totals import TrialBalance, totals_of
from services.accounts.draft import Draft
from services.accounts.id_index import IdIndex
from services.accounts.posting import post
from services.accounts.recall import Recall
from services.accounts.recovery import KEEP_ENTRIES, Recovered
from services.accounts.snapshots import Snapshots

QUEUED_MAX = 100_000
# Entries of recent pages, for repeats; each page counts for one more.
ENTRIES_KEPT_MAX = 8_000
POSITIONS_KEPT_MAX = 100_000
WAIT_FOR_POSITION_S = 5.0
# The timer looks at the clock at least this often, so that a clock that was set is noticed.
LOOK_AGAIN_S = 30.0
GATHER_S = 0.005
# So long after a page who gives way to the writer still does.
BUSY_FOR_S = 0.1
_MICRO = 1_000_000
_NOTHING: Mapping[Key, Found] = MappingProxyType({})
_PAGE_IDS = UUID("5b0c2d3e-8a41-5a86-9f0a-6e1b27f5c9d4")

T = TypeVar("T")
# Of a page just written, or of one read back.
_Entries: TypeAlias = WrittenPage | StoredPage


class JournalTaken(StartFailed):
    """Another writer has written the page that was ours to write."""


class Writer:
    """The book and its writer. `run` must be running for anything to be answered."""

    def __init__(  # noqa: PLR0913 - what it writes with, and to
        self,
        store: EventStore,
        recovered: Recovered,
        clock: Clock,
        snapshots: Snapshots,
        index: IdIndex | None = None,
        *,
        keep: int = KEEP_ENTRIES,
        journal: str = JOURNAL,
    ) -> None:
        self._store = store
        self._index = index
        self._keep = keep
        self._journal = journal
        self._recall = Recall(index, self._page)
        self._clock = clock
        self._snapshots = snapshots
        self._book = recovered.book
        self._calls: deque[Call] = deque()
        self._queued = 0
        self._reads: list[Callable[[], None]] = []
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._is_writing = False
        self._is_stopped = False
        self._told_at_s = -BUSY_FOR_S
        self._pages: OrderedDict[int, _Entries] = OrderedDict()
        self._entries_kept = 0
        self.position = recovered.book.page_number
        self.head_hash = recovered.head_hash
        self._positions = OrderedDict([(self.position, recovered.store_position)])

    @property
    def book(self) -> Book:
        """The book, perhaps ahead of the store: for what has been taken, and where things are."""
        return self._book

    @property
    def is_busy(self) -> bool:
        """Whether a page is being written, will be at once, or was a moment ago.

        Callers who wait for their answers come back with the next: between two pages is no rest.
        """
        if self._is_writing or self._calls:
            return True
        return asyncio.get_running_loop().time() - self._told_at_s < BUSY_FOR_S

    async def run(self) -> None:
        """For ever. Raises `JournalTaken` where another writer is at work."""
        draft = Draft("")
        try:
            while True:
                await self._wait_for_work()
                if len(draft.complete) > 1:
                    # Callers come together: a page costs the same for one of them as for all.
                    await asyncio.sleep(GATHER_S)
                recalled = await self._recall.ask(self._calls, self._book)
                self._is_writing = True
                put_back(self._book, recalled)
                draft = self._decide()
                take_away(self._book, recalled)
                if draft.encoded:
                    await self._write(draft)
                self._is_writing = False
                self._tell(draft)
        finally:
            self._give_up([*draft.complete, *self._calls])

    def _tell(self, draft: Draft) -> None:
        self._told_at_s = asyncio.get_running_loop().time()
        for call in draft.complete:
            if not call.done.done():
                call.done.set_result(call.decided)
        reads, self._reads = self._reads, []
        for read in reads:
            read()

    def _give_up(self, calls: Sequence[Call]) -> None:
        """Whoever waits is told that nothing is known."""
        self._is_stopped = True
        for call in calls:
            if not call.done.done():
                call.done.set_exception(_stopped())

    async def submit(
        self,
        caller: Caller,
        items: Sequence[Item],
        elsewhere: Mapping[Key, Found] = _NOTHING,
    ) -> list[Answer]:
        """The commands' answers in their order, once they stand. Raises `Refused` (QUEUE_FULL).

        `elsewhere`: facts and business keys of these commands that are taken on another shard.
        """
        call = await self._decided(caller, items, elsewhere)
        return [await self._answer(*each) for each in call.decided if not isinstance(each, str)]

    async def submit_plain(
        self, caller: Caller, transfers: PlainTransfers
    ) -> tuple[list[str], int]:
        """Items of the response in their order, and the position by which all of them stand.

        Raises `Refused` (QUEUE_FULL).
        """
        call = await self._decided(caller, transfers, _NOTHING)
        results: list[str] = []
        last = call.page_number
        for transfer, each in zip(transfers.plain, call.decided, strict=True):
            if isinstance(each, str):
                results.append(each)
            else:
                answer = await self._answer(*each)
                results.append(result_text(transfer.transfer_id, answer))
                last = max(last, answer.position)
        return results, last

    async def _decided(
        self, caller: Caller, items: Sequence[Item], elsewhere: Mapping[Key, Found]
    ) -> Call:
        """The call, once all of it stands."""
        if self._is_stopped:
            raise _stopped()
        if self._queued + len(items) > QUEUED_MAX:
            text = f"{QUEUED_MAX} commands are waiting: send it again in a second"
            raise Refused(Reason.QUEUE_FULL, "", text)
        call = Call(caller, items, asyncio.get_running_loop().create_future(), elsewhere=elsewhere)
        self._calls.append(call)
        self._queued += len(items)
        self._wake.set()
        await call.done
        return call

    async def preview(self, caller: Caller, items: Sequence[Item]) -> tuple[list[Answer], Book]:
        """What the answers would be on a page begun now, and the book after it."""
        call = Call(caller, items, asyncio.get_running_loop().create_future())

        def tried(book: Book) -> Preview | None:
            if book.floor != asked.floor:
                return None
            put_back(book, asked)
            try:
                return preview(items, caller, book, self._clock())
            finally:
                take_away(book, asked)

        found = None
        while found is None:
            # What has left since it was asked for could be missed: then it is asked for again.
            asked = await self._recall.ask([call], self._book, len(items))
            if call.behind:
                text = next(iter(call.behind.values()))
                raise Refused(Reason.ID_INDEX_BEHIND, "", text)
            found = await self.read(tried)
        number = found.book.page_number
        answers = [
            await self._answer(number, decision, found.entries) for decision in found.decisions
        ]
        # No page was written: the position is that of the one it stands on.
        basis = number - 1
        return [each._replace(position=min(each.position, basis)) for each in answers], found.book

    async def read(
        self,
        work: Callable[[Book], T],
        min_position: int = 0,
        accounts: Sequence[str] = (),  # noqa: ARG002 - for the router of shards, which must know
    ) -> T:
        """What `work` finds in the book as stored, from a position on. Raises `Refused`."""
        await self.wait_for(min_position)
        if not self._is_writing:
            return work(self._book)
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def answer() -> None:
            if not found.done():
                try:
                    found.set_result(work(self._book))
                except Refused as refused:
                    found.set_exception(refused)

        self._reads.append(answer)
        return await found

    async def trial(self) -> TrialBalance:
        """The trial balance as stored."""
        return await self.read(
            lambda book: TrialBalance(totals_of(book), book.page_number, self.head_hash)
        )

    async def entry_at(self, packed: int) -> Entry:
        """An entry of a page that is written, by its place."""
        place = place_of(packed)
        await self.reached(place.page_number)
        return (await self._page(place.page_number))[place.ordinal]

    def latest(self, positions: Iterable[int]) -> int:
        """Of the positions of answers, the one by which all of them stand."""
        return max(positions)

    async def reached(self, page_number: int) -> None:
        """Return once the page is written."""
        while self.position < page_number:
            await self._moved.wait()

    async def wait_for(self, position: int) -> None:
        """Return once the page is written; position 0 asks for nothing. Raises `Refused`."""
        if position <= max(self.position, 0):
            return
        try:
            async with asyncio.timeout(WAIT_FOR_POSITION_S):
                await self.reached(position)
        except TimeoutError:
            text = f"the journal is at {self.position}"
            raise Refused(Reason.READ_MODEL_BEHIND, "min_position", text) from None

    def store_position(self, page_number: int) -> int:
        """A position in the store at which this page certainly stands."""
        known = self._positions.get(page_number)
        if known is not None:
            return known
        return next(iter(self._positions.values()))

    async def _wait_for_work(self) -> None:
        while not self._calls:
            self._wake.clear()
            deadline = self._book.next_deadline_us()
            if deadline is None:
                await self._wake.wait()
                continue
            left_s = (deadline - self._clock()) / _MICRO
            if left_s <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, LOOK_AGAIN_S)):
                    await self._wake.wait()

    def _decide(self) -> Draft:
        """Fill a page: expiries first, then what is queued, in its order."""
        book = self._book
        before = (book.page_number, book.page_us, book.business_date)
        book.begin_page(book.page_number + 1, max(book.page_us, self._clock()))
        draft = Draft(book.business_date)
        while not draft.is_full and (expiry := expiries(book)) is not None:
            self._snapshots.before(expiry, book)
            draft.add(expiry, book)
        while self._calls and not draft.is_full:
            call = self._calls[0]
            if call.done.done() and not call.decided:
                # The caller is gone, and nothing of its call was decided: nothing happened.
                self._queued -= len(call.items)
                self._calls.popleft()
                continue
            self._decide_call(call, draft)
            if call.at < len(call.items):
                break
            draft.complete.append(self._calls.popleft())
        if not draft.encoded:
            book.page_number, book.page_us, book.business_date = before
        return draft

    def _decide_call(self, call: Call, draft: Draft) -> None:
        book, decided, before = self._book, call.decided, call.at
        plain = call.items.plain if isinstance(call.items, PlainTransfers) else ()
        while call.at < call.ready and not draft.is_full:
            if plain and not call.behind and post(call, plain, book, draft, self._snapshots.keep):
                continue
            item = call.items[call.at]
            if call.at in call.behind:
                decisions = _behind(item, call.behind[call.at])
            elif isinstance(item, Linked):
                if not draft.has_room_for(item):
                    break
                decisions = decide_linked(item, call.caller, book, len(draft.encoded))
            else:
                decisions = (decide(item, call.caller, book),)
            for decision in decisions:
                if isinstance(decision, Entry):
                    self._snapshots.before(decision, book)
                    draft.add(decision, book)
                decided.append((book.page_number, decision))
            call.at += 1
        self._queued -= call.at - before

    async def _write(self, draft: Draft) -> None:
        book = self._book
        number = book.page_number
        data, page_hash = encode_page(
            number, self.head_hash, book.page_us, draft.business_date, draft.encoded
        )
        id_ = uuid5(_PAGE_IDS, f"{self._journal}\x00{number}\x00{page_hash.hex()}")
        metadata = OF_WINDOWS if draft.is_of_windows else OF_NO_WINDOW
        event = NewEvent(id_, PAGE_TYPE, data, metadata, is_json=False)
        store_position = await self._append(event, number)
        self.position, self.head_hash = number, page_hash
        self._positions[number] = store_position
        if len(self._positions) > POSITIONS_KEPT_MAX:
            self._positions.popitem(last=False)
        self._keep_page(number, WrittenPage(draft.encoded))
        end_page(book, len(draft.encoded))
        self._snapshots.offer(book, page_hash, len(draft.encoded))
        if self._index is not None:
            self._index.offer(number, page_hash, draft.once)
            forget(book, self._index.position, self._keep)
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _append(self, event: NewEvent, number: int) -> int:
        """The same page at the same revision until its outcome is known."""
        try:
            try:
                return await self._append_once(event, number)
            except (OutcomeUnknown, Busy):
                return await _again(self._append_once, event, number)
        except WrongVersion as error:
            raise JournalTaken(
                f"another writer has written page {number} of {self._journal}; this one stops"
            ) from error

    async def _append_once(self, event: NewEvent, number: int) -> int:
        return (await self._store.append(self._journal, [event], number - 1)).position

    async def _answer(
        self, page_number: int, decision: Decision, trial: Sequence[Entry] = ()
    ) -> Answer:
        """`trial`: entries of a page that was only tried."""
        match decision:
            case Entry():
                return answer_of(decision, page_number, is_replayed=False)
            case Repeated(packed, terms):
                place = place_of(packed)
                is_trial = trial and place.page_number == page_number
                entries = trial if is_trial else await self._page(place.page_number)
                entry = entries[place.ordinal]
                if not terms:
                    return answer_of(entry, place.page_number, is_replayed=True)
                fields = differing(terms, checks_behind(entry))
                text = "the id came first with other terms"
                refusal = Refusal(Reason.IDEMPOTENCY_KEY_REUSED.name, fields, text)
                return Answer(self.position, is_replayed=False, refusal=refusal)
            case Refusal():
                return Answer(self.position, is_replayed=False, refusal=decision)
            case Window():
                return Answer(self.position, is_replayed=True)

    async def _page(self, number: int) -> _Entries:
        known = self._pages.get(number)
        if known is None:
            stored = await self._store.read_one(self._journal, number)
            if stored is None:
                raise AssertionError(f"page {number} was written and is not in the store")
            known = StoredPage(stored.data)
        self._keep_page(number, known)
        return known

    def _keep_page(self, number: int, entries: _Entries) -> None:
        if number not in self._pages:
            self._entries_kept += len(entries) + 1
        self._pages[number] = entries
        self._pages.move_to_end(number)
        while self._entries_kept > ENTRIES_KEPT_MAX and len(self._pages) > 1:
            _, gone = self._pages.popitem(last=False)
            self._entries_kept -= len(gone) + 1


# Made for the few pages whose outcome is not known at once: it costs a page's time by itself.
_again = stamina.AsyncRetryingCaller(attempts=None, timeout=None, wait_max=2.0).on(
    (OutcomeUnknown, Busy)
)


def _behind(item: Item, description: str) -> Sequence[Decision]:
    text = f"{description}: send the same again"
    refusal = Refusal(Reason.ID_INDEX_BEHIND.name, (), text)
    return none_recorded(item.commands, 0, refusal) if isinstance(item, Linked) else (refusal,)


def _stopped() -> Refused:
    text = "the journal's writer has stopped: send the same again"
    return Refused(Reason.STORE_UNAVAILABLE, "", text)
