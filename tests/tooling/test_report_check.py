"""The report check accepts a day that ties out, and names what is wrong with any other."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPORT: dict[str, Any] = {
    "orders_read": 3,
    "accounts_opened": 2,
    "top_ups_confirmed": 2,
    "payments_settled": 2,
    "payments_refused": 1,
    "payments_carried": 0,
    "gross_minor": "9000",
    "settlements": [
        {
            "bank": "AB",
            "legs": 4,
            "gross_out_minor": "6000",
            "gross_in_minor": "29000",
            "net_minor": "23000",
            "state": "FINAL",
            "disputed_legs": 0,
            "in_doubt_resolved": 1,
        }
    ],
    "tie_out": [
        {
            "bank": "AB",
            "currency": "CZK",
            "mirror_minor": "23000",
            "statement_minor": "23000",
            "difference_minor": "0",
        }
    ],
    "journal_sum_minor": "0",
    "liabilities_minor": "22900",
    "in_transit_minor": "100",
    "suspense_minor": "0",
    "bank_assets_minor": "23000",
    "journal_pages": 7,
    "events_total": 41,
    "seconds": 1.5,
}
Change = Callable[[dict[str, Any]], object]


def check(root: Path, path: Path, *least: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, root / ".ci" / "check_report.py", path, *least],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def check_changed(root: Path, folder: Path, change: Change) -> tuple[int, list[str]]:
    report = json.loads(json.dumps(REPORT))
    change(report)
    (folder / "report.json").write_text(json.dumps(report))
    return check(root, folder / "report.json")


def test_a_day_that_ties_out_is_accepted_in_one_line(root: Path, tmp_path: Path) -> None:
    status, told = check_changed(root, tmp_path, lambda _: None)

    assert (status, told) == (0, ["report: 3 orders, 1 banks, all ties out"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda day: day.pop("gross_minor"), "report lacks gross_minor"),
        (lambda day: day.update(extra=1), "report has a key nobody asked for: extra"),
        (
            lambda day: day["settlements"][0].pop("legs"),
            "settlements[0] lacks legs",
        ),
        (lambda day: day.update(tie_out=[]), "tie_out is not a list with rows"),
        (lambda day: day.update(orders_read=True), "orders_read is True, not a count"),
        (
            lambda day: day.update(gross_minor=9000),
            "report: gross_minor is 9000, not an amount in minor units as text",
        ),
        (
            lambda day: day.update(gross_minor="90.00"),
            "report: gross_minor is '90.00', not an amount in minor units as text",
        ),
        (lambda day: day.update(orders_read=0), "0 orders at 1 banks are fewer than 1 at 1"),
        (lambda day: day.update(journal_sum_minor="5"), "the journal sums to 5, not to 0"),
        (
            lambda day: day.update(suspense_minor="1"),
            "liabilities, in transit and suspense are 23001, the banks hold 23000",
        ),
        (
            lambda day: day["settlements"][0].update(state="CONFIRMED"),
            "the settlement with AB is CONFIRMED, not FINAL",
        ),
        (
            lambda day: day["settlements"][0].update(net_minor="1"),
            "the settlement with AB nets 1, its sides say 23000",
        ),
        (
            lambda day: day["tie_out"][0].update(difference_minor="-7"),
            "AB CZK is off by -7 (0)",
        ),
        (
            lambda day: day["tie_out"][0].update(statement_minor="22999"),
            "AB CZK is off by 0 (1)",
        ),
    ],
)
def test_what_is_wrong_with_a_report_is_named(
    root: Path, tmp_path: Path, change: Change, told: str
) -> None:
    status, lines = check_changed(root, tmp_path, change)

    assert status == 1
    assert f"report: {told}" in lines


def test_a_day_smaller_than_asked_for_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(REPORT))

    status, told = check(root, tmp_path / "report.json", "3", "2")

    assert (status, told) == (1, ["report: 3 orders at 1 banks are fewer than 3 at 2"])


@pytest.mark.parametrize("content", ["", "[]", "not JSON"])
def test_a_file_that_is_no_report_is_refused(root: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)

    assert check(root, tmp_path / "report.json")[0] == 1


def test_a_report_that_is_missing_is_refused(root: Path, tmp_path: Path) -> None:
    assert check(root, tmp_path / "none.json")[0] == 1
