"""The sample funds' file: read whole, each fault named by line and column."""

from datetime import date
from hashlib import sha256
from pathlib import Path

import pytest

from libs.fund_arithmetic import FundType
from libs.fund_samples import SAMPLE_FILE, SamplesWrong, income_on, load_samples, yield_on


def test_every_level_and_both_registers_are_there() -> None:
    funds = load_samples()

    assert {fund.level for fund in funds} == {1, 2, 3, 4, 5}
    assert [fund.code for fund in funds if fund.is_omnibus] == ["SP5001"]
    assert sum(fund.is_money_market for fund in funds) == 1


def test_what_an_omnibus_fund_redeems_costs_nothing() -> None:
    # The registrar knows the nominee's lots alone, so a fee by days held would differ from ours.
    fund = next(fund for fund in load_samples() if fund.is_omnibus)

    assert fund.kind is FundType.ETF
    assert all(band.rate == 0 for band in fund.redeem)


def test_bands_may_be_rates_or_sums() -> None:
    bands = next(fund for fund in load_samples() if fund.code == "JNJ001").subscribe

    assert [(band.from_minor, band.rate, band.fixed_minor) for band in bands] == [
        (0, 15_000, None),
        (10_000_000, 12_000, None),
        (50_000_000, 0, 100_000),
    ]


def test_income_is_about_two_percent_a_year() -> None:
    day = date(2015, 1, 5)

    assert income_on(day) == income_on(day)
    assert income_on(day) != income_on(date(2015, 1, 6))
    assert 20_000 < yield_on(day) < 24_000


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("MONEY_MARKET", "MONEY", "line 2: kind"),
        (";R2;", ";R9;", "line 3: level"),
        ("0:12000 50000000:8000", "0-12000", "line 3: subscribe"),
        ("0:15000 7:7500 30:5000 365:2500", "x", "line 3: redeem"),
        (";10;0:12000", ";ten;0:12000", "line 3: a number"),
    ],
)
def test_a_fault_names_line_and_column(tmp_path: Path, old: str, new: str, told: str) -> None:
    file = tmp_path / "funds.csv"
    text = SAMPLE_FILE.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))

    with pytest.raises(SamplesWrong, match=told):
        load_samples(file)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SamplesWrong, match="No such file"):
        load_samples(tmp_path / "absent.csv")


def test_every_fund_has_key_facts_to_read_whose_bytes_are_those_that_are_told() -> None:
    for fund in load_samples():
        english = [each for each in fund.documents if each.language == "en"]
        assert "KEY_FACTS" in {each.kind for each in english}, fund.code
        for each in fund.documents:
            body = (SAMPLE_FILE.parent / each.link).read_bytes()
            assert sha256(body).hexdigest() == each.sha256
            assert fund.code in each.title


def test_a_document_whose_name_does_not_say_its_day_is_named(tmp_path: Path) -> None:
    (tmp_path / "funds.csv").write_bytes(SAMPLE_FILE.read_bytes())
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "SP5001.KEY_FACTS.en.soon.md").write_text("# SP5001\n")

    with pytest.raises(SamplesWrong, match=r"SP5001\.KEY_FACTS\.en\.soon\.md"):
        load_samples(tmp_path / "funds.csv")
