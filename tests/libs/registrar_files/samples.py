"""Rows of every kind, for the tests of the files they stand in."""

from datetime import date
from typing import Any, get_args

from hypothesis import strategies as st

from libs.registrar_files import ConfirmationRow, FileKey, OrderRow, Profile, Row
from libs.registrar_files.records import ROW_OF

T = date(2026, 9, 24)
CONFIRMED = date(2026, 9, 28)


def key(file_type: str = "04", batch: int = 1) -> FileKey:
    return FileKey("HFTA", "HEFU", T, file_type, batch)


def order(number: int = 1, **changed: Any) -> OrderRow:  # noqa: ANN401 - each field has its own kind
    row = OrderRow(
        app_sheet_serial_no=f"S{number:023d}",
        business_code="022",
        fund_code="SPAAPL",
        transaction_date=T,
        transaction_time="145959",
        transaction_account_id=f"ACC{number}",
        distributor_code="HEFU",
        application_amount=1_000_000 + number,
        currency_type="CZK",
    )
    return row._replace(**changed)


def confirmation(number: int = 1, **changed: Any) -> ConfirmationRow:  # noqa: ANN401 - as above
    row = ConfirmationRow(
        app_sheet_serial_no=f"S{number:023d}",
        ta_serial_no=f"{number:020d}",
        business_code="122",
        fund_code="SPAAPL",
        transaction_date=T,
        transaction_cfm_date=CONFIRMED,
        confirmed_vol=989_589 + number,
        confirmed_amount=1_000_000,
        nav=10_025,
        charge=7_937,
        error_detail="成功",
    )
    return row._replace(**changed)


def rows_of(profile: Profile, file_type: str) -> st.SearchStrategy[Row]:
    """Any row that the profile can hold."""
    row_type = ROW_OF[file_type]
    drawn: dict[str, st.SearchStrategy[object]] = {}
    for field in profile.layout(file_type).fields:
        is_needed = field.attribute not in row_type._field_defaults
        match field.kind:
            case "N":
                drawn[field.attribute] = st.integers(0, 10**field.width - 1)
            case "D":
                days = st.dates(date(1, 1, 1), date(9999, 12, 31))
                drawn[field.attribute] = days if is_needed else st.none() | days
            case "A":
                drawn[field.attribute] = st.text(
                    st.characters(min_codepoint=0x21, max_codepoint=0x7E),
                    min_size=int(is_needed),
                    max_size=field.width,
                )
            case _:
                drawn[field.attribute] = _texts(field.width)
    if file_type in ("03", "04"):
        drawn["transaction_date"] = st.just(T)
    return st.builds(row_type, **drawn)


def _texts(width: int) -> st.SearchStrategy[str]:
    # A character takes up to four bytes of GB18030.
    letters = st.characters(codec="gb18030", min_codepoint=0x20, exclude_characters="\x7f")
    return st.text(letters, max_size=width // 4).map(lambda text: text.rstrip(" "))


KINDS = tuple(ROW_OF)
ALL_ROWS = get_args(Row)
