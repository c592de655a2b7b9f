"""Accounts opened, frozen, unfrozen and closed, and the journal's business date moved on."""

from services.accounts.domain.book import Account, Book, unchanged
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    CloseAccount,
    FreezeAccount,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
    ReopenAccount,
    SetBounds,
    UnfreezeAccount,
)
from services.accounts.domain.entries import (
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountReopened,
    AccountUnfrozen,
    BalanceAfter,
    BoundsSet,
    BusinessDateMoved,
    Entry,
    PeriodLocked,
)
from services.accounts.domain.kinds import Kind, floor_of
from services.accounts.domain.of_today import of_today
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.terms import Digest


def open_account(command: OpenAccount, digest: Digest, caller: Caller, book: Book) -> Entry:
    account_id, owner, kind, currency, ordinal, correlation_id, ceiling = command
    if kind not in caller.opens:
        text = f"{caller.name} may not open {Kind(kind).name}"
        raise Refused(Reason.ROUTE_NOT_ALLOWED, "kind", text)
    if account_id in book.accounts:
        raise Refused(Reason.ACCOUNT_KEY_TAKEN, "account_id", "another caller's account")
    if (owner, kind, currency, ordinal) in book.business_keys:
        text = "the owner has this account already"
        raise Refused(Reason.ACCOUNT_KEY_TAKEN, "owner", text)
    opened = AccountOpened(account_id, owner, kind, currency, ordinal, ceiling)
    first = (BalanceAfter(account_id, 1, 0, 0, 0),)
    return of_today(opened, account_id, digest, caller, book, first, correlation_id=correlation_id)


def freeze(command: FreezeAccount, digest: Digest, caller: Caller, book: Book) -> Entry:
    account = _open_account(command.account_id, book)
    fact = AccountFrozen(
        command.freeze_id,
        command.account_id,
        command.side,
        command.purpose,
        command.stop_captures,
    )
    return of_today(fact, command.freeze_id, digest, caller, book, (unchanged(account),))


def unfreeze(command: UnfreezeAccount, digest: Digest, caller: Caller, book: Book) -> Entry:
    account = _open_account(command.account_id, book)
    if command.freeze_id not in account.freezes:
        raise Refused(Reason.FREEZE_NOT_FOUND, "freeze_id", "no such freeze stands")
    fact = AccountUnfrozen(command.freeze_id, command.account_id)
    return of_today(fact, command.request_id, digest, caller, book, (unchanged(account),))


def close(command: CloseAccount, digest: Digest, caller: Caller, book: Book) -> Entry:
    account = _open_account(command.account_id, book)
    if account.kind == Kind.CLEARING:
        text = "a clearing account is closed with its window"
        raise Refused(Reason.ROUTE_NOT_ALLOWED, "account_id", text)
    if account.held or account.incoming:
        text = f"held {account.held}, incoming {account.incoming}"
        raise Refused(Reason.ACCOUNT_HAS_HOLDS, "account_id", text)
    if book.leaving.get(command.account_id):
        text = "a transfer to another shard may have to come back"
        raise Refused(Reason.ACCOUNT_HAS_HOLDS, "account_id", text)
    if account.posted:
        raise Refused(Reason.ACCOUNT_NOT_EMPTY, "account_id", f"posted {account.posted}")
    fact = AccountClosed(command.account_id)
    return of_today(fact, command.request_id, digest, caller, book, (unchanged(account),))


def reopen(command: ReopenAccount, digest: Digest, caller: Caller, book: Book) -> Entry:
    """Freezes that stood when it was closed still stand."""
    account = _known(command.account_id, book)
    if account.kind == Kind.CLEARING:
        text = "a clearing account ends with its window"
        raise Refused(Reason.ROUTE_NOT_ALLOWED, "account_id", text)
    if not account.is_closed:
        raise Refused(Reason.ACCOUNT_OPEN, "account_id", "the account is not closed")
    fact = AccountReopened(command.account_id, command.purpose)
    return of_today(fact, command.request_id, digest, caller, book, (unchanged(account),))


def set_bounds(command: SetBounds, digest: Digest, caller: Caller, book: Book) -> Entry:
    """A floor is no higher than what is there; what is above a ceiling may only come down."""
    account = _open_account(command.account_id, book)
    if command.floor is not None and account.kind != Kind.MERCHANT:
        text = "only a merchant has an agreed line"
        raise Refused(Reason.ROUTE_NOT_ALLOWED, "floor_minor", text)
    if command.ceiling is not None and floor_of(account.kind) is None:
        text = f"{account.kind.name} is without bounds"
        raise Refused(Reason.ROUTE_NOT_ALLOWED, "ceiling_minor", text)
    floor = floor_of(account.kind) if command.floor is None else command.floor
    if floor is not None and account.available < floor:
        text = f"{account.available} is available"
        raise Refused(Reason.BALANCE_TOO_LOW, "floor_minor", text)
    fact = BoundsSet(command.account_id, command.floor, command.ceiling, command.purpose)
    return of_today(fact, command.request_id, digest, caller, book, (unchanged(account),))


def move_business_date(
    command: MoveBusinessDate, digest: Digest, caller: Caller, book: Book
) -> Entry:
    if command.closing_date not in ("", book.business_date):
        text = f"the day to close is {book.business_date}"
        raise Refused(Reason.BUSINESS_DATE_DIFFERS, "closing_date", text)
    if command.to_date < book.business_date:
        text = f"the business date is {book.business_date}"
        raise Refused(Reason.BUSINESS_DATE_PAST, "to_date", text)
    fact = BusinessDateMoved(book.business_date, command.to_date)
    return of_today(fact, command.request_id, digest, caller, book)


def lock_period(command: LockPeriod, digest: Digest, caller: Caller, book: Book) -> Entry:
    """There is no way back: what belongs to a locked day is posted on an open one, with a note."""
    if command.last_date >= book.business_date:
        text = f"the business date is {book.business_date}"
        raise Refused(Reason.PERIOD_NOT_ENDED, "last_date", text)
    if command.last_date <= book.locked_date:
        text = f"locked up to {book.locked_date} already"
        raise Refused(Reason.PERIOD_LOCKED, "last_date", text)
    fact = PeriodLocked(command.last_date)
    return of_today(fact, command.request_id, digest, caller, book)


def _known(account_id: str, book: Book) -> Account:
    account = book.accounts.get(account_id)
    if account is None:
        raise Refused(Reason.ACCOUNT_NOT_FOUND, "account_id", "no such account")
    return account


def _open_account(account_id: str, book: Book) -> Account:
    account = _known(account_id, book)
    if account.is_closed:
        raise Refused(Reason.ACCOUNT_CLOSED, "account_id", "the account is closed")
    return account
