"""The ledger once more, in plain Python: told the commands alone, it says what must become of them.

Nothing is kept that can be added up: balances are sums over all legs, what is held over all holds.
It names every reason that stands against a command; which of them is told is the table's business.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction

from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    Balancing,
    CaptureHold,
    CloseAccount,
    CloseWindow,
    Command,
    Exchange,
    FreezeAccount,
    GiveQuote,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
    OpenWindow,
    PlaceHold,
    ReleaseHold,
    ReopenAccount,
    SealWindow,
    SetBounds,
    Template,
    Transfer,
    UnfreezeAccount,
)
from services.accounts.domain.kinds import Kind

DEBIT_SIDE = {Kind.BANK_MIRROR, Kind.IN_TRANSIT_IN, Kind.SUSPENSE_SHORT}
FLOORED = {
    Kind.CUSTOMER_WALLET,
    Kind.MERCHANT,
    Kind.IN_TRANSIT_IN,
    Kind.IN_TRANSIT_OUT,
    Kind.ADVANCE,
    Kind.SUSPENSE_LONG,
    Kind.SUSPENSE_SHORT,
}
DECIMALS = {"CZK": 2, "EUR": 2, "JPY": 0}
DEBIT, CREDIT = 1, 2
Leg = tuple[str, int, int]  # account, direction, amount


@dataclass
class Account:
    kind: Kind
    currency: str
    floor: int | None
    ceiling: int | None = None
    is_closed: bool = False
    freezes: dict[str, tuple[int, bool]] = field(default_factory=dict)


@dataclass
class Hold:
    account: str
    destination: str
    currency: str
    left: int
    deadline_us: int
    end: str = ""


@dataclass
class Ledger:
    """`told`: each id's command and group, whatever became of it."""

    today: str
    now_us: int
    accounts: dict[str, Account] = field(default_factory=dict)
    keys: set[tuple[str, int, str, int]] = field(default_factory=set)
    legs: list[Leg] = field(default_factory=list)
    holds: dict[tuple[str, str], Hold] = field(default_factory=dict)
    facts: set[str] = field(default_factory=set)
    quotes: dict[tuple[str, str], tuple[GiveQuote, int, bool]] = field(default_factory=dict)
    windows: dict[str, tuple[str, str, str]] = field(default_factory=dict)  # bank, account, state
    told: dict[tuple[str, str], tuple[Command, object]] = field(default_factory=dict)
    locked: str = ""

    def posted(self, account_id: str) -> int:
        side = CREDIT if self.accounts[account_id].kind not in DEBIT_SIDE else DEBIT
        mine = [(way, minor) for id_, way, minor in self.legs if id_ == account_id]
        return sum(minor if way == side else -minor for way, minor in mine)

    def held(self, account_id: str) -> int:
        return sum(hold.left for hold in self.holds.values() if hold.account == account_id)

    def incoming(self, account_id: str) -> int:
        return sum(hold.left for hold in self.holds.values() if hold.destination == account_id)

    def turn_page(self, now_us: int) -> None:
        """Holds whose time has come end here, before anything else on the page."""
        self.now_us = now_us
        for hold in self.holds.values():
            if not hold.end and hold.deadline_us and hold.deadline_us <= now_us:
                hold.left, hold.end = 0, "HOLD_EXPIRED"

    def was_told(self, command: Command, caller: Caller, group: object = None) -> str:
        """Whether the id is new (""), REPLAYED or IDEMPOTENCY_KEY_REUSED."""
        known = self.told.get((caller.name, command[0]))
        if known is None:
            return ""
        is_same = known == (command, group) and type(known[0]) is type(command)
        return "REPLAYED" if is_same else "IDEMPOTENCY_KEY_REUSED"

    def against(self, command: Command, caller: Caller) -> set[str]:  # noqa: C901, PLR0911, PLR0912 - one case each
        """Every reason against a command whose shape is right and whose id is new."""
        match command:
            case Transfer():
                return self._against_transfer(command, caller)
            case PlaceHold():
                return self._against_hold(command, caller)
            case CaptureHold():
                return self._against_capture(command, caller)
            case ReleaseHold(_, hold_id, amount, _):
                return self._of_hold(
                    (caller.name, hold_id),
                    amount.currency if amount else "",
                    amount.minor if amount else 0,
                    "RELEASE_EXCEEDS_HOLD",
                )
            case OpenAccount(id_, owner, kind, currency, ordinal):
                is_taken = id_ in self.accounts or (owner, kind, currency, ordinal) in self.keys
                return _if(kind not in caller.opens, "ROUTE_NOT_ALLOWED") | _if(
                    is_taken, "ACCOUNT_KEY_TAKEN"
                )
            case FreezeAccount(_, id_) | SetBounds(_, id_):
                found = self._open(id_)
                account = self.accounts.get(id_)
                if isinstance(command, SetBounds) and account is not None:
                    line = command.floor is not None and account.kind != Kind.MERCHANT
                    high = command.ceiling is not None and account.kind not in FLOORED
                    found |= _if(line or high, "ROUTE_NOT_ALLOWED")
                    floor = 0 if command.floor is None else command.floor
                    available = self.posted(id_) - self.held(id_)
                    is_low = account.kind in FLOORED and available < floor
                    found |= _if(is_low, "BALANCE_TOO_LOW")
                return found
            case UnfreezeAccount(_, freeze_id, id_):
                account = self.accounts.get(id_)
                stands = account is not None and freeze_id in account.freezes
                return self._open(id_) | _if(not stands, "FREEZE_NOT_FOUND")
            case CloseAccount(_, id_):
                return self._against_closing(id_)
            case ReopenAccount(_, id_):
                account = self.accounts.get(id_)
                if account is None:
                    return {"ACCOUNT_NOT_FOUND"}
                return _if(account.kind == Kind.CLEARING, "ROUTE_NOT_ALLOWED") | _if(
                    not account.is_closed, "ACCOUNT_OPEN"
                )
            case MoveBusinessDate(_, to_date, closing):
                return _if(to_date < self.today, "BUSINESS_DATE_PAST") | _if(
                    closing not in ("", self.today), "BUSINESS_DATE_DIFFERS"
                )
            case LockPeriod(_, last):
                return _if(last >= self.today, "PERIOD_NOT_ENDED") | _if(
                    last <= self.locked, "PERIOD_LOCKED"
                )
            case _:
                return set()

    def take(self, command: Command, caller: Caller) -> None:  # noqa: C901, PLR0912, PLR0915 - one each
        """The command has been posted."""
        match command:
            case Transfer():
                legs = self._moved(command, caller)
                self.legs += legs
                self.facts |= {command.fact_key} - {""}
                if isinstance(command.computed, Exchange):
                    key = (caller.name, command.computed.quote_id)
                    quote, expires_us, _ = self.quotes[key]
                    self.quotes[key] = (quote, expires_us, True)
            case PlaceHold(id_, account, (currency, minor), destination, seconds):
                deadline = self.now_us + seconds * 1_000_000 if seconds else 0
                hold = Hold(account, destination, currency, minor, deadline)
                self.holds[caller.name, id_] = hold
            case CaptureHold():
                self._capture(command, self.holds[caller.name, command.hold_id])
            case ReleaseHold(_, hold_id, amount, _):
                hold = self.holds[caller.name, hold_id]
                hold.left -= amount.minor if amount else hold.left
                hold.end = "" if hold.left else "HOLD_RELEASED"
            case OpenAccount(id_, owner, kind, currency, ordinal, _, ceiling):
                floor = 0 if kind in FLOORED else None
                self.accounts[id_] = Account(Kind(kind), currency, floor, ceiling)
                self.keys.add((owner, kind, currency, ordinal))
            case FreezeAccount(freeze_id, id_, side, _, stops):
                self.accounts[id_].freezes[freeze_id] = (side, stops)
            case UnfreezeAccount(_, freeze_id, id_):
                del self.accounts[id_].freezes[freeze_id]
            case CloseAccount(_, id_):
                self.accounts[id_].is_closed = True
            case ReopenAccount(_, id_):
                self.accounts[id_].is_closed = False
            case SetBounds(_, id_, floor, ceiling):
                account_ = self.accounts[id_]
                kinds_own = 0 if account_.kind in FLOORED else None
                account_.floor = kinds_own if floor is None else floor
                account_.ceiling = ceiling
            case GiveQuote():
                expires_us = self.now_us + command.expires_after_s * 1_000_000
                self.quotes[caller.name, command.quote_id] = (command, expires_us, False)
            case MoveBusinessDate(_, to_date):
                self.today = to_date
            case LockPeriod(_, last):
                self.locked = last

    def take_window(self, command: Command, clearing: str) -> None:
        """A window command has been posted; its new window's clearing account is told."""
        match command:
            case OpenWindow(id_, bank, currency):
                self.windows[id_] = (bank, clearing, "OPEN")
                self.accounts[clearing] = Account(Kind.CLEARING, currency, None)
            case SealWindow(next_id, id_):
                bank, sealed, _ = self.windows[id_]
                self.windows[id_] = (bank, sealed, "SEALED")
                self.windows[next_id] = (bank, clearing, "OPEN")
                self.accounts[clearing] = Account(
                    Kind.CLEARING, self.accounts[sealed].currency, None
                )
            case CloseWindow(id_):
                bank, closed, _ = self.windows[id_]
                self.windows[id_] = (bank, closed, "CLOSED")
                self.accounts[closed].is_closed = True

    def _clearing(self, bank: str) -> str:
        (account,) = [
            at for of, at, state in self.windows.values() if (of, state) == (bank, "OPEN")
        ]
        return account

    def _open(self, account_id: str) -> set[str]:
        account = self.accounts.get(account_id)
        if account is None:
            return {"ACCOUNT_NOT_FOUND"}
        return _if(account.is_closed, "ACCOUNT_CLOSED")

    def _against_closing(self, account_id: str) -> set[str]:
        found = self._open(account_id)
        if account_id in self.accounts:
            has_holds = self.held(account_id) or self.incoming(account_id)
            found |= _if(bool(has_holds), "ACCOUNT_HAS_HOLDS")
            found |= _if(self.posted(account_id) != 0, "ACCOUNT_NOT_EMPTY")
            is_clearing = self.accounts[account_id].kind == Kind.CLEARING
            found |= _if(is_clearing, "ROUTE_NOT_ALLOWED")
        return found

    def _barred(
        self, account_id: str, direction: int, currency: str, caller: Caller, *, passes: bool
    ) -> set[str]:
        account = self.accounts.get(account_id)
        if account is None:
            return {"ACCOUNT_NOT_FOUND"}
        found = self._open(account_id)
        found |= _if(account.currency != currency, "ACCOUNT_CURRENCY_DIFFERS")
        found |= _if(account.kind not in caller.posts_to, "ROUTE_NOT_ALLOWED")
        for side, stops in account.freezes.values():
            if side in (direction, 3) and (stops or not passes):
                name = "DEBIT" if direction == DEBIT else "CREDIT"
                found.add(f"ACCOUNT_FROZEN_{name}")
        return found

    def _beyond(self, account_id: str, posted: int, held: int, incoming: int) -> set[str]:
        """What a change of these three would break."""
        account = self.accounts[account_id]
        before = self.posted(account_id) - self.held(account_id)
        available = before + posted - held
        low = account.floor is not None and available < min(account.floor, before)
        rises = posted + incoming > 0
        total = self.posted(account_id) + posted + self.incoming(account_id) + incoming
        high = rises and account.ceiling is not None and total > account.ceiling
        return _if(low, "BALANCE_TOO_LOW") | _if(high, "BALANCE_TOO_HIGH")

    def _against_transfer(self, command: Transfer, caller: Caller) -> set[str]:
        found: set[str] = set()
        for account_id, direction, currency in self._named(command):
            found |= self._barred(account_id, direction, currency, caller, passes=False)
        asked = command.value_date
        if asked and asked != self.today:
            day, today = date.fromisoformat(asked), date.fromisoformat(self.today)
            found |= _if(asked <= self.locked, "PERIOD_LOCKED")
            too_old = day < today - timedelta(days=caller.backdate_days)
            found |= _if(too_old, "VALUE_DATE_TOO_OLD")
            ahead = day > today + timedelta(days=caller.ahead_days)
            found |= _if(ahead, "VALUE_DATE_IN_FUTURE")
        found |= _if(command.fact_key in self.facts, "FACT_ALREADY_POSTED")
        if isinstance(command.computed, Exchange):
            found |= self._against_quote(command.computed, caller)
        if found:
            return found
        legs = self._moved(command, caller)
        if not legs:
            return {"NOTHING_TO_MOVE"}
        if isinstance(command.computed, Template):
            drawn = sum(minor for _, way, minor in legs if way == DEBIT)
            if drawn < command.computed.amount.minor:
                return {"BALANCE_TOO_LOW"}
        for account_id in {leg[0] for leg in legs}:
            mine = [leg for leg in legs if leg[0] == account_id]
            side = DEBIT if self.accounts[account_id].kind in DEBIT_SIDE else CREDIT
            net = sum(minor if way == side else -minor for _, way, minor in mine)
            found |= self._beyond(account_id, net, 0, 0)
        return found

    def _named(self, command: Transfer) -> list[tuple[str, int, str]]:
        match command.computed:
            case Template(_, (currency, _), sources, _, parts):
                return [(source.account_id, DEBIT, currency) for source in sources] + [
                    (part.account_id, CREDIT, currency) for part in parts
                ]
            case Exchange(_, (sold, _), (bought, _), seller, buyer, in_sold, in_bought, fees):
                return [
                    (seller, DEBIT, sold),
                    (in_sold, CREDIT, sold),
                    (in_bought, DEBIT, bought),
                    (buyer, CREDIT, bought),
                    (fees, CREDIT, bought),
                ]
            case _:
                return [
                    (leg.account_id or self._clearing(leg.bank_id), leg.direction, leg.currency)
                    for leg in command.legs
                ]

    def _against_quote(self, exchange: Exchange, caller: Caller) -> set[str]:
        known = self.quotes.get((caller.name, exchange.quote_id))
        if known is None or known[1] + 86_400 * 1_000_000 <= self.now_us:
            return {"QUOTE_NOT_FOUND"}
        quote, expires_us, is_used = known
        sold, bought = _priced(quote)
        is_agreed = (exchange.sold.minor, exchange.bought.minor) == (sold, bought)
        return (
            _if(is_used, "QUOTE_USED")
            | _if(self.now_us >= expires_us, "QUOTE_EXPIRED")
            | _if(not is_agreed, "QUOTE_TERMS_DIFFER")
        )

    def _moved(self, command: Transfer, caller: Caller) -> list[Leg]:
        """The legs as resolved; a template that is short gives what it could draw."""
        match command.computed:
            case Balancing(at, keep):
                return self._up_to(command, at, keep)
            case Template() as template:
                return self._split(template)
            case Exchange() as exchange:
                quote, *_ = self.quotes[caller.name, exchange.quote_id]
                sold, bought = _priced(quote)
                legs = [
                    (exchange.seller, DEBIT, sold),
                    (exchange.sold_position, CREDIT, sold),
                    (exchange.bought_position, DEBIT, bought),
                    (exchange.buyer, CREDIT, bought - quote.spread),
                    (exchange.spread_account, CREDIT, quote.spread),
                ]
                return [leg for leg in legs if leg[2]]
            case _:
                return [
                    (leg.account_id or self._clearing(leg.bank_id), leg.direction, leg.minor)
                    for leg in command.legs
                ]

    def _up_to(self, command: Transfer, at: int, keep: int) -> list[Leg]:
        leg = command.legs[at]
        account = self.accounts[leg.account_id]
        falls = (leg.direction == DEBIT) != (account.kind in DEBIT_SIDE)
        moved = leg.minor
        if falls and account.floor is not None:
            available = self.posted(leg.account_id) - self.held(leg.account_id)
            moved = min(moved, max(0, available - account.floor - keep))
        if not falls and account.ceiling is not None:
            total = self.posted(leg.account_id) + self.incoming(leg.account_id)
            moved = min(moved, max(0, account.ceiling - total))
        return [(each.account_id, each.direction, moved) for each in command.legs if moved]

    def _split(self, template: Template) -> list[Leg]:
        left, legs = template.amount.minor, list[Leg]()
        for source in template.sources:
            account = self.accounts[source.account_id]
            takes = left if source.at_most is None else min(left, source.at_most)
            if account.floor is not None:
                available = self.posted(source.account_id) - self.held(source.account_id)
                takes = min(takes, max(0, available - account.floor))
            left -= takes
            legs += [(source.account_id, DEBIT, takes)] * (takes > 0)
        shared = template.amount.minor - sum(part.fixed or 0 for part in template.parts)
        given = [
            part.fixed or shared * (part.share or 0) // max(template.whole, 1)
            for part in template.parts
        ]
        over = template.amount.minor - sum(given)
        for n, part in enumerate(template.parts):
            if part.is_rest:
                given[n], over = over, 0
        for n, part in enumerate(template.parts):
            if over and part.share:
                given[n], over = given[n] + 1, over - 1
        legs += [
            (part.account_id, CREDIT, minor)
            for part, minor in zip(template.parts, given, strict=True)
            if minor
        ]
        return legs

    def _against_hold(self, command: PlaceHold, caller: Caller) -> set[str]:
        currency, minor = command.amount
        pairs = [(command.account_id, DEBIT)]
        pairs += [(command.destination, CREDIT)] * bool(command.destination)
        found: set[str] = set()
        for account_id, direction in pairs:
            found |= self._barred(account_id, direction, currency, caller, passes=False)
            account = self.accounts.get(account_id)
            is_debit_side = account is not None and account.kind in DEBIT_SIDE
            found |= _if(is_debit_side, "ROUTE_NOT_ALLOWED")
        if found:
            return found
        found |= self._beyond(command.account_id, 0, minor, 0)
        if command.destination:
            found |= self._beyond(command.destination, 0, 0, minor)
        return found

    def _of_hold(self, key: tuple[str, str], currency: str, minor: int, exceeds: str) -> set[str]:
        hold = self.holds.get(key)
        if hold is None:
            return {"HOLD_NOT_FOUND"}
        found = _if(currency not in ("", hold.currency), "HOLD_TERMS_DIFFER")
        if hold.end:
            return found | {hold.end}
        return found | _if(minor > hold.left, exceeds)

    def _target(self, command: CaptureHold) -> str:
        hold = self.holds.get(("payments", command.hold_id))
        named = self._clearing(command.bank_id) if command.bank_id else command.account_id
        return named or (hold.destination if hold else "")

    def _against_capture(self, command: CaptureHold, caller: Caller) -> set[str]:
        hold = self.holds.get((caller.name, command.hold_id))
        target = self._target(command)
        asked = command.amount
        found = self._of_hold(
            (caller.name, command.hold_id),
            asked.currency if asked else "",
            asked.minor if asked else 0,
            "CAPTURE_EXCEEDS_HOLD",
        )
        found |= _if(command.fact_key in self.facts, "FACT_ALREADY_POSTED")
        account = self.accounts.get(target)
        currency = asked.currency if asked else hold.currency if hold else ""
        if target:
            known = currency or (account.currency if account else "")
            passes = hold is not None and target == hold.destination
            found |= self._barred(target, CREDIT, known, caller, passes=passes)
        if hold is None:
            return found
        source = self._barred(hold.account, DEBIT, hold.currency, caller, passes=True)
        found |= source | _if(not target, "HOLD_TERMS_DIFFER")
        is_other = bool(hold.destination) and target != hold.destination
        found |= _if(is_other, "HOLD_TERMS_DIFFER")
        found |= _if(target == hold.account, "SAME_ACCOUNT_BOTH_SIDES")
        if found or account is None:
            return found
        minor = asked.minor if asked else hold.left
        promised = minor if hold.destination else 0
        side = -1 if account.kind in DEBIT_SIDE else 1
        return self._beyond(target, side * minor, 0, -promised)

    def _capture(self, command: CaptureHold, hold: Hold) -> None:
        minor = command.amount.minor if command.amount else hold.left
        target = self._target(command)
        self.legs += [(hold.account, DEBIT, minor), (target, CREDIT, minor)]
        hold.left = 0 if command.is_final else hold.left - minor
        hold.end = "" if hold.left else "HOLD_CAPTURED"
        self.facts |= {command.fact_key} - {""}


def _if(applies: bool, reason: str) -> set[str]:  # noqa: FBT001 - a condition and its name
    return {reason} if applies else set()


def _priced(quote: GiveQuote) -> tuple[int, int]:
    """By fractions, as on paper: minor units of what is sold, and of what is bought."""
    rate = Fraction(quote.numerator, quote.denominator)
    rate *= Fraction(10) ** (DECIMALS[quote.bought_currency] - DECIMALS[quote.sold_currency])
    if quote.side == 1:
        return quote.given, int(quote.given * rate // 1)
    return int(-(-quote.given / rate // 1)), quote.given
