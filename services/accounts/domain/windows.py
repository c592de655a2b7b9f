"""Settlement windows by position: opened, sealed by one entry, closed with clearing at 0.

A window is its own idempotency key: asking again for what has been done answers the window and
records nothing, and a refusal is not recorded either, so that a later try may succeed.
"""

from typing import TypeAlias

from libs.ids import derived_id
from services.accounts.domain.book import Book, Window, WindowState, unchanged
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import CloseWindow, OpenWindow, SealWindow, WindowCommand
from services.accounts.domain.entries import (
    BalanceAfter,
    Entry,
    WindowClosed,
    WindowOpened,
    WindowSealed,
)
from services.accounts.domain.of_today import of_today
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.terms import Digest

Decided: TypeAlias = Entry | Window


def decide_window(command: WindowCommand, digest: Digest, caller: Caller, book: Book) -> Decided:
    """An entry, or the window where there is nothing to record. Raises `Refused`."""
    match command:
        case OpenWindow():
            return _open(command, digest, caller, book)
        case SealWindow():
            return _seal(command, digest, caller, book)
        case CloseWindow():
            return _close(command, digest, caller, book)


def clearing_account_of(window_id: str) -> str:
    """The id of a window's own clearing account."""
    return str(derived_id(window_id, "clearing"))


def _open(command: OpenWindow, digest: Digest, caller: Caller, book: Book) -> Decided:
    window_id, bank_id, currency = command
    standing = book.open_windows.get((bank_id, currency))
    if standing is not None:
        return standing
    _unused(window_id, "window_id", caller, book)
    clearing = clearing_account_of(window_id)
    fact = WindowOpened(window_id, bank_id, currency, clearing, 0)
    balances = (BalanceAfter(clearing, 1, 0, 0, 0),)
    return of_today(fact, window_id, digest, caller, book, balances)


def _seal(command: SealWindow, digest: Digest, caller: Caller, book: Book) -> Decided:
    window = _window(command.window_id, book)
    if window.state is not WindowState.OPEN:
        return window
    next_id = command.next_window_id
    _unused(next_id, "next_window_id", caller, book)
    clearing = clearing_account_of(next_id)
    fact = WindowSealed(
        window.window_id,
        window.bank_id,
        window.currency,
        next_id,
        clearing,
        window.legs,
        window.sum_ours,
        window.sum_bank,
        window.ordinal + 1,
    )
    balances = (BalanceAfter(clearing, 1, 0, 0, 0),)
    return of_today(fact, next_id, digest, caller, book, balances)


def _close(command: CloseWindow, digest: Digest, caller: Caller, book: Book) -> Decided:
    window = _window(command.window_id, book)
    if window.state is WindowState.CLOSED:
        return window
    if window.state is WindowState.OPEN:
        raise Refused(Reason.WINDOW_NOT_SEALED, "window_id", "the window is open")
    clearing = book.accounts[window.clearing_account_id]
    if clearing.posted or clearing.held or clearing.incoming:
        text = f"its clearing account is at {clearing.posted}"
        raise Refused(Reason.WINDOW_NOT_EMPTY, "window_id", text)
    fact = WindowClosed(window.window_id, window.clearing_account_id)
    close_id = str(derived_id(window.window_id, "close"))
    return of_today(fact, close_id, digest, caller, book, (unchanged(clearing),))


def _window(window_id: str, book: Book) -> Window:
    window = book.windows.get(window_id)
    if window is None:
        raise Refused(Reason.WINDOW_NOT_FOUND, "window_id", "no such window")
    return window


def _unused(window_id: str, field: str, caller: Caller, book: Book) -> None:
    known = book.ids.get(caller.name, {})
    if window_id in known or window_id in book.windows:
        raise Refused(Reason.IDEMPOTENCY_KEY_REUSED, field, "the id names something else")
