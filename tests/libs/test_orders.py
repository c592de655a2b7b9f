"""Orders files are read strictly, and every fault is told by line and field."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from libs.orders import (
    KEPT_MINOR,
    Order,
    OrdersFile,
    home_bank,
    parse_orders,
    payment_id,
    read_orders,
    top_up_id,
    top_up_minor,
    wallet_id,
)

HEADER = '"order_id";"account_id";"bank_to";"account_to";"amount";"k_symbol"'
GOOD = '29401;1;"YZ";"87144583";2452.00;"SIPO"'
DAY = date(2026, 1, 5)
ORDER = Order("29401", "1", "YZ", "87144583", 245_200, "SIPO")


def parsed(*lines: str) -> OrdersFile:
    return parse_orders([HEADER, *lines], "CZK", frozenset({"YZ", "CD"}))


def test_a_good_line_is_an_order_in_minor_units() -> None:
    assert parsed(GOOD).orders == (ORDER,)


@pytest.mark.parametrize(
    ("line", "field", "told"),
    [
        ('29401;1;"YZ";"87144583";2452.00', "k_symbol", "6 fields are needed, 5 are there"),
        ('29401;1;"YZ";"87144583";2452.00;"A";"B"', "line", "6 fields are needed, 7 are there"),
        (';1;"YZ";"87144583";2452.00;"SIPO"', "order_id", "is missing"),
        ('29401;x1;"YZ";"87144583";2452.00;"SIPO"', "account_id", "not a whole number"),
        ('29401;1;"ZZ";"87144583";2452.00;"SIPO"', "bank_to", "unknown bank 'ZZ'"),
        ('29401;1;"YZ";"";2452.00;"SIPO"', "account_to", "is missing"),
        ('29401;1;"YZ";"87-14";2452.00;"SIPO"', "account_to", "not an account number"),
        ('29401;1;"YZ";"87144583";;"SIPO"', "amount", "is missing"),
        ('29401;1;"YZ";"87144583";0.00;"SIPO"', "amount", "not above zero"),
        ('29401;1;"YZ";"87144583";-1.00;"SIPO"', "amount", "not above zero"),
        ('29401;1;"YZ";"87144583";2452.001;"SIPO"', "amount", "more than 2 decimals"),
        ('29401;1;"YZ";"87144583";1e3;"SIPO"', "amount", "not a decimal number"),
        ('29401;1;"YZ";"87144583";1_000;"SIPO"', "amount", "not a decimal number"),
        ('29401;1;"YZ"x;"87144583";1.00;"SIPO"', "line", "quoting is broken"),
    ],
)
def test_a_malformed_line_is_named(line: str, field: str, told: str) -> None:
    (fault,) = parsed(GOOD, line).faults
    assert (fault.line, fault.field) == (3, field)
    assert told in str(fault)


def test_the_same_order_twice_is_one_order() -> None:
    assert parsed(GOOD, GOOD) == OrdersFile((ORDER,), ())


def test_an_order_id_with_other_terms_is_named_with_what_differs() -> None:
    (fault,) = parsed(GOOD, '29401;1;"YZ";"87144583";2453.00;"SIPO"').faults
    assert (fault.line, fault.field) == (3, "order_id")
    assert "amount_minor" in fault.reason


def test_a_file_without_the_header_is_refused_whole() -> None:
    found = parse_orders([GOOD], "CZK", frozenset({"YZ"}))
    assert not found.orders
    assert found.faults[0].field == "header"


def test_a_file_that_is_not_text_is_refused_whole(tmp_path: Path) -> None:
    (file := tmp_path / "orders").write_bytes(b"\xff\xfe\x00")
    assert read_orders(file, "CZK", ["YZ"]).faults[0].field == "file"


def test_ids_are_stable_and_tell_orders_days_and_accounts_apart() -> None:
    assert payment_id(ORDER, DAY) == payment_id(ORDER, DAY)
    assert payment_id(ORDER, DAY) != payment_id(ORDER, date(2026, 1, 6))
    assert wallet_id("1", "CZK") != wallet_id("2", "CZK")
    more: Sequence[Order] = [ORDER, replace(ORDER, order_id="29402")]
    assert top_up_id("1", [ORDER], DAY) != top_up_id("1", more, DAY)
    assert top_up_minor(more) == 2 * 245_200 + KEPT_MINOR


def test_the_home_bank_depends_on_the_account_and_the_set_of_banks_alone() -> None:
    assert home_bank("1", ["CD", "YZ"]) == home_bank("1", ["YZ", "CD"])
    homes = {home_bank(str(n), ["CD", "EF", "YZ"]) for n in range(100)}
    assert homes == {"CD", "EF", "YZ"}


def test_the_real_file_is_read_to_the_last_haler(root: Path) -> None:
    path = root.parent / "shared" / "data" / "pkdd99" / "order.asc"
    if not path.exists():
        pytest.skip("the PKDD'99 orders are not beside the project")
    found = read_orders(path, "CZK", ["CD", "EF", "GH", "KL", "OP", "QR", "ST", "UV", "YZ"])
    assert (len(found.orders), len(found.accounts), found.faults) == (4475, 3014, ())
    assert sum(order.amount_minor for order in found.orders) == 1_470_308_550
