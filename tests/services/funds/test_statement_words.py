"""What a statement calls the units that came and went: by the code of the registrar's row."""

import pytest

from services.funds.rows.holdings import movement_of


@pytest.mark.parametrize(
    ("code", "is_in", "word"),
    [
        ("122", True, "SUBSCRIBED"),
        ("120", True, "SUBSCRIBED"),
        ("139", True, "SUBSCRIBED"),
        ("136", True, "SWITCHED_IN"),
        ("136", False, "SWITCHED_OUT"),
        ("143", True, "REINVESTED"),
        ("144", True, "INCREASED"),
        ("124", False, "REDEEMED"),
        ("163", False, "REDEEMED"),
        ("142", False, "FORCED_REDEEMED"),
        ("145", False, "DECREASED"),
    ],
)
def test_a_movement_has_the_word_that_the_contract_tells(
    code: str, word: str, *, is_in: bool
) -> None:
    # A registrar's own number may have strokes of its own.
    for serial in ("TA0001", "TA/0001"):
        assert movement_of(f"{serial}/{code}/2026-09-28", is_in=is_in) == word
