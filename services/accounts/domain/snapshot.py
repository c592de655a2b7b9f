"""The book as bytes, and back: what recovery starts from instead of page 0.

The format is ours alone and has a version; another version is passed over, never guessed at.
"""

import json
from base64 import b64decode, b64encode
from typing import Any

from services.accounts.domain.book import (
    Account,
    Book,
    End,
    Freeze,
    Hold,
    Known,
    Quote,
    Window,
    WindowState,
)
from services.accounts.domain.commands import Amount
from services.accounts.domain.entries import QuoteGiven
from services.accounts.domain.kinds import Kind
from services.accounts.domain.past_days import Closing

VERSION = 2
PART_BYTES_MAX = 700 * 1_024
_STATE_AT = 5  # where a window's state stands in its row


class SnapshotUnknown(Exception):
    """The snapshot is of a version this program does not read."""


def freeze_book(book: Book) -> bytes:
    """The whole state after the page in hand."""
    state = {
        "version": VERSION,
        "page": [book.page_number, book.page_us, book.business_date],
        "locked_date": book.locked_date,
        "accounts": [_account(account) for account in book.accounts.values()],
        "holds": [_hold(hold) for hold in book.holds.values()],
        "windows": [_window(window) for window in book.windows.values()],
        "quotes": [_quote(caller, quote) for (caller, _), quote in book.quotes.items()],
        "facts": book.facts,
        "ids": {
            caller: {
                id_: [place, b64encode(terms).decode()] for id_, (place, terms) in known.items()
            }
            for caller, known in book.ids.items()
        },
    }
    return json.dumps(state, separators=(",", ":"), ensure_ascii=False).encode()


def thaw_book(data: bytes) -> Book:
    """The book those bytes were. Raises `SnapshotUnknown`."""
    state: dict[str, Any] = json.loads(data)
    if state.get("version") != VERSION:
        raise SnapshotUnknown(f"version {state.get('version')}")
    page_number, page_us, business_date = state["page"]
    book = Book(page_number, page_us)
    if business_date:
        book.turn_day(business_date)
    book.locked_date = state["locked_date"]
    for row in state["accounts"]:
        book.add_account(_account_of(row))
    for hold in state["holds"]:
        hold[-1] = End(hold[-1]) if hold[-1] else None
        book.add_hold(Hold(*hold))
    for window in state["windows"]:
        window[_STATE_AT] = WindowState(window[_STATE_AT])
        book.add_window(Window(*window))
    for caller, is_used, (quote_id, sold, bought, *terms) in state["quotes"]:
        given = QuoteGiven(quote_id, Amount(*sold), Amount(*bought), *terms)
        book.quotes[caller, quote_id] = Quote(given, is_used)
    book.facts = state["facts"]
    book.ids = {
        caller: {id_: Known(place, b64decode(terms)) for id_, (place, terms) in known.items()}
        for caller, known in state["ids"].items()
    }
    return book


def parts_of(data: bytes) -> list[bytes]:
    """The bytes in pieces that one event may hold."""
    return [data[at : at + PART_BYTES_MAX] for at in range(0, len(data), PART_BYTES_MAX)]


def _account(account: Account) -> list[Any]:
    return [
        account.account_id,
        account.owner,
        int(account.kind),
        account.currency,
        account.ordinal,
        account.posted,
        account.held,
        account.incoming,
        account.seq,
        account.is_closed,
        account.floor,
        account.ceiling,
        account.day,
        account.closings,
        [[f.freeze_id, f.side, f.purpose, f.stop_captures] for f in account.freezes.values()],
    ]


def _account_of(row: list[Any]) -> Account:
    account_id, owner, kind, currency, ordinal, posted, held, incoming, seq, *rest = row
    is_closed, floor, ceiling, day, closings, freezes = rest
    account = Account(account_id, owner, Kind(kind), currency, ordinal)
    account.posted, account.held, account.incoming, account.seq = posted, held, incoming, seq
    account.is_closed, account.is_barred = is_closed, is_closed or bool(freezes)
    account.floor, account.ceiling = floor, ceiling
    account.day, account.closings = day, tuple(Closing(*closing) for closing in closings)
    account.freezes = {freeze[0]: Freeze(*freeze) for freeze in freezes}
    return account


def _quote(caller: str, quote: Quote) -> list[Any]:
    return [caller, quote.is_used, list(quote.given)]


def _hold(hold: Hold) -> list[Any]:
    return [
        hold.hold_id,
        hold.caller,
        hold.account_id,
        hold.currency,
        hold.remaining,
        hold.destination,
        hold.deadline_us,
        hold.correlation_id,
        hold.end.value if hold.end else "",
    ]


def _window(window: Window) -> list[Any]:
    return [
        window.window_id,
        window.bank_id,
        window.currency,
        window.clearing_account_id,
        window.ordinal,
        window.state.value,
        window.legs,
        window.sum_ours,
        window.sum_bank,
        window.next_window_id,
        window.seal_position,
    ]
