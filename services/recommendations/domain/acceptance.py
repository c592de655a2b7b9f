"""Whether what was advised may still be bought: every check again, on what is known now."""

from typing import Final

from services.recommendations.domain.catalogue import Catalogue
from services.recommendations.domain.eligibility import (
    BELOW_MINIMUM,
    CONCENTRATION,
    DATA_STALE,
    FUND_NOT_OPEN,
    Asked,
    Holdings,
    judge,
)
from services.recommendations.domain.investor_lifecycle import State

# An order that comes after the advice may be of any amount, and may add to what is held.
_NOT_AGAIN: Final = frozenset({CONCENTRATION, DATA_STALE})


def refused_now(
    catalogue: Catalogue, state: State, code: str, asked: Asked, now_us: int, *, is_held: bool
) -> str:
    """The first check that a purchase fails now; empty: it stands."""
    fund = catalogue.find(code)
    if fund is None:
        return FUND_NOT_OPEN
    passed = _NOT_AGAIN
    if is_held and asked.amount_minor is not None and asked.amount_minor >= fund.top_up_minor:
        # The least of a first purchase is not asked of who has some.
        passed |= {BELOW_MINIMUM}
    judged = judge(catalogue, state, Holdings(), asked, now_us)
    return next((c for c in judged.codes_of(catalogue, code) if c not in passed), "")
