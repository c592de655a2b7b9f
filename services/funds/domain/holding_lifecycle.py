"""The life of a holding: lots that come and go, shares set aside, income and dividends."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import TypeAlias, assert_never

from libs.fund_arithmetic import DividendMode, Lot, apportioned, cost, total
from libs.replacing import replace

# Days of which purchases and removals are remembered: longer than any registrar's answer takes.
REMEMBERED_DAYS = 60
ONE_DAY = timedelta(days=1)


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class LotAdded:
    """Shares of an answered row. `taken` of them had left before the row was booked again."""

    order_id: str
    row_id: str
    shares: int
    confirm_date: date
    register_date: date
    cost_minor: int
    nav: int
    taken: int = 0


@dataclass(frozen=True, slots=True)
class SharesFrozen:
    order_id: str
    shares: int


@dataclass(frozen=True, slots=True)
class SharesUnfrozen:
    order_id: str
    shares: int


@dataclass(frozen=True, slots=True)
class FastReserved:
    """Frozen for a fast redemption, within the day's limit; their income is the bank's from now."""

    order_id: str
    shares: int
    amount_minor: int
    day: date


@dataclass(frozen=True, slots=True)
class FastReleased:
    order_id: str


@dataclass(frozen=True, slots=True)
class SharesRedeemed:
    """Lots, or parts of lots, that left; `unfrozen` of the shares had been frozen for the order."""

    order_id: str
    row_id: str
    parts: tuple[Lot, ...]
    confirm_date: date
    net_minor: int
    fee_minor: int
    unfrozen: int


@dataclass(frozen=True, slots=True)
class BookingReversed:
    """The row's booking is undone; what it is now is booked after it."""

    row_id: str
    proposal_id: str


@dataclass(frozen=True, slots=True)
class DividendReceived:
    order_id: str
    row_id: str
    cash_minor: int
    confirm_date: date


@dataclass(frozen=True, slots=True)
class DividendModeSet:
    order_id: str
    mode: DividendMode
    # It counts for record dates after this day.
    from_date: date


@dataclass(frozen=True, slots=True)
class IncomeAccrued:
    """A money fund's natural day, 4 decimals; what left the bucket as new shares.

    `bank_accrued` is the income of shares that a fast redemption has earmarked.
    """

    accrual_date: date
    accrued: int
    bank_accrued: int
    credited_shares: int
    bucket: int


@dataclass(frozen=True, slots=True)
class PurchaseReserved:
    order_id: str
    day: date
    amount_minor: int


@dataclass(frozen=True, slots=True)
class PurchaseReleased:
    order_id: str


Booking: TypeAlias = LotAdded | SharesRedeemed | DividendReceived
Event: TypeAlias = (
    Booking
    | SharesFrozen
    | SharesUnfrozen
    | FastReserved
    | FastReleased
    | BookingReversed
    | DividendModeSet
    | IncomeAccrued
    | PurchaseReserved
    | PurchaseReleased
)


# State.
@dataclass(frozen=True, slots=True)
class Freeze:
    """Shares set aside for an order: so many asked for, so many still so."""

    asked: int
    left: int
    # Of a fast redemption: the natural day and the money of its limit.
    fast_day: date | None = None
    fast_minor: int = 0


