"""Packages: an index and its files; what is not all there is not taken."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from libs.registrar_files import (
    File,
    FileReason,
    FileRefused,
    Package,
    PackageKey,
    Received,
    Row,
    build_index,
    load_profile,
    make_package,
    read_package,
)
from tests.libs.registrar_files.samples import T, confirmation

PROFILE = load_profile()
KEY = PackageKey("HFTA", "HEFU", T, 1)


def package(number: int = 1, received: Received | None = None) -> Package:
    contents: dict[str, list[Row]] = {"04": [confirmation(1), confirmation(2)], "05": []}
    return make_package(replace(KEY, number=number), contents, PROFILE, received)


def test_a_package_is_read_file_by_file() -> None:
    read = read_package(package(), PROFILE)

    assert [(each.file.file_type, len(each.rows), each.faults) for each in read] == [
        ("04", 2, ()),
        ("05", 0, ()),
    ]
    assert read[0].rows == (confirmation(1), confirmation(2))


def test_one_bad_file_does_not_spoil_the_others() -> None:
    good = package()
    bad_body = good.files[0].body.replace(b"00000002", b"00000003", 1)
    bad = File("04", 1, good.files[0].name, bad_body)
    index = build_index(KEY, [(bad, 3), (good.files[1], 0)], PROFILE)

    read = read_package(Package(KEY, index, (bad, good.files[1])), PROFILE)

    assert read[0].faults[0].reason == FileReason.COUNT
    assert read[0].rows == ()
    assert read[1].faults == ()


def test_an_index_and_a_file_must_count_alike() -> None:
    good = package()
    index = build_index(KEY, [(good.files[0], 5), (good.files[1], 0)], PROFILE)

    read = read_package(Package(KEY, index, good.files), PROFILE)

    assert read[0].faults[0].reason == FileReason.COUNT


def test_numbers_follow_one_another() -> None:
    after_one = Received(1, {"04": 1, "05": 1})
    second = package(2, after_one)

    assert [file.batch for file in second.files] == [2, 2]
    assert read_package(second, PROFILE, after_one)
    for received in (Received(), Received(2, {"04": 1, "05": 1}), Received(1, {"04": 2, "05": 1})):
        with pytest.raises(FileRefused) as refusal:
            read_package(second, PROFILE, received)
        assert refusal.value.faults[0].reason == FileReason.GAP


def test_what_is_more_than_a_file_holds_goes_into_the_next_batch() -> None:
    rows = [confirmation(number) for number in range(5)]

    made = make_package(KEY, {"04": rows}, PROFILE, rows_per_file=2)
    read = read_package(made, PROFILE)

    assert [file.batch for file in made.files] == [1, 2, 3]
    assert [row for each in read for row in each.rows] == rows


def _index(change: Callable[[bytes], bytes]) -> Callable[[Package], Package]:
    return lambda good: replace(good, index=change(good.index))


HOSTILE: list[tuple[str, Callable[[Package], Package], FileReason]] = [
    ("no index", _index(lambda _: b""), FileReason.HEADER),
    ("another mark", _index(lambda i: i.replace(b"OFDCFIDX", b"OFDCFDAT")), FileReason.HEADER),
    ("another sender", _index(lambda i: i.replace(b"HFTA", b"EVIL", 1)), FileReason.NAME),
    ("another date", _index(lambda i: i.replace(b"20260924", b"20260925", 1)), FileReason.DATE),
    ("another number", _index(lambda i: i.replace(b"\r\n001", b"\r\n002", 1)), FileReason.NAME),
    ("cut", _index(lambda i: i[:-10]), FileReason.HEADER),
    (
        "another count",
        _index(lambda i: i.replace(b"\r\n002\r\n", b"\r\n003\r\n")),
        FileReason.COUNT,
    ),
    (
        "no ASCII",
        _index(lambda i: i.replace(b"HFTA", "合符".encode("gb18030"))),
        FileReason.ENCODING,
    ),
    ("no hash", _index(lambda i: i.replace(b" 00000002 ", b" 00000002x")), FileReason.INDEX),
    ("a file missing", lambda p: replace(p, files=p.files[:1]), FileReason.INDEX),
    ("a file twice", lambda p: replace(p, files=(*p.files, p.files[0])), FileReason.INDEX),
    (
        "a file not named",
        lambda p: replace(
            p, files=(*p.files, replace(p.files[0], name="OFD_A_B_20260924_07_001.TXT"))
        ),
        FileReason.INDEX,
    ),
    (
        "other bytes",
        lambda p: replace(p, files=(replace(p.files[0], body=b"x"), p.files[1])),
        FileReason.HASH,
    ),
    (
        "another type than its name",
        lambda p: replace(p, files=(replace(p.files[0], file_type="06"), p.files[1])),
        FileReason.NAME,
    ),
]


@pytest.mark.parametrize(("spoil", "reason"), [pytest.param(*c[1:], id=c[0]) for c in HOSTILE])
def test_a_spoiled_package_is_refused_by_its_reason(
    spoil: Callable[[Package], Package], reason: FileReason
) -> None:
    with pytest.raises(FileRefused) as refusal:
        read_package(spoil(package()), PROFILE)

    assert refusal.value.faults[0].reason == reason
