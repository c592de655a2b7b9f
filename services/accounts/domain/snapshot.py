"""The book as rows, and back: what recovery starts from instead of page 0.

A snapshot at a page holds what stands there: accounts, active holds, windows. Ids, facts, business
keys and ended holds are not in it: they are behind its floor, so the index answers for them. The
names of all columns are stored: where they are no longer ours, the snapshot is passed over.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeAlias

from services.accounts.domain.book import (
    NO_FREEZES,
    Account,
    Book,
    Crossing,
    Freeze,
    Hold,
    Quote,
    Reservation,
    Span,
    Window,
    WindowState,
)
from services.accounts.domain.commands import Amount, Leg, ObligationTerms
from services.accounts.domain.entries import CrossingBegun, QuoteGiven, SetAside, SpanDecided
from services.accounts.domain.kinds import Kind
from services.accounts.domain.past_days import Closing

VERSION = 2
Row: TypeAlias = Sequence[Any]
# A table's name and some of its rows.
Section: TypeAlias = tuple[str, list[Row]]

_ACCOUNT = tuple(each.name for each in fields(Account) if each.compare)
_WINDOW = tuple(each.name for each in fields(Window))
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "accounts": _ACCOUNT,
    "holds": Hold._fields,
    "quotes": ("caller", "is_used", *QuoteGiven._fields),
    "crossings": ("caller", "place", *CrossingBegun._fields),
    "windows": _WINDOW,
    "spans": ("span_id", *Span._fields),
    "reserved": ("reservation_id", *Reservation._fields),
}
# Tables that came later: a snapshot from before has none, as its book had.
_LATER = frozenset({"spans", "reserved"})
_FREEZES, _CLOSINGS = _ACCOUNT.index("freezes"), _ACCOUNT.index("closings")
_STATE = _WINDOW.index("state")
_account_fields = attrgetter(*_ACCOUNT)
_window_fields = attrgetter(*_WINDOW)
# Of an account: what it is made with. Its sign follows from that; its floor may be another.
_MADE_WITH = tuple(each.name for each in fields(Account) if each.init)
_KINDS = {int(kind): kind for kind in Kind}
# What a book is besides its tables, and what is left out of it: behind the floor, or made again.
_TABLES = frozenset({*_COLUMNS, "deadlines", "open_windows", "leaving"})
_BEHIND = frozenset({"ids", "facts", "business_keys", "floor", "horizons", "ended", "pages"})
_PLAIN = tuple(each.name for each in fields(Book) if each.name not in _TABLES | _BEHIND)


class SnapshotUnknown(Exception):
    """The snapshot is of a form this program does not read."""


def head_of(book: Book) -> dict[str, Any]:
    """The first section: what kind of snapshot this is, and all that is single."""
    return {
        "version": VERSION,
        "columns": {name: list(columns) for name, columns in _COLUMNS.items()},
        "plain": {name: getattr(book, name) for name in _PLAIN},
        "horizons": horizons_of(book),
    }


def horizons_of(book: Book) -> dict[str, str]:
    """By caller, the last of all ids so far."""
    callers = {*book.horizons, *book.ids}
    none: Mapping[str, object] = {}
    return {
        caller: max((*book.ids.get(caller, none), book.horizons.get(caller, "")))
        for caller in sorted(callers)
    }


def account_row(account: Account) -> Row:
    """An account as it stands now; nothing in it is ever changed, only replaced."""
    row: Row = _account_fields(account)
    return row


def columns_of(name: str, rows: Iterable[Row]) -> list[list[Any]]:
    """A table's rows column by column, in plain values."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    if name == "accounts":
        frozen = columns[_FREEZES]
        columns[_FREEZES] = [list(each.values()) if each else None for each in frozen]
    return columns


def hold_rows(holds: Iterable[Hold]) -> list[Row]:
    """Those that are active."""
    return [hold for hold in holds if hold.end is None]


def quote_rows(quotes: Mapping[tuple[str, str], Quote]) -> list[Row]:
    return [(caller, quote.is_used, *quote.given) for (caller, _), quote in quotes.items()]


def crossing_rows(crossings: Mapping[tuple[str, str], Crossing]) -> list[Row]:
    return [(caller, each.place, *each.begun) for (caller, _), each in crossings.items()]


def span_rows(spans: Mapping[str, Span]) -> list[Row]:
    return [(span_id, *span) for span_id, span in spans.items()]


def reserved_rows(reserved: Mapping[str, Reservation]) -> list[Row]:
    return [(reservation_id, *each) for reservation_id, each in reserved.items()]


def window_rows(windows: Iterable[Window]) -> list[Row]:
    return [
        (*row[:_STATE], row[_STATE].value, *row[_STATE + 1 :])
        for row in map(_window_fields, windows)
    ]


