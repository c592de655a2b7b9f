"""A holding, one investor's shares of one fund: what may be asked of it, and what is decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.fund_arithmetic import DividendMode, accrue, day_income, take, total
from services.funds.domain.holding_lifecycle import (
    ONE_DAY,
    Booking,
    BookingReversed,
    DividendModeSet,
    DividendReceived,
    Event,
    FastReleased,
    FastReserved,
    Freeze,
    Holding,
    IncomeAccrued,
    LotAdded,
    PurchaseReleased,
    PurchaseReserved,
    SharesFrozen,
    SharesRedeemed,
    SharesUnfrozen,
    evolve,
)


# Commands.
class Reason(Enum):
    SHARES_NOT_POSITIVE = auto()
    SHARES_NOT_FREE = auto()
    SHARES_MISSING = auto()
    LOCKED_IN = auto()
    FAST_LIMIT = auto()
    ABOVE_MAXIMUM = auto()
    FREEZE_UNKNOWN = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    ROW_DIFFERS = auto()
    ROW_UNKNOWN = auto()
    REVERSAL_NOT_POSSIBLE = auto()
    ACCRUAL_GAP = auto()


@dataclass(frozen=True, slots=True)
class FreezeShares:
    order_id: str
    shares: int
    today: date
    lock_days: int = 0


@dataclass(frozen=True, slots=True)
class UnfreezeShares:
    """All that is still frozen for the order."""

    order_id: str


@dataclass(frozen=True, slots=True)
class ReserveFast:
    """The day's limit and the free shares are decided together."""

    order_id: str
    shares: int
    amount_minor: int
    day: date
    limit_minor: int


@dataclass(frozen=True, slots=True)
class ReleaseFast:
    order_id: str


@dataclass(frozen=True, slots=True)
class ReservePurchase:
    order_id: str
    day: date
    amount_minor: int
    limit_minor: int


@dataclass(frozen=True, slots=True)
class ReleasePurchase:
    order_id: str


@dataclass(frozen=True, slots=True)
class AddLot:
    order_id: str
    row_id: str
    shares: int
    confirm_date: date
    register_date: date
    cost_minor: int
    nav: int


@dataclass(frozen=True, slots=True)
class RedeemShares:
    order_id: str
    row_id: str
    shares: int
    confirm_date: date
    net_minor: int
    fee_minor: int


@dataclass(frozen=True, slots=True)
class ReceiveDividend:
    order_id: str
    row_id: str
    cash_minor: int
    confirm_date: date


Book: TypeAlias = AddLot | RedeemShares | ReceiveDividend


@dataclass(frozen=True, slots=True)
class BookAgain:
    """The row was booked as something else: that is reversed, and this is booked."""

    book: Book
    proposal_id: str


@dataclass(frozen=True, slots=True)
class SetDividendMode:
    order_id: str
    mode: DividendMode
    confirm_date: date


@dataclass(frozen=True, slots=True)
class AccrueIncome:
    """Income of one natural day of a money fund; 万份收益 has 4 decimals."""

    day: date
    income_per_10k: int
    is_carry_day: bool
    share_scale: int = 2


Command: TypeAlias = (
    FreezeShares
    | UnfreezeShares
    | ReserveFast
    | ReleaseFast
    | ReservePurchase
    | ReleasePurchase
    | Book
    | BookAgain
    | SetDividendMode
    | AccrueIncome
)


def decide(command: Command, holding: Holding) -> Sequence[Event]:
    match command:
        case FreezeShares():
            return _freeze(command, holding)
        case UnfreezeShares(order_id):
            left = _freeze_of(order_id, holding).left
            return [SharesUnfrozen(order_id, left)] if left else []
        case ReserveFast():
            return _reserve_fast(command, holding)
        case ReleaseFast(order_id):
            known = _freeze_of(order_id, holding)
            return [FastReleased(order_id)] if known.left or known.fast_minor else []
        case ReservePurchase():
            return _reserve_purchase(command, holding)
        case ReleasePurchase(order_id):
            purchase = holding.purchases.get(order_id)
            return [PurchaseReleased(order_id)] if purchase and purchase.amount_minor else []
        case AddLot() | RedeemShares() | ReceiveDividend():
            return _book(command, holding)
        case BookAgain(book, proposal_id):
            return _book_again(book, proposal_id, holding)
        case SetDividendMode(order_id, mode, confirm_date):
            mode_set = DividendModeSet(order_id, mode, confirm_date)
            return [] if mode_set in holding.modes else [mode_set]
        case AccrueIncome():
            return _accrue(command, holding)
        case _:
            assert_never(command)