@dataclass(frozen=True, slots=True)
class Purchase:
    day: date
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Removal:
    """Shares that left: they earned from the one day until the day before the other."""

    registered_date: date
    confirm_date: date
    shares: int
    # From this day on what they earned was an advancing bank's.
    fast_day: date | None = None
    order_id: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """Oldest lot first. Nothing is forgotten of what was booked: a row is booked once."""

    lots: tuple[Lot, ...] = ()
    freezes: Mapping[str, Freeze] = field(default_factory=lambda: MappingProxyType({}))
    bookings: Mapping[str, Booking] = field(default_factory=lambda: MappingProxyType({}))
    purchases: Mapping[str, Purchase] = field(default_factory=lambda: MappingProxyType({}))
    removals: tuple[Removal, ...] = ()
    modes: tuple[DividendModeSet, ...] = ()
    bucket: int = 0
    accrued_until: date | None = None
    # By fast redemption: what its shares have earned for the bank that advanced it, 4 decimals.
    bank_income: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def shares(self) -> int:
        return total(self.lots)

    @property
    def cost_minor(self) -> int:
        return cost(self.lots)

    @property
    def frozen(self) -> int:
        return sum(freeze.left for freeze in self.freezes.values())

    @property
    def free(self) -> int:
        return self.shares - self.frozen

    def unlocked(self, today: date, lock_days: int) -> int:
        """Free shares of lots held for so many days."""
        first = today - timedelta(days=lock_days)
        held = sum(lot.shares for lot in self.lots if lot.registered_date <= first)
        return max(0, held - self.frozen)

    def fast_used(self, day: date) -> int:
        """Minor units of fast redemptions of one natural day."""
        return sum(each.fast_minor for each in self.freezes.values() if each.fast_day == day)

    def purchased(self, day: date) -> int:
        """Minor units that orders of one trade day want to buy for."""
        return sum(each.amount_minor for each in self.purchases.values() if each.day == day)

    def mode_on(self, record_date: date, default: DividendMode) -> DividendMode:
        """What a dividend of this record date becomes."""
        known = [each for each in self.modes if each.from_date < record_date]
        return known[-1].mode if known else default

    def registered_on(self, day: date) -> int:
        """Shares that were the investor's at the end of a day not long ago."""
        now = sum(lot.shares for lot in self.lots if lot.registered_date <= day)
        return now + sum(removal.shares for removal in self._gone_since(day))

    def earmarked_on(self, day: date) -> int:
        """Of these, shares whose income of that day is an advancing bank's."""
        return sum(self.earmarks_on(day).values())

    def earmarks_on(self, day: date) -> Mapping[str, int]:
        """The same by the fast redemption that has earmarked them."""
        found: Counter[str] = Counter()
        for order_id, freeze in self.freezes.items():
            if freeze.fast_day is not None and freeze.fast_day <= day and freeze.left:
                found[order_id] += freeze.left
        for removal in self._gone_since(day):
            if removal.fast_day is not None and removal.fast_day <= day:
                found[removal.order_id] += removal.shares
        return found

    def _gone_since(self, day: date) -> Sequence[Removal]:
        return [r for r in self.removals if r.registered_date <= day < r.confirm_date]


def evolve(  # noqa: C901, PLR0912 - a case an event
    holding: Holding, event: Event
) -> Holding:
    match event:
        case LotAdded():
            return _with_lot(holding, event)
        case SharesFrozen(order_id, shares):
            return _with_freeze(holding, order_id, Freeze(shares, shares))
        case SharesUnfrozen(order_id, shares):
            freeze = holding.freezes[order_id]
            return _with_freeze(holding, order_id, replace(freeze, left=freeze.left - shares))
        case FastReserved(order_id, shares, amount, day):
            return _with_freeze(holding, order_id, Freeze(shares, shares, day, amount))
        case FastReleased(order_id):
            freeze = replace(holding.freezes[order_id], left=0, fast_minor=0)
            return _with_freeze(holding, order_id, freeze)
        case SharesRedeemed():
            return _without_parts(holding, event)
        case BookingReversed(row_id):
            return _reversed(holding, row_id)
        case DividendReceived():
            return replace(holding, bookings=_with_booking(holding, event))
        case DividendModeSet():
            return replace(holding, modes=(*holding.modes, event))
        case IncomeAccrued():
            return _with_income(holding, event)
        case PurchaseReserved(order_id, day, amount):
            kept = {k: v for k, v in holding.purchases.items() if _is_recent(v.day, day)}
            purchases = MappingProxyType({**kept, order_id: Purchase(day, amount)})
            return replace(holding, purchases=purchases)
        case PurchaseReleased(order_id):
            day = holding.purchases[order_id].day
            purchases = MappingProxyType({**holding.purchases, order_id: Purchase(day, 0)})
            return replace(holding, purchases=purchases)
        case _:
            assert_never(event)


def _is_recent(day: date, now: date) -> bool:
    return now - day <= timedelta(days=REMEMBERED_DAYS)


def _with_booking(holding: Holding, event: Booking) -> Mapping[str, Booking]:
    return MappingProxyType({**holding.bookings, event.row_id: event})


def _with_freeze(holding: Holding, order_id: str, freeze: Freeze) -> Holding:
    return replace(holding, freezes=MappingProxyType({**holding.freezes, order_id: freeze}))


