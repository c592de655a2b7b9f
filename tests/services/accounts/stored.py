"""The pages of a desk as the store holds them."""

from libs.event_store import NewEvent
from libs.ids import derived_id
from libs.memory_store import MemoryStore
from services.accounts.codec.entry_bytes import encode_entry
from services.accounts.codec.pages import JOURNAL, PAGE_TYPE, encode_page
from services.accounts.domain.pages import NO_HASH
from tests.services.accounts.desk import TODAY, Desk

_PAGES = "00000000-0000-7000-8000-0000000000ff"


def stored_pages(desk: Desk) -> list[bytes]:
    """Each page's bytes, chained."""
    stored: list[bytes] = []
    previous = NO_HASH
    for number, (entries, time_us) in enumerate(zip(desk.pages, desk.times, strict=True)):
        encoded = [encode_entry(entry, ordinal) for ordinal, entry in enumerate(entries)]
        data, previous = encode_page(number, previous, time_us, TODAY, encoded)
        stored.append(data)
    return stored


async def store_pages(desk: Desk, store: MemoryStore) -> None:
    for number, data in enumerate(stored_pages(desk)):
        id_ = derived_id(_PAGES, "page", number)
        event = NewEvent(id_, PAGE_TYPE, data, {}, is_json=False)
        await store.append(JOURNAL, [event], number - 1)
