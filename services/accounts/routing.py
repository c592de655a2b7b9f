"""Which way a command goes: to one shard, from one to another, over any, or to all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from services.accounts.crossings import Near, crossing_id_of
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    BeginCrossing,
    CaptureHold,
    Command,
    Exchange,
    Item,
    Leg,
    Linked,
    LockPeriod,
    MoveBusinessDate,
    Transfer,
)
from services.accounts.domain.entries import CrossingBegun
from services.accounts.domain.kinds import Direction
from services.accounts.domain.recalling import ID, Found, Key
from services.accounts.domain.refusals import Reason, Refusal
from services.accounts.domain.sharding import HOME, crossing_legs, halved, transit_of
from services.accounts.domain.spanning import Span, cannot_span, span_of
from services.accounts.placing import Places, elsewhere
from services.accounts.writer import Writer

Owners: TypeAlias = Mapping[Key, tuple[int, Found]]


@dataclass(frozen=True, slots=True)
class Plain:
    """All of it lies on one shard."""

    shard: int


@dataclass(frozen=True, slots=True)
class Everywhere:
    """A command that moves a date of every journal."""


# Where an item goes; a refusal where it cannot go anywhere.
Way: TypeAlias = Plain | Near | Span | Everywhere | Refusal


@dataclass(slots=True)
class Routed:
    """An item of a call, its place there, and the keys that may be taken anywhere."""

    at: int
    item: Item
    keys: Sequence[Key]
    way: Way = field(default_factory=lambda: Plain(HOME))
    elsewhere: dict[Key, Found] = field(default_factory=dict)


class Router:
    def __init__(self, writers: Sequence[Writer], places: Places) -> None:
        self._writers = writers
        self._places = places

    async def route(self, each: Routed, caller: Caller, owners: Owners) -> None:
        """Give the item its way. An id belongs to the shard that decided it first."""
        each.way = await self._way(each.item, caller, owners)
        if isinstance(each.way, Plain | Near):
            each.elsewhere = elsewhere(each.keys, each.way.shard, owners)

    async def _way(self, item: Item, caller: Caller, owners: Owners) -> Way:
        if isinstance(item, MoveBusinessDate | LockPeriod):
            return Everywhere()
        commands = item.commands if isinstance(item, Linked) else (item,)
        own = [Key(ID, caller.name, command[0]) for command in commands]
        ids = [owners[key][0] for key in own if key in owners]
        near = None if isinstance(item, Linked) else await self._near(item, caller, owners)
        if near is not None and (
            await self._has_crossed(near, caller) if ids else _only_gives(near)
        ):
            return near
        shards = {
            shard
            for command in commands
            for shard in self._places.shards_of(command, caller, owners)
        }
        if len(shards) <= 1 and near is None:
            return Plain(ids[0] if ids else min(shards, default=HOME))
        text = cannot_span(commands, self._places.shard_of)
        if not text:
            received = await self._received(commands[0], caller)
            span = span_of(item, caller, self._places.shard_of, received)
            return span._replace(shard=ids[0]) if ids else span
        if ids:
            return Plain(ids[0])
        return Refusal(Reason.GROUP_SPANS_SHARDS.name, (), text)

    async def _has_crossed(self, near: Near, caller: Caller) -> bool:
        """Whether the id, which is known, is that of such a transfer."""
        key = Key(ID, caller.name, near.begin.crossing_id)
        owner = (await self._places.owners([key])).get(key)
        return owner is not None and owner[0] == near.shard

    async def _received(self, command: Command, caller: Caller) -> int:
        """What the buyer of an exchange gets at its quote, which shard 0 has."""
        if not isinstance(command, Transfer) or not isinstance(command.computed, Exchange):
            return 0
        bought, key = command.computed.bought.minor, (caller.name, command.computed.quote_id)
        quote = await self._writers[HOME].read(lambda book: book.quotes.get(key))
        return bought if quote is None else quote.given.bought.minor - quote.given.spread

    async def _near(self, command: Command, caller: Caller, owners: Owners) -> Near | None:
        """The near half, if all that one shard does is to give to one other."""
        match command:
            case Transfer():
                halves = halved(command, self._places.shard_of)
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
                    halves.near_fields,
                    halves.far_fields,
                )
            case CaptureHold():
                return await self._near_capture(command, caller, owners)
            case _:
                return None

    async def _near_capture(
        self, command: CaptureHold, caller: Caller, owners: Owners
    ) -> Near | None:
        """All that the near half takes goes on: the far leg's amount is what was captured."""
        if not (command.account_id or command.bank_id):
            return None
        near = self._places.shard_of_hold(command.hold_id, caller, owners)
        far = HOME if command.bank_id else self._places.shard_of(command.account_id)
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
        known = "clearing_bank_id" if command.bank_id else "account_id"
        return Near(near, taking, begin, (), ("", known))

    async def _currency_of(self, command: CaptureHold, near: int, caller: Caller) -> str:
        """Of the hold; of what its capture began, where the hold has long ended."""
        hold = self._writers[near].book.holds.get((caller.name, command.hold_id))
        if hold is not None:
            return hold.currency
        key = Key(ID, caller.name, crossing_id_of(command.capture_id, caller.name))
        found = (await self._places.owners([key])).get(key)
        if found is None:
            return ""
        shard, (place, _) = found
        begun = (await self._writers[shard].entry_at(place)).fact
        return begun.far_legs[0].currency if isinstance(begun, CrossingBegun) else ""


def _only_gives(near: Near) -> bool:
    """Whether all that can be short is on the near shard, and nothing else has to be decided first.

    Nobody on the far shard pays. And no fact is posted by the near half that the far one may still
    refuse: it would be taken for ever.
    """
    legs = zip(near.begin.far_legs, near.far_fields, strict=True)
    has_fact = isinstance(near.command, Transfer) and near.command.fact_key
    return not has_fact and all(leg.direction == Direction.CREDIT for leg, field in legs if field)


def _begin(
    transfer_id: str, far: int, legs: tuple[Leg, ...], caller: Caller, near: tuple[Leg, ...]
) -> BeginCrossing:
    own = tuple(leg.account_id for leg in near if leg.direction == Direction.DEBIT)
    kinds = tuple(sorted(map(int, caller.posts_to)))
    crossing_id = crossing_id_of(transfer_id, caller.name)
    return BeginCrossing(crossing_id, transfer_id, far, legs, None, "", "", kinds, own)
