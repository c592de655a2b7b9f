"""The book: every account, hold, window, id and fact, as the entries so far have left them.

It changes in place, entry by entry, and only here. Entries carry the balances after them, so the
book takes those and need not add anything up.
"""

import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from heapq import heappop, heappush
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

from services.accounts.domain.entries import (
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountReopened,
    AccountUnfrozen,
    BalanceAfter,
    BoundsSet,
    BusinessDateMoved,
    CrossingBegun,
    CrossingEnded,
    Entry,
    HoldCaptured,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    Obligation,
    PartReleased,
    PartReserved,
    PeriodLocked,
    QuoteGiven,
    SetAside,
    SpanBegun,
    SpanDecided,
    SpanEnded,
    TransferPosted,
    WindowClosed,
    WindowOpened,
    WindowSealed,
)
from services.accounts.domain.kinds import Favour, Kind, floor_of, sign_of
from services.accounts.domain.past_days import Closing, closed_day, dated_back, horizon_of

# An entry's place in one number: page number, then its ordinal on the page.
ORDINAL_BITS = 16
# How long a quote is known after it has expired, and how many are forgotten at a time.
QUOTE_KEPT_US = 86_400 * 1_000_000
QUOTES_DROPPED_MAX = 4
_MICRO = 1_000_000


class Place(NamedTuple):
    page_number: int
    ordinal: int


def place_of(packed: int) -> Place:
    return Place(packed >> ORDINAL_BITS, packed & (1 << ORDINAL_BITS) - 1)


class Freeze(NamedTuple):
    freeze_id: str
    side: int
    purpose: str
    stop_captures: bool


# An account has none, nearly always: all share this one.
NO_FREEZES: Mapping[str, Freeze] = MappingProxyType({})
# Owner, kind, currency, ordinal: unique for ever.
BusinessKey: TypeAlias = tuple[str, int, str, int]


@dataclass(slots=True)
class Account:
    """Figures in minor units, on the normal side. `is_barred`: closed or frozen, look closer.

    There are a million of these: nothing in it may have a container of its own by default.
    `day`: the business date of its last entry; `closings`: the ends of days before that.
    """

    account_id: str
    owner: str
    kind: Kind
    currency: str
    ordinal: int
    posted: int = 0
    held: int = 0
    incoming: int = 0
    seq: int = 0
    is_closed: bool = False
    freezes: Mapping[str, Freeze] = field(default_factory=lambda: NO_FREEZES)
    is_barred: bool = False
    sign: int = field(init=False)
    floor: int | None = field(init=False)
    ceiling: int | None = None
    day: str = ""
    closings: tuple[Closing, ...] = ()
    # The page of the snapshot it was last read for, and one: no part of what the account is.
    read_for: int = field(default=0, init=False, compare=False)

    def __post_init__(self) -> None:
        self.sign = sign_of(self.kind)
        self.floor = floor_of(self.kind)

    @property
    def available(self) -> int:
        return self.posted - self.held


class End(Enum):
    """How a hold ended. The values are storage."""

    CAPTURED = "CAPTURED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


class Hold(NamedTuple):
    """Money set aside. What was placed = captured + released + expired + `remaining`.

    Never changed, only replaced: a snapshot may still be reading the one before.
    """

    hold_id: str
    caller: str
    account_id: str
    currency: str
    remaining: int
    destination: str
    deadline_us: int
    correlation_id: str
    end: End | None = None


class Quote(NamedTuple):
    """A quote as given, and whether an exchange has used it up."""

    given: QuoteGiven
    is_used: bool = False


class Crossing(NamedTuple):
    """An open transfer between shards; the entry before its place is the near half."""

    place: int
    begun: CrossingBegun


class Span(NamedTuple):
    """An open transfer over shards that is decided here: its intents stand from `place` on."""

    place: int
    caller: str
    members: int
    fact_keys: tuple[str, ...]
    decided: SpanDecided | None = None


class Reservation(NamedTuple):
    """What is set aside for a span."""

    span_id: str
    means: tuple[SetAside, ...]


class WindowState(Enum):
    """The values are storage."""

    OPEN = "OPEN"
    SEALED = "SEALED"
    CLOSED = "CLOSED"


@dataclass(slots=True)
class Window:
    """A settlement window of one bank and currency, with its running totals."""

    window_id: str
    bank_id: str
    currency: str
    clearing_account_id: str
    ordinal: int
    state: WindowState = WindowState.OPEN
    legs: int = 0
    sum_ours: int = 0
    sum_bank: int = 0
    next_window_id: str = ""
    seal_position: int = -1


