"""The book: every account, hold, window, id and fact, as the entries so far have left them.

It changes in place, entry by entry, and only here. Entries carry the balances after them, so the
book takes those and need not add anything up.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from heapq import heappop, heappush
from typing import NamedTuple

from services.accounts.domain.entries import (
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    BalanceAfter,
    BusinessDateMoved,
    Entry,
    HoldCaptured,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    Obligation,
    TransferPosted,
    WindowClosed,
    WindowOpened,
    WindowSealed,
)
from services.accounts.domain.kinds import Favour, Kind, floor_of, sign_of

# An entry's place in one number: page number, then its ordinal on the page.
ORDINAL_BITS = 16
_MICRO = 1_000_000


class Place(NamedTuple):
    page_number: int
    ordinal: int


def place_of(packed: int) -> Place:
    return Place(packed >> ORDINAL_BITS, packed & (1 << ORDINAL_BITS) - 1)


@dataclass(slots=True)
class Freeze:
    freeze_id: str
    side: int
    purpose: str
    stop_captures: bool


@dataclass(slots=True)
class Account:
    """Figures in minor units, on the normal side. `is_barred`: closed or frozen, look closer."""

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
    freezes: dict[str, Freeze] = field(default_factory=dict)
    is_barred: bool = False
    sign: int = field(init=False)
    floor: int | None = field(init=False)
    ceiling: int | None = None

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


@dataclass(slots=True)
class Hold:
    """Money set aside. What was placed = captured + released + expired + `remaining`."""

    hold_id: str
    caller: str
    account_id: str
    currency: str
    remaining: int
    destination: str
    deadline_us: int
    correlation_id: str
    end: End | None = None


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
    """`page_number`, `page_us`: of the page in hand, or the last one; -1 before the first."""

    page_number: int = -1
    page_us: int = 0
    business_date: str = ""
    accounts: dict[str, Account] = field(default_factory=dict)
    business_keys: dict[tuple[str, int, str, int], str] = field(default_factory=dict)
    holds: dict[tuple[str, str], Hold] = field(default_factory=dict)
    # Some of these have ended; `next_deadline_us` drops them.
    deadlines: list[tuple[int, str, str]] = field(default_factory=list, compare=False)
    windows: dict[str, Window] = field(default_factory=dict)
    open_windows: dict[tuple[str, str], Window] = field(default_factory=dict)
    facts: dict[str, int] = field(default_factory=dict)
    ids: dict[str, dict[str, Known]] = field(default_factory=dict)

    def begin_page(self, number: int, time_us: int) -> None:
        """Turn to a page. The first one sets the business date: the day of its time, in UTC."""
        if number != self.page_number + 1 or time_us < self.page_us:
            raise AssertionError(f"page {number} at {time_us} cannot follow {self.page_number}")
        self.page_number, self.page_us = number, time_us
        if not self.business_date:
            self.business_date = datetime.fromtimestamp(time_us // _MICRO, UTC).date().isoformat()

    def evolve(self, entry: Entry, ordinal: int) -> None:
        """Take in an entry of the page in hand."""
        place = self.page_number << ORDINAL_BITS | ordinal
        fact = entry.fact
        if isinstance(fact, TransferPosted):
            if fact.fact_key:
                self.facts[fact.fact_key] = place
        else:
            self._take(entry, place)
        if entry.obligation is not None:
            self._count(entry.obligation)
        accounts = self.accounts
        for account_id, seq, posted, held, incoming in entry.balances:
            account = accounts[account_id]
            if seq != account.seq + 1:
                raise AssertionError(f"entry {seq} of {account_id} cannot follow {account.seq}")
            account.seq, account.posted = seq, posted
            account.held, account.incoming = held, incoming
        if entry.command_id:
            known = self.ids.get(entry.caller)
            if known is None:
                known = self.ids[entry.caller] = {}
            known[entry.command_id] = Known(place, entry.terms_hash)

    def next_deadline_us(self) -> int | None:
        """When the next hold expires, if any does."""
        while self.deadlines:
            deadline, hold_id, caller = self.deadlines[0]
            if self.holds[caller, hold_id].end is None:
                return deadline
            heappop(self.deadlines)
        return None

    def add_account(self, account: Account) -> None:
        key = (account.owner, account.kind, account.currency, account.ordinal)
        self.accounts[account.account_id] = account
        self.business_keys[key] = account.account_id

    def add_hold(self, hold: Hold) -> None:
        self.holds[hold.caller, hold.hold_id] = hold
        if hold.deadline_us and hold.end is None:
            heappush(self.deadlines, (hold.deadline_us, hold.hold_id, hold.caller))

    def add_window(self, window: Window) -> None:
        self.windows[window.window_id] = window
        if window.state is WindowState.OPEN:
            self.open_windows[window.bank_id, window.currency] = window

    def _take(self, entry: Entry, place: int) -> None:
        match entry.fact:
            case HoldPlaced() | HoldCaptured() | HoldReleased() | HoldExpired():
                self._take_hold(entry, place)
            case AccountOpened(account_id, owner, kind, currency, ordinal):
                self.add_account(Account(account_id, owner, Kind(kind), currency, ordinal))
            case AccountFrozen(freeze_id, account_id, side, purpose, stops):
                account = self.accounts[account_id]
                account.freezes[freeze_id] = Freeze(freeze_id, side, purpose, stops)
                account.is_barred = True
            case AccountUnfrozen(freeze_id, account_id):
                account = self.accounts[account_id]
                del account.freezes[freeze_id]
                account.is_barred = bool(account.freezes)
            case AccountClosed(account_id):
                self._close(account_id)
            case WindowOpened(window_id, bank_id, currency, clearing, ordinal):
                self._open_window(Window(window_id, bank_id, currency, clearing, ordinal))
            case WindowSealed() as sealed:
                self._seal(sealed)
            case WindowClosed(window_id, clearing_account_id):
                self.windows[window_id].state = WindowState.CLOSED
                self._close(clearing_account_id)
            case BusinessDateMoved(_, to_date):
                self.business_date = to_date

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
        hold.remaining = remaining
        if remaining == 0:
            hold.end = end

    def _close(self, account_id: str) -> None:
        account = self.accounts[account_id]
        account.is_closed = account.is_barred = True

    def _open_window(self, window: Window) -> None:
        self.add_account(
            Account(
                window.clearing_account_id,
                f"bank:{window.bank_id}",
                Kind.CLEARING,
                window.currency,
                window.ordinal,
            )
        )
        self.add_window(window)

    def _seal(self, sealed: WindowSealed) -> None:
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
            )
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
