"""Whether what was advised may still be bought: every check again, on what is known now."""

from typing import Final

from services.recommendations.domain.catalogue import Catalogue
from services.recommendations.domain.eligibility import (
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


def refused_now(catalogue: Catalogue, state: State, code: str, asked: Asked, now_us: int) -> str:
    """The first check that a purchase fails now; empty: it stands."""
    if catalogue.find(code) is None:
        return FUND_NOT_OPEN
    judged = judge(catalogue, state, Holdings(), asked, now_us)
    return next((c for c in judged.codes_of(catalogue, code) if c not in _NOT_AGAIN), "")
