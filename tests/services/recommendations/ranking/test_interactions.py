from pathlib import Path

import pytest

from services.recommendations.ranking.interactions import (
    InteractionsInvalid,
    collected,
    day_of,
    iso_of,
    read_interactions,
)

HEADER = "investor_id,fund_code,date,investor_class"
ROWS = [("b", "000002", 20, 3), ("a", "000001", 10, 2), ("a", "000002", 30, 2)]


def test_the_order_of_arrival_changes_nothing() -> None:
    one, other = collected(ROWS), collected(reversed(ROWS))

    assert one.investors == other.investors == ("a", "b")
    assert one.codes == other.codes == ("000001", "000002")
    assert one.day.tolist() == other.day.tolist() == [10, 20, 30]
    assert one.fund.tolist() == other.fund.tolist() == [0, 1, 1]


def test_what_lies_between_two_days_keeps_its_names() -> None:
    found = collected(ROWS).between(20, 30)

    assert (len(found), found.day.tolist(), found.codes) == (1, [20], ("000001", "000002"))


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "bought.csv"
    file.write_text(f"{HEADER}\na,000001,2024-02-29,3\n")

    found = read_interactions(file)

    assert (len(found), iso_of(int(found.day[0])), found.band.tolist()) == (1, "2024-02-29", [3])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a,000001,2024-02-30,3", "line 2: date '2024-02-30' is not ISO 8601"),
        ("a,000001,2024-02-29,9", "line 2: investor_class '9' is not 1 to 7"),
        ("a,000001,2024-02-29,٣", "line 2: investor_class '٣' is not 1 to 7"),
        (",000001,2024-02-29,3", "line 2: investor_id is empty"),
        ("a,,2024-02-29,3", "line 2: fund_code is empty"),
        ("a,000001,2024-02-29", "line 2: 3 fields, not 4"),
    ],
)
def test_a_bad_line_is_named_with_its_field(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "bought.csv"
    file.write_text(f"{HEADER}\n{line}\n")

    with pytest.raises(InteractionsInvalid, match=told.replace("'", ".")):
        read_interactions(file)


def test_a_file_may_tell_amounts_and_what_each_fund_is(tmp_path: Path) -> None:
    file = tmp_path / "bought.csv"
    rows = "a,000001,2024-02-29,3,5000,CNY,green\nb,000001,2024-03-01,3,70,CNY,green\n"
    file.write_text(f"{HEADER},amount_minor,currency,theme\n{rows}")

    found = read_interactions(file)

    assert found.amount.tolist() == [5_000, 70]
    assert found.label("000001") == found.between(0, 10**6).label("000001")
    assert (found.label("000001").currency, found.label("000001").theme(0)) == ("CNY", "green")
    assert found.label("000002").theme(0) == ""


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a,000001,2024-02-29,3,-5,CNY,green", "line 3: amount_minor '-5' is no amount"),
        ("a,000001,2024-02-29,3,1.5,CNY,green", "line 3: amount_minor '1.5' is no amount"),
        ("a,000001,2024-02-29,3,5,cny,green", "line 3: currency 'cny' is no currency"),
        ("a,000001,2024-02-29,3,5,CNY,red", "line 3: 000001 had another currency or theme before"),
        ("a,000001,2024-02-29,3", "line 3: 4 fields, not 7"),
    ],
)
def test_a_bad_amount_or_theme_is_named_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "bought.csv"
    first = "a,000001,2024-02-28,3,5000,CNY,green"
    file.write_text(f"{HEADER},amount_minor,currency,theme\n{first}\n{line}\n")

    with pytest.raises(InteractionsInvalid, match=told.replace("'", ".")):
        read_interactions(file)


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"\xff\xfe"])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "bought.csv"
    file.write_bytes(content)

    with pytest.raises(InteractionsInvalid):
        read_interactions(file)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InteractionsInvalid, match=r"bought\.csv"):
        read_interactions(tmp_path / "bought.csv")


def test_days_are_counted_from_1970() -> None:
    assert (day_of("1970-01-02"), iso_of(1)) == (1, "1970-01-02")
