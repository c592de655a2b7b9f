"""What an investor put into themes lately: one function for answers, for training and for proof."""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from services.recommendations.domain.facts import MILLION, Fact, Kind, by_currency, known
from services.recommendations.domain.measures import faded

HALF_LIFE_DAYS: Final = 30.0
# A currency, and a theme of funds in it: amounts of different currencies are never added.
Themed: TypeAlias = tuple[str, str]


def amounts_by_theme(part: Iterable[Fact], at_us: int) -> Mapping[str, int]:
    """Millionths of minor units bought of each theme, half as much for every 30 days since.

    All are of one currency. The empty theme is of funds that nothing is told of.
    """
    parts: dict[str, list[tuple[int, float]]] = {}
    for fact in part:
        if fact.kind == Kind.BOUGHT.value:
            parts.setdefault(fact.theme, []).append((fact.business_us, float(fact.amount)))
    return {
        theme: round(faded(seen, at_us, HALF_LIFE_DAYS) * MILLION)
        for theme, seen in sorted(parts.items())
    }


def theme_shares(
    facts: Iterable[Fact], at_us: int, currencies: Mapping[str, str]
) -> Mapping[Themed, int]:
    """Of what was bought lately in a currency, the share (millionths) of each theme.

    `currencies`: of funds, by code. Counts what had happened and was recorded by then.
    """
    found: dict[Themed, int] = {}
    for currency, part in by_currency(known(facts, at_us), currencies).items():
        amounts = amounts_by_theme(part, at_us)
        total = sum(amounts.values())
        for theme, amount in amounts.items():
            if theme and amount:
                found[currency, theme] = amount * MILLION // total
    return found
