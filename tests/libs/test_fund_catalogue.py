"""Catalogues that can be loaded: the samples, and real funds and customers."""

from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from libs.fund_arithmetic import FundType, InvestorKind, rate_above_cap, rules_on
from libs.fund_catalogue import (
    SAMPLES,
    CatalogueInvalid,
    dividend_per_share,
    far_trans_funds,
    far_trans_investors,
    money_income,
    sample_funds,
    sample_registrars,
)
from libs.suitability import InvestorClass, RiskLevel
from libs.trading_calendar import load_calendar

FAR_TRANS = Path(__file__).parents[2].parent / "shared" / "data" / "far-trans"
needs_far_trans = pytest.mark.skipif(not FAR_TRANS.is_dir(), reason="FAR-Trans is not here")


def test_the_samples_have_every_level_and_both_registers() -> None:
    funds = sample_funds()

    assert {fund.risk_level for fund in funds} == set(RiskLevel)
    assert [fund.code for fund in funds if fund.is_omnibus] == ["HF0009"]
    assert [fund.code for fund in funds if fund.fund_type is FundType.MONEY_MARKET] == ["HF0001"]
    assert len({fund.code for fund in funds}) == len(funds)
    assert all(len(fund.code) == 6 for fund in funds)


def test_every_sample_has_a_registrar_at_a_bank() -> None:
    registrars = {each.ta_id: each for each in sample_registrars()}

    assert {fund.ta_id for fund in sample_funds()} == set(registrars)
    assert len({each.bank_id for each in registrars.values()}) == len(registrars)


def test_samples_have_real_prices_of_every_session_of_2015() -> None:
    sessions = load_calendar("XNYS").between(date(2015, 1, 5), date(2015, 12, 31))

    for fund in sample_funds():
        if fund.price_source:
            navs = [fund.history.on(day) for day in sessions]
            # Between a tenth and a hundred: what a NAV looks like.
            assert all(nav is not None and 1_000 < nav < 1_000_000 for nav in navs), fund.code


def test_the_fees_of_the_samples_keep_to_the_caps() -> None:
    rules = rules_on(date(2026, 1, 1))

    above = [f.code for f in sample_funds() if rate_above_cap(rules, f.fund_type, f.front_end)]

    assert above == []


def test_income_of_a_money_fund_follows_the_day_alone() -> None:
    purse = sample_funds()[0]
    days = [date.fromordinal(date(2015, 1, 1).toordinal() + n) for n in range(365)]

    incomes = [money_income(purse, day) for day in days]

    assert incomes == [money_income(purse, day) for day in days]
    assert min(incomes) >= 5379
    assert max(incomes) <= 5579
    assert abs(sum(incomes) / len(incomes) - 5479) < 5


def test_dividends_come_on_the_last_session_of_a_quarter() -> None:
    payer = next(fund for fund in sample_funds() if fund.dividend_yield == 40_000)
    sessions = load_calendar("XNYS").between(date(2015, 1, 2), date(2016, 1, 4))

    paid = [
        day
        for day, following in pairwise(sessions)
        if dividend_per_share(payer, day, following, 10_000) is not None
    ]

    assert paid == [date(2015, 3, 31), date(2015, 6, 30), date(2015, 9, 30), date(2015, 12, 31)]
    assert dividend_per_share(payer, paid[0], date(2015, 4, 1), 2_5000) == 250


def test_a_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    text = (SAMPLES / "funds.csv").read_text(encoding="utf-8")
    broken = tmp_path / "funds.csv"
    broken.write_text(text.replace(";R5;", ";R9;", 1), encoding="utf-8")

    with pytest.raises(CatalogueInvalid, match=r"funds\.csv, row 9: risk_level 'R9'"):
        sample_funds(broken)


@needs_far_trans
def test_the_real_funds_have_a_level_each() -> None:
    funds = far_trans_funds(FAR_TRANS)

    # 318 rows; three funds have two.
    assert len(funds) == 315
    assert len({fund.code for fund in funds}) == 315
    assert Counter(fund.risk_level.name for fund in funds) == {
        "R1": 19,
        "R2": 106,
        "R3": 8,
        "R4": 109,
        "R5": 73,
    }


@needs_far_trans
def test_the_real_customers_have_the_class_of_their_newest_row() -> None:
    investors = far_trans_investors(FAR_TRANS)
    classes = Counter(each.investor_class for each in investors)

    assert len({each.customer_id for each in investors}) == len(investors)
    assert classes[InvestorClass.C2] > classes[InvestorClass.C3] > classes[InvestorClass.C5] > 0
    assert any(each.is_predicted for each in investors)
    assert any(each.kind is InvestorKind.INSTITUTION for each in investors)
