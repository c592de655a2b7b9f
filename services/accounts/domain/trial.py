"""A book over another: what is decided and taken in here never reaches the one below.

Linked groups are decided on it before the book itself changes, and previews never leave it.
"""

from collections.abc import Callable, Mapping
from copy import copy
from heapq import heapify
from typing import TypeVar

from services.accounts.domain.book import Book

K = TypeVar("K")
V = TypeVar("V")


class _Layer(dict[K, V]):
    """What has been looked at or changed, over a mapping that stays as it is."""

    def __init__(self, below: Mapping[K, V], copied: Callable[[V], V]) -> None:
        super().__init__()
        self._below = below
        self._copied = copied
        self._gone: set[K] = set()

    def __missing__(self, key: K) -> V:
        if key in self._gone:
            raise KeyError(key)
        value = self[key] = self._copied(self._below[key])
        return value

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or (key in self._below and key not in self._gone)

    def get(self, key: K, default: V | None = None) -> V | None:  # type: ignore[override]
        try:
            return self[key]
        except KeyError:
            return default

    def pop(self, key: K) -> V:  # type: ignore[override]
        value = self[key]
        del self[key]
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._gone.discard(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        self._gone.add(key)
        super().pop(key, None)


def _same(value: V) -> V:
    return value


def trial_of(book: Book) -> Book:
    """A book that begins where this one stands. Iterating it shows only what was touched."""
    trial = Book(book.page_number, book.page_us)
    trial.business_date, trial.horizon = book.business_date, book.horizon
    trial.locked_date = book.locked_date
    trial.floor, trial.horizons = book.floor, dict(book.horizons)
    trial.accounts = _Layer(book.accounts, copy)
    trial.business_keys = _Layer(book.business_keys, _same)
    trial.holds = _Layer(book.holds, _same)
    trial.windows = _Layer(book.windows, copy)
    trial.open_windows = _Layer(book.open_windows, lambda window: trial.windows[window.window_id])
    trial.facts = _Layer(book.facts, _same)
    trial.ids = _Layer(book.ids, lambda ids: _Layer(ids, _same))
    trial.quotes = _Layer(book.quotes, _same)
    trial.crossings = _Layer(book.crossings, _same)
    trial.leaving = _Layer(book.leaving, _same)
    trial.spans = _Layer(book.spans, _same)
    trial.reserved = _Layer(book.reserved, _same)
    return trial


def due_by(book: Book, time_us: int) -> list[tuple[int, str, str]]:
    """The deadlines up to a time, as a heap of their own: the whole heap is not walked."""
    found: list[tuple[int, str, str]] = []
    looking = [0]
    while looking:
        at = looking.pop()
        if at < len(book.deadlines) and book.deadlines[at][0] <= time_us:
            found.append(book.deadlines[at])
            looking += (2 * at + 1, 2 * at + 2)
    heapify(found)
    return found