class Known(NamedTuple):
    """What became of an id: the place of its entry, and the terms it came with."""

    place: int
    terms_hash: bytes


@dataclass(slots=True)
class Book:
    """`page_number`, `page_us`: of the page in hand, or the last one; -1 before the first.

    Ids, facts, business keys and ended holds are here as far as they came after page `floor`;
    earlier ones have left (`forgetting.py`) and are asked back before they matter.
    """

    page_number: int = -1
    page_us: int = 0
    business_date: str = ""
    accounts: dict[str, Account] = field(default_factory=dict)
    business_keys: dict[BusinessKey, int] = field(default_factory=dict)
    holds: dict[tuple[str, str], Hold] = field(default_factory=dict)
    # Some of these have ended; `next_deadline_us` drops them.
    deadlines: list[tuple[int, str, str]] = field(default_factory=list, compare=False)
    windows: dict[str, Window] = field(default_factory=dict)
    open_windows: dict[tuple[str, str], Window] = field(default_factory=dict)
    facts: dict[str, int] = field(default_factory=dict)
    ids: dict[str, dict[str, Known]] = field(default_factory=dict)
    # By caller and id, in the order they were given; forgotten some time after they expired.
    quotes: dict[tuple[str, str], Quote] = field(default_factory=dict)
    # Transfers between shards that have begun here and not ended, by caller and id of the crossing.
    crossings: dict[tuple[str, str], Crossing] = field(default_factory=dict)
    # How many of those may give back to an account, and how many spans need it.
    leaving: dict[str, int] = field(default_factory=dict)
    # Transfers over any shards: those decided here, and what is set aside here for each part.
    spans: dict[str, Span] = field(default_factory=dict)
    reserved: dict[str, Reservation] = field(default_factory=dict)
    # No value date up to and including this day may be given any more.
    locked_date: str = ""
    # No posting of today is dated back beyond this day.
    horizon: str = field(default="", compare=False)
    floor: int = -1
    # By caller, the last of the ids that have left: ids are ordered by the time inside them.
    horizons: dict[str, str] = field(default_factory=dict)
    # Holds that have ended, by the page of their end, and pages with the number of their entries.
    ended: deque[tuple[int, str, str]] = field(default_factory=deque, compare=False)
    pages: deque[tuple[int, int]] = field(default_factory=deque, compare=False)

    def begin_page(self, number: int, time_us: int) -> None:
        """Turn to a page. The first one sets the business date: the day of its time, in UTC."""
        if number != self.page_number + 1 or time_us < self.page_us:
            raise AssertionError(f"page {number} at {time_us} cannot follow {self.page_number}")
        self.page_number, self.page_us = number, time_us
        if not self.business_date:
            self.turn_day(datetime.fromtimestamp(time_us // _MICRO, UTC).date().isoformat())

    def turn_day(self, business_date: str) -> None:
        self.business_date, self.horizon = business_date, horizon_of(business_date)

    def evolve(self, entry: Entry, ordinal: int) -> None:
        """Take in an entry of the page in hand."""
        place = self.page_number << ORDINAL_BITS | ordinal
        fact = entry.fact
        if isinstance(fact, TransferPosted):
            self.take_transfer(place, entry.caller, fact.fact_key, fact.quote_id)
        else:
            self._take(entry, place)
        if entry.obligation is not None:
            self._count(entry.obligation)
        self.take_balances(entry.balances, entry.value_date, entry.business_date)
        if entry.command_id:
            self.know(entry.caller, entry.command_id, place, entry.terms_hash)

    def take_transfer(self, place: int, caller: str, fact_key: str, quote_id: str) -> None:
        """Take in what a transfer is besides the balances after it."""
        if fact_key:
            self.facts[fact_key] = place
        if quote_id:
            self._use_quote(caller, quote_id)

    def take_balances(
        self, balances: Iterable[tuple[str, int, int, int, int]], value_date: str, today: str
    ) -> None:
        """Take in the figures after an entry: account, its sequence, posted, held, incoming."""
        accounts, is_dated_back = self.accounts, value_date < today
        for account_id, seq, posted, held, incoming in balances:
            account = accounts[account_id]
            if account.day != today:
                self.end_day_of(account, today)
            if is_dated_back:
                delta = posted - account.posted
                account.closings = dated_back(account.closings, value_date, delta)
            if seq != account.seq + 1:
                raise AssertionError(f"entry {seq} of {account_id} cannot follow {account.seq}")
            account.seq, account.posted = seq, posted
            account.held, account.incoming = held, incoming

    def know(self, caller: str, command_id: str, place: int, terms_hash: bytes) -> None:
        """Take in what became of an id."""
        known = self.ids.get(caller)
        if known is None:
            known = self.ids[caller] = {}
        known[command_id] = Known(place, terms_hash)

    def end_day_of(self, account: Account, today: str) -> None:
        """The account's first entry of another day is about to come."""
        if account.day:
            closing = Closing(account.day, account.posted)
            account.closings = closed_day(account.closings, closing, self.horizon)
        account.day = today

    def next_deadline_us(self) -> int | None:
        """When the next hold expires, if any does."""
        while self.deadlines:
            deadline, hold_id, caller = self.deadlines[0]
            hold = self.holds.get((caller, hold_id))
            if hold is not None and hold.end is None:
                return deadline
            heappop(self.deadlines)
        return None

    def add_account(self, account: Account) -> None:
        account.currency = sys.intern(account.currency)
        self.accounts[account.account_id] = account

    def open_account(self, account: Account, place: int) -> None:
        """A new account, whose business key is taken from here on."""
        self.add_account(account)
        self.business_keys[account.owner, account.kind, account.currency, account.ordinal] = place

    def add_hold(self, hold: Hold) -> None:
        self.holds[hold.caller, hold.hold_id] = hold
        if hold.deadline_us and hold.end is None:
            heappush(self.deadlines, (hold.deadline_us, hold.hold_id, hold.caller))

    def add_crossing(self, caller: str, crossing: Crossing) -> None:
        self.crossings[caller, crossing.begun.crossing_id] = crossing
        for account_id in crossing.begun.near_account_ids:
            self._need(account_id)

    def _end_crossing(self, caller: str, crossing_id: str) -> None:
        for account_id in self.crossings.pop((caller, crossing_id)).begun.near_account_ids:
            self._need_no_more(account_id)

    def add_reservation(self, reservation_id: str, reservation: Reservation) -> None:
        self.reserved[reservation_id] = reservation
        for account_id, _, _ in reservation.means:
            self._need(account_id)

    def _release(self, reservation_id: str) -> None:
        for account_id, _, _ in self.reserved.pop(reservation_id).means:
            self._need_no_more(account_id)

    def _need(self, account_id: str) -> None:
        self.leaving[account_id] = self.leaving.get(account_id, 0) + 1

    def _need_no_more(self, account_id: str) -> None:
        left = self.leaving.pop(account_id) - 1
        if left:
            self.leaving[account_id] = left

    def _take_span(self, entry: Entry, place: int) -> None:
        match entry.fact:
            case SpanBegun(span_id, transfer):
                known = self.spans.get(span_id) or Span(place, entry.caller, 0, ())
                fact_keys = (transfer.fact_key,) if transfer.fact_key else ()
                self.spans[span_id] = known._replace(
                    members=known.members + 1, fact_keys=known.fact_keys + fact_keys
                )
            case PartReserved(reservation_id, span_id, _, means):
                self.add_reservation(reservation_id, Reservation(span_id, means))
            case PartReleased(reservation_id):
                self._release(reservation_id)
            case SpanDecided(span_id) as decided:
                self.spans[span_id] = self.spans[span_id]._replace(decided=decided)
            case SpanEnded(span_id):
                del self.spans[span_id]

    def add_window(self, window: Window) -> None:
        self.windows[window.window_id] = window
        if window.state is WindowState.OPEN:
            self.open_windows[window.bank_id, window.currency] = window

    def _take(self, entry: Entry, place: int) -> None:  # noqa: C901, PLR0912, PLR0915 - one case each
        match entry.fact:
            case HoldPlaced() | HoldCaptured() | HoldReleased() | HoldExpired():
                self._take_hold(entry, place)
            case AccountOpened(account_id, owner, kind, currency, ordinal, ceiling):
                account = Account(account_id, owner, Kind(kind), currency, ordinal)
                account.ceiling = ceiling
                self.open_account(account, place)
            case AccountFrozen(freeze_id, account_id, side, purpose, stops):
                account = self.accounts[account_id]
                freeze = Freeze(freeze_id, side, purpose, stops)
                account.freezes = {**account.freezes, freeze_id: freeze}
                account.is_barred = True
            case AccountUnfrozen(freeze_id, account_id):
                account = self.accounts[account_id]
                standing = {id_: f for id_, f in account.freezes.items() if id_ != freeze_id}
                account.freezes = standing or NO_FREEZES
                account.is_barred = bool(standing)
            case AccountClosed(account_id):
                self._close(account_id)
            case AccountReopened(account_id):
                account = self.accounts[account_id]
                account.is_closed, account.is_barred = False, bool(account.freezes)
            case BoundsSet(account_id, floor, ceiling):
                account = self.accounts[account_id]
                account.floor = floor_of(account.kind) if floor is None else floor
                account.ceiling = ceiling
            case WindowOpened(window_id, bank_id, currency, clearing, ordinal):
                window = Window(window_id, bank_id, currency, clearing, ordinal)
                self._open_window(window, place)
            case WindowSealed() as sealed:
                self._seal(sealed, place)
            case WindowClosed(window_id, clearing_account_id):
                self.windows[window_id].state = WindowState.CLOSED
                self._close(clearing_account_id)
            case BusinessDateMoved(_, to_date):
                self.turn_day(to_date)
            case PeriodLocked(last_date):
                self.locked_date = last_date
            case CrossingBegun() as begun:
                self.add_crossing(entry.caller, Crossing(place, begun))
            case CrossingEnded(crossing_id):
                self._end_crossing(entry.caller, crossing_id)
            case QuoteGiven() as given:
                self._take_quote(entry.caller, given)
            case _:
                self._take_span(entry, place)

    def _use_quote(self, caller: str, quote_id: str) -> None:
        quote = self.quotes[caller, quote_id]
        self.quotes[caller, quote_id] = quote._replace(is_used=True)

    def _take_quote(self, caller: str, given: QuoteGiven) -> None:
        """Quotes long past are dropped here, at a place that is the same on every replay."""
        for key, quote in list(islice(self.quotes.items(), QUOTES_DROPPED_MAX)):
            if quote.given.expires_us > self.page_us - QUOTE_KEPT_US:
                break
            del self.quotes[key]
        self.quotes[caller, given.quote_id] = Quote(given)

    def _take_hold(self, entry: Entry, place: int) -> None:
        match entry.fact:
            case HoldPlaced(hold_id, account_id, amount, destination, deadline_us, _):
                self.add_hold(
                    Hold(
                        hold_id,
                        entry.caller,
                        account_id,
                        amount.currency,
                        amount.minor,
                        destination,
                        deadline_us,
                        entry.correlation_id,
                    )
                )
            case HoldCaptured() as captured:
                self._lessen(entry.caller, captured.hold_id, captured.remaining, End.CAPTURED)
                if captured.fact_key:
                    self.facts[captured.fact_key] = place
            case HoldReleased(hold_id, _, remaining):
                self._lessen(entry.caller, hold_id, remaining, End.RELEASED)
            case HoldExpired(hold_id, _):
                self._lessen(entry.caller, hold_id, 0, End.EXPIRED)

    def _lessen(self, caller: str, hold_id: str, remaining: int, end: End) -> None:
        hold = self.holds[caller, hold_id]
        if remaining:
            self.holds[caller, hold_id] = hold._replace(remaining=remaining)
            return
        self.holds[caller, hold_id] = hold._replace(remaining=0, end=end)
        self.ended.append((self.page_number, caller, hold_id))

    def _close(self, account_id: str) -> None:
        account = self.accounts[account_id]
        account.is_closed = account.is_barred = True

    def _open_window(self, window: Window, place: int) -> None:
        clearing = Account(
            window.clearing_account_id,
            f"bank:{window.bank_id}",
            Kind.CLEARING,
            window.currency,
            window.ordinal,
        )
        self.open_account(clearing, place)
        self.add_window(window)

    def _seal(self, sealed: WindowSealed, place: int) -> None:
        window = self.windows[sealed.window_id]
        window.state, window.seal_position = WindowState.SEALED, self.page_number
        window.next_window_id = sealed.next_window_id
        self._open_window(
            Window(
                sealed.next_window_id,
                sealed.bank_id,
                sealed.currency,
                sealed.next_clearing_account_id,
                sealed.next_ordinal,
            ),
            place,
        )

    def _count(self, obligation: Obligation) -> None:
        window = self.windows[obligation.window_id]
        window.legs += 1
        if obligation.favour == Favour.OURS:
            window.sum_ours += obligation.minor
        else:
            window.sum_bank += obligation.minor


def balance_after(account: Account, posted: int, held: int, incoming: int) -> BalanceAfter:
    """The account's figures as its next entry leaves them."""
    return BalanceAfter(account.account_id, account.seq + 1, posted, held, incoming)


def unchanged(account: Account) -> BalanceAfter:
    """An entry that touches the account and moves nothing."""
    return balance_after(account, account.posted, account.held, account.incoming)
