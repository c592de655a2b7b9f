"""Where things are: the shard of an account, and who has an id, a fact, a business key."""

from collections.abc import Mapping, Sequence
from itertools import islice

from libs.event_store import EventStore
from libs.failure import StartFailed
from services.accounts.codec.pages import journal_of
from services.accounts.domain.book import ORDINAL_BITS, Book, place_of
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    CaptureHold,
    Command,
    Item,
    Linked,
    OpenAccount,
    ReleaseHold,
    Transfer,
)
from services.accounts.domain.recalling import (
    BUSINESS_KEY,
    FACT,
    ID,
    Found,
    Key,
    business_key,
    known_in,
)
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.sharding import HOME, SPREAD, hashed, position_of, shards_of
from services.accounts.id_index import IdIndex, IndexBehind
from services.accounts.writer import Writer

# Accounts of a journal that are looked at when it starts: one that is misplaced says enough.
LOOKED_AT_MAX = 1_000
_GLOBAL = (FACT, BUSINESS_KEY)


class Places:
    """Of all shards."""

    def __init__(self, writers: Sequence[Writer], indexes: Sequence[IdIndex]) -> None:
        self._writers = writers
        self._indexes = indexes

    def shard_of(self, account_id: str) -> int:
        """What is on shard 0 by its kind is known there; all else is where its hash says."""
        if account_id in self._writers[HOME].book.accounts:
            return HOME
        return hashed(account_id, len(self._writers))

    async def owners(self, keys: Sequence[Key]) -> Mapping[Key, tuple[int, Found]]:
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

    def shards_of(
        self, command: Command, caller: Caller, owners: Mapping[Key, tuple[int, Found]]
    ) -> set[int]:
        """Every shard that has an account this command names, or the hold."""
        shards = shards_of(command, self.shard_of)
        if isinstance(command, CaptureHold | ReleaseHold):
            shards = shards | {self.shard_of_hold(command.hold_id, caller, owners)}
        return shards

    def shard_of_hold(
        self, hold_id: str, caller: Caller, owners: Mapping[Key, tuple[int, Found]]
    ) -> int:
        for shard, writer in enumerate(self._writers):
            if (caller.name, hold_id) in writer.book.holds:
                return shard
        return owners.get(Key(ID, caller.name, hold_id), (HOME, None))[0]


async def as_many_as_before(writers: Sequence[Writer], store: EventStore) -> None:
    """Raise `StartFailed` where accounts were spread over another number of journals."""
    count = len(writers)
    if await store.read_last(journal_of(count)) is not None:
        raise StartFailed(
            f"HEFU_SHARDS is {count}, and there is a {journal_of(count)}: there were more"
        )
    for shard, writer in enumerate(writers[HOME + 1 :], HOME + 1):
        for account_id in islice(writer.book.accounts, LOOKED_AT_MAX):
            account = writer.book.accounts[account_id]
            if account.kind in SPREAD and hashed(account_id, count) != shard:
                raise StartFailed(
                    f"HEFU_SHARDS is {count}, and {journal_of(shard)} has accounts that lie "
                    "elsewhere among so many: it was another number"
                )


def keys_of(item: Item, caller: str) -> list[Key]:
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


def elsewhere(
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


def _may_have_left(key: Key, book: Book) -> bool:
    if book.floor < 0:
        return False
    return key.kind != ID or key.name <= book.horizons.get(key.scope, "")
