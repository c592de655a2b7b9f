"""Features: what counts at a time, whatever came later and in whatever order it arrived."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.recommendations.domain.facts import DAY_US, Fact, Kind, series
from services.recommendations.domain.features import (
    FEATURE_SET,
    canonical,
    digest,
    fund_features,
    has_currencies,
    in_one_heap,
    investor_features,
    of_set,
    pair_features,
)
from services.recommendations.domain.together import Moves

AT_US = 1_000 * DAY_US
KINDS = [k.value for k in Kind if k is not Kind.NAV]
PRICES = {"000001": 10_000, "000002": 12_345, "000003": 9_999}
LEVELS = {"000001": 1, "000002": 3, "000003": 5}


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    recorded = draw(st.integers(0, 1_100)) * DAY_US
    return Fact(
        recorded,
        draw(st.uuids()).hex,
        draw(st.sampled_from(KINDS)),
        recorded - draw(st.integers(0, 40)) * DAY_US,
        "anna",
        draw(st.sampled_from(sorted(PRICES))),
        draw(st.integers(1, 10**9)),
    )


def of(known: list[Fact], at_us: int = AT_US) -> bytes:
    return canonical(
        {
            "investor": investor_features(known, at_us, PRICES, LEVELS, {}, {}),
            **{code: pair_features(known, at_us, code) for code in PRICES},
        }
    )


@given(st.lists(facts(), max_size=60), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(known: list[Fact], rng: random.Random) -> None:
    shuffled = list(known)
    rng.shuffle(shuffled)

    assert of(shuffled) == of(known)


@given(st.lists(facts(), max_size=60), st.lists(facts(), max_size=20))
def test_what_is_recorded_later_changes_no_earlier_feature(
    known: list[Fact], later: list[Fact]
) -> None:
    after = [replace(fact, recorded_us=AT_US + 1 + fact.recorded_us) for fact in later]

    assert of([*known, *after]) == of(known)


@given(st.lists(facts(), max_size=60), st.lists(facts(), max_size=20))
def test_what_has_not_happened_yet_does_not_count_although_it_is_recorded(
    known: list[Fact], later: list[Fact]
) -> None:
    to_come = [replace(fact, business_us=AT_US + 1 + abs(fact.business_us)) for fact in later]

    assert of([*known, *to_come]) == of(known)


def nav(day: int, price: int, recorded: int, event: str) -> Fact:
    return Fact(recorded * DAY_US, event, "NAV", day * DAY_US, "", "000001", price)


def test_a_price_is_known_from_its_publication_and_a_correction_from_its_own() -> None:
    known = [nav(1, 100, 2, "a"), nav(2, 110, 3, "b"), nav(1, 90, 5, "c")]

    assert series(known, 2 * DAY_US) == [(DAY_US, 100)]
    assert series(known, 4 * DAY_US) == [(DAY_US, 100), (2 * DAY_US, 110)]
    assert series(known, 5 * DAY_US) == [(DAY_US, 90), (2 * DAY_US, 110)]


def test_returns_risk_and_drawdown_of_a_fund_are_those_of_its_prices() -> None:
    known = [nav(n, 100 + (n % 2), n, str(n)) for n in range(300)]

    found = fund_features(known, AT_US)

    assert found["return_1m"] == -9_900 or found["return_1m"] == 10_000
    assert found["drawdown_12m"] == 9_900
    assert found["volatility_60d"] > 0
    few = fund_features(known[:10], AT_US)
    assert not any(name.startswith(("return_", "volatility_")) for name in few)
    assert few["age_days"] == 9_000_000


def mine(kind: Kind, day: int, amount: int, code: str = "000001", theme: str = "") -> Fact:
    at_us = day * DAY_US
    told = f"{kind.value}/{code}/{day}"
    return Fact(at_us, told, kind.value, at_us, "anna", code, amount, theme)


def test_features_of_the_first_set_stay_what_they_were_when_proposals_were_stored_with_them() -> (
    None
):
    known = [
        mine(Kind.BOUGHT, 900, 500_000, theme="green"),
        mine(Kind.BOUGHT, 950, 70_000, "000002"),
        mine(Kind.SOLD, 960, 10, "000002"),
        mine(Kind.SHARES, 900, 4_000),
        mine(Kind.SHARES, 950, 900, "000002"),
        mine(Kind.OPENED, 970, 1, "000003", "red"),
        mine(Kind.DISMISSED, 971, 1, ""),
        mine(Kind.CASH_IN, 980, 100_000, ""),
        mine(Kind.PLAN, 990, 1),
    ]
    navs = [nav(n, 10_000 + (n * n) % 37, n, str(n)) for n in range(700, 1000)]
    subjects = {
        "investor": investor_features(known, AT_US, PRICES, LEVELS, {}, {}),
        "fund:000001": fund_features([*navs, told(Kind.LEVEL, 700, 3)], AT_US),
        "pair:000001": pair_features(known, AT_US, "000001", 250_000),
    }

    first = {name: of_set(each, "") for name, each in subjects.items()}

    # As the program that knew the first set alone made it of these very facts.
    assert digest(first) == "5f208116c187114170d8e258edf2e7fa743942394e2e55b8455e71032e34121a"
    assert {name: of_set(each, FEATURE_SET) for name, each in subjects.items()} == subjects
    assert digest(subjects) != digest(first)


DAYS = tuple(range(905, 995))
MOVED = {
    "000001": Moves(DAYS, tuple((n * n) % 7_919 - 4_000 for n in DAYS)),
    "000002": Moves(DAYS, tuple((n * 31) % 5_003 - 2_400 for n in DAYS)),
}
CURRENCIES = {"000001": "CNY", "000002": "USD"}
LIVED = [
    replace(mine(Kind.CASH_IN, 900, 1_000_000, ""), currency="CNY"),
    replace(mine(Kind.CASH_IN, 995, 70_000, ""), currency="USD"),
    mine(Kind.WALLET, 901, -500_000),
    mine(Kind.BOUGHT, 901, 500_000, theme="green"),
    mine(Kind.BOUGHT, 950, 70_000, "000002", "green"),
    mine(Kind.CONFIRMED, 902, 500_000),
    mine(Kind.FEE_PAID, 902, 900),
    mine(Kind.SHARES, 902, 40_000),
    mine(Kind.SHARES, 950, 900, "000002"),
    mine(Kind.SOLD, 960, 10, "000002"),
    replace(mine(Kind.CASH_OUT, 980, 100_000, ""), currency="CNY"),
]


def test_amounts_of_different_currencies_are_never_added() -> None:
    found = investor_features(LIVED, AT_US, PRICES, LEVELS, MOVED, CURRENCIES)
    without = [f for f in LIVED if "USD" not in {f.currency, CURRENCIES.get(f.fund_code)}]
    of_one = investor_features(without, AT_US, PRICES, LEVELS, MOVED, CURRENCIES)

    ours = {name: value for name, value in found.items() if name.endswith(":CNY")}
    assert ours == {name: value for name, value in of_one.items() if name.endswith(":CNY")}
    assert (found["held_minor:CNY"], found["held_minor:USD"]) == (40_000_000_000, 1_111_000_000)
    assert found["cash_share:CNY"] == 400_000 * 1_000_000 // 440_000
    assert found["cash_share:USD"] == 70_000 * 1_000_000 // 71_111
    assert (found["cash_in_30d:CNY"], found["cash_in_30d:USD"]) == (0, 70_000_000_000)
    assert (found["mean_level:CNY"], found["mean_level:USD"]) == (1_000_000, 3_000_000)
    assert found["holding:000001"] == found["holding:000002"] == 1_000_000
    assert found["funds_held"] == 2_000_000
    assert found["amounts_faded_theme:green:USD"] == found["amounts_faded_r3:USD"] > 0
    assert found["realised_fee:CNY"] == 1_800
    assert "realised_fee:USD" not in found
    money = ("cash_", "amounts_", "held_", "mean_level", "fees_", "realised_", "fall_lived")
    assert not any(n.startswith(money) and n[-4:] not in (":CNY", ":USD") for n in found)


def test_features_of_the_fourth_set_stay_what_they_were_although_they_added_all_currencies() -> (
    None
):
    heap = in_one_heap(LIVED)
    subjects = {
        "investor": investor_features(heap, AT_US, PRICES, LEVELS, MOVED, {}),
        "pair:000001": pair_features(heap, AT_US, "000001", 250_000),
    }

    # As the program of the fourth set made it of these very facts.
    assert {name: of_set(each, "4") for name, each in subjects.items()} == subjects
    assert digest(subjects) == "e486e6ef729786bdc8b73572145894f22dfa3ea2411da8ea30e3f8ef657bbb26"
    assert not has_currencies("4")
    assert not has_currencies("")
    assert has_currencies(FEATURE_SET)


def test_what_was_bought_and_looked_at_fades_by_level_and_by_theme() -> None:
    known = [
        mine(Kind.BOUGHT, 970, 800, theme="green"),
        mine(Kind.BOUGHT, 1_000, 100, "000002", "green"),
        mine(Kind.SOLD, 1_000, 5, "000003", "red"),
        mine(Kind.OPENED, 970, 1, "000003", "red"),
    ]

    found = investor_features(known, AT_US, PRICES, LEVELS, {}, {})

    assert found["amounts_faded_theme:green"] == 500_000_000
    assert found["orders_faded_theme:green"] == 1_500_000
    assert (found["orders_faded_theme:red"], found["orders_faded_r5"]) == (1_000_000, 1_000_000)
    assert (found["views_faded_theme:red"], found["views_faded_r5"]) == (500_000, 500_000)
    assert "amounts_faded_theme:red" not in found


def test_holdings_are_features_by_their_share_and_a_level_by_how_often_it_changed() -> None:
    held = [mine(Kind.SHARES, 900, 30_000), mine(Kind.SHARES, 900, 10_000, "000002")]
    levels = [told(Kind.LEVEL, day, level) for day, level in ((1, 2), (5, 3), (9, 3), (20, 2))]
    prices = {"000001": 10_000, "000002": 10_000}

    found = investor_features(held, AT_US, prices, LEVELS, {}, {})
    of_fund = fund_features([nav(1, 100, 1, "a"), *levels], AT_US)

    assert (found["holding:000001"], found["holding:000002"]) == (750_000, 250_000)
    assert (of_fund["level"], of_fund["level_changes"]) == (2_000_000, 2_000_000)


def told(kind: Kind, day: int, amount: int) -> Fact:
    return Fact(day * DAY_US, f"{kind}/{day}", kind.value, day * DAY_US, "", "000001", amount)


def test_flows_are_what_was_bought_less_what_was_sold_up_to_the_newest_price() -> None:
    known = [
        *(nav(n, 100, n, str(n)) for n in (10, 100)),
        told(Kind.BOUGHT, 98, 500),
        told(Kind.SOLD, 97, 200),
        told(Kind.BOUGHT, 85, 1_000),
        told(Kind.SOLD, 50, 4_000),
        told(Kind.BOUGHT, 30, 9_000_000),
        told(Kind.SIZE, 0, 77),
        told(Kind.FEE, 1, 1_500),
        told(Kind.FEE, 60, 1_200),
    ]

    found = fund_features(known, 100 * DAY_US)
    before = fund_features(known, 59 * DAY_US)

    flows = {days: found[f"net_flow_{days}d"] // 1_000_000 for days in (5, 20, 60)}
    assert flows == {5: 300, 20: 1_300, 60: -2_700}
    assert (found["fee"], before["fee"]) == (1_200, 1_500)
    assert (found["size_minor"], found["age_days"]) == (77_000_000, 90_000_000)
