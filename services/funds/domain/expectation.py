"""What a registrar ought to confirm of an order at NAV_T, and where a row is something else."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from libs.fund_arithmetic import (
    RULES,
    DividendMode,
    Entering,
    FeeRules,
    InvestorKind,
    Leaving,
    Lot,
    Terms,
    dividend_cash,
    offer,
    redeem,
    reinvested,
    rules_on,
    subscribe,
    switch,
    value_of,
)
from services.funds.domain.fund import Dividend
from services.funds.domain.order_lifecycle import Difference
from services.funds.domain.order_terms import Confirmation
from services.funds.domain.product import FundTerms

# In the order in which they are told; a wrong price explains all that follows from it.
_REASONS = (
    ("NAV_DIFFERS", "nav"),
    ("NAV_DIFFERS", "target_nav"),
    ("UNITS_DIFFER", "shares"),
    ("UNITS_DIFFER", "target_shares"),
    ("AMOUNT_DIFFERS", "amount_minor"),
    ("FEE_MISMATCH", "fee_minor"),
    ("FEE_MISMATCH", "back_end_minor"),
    ("FEE_MISMATCH", "recuperate_fee_minor"),
)


@dataclass(frozen=True, slots=True)
class Expected:
    """The fields of a row that follow from the price, as a `Confirmation` has them."""

    nav: int
    shares: int
    amount_minor: int
    fee_minor: int = 0
    back_end_minor: int = 0
    target_nav: int = 0
    target_shares: int = 0
    recuperate_fee_minor: int = 0


def differences(row: Confirmation, expected: Expected) -> tuple[Difference, ...]:
    """Where the row is not what was expected; no tolerance (funds, section 14)."""
    return tuple(
        Difference(reason, name, ours, theirs)
        for reason, name in _REASONS
        if (ours := getattr(expected, name)) != (theirs := getattr(row, name))
    )


def expected_subscription(
    terms: FundTerms, amount_minor: int, nav: int, trade_date: date
) -> Expected:
    """Of an amount at NAV_T."""
    bought = subscribe(amount_minor, nav, terms.front_end_on(trade_date), terms.scales)
    return Expected(nav, bought.shares, amount_minor, bought.fee)


def expected_offering(
    terms: FundTerms, amount_minor: int, interest_minor: int, trade_date: date
) -> Expected:
    """Of an amount in the raising period, at 1.00."""
    front_end = terms.front_end_on(trade_date)
    bought = offer(amount_minor, interest_minor, front_end, terms.scales)
    return Expected(10**terms.nav_scale, bought.shares, amount_minor, bought.fee)


def expected_forced_redemption(terms: FundTerms, shares: int, nav: int) -> Expected:
    """Of shares that the registrar takes out by itself: no fee."""
    return Expected(nav, shares, value_of(shares, nav, terms.scales))


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose shares are sold: the lots, oldest first, and who the fee rules take the owner for."""

    lots: Sequence[Lot]
    kind: InvestorKind


def expected_redemption(
    terms: FundTerms,
    owner: Owner,
    shares: int,
    nav: int,
    days: tuple[date, date],
    rules: Sequence[FeeRules] = RULES,
) -> Expected:
    """Of shares at NAV_T; `days` are T and the confirm date. Raises `TooFewShares`."""
    sold = redeem(owner.lots, shares, nav, days[1], _redeeming(terms, owner, days, rules))
    return Expected(nav, shares, sold.net, sold.fee, sold.back_end)


def expected_switch(
    both: tuple[FundTerms, FundTerms],
    owner: Owner,
    shares: int,
    navs: tuple[int, int],
    days: tuple[date, date],
    rules: Sequence[FeeRules] = RULES,
) -> Expected:
    """Of shares out of the first fund at its NAV_T and into the second at its own."""
    (terms, target), (trade_date, confirm_date) = both, days
    leaving = Leaving(
        navs[0], _redeeming(terms, owner, days, rules), terms.front_end_on(trade_date)
    )
    entering = Entering(navs[1], target.front_end_on(trade_date), target.scales)
    done = switch(owner.lots, shares, confirm_date, leaving, entering)
    return Expected(
        navs[0],
        shares,
        done.redemption.net,
        done.redemption.fee,
        done.redemption.back_end,
        navs[1],
        done.shares_in,
        done.recuperate_fee,
    )


def expected_dividend(
    terms: FundTerms, dividend: Dividend, shares: int, mode: DividendMode, ex_nav: int
) -> Expected:
    """Of shares at the record date; a reinvested one says both the money and the new shares."""
    scales = terms.scales
    cash = dividend_cash(shares, dividend.per_share, dividend.per_share_scale, scales)
    if mode is DividendMode.CASH:
        return Expected(ex_nav, 0, cash)
    return Expected(ex_nav, reinvested(cash, ex_nav, scales), cash)


def agency_fee(terms: FundTerms, fee_minor: int, trade_date: date) -> int:
    """Our part of a front-end fee in minor units, rounded down: the rest is the manager's."""
    return fee_minor * terms.fees_on(trade_date).agency_share // 1_000_000


def _redeeming(
    terms: FundTerms, owner: Owner, days: tuple[date, date], rules: Sequence[FeeRules]
) -> Terms:
    trade_date, _ = days
    return Terms(
        terms.back_end_on(trade_date),
        terms.fund_type,
        owner.kind,
        rules_on(trade_date, rules),
        terms.scales,
    )
