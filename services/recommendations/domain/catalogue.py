"""The funds as advice knows them, indexed so that thousands are judged with a few operations.

A set of funds is one whole number: bit i stands for the i-th fund in the order of codes.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import compress

from libs.money import exponent
from libs.suitability import RiskLevel

FundSet = int
MILLION = 1_000_000
# Sets whose codes are kept, some 10 kB each where they hold a thousand funds.
SETS_KEPT = 512
# Horizons whose yearly fees are kept, one a fund that was asked for.
HORIZONS_KEPT = 64
_BITS = bytes.maketrans(b"01", b"\x00\x01")
_DIGITS = bytes.maketrans(b"\x00\x01", b"01")


@dataclass(frozen=True, slots=True)
class FeeStep:
    """From this many days held on, this rate (millionths)."""

    from_days: int
    rate_millionths: int


@dataclass(frozen=True, slots=True)
class Fund:
    """A fund at one moment. Money in minor units, rates in millionths, dates as days since 1970."""

    code: str
    name: str
    level: RiskLevel
    currency: str
    asset_class: str
    manager: str
    theme: str = ""
    # The same fund in another share class has the same family.
    family: str = ""
    is_open: bool = True
    has_calendar: bool = True
    is_liquidating: bool = False
    is_gated: bool = False
    first_minor: int = 0
    top_up_minor: int = 0
    # Of one investor and day; 0: no cap.
    daily_minor: int = 0
    # Nobody is paid out before so many days.
    least_days: int = 0
    front_fee_millionths: int = 0
    yearly_fee_millionths: int = 0
    redemption: tuple[FeeStep, ...] = ()
    inception_day: int | None = None
    # The newest day with a price, and how many sessions of the market came after it.
    nav_day: int | None = None
    sessions_behind: int = 0
    revision: int = 0
    nav: int = 0
    nav_scale: int = 4
    share_scale: int = 2
    nav_position: int = 0

    @property
    def is_money(self) -> bool:
        return self.asset_class == "MONEY_MARKET"

    @property
    def price_of_10k(self) -> int:
        """Minor units of ten thousand of the smallest shares."""
        return price_of_10k(self.nav, self.nav_scale, self.share_scale, self.currency)

    def fee_millionths(self, days: int) -> int:
        """Front-end and redemption fee over so many days, as a yearly rate."""
        out = next((s.rate_millionths for s in reversed(self.redemption) if days >= s.from_days), 0)
        once = self.front_fee_millionths + out
        return self.yearly_fee_millionths + once * 365 // max(days, 1)


def price_of_10k(nav: int, nav_scale: int, share_scale: int, currency: str) -> int:
    """Minor units of ten thousand of the smallest shares; without a currency hundredths."""
    decimals = exponent(currency) if currency else 2
    factor: int = 10 ** (4 + decimals)
    divisor: int = 10 ** (nav_scale + share_scale)
    return nav * factor // divisor


@dataclass(frozen=True)
class Catalogue:
    """All funds, in the order of their codes, with the sets that checks are made of."""

    funds: Sequence[Fund]
    today: int = 0
    # By fund, where its newest price of a feed was stored; and up to where feeds were heard.
    fed: Mapping[str, int] = field(default_factory=dict, repr=False)
    fed_at: int = 0
    codes: Sequence[str] = field(init=False)
    index: Mapping[str, int] = field(init=False)
    # Places of the share classes of one fund, by its family.
    families: Mapping[str, Sequence[int]] = field(init=False, repr=False)
    _sets: dict[tuple[str, object], FundSet] = field(init=False, default_factory=dict, repr=False)
    _codes: dict[FundSet, tuple[str, ...]] = field(init=False, default_factory=dict, repr=False)
    _flags: dict[FundSet, bytes] = field(init=False, default_factory=dict, repr=False)
    _fees: dict[int, dict[int, int]] = field(init=False, default_factory=dict, repr=False)
    _managers: Mapping[str, FundSet] = field(init=False, repr=False)
    _themes: Mapping[str, FundSet] = field(init=False, repr=False)
    _minima: Sequence[tuple[int, FundSet]] = field(init=False, repr=False)
    _caps: Sequence[tuple[int, FundSet]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.funds, key=lambda fund: fund.code))
        object.__setattr__(self, "funds", ordered)
        object.__setattr__(self, "codes", tuple(fund.code for fund in ordered))
        object.__setattr__(self, "index", {fund.code: n for n, fund in enumerate(ordered)})
        families: dict[str, list[int]] = {}
        for place, fund in enumerate(ordered):
            if fund.family:
                families.setdefault(fund.family, []).append(place)
        object.__setattr__(self, "families", families)
        minima = ((n, fund.first_minor) for n, fund in enumerate(ordered))
        caps = ((n, fund.daily_minor) for n, fund in enumerate(ordered) if fund.daily_minor)
        object.__setattr__(self, "_managers", _by_name(fund.manager for fund in ordered))
        object.__setattr__(self, "_themes", _by_name(fund.theme for fund in ordered))
        object.__setattr__(self, "_minima", _up_to(minima))
        object.__setattr__(self, "_caps", _up_to(caps))

    @property
    def everything(self) -> FundSet:
        return (1 << len(self.funds)) - 1

    def changed(self, funds: Iterable[Fund]) -> "Catalogue":
        """With some funds as they are now. Where only prices moved, no set is made anew.

        What both keep may be asked on two threads at once.
        """
        found, is_alike = dict(zip(self.codes, self.funds, strict=True)), True
        for fund in funds:
            old = found.get(fund.code)
            is_alike = is_alike and old is not None and _are_alike(old, fund)
            found[fund.code] = fund
        if not is_alike:
            return Catalogue(tuple(found.values()), self.today, self.fed, self.fed_at)
        same = copy(self)
        object.__setattr__(same, "funds", tuple(found.values()))
        return same

    def fed_with(self, fed: Mapping[str, int], fed_at: int) -> "Catalogue":
        """With what feeds brought of prices; no set is made of those."""
        same = copy(self)
        object.__setattr__(same, "fed", fed)
        object.__setattr__(same, "fed_at", fed_at)
        return same

    def made_of(self, code: str) -> tuple[int, int]:
        """Where the newest prices of a fund were stored, its own and those of feeds."""
        return self.funds[self.index[code]].nav_position, self.fed.get(code, 0)

    def differs_in_prices_alone(self, other: "Catalogue") -> bool:
        """Whether one came of the other, and is the same for all that no price decides."""
        return self._sets is other._sets  # noqa: SLF001 - of the same class

    def find(self, code: str) -> Fund | None:
        place = self.index.get(code)
        return None if place is None else self.funds[place]

    def where(self, name: str, value: object, holds: Callable[[Fund], bool]) -> FundSet:
        """The funds of which something holds; kept under its name and value."""
        key = (name, value)
        found = self._sets.get(key)
        if found is None:
            found = self._sets[key] = _set_of(map(holds, self.funds))
        return found

    def of_manager(self, manager: str) -> FundSet:
        return self._managers.get(manager, 0)

    def of_theme(self, theme: str) -> FundSet:
        return self._themes.get(theme, 0)

    def above(self, level: RiskLevel) -> FundSet:
        return self.where("above", level, lambda fund: fund.level > level)

    def out_of_reach(self, amount_minor: int) -> FundSet:
        """Those whose least first purchase is above the amount."""
        return self.everything & ~_found(self._minima, amount_minor)

    def capped_below(self, amount_minor: int) -> FundSet:
        """Those that take less than the amount from one investor and day."""
        return _found(self._caps, amount_minor - 1)

    def only(self, codes: Iterable[str]) -> FundSet:
        return sum(1 << self.index[code] for code in set(codes) if code in self.index)

    def codes_of(self, funds: FundSet) -> tuple[str, ...]:
        """In the order of codes. Most sets are those of many investors: they are kept."""
        if not funds:
            return ()
        found = self._codes.get(funds)
        if found is None:
            if len(self._codes) >= SETS_KEPT:
                self._codes.clear()
            found = self._codes[funds] = tuple(compress(self.codes, _flags(funds)))
        return found

    def flags(self, funds: FundSet) -> bytes:
        """1 or 0 for each fund in the order of codes: asking many is quicker than by bits."""
        found = self._flags.get(funds)
        if found is None:
            if len(self._flags) >= SETS_KEPT:
                self._flags.clear()
            found = self._flags[funds] = _flags(funds).ljust(len(self.funds), b"\x00")
        return found

    def fee_millionths(self, place: int, days: int) -> int:
        """`Fund.fee_millionths` of the fund at a place; worked out once."""
        (fee,) = self.fees_millionths((place,), days)
        return fee

    def fees_millionths(self, places: Iterable[int], days: int) -> Sequence[int]:
        """Those of funds at many places."""
        kept = self._fees.get(days)
        if kept is None:
            if len(self._fees) >= HORIZONS_KEPT:
                self._fees.clear()
            kept = self._fees[days] = {}
        found = []
        for place in places:
            fee = kept.get(place)
            if fee is None:
                fee = kept[place] = self.funds[place].fee_millionths(days)
            found.append(fee)
        return found

    def has(self, funds: FundSet, code: str) -> bool:
        place = self.index.get(code)
        return place is not None and bool(funds >> place & 1)


def _are_alike(old: Fund, new: Fund) -> bool:
    """Whether two states of a fund are in the same sets, whatever is checked, and cost the same."""
    priced = replace(
        new,
        nav=old.nav,
        nav_position=old.nav_position,
        nav_day=old.nav_day,
        revision=old.revision,
    )
    return old == priced and (old.nav_day is None) == (new.nav_day is None)


def _set_of(held: Iterable[bool]) -> FundSet:
    """Whether of each fund in the order of codes."""
    bits = bytes(held).translate(_DIGITS).decode()
    return int(bits[::-1] or "0", 2)


def _flags(funds: FundSet) -> bytes:
    """1 or 0 for each fund up to the last in the set."""
    return bin(funds)[:1:-1].encode().translate(_BITS)


def _by_name(names: Iterable[str]) -> Mapping[str, FundSet]:
    """The funds of each name, given in the order of codes; of the empty one none."""
    found: dict[str, FundSet] = {}
    for place, name in enumerate(names):
        if name:
            found[name] = found.get(name, 0) | 1 << place
    return found


def _up_to(numbers: Iterable[tuple[int, int]]) -> Sequence[tuple[int, FundSet]]:
    """For each number that occurs, the places of all up to it."""
    places: dict[int, FundSet] = {}
    for place, number in numbers:
        places[number] = places.get(number, 0) | 1 << place
    reached = 0
    steps = []
    for number in sorted(places):
        reached |= places[number]
        steps.append((number, reached))
    return tuple(steps)


def _found(steps: Sequence[tuple[int, FundSet]], number: int) -> FundSet:
    place = bisect_right(steps, number, key=lambda each: each[0])
    return steps[place - 1][1] if place else 0
