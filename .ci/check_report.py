"""Refuses a day's report that lacks a key, or whose numbers do not prove each other.

Usage: python .ci/check_report.py REPORT.json [LEAST_ORDERS LEAST_BANKS]
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

COUNTS = (
    "orders_read",
    "accounts_opened",
    "top_ups_confirmed",
    "payments_settled",
    "payments_refused",
    "payments_carried",
    "journal_pages",
    "events_total",
)
AMOUNTS = (
    "gross_minor",
    "journal_sum_minor",
    "liabilities_minor",
    "in_transit_minor",
    "suspense_minor",
    "bank_assets_minor",
)
OWED = ("liabilities_minor", "in_transit_minor", "suspense_minor")
SETTLEMENT_AMOUNTS = ("gross_out_minor", "gross_in_minor", "net_minor")
SETTLEMENT = {
    *("bank", "legs", "state", "disputed_legs", "in_doubt_resolved"),
    *SETTLEMENT_AMOUNTS,
}
TIE_OUT_AMOUNTS = ("mirror_minor", "statement_minor", "difference_minor")
TIE_OUT = {"bank", "currency", *TIE_OUT_AMOUNTS}
REPORT = {*COUNTS, *AMOUNTS, "settlements", "tie_out", "seconds"}
# An amount is text, so that no reader makes a float of it.
AMOUNT = re.compile(r"-?(0|[1-9][0-9]*)")


def faults(report: object) -> Iterator[str]:
    """Name all that is wrong with a report, shape first; nothing means it holds."""
    shape = list(_shape(report))
    yield from shape
    if isinstance(report, dict) and not shape:
        yield from _proof(report)


def _shape(report: object) -> Iterator[str]:
    if not isinstance(report, dict):
        yield "the report is not a JSON object"
        return
    yield from _keys("report", report, REPORT)
    for key in COUNTS:
        value = report.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            yield f"{key} is {value!r}, not a count"
    if not isinstance(report.get("seconds"), int | float):
        yield f"seconds is {report.get('seconds')!r}, not a number"
    yield from _amounts("report", report, AMOUNTS)
    for key, row_keys, amounts in (
        ("settlements", SETTLEMENT, SETTLEMENT_AMOUNTS),
        ("tie_out", TIE_OUT, TIE_OUT_AMOUNTS),
    ):
        rows = report.get(key)
        if not isinstance(rows, list) or not rows:
            yield f"{key} is not a list with rows"
            continue
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                yield f"{key}[{number}] is not an object"
                continue
            yield from _keys(f"{key}[{number}]", row, row_keys)
            yield from _amounts(f"{key}[{number}]", row, amounts)


def _keys(where: str, found: dict[str, object], wanted: set[str]) -> Iterator[str]:
    for key in sorted(wanted - found.keys()):
        yield f"{where} lacks {key}"
    for key in sorted(found.keys() - wanted):
        yield f"{where} has a key nobody asked for: {key}"


def _amounts(where: str, found: dict[str, object], keys: tuple[str, ...]) -> Iterator[str]:
    for key in keys:
        value = found.get(key)
        if not isinstance(value, str) or not AMOUNT.fullmatch(value):
            yield f"{where}: {key} is {value!r}, not an amount in minor units as text"


def _proof(report: dict[str, object]) -> Iterator[str]:
    if report["journal_sum_minor"] != "0":
        yield f"the journal sums to {report['journal_sum_minor']}, not to 0"
    owed = sum(_minor(report[key]) for key in OWED)
    held = _minor(report["bank_assets_minor"])
    if owed != held:
        yield f"liabilities, in transit and suspense are {owed}, the banks hold {held}"
    for row in _rows(report, "settlements"):
        if row["state"] != "FINAL":
            yield f"the settlement with {row['bank']} is {row['state']}, not FINAL"
        net = abs(_minor(row["gross_out_minor"]) - _minor(row["gross_in_minor"]))
        if abs(_minor(row["net_minor"])) != net:
            yield f"the settlement with {row['bank']} nets {row['net_minor']}, its sides say {net}"
    for row in _rows(report, "tie_out"):
        drift = _minor(row["mirror_minor"]) - _minor(row["statement_minor"])
        if row["difference_minor"] != "0" or drift != 0:
            yield f"{row['bank']} {row['currency']} is off by {row['difference_minor']} ({drift})"


def _minor(value: object) -> int:
    return int(str(value))


def _rows(report: dict[str, object], key: str) -> list[dict[str, object]]:
    rows = report[key]
    return rows if isinstance(rows, list) else []


def main() -> int:
    """Print every fault and return 1, or one line and 0."""
    path, *least = sys.argv[1:]
    least_orders, least_banks = (int(number) for number in least or (1, 1))
    try:
        report = json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as unreadable:
        sys.stderr.write(f"report: {unreadable}\n")
        return 1
    found = list(faults(report))
    if not found:
        orders, banks = report["orders_read"], len({row["bank"] for row in report["tie_out"]})
        if orders >= least_orders and banks >= least_banks:
            sys.stdout.write(f"report: {orders} orders, {banks} banks, all ties out\n")
            return 0
        found = [f"{orders} orders at {banks} banks are fewer than {least_orders} at {least_banks}"]
    for fault in found:
        sys.stderr.write(f"report: {fault}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
