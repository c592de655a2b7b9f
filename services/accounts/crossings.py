"""Transfers between shards, step by step; every step has an id, so all of it may run again.

The near half and the intent stand on one page. Whoever sees an open crossing, the caller's own task
or the watch after a restart, posts the far half and writes the end. The client hears what the far
half came to.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from libs.ids import derived_id
from services.accounts.domain.answers import Answer
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    BeginCrossing,
    CaptureHold,
    EndCrossing,
    Linked,
    OpenAccount,
    Transfer,
)
from services.accounts.domain.entries import (
    CrossingBegun,
    CrossingEnded,
    Entry,
    HoldCaptured,
    PostedLeg,
    TransferPosted,
)
from services.accounts.domain.kinds import Kind
from services.accounts.domain.recalling import Found, Key
from services.accounts.domain.refusals import Reason, Refusal
from services.accounts.domain.sharding import filled, position_of, reversed_legs, transit_of
from services.accounts.domain.spanned import as_known
from services.accounts.writer import Writer

SYSTEM = Caller("shards", opens=frozenset({Kind.SHARD_TRANSIT}))
TRANSIT = frozenset({Kind.SHARD_TRANSIT})
DAYS_ANY = 10_000
# The far shard may take the same again later: the crossing stays open.
LATER = frozenset(
    reason.name for reason in (Reason.QUEUE_FULL, Reason.STORE_UNAVAILABLE, Reason.ID_INDEX_BEHIND)
)


@dataclass(frozen=True, slots=True)
class Near:
    """The near half as its shard is to decide it, and the intent beside it.

    `near_fields`, `far_fields`: the accounts of each half's legs, as the caller knows them.
    """

    shard: int
    command: Transfer | CaptureHold
    begin: BeginCrossing
    near_fields: tuple[str, ...]
    far_fields: tuple[str, ...]


def crossing_id_of(transfer_id: str, caller: str) -> str:
    return str(derived_id(transfer_id, f"crossing/{caller}"))


class Crossings:
    """Drives them. One task at a time is at work on each."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self._writers = writers
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._ending: set[asyncio.Task[Answer]] = set()

    async def cross(self, caller: Caller, near: Near, elsewhere: Mapping[Key, Found]) -> Answer:
        """All of it, from the near half on; once more where it has been before."""
        begin = near.begin
        lock = self._lock(caller.name, begin.crossing_id)
        async with lock:
            shards = (near.shard, begin.shard)
            for leg in begin.far_legs:
                for shard in shards:
                    await open_transit(self._writers[shard], shard, leg.currency)
            rights = replace(caller, posts_to=caller.posts_to | TRANSIT)
            group = Linked((near.command, begin))
            first, _ = await self._writers[near.shard].submit(rights, [group], elsewhere)
            first = placed(first, near.shard)
            if first.refusal is not None or first.entry is None:
                return _as_asked(_of_the_near_half(first), near.near_fields)
            begun = CrossingBegun(*begin)
            answer = await self._finish(near.shard, caller.name, begun, first.entry, first)
            return _as_one(first.entry, _as_asked(answer, near.far_fields), shards)

    async def resume(self) -> None:
        """Bring every crossing that is open to its end, as far as the shards answer."""
        for shard, writer in enumerate(self._writers):
            crossings = await writer.read(lambda book: list(book.crossings.items()))
            for (caller, crossing_id), (place, begun) in crossings:
                lock = self._lock(caller, crossing_id)
                if lock.locked():
                    continue
                async with lock:
                    # The near half stands right before the intent.
                    near = await writer.entry_at(place - 1)
                    await self._finish(shard, caller, begun, near, None)

    def _lock(self, caller: str, crossing_id: str) -> asyncio.Lock:
        return self._locks.setdefault((caller, crossing_id), asyncio.Lock())

    async def _finish(
        self, shard: int, caller: str, begun: CrossingBegun, near: Entry, first: Answer | None
    ) -> Answer:
        """The far half, then the end."""
        writer = self._writers[shard]
        is_replayed = first is not None and first.is_replayed
        key = (caller, begun.crossing_id)
        if is_replayed and not await writer.read(lambda book: key in book.crossings):
            ended = await self._end(shard, caller, begun, None, ())
            refusal = _refusal_of(ended)
            if refusal is not None:
                return Answer(ended.position, is_replayed=True, refusal=refusal)
        legs = _legs_of(near)
        moved = sum(leg.minor for leg in legs if leg.account_id == transit_of(shard, leg.currency))
        far = Transfer(
            str(derived_id(begun.crossing_id, "far")),
            filled(begun.far_legs, moved),
            begun.purpose,
            near.correlation_id or begun.transfer_id,
            "",
            begun.value_date,
            begun.obligation,
        )
        kinds = frozenset(map(Kind, begun.kinds)) | TRANSIT
        rights = Caller(caller, kinds, backdate_days=DAYS_ANY, ahead_days=DAYS_ANY)
        (second,) = await self._writers[begun.shard].submit(rights, [far])
        second = placed(second, begun.shard)._replace(is_replayed=is_replayed)
        if second.refusal is None:
            # Nobody waits for the end: the money is where it should be.
            ending = asyncio.create_task(self._end(shard, caller, begun, None, ()))
            self._ending.add(ending)
            ending.add_done_callback(self._ended)
            return second
        if second.refusal.reason in LATER:
            return second
        back = await self._end(shard, caller, begun, second.refusal, legs)
        return Answer(back.position, is_replayed=is_replayed, refusal=second.refusal)

    def _ended(self, task: asyncio.Task[Answer]) -> None:
        self._ending.discard(task)
        if not task.cancelled():
            task.exception()  # the watch ends what could not be ended now

    async def _end(
        self,
        shard: int,
        caller: str,
        begun: CrossingBegun,
        refusal: Refusal | None,
        legs: Sequence[PostedLeg],
    ) -> Answer:
        reason, fields, description = refusal or ("", (), "")
        command = EndCrossing(
            str(derived_id(begun.crossing_id, "end")),
            begun.crossing_id,
            reason,
            ", ".join(fields),
            description,
            reversed_legs(legs) if refusal else (),
        )
        (answer,) = await self._writers[shard].submit(Caller(caller), [command])
        return placed(answer, shard)


