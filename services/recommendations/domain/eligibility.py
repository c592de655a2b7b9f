"""Which funds this investor may be advised to buy: nine checks, all run, no model among them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from libs.suitability import InvestorClass, RiskLevel, highest_level
from services.recommendations.domain.catalogue import Catalogue, Fund, FundSet
from services.recommendations.domain.investor_lifecycle import Investor, State, class_at
from services.recommendations.domain.preferences import Preferences

DAY_US: Final = 86_400_000_000
DAYS_OF_MONTH: Final = 30
# The order of checks is the order in which a refusal is told. Adding one never removes one.
PROFILE_MISSING: Final[str] = "PROFILE_MISSING"
PROFILE_EXPIRED: Final[str] = "PROFILE_EXPIRED"
NO_CONSENT: Final[str] = "NO_CONSENT"
ACCOUNT_BLOCKED: Final[str] = "ACCOUNT_BLOCKED"
ABOVE_CLASS: Final[str] = "ABOVE_CLASS"
FUND_NOT_OPEN: Final[str] = "FUND_NOT_OPEN"
CALENDAR_UNKNOWN: Final[str] = "CALENDAR_UNKNOWN"
BELOW_MINIMUM: Final[str] = "BELOW_MINIMUM"
PURCHASE_CAP: Final[str] = "PURCHASE_CAP"
CURRENCY: Final[str] = "CURRENCY"
HORIZON: Final[str] = "HORIZON"
CONCENTRATION: Final[str] = "CONCENTRATION"
PRODUCT_EXCLUDED: Final[str] = "PRODUCT_EXCLUDED"
DATA_STALE: Final[str] = "DATA_STALE"
INVESTOR_EXCLUDED: Final[str] = "INVESTOR_EXCLUDED"
CODES: Final = (
    PROFILE_MISSING,
    PROFILE_EXPIRED,
    NO_CONSENT,
    ACCOUNT_BLOCKED,
    ABOVE_CLASS,
    FUND_NOT_OPEN,
    CALENDAR_UNKNOWN,
    BELOW_MINIMUM,
    PURCHASE_CAP,
    CURRENCY,
    HORIZON,
    CONCENTRATION,
    PRODUCT_EXCLUDED,
    DATA_STALE,
    INVESTOR_EXCLUDED,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What is uncertain stays told: a version of the constraint set carries these."""

    stale_sessions: int = 3
    least_age_days: int = 182
    # Shares of the holdings after the purchase, in millionths.
    per_fund: int = 300_000
    per_manager: int = 400_000
    per_theme: int = 400_000


LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is held, by fund, and bought today: minor units."""

    value_minor: Mapping[str, int] = field(default_factory=dict)
    bought_today_minor: Mapping[str, int] = field(default_factory=dict)

    def in_currency(self, catalogue: Catalogue, currency: str) -> "Holdings":
        """Funds of one currency alone: values of several are never added."""
        values = {
            code: value
            for code, value in self.value_minor.items()
            if (fund := catalogue.find(code)) is not None and fund.currency == currency
        }
        return self if len(values) == len(self.value_minor) else replace(self, value_minor=values)

    @property
    def total_minor(self) -> int:
        """Of holdings in one currency."""
        return sum(self.value_minor.values())


@dataclass(frozen=True, slots=True)
class Asked:
    """What the purchase would be. `amount_minor` None: any amount would do."""

    amount_minor: int | None = None
    currency: str = ""
    # A portfolio buys a part of the amount in each fund, so the whole of it is no measure there.
    is_split: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """The candidates, and for each code the funds it refuses; in the order of the checks."""

    eligible: FundSet
    refused: Mapping[str, FundSet]

    def first_code(self, catalogue: Catalogue, code: str) -> str:
        """The reason shown for one fund; empty: it is eligible."""
        return next((c for c, funds in self.refused.items() if catalogue.has(funds, code)), "")

    def codes_of(self, catalogue: Catalogue, code: str) -> Sequence[str]:
        """All reasons against one fund."""
        return [c for c, funds in self.refused.items() if catalogue.has(funds, code)]


def whole_refusal(state: State, now_us: int) -> str:
    """Why there is no advice at all for this investor; empty: there may be."""
    return next(iter(_of_investor(state, now_us)), "")


def judge(
    catalogue: Catalogue,
    state: State,
    holdings: Holdings,
    asked: Asked,
    now_us: int,
    limits: Limits = LIMITS,
) -> Judged:
    """Run all checks. The same arguments give the same answer, whatever any score says."""
    refused: dict[str, FundSet] = dict.fromkeys(_of_investor(state, now_us), catalogue.everything)
    found = class_at(state, now_us) if isinstance(state, Investor) else None
    if isinstance(state, Investor) and found is not None:
        refused |= {
            code: funds for code, funds in _of_funds(catalogue, found, asked, limits) if funds
        }
        refused |= {
            code: funds
            for code, funds in _of_both(catalogue, state.preferences, holdings, asked, limits)
            if funds
        }
    against = 0
    for funds in refused.values():
        against |= funds
    ordered: dict[str, FundSet] = {code: refused[code] for code in CODES if code in refused}
    return Judged(catalogue.everything & ~against, ordered)


def prepare(catalogue: Catalogue, limits: Limits = LIMITS) -> None:
    """Make the sets that most investors ask for, before one does."""
    for found in InvestorClass:
        for _, funds in _of_funds(catalogue, found, Asked(), limits):
            catalogue.codes_of(funds)
    for _ in _of_both(catalogue, Preferences(), Holdings(), Asked(), limits):
        pass


def _of_investor(state: State, now_us: int) -> Iterator[str]:
    if not isinstance(state, Investor) or state.is_forgotten:
        yield PROFILE_MISSING
        return
    if class_at(state, now_us) is None:
        yield PROFILE_MISSING if state.profile is None else PROFILE_EXPIRED
    if not state.has_consent:
        yield NO_CONSENT
    if state.blocked_cause:
        yield ACCOUNT_BLOCKED


def _of_funds(
    catalogue: Catalogue, found: InvestorClass, asked: Asked, limits: Limits
) -> Iterator[tuple[str, FundSet]]:
    where = catalogue.where
    yield ABOVE_CLASS, catalogue.above(_highest(found))
    yield FUND_NOT_OPEN, where("closed", (), lambda fund: not fund.is_open)
    yield CALENDAR_UNKNOWN, where("no calendar", (), lambda fund: not fund.has_calendar)
    if asked.amount_minor is not None:
        yield BELOW_MINIMUM, catalogue.out_of_reach(asked.amount_minor)
    yield (
        PRODUCT_EXCLUDED,
        where(
            "excluded", limits.least_age_days, lambda fund: _is_excluded(fund, catalogue, limits)
        ),
    )
    yield (
        DATA_STALE,
        where(
            "stale",
            limits.stale_sessions,
            lambda fund: fund.nav_day is None or fund.sessions_behind > limits.stale_sessions,
        ),
    )


def _highest(found: InvestorClass) -> RiskLevel:
    return highest_level(found)


def _is_excluded(fund: Fund, catalogue: Catalogue, limits: Limits) -> bool:
    is_young = (
        fund.inception_day is None or catalogue.today - fund.inception_day < limits.least_age_days
    )
    return fund.is_liquidating or fund.is_gated or is_young


def _of_both(
    catalogue: Catalogue, wanted: Preferences, holdings: Holdings, asked: Asked, limits: Limits
) -> Iterator[tuple[str, FundSet]]:
    where = catalogue.where
    currency = asked.currency or wanted.currency
    yield PURCHASE_CAP, _capped(catalogue, holdings, asked)
    yield CURRENCY, where("not in", currency, lambda fund: fund.currency != currency)
    days = wanted.horizon_months * DAYS_OF_MONTH
    yield HORIZON, where("longer than", days, lambda fund: fund.least_days > days)
    added = 0 if asked.is_split else asked.amount_minor or 0
    held = holdings.in_currency(catalogue, currency)
    yield CONCENTRATION, _concentrated(catalogue, held, added, limits)
    excluded = catalogue.only(wanted.excluded_funds)
    for manager in wanted.excluded_managers:
        excluded |= catalogue.of_manager(manager)
    for theme in wanted.excluded_themes:
        excluded |= catalogue.of_theme(theme)
    yield INVESTOR_EXCLUDED, excluded


def _capped(catalogue: Catalogue, holdings: Holdings, asked: Asked) -> FundSet:
    """No room under the daily cap for the amount, or for the least purchase."""
    whole = 0 if asked.is_split else asked.amount_minor or 0
    full = [
        code
        for code, bought in holdings.bought_today_minor.items()
        if (fund := catalogue.find(code)) is not None
        and fund.daily_minor
        and fund.daily_minor - bought < max(fund.top_up_minor, whole, 1)
    ]
    return catalogue.only(full) | catalogue.capped_below(whole)


def _concentrated(
    catalogue: Catalogue, holdings: Holdings, amount_minor: int, limits: Limits
) -> FundSet:
    """Funds whose purchase would leave too much in one fund, manager or theme; money is exempt."""
    total = holdings.total_minor + amount_minor
    if not holdings.value_minor or total <= 0:
        return 0
    managers: dict[str, int] = {}
    themes: dict[str, int] = {}
    over: FundSet = 0
    for code, value in holdings.value_minor.items():
        fund = catalogue.find(code)
        if fund is None or fund.is_money:
            continue
        managers[fund.manager] = managers.get(fund.manager, 0) + value
        if fund.theme:
            themes[fund.theme] = themes.get(fund.theme, 0) + value
        if (value + amount_minor) * 1_000_000 > limits.per_fund * total:
            over |= catalogue.only((code,))
    money = catalogue.where("money", (), lambda fund: fund.is_money)
    for manager, value in managers.items():
        if (value + amount_minor) * 1_000_000 > limits.per_manager * total:
            over |= catalogue.of_manager(manager)
    for theme, value in themes.items():
        if (value + amount_minor) * 1_000_000 > limits.per_theme * total:
            over |= catalogue.of_theme(theme)
    return over & ~money
