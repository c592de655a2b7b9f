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
    Window,
    WindowState,
)
from services.accounts.domain.kinds import Kind

VERSION = 1
PART_BYTES_MAX = 700 * 1_024
_STATE_AT = 5  # where a window's state stands in its row


class SnapshotUnknown(Exception):
    """The snapshot is of a version this program does not read."""


def freeze_book(book: Book) -> bytes:
    """The whole state after the page in hand."""
    state = {
        "version": VERSION,
        "page": [book.page_number, book.page_us, book.business_date],
        "accounts": [_account(account) for account in book.accounts.values()],
        "holds": [_hold(hold) for hold in book.holds.values()],
        "windows": [_window(window) for window in book.windows.values()],
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
    book = Book(*state["page"])
    for *parts, freezes in state["accounts"]:
        account_id, owner, kind, currency, ordinal, *figures, is_closed = parts
        account = Account(account_id, owner, Kind(kind), currency, ordinal, *figures)
        account.freezes = {freeze[0]: Freeze(*freeze) for freeze in freezes}
        account.is_closed = is_closed
        account.is_barred = is_closed or bool(freezes)
        book.add_account(account)
    for hold in state["holds"]:
        hold[-1] = End(hold[-1]) if hold[-1] else None
        book.add_hold(Hold(*hold))
    for window in state["windows"]:
        window[_STATE_AT] = WindowState(window[_STATE_AT])
        book.add_window(Window(*window))
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
        [[f.freeze_id, f.side, f.purpose, f.stop_captures] for f in account.freezes.values()],
    ]


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