def _sorted(lots: Sequence[Lot]) -> tuple[Lot, ...]:
    return tuple(sorted(lots, key=lambda lot: lot.confirm_date))


def _with_lot(holding: Holding, event: LotAdded) -> Holding:
    left = event.shares - event.taken
    paid = event.cost_minor * left // event.shares if event.shares else 0
    lot = Lot(event.row_id, event.confirm_date, event.register_date, left, paid, event.nav)
    lots = _sorted((*holding.lots, lot)) if left else holding.lots
    return replace(holding, lots=lots, bookings=_with_booking(holding, event))


def _without_parts(holding: Holding, event: SharesRedeemed) -> Holding:
    gone = {part.lot_id: part for part in event.parts}
    lots = [
        replace(lot, shares=lot.shares - gone[lot.lot_id].shares, cost=lot.cost - part.cost)
        if (part := gone.get(lot.lot_id)) is not None
        else lot
        for lot in holding.lots
    ]
    recent = [r for r in holding.removals if _is_recent(r.confirm_date, event.confirm_date)]
    freeze = holding.freezes.get(event.order_id) if event.unfrozen else None
    fast_day = freeze.fast_day if freeze is not None else None
    new = [
        Removal(part.registered_date, event.confirm_date, part.shares, fast_day, event.order_id)
        for part in event.parts
    ]
    after = replace(
        holding,
        lots=tuple(lot for lot in lots if lot.shares),
        removals=(*recent, *new),
        bookings=_with_booking(holding, event),
    )
    if freeze is None:
        return after
    return _with_freeze(after, event.order_id, replace(freeze, left=freeze.left - event.unfrozen))


def _reversed(holding: Holding, row_id: str) -> Holding:
    booking = holding.bookings[row_id]
    bookings = {key: value for key, value in holding.bookings.items() if key != row_id}
    holding = replace(holding, bookings=MappingProxyType(bookings))
    match booking:
        case LotAdded():
            return replace(holding, lots=tuple(x for x in holding.lots if x.lot_id != row_id))
        case SharesRedeemed():
            return _with_parts_back(holding, booking)
        case DividendReceived():
            return holding
        case _:
            assert_never(booking)


def _with_parts_back(holding: Holding, booking: SharesRedeemed) -> Holding:
    lots = {lot.lot_id: lot for lot in holding.lots}
    freeze = holding.freezes.get(booking.order_id) if booking.unfrozen else None
    fast_day = freeze.fast_day if freeze is not None else None
    removals = list(holding.removals)
    for part in booking.parts:
        known = lots.get(part.lot_id)
        shares, paid = (known.shares, known.cost) if known is not None else (0, 0)
        lots[part.lot_id] = replace(part, shares=shares + part.shares, cost=paid + part.cost)
        removal = Removal(
            part.registered_date,
            booking.confirm_date,
            part.shares,
            fast_day,
            booking.order_id,
        )
        if removal in removals:
            removals.remove(removal)
    holding = replace(holding, lots=_sorted(tuple(lots.values())), removals=tuple(removals))
    if freeze is None:
        return holding
    left = freeze.left + booking.unfrozen
    return _with_freeze(holding, booking.order_id, replace(freeze, left=left))


def _with_income(holding: Holding, event: IncomeAccrued) -> Holding:
    if event.bank_accrued:
        earned = apportioned(holding.earmarks_on(event.accrual_date), event.bank_accrued)
        income = Counter(holding.bank_income) + Counter(earned)
        holding = replace(holding, bank_income=MappingProxyType(dict(income)))
    holding = replace(holding, bucket=event.bucket, accrued_until=event.accrual_date)
    if not event.credited_shares:
        return holding
    # One lot a month: money funds pay no fee by days held, and a lot a day would be many.
    lot_id = f"income/{event.accrual_date:%Y-%m}"
    known = next((lot for lot in holding.lots if lot.lot_id == lot_id), None)
    if known is None:
        begin = event.accrual_date + ONE_DAY
        lot = Lot(lot_id, begin, begin, event.credited_shares, 0, 0)
        return replace(holding, lots=_sorted((*holding.lots, lot)))
    more = replace(known, shares=known.shares + event.credited_shares)
    return replace(holding, lots=tuple(more if lot is known else lot for lot in holding.lots))
