"""Placing a fund order: all that is checked before anything is recorded, in order."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum, auto
from uuid import UUID

from libs.decider import FieldViolation, Rejected
from libs.fund_arithmetic import shares_for, value_of
from libs.ids import is_uuid7, time_ms
from libs.money import MINOR_MAX, Money
from libs.suitability import Suitability, suitability
from services.funds.domain import fund as funds
from services.funds.domain.holding_lifecycle import Holding
from services.funds.domain.investor import Investor
from services.funds.domain.order_lifecycle import Event, Placed, SuitabilityPassed
from services.funds.domain.order_terms import (
    DividendModeChange,
    FastRedemption,
    Redemption,
    RegistrarMovement,
    Subscription,
    Switching,
    Terms,
    asked_shares,
    business_code,
    target_of,
)
from services.funds.domain.product import FundStatus, RegisterModel

# How far the time inside an id may be ahead of ours, in milliseconds (ledger, section 2).
ID_AHEAD_MAX_MS = 300_000


class Reason(Enum):
    """Every refusal of an order; ISO 20022 names of them are in `iso_names`."""

    ID_MALFORMED = auto()
    FIELD_NOT_ALLOWED = auto()
    AMOUNT_NOT_POSITIVE = auto()
    AMOUNT_OUT_OF_RANGE = auto()
    SHARES_NOT_POSITIVE = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    ID_FROM_FUTURE = auto()
    UNKNOWN_FUND = auto()
    CURRENCY_DIFFERS = auto()
    FUND_CLOSED = auto()
    SUBSCRIPTION_SUSPENDED = auto()
    REDEMPTION_SUSPENDED = auto()
    SWITCH_NOT_ALLOWED = auto()
    MODE_IS_NOMINEES = auto()
    FAST_NOT_OFFERED = auto()
    CALENDAR_UNKNOWN = auto()
    INVESTOR_NOT_IDENTIFIED = auto()
    SUITABILITY_PROFILE_EXPIRED = auto()
    SUITABILITY_NEVER = auto()
    SUITABILITY_NOT_OWN_INITIATIVE = auto()
    SUITABILITY_WARNING_NEEDED = auto()
    SECOND_CONFIRMATION_NEEDED = auto()
    BELOW_MINIMUM = auto()
    ABOVE_MAXIMUM = auto()
    HOLDING_CAP = auto()
    BELOW_MINIMUM_REDEMPTION = auto()
    SHARES_NOT_FREE = auto()
    LOCKED_IN = auto()
    REMAINDER_TOO_SMALL = auto()
    FAST_LIMIT = auto()
    ORDER_NOT_FOUND = auto()
    ORDER_STATE = auto()
    CUTOFF_PASSED = auto()
    ALREADY_CONFIRMED = auto()
    UNKNOWN_ORDER = auto()
    CONFIRMATION_DIFFERS = auto()
    CONFIRMED_ABOVE_ASKED = auto()
    ROW_UNKNOWN = auto()
    CONTRADICTS_RECORD = auto()


@dataclass(frozen=True, slots=True)
class Setting:
    """What an order is placed into. `trade_date` is none where a day it needs is unknown."""

    fund: funds.Fund
    holding: Holding
    investor: Investor
    today: date
    trade_date: date | None
    # Of a switch: the fund that is entered.
    target: funds.Fund = field(default_factory=funds.Absent)


def check_shape(order_id: str, terms: Terms) -> None:
    """What is wrong with the request by itself."""
    if not is_uuid7(order_id):
        raise violation(Reason.ID_MALFORMED, "order_id", "not a UUIDv7 in canonical form")
    match terms.kind:
        case RegistrarMovement():
            raise violation(Reason.FIELD_NOT_ALLOWED, "terms.kind", "only a registrar begins it")
        case Subscription(amount=Money(minor=minor)):
            path = "terms.kind.amount.minor_units"
            if minor <= 0:
                raise violation(Reason.AMOUNT_NOT_POSITIVE, path, "must be above 0")
            if minor > MINOR_MAX:
                raise violation(Reason.AMOUNT_OUT_OF_RANGE, path, "over 18 digits")
    if target_of(terms.kind) == terms.kind.fund_code:
        path = "terms.kind.target_code"
        raise violation(Reason.SWITCH_NOT_ALLOWED, path, "is the fund that is left")
    has_shares = not isinstance(terms.kind, Subscription | DividendModeChange)
    if has_shares and asked_shares(terms.kind) <= 0:
        raise violation(Reason.SHARES_NOT_POSITIVE, "terms.kind.shares", "must be above 0")
    if has_shares and asked_shares(terms.kind) > MINOR_MAX:
        raise violation(Reason.AMOUNT_OUT_OF_RANGE, "terms.kind.shares", "over 18 digits")


def check_time(order_id: str, now_us: int) -> None:
    if time_ms(UUID(order_id)) > now_us // 1000 + ID_AHEAD_MAX_MS:
        raise Rejected(Reason.ID_FROM_FUTURE, "the time inside the id is too far ahead")


def as_placed(terms: Terms, setting: Setting) -> Terms:
    """A switch between registrars, or registers, as what it is: redeemed here, bought there."""
    kind, fund, target = terms.kind, setting.fund, setting.target
    if not isinstance(kind, Switching):
        return terms
    if isinstance(fund, funds.Absent) or isinstance(target, funds.Absent):
        return terms
    if _is_within(fund, target):
        return terms
    crossing = Redemption(kind.fund_code, kind.shares, kind.remainder, kind.target_code)
    return replace(terms, kind=crossing)


def _is_within(left: funds.Listed, entered: funds.Listed) -> bool:
    """Whether one registrar can switch from one of its accounts into the same."""
    one, other = left.terms, entered.terms
    return (one.ta_id, one.register_model) == (other.ta_id, other.register_model)


def place(placed: Placed, setting: Setting) -> Sequence[Event]:
    """The events of an order that is in order; `placed` without what the fund adds."""
    terms, kind = placed.terms, placed.terms.kind
    fund = _listed(setting.fund, "terms.kind.fund_code")
    if isinstance(kind, Subscription) and kind.amount.currency != fund.terms.currency:
        path = "terms.kind.amount.currency_code"
        raise violation(Reason.CURRENCY_DIFFERS, path, f"the fund is in {fund.terms.currency}")
    _check_open(kind, fund)
    bought = fund
    if target_of(kind):
        bought = _listed(setting.target, "terms.kind.target_code")
        _check_switch(fund, bought, is_one_order=isinstance(kind, Switching))
    is_shared = fund.terms.register_model is RegisterModel.OMNIBUS
    if isinstance(kind, DividendModeChange) and is_shared:
        # One mode of the one account: nobody changes it for all the others.
        raise Rejected(Reason.MODE_IS_NOMINEES, "dividends come to all of its holders alike")
    if isinstance(kind, FastRedemption):
        is_offered = fund.terms.is_money_fund and fund.terms.advancing_bank_id
        if not is_offered:
            raise Rejected(Reason.FAST_NOT_OFFERED, "no bank advances for this fund")
    if setting.trade_date is None:
        raise Rejected(Reason.CALENDAR_UNKNOWN, "a day it needs is past what is known")
    if isinstance(kind, Subscription) or bought is not fund:
        passed = check_suitability(terms, bought, setting.investor, setting.today)
    else:
        passed = _selling(terms, fund, setting.investor)
    shares = 0
    match kind:
        case Subscription(amount=amount):
            _check_purchase(amount.minor, fund, setting.holding, setting.trade_date)
        case Redemption(shares=asked) | Switching(shares=asked) | FastRedemption(shares=asked):
            is_whole = not isinstance(kind, FastRedemption)
            shares = _check_sale(asked, fund, setting, may_take_more=is_whole)
    if isinstance(kind, FastRedemption):
        _check_fast(kind, fund, setting)
    begun = Placed(
        placed.order_id,
        terms,
        placed.caller,
        placed.place_us,
        fund.terms.ta_id,
        placed.serial,
        business_code(terms, is_raising=fund.status is FundStatus.RAISING),
        shares,
        is_limited=isinstance(kind, Subscription) and fund.terms.limits.daily_minor > 0,
        cooling_off_h=fund.terms.cooling_off_h if isinstance(kind, Subscription) else 0,
    )
    return [begun, passed]


def check_suitability(
    terms: Terms, fund: funds.Listed, investor: Investor, today: date
) -> SuitabilityPassed:
    """The decision with all it stands on (funds, section 12)."""
    profile = investor.profile
    if profile is None:
        raise Rejected(Reason.INVESTOR_NOT_IDENTIFIED, "no class is known of this investor")
    if profile.valid_until < today:
        told = f"the profile was valid until {profile.valid_until}"
        raise Rejected(Reason.SUITABILITY_PROFILE_EXPIRED, told)
    level = fund.terms.risk_level
    cell = suitability(profile.investor_class, level)
    told = f"{profile.investor_class.name} may not buy {level.name}"
    if cell is Suitability.NEVER:
        raise Rejected(Reason.SUITABILITY_NEVER, told)
    if cell is Suitability.WARN:
        if terms.recommendation_id or terms.plan_id:
            raise Rejected(Reason.SUITABILITY_NOT_OWN_INITIATIVE, f"{told} unasked")
        _check_warning(terms, fund, investor)
    if cell is Suitability.WARN or fund.terms.asks_second_confirmation:
        _check_second(terms, fund, investor)
    return SuitabilityPassed(
        profile.investor_class,
        profile.kind,
        level,
        profile.profile_version,
        fund.version,
        terms.warning_id,
        terms.second_confirmation_id,
        terms.recommendation_id,
    )


def violation(reason: Reason, path: str, told: str) -> Rejected:
    return Rejected(reason, f"{path}: {told}", [FieldViolation(path, told)])


def _check_warning(terms: Terms, fund: funds.Listed, investor: Investor) -> None:
    warning = investor.warning(terms.warning_id) if terms.warning_id else None
    profile = investor.profile
    # It warned of this level, and of the class that it is still about.
    is_about_it = (
        warning is not None
        and profile is not None
        and warning.fund_code == fund.terms.code
        and warning.risk_level is fund.terms.risk_level
        and warning.investor_class is profile.investor_class
    )
    if not is_about_it:
        told = "a warning about this level must be acknowledged first"
        raise violation(Reason.SUITABILITY_WARNING_NEEDED, "terms.warning_id", told)


def _check_second(terms: Terms, fund: funds.Listed, investor: Investor) -> None:
    given = terms.second_confirmation_id
    found = investor.confirmation(given) if given else None
    is_same = found is not None and found.fund_code == fund.terms.code
    if not is_same or (found is not None and found.warning_id != terms.warning_id):
        path = "terms.second_confirmation_id"
        raise violation(Reason.SECOND_CONFIRMATION_NEEDED, path, "must be confirmed again first")


def _selling(terms: Terms, fund: funds.Listed, investor: Investor) -> SuitabilityPassed:
    # Selling is never refused for suitability; what is known is kept with the order all the same.
    profile = investor.profile
    return SuitabilityPassed(
        profile.investor_class if profile is not None else None,
        investor.kind,
        fund.terms.risk_level,
        profile.profile_version if profile is not None else "",
        fund.version,
        recommendation_id=terms.recommendation_id,
    )


def _listed(fund: funds.Fund, path: str) -> funds.Listed:
    if isinstance(fund, funds.Absent):
        raise violation(Reason.UNKNOWN_FUND, path, "no such fund is in the catalogue")
    return fund


def _check_open(kind: object, fund: funds.Listed) -> None:
    status = fund.status
    is_selling = isinstance(kind, Redemption | Switching | FastRedemption)
    if status is FundStatus.CLOSED or (status is FundStatus.RAISING and is_selling):
        raise Rejected(Reason.FUND_CLOSED, f"the fund is {status.name}")
    if status is FundStatus.PAUSED_IN and isinstance(kind, Subscription):
        raise Rejected(Reason.SUBSCRIPTION_SUSPENDED, "nobody may buy it now")
    if status is FundStatus.PAUSED_OUT and is_selling:
        raise Rejected(Reason.REDEMPTION_SUSPENDED, "nobody may sell it now")


def _check_switch(left: funds.Listed, entered: funds.Listed, *, is_one_order: bool) -> None:
    one, other = left.terms, entered.terms
    if one.currency != other.currency:
        raise Rejected(Reason.SWITCH_NOT_ALLOWED, "the funds have not one currency")
    if is_one_order is not _is_within(left, entered):
        raise Rejected(Reason.SWITCH_NOT_ALLOWED, "their registrar switches them in one order")
    # Of two registrars neither switches: the one redeems, the other sells.
    may_switch = one.is_switch_allowed and other.is_switch_allowed
    if is_one_order and not may_switch:
        raise Rejected(Reason.SWITCH_NOT_ALLOWED, "one of the funds does not switch")
    if entered.status is FundStatus.PAUSED_IN:
        raise Rejected(Reason.SUBSCRIPTION_SUSPENDED, "nobody may enter the target now")
    if entered.status is not FundStatus.OPEN and entered.status is not FundStatus.PAUSED_OUT:
        raise Rejected(Reason.FUND_CLOSED, f"the target is {entered.status.name}")


def _check_purchase(
    amount_minor: int, fund: funds.Listed, holding: Holding, trade_date: date
) -> None:
    limits, path = fund.terms.limits, "terms.kind.amount.minor_units"
    least = limits.top_up_minor if holding.shares else limits.first_minor
    if amount_minor < least:
        raise violation(Reason.BELOW_MINIMUM, path, f"at least {least}")
    left = limits.daily_minor - holding.purchased(trade_date)
    if limits.daily_minor and amount_minor > left:
        raise violation(Reason.ABOVE_MAXIMUM, path, f"{left} are left for {trade_date}")
    if limits.holding_shares:
        # The price is not known yet: the latest one tells about how many shares it will be.
        nav = fund.latest_nav
        more = shares_for(amount_minor, nav.nav, fund.terms.scales) if nav is not None else 0
        if holding.shares + more > limits.holding_shares:
            told = f"at most {limits.holding_shares} shares are held"
            raise violation(Reason.HOLDING_CAP, path, told)


def _check_sale(shares: int, fund: funds.Listed, setting: Setting, *, may_take_more: bool) -> int:
    """The shares that leave: those asked for, or all where too few would be left."""
    limits, holding, path = fund.terms.limits, setting.holding, "terms.kind.shares"
    if shares < limits.redeem_shares and shares != holding.shares:
        raise violation(Reason.BELOW_MINIMUM_REDEMPTION, path, f"at least {limits.redeem_shares}")
    if shares > holding.free:
        raise violation(Reason.SHARES_NOT_FREE, path, f"{holding.free} are free")
    unlocked = holding.unlocked(setting.today, limits.lock_days)
    if shares > unlocked:
        raise violation(Reason.LOCKED_IN, path, f"{unlocked} can be redeemed now")
    left = holding.shares - shares
    if 0 < left < limits.remaining_shares and may_take_more:
        is_all_free = holding.shares == unlocked
        if not limits.sells_remainder or not is_all_free:
            raise violation(Reason.REMAINDER_TOO_SMALL, path, f"{left} would be left")
        return holding.shares
    return shares


def _check_fast(kind: FastRedemption, fund: funds.Listed, setting: Setting) -> None:
    # Told early; it is the holding that decides when the shares are set aside.
    scales = fund.terms.scales
    amount = value_of(kind.shares, 10**fund.terms.nav_scale, scales)
    left = fund.terms.limits.fast_daily_minor - setting.holding.fast_used(setting.today)
    if amount > left:
        raise violation(
            Reason.FAST_LIMIT, "terms.kind.shares", f"{left} minor units are left today"
        )
