"""Several journals, each with its one writer, behind the calls of one.

What is settled where, and why:
- Customers' accounts are spread by a hash of their ids; all else is on shard 0 (`sharding.py`):
  banks' windows with their clearing accounts and obligations, our own accounts, quotes.
- An id belongs to the shard that decided it first, whatever a repeat of it names. Facts and
  business keys are unique over all shards: each is looked for on all, and what is being decided on
  one is waited for by the others.
- A transfer that one shard only gives to one other is two, through SHARD_TRANSIT (`crossings.py`).
  Any other, groups of them and those with amounts that state decides are set aside on every shard
  but one, decided there, and then done (`spans.py`). What cannot be: `spanning.cannot_span`.
- The business date and the period lock are moved on shard 0, then on the others under ids made from
  their dates; the watch levels what a kill left behind.
- The trial balance is the sum over the shards; SHARD_TRANSIT of all shards is what is under way.
- A position names a shard and a page of it; those of shard 0 are plain page numbers.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import TypeVar

from libs.ids import named_id
from libs.telemetry import get_logger
from services.accounts.codec.plain_calls import PlainTransfers, result_text
from services.accounts.crossings import SYSTEM, Crossings, Near, placed
from services.accounts.domain.answers import Answer
from services.accounts.domain.book import Account, Book
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    Item,
    Linked,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
)
from services.accounts.domain.groups import none_recorded
from services.accounts.domain.journal import Decision
from services.accounts.domain.recalling import Key
from services.accounts.domain.refusals import Reason, Refusal, Refused
from services.accounts.domain.sharding import HOME, page_of
from services.accounts.domain.spanning import Span
from services.accounts.domain.totals import KindTotal, TrialBalance
from services.accounts.id_index import IdIndex
from services.accounts.placing import Places, keys_of
from services.accounts.routing import Everywhere, Owners, Plain, Routed, Router
from services.accounts.spans import Spans
from services.accounts.writer import Writer

log = get_logger()

WATCH_EVERY_S = 2.0
# What could not be brought to its end yet is tried again so soon.
RETRY_AFTER_S = 0.2
T = TypeVar("T")


class Shards:
    """The writers of all shards; `run` brings to an end what a kill has left open."""

    def __init__(self, writers: Sequence[Writer], indexes: Sequence[IdIndex]) -> None:
        self._writers = writers
        self._places = Places(writers, indexes)
        self._router = Router(writers, self._places)
        self._crossings = Crossings(writers)
        self._spans = Spans(writers, self._places)
        # Keys that are being decided somewhere, until they have been.
        self._flying: dict[Key, asyncio.Future[None]] = {}

    async def run(self) -> None:
        """For ever."""
        while True:
            wait_s = WATCH_EVERY_S
            try:
                await self._level()
                await self._crossings.resume()
                await self._spans.resume()
            except Refused as refused:
                # A full queue, or a writer that is about to end us all: next time, or never.
                log.warning("shards_wait", reason=refused.reason.name)
                wait_s = RETRY_AFTER_S
            await asyncio.sleep(wait_s)

    # What one writer offers.

    @property
    def position(self) -> int:
        return self._writers[HOME].position

    @property
    def head_hash(self) -> bytes:
        return self._writers[HOME].head_hash

    async def submit(self, caller: Caller, items: Sequence[Item]) -> list[Answer]:
        """The commands' answers in their order, once they stand. Raises `Refused`."""
        answers: list[list[Answer]] = [[] for _ in items]
        waiting = [Routed(n, item, keys_of(item, caller.name)) for n, item in enumerate(items)]
        while waiting:
            # What comes twice in a call is decided twice, one after the other.
            count = _without_repeats(waiting)
            some, waiting = waiting[:count], waiting[count:]
            await self._decide(caller, some, answers)
        return [answer for each in answers for answer in each]

    async def submit_plain(
        self, caller: Caller, transfers: PlainTransfers
    ) -> tuple[list[str], int]:
        """Items of the response in their order, and the position by which all of them stand."""
        answers = await self.submit(caller, transfers)
        results = [
            result_text(transfer.transfer_id, answer)
            for transfer, answer in zip(transfers.plain, answers, strict=True)
        ]
        return results, self.latest(answer.position for answer in answers)

    async def preview(self, caller: Caller, items: Sequence[Item]) -> tuple[list[Answer], Book]:
        """What the answers would be, for commands that all lie on one shard. Raises `Refused`."""
        some = [Routed(n, item, keys_of(item, caller.name)) for n, item in enumerate(items)]
        owners = await self._places.owners([key for each in some for key in each.keys])
        for each in some:
            await self._router.route(each, caller, owners)
        shards = {each.way.shard for each in some if isinstance(each.way, Plain)}
        if len(shards) != 1 or not all(isinstance(each.way, Plain) for each in some):
            text = "only what lies on one shard can be asked about"
            raise Refused(Reason.GROUP_SPANS_SHARDS, "validate_only", text)
        (shard,) = shards
        answers, book = await self._writers[shard].preview(caller, items)
        return [placed(answer, shard) for answer in answers], book

    async def read(
        self, work: Callable[[Book], T], min_position: int = 0, accounts: Sequence[str] = ()
    ) -> T:
        """What `work` finds in the book of shard 0, with these accounts from wherever they are."""
        await self.wait_for(min_position)
        if not accounts:
            return await self._writers[HOME].read(work)
        found: dict[str, Account] = {}
        for shard in sorted({self._places.shard_of(account_id) for account_id in accounts}):
            found |= await self._writers[shard].read(
                lambda book: {
                    each: copy(book.accounts[each]) for each in accounts if each in book.accounts
                }
            )
        dates = await self._writers[HOME].read(lambda book: (book.page_us, book.business_date))
        return work(Book(self.position, *dates, accounts=found))

    async def trial(self) -> TrialBalance:
        """Each kind's sums over all shards."""
        home = await self._writers[HOME].trial()
        sums = {(one.kind, one.currency): one for one in home.totals}
        for writer in self._writers[HOME + 1 :]:
            for one in (await writer.trial()).totals:
                other = sums.get((one.kind, one.currency))
                sums[one.kind, one.currency] = one if other is None else _sum(one, other)
        return home._replace(totals=[sums[key] for key in sorted(sums)])

    async def wait_for(self, position: int) -> None:
        shard, page_number = self._page_of(position)
        await self._writers[shard].wait_for(page_number)

    async def reached(self, position: int) -> None:
        shard, page_number = self._page_of(position)
        await self._writers[shard].reached(page_number)

    def store_position(self, position: int) -> int:
        shard, page_number = self._page_of(position)
        return self._writers[shard].store_position(page_number)

    def latest(self, positions: Iterable[int]) -> int:
        """The one that stands last in the store: whoever waits for it has waited for all."""
        return max(positions, key=self.store_position)

    def _page_of(self, position: int) -> tuple[int, int]:
        shard, page_number = page_of(position)
        if shard >= len(self._writers):
            raise Refused(Reason.FIELD_NOT_ALLOWED, "min_position", "of a shard that is not here")
        return shard, page_number

    async def _settled(self, keys: Sequence[Key]) -> Owners:
        """Who has the keys, once nobody is deciding on any of them."""
        while True:
            owners = await self._places.owners(keys)
            flying = {self._flying[key] for key in keys if key in self._flying}
            if flying:
                await asyncio.wait(flying)
            elif not await self._spans.finish_those_with(keys):
                return owners

    async def _decide(
        self, caller: Caller, some: list[Routed], answers: list[list[Answer]]
    ) -> None:
        """Items of which no two have a key in common, in runs that go the same kind of way."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keys = {key for each in some for key in each.keys}
        owners = await self._settled(sorted(keys))
        self._flying |= dict.fromkeys(keys, done)
        try:
            for each in some:
                await self._router.route(each, caller, owners)
            while some:
                run, some = _run(some)
                await self._decide_run(caller, run, answers)
        finally:
            for key in keys:
                del self._flying[key]
            done.set_result(None)

    async def _decide_run(
        self, caller: Caller, run: Sequence[Routed], answers: list[list[Answer]]
    ) -> None:
        match run[0].way:
            case Plain():
                await self._decide_plain(caller, run, answers)
            case Near():
                crossed = [
                    self._crossings.cross(caller, each.way, each.elsewhere)
                    for each in run
                    if isinstance(each.way, Near)
                ]
                for each, answer in zip(run, await asyncio.gather(*crossed), strict=True):
                    answers[each.at] = [answer]
            case Span():
                spanned = [
                    self._spans.span(caller, each.way) for each in run if isinstance(each.way, Span)
                ]
                for each, told in zip(run, await asyncio.gather(*spanned), strict=True):
                    answers[each.at] = told
            case Everywhere():
                for each in run:
                    answers[each.at] = await self._everywhere(caller, each.item)
            case Refusal():
                for each in run:
                    answers[each.at] = self._refused(each)

    async def _decide_plain(
        self, caller: Caller, run: Sequence[Routed], answers: list[list[Answer]]
    ) -> None:
        by_shard: dict[int, list[Routed]] = {}
        for each in run:
            if isinstance(each.way, Plain):
                by_shard.setdefault(each.way.shard, []).append(each)

        async def of(shard: int, some: Sequence[Routed]) -> None:
            elsewhere = {key: found for each in some for key, found in each.elsewhere.items()}
            items = [each.item for each in some]
            told = iter(await self._writers[shard].submit(caller, items, elsewhere))
            for each in some:
                size = len(each.item.commands) if isinstance(each.item, Linked) else 1
                its = [next(told) for _ in range(size)]
                answers[each.at] = await self._spans.told_of(shard, caller.name, its)

        await asyncio.gather(*(of(shard, some) for shard, some in by_shard.items()))

    async def _everywhere(self, caller: Caller, item: Item) -> list[Answer]:
        answers = await self._writers[HOME].submit(caller, [item])
        if answers[0].refusal is None:
            await self._level()
        return answers

    def _refused(self, each: Routed) -> list[Answer]:
        if not isinstance(each.way, Refusal):
            raise AssertionError("only what is refused is answered here")  # noqa: TRY004
        decisions: Sequence[Decision] = [each.way]
        if isinstance(each.item, Linked):
            decisions = none_recorded(each.item.commands, 0, each.way)
        return [
            Answer(self.position, is_replayed=False, refusal=refusal)
            for refusal in decisions
            if isinstance(refusal, Refusal)
        ]

    async def _level(self) -> None:
        """No journal stays behind the dates of shard 0."""
        today, locked = await self._writers[HOME].read(
            lambda book: (book.business_date, book.locked_date)
        )
        for shard, writer in enumerate(self._writers):
            theirs = await writer.read(
                lambda book: (book.page_number, book.business_date, book.locked_date)
            )
            page_number, date, lock = theirs
            if shard == HOME or not today:
                continue
            if page_number < 0 or date < today:
                id_ = str(named_id("shards", str(shard), "business_date", today))
                await writer.submit(SYSTEM, [MoveBusinessDate(id_, today)])
            if lock < locked:
                id_ = str(named_id("shards", str(shard), "locked_date", locked))
                await writer.submit(SYSTEM, [LockPeriod(id_, locked)])


def _without_repeats(items: Sequence[Routed]) -> int:
    """How many items come before one has a key for the second time, or needs what they open."""
    seen: set[Key] = set()
    for n, each in enumerate(items):
        is_opened = n and isinstance(items[n - 1].item, OpenAccount)
        if not seen.isdisjoint(each.keys) or (is_opened and not isinstance(each.item, OpenAccount)):
            return n
        seen.update(each.keys)
    return len(items)


def _run(items: Sequence[Routed]) -> tuple[Sequence[Routed], list[Routed]]:
    """The first items that go the same kind of way, and the rest."""
    way = type(items[0].way)
    for n, each in enumerate(items):
        if type(each.way) is not way:
            return items[:n], list(items[n:])
    return items, []


def _sum(one: KindTotal, other: KindTotal) -> KindTotal:
    return KindTotal(
        one.kind,
        one.currency,
        one.credit_minus_debit + other.credit_minus_debit,
        one.accounts + other.accounts,
        one.held + other.held,
    )
