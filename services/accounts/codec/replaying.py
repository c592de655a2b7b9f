"""Pages as recovery needs them: taken into the book as they are read; and entries of old pages.

A transfer that is a plain one is taken straight from the message, without its legs: the balances
after it say what it did, and a journal of ten million is read in half the time.
"""

import sys
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from hefu.accounts.v1 import events_pb2 as pb
from libs.wire import time_from_wire
from services.accounts.codec.facts import entry_from_wire
from services.accounts.domain.book import ORDINAL_BITS, Book
from services.accounts.domain.entries import Entry
from services.accounts.domain.forgetting import end_page
from services.accounts.domain.pages import check_link, verified_hash
from services.accounts.domain.recalling import FACT, ID, Once, once_of

# Of a balance, as `Book.take_balances` wants them.
_figures = attrgetter("account_id", "account_seq", "posted_minor", "held_minor", "incoming_minor")


class Replayed(NamedTuple):
    """A page that the book has taken in; `once`: what happens for the only time with it."""

    number: int
    page_hash: bytes
    entries: int
    once: Sequence[Once]


def replay_page(
    stored: bytes, book: Book, previous: tuple[int, bytes], *, with_once: bool = True
) -> Replayed:
    """Take in a page, proven against its own hash and the number and hash that come before it.

    Raises `PageDamaged`, or `AssertionError` and `KeyError` where an entry does not fit the book.
    """
    page_hash = verified_hash(stored)
    page = pb.PageWritten.FromString(stored)
    check_link(previous, (page.page_number, page.previous_hash))
    book.begin_page(page.page_number, time_from_wire(page.written_time))
    place = page.page_number << ORDINAL_BITS
    for ordinal, message in enumerate(page.entries):
        if _is_plain(message):
            _take_transfer(message, book, place | ordinal)
        else:
            book.evolve(entry_from_wire(message), ordinal)
    end_page(book, len(page.entries))
    once = list(_once_of(page)) if with_once else []
    return Replayed(page.page_number, page_hash, len(page.entries), once)


def once_in(stored: bytes) -> tuple[bytes, Sequence[Once]]:
    """A page's hash, and what happens for the only time with it. Raises `PageDamaged`."""
    return verified_hash(stored), list(_once_of(pb.PageWritten.FromString(stored)))


def _is_plain(message: pb.Entry) -> bool:
    """Whether it is a transfer that counts towards no window."""
    return message.HasField("transfer_posted") and not message.HasField("obligation")


def _take_transfer(message: pb.Entry, book: Book, place: int) -> None:
    posted = message.transfer_posted
    caller = sys.intern(message.caller)
    book.take_transfer(place, caller, posted.fact_key, posted.quote_id)
    # An account keeps its day: a million need not have one each.
    today = sys.intern(message.business_date)
    book.take_balances(map(_figures, message.balances), message.value_date, today)
    if command_id := message.command_id:
        book.know(caller, command_id, place, message.terms_hash)


def _once_of(page: pb.PageWritten) -> Iterator[Once]:
    for ordinal, message in enumerate(page.entries):
        if not _is_plain(message):
            yield from once_of(entry_from_wire(message), ordinal)
            continue
        if command_id := message.command_id:
            yield ID, sys.intern(message.caller), command_id, message.terms_hash, ordinal
        if fact_key := message.transfer_posted.fact_key:
            yield FACT, "", fact_key, b"", ordinal


class StoredPage:
    """A page proven against its hash, whose entries are read one by one as they are asked for."""

    def __init__(self, stored: bytes) -> None:
        """Raises `PageDamaged`."""
        verified_hash(stored)
        self._entries = pb.PageWritten.FromString(stored).entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, ordinal: int) -> Entry:
        return entry_from_wire(self._entries[ordinal])


class WrittenPage:
    """A page by its entries' stored bytes, of which few are ever read again."""

    def __init__(self, encoded: Sequence[bytes]) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, ordinal: int) -> Entry:
        return entry_from_wire(pb.Entry.FromString(self._encoded[ordinal]))
