"""Invented investors: the same for the same seed, and never above what suits them."""

from collections import Counter
from datetime import date

from libs.cli.fund_investors import Day, may_buy, people, plans
from libs.fund_samples import load_samples
from libs.suitability import InvestorClass, Suitability, suitability

FUNDS = load_samples()
LEVELS = {fund.code: fund.level for fund in FUNDS}
ACCOUNTS = [f"F{number:04d}" for number in range(1_000)]
PEOPLE = people(ACCOUNTS, "seed")
DAY = Day(date(2015, 3, 2), 40, "seed")


def test_every_class_is_there_in_its_share() -> None:
    counted = Counter(person.investor_class for person in PEOPLE)

    assert set(counted) == set(InvestorClass)
    assert 200 < counted[InvestorClass.C3] < 360


def test_the_same_seed_wants_the_same() -> None:
    again = people(ACCOUNTS, "seed")

    assert again == PEOPLE
    assert [w.order_id for w in DAY.buys(DAY.buyers(PEOPLE), FUNDS)] == [
        w.order_id for w in DAY.buys(DAY.buyers(again), FUNDS)
    ]
    assert people(ACCOUNTS, "another") != PEOPLE


def test_nobody_buys_above_the_class() -> None:
    bought = list(DAY.buys(PEOPLE, FUNDS))
    planned = list(plans(PEOPLE, FUNDS, "seed"))

    for person, code in [(w.investor, w.fund) for w in bought] + [
        (p.investor, p.fund) for p in planned
    ]:
        assert suitability(person.investor_class, LEVELS[code]) is Suitability.BUY
    assert len(bought) == len(PEOPLE)
    assert 500 < len(planned) < 700


def test_nothing_is_sold_that_is_not_held() -> None:
    person = PEOPLE[0]

    assert DAY.sell(person, {}) is None
    assert DAY.sell(person, {"KO0001": 99}) is None
    wish = DAY.sell(person, {"KO0001": 10_000})
    assert wish is not None
    assert 0 < wish.shares <= 10_000


def test_a_switch_goes_to_another_fund_that_suits() -> None:
    person = next(p for p in PEOPLE if p.investor_class is InvestorClass.C4)
    wish = DAY.switch(person, {"KO0001": 10_000}, FUNDS)

    assert wish is not None
    assert wish.target != "KO0001"
    assert LEVELS[wish.target] in {fund.level for fund in may_buy(person, FUNDS)}


def test_runs_dividends_and_force_come_now_and_then() -> None:
    days = [Day(date(2015, 1, 5), ordinal, "seed") for ordinal in range(251)]
    lively = Day(date(2015, 1, 6), 1, "seed", is_lively=True)

    assert sum(day.run_on(FUNDS) is not None for day in days) == 6
    assert sum(bool(day.dividends(FUNDS)) for day in days) == 4
    assert sum(day.is_forced() for day in days) == 3
    assert lively.run_on(FUNDS)
    assert lively.dividends(FUNDS)