async def open_transit(writer: Writer, shard: int, currency: str) -> None:
    """See to it that a shard has its account in transit."""
    account_id = transit_of(shard, currency)
    if not await writer.read(lambda book: account_id in book.accounts):
        owner = f"shard:{shard}"
        opening = OpenAccount(account_id, owner, Kind.SHARD_TRANSIT, currency, 0, "")
        await writer.submit(SYSTEM, [opening])


def _of_the_near_half(answer: Answer) -> Answer:
    """A refusal without what only the halves have."""
    refusal = answer.refusal
    if refusal is None or refusal.fields == ("group",):
        return answer
    fields = tuple(field for field in refusal.fields if field != "group")
    return answer._replace(refusal=refusal._replace(fields=fields))


def _as_asked(answer: Answer, fields: Sequence[str]) -> Answer:
    if answer.refusal is None:
        return answer
    return answer._replace(refusal=as_known(answer.refusal, fields))


def _as_one(near: Entry, far: Answer, shards: Sequence[int]) -> Answer:
    """Both halves as one entry, by the caller's own accounts alone; the place is the far half's."""
    fact = None if far.entry is None or far.refusal else far.entry.fact
    if far.entry is None or not isinstance(fact, TransferPosted):
        return far
    legs = (*_legs_of(near), *fact.legs)
    balances = (*near.balances, *far.entry.balances)
    transits = {transit_of(shard, leg.currency) for shard in shards for leg in legs}
    whole = far.entry._replace(
        command_id=near.command_id,
        fact=fact._replace(legs=tuple(leg for leg in legs if leg.account_id not in transits)),
        obligation=far.entry.obligation or near.obligation,
        balances=tuple(each for each in balances if each.account_id not in transits),
    )
    return far._replace(entry=whole)


def placed(answer: Answer, shard: int) -> Answer:
    return answer._replace(position=position_of(shard, answer.position))


def _legs_of(near: Entry) -> Sequence[PostedLeg]:
    if not isinstance(near.fact, TransferPosted | HoldCaptured):
        raise AssertionError(f"{near.command_id} moved nothing")  # noqa: TRY004 - impossible
    return near.fact.legs


def _refusal_of(ended: Answer) -> Refusal | None:
    fact = ended.entry.fact if ended.entry else None
    if not isinstance(fact, CrossingEnded) or not fact.reason:
        return None
    return Refusal(fact.reason, (fact.field,) if fact.field else (), fact.description)
