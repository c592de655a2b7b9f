"""Several journals, each with its one writer, behind the calls of one.

What is settled where, and why:
- Customers' accounts are spread by a hash of their ids; all else is on shard 0 (`sharding.py`):
  banks' windows with their clearing accounts and obligations, our own accounts, quotes.
- An id belongs to the shard that decided it first, whatever a repeat of it names. Facts and
  business keys are unique over all shards: each is looked for on all, and what is being decided on
  one is waited for by the others.
- A transfer between two shards is two, through SHARD_TRANSIT (`crossings.py`). Over more than two,
  or where amounts are computed from balances of both, it is refused: `GROUP_SPANS_SHARDS`; so are
  linked groups, and holds that name a destination on another shard.
- The business date and the period lock are moved on shard 0, then on the others under ids made from
  their dates; the watch levels what a kill left behind.
- The trial balance is the sum over the shards; SHARD_TRANSIT of all shards is the open crossings.
- A position names a shard and a page of it; those of shard 0 are plain page numbers.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from libs.ids import named_id
from libs.telemetry import get_logger
from services.accounts.codec.plain_calls import PlainTransfers, result_text
from services.accounts.crossings import SYSTEM, Crossings, Near, crossing_id_of
from services.accounts.domain.answers import Answer
from services.accounts.domain.book import ORDINAL_BITS, Account, Book, place_of
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    BeginCrossing,
    CaptureHold,
    Command,
    Item,
    Leg,
    Linked,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
    ReleaseHold,
    Transfer,
)
from services.accounts.domain.entries import CrossingBegun
from services.accounts.domain.groups import none_recorded
from services.accounts.domain.journal import Decision
from services.accounts.domain.kinds import Direction
from services.accounts.domain.recalling import (
    BUSINESS_KEY,
    FACT,
    ID,
    Found,
    Key,
    business_key,
    known_in,
)
from services.accounts.domain.refusals import Reason, Refusal, Refused
from services.accounts.domain.sharding import (
    HOME,
    crossing_legs,
    halved,
    hashed,
    page_of,
    position_of,
    shards_of,
    transit_of,
)
from services.accounts.domain.totals import KindTotal, TrialBalance
from services.accounts.id_index import IdIndex, IndexBehind
from services.accounts.writer import Writer

log = get_logger()

WATCH_EVERY_S = 2.0
_GLOBAL = (FACT, BUSINESS_KEY)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Plain:
    shard: int


@dataclass(frozen=True, slots=True)
class _Everywhere:
    """A command that moves a date of every journal."""


# Where an item goes; a refusal where it cannot go anywhere.
_Plan: TypeAlias = _Plain | Near | _Everywhere | Refusal


@dataclass(slots=True)
class _Item:
    """An item of a call, its place there, and the keys that may be taken anywhere."""

    at: int
    item: Item
    keys: Sequence[Key]
    plan: "_Plan" = field(default_factory=lambda: _Plain(HOME))
    elsewhere: dict[Key, Found] = field(default_factory=dict)


class Shards:
    """The writers of all shards; `run` brings to an end what a kill has left open."""

    def __init__(self, writers: Sequence[Writer], indexes: Sequence[IdIndex]) -> None:
        self._writers = writers
        self._indexes = indexes
        self._crossings = Crossings(writers)
        # Keys that are being decided somewhere, until they have been.
        self._flying: dict[Key, asyncio.Future[None]] = {}

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._level()
                await self._crossings.resume()
            except Refused as refused:
                # A full queue, or a writer that is about to end us all: next time, or never.
                log.warning("shards_wait", reason=refused.reason.name)
            await asyncio.sleep(WATCH_EVERY_S)

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
        waiting = [_Item(n, item, _keys(item, caller.name)) for n, item in enumerate(items)]
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
        some = [_Item(n, item, _keys(item, caller.name)) for n, item in enumerate(items)]
        owners = await self._owners([key for each in some for key in each.keys])
        for each in some:
            each.plan = await self._plan(each, caller, owners)
        shards = {each.plan.shard for each in some if isinstance(each.plan, _Plain)}
        if len(shards) != 1 or not all(isinstance(each.plan, _Plain) for each in some):
            text = "only what lies on one shard can be asked about"
            raise Refused(Reason.GROUP_SPANS_SHARDS, "validate_only", text)
        (shard,) = shards
        answers, book = await self._writers[shard].preview(caller, items)
        return [_placed(answer, shard) for answer in answers], book

    async def read(
        self, work: Callable[[Book], T], min_position: int = 0, accounts: Sequence[str] = ()
    ) -> T:
        """What `work` finds in the book of shard 0, with these accounts from wherever they are."""
        await self.wait_for(min_position)
        if not accounts:
            return await self._writers[HOME].read(work)
        found: dict[str, Account] = {}
        for shard in sorted({self.shard_of(account_id) for account_id in accounts}):
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

    def shard_of(self, account_id: str) -> int:
        """What is on shard 0 by its kind is known there; all else is where its hash says."""
        if account_id in self._writers[HOME].book.accounts:
            return HOME
        return hashed(account_id, len(self._writers))

    def _page_of(self, position: int) -> tuple[int, int]:
        shard, page_number = page_of(position)
        if shard >= len(self._writers):
            raise Refused(Reason.FIELD_NOT_ALLOWED, "min_position", "of a shard that is not here")
        return shard, page_number

    # Where things are.

    async def _settled(self, keys: Sequence[Key]) -> Mapping[Key, tuple[int, Found]]:
        """Who has the keys, once nobody is deciding on any of them."""
        while True:
            owners = await self._owners(keys)
            flying = {self._flying[key] for key in keys if key in self._flying}
            if not flying:
                return owners
            await asyncio.wait(flying)

    async def _owners(self, keys: Sequence[Key]) -> Mapping[Key, tuple[int, Found]]:
        """The shard and place of those that are taken, in memory or in an index."""
        found = self._in_memory(keys)
        for shard, (writer, index) in enumerate(zip(self._writers, self._indexes, strict=True)):
            book = writer.book
            left = [key for key in keys if key not in found and _may_have_left(key, book)]
            if left:
                try:
                    there = await index.look_up(left, book.floor)
                except IndexBehind as error:
                    raise Refused(Reason.ID_INDEX_BEHIND, "", str(error)) from error
                found |= {key: (shard, each) for key, each in there.items()}
        return self._in_memory(keys) | found

    def _in_memory(self, keys: Sequence[Key]) -> dict[Key, tuple[int, Found]]:
        return {
            key: (shard, each)
            for shard, writer in enumerate(self._writers)
            for key in keys
            if (each := known_in(writer.book, key)) is not None
        }

    async def _plan(
        self, each: _Item, caller: Caller, owners: Mapping[Key, tuple[int, Found]]
    ) -> _Plan:
        item = each.item
        commands = item.commands if isinstance(item, Linked) else (item,)
        own = [Key(ID, caller.name, command[0]) for command in commands]
        ids = [owners[key][0] for key in own if key in owners]
        if isinstance(item, MoveBusinessDate | LockPeriod):
            return _Everywhere()
        near = None if isinstance(item, Linked) else await self._near(item, caller, owners)
        if near is not None and (not ids or ids[0] == near.shard):
            each.elsewhere = _elsewhere(each.keys, near.shard, owners)
            return near
        shards = {
            shard for command in commands for shard in self._shards_of(command, caller, owners)
        }
        if not ids and (len(shards) > 1 or near is not None):
            text = "the accounts lie on shards between which this cannot be done"
            return Refusal(Reason.GROUP_SPANS_SHARDS.name, (), text)
        shard = ids[0] if ids else min(shards, default=HOME)
        each.elsewhere = _elsewhere(each.keys, shard, owners)
        return _Plain(shard)

    def _shards_of(
        self, command: Command, caller: Caller, owners: Mapping[Key, tuple[int, Found]]
    ) -> set[int]:
        shards = shards_of(command, self.shard_of)
        if isinstance(command, CaptureHold | ReleaseHold):
            shards = shards | {self._shard_of_hold(command.hold_id, caller, owners)}
        return shards

    def _shard_of_hold(
        self, hold_id: str, caller: Caller, owners: Mapping[Key, tuple[int, Found]]
    ) -> int:
        for shard, writer in enumerate(self._writers):
            if (caller.name, hold_id) in writer.book.holds:
                return shard
        return owners.get(Key(ID, caller.name, hold_id), (HOME, None))[0]

    async def _near(
        self, command: Command, caller: Caller, owners: Mapping[Key, tuple[int, Found]]
    ) -> Near | None:
        """The near half, if the command goes from one shard to another."""
        match command:
            case Transfer():
                halves = halved(command, self.shard_of)
                if halves is None:
                    return None
                is_near = halves.near == HOME
                obligation = command.obligation
                near = command._replace(
                    legs=halves.near_legs, obligation=obligation if is_near else None
                )
                begin = _begin(
                    command.transfer_id, halves.far, halves.far_legs, caller, halves.near_legs
                )
                return Near(
                    halves.near,
                    near,
                    begin._replace(
                        obligation=None if is_near else obligation,
                        purpose=command.purpose,
                        value_date=command.value_date,
                    ),
                )
            case CaptureHold():
                return await self._near_capture(command, caller, owners)
            case _:
                return None

    async def _near_capture(
        self, command: CaptureHold, caller: Caller, owners: Mapping[Key, tuple[int, Found]]
    ) -> Near | None:
        """All that the near half takes goes on: the far leg's amount is what was captured."""
        if not (command.account_id or command.bank_id):
            return None
        near = self._shard_of_hold(command.hold_id, caller, owners)
        far = HOME if command.bank_id else self.shard_of(command.account_id)
        currency = await self._currency_of(command, near, caller)
        if near == far or not currency:
            return None
        is_near = near == HOME
        legs = (
            *crossing_legs(far, {currency: 0}, int(Direction.DEBIT)),
            Leg(command.account_id, command.bank_id, int(Direction.CREDIT), currency, 0),
        )
        # The hold's own account: it is not closed while the capture may have to come back.
        held = self._writers[near].book.holds.get((caller.name, command.hold_id))
        own = (Leg(held.account_id, "", int(Direction.DEBIT), currency, 0),) if held else ()
        begin = _begin(command.capture_id, far, legs, caller, own)._replace(
            obligation=None if is_near else command.obligation, purpose=command.purpose
        )
        taking = command._replace(
            account_id=transit_of(near, currency),
            bank_id="",
            obligation=command.obligation if is_near else None,
        )
        return Near(near, taking, begin)

    async def _currency_of(self, command: CaptureHold, near: int, caller: Caller) -> str:
        """Of the hold; of what its capture began, where the hold has long ended."""
        hold = self._writers[near].book.holds.get((caller.name, command.hold_id))
        if hold is not None:
            return hold.currency
        key = Key(ID, caller.name, crossing_id_of(command.capture_id, caller.name))
        found = (await self._owners([key])).get(key)
        if found is None:
            return ""
        shard, (place, _) = found
        begun = (await self._writers[shard].entry_at(place)).fact
        return begun.far_legs[0].currency if isinstance(begun, CrossingBegun) else ""

    # Deciding.

    async def _decide(self, caller: Caller, some: list[_Item], answers: list[list[Answer]]) -> None:
        """Items of which no two have a key in common, in runs that go the same kind of way."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        keys = {key for each in some for key in each.keys}
        owners = await self._settled(sorted(keys))
        self._flying |= dict.fromkeys(keys, done)
        try:
            for each in some:
                each.plan = await self._plan(each, caller, owners)
            while some:
                run, some = _run(some)
                await self._decide_run(caller, run, answers)
        finally:
            for key in keys:
                del self._flying[key]
            done.set_result(None)

    async def _decide_run(
        self, caller: Caller, run: Sequence[_Item], answers: list[list[Answer]]
    ) -> None:
        match run[0].plan:
            case _Plain():
                await self._decide_plain(caller, run, answers)
            case Near():
                crossed = [
                    self._crossings.cross(caller, each.plan, each.elsewhere)
                    for each in run
                    if isinstance(each.plan, Near)
                ]
                for each, answer in zip(run, await asyncio.gather(*crossed), strict=True):
                    answers[each.at] = [answer]
            case _Everywhere():
                for each in run:
                    answers[each.at] = await self._everywhere(caller, each.item)
            case Refusal():
                for each in run:
                    answers[each.at] = self._refused(each)

    async def _decide_plain(
        self, caller: Caller, run: Sequence[_Item], answers: list[list[Answer]]
    ) -> None:
        by_shard: dict[int, list[_Item]] = {}
        for each in run:
            if isinstance(each.plan, _Plain):
                by_shard.setdefault(each.plan.shard, []).append(each)

        async def of(shard: int, some: Sequence[_Item]) -> None:
            elsewhere = {key: found for each in some for key, found in each.elsewhere.items()}
            items = [each.item for each in some]
            told = iter(await self._writers[shard].submit(caller, items, elsewhere))
            for each in some:
                size = len(each.item.commands) if isinstance(each.item, Linked) else 1
                answers[each.at] = [_placed(next(told), shard) for _ in range(size)]

        await asyncio.gather(*(of(shard, some) for shard, some in by_shard.items()))

    async def _everywhere(self, caller: Caller, item: Item) -> list[Answer]:
        answers = await self._writers[HOME].submit(caller, [item])
        if answers[0].refusal is None:
            await self._level()
        return answers

    def _refused(self, each: _Item) -> list[Answer]:
        if not isinstance(each.plan, Refusal):
            raise AssertionError("only what is refused is answered here")  # noqa: TRY004
        decisions: Sequence[Decision] = [each.plan]
        if isinstance(each.item, Linked):
            decisions = none_recorded(each.item.commands, 0, each.plan)
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


def _begin(
    transfer_id: str, far: int, legs: tuple[Leg, ...], caller: Caller, near: tuple[Leg, ...]
) -> BeginCrossing:
    own = tuple(leg.account_id for leg in near if leg.direction == Direction.DEBIT)
    kinds = tuple(sorted(map(int, caller.posts_to)))
    crossing_id = crossing_id_of(transfer_id, caller.name)
    return BeginCrossing(crossing_id, transfer_id, far, legs, None, "", "", kinds, own)


def _keys(item: Item, caller: str) -> list[Key]:
    """Ids, facts and business keys; of a hold too, so that its shard is found."""
    keys: list[Key] = []
    for command in item.commands if isinstance(item, Linked) else (item,):
        keys.append(Key(ID, caller, command[0]))
        match command:
            case Transfer(fact_key=fact_key):
                keys += [Key(FACT, "", fact_key)] if fact_key else []
            case CaptureHold(hold_id=hold_id, fact_key=fact_key):
                keys += [Key(FACT, "", fact_key)] if fact_key else []
                keys.append(Key(ID, caller, hold_id))
            case ReleaseHold(hold_id=hold_id):
                keys.append(Key(ID, caller, hold_id))
            case OpenAccount(owner=owner, kind=kind, currency=currency, ordinal=ordinal):
                keys.append(business_key(owner, kind, currency, ordinal))
            case _:
                pass
    return keys


def _without_repeats(items: Sequence[_Item]) -> int:
    """How many items come before one has a key for the second time, or needs what they open."""
    seen: set[Key] = set()
    for n, each in enumerate(items):
        is_opened = n and isinstance(items[n - 1].item, OpenAccount)
        if not seen.isdisjoint(each.keys) or (is_opened and not isinstance(each.item, OpenAccount)):
            return n
        seen.update(each.keys)
    return len(items)


def _run(items: Sequence[_Item]) -> tuple[Sequence[_Item], list[_Item]]:
    """The first items that go the same kind of way, and the rest."""
    way = type(items[0].plan)
    for n, each in enumerate(items):
        if type(each.plan) is not way:
            return items[:n], list(items[n:])
    return items, []


def _may_have_left(key: Key, book: Book) -> bool:
    if book.floor < 0:
        return False
    return key.kind != ID or key.name <= book.horizons.get(key.scope, "")


def _elsewhere(
    keys: Sequence[Key], shard: int, owners: Mapping[Key, tuple[int, Found]]
) -> dict[Key, Found]:
    """Facts and business keys that are taken, and not on this shard."""
    return {
        key: _found_on(*owners[key])
        for key in keys
        if key.kind in _GLOBAL and key in owners and owners[key][0] != shard
    }


def _found_on(shard: int, found: Found) -> Found:
    """As the other shards name it: by a position instead of a page."""
    page_number, ordinal = place_of(found.place)
    return Found(position_of(shard, page_number) << ORDINAL_BITS | ordinal, found.value)


def _placed(answer: Answer, shard: int) -> Answer:
    return answer._replace(position=position_of(shard, answer.position))


def _sum(one: KindTotal, other: KindTotal) -> KindTotal:
    return KindTotal(
        one.kind,
        one.currency,
        one.credit_minus_debit + other.credit_minus_debit,
        one.accounts + other.accounts,
        one.held + other.held,
    )