def _freeze_of(order_id: str, holding: Holding) -> Freeze:
    if order_id not in holding.freezes:
        raise Rejected(Reason.FREEZE_UNKNOWN, "nothing was frozen for this order")
    return holding.freezes[order_id]


def _check_positive(shares: int) -> None:
    if shares <= 0:
        told = "must be above 0"
        raise Rejected(Reason.SHARES_NOT_POSITIVE, told, [FieldViolation("shares", told)])


def _freeze(command: FreezeShares, holding: Holding) -> Sequence[Event]:
    _check_positive(command.shares)
    known = holding.freezes.get(command.order_id)
    if known is not None:
        if known.asked == command.shares and known.fast_day is None:
            return []
        raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, f"{known.asked} were frozen for this order")
    if command.shares > holding.free:
        raise Rejected(Reason.SHARES_NOT_FREE, f"{holding.free} are free")
    unlocked = holding.unlocked(command.today, command.lock_days)
    if command.shares > unlocked:
        raise Rejected(Reason.LOCKED_IN, f"{unlocked} have been held for {command.lock_days} days")
    return [SharesFrozen(command.order_id, command.shares)]


def _reserve_fast(command: ReserveFast, holding: Holding) -> Sequence[Event]:
    _check_positive(command.shares)
    known = holding.freezes.get(command.order_id)
    if known is not None:
        if known.asked == command.shares and known.fast_day is not None:
            return []
        raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, f"{known.asked} were frozen for this order")
    used = holding.fast_used(command.day)
    if used + command.amount_minor > command.limit_minor:
        told = f"{command.limit_minor - used} minor units are left of the day's limit"
        raise Rejected(Reason.FAST_LIMIT, told)
    if command.shares > holding.free:
        raise Rejected(Reason.SHARES_NOT_FREE, f"{holding.free} are free")
    return [FastReserved(command.order_id, command.shares, command.amount_minor, command.day)]


def _reserve_purchase(command: ReservePurchase, holding: Holding) -> Sequence[Event]:
    if command.order_id in holding.purchases:
        return []
    used = holding.purchased(command.day)
    if used + command.amount_minor > command.limit_minor:
        told = f"{command.limit_minor - used} minor units are left of the day's limit"
        raise Rejected(Reason.ABOVE_MAXIMUM, told)
    return [PurchaseReserved(command.order_id, command.day, command.amount_minor)]


def _book(command: Book, holding: Holding) -> Sequence[Event]:
    known = holding.bookings.get(command.row_id)
    if known is not None:
        if _says(known) == _says(command):
            return []
        raise Rejected(Reason.ROW_DIFFERS, "the row was booked as something else")
    return [_booking(command, holding)]


def _says(booked: Booking | Book) -> tuple[object, ...]:
    """What a row says, asked for or booked."""
    match booked:
        case AddLot() | LotAdded():
            dates = (booked.confirm_date, booked.register_date)
            return (booked.order_id, booked.shares, *dates, booked.cost_minor, booked.nav)
        case RedeemShares(order_id, _, shares, day, net, fee):
            return (order_id, shares, day, net, fee)
        case SharesRedeemed(order_id, _, parts, day, net, fee):
            return (order_id, total(parts), day, net, fee)
        case ReceiveDividend(order_id, _, cash, day) | DividendReceived(order_id, _, cash, day):
            return (order_id, cash, day)
        case _:
            assert_never(booked)


