"""A simulated population of buyers over funds made of real prices; for mechanics and for speed.

Real trades are not to be had (FAR-Trans' are not published with it), so these are drawn: tastes by
group, a taste for what rose lately, the crowd's own pull, and classes that are kept. What a ranker
gains here says how it works, not how it would do on people. The prices are real: each fund is a
fixed mixture of stocks of 1990-2022, so nothing in them was made up either.

The theme of a fund is the industry of most of it. By default nobody buys by themes: what a ranking
makes of them has to be nothing then. Where it is asked for, tastes are for themes, too, and it has
to be found.

Age and wealth are drawn too, so that it can be seen for whom a ranking is good. Wealth follows the
class as it does among a bank's real customers; age, what it does to class and taste, and that the
wealthier buy more often are inventions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from libs.suitability import InvestorClass, RiskLevel, highest_level
from services.recommendations.history import STOCKS, stocks
from services.recommendations.ranking.interactions import Interactions, Label, day_of
from services.recommendations.ranking.market import LOOK_BACK, Market

Array = npt.NDArray[np.float64]

GROUPS: Final = 8
# A fund is a mixture of so many stocks.
STOCKS_EACH: Final = 4
_CLASSES: Final = (1, 2, 3, 4, 5, 6, 7)
_CLASS_SHARES: Final = (0.03, 0.12, 0.22, 0.28, 0.20, 0.13, 0.02)
WEALTH: Final = ("below 30k", "30k to 80k", "80k to 300k", "above 300k")
# Customers of FAR-Trans (Sanz-Cruzado, Droukas, McCreadie, 2024; CC BY 4.0) by what they answered:
# investment capacity in the order of `WEALTH`, by risk class.
CUSTOMERS: Final = {
    "Conservative": (2395, 271, 140, 15),
    "Income": (5755, 1823, 1328, 173),
    "Balanced": (3519, 1776, 1544, 317),
    "Aggressive": (674, 667, 770, 282),
}
_LIKE: Final = (
    *("Conservative", "Conservative", "Income", "Balanced", "Aggressive", "Aggressive"),
    "Aggressive",
)
# Invented: how much more often than the poorest each buys.
_TRADES: Final = (1.0, 1.5, 2.0, 3.0)
AGES: Final = ("18 to 30", "31 to 45", "46 to 60", "above 60")
# Invented: shares of the ages, by class from the lowest to the highest.
_AGES_OF_CAUTIOUS: Final = (0.10, 0.20, 0.30, 0.40)
_AGES_OF_BOLD: Final = (0.30, 0.40, 0.20, 0.10)
# Invented: of those of an age so many share its own tastes, the others have any.
_ALIKE: Final = 0.5
# Industries of the stocks (of the Global Industry Classification Standard, joined to seven).
SECTORS: Final = {
    **dict.fromkeys(("AAPL", "AMD", "MSFT"), "technology"),
    **dict.fromkeys(("BAC", "JPM"), "finance"),
    **dict.fromkeys(("BBY", "HD"), "retail"),
    **dict.fromkeys(("CVX", "RRC", "XOM"), "energy"),
    **dict.fromkeys(("JNJ", "LLY", "MRK", "PFE", "UNH"), "health"),
    **dict.fromkeys(("KO", "PEP", "PG", "WMT"), "staples"),
    "GE": "industry",
}
# Funds by volatility: so much of them is of each level.
_LEVEL_SHARES: Final = (0.10, 0.25, 0.45, 0.75)


@dataclass(frozen=True, slots=True)
class World:
    """A market, the level of each fund, and who bought what.

    `groups`: by name, what each investor is, in the order of the interactions' investors.
    """

    market: Market
    levels: tuple[RiskLevel, ...]
    interactions: Interactions
    groups: Mapping[str, tuple[str, ...]]


def market_of(
    funds: int, seed: int, first: str = "2010-01-04", last: str = "2022-12-28"
) -> tuple[Market, tuple[str, ...]]:
    """Funds as fixed mixtures of real stocks, and the industry of most of each.

    The same seed, the same market.
    """
    history = stocks()
    days = np.array([day_of(day) for day in history.dates], dtype=np.int32)
    chosen = (days >= day_of(first)) & (days <= day_of(last))
    prices = history.prices[chosen]
    rng = np.random.default_rng(seed)
    mixtures = np.zeros((prices.shape[1], funds))
    for fund in range(funds):
        places = rng.choice(prices.shape[1], STOCKS_EACH, replace=False)
        mixtures[places, fund] = rng.dirichlet(np.ones(STOCKS_EACH))
    grown = (prices / prices[0]) @ mixtures
    codes = tuple(f"{n:06d}" for n in range(100_001, 100_001 + funds))
    most = [SECTORS[STOCKS[place]] for place in mixtures.argmax(axis=0).tolist()]
    return Market(days[chosen], codes, grown), tuple(most)


def levels_of(market: Market) -> tuple[RiskLevel, ...]:
    """R1 to R5 by the volatility of the first year."""
    moves = market.prices[1:LOOK_BACK] / market.prices[: LOOK_BACK - 1] - 1.0
    order = np.argsort(np.argsort(moves.std(axis=0))) / max(len(market.codes) - 1, 1)
    return tuple(RiskLevel(int(np.searchsorted(_LEVEL_SHARES, place)) + 1) for place in order)


def world_of(
    investors: int, purchases: int, funds: int = 200, seed: int = 2026, themed: float = 0.0
) -> World:
    """Draws about so many purchases of so many investors. The same arguments, the same world.

    `themed`: how much a group's taste is for the funds of one industry; nobody's by default.
    """
    market, themes = market_of(funds, seed)
    levels = levels_of(market)
    rng = np.random.default_rng((seed, 1))
    band = rng.choice(_CLASSES, investors, p=_CLASS_SHARES)
    age, wealth, group = _people(np.random.default_rng((seed, 2)), band)
    trades = np.cumsum(np.array(_TRADES)[wealth])
    taste = rng.normal(0.0, 1.2, (GROUPS, funds))
    crowd = rng.normal(0.0, 0.8, funds)
    people = np.random.default_rng((seed, 3))
    favourite = people.choice(sorted(set(themes)), GROUPS)
    taste += themed * (np.array(themes)[None, :] == favourite[:, None])
    level = np.array([int(each) for each in levels])
    allowed = np.array([level <= highest_level(InvestorClass(each)) for each in _CLASSES])
    sessions = np.arange(LOOK_BACK, len(market.days) - 1, 5)
    each = np.maximum(1, rng.multinomial(purchases, np.full(len(sessions), 1 / len(sessions))))
    who, what, when = [], [], []
    for session, count in zip(sessions, each, strict=True):
        rise = market.prices[session] / market.prices[session - 63] - 1.0
        pull = crowd + 1.5 * (rise - rise.mean()) / (rise.std() + 1e-9)
        buyers = np.searchsorted(trades, rng.random(count) * trades[-1], side="right")
        # By group and class at once: a table of 56 rows, not of a million.
        score = taste[:, None, :] + pull[None, None, :]
        chance = np.where(allowed[None, :, :], np.exp(score), 0.0)
        totals = np.cumsum(chance, axis=2)
        drawn = rng.random(count) * totals[group[buyers], band[buyers] - 1, -1]
        bought = (totals[group[buyers], band[buyers] - 1] <= drawn[:, None]).sum(axis=1)
        who.append(buyers)
        what.append(bought)
        when.append(np.full(count, market.days[session]))
    investor = np.concatenate(who).astype(np.int32)
    names = tuple(f"investor:{n:07d}" for n in range(investors))
    fund = np.concatenate(what).astype(np.int32)
    # Invented: the wealthier put more into each.
    amount = (
        100_000 * np.exp(people.normal(0.0, 1.0, len(fund))) * np.array(_TRADES)[wealth[investor]]
    )
    labels = {
        code: Label("CNY", ((int(market.days[0]), theme),))
        for code, theme in zip(market.codes, themes, strict=True)
    }
    return World(
        market,
        levels,
        Interactions(
            names,
            market.codes,
            investor,
            fund,
            np.concatenate(when).astype(np.int32),
            band[investor].astype(np.int32),
            amount.astype(np.int64),
            labels,
        ),
        {
            "age": tuple(AGES[n] for n in age.tolist()),
            "wealth": tuple(WEALTH[n] for n in wealth.tolist()),
        },
    )


def _people(
    rng: np.random.Generator, band: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places in `AGES` and `WEALTH`, and the group whose tastes each has."""
    boldness = (band[:, None] - 1) / (len(_CLASSES) - 1)
    ages = (1.0 - boldness) * np.array(_AGES_OF_CAUTIOUS) + boldness * np.array(_AGES_OF_BOLD)
    counts = np.array([CUSTOMERS[name] for name in _LIKE], dtype=float)[band - 1]
    age, wealth = _drawn(rng, ages), _drawn(rng, counts)
    # Two groups of tastes are an age's own.
    own = 2 * age + rng.integers(0, 2, len(band))
    any_other = rng.integers(0, GROUPS, len(band))
    return age, wealth, np.where(rng.random(len(band)) < _ALIKE, own, any_other)


def _drawn(rng: np.random.Generator, shares: Array) -> npt.NDArray[np.int64]:
    """A place for each row, by its shares."""
    totals = np.cumsum(shares, axis=1)
    found: npt.NDArray[np.int64] = (totals <= rng.random((len(shares), 1)) * totals[:, -1:]).sum(
        axis=1
    )
    return found
