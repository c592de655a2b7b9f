"""Before a page is decided: what its commands could meet is asked of the index, all at once."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from services.accounts.calls import Call
from services.accounts.codec.plain_calls import PlainTransfers
from services.accounts.codec.replaying import StoredPage, WrittenPage
from services.accounts.domain.book import Book, End, Hold, place_of
from services.accounts.domain.commands import Item, Linked
from services.accounts.domain.pages import ENTRIES_MAX
from services.accounts.domain.recalling import (
    HOLD,
    ID,
    Found,
    Key,
    Recalled,
    asked_of,
    ended_hold,
)
from services.accounts.id_index import IdIndex, IndexBehind


class Recall:
    """`page` gives the entries of a page of the journal."""

    def __init__(
        self, index: IdIndex | None, page: Callable[[int], Awaitable[WrittenPage | StoredPage]]
    ) -> None:
        self._index = index
        self._page = page

    async def ask(
        self, calls: Iterable[Call], book: Book, items_max: int = ENTRIES_MAX
    ) -> Recalled:
        """Make so many items ready to be decided, once what is answered is put into the book."""
        floor = book.floor
        asked, elsewhere = _asked(calls, book, items_max)
        if not asked or self._index is None:
            return Recalled(floor, elsewhere, {})
        keys = [key for _, _, some in asked for key in some]
        try:
            found = await self._index.look_up(keys, floor)
            holds = await self._holds(found, floor, self._index)
            return Recalled(floor, {**found, **elsewhere}, holds)
        except IndexBehind as error:
            for call, n, _ in asked:
                call.behind[n] = str(error)
            return Recalled(floor, elsewhere, {})

    async def _holds(
        self, found: Mapping[Key, Found], floor: int, index: IdIndex
    ) -> Mapping[Key, Hold]:
        """Ended holds as they were placed, read from their pages."""
        ended = {key: each for key, each in found.items() if key.kind == HOLD}
        if not ended:
            return {}
        placed = await index.look_up((key._replace(kind=ID) for key in ended), floor)
        holds: dict[Key, Hold] = {}
        for key, each in ended.items():
            place = place_of(placed[key._replace(kind=ID)].place)
            entry = (await self._page(place.page_number))[place.ordinal]
            holds[key] = ended_hold(entry, End(each.value.decode()))
        return holds


def _asked(
    calls: Iterable[Call], book: Book, items_max: int
) -> tuple[list[tuple[Call, int, Sequence[Key]]], dict[Key, Found]]:
    asked: list[tuple[Call, int, Sequence[Key]]] = []
    elsewhere: dict[Key, Found] = {}
    left = items_max
    for call in calls:
        call.behind.clear()
        if call.elsewhere:
            elsewhere.update(call.elsewhere)
        call.ready = min(len(call.items), call.at + left)
        left -= call.ready - call.at
        # As long as nothing has left, nothing need be asked.
        if book.floor >= 0:
            caller = call.caller.name
            horizon = book.horizons.get(caller, "")
            plain = call.items.plain if isinstance(call.items, PlainTransfers) else ()
            for n in range(call.at, call.ready):
                if plain and plain[n].transfer_id > horizon and plain[n].texts is None:
                    continue
                keys = _keys(call.items[n], caller, horizon, book)
                if keys:
                    asked.append((call, n, keys))
        if left <= 0:
            break
    return asked, elsewhere


def _keys(item: Item, caller: str, horizon: str, book: Book) -> Sequence[Key]:
    if isinstance(item, Linked):
        return [
            key for command in item.commands for key in asked_of(command, caller, horizon, book)
        ]
    return asked_of(item, caller, horizon, book)
