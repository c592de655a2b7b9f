"""Whether accounts may be touched, and how far they may move: rows 19 to 25 and 33 to 35."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

from services.accounts.domain.book import Account, Book
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import ObligationTerms
from services.accounts.domain.entries import Obligation
from services.accounts.domain.fields import INT64_MAX
from services.accounts.domain.kinds import Direction, FreezeSide, Kind
from services.accounts.domain.refusals import Reason, Refused


class Touch(NamedTuple):
    """An account to post to, of a certain kind where one is needed.

    `passes_freezes`: only a freeze that stops captures counts.
    """

    field: str
    account: Account | None
    direction: int
    currency: str
    passes_freezes: bool = False
    kind: Kind | None = None


def admit(touches: Sequence[Touch], caller: Caller) -> list[tuple[Touch, Account]]:
    """Rows 19 to 23, each over all accounts before the next. Raises `Refused`."""
    found: list[tuple[Touch, Account]] = []
    for touch in touches:
        if touch.account is None:
            raise Refused(Reason.ACCOUNT_NOT_FOUND, touch.field, "no such account")
        found.append((touch, touch.account))
    for touch, account in found:
        if account.currency != touch.currency:
            text = f"the account is in {account.currency}"
            raise Refused(Reason.ACCOUNT_CURRENCY_DIFFERS, touch.field, text)
    for touch, account in found:
        if account.kind not in caller.posts_to:
            text = f"{caller.name} may not post to {account.kind.name}"
            raise Refused(Reason.ROUTE_NOT_ALLOWED, touch.field, text)
        if touch.kind not in (None, account.kind):
            text = f"{account.kind.name}, where {touch.kind.name} is needed"
            raise Refused(Reason.ROUTE_NOT_ALLOWED, touch.field, text)
    for touch, account in found:
        if account.is_closed:
            raise Refused(Reason.ACCOUNT_CLOSED, touch.field, "the account is closed")
    if not caller.completes:
        for touch, account in found:
            _frozen(touch, account)
    return found


def _frozen(touch: Touch, account: Account) -> None:
    is_debit = touch.direction == Direction.DEBIT
    other = FreezeSide.CREDIT if is_debit else FreezeSide.DEBIT
    for freeze in account.freezes.values():
        if freeze.side != other and (freeze.stop_captures or not touch.passes_freezes):
            reason = Reason.ACCOUNT_FROZEN_DEBIT if is_debit else Reason.ACCOUNT_FROZEN_CREDIT
            raise Refused(reason, touch.field, "the account is frozen")


class Move(NamedTuple):
    """What one entry does to one account, on its normal side; the figures are those after it."""

    field: str
    account: Account
    posted: int
    held: int
    incoming: int


def within_bounds(moves: Sequence[Move]) -> None:
    """Rows 33 to 35, each over all accounts before the next. Raises `Refused`."""
    for field, account, posted, held, _ in moves:
        available = posted - held
        if (
            account.floor is not None
            and available < account.floor
            and available < account.available
        ):
            text = f"{account.available} is available"
            raise Refused(Reason.BALANCE_TOO_LOW, field, text)
    for field, account, posted, _, incoming in moves:
        total = posted + incoming
        rises = account.posted + account.incoming < total
        if rises and account.ceiling is not None and total > account.ceiling:
            raise Refused(Reason.BALANCE_TOO_HIGH, field, f"at most {account.ceiling}")
    for field, _, posted, held, incoming in moves:
        if max(abs(posted), held, incoming, abs(posted + incoming), abs(posted - held)) > INT64_MAX:
            raise Refused(Reason.BALANCE_OVERFLOW, field, "more than an account can hold")


def value_date_of(asked: str, caller: Caller, book: Book) -> str:
    """Rows 24 and 25: the day the money counts, the business date unless asked for.

    Raises `Refused`.
    """
    if not asked or asked == book.business_date:
        return book.business_date
    if asked <= book.locked_date:
        if caller.completes:
            return book.business_date
        text = f"the books are locked up to {book.locked_date}"
        raise Refused(Reason.PERIOD_LOCKED, "value_date", text)
    day, today = date.fromisoformat(asked), date.fromisoformat(book.business_date)
    if day < today - timedelta(days=caller.backdate_days):
        text = f"{caller.name} may go {caller.backdate_days} days back"
        raise Refused(Reason.VALUE_DATE_TOO_OLD, "value_date", text)
    if day > today + timedelta(days=caller.ahead_days):
        raise Refused(Reason.VALUE_DATE_IN_FUTURE, "value_date", f"today is {today.isoformat()}")
    return asked


def new_fact(fact_key: str, book: Book) -> None:
    """Row 31. Raises `Refused`, naming the first entry."""
    place = book.facts.get(fact_key) if fact_key else None
    if place is not None:
        page, ordinal = divmod(place, 1 << 16)
        raise Refused(Reason.FACT_ALREADY_POSTED, "fact_key", f"page {page}, entry {ordinal}")


def clearing_of(bank_id: str, currency: str, field: str, book: Book) -> str:
    """The clearing account of the window that is open now. Raises `Refused`."""
    window = book.open_windows.get((bank_id, currency))
    if window is None:
        text = f"no window is open for {bank_id} in {currency}"
        raise Refused(Reason.WINDOW_NOT_OPEN, field, text)
    return window.clearing_account_id


def obligation_of(terms: ObligationTerms | None, book: Book) -> Obligation | None:
    """The movement in the window that is open now. Raises `Refused`."""
    if terms is None:
        return None
    bank_id, favour, currency, minor, payment_id, carried_from = terms
    window = book.open_windows.get((bank_id, currency))
    if window is None:
        text = f"no window is open for {bank_id} in {currency}"
        raise Refused(Reason.WINDOW_NOT_OPEN, "obligation.bank_id", text)
    return Obligation(bank_id, window.window_id, favour, currency, minor, payment_id, carried_from)
