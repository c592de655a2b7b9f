"""The journal as a decider: a command and the book give an entry, or why there is none.

It does no I/O and reads no clock: page number and page time stand in the book, ids in the command.
"""

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop
from typing import Any, NamedTuple, TypeAlias

from services.accounts.domain import crossing, exchange, holds, lifecycle, span
from services.accounts.domain.book import Book, Known, Window
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    BeginCrossing,
    BeginSpan,
    CaptureHold,
    CloseAccount,
    CloseWindow,
    Command,
    DecideSpan,
    EndCrossing,
    EndSpan,
    FreezeAccount,
    GiveQuote,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
    OpenWindow,
    PlaceHold,
    ReleaseHold,
    ReleasePart,
    ReopenAccount,
    ReservePart,
    SealWindow,
    SetBounds,
    Transfer,
    UnfreezeAccount,
)
from services.accounts.domain.entries import CommandRefused, Entry
from services.accounts.domain.refusals import UNRECORDED, Reason, Refusal, Refused
from services.accounts.domain.shape import check
from services.accounts.domain.terms import (
    Digest,
    canonical,
    checks_of,
    digest,
    hash_of,
    is_told_by_its_entry,
)
from services.accounts.domain.transfers import transfer
from services.accounts.domain.windows import decide_window

# On first use the time inside an id may lie this far after page time.
ID_AHEAD_MAX_MS = 5 * 60 * 1_000
# Characters of an id that hold its time, in milliseconds.
TIME_DIGITS = 13
_MILLI = 1_000


class Repeated(NamedTuple):
    """The id has an outcome: the entry at `place`. `terms` are set where they differ from it."""

    place: int
    terms: tuple[str, ...] = ()


# What becomes of a command: an entry; a repeat; a refusal not recorded; a window as it is.
Decision: TypeAlias = Entry | Repeated | Refusal | Window
_Decide: TypeAlias = Callable[[Any, Digest, Caller, Book], Entry]

_DECIDE: Mapping[type, _Decide] = {
    Transfer: transfer,
    PlaceHold: holds.place,
    CaptureHold: holds.capture,
    ReleaseHold: holds.release,
    OpenAccount: lifecycle.open_account,
    FreezeAccount: lifecycle.freeze,
    UnfreezeAccount: lifecycle.unfreeze,
    CloseAccount: lifecycle.close,
    ReopenAccount: lifecycle.reopen,
    SetBounds: lifecycle.set_bounds,
    GiveQuote: exchange.give,
    MoveBusinessDate: lifecycle.move_business_date,
    LockPeriod: lifecycle.lock_period,
    BeginCrossing: crossing.begin,
    EndCrossing: crossing.end,
    BeginSpan: span.begin,
    ReservePart: span.reserve,
    ReleasePart: span.release,
    DecideSpan: span.decide_span,
    EndSpan: span.end_span,
}


def decide(command: Command, caller: Caller, book: Book, group: str = "") -> Decision:
    """Shape, then the id, then the rules: the order is part of the contract.

    `group`: the digest of the linked group that the command is a member of.
    """
    try:
        check(command)
        if isinstance(command, OpenWindow | SealWindow | CloseWindow):
            return decide_window(command, digest(canonical(command)), caller, book)
    except Refused as refused:
        return refused.refusal
    terms = canonical(command, group)
    terms_hash = hash_of(terms)
    known = known_of(command[0], caller, book)
    if known is not None:
        if known.terms_hash == terms_hash:
            return Repeated(known.place)
        return Repeated(known.place, tuple(terms))
    is_told = is_told_by_its_entry(command, group)
    terms_digest = Digest(terms_hash, b"" if is_told else checks_of(terms))
    try:
        not_from_future(command, book)
        return _DECIDE[type(command)](command, terms_digest, caller, book)
    except Refused as refused:
        if refused.reason in UNRECORDED:
            return refused.refusal
        return refusal_entry(refused, command, terms, caller, book)


def expiries(book: Book) -> Entry | None:
    """The expiry that is due first on the page in hand. Ask again after recording it."""
    deadline = book.next_deadline_us()
    if deadline is None or deadline > book.page_us:
        return None
    _, hold_id, caller = heappop(book.deadlines)
    return holds.expire(book.holds[caller, hold_id], book)


def known_of(command_id: str, caller: Caller, book: Book) -> Known | None:
    """What became of an id that this caller has used before."""
    ids = book.ids.get(caller.name)
    return None if ids is None else ids.get(command_id)


def last_time_of(book: Book) -> str:
    """The first digits of the latest id that may be used on the page in hand."""
    digits = f"{book.page_us // _MILLI + ID_AHEAD_MAX_MS:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def not_from_future(command: Command, book: Book) -> None:
    """Row 17. Raises `Refused`."""
    id_ = command[0]
    if id_[:TIME_DIGITS] > last_time_of(book):
        field = type(command)._fields[0]
        raise Refused(Reason.ID_FROM_FUTURE, field, "its time lies more than 5 minutes ahead")


def refusal_entry(
    refused: Refused, command: Command, terms: Sequence[str], caller: Caller, book: Book
) -> Entry:
    """A refusal as an entry: it uses the id up."""
    terms_digest = digest(terms)
    name = terms[0].removesuffix("+")
    return Entry(
        CommandRefused(refused.reason.name, refused.field, refused.description, name),
        command[0],
        caller.name,
        getattr(command, "correlation_id", ""),
        terms_digest.hash,
        terms_digest.checks,
        book.business_date,
        book.business_date,
        None,
        (),
    )
