"""What an investor wants of advice, and never; and what of it cannot be."""

from collections.abc import Sequence
from dataclasses import dataclass

from libs.decider import FieldViolation

HORIZON_MAX_MONTHS = 720
WHOLE = 10_000


@dataclass(frozen=True, slots=True)
class Preferences:
    """What is wanted, and what never. Shares in ten-thousandths of what is invested."""

    horizon_months: int = 36
    currency: str = "CNY"
    goal: str = "GOAL_GROWTH"
    target_minor: int = 0
    wanted_themes: tuple[str, ...] = ()
    excluded_themes: tuple[str, ...] = ()
    excluded_managers: tuple[str, ...] = ()
    excluded_funds: tuple[str, ...] = ()
    needed_within_year: int = 0
    needed_within_three_years: int = 0


def wrong_in(wanted: Preferences) -> Sequence[FieldViolation]:
    """The fields to mend; none where all can be."""
    return [
        FieldViolation(f"preferences.{name}", text)
        for name, text, is_wrong in (
            (
                "horizon_months",
                f"must be 1 to {HORIZON_MAX_MONTHS}",
                not 1 <= wanted.horizon_months <= HORIZON_MAX_MONTHS,
            ),
            ("currency", "must be three capital letters", not _is_currency(wanted.currency)),
            ("goal", "is no goal", not wanted.goal.startswith("GOAL_")),
            ("target_minor", "must not be negative", wanted.target_minor < 0),
            (
                "needed_within_year",
                "shares must be 0 to 10000 together",
                not _is_share(wanted.needed_within_year, wanted.needed_within_three_years),
            ),
            (
                "wanted_themes",
                "is excluded too",
                bool(set(wanted.wanted_themes) & set(wanted.excluded_themes)),
            ),
        )
        if is_wrong
    ]


def _is_currency(code: str) -> bool:
    return len(code) == 3 and code.isascii() and code.isalpha() and code.isupper()  # noqa: PLR2004 - ISO 4217


def _is_share(*shares: int) -> bool:
    return min(shares) >= 0 and sum(shares) <= WHOLE
