"""Who may post to what kind of account, open it, and date it back."""

from dataclasses import dataclass
from functools import cache

from services.accounts.domain.kinds import KINDS, Kind

BACKDATE_DAYS = 30
# A bank states the day its money counts; at a week's end that lies ahead of our business date.
BANK_AHEAD_DAYS = 10


@dataclass(frozen=True, slots=True)
class Caller:
    """Rights of one caller. `name` is the scope of its ids.

    `completes`: what it posts was decided before and its means were set aside: nothing that has
    come since, no freeze, no bound, no locked day, may stop it.
    """

    name: str
    posts_to: frozenset[Kind] = frozenset()
    opens: frozenset[Kind] = frozenset()
    backdate_days: int = 0
    ahead_days: int = 0
    may_hold_for_ever: bool = False
    completes: bool = False


_CUSTOMERS = frozenset({Kind.CUSTOMER_WALLET, Kind.MERCHANT})
_IN_TRANSIT = frozenset({Kind.IN_TRANSIT_OUT, Kind.IN_TRANSIT_IN})
_SUSPENSE = frozenset({Kind.SUSPENSE_LONG, Kind.SUSPENSE_SHORT})
_OURS = frozenset({Kind.FEE_INCOME, Kind.FX_POSITION})
_FUNDS = frozenset({Kind.FUND_CLEARING, Kind.ADVANCE})


@cache
def caller_of(name: str, role: str) -> Caller:
    """The rights of an authenticated caller; who is in no table may neither post nor open."""
    match role, name:
        case "service", "payments":
            posts = _CUSTOMERS | _IN_TRANSIT | _OURS | _FUNDS | {Kind.CLEARING}
            return Caller(name, posts, _CUSTOMERS | _OURS, BACKDATE_DAYS, 0, may_hold_for_ever=True)
        case "service", "settlement":
            banks = _IN_TRANSIT | _SUSPENSE | {Kind.BANK_MIRROR, Kind.HOUSE}
            posts = banks | {Kind.CLEARING, Kind.MERCHANT}
            opens = banks | {Kind.FEE_INCOME}
            return Caller(
                name, posts, opens, BACKDATE_DAYS, BANK_AHEAD_DAYS, may_hold_for_ever=True
            )
        case "service", "funds":
            opens = _FUNDS | _SUSPENSE | {Kind.FEE_INCOME}
            return Caller(name, _CUSTOMERS | opens, opens, BACKDATE_DAYS, may_hold_for_ever=True)
        case "wallet", _:
            return Caller(name, _CUSTOMERS, _CUSTOMERS)
        case "operator", _:
            return Caller(name, frozenset(), KINDS - {Kind.CLEARING})
        case _:
            return Caller(name)
