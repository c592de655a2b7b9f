"""Holds: money set aside, then taken in parts or at once, given back, or lapsed."""

from typing import assert_never

from services.accounts.domain.book import Account, Book, End, Hold, balance_after
from services.accounts.domain.bounds import (
    Move,
    Touch,
    admit,
    clearing_of,
    new_fact,
    obligation_of,
    within_bounds,
)
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Amount, CaptureHold, PlaceHold, ReleaseHold
from services.accounts.domain.entries import (
    BalanceAfter,
    Entry,
    HoldCaptured,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    PostedLeg,
)
from services.accounts.domain.kinds import DEBIT_NORMAL, Direction
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.terms import Digest

_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)
_MICRO = 1_000_000


def place(command: PlaceHold, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The entry that sets the money aside. Raises `Refused`."""
    if command.expires_after_s == 0 and not caller.may_hold_for_ever:
        text = "above 0: only our own services hold without end"
        raise Refused(Reason.FIELD_NOT_ALLOWED, "expires_after_s", text)
    currency, minor = command.amount
    source = book.accounts.get(command.account_id)
    destination = book.accounts.get(command.destination)
    touches = [Touch("account_id", source, _DEBIT, currency)]
    if command.destination:
        touches.append(Touch("destination_account_id", destination, _CREDIT, currency))
    moves: list[Move] = []
    for touch, account in admit(touches, caller):
        _credit_normal(touch.field, account)
        is_source = account is source
        moves.append(
            _move(touch.field, account, held=minor * is_source, incoming=minor * (not is_source))
        )
    within_bounds(moves)
    deadline = book.page_us + command.expires_after_s * _MICRO if command.expires_after_s else 0
    return Entry(
        HoldPlaced(
            command.hold_id,
            command.account_id,
            command.amount,
            command.destination,
            deadline,
            command.purpose,
        ),
        command.hold_id,
        caller.name,
        command.correlation_id,
        digest.hash,
        digest.checks,
        book.business_date,
        book.business_date,
        None,
        _after(moves),
    )


def capture(command: CaptureHold, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The entry that takes the money. Raises `Refused`."""
    hold = book.holds.get((caller.name, command.hold_id))
    currency = command.amount.currency if command.amount else hold.currency if hold else ""
    target = command.account_id
    if command.bank_id and currency:
        target = clearing_of(command.bank_id, currency, "clearing_bank_id", book)
    obligation = obligation_of(command.obligation, book)
    _admit_capture(command, hold, target, currency, caller, book)
    hold = _of_these_terms(hold, command.amount)
    if hold.destination and target not in ("", hold.destination):
        raise Refused(Reason.HOLD_TERMS_DIFFER, "destination", "not the hold's")
    target = target or hold.destination
    if not target:
        text = "the hold names none, so the capture must"
        raise Refused(Reason.HOLD_TERMS_DIFFER, "destination", text)
    amount = _of_what_remains(hold, command.amount, Reason.CAPTURE_EXCEEDS_HOLD)
    new_fact(command.fact_key, book)
    source, destination = book.accounts[hold.account_id], book.accounts[target]
    if source is destination:
        raise Refused(Reason.SAME_ACCOUNT_BOTH_SIDES, "destination", "the held account itself")
    released = hold.remaining - amount if command.is_final else 0
    taken = amount + released
    expected = -taken if hold.destination else 0
    moves = [
        _move("hold_id", source, posted=-amount, held=-taken),
        _move("destination", destination, posted=amount * destination.sign, incoming=expected),
    ]
    within_bounds(moves)
    legs = (
        PostedLeg(source.account_id, _DEBIT, hold.currency, amount),
        PostedLeg(target, _CREDIT, hold.currency, amount),
    )
    remaining = hold.remaining - taken
    return Entry(
        HoldCaptured(
            hold.hold_id,
            legs,
            Amount(hold.currency, amount),
            released,
            remaining,
            command.purpose,
            command.fact_key,
        ),
        command.capture_id,
        caller.name,
        command.correlation_id,
        digest.hash,
        digest.checks,
        book.business_date,
        book.business_date,
        obligation,
        _after(moves),
    )


def release(command: ReleaseHold, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The entry that gives the money back. Releases go on under any freeze. Raises `Refused`."""
    hold = _of_these_terms(book.holds.get((caller.name, command.hold_id)), command.amount)
    amount = _of_what_remains(hold, command.amount, Reason.RELEASE_EXCEEDS_HOLD)
    return Entry(
        HoldReleased(hold.hold_id, Amount(hold.currency, amount), hold.remaining - amount),
        command.release_id,
        caller.name,
        command.correlation_id or hold.correlation_id,
        digest.hash,
        digest.checks,
        book.business_date,
        book.business_date,
        None,
        _given_back(hold, amount, book),
    )


def expire(hold: Hold, book: Book) -> Entry:
    """The entry the journal writes by itself when a hold's deadline has come."""
    return Entry(
        HoldExpired(hold.hold_id, Amount(hold.currency, hold.remaining)),
        "",
        hold.caller,
        hold.correlation_id,
        b"",
        b"",
        book.business_date,
        book.business_date,
        None,
        _given_back(hold, hold.remaining, book),
    )


def _given_back(hold: Hold, amount: int, book: Book) -> tuple[BalanceAfter, ...]:
    moves = [_move("", book.accounts[hold.account_id], held=-amount)]
    if hold.destination:
        moves.append(_move("", book.accounts[hold.destination], incoming=-amount))
    return _after(moves)


def _admit_capture(
    command: CaptureHold, hold: Hold | None, target: str, currency: str, caller: Caller, book: Book
) -> None:
    touches: list[Touch] = []
    if hold is not None:
        source = book.accounts[hold.account_id]
        touches.append(Touch("hold_id", source, _DEBIT, hold.currency, passes_freezes=True))
        if hold.destination and not target:
            named = book.accounts[hold.destination]
            touches.append(
                Touch("destination", named, _CREDIT, named.currency, passes_freezes=True)
            )
    if target:
        account = book.accounts.get(target)
        field = "clearing_bank_id" if command.bank_id else "account_id"
        known = currency or (account.currency if account else "")
        passes = hold is not None and hold.destination == target
        touches.append(Touch(field, account, _CREDIT, known, passes))
    admit(touches, caller)


def _of_these_terms(hold: Hold | None, amount: Amount | None) -> Hold:
    """Rows 26 and 27."""
    if hold is None:
        raise Refused(Reason.HOLD_NOT_FOUND, "hold_id", "no such hold")
    if amount is not None and amount.currency != hold.currency:
        raise Refused(Reason.HOLD_TERMS_DIFFER, "amount", f"the hold is in {hold.currency}")
    return hold


def _of_what_remains(hold: Hold, amount: Amount | None, exceeds: Reason) -> int:
    """Rows 28 and 29: the amount asked for, all that remains where none is."""
    match hold.end:
        case None:
            pass
        case End.EXPIRED:
            raise Refused(Reason.HOLD_EXPIRED, "hold_id", "nothing remains: it expired")
        case End.CAPTURED:
            raise Refused(Reason.HOLD_CAPTURED, "hold_id", "nothing remains: it was captured")
        case End.RELEASED:
            raise Refused(Reason.HOLD_RELEASED, "hold_id", "nothing remains: it was released")
        case _:
            assert_never(hold.end)
    if amount is None:
        return hold.remaining
    if amount.minor > hold.remaining:
        raise Refused(exceeds, "amount", f"{hold.remaining} remains")
    return amount.minor


def _credit_normal(field: str, account: Account) -> None:
    if account.kind in DEBIT_NORMAL:
        text = f"nothing is held on {account.kind.name}"
        raise Refused(Reason.ROUTE_NOT_ALLOWED, field, text)


def _move(
    field: str, account: Account, *, posted: int = 0, held: int = 0, incoming: int = 0
) -> Move:
    return Move(
        field, account, account.posted + posted, account.held + held, account.incoming + incoming
    )


def _after(moves: list[Move]) -> tuple[BalanceAfter, ...]:
    return tuple(
        balance_after(account, posted, held, incoming)
        for _, account, posted, held, incoming in moves
    )
