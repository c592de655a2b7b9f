"""What leaves the book once the index durably holds it, so that memory does not grow with history.

Ids, facts and business keys leave in the order of their places, whole pages at a time; a hold
leaves when the page of its end does. What is recalled from the index stands behind all that is
newer, and so leaves again in its turn.
"""

from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import TypeVar

from services.accounts.domain.book import ORDINAL_BITS, Book

K = TypeVar("K")
V = TypeVar("V")

# Leaving is cheapest in bulk: nothing leaves until so much more than is kept has come (1 of 16).
_SLACK_SHIFT = 4


def end_page(book: Book, entries: int) -> None:
    """Count a page that is complete."""
    if entries:
        book.pages.append((book.page_number, entries))


def forget(book: Book, indexed_page: int, keep: int) -> None:
    """Let go of pages up to `indexed_page`, as long as the last `keep` entries' worth remains."""
    held = sum(map(len, book.ids.values())) + len(book.facts) + len(book.ended)
    if held <= keep + (keep >> _SLACK_SHIFT):
        return
    entries = sum(count for _, count in book.pages)
    floor = book.floor
    for page_number, count in book.pages:
        entries -= count
        if page_number > indexed_page or entries < keep:
            break
        floor = page_number
    if floor > book.floor:
        lower_to(book, floor)


def lower_to(book: Book, floor: int) -> None:
    """Let go of everything up to and with this page."""
    book.floor = floor
    last = (floor + 1) << ORDINAL_BITS
    for caller, ids in list(book.ids.items()):
        gone = _first(ids, lambda known: known.place < last)
        if gone:
            book.horizons[caller] = max(*gone, book.horizons.get(caller, ""))
        for id_ in gone:
            del ids[id_]
        if not ids:
            del book.ids[caller]
    _drop(book.facts, last)
    _drop(book.business_keys, last)
    while book.ended and book.ended[0][0] <= floor:
        _, caller, hold_id = book.ended.popleft()
        del book.holds[caller, hold_id]
    while book.pages and book.pages[0][0] <= floor:
        book.pages.popleft()


def _first(all_: Mapping[K, V], is_gone: Callable[[V], bool]) -> list[K]:
    """The first keys, as far as this holds of their values."""
    return [key for key, _ in takewhile(lambda item: is_gone(item[1]), all_.items())]


def _drop(places: dict[K, int], last: int) -> None:
    for key in _first(places, lambda place: place < last):
        del places[key]
