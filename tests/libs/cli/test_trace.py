"""What belongs to one thing's timeline, and is found by what its own events say."""

from collections.abc import Mapping
from typing import Any

from libs.cli.trace import entries_of
from libs.ids import derived_id

SWITCH_ID = "018f0000-0000-7000-8000-000000000002"


def test_the_other_half_of_a_switch_between_registrars_is_found_by_its_rows() -> None:
    told: list[Mapping[str, Any]] = [
        {"terms": {"redemption": {"fund_code": "HF0001", "target_code": "HF0002"}}},
        {"row_id": "R1/124/2026-09-29", "payment_id": "pull"},
        {"row_id": "R1/124/2026-09-29", "amount_minor": "98746"},
        {},
    ]
    found = list(entries_of(SWITCH_ID, told))
    assert found == [str(derived_id(SWITCH_ID, "enter:R1/124/2026-09-29"))]


def test_a_redemption_that_enters_nothing_has_no_other_half() -> None:
    told: list[Mapping[str, Any]] = [
        {"terms": {"redemption": {"fund_code": "HF0001"}}},
        {"row_id": "R1/124/2026-09-29"},
    ]
    assert list(entries_of(SWITCH_ID, told)) == []
