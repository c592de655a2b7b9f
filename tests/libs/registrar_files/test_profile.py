"""Profiles: what a registrar's files look like is data, and checked when it is read."""

from pathlib import Path

import pytest

from libs.registrar_files import FileKey, ProfileWrong, build_file, load_profile, parse_file
from libs.registrar_files.profile import FOLDER, attribute_of
from tests.libs.registrar_files.samples import T, confirmation

STANDARD = (FOLDER / "ofd21.toml").read_text()


def profile_from(folder: Path, text: str) -> None:
    (folder / "changed.toml").write_text(text)
    load_profile("changed", folder)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("AppSheetSerialNo", "app_sheet_serial_no"),
        ("TASerialNO", "ta_serial_no"),
        ("TAAccountID", "ta_account_id"),
        ("TotalVolOfDistributorInTA", "total_vol_of_distributor_in_ta"),
        ("FromTAFlag", "from_ta_flag"),
        ("NAVDate", "nav_date"),
        ("XRDate", "xr_date"),
        ("OtherFee1", "other_fee1"),
    ],
)
def test_the_markets_names_have_attributes(name: str, attribute: str) -> None:
    assert attribute_of(name) == attribute


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('encoding = "gb18030"', 'encoding = "klingon"', "encoding: 'klingon' is not known"),
        ("[files.07]", "[files.99]", "files.99: there is no such type of file"),
        ('"ReturnCode A4"', '"ReturnCode A"', "'ReturnCode A' is not 'Name KindWidth.decimals'"),
        ('"ReturnCode A4"', '"Wishes A4"', "Wishes is no field of such a record"),
        ('"NAV N9.4"', '"NAV A9"', "NAV is a number"),
        ('"NAVDate D8"', '"NAVDate A8"', "NAVDate is a date"),
        ('"NAVDate D8"', '"NAVDate D6"', "cannot be"),
        ('"FundStatus A1"', '"FundStatus A1", "FundStatus A1"', "stands there twice"),
        ('"TASerialNO A20", "FundCode', '"FundCode', "ta_serial_no must be among the fields"),
        ('totals = ["BasisVol"', 'totals = ["FundCode"', "'FundCode' is no number"),
        ("version", "= version", "Invalid"),
        ('04 = "15:00"', '04 = "soon"', "due.04: 'soon' is no time"),
        ('04 = "15:00"', '99 = "15:00"', "due.99: there is no such type of file"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in STANDARD

    with pytest.raises(ProfileWrong, match=told.replace("(", r"\(")):
        profile_from(tmp_path, STANDARD.replace(old, new))


@pytest.mark.parametrize("name", ["", "../ofd21", "OFD21", "absent"])
def test_no_other_file_is_taken_for_a_profile(name: str) -> None:
    with pytest.raises(ProfileWrong):
        load_profile(name)


def test_another_registrar_may_want_fewer_fields_in_another_order(tmp_path: Path) -> None:
    first = '"AppSheetSerialNo A24", "TASerialNO A20", "BusinessCode A3", "FundCode A6"'
    swapped = '"FundCode A6", "TASerialNO A32", "BusinessCode A3", "AppSheetSerialNo A24"'
    text = STANDARD.replace(f'{first}, "TransactionDate D8"', f'{swapped}, "TransactionDate D8"')
    text = text.replace(
        '"NAV N9.4",\n  "CurrencyType A3", "RefundAmount', '"NAV N12.5",\n  "RefundAmount'
    )
    (tmp_path / "other.toml").write_text(text)

    profile = load_profile("other", tmp_path)
    key = FileKey("HFTA", "HEFU", T, "04", 1)
    row = confirmation(nav=100_251)

    assert profile.decimals("04", "nav") == 5
    assert profile.width("04", "ta_serial_no") == 32
    assert parse_file(build_file(key, [row], profile), key, profile) == [row]
