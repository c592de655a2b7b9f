"""Files of records: what is built is read back, and what is wrong is refused whole, by name."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.registrar_files import (
    ConfirmationRow,
    FileReason,
    FileRefused,
    build_file,
    load_profile,
    parse_file,
)
from tests.libs.registrar_files.samples import (
    CONFIRMED,
    KINDS,
    T,
    confirmation,
    key,
    order,
    rows_of,
)

PROFILE = load_profile()
LINE = b"\r\n"


def body_of(*rows: ConfirmationRow) -> bytes:
    return build_file(key(), rows, PROFILE)


def refused(body: bytes, file_type: str = "04") -> FileRefused:
    with pytest.raises(FileRefused) as refusal:
        parse_file(body, key(file_type), PROFILE)
    return refusal.value


@pytest.mark.parametrize("file_type", KINDS)
@given(data=st.data())
@settings(max_examples=25)
def test_what_is_built_is_read_back(file_type: str, data: st.DataObject) -> None:
    rows = data.draw(st.lists(rows_of(PROFILE, file_type), max_size=6))

    body = build_file(key(file_type), rows, PROFILE)

    assert parse_file(body, key(file_type), PROFILE) == rows


def test_an_empty_file_is_a_file() -> None:
    assert parse_file(body_of(), key(), PROFILE) == []


def test_every_field_of_a_row_has_its_place_in_the_standard_profile() -> None:
    for file_type in KINDS:
        layout = PROFILE.layout(file_type)
        assert len({field.attribute for field in layout.fields}) == len(layout.fields)
    assert {field.attribute for field in PROFILE.layout("04").fields} == set(
        ConfirmationRow._fields
    )


def _cut(where: bytes) -> Callable[[bytes], bytes]:
    return lambda body: body[: body.index(where)]


HOSTILE: list[tuple[str, Callable[[bytes], bytes], FileReason]] = [
    ("empty", lambda _: b"", FileReason.HEADER),
    ("another mark", lambda b: b.replace(b"OFDCFDAT", b"OFDCFDAX"), FileReason.HEADER),
    ("another version", lambda b: b.replace(b"\r\n21\r\n", b"\r\n20\r\n"), FileReason.HEADER),
    ("another sender", lambda b: b.replace(b"HFTA", b"EVIL", 1), FileReason.NAME),
    ("another receiver", lambda b: b.replace(b"HEFU", b"OTHR", 1), FileReason.NAME),
    ("another date", lambda b: b.replace(b"20260924", b"20260925", 1), FileReason.DATE),
    ("another batch", lambda b: b.replace(b"\r\n001\r\n", b"\r\n002\r\n", 1), FileReason.NAME),
    ("another type", lambda b: b.replace(b"\r\n04\r\n", b"\r\n05\r\n", 1), FileReason.NAME),
    ("another number of fields", lambda b: b.replace(b"\r\n057", b"\r\n058", 1), FileReason.LAYOUT),
    ("fields swapped", lambda b: b.replace(b"NAV", b"VAN", 1), FileReason.LAYOUT),
    ("cut in the header", _cut(b"FundCode"), FileReason.HEADER),
    ("cut before the end mark", _cut(b"OFDCFEND"), FileReason.HEADER),
    ("cut in the last row", lambda b: b[: len(b) // 2] + b[-100:], FileReason.WIDTH),
    ("no number of rows", lambda b: b.replace(b"00000002", b"0000000x", 1), FileReason.COUNT),
    ("one row too many told", lambda b: b.replace(b"00000002", b"00000003", 1), FileReason.COUNT),
    ("one row too few told", lambda b: b.replace(b"00000002", b"00000001", 1), FileReason.COUNT),
    ("an overlong row", lambda b: b.replace(b"S0000", b"SX0000", 1), FileReason.WIDTH),
    ("a short row", lambda b: b.replace(b"S0000", b"S000", 1), FileReason.WIDTH),
    (
        "no GB18030",
        lambda b: b.replace("成功".encode("gb18030"), b"\xff\xff\xff\xff", 1),
        FileReason.ENCODING,
    ),
    (
        "full-width digits",
        lambda b: b.replace(b"20260928", "\uff12\uff16".encode("gb18030") + b"0928", 1),
        FileReason.DATE,
    ),
    ("no such day", lambda b: b.replace(b"20260928", b"20260931", 1), FileReason.DATE),
    ("letters in a number", lambda b: b.replace(b"000010025", b"00000NaN1", 1), FileReason.FIELD),
    ("a sign in a number", lambda b: b.replace(b"000010025", b"-00010025", 1), FileReason.FIELD),
    (
        "an underscore in a number",
        lambda b: b.replace(b"000010025", b"0000_0025", 1),
        FileReason.FIELD,
    ),
    ("a space in a code", lambda b: b.replace(b"SPAAPL", b"SP APL", 1), FileReason.FIELD),
    (
        "a control character",
        lambda b: b.replace("成功".encode("gb18030"), b"a\x00b\x1b", 1),
        FileReason.FIELD,
    ),
    (
        "a wrong total",
        lambda b: b.replace(b"00000000000002000000", b"00000000000002000001"),
        FileReason.TOTAL,
    ),
    (
        "no total",
        lambda b: b.replace(b"00000000000002000000", b"0000000000000200000x"),
        FileReason.TOTAL,
    ),
    ("something after the end", lambda b: b + b"more", FileReason.HEADER),
]


@pytest.mark.parametrize(("spoil", "reason"), [pytest.param(*c[1:], id=c[0]) for c in HOSTILE])
def test_a_spoiled_file_is_refused_by_its_reason(
    spoil: Callable[[bytes], bytes], reason: FileReason
) -> None:
    body = body_of(confirmation(1), confirmation(2))
    spoiled = spoil(body)

    assert spoiled != body
    assert refused(spoiled).faults[0].reason == reason


def test_a_fault_names_file_row_and_field() -> None:
    body = body_of(confirmation(1), confirmation(2)).replace(b"000010025", b"00001002x")

    faults = refused(body).faults

    assert [(f.file_name, f.row, f.field) for f in faults] == [
        ("OFD_HFTA_HEFU_20260924_04_001.TXT", 1, "NAV"),
        ("OFD_HFTA_HEFU_20260924_04_001.TXT", 2, "NAV"),
    ]
    assert str(faults[0]) == (
        "OFD_HFTA_HEFU_20260924_04_001.TXT row 1 NAV: FIELD: '00001002x' is not all digits"
    )


@given(st.data())
@settings(max_examples=150)
def test_no_changed_byte_is_read_as_something_else_without_a_word(data: st.DataObject) -> None:
    body = bytearray(body_of(confirmation(1), confirmation(2)))
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))

    try:
        rows = parse_file(bytes(body), key(), PROFILE)
    except FileRefused:
        return  # found
    volumes = [row.confirmed_vol for row in rows if isinstance(row, ConfirmationRow)]
    assert sum(volumes) == 2 * 989_589 + 3


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_and_nothing_else(garbage: bytes) -> None:
    assert refused(garbage).faults


@pytest.mark.parametrize(
    ("row", "reason", "field"),
    [
        (confirmation(confirmed_vol=-1), FileReason.FIELD, "ConfirmedVol"),
        (confirmation(confirmed_vol=10**18), FileReason.WIDTH, "ConfirmedVol"),
        (confirmation(confirmed_vol=math.nan), FileReason.FIELD, "ConfirmedVol"),
        (confirmation(confirmed_vol=True), FileReason.FIELD, "ConfirmedVol"),
        (confirmation(charge=1.0), FileReason.FIELD, "Charge"),
        (confirmation(fund_code="SPAAPLX"), FileReason.WIDTH, "FundCode"),
        (confirmation(fund_code="\uff33\uff30"), FileReason.FIELD, "FundCode"),
        (confirmation(error_detail="成" * 31), FileReason.WIDTH, "ErrorDetail"),
        (confirmation(error_detail="two\nlines"), FileReason.FIELD, "ErrorDetail"),
        (confirmation(error_detail="\ud800"), FileReason.ENCODING, "ErrorDetail"),
        (confirmation(begin_date="20260924"), FileReason.DATE, "BeginDate"),
        (confirmation(transaction_date=CONFIRMED), FileReason.DATE, "TransactionDate"),
    ],
)
def test_a_value_that_does_not_fit_is_not_written(
    row: ConfirmationRow, reason: FileReason, field: str
) -> None:
    with pytest.raises(FileRefused) as refusal:
        build_file(key(), [confirmation(), row], PROFILE)

    fault = refusal.value.faults[0]
    assert (fault.reason, fault.row, fault.field) == (reason, 2, field)


def test_orders_of_another_day_are_none_of_this_file() -> None:
    body = build_file(key("03"), [order(1), order(2)], PROFILE)
    second = body.rindex(b"20260924")

    spoiled = body[:second] + b"20260923" + body[second + 8 :]

    assert refused(spoiled, "03").faults[0].field == "TransactionDate"


def test_a_needed_field_must_not_be_blank() -> None:
    body = body_of(confirmation(1)).replace(b"SPAAPL", b"      ")

    fault = refused(body).faults[0]
    assert (fault.reason, fault.row, fault.field) == (FileReason.FIELD, 1, "FundCode")


@pytest.mark.full
def test_a_hundred_thousand_rows_are_read_whole() -> None:
    rows = [confirmation(number, transaction_account_id=f"A{number}") for number in range(100_000)]
    body = build_file(key(), rows, PROFILE)

    found = parse_file(body, key(), PROFILE)

    assert found == rows
    assert found[-1].transaction_date == T  # type: ignore[union-attr]
