"""Refused funds as they are stored: thousands of codes, mostly the very same for all of a class.

Sorted codes of six digits are packed: the gap of each number to the one before (the first to -1) as
a base-128 varint, all of them deflated (zlib, RFC 1950).
"""

import base64
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import numpy as np

Refused: TypeAlias = Sequence[tuple[str, tuple[str, ...]]]

# Lists whose stored form is kept, and codes from which on a list is packed.
_KEPT: Final = 256
_PACKED_FROM: Final = 32
_DIGITS: Final = 6
_MORE: Final = 0x80
_PLACES: Final = 10 ** np.arange(_DIGITS - 1, -1, -1)


def refused_to_json(found: Refused) -> list[dict[str, Any]] | None:
    """Check by check; few codes, or such as cannot be packed, are readable as they are."""
    told: list[dict[str, Any]] = []
    for code, funds in found:
        packed = _packed(funds) if len(funds) >= _PACKED_FROM else ""
        told.append({"code": code, "packed_codes": packed} if packed else _plain(code, funds))
    return told or None


def refused_to_message(found: Refused) -> list[dict[str, Any]] | None:
    return [_plain(code, funds) for code, funds in found] or None


def refused_from_json(body: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """One check's, packed or as they were stored before there was packing."""
    packed = body.get("packed_codes")
    return body["code"], _unpacked(packed) if packed else tuple(body.get("fund_codes", ()))


def _plain(code: str, funds: tuple[str, ...]) -> dict[str, Any]:
    return {"code": code, "fund_codes": funds}


@lru_cache(maxsize=_KEPT)
def _packed(codes: tuple[str, ...]) -> str:
    """Base64, because it is stored as JSON; empty where these codes cannot be packed."""
    if not are_six_digits(codes):
        return ""
    digits = np.frombuffer("".join(codes).encode(), np.uint8).reshape(-1, _DIGITS) - ord("0")
    gaps = np.diff(digits @ _PLACES, prepend=-1)
    if gaps.min() <= 0:
        return ""
    if gaps.max() < _MORE:
        body = gaps.astype(np.uint8).tobytes()
    else:
        body = bytes(byte for gap in gaps.tolist() for byte in _varint(gap))
    return base64.b64encode(zlib.compress(body, 9)).decode()


def are_six_digits(codes: Sequence[str]) -> bool:
    """Whether all codes, some at least, are of six digits."""
    joined = "".join(codes)
    return joined.isascii() and joined.isdigit() and set(map(len, codes)) == {_DIGITS}


def _varint(number: int) -> Iterator[int]:
    while number >= _MORE:
        yield number % _MORE | _MORE
        number //= _MORE
    yield number


@lru_cache(maxsize=_KEPT)
def _unpacked(packed: str) -> tuple[str, ...]:
    codes: list[str] = []
    number, gap, shift = -1, 0, 0
    for byte in zlib.decompress(base64.b64decode(packed)):
        gap |= (byte & ~_MORE) << shift
        shift += 7
        if byte < _MORE:
            number += gap
            codes.append(f"{number:06d}")
            gap = shift = 0
    return tuple(codes)