def thaw_head(head: Mapping[str, Any], page_number: int) -> Book:
    """A book without its rows. Raises `SnapshotUnknown`."""
    columns = {name: list(each) for name, each in _COLUMNS.items()}
    found = {**{name: columns[name] for name in _LATER}, **head.get("columns", {})}
    if head.get("version") != VERSION or found != columns:
        raise SnapshotUnknown(f"of version {head.get('version')}, of other columns than ours")
    plain = head["plain"]
    if set(plain) != set(_PLAIN) or plain["page_number"] != page_number:
        raise SnapshotUnknown("of another page than it says, or of a book unlike ours")
    book = Book(**plain)
    book.floor = page_number
    book.horizons = dict(head["horizons"])
    return book


def thaw_columns(book: Book, name: str, columns: Sequence[Row]) -> None:
    """Put a section into the book, column by column as it is stored. Raises `SnapshotUnknown`."""
    table = _THAW.get(name)
    if table is None or len(columns) != len(_COLUMNS[name]):
        raise SnapshotUnknown(f"it has {name} of another form")
    table(book, columns)


def freeze_book(book: Book) -> tuple[dict[str, Any], list[Section]]:
    """Head and tables at once: for a book that stands still."""
    return head_of(book), [
        ("windows", window_rows(book.windows.values())),
        ("quotes", quote_rows(book.quotes)),
        ("crossings", crossing_rows(book.crossings)),
        ("spans", span_rows(book.spans)),
        ("reserved", reserved_rows(book.reserved)),
        ("holds", hold_rows(book.holds.values())),
        ("accounts", [account_row(account) for account in book.accounts.values()]),
    ]


def thaw_book(head: Mapping[str, Any], sections: Iterable[Section]) -> Book:
    """The book those were. Raises `SnapshotUnknown`."""
    book = thaw_head(head, head["plain"]["page_number"])
    for name, rows in sections:
        if rows:
            thaw_columns(book, name, columns_of(name, rows))
    return book


def _thaw_accounts(book: Book, columns: Sequence[Row]) -> None:
    """A million of these: no more is done for each than must be."""
    named = dict(zip(_ACCOUNT, columns, strict=True))
    named["kind"] = [_KINDS[kind] for kind in named["kind"]]
    for name in ("currency", "day"):
        named[name] = list(map(sys.intern, named[name]))
    named["freezes"] = [
        {each[0]: Freeze(*each) for each in freezes} if freezes else NO_FREEZES
        for freezes in named["freezes"]
    ]
    named["closings"] = [
        tuple([Closing(*each) for each in closings]) if closings else ()
        for closings in named["closings"]
    ]
    accounts = list(map(Account, *(named[name] for name in _MADE_WITH)))
    for account, floor in zip(accounts, named["floor"], strict=True):
        if account.floor != floor:
            account.floor = floor
    book.accounts.update(zip(named["account_id"], accounts, strict=True))


def _thaw_holds(book: Book, columns: Sequence[Row]) -> None:
    # Active ones alone are in a snapshot: none has an end.
    for row in zip(*columns, strict=True):
        book.add_hold(Hold(*row))


def _thaw_quotes(book: Book, columns: Sequence[Row]) -> None:
    for caller, is_used, quote_id, sold, bought, *terms in zip(*columns, strict=True):
        given = QuoteGiven(quote_id, Amount(*sold), Amount(*bought), *terms)
        book.quotes[caller, quote_id] = Quote(given, is_used)


def _thaw_crossings(book: Book, columns: Sequence[Row]) -> None:
    for caller, place, *named in zip(*columns, strict=True):
        crossing_id, transfer_id, shard, legs, obligation, purpose, value_date, *lists = named
        kinds, near_account_ids = lists
        begun = CrossingBegun(
            crossing_id,
            transfer_id,
            shard,
            tuple(Leg(*leg) for leg in legs),
            ObligationTerms(*obligation) if obligation else None,
            purpose,
            value_date,
            tuple(kinds),
            tuple(near_account_ids),
        )
        book.add_crossing(caller, Crossing(place, begun))


def _thaw_spans(book: Book, columns: Sequence[Row]) -> None:
    for span_id, place, caller, members, fact_keys, decided in zip(*columns, strict=True):
        known = SpanDecided(*decided) if decided else None
        book.spans[span_id] = Span(place, caller, members, tuple(fact_keys), known)


def _thaw_reserved(book: Book, columns: Sequence[Row]) -> None:
    for reservation_id, span_id, means in zip(*columns, strict=True):
        each = Reservation(span_id, tuple(SetAside(*of) for of in means))
        book.add_reservation(reservation_id, each)


def _thaw_windows(book: Book, columns: Sequence[Row]) -> None:
    for row in zip(*columns, strict=True):
        window = Window(*row)
        window.state = WindowState(window.state)
        book.add_window(window)


_THAW: Mapping[str, Callable[[Book, Sequence[Row]], None]] = {
    "accounts": _thaw_accounts,
    "holds": _thaw_holds,
    "quotes": _thaw_quotes,
    "crossings": _thaw_crossings,
    "windows": _thaw_windows,
    "spans": _thaw_spans,
    "reserved": _thaw_reserved,
}