def _booking(command: Book, holding: Holding, taken: int = 0) -> Booking:
    match command:
        case AddLot(order_id, row_id, shares, confirm_date, register_date, paid, nav):
            _check_positive(shares)
            return LotAdded(order_id, row_id, shares, confirm_date, register_date, paid, nav, taken)
        case RedeemShares():
            return _redeemed(command, holding)
        case ReceiveDividend(order_id, row_id, cash, confirm_date):
            return DividendReceived(order_id, row_id, cash, confirm_date)
        case _:
            assert_never(command)


def _redeemed(command: RedeemShares, holding: Holding) -> SharesRedeemed:
    _check_positive(command.shares)
    if command.shares > holding.shares:
        raise Rejected(Reason.SHARES_MISSING, f"{holding.shares} are held")
    freeze = holding.freezes.get(command.order_id)
    unfrozen = min(command.shares, freeze.left) if freeze is not None else 0
    if command.shares - unfrozen > holding.free:
        raise Rejected(Reason.SHARES_NOT_FREE, f"{holding.free} are free beside the order's own")
    parts, _ = take(holding.lots, command.shares)
    return SharesRedeemed(
        command.order_id,
        command.row_id,
        parts,
        command.confirm_date,
        command.net_minor,
        command.fee_minor,
        unfrozen,
    )


def _book_again(book: Book, proposal_id: str, holding: Holding) -> Sequence[Event]:
    known = holding.bookings.get(book.row_id)
    if known is None:
        raise Rejected(Reason.ROW_UNKNOWN, "nothing was booked for this row")
    if _says(known) == _says(book):
        return []
    reversal = BookingReversed(book.row_id, proposal_id)
    taken = _taken_since(known, holding)
    if isinstance(known, LotAdded) and (not isinstance(book, AddLot) or book.shares < taken):
        raise Rejected(Reason.REVERSAL_NOT_POSSIBLE, f"{taken} of its shares have left since")
    before = evolve(holding, reversal)
    booking = _booking(book, before, taken)
    after = evolve(before, booking)
    if after.free < 0:
        raise Rejected(Reason.REVERSAL_NOT_POSSIBLE, f"{after.frozen} shares are frozen")
    return [reversal, booking]


def _taken_since(known: Booking, holding: Holding) -> int:
    if not isinstance(known, LotAdded):
        return 0
    left = next((lot.shares for lot in holding.lots if lot.lot_id == known.row_id), 0)
    return known.shares - left


def _accrue(command: AccrueIncome, holding: Holding) -> Sequence[Event]:
    if holding.accrued_until is not None and command.day <= holding.accrued_until:
        return []
    first = _first_owed(holding)
    if first is not None and first < command.day:
        raise Rejected(Reason.ACCRUAL_GAP, f"income of {first} comes first")
    shares = holding.registered_on(command.day)
    if shares == 0 and not holding.bucket:
        return []
    earmarked = min(shares, holding.earmarked_on(command.day))
    done = accrue(
        shares - earmarked,
        command.income_per_10k,
        holding.bucket,
        command.share_scale,
        is_carry_day=command.is_carry_day,
    )
    bank = day_income(earmarked, command.income_per_10k, command.share_scale)
    return [IncomeAccrued(command.day, done.accrual, bank, done.credit, done.bucket)]


def _first_owed(holding: Holding) -> date | None:
    """The first natural day that shares were held and no income was accrued for."""
    begins = [lot.registered_date for lot in holding.lots]
    begins += [removal.registered_date for removal in holding.removals]
    if not begins:
        return None
    first = min(begins)
    if holding.accrued_until is None:
        return first
    following = holding.accrued_until + ONE_DAY
    held = any(lot.registered_date <= following for lot in holding.lots)
    if held or any(r.registered_date <= following < r.confirm_date for r in holding.removals):
        return following
    later = [begin for begin in begins if begin > following]
    return min(later, default=None)


holding: Decider[Command, Holding, Event] = Decider(Holding(), decide, evolve)
