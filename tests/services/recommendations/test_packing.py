"""Refused funds as they are stored: small, and the same codes again."""

import random
from typing import Any

import orjson
import pytest

from services.recommendations.packing import refused_from_json, refused_to_json

MANY = tuple(f"{number:06d}" for number in range(0, 5_000, 2))


def stored(codes: tuple[str, ...]) -> dict[str, Any]:
    found = refused_to_json([("ABOVE_CLASS", codes)])
    assert found is not None
    return found[0]


def again(codes: tuple[str, ...]) -> tuple[str, ...]:
    code, found = refused_from_json(orjson.loads(orjson.dumps(stored(codes))))
    assert code == "ABOVE_CLASS"
    return found


@pytest.mark.parametrize("count", [0, 1, 31, 32, 3_000])
def test_codes_come_back_as_they_were_however_many(count: int) -> None:
    rng = random.Random(count)  # noqa: S311 - repeatable, not secret
    codes = tuple(f"{number:06d}" for number in sorted(rng.sample(range(1_000_000), count)))

    assert again(codes) == codes


def test_the_ends_of_all_codes_come_back() -> None:
    codes = ("000000", *MANY[1:], "999999")

    assert again(codes) == codes


@pytest.mark.parametrize(
    "codes", [(*MANY, "9A0001"), tuple(reversed(MANY)), (*MANY, MANY[-1]), (*MANY, "1000000")]
)
def test_what_cannot_be_packed_is_stored_as_it_is(codes: tuple[str, ...]) -> None:
    told = stored(codes)

    assert told["fund_codes"] == codes
    assert again(codes) == codes


def test_thousands_of_codes_take_two_bytes_each_at_most() -> None:
    rng = random.Random(7)  # noqa: S311 - repeatable, not secret
    codes = tuple(f"{number:06d}" for number in sorted(rng.sample(range(1_000_000), 5_000)))
    told = stored(codes)

    assert len(told["packed_codes"]) * 3 / 4 < 2 * len(codes)
