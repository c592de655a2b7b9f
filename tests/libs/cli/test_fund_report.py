"""The report of fund days: what does not tie out is named, and nothing else is."""

import io
import json
from collections import Counter
from pathlib import Path

from rich.console import Console

from libs.cli.fund_report import CashLine, FundLine, FundReport, show


def report(**changed: object) -> FundReport:
    even = FundReport(
        first_date="2015-01-05",
        last_date="2015-01-06",
        registrar="HFTA",
        currency="CZK",
        sessions=2,
        kinds=Counter({"SUBSCRIBE": 3, "REDEEM": 1}),
        states=Counter({"SETTLED": 4}),
        files=Counter({"03": 2, "04": 2}),
        funds=[FundLine("KO0001", "Drinks", "R4", 32_103, 4, holdings_units=5, registrar_units=5)],
        cash=[CashLine("HFTA", "SUB", 0, 0)],
        is_settled=True,
        days_by_state=Counter({"CASH_SETTLED": 2}),
    )
    for name, value in changed.items():
        setattr(even, name, value)
    return even


def shown(found: FundReport) -> str:
    written = io.StringIO()
    show(Console(width=80, file=written), found)
    return written.getvalue()


def test_what_is_even_has_no_problem() -> None:
    assert list(report().problems()) == []
    assert "✓ Units tie out" in shown(report())
    assert all(len(line) <= 80 for line in shown(report()).splitlines())


def test_units_that_differ_are_named() -> None:
    off = report(funds=[FundLine("KO0001", holdings_units=7, registrar_units=5)])

    assert list(off.problems()) == [
        "fund KO0001: holdings differ from the registrar's units by 0.02"
    ]
    assert "Does not tie out" in shown(off)


def test_cash_that_is_not_where_it_belongs_is_named() -> None:
    wrong = report(cash=[CashLine("HFTA", "SUB", 150, 100)])
    left = report(cash=[CashLine("HFTA", "RED", 150, 150)])
    on_its_way = report(cash=[CashLine("HFTA", "RED", 150, 150)], is_settled=False)

    assert list(wrong.problems()) == ["HFTA SUB: clearing is off by 0.50 CZK"]
    assert list(left.problems()) == ["HFTA RED: 1.50 CZK left in clearing"]
    assert list(on_its_way.problems()) == []


def test_breaks_and_faults_of_single_days_are_problems() -> None:
    found = report(breaks_open=["SHARE_DIFF x"], faults=["2015-01-05: fund KO0001: ..."])

    assert list(found.problems()) == ["2015-01-05: fund KO0001: ...", "break: SHARE_DIFF x"]


def test_the_file_holds_all_of_it(tmp_path: Path) -> None:
    report().write(tmp_path / "made" / "report.json")

    told = json.loads((tmp_path / "made" / "report.json").read_text())
    assert told["kinds"] == {"SUBSCRIBE": 3, "REDEEM": 1}
    assert told["funds"][0]["fund"] == "KO0001"
    assert told["problems"] == []
