"""The bank's half of a settlement, made from its own figures alone."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from uuid import UUID

from libs.money import exponent
from libs.two_halves import Header, Leg, Tree, key_list_hash, leaf_bytes, unknown_key_bytes

WRONG_BY_MINOR = 100
EXTRA_AFTER_MS = 3_600_000
KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Movement:
    """A movement between the wallet and the bank, as the bank has written it down."""

    uetr: UUID
    end_to_end_id: str
    # C in the wallet's favour, D in the bank's.
    favour: str
    currency: str
    amount_minor: int
    # It was written down with another amount than advised ...
    is_wrong: bool = False
    # ... and the two sides have found that out.
    is_disputed: bool = False


@dataclass(frozen=True, slots=True)
class Half:
    """What the bank computed for a proposal's keys."""

    leaves: tuple[bytes, ...]
    root: bytes
    legs: int
    sum_wallet_minor: int
    sum_bank_minor: int


def half_of(keys: Sequence[UUID], known: Mapping[UUID, Movement], account: str) -> Half:
    """Leaves, root and sums over the keys; a key the bank does not know has a leaf that says so."""
    found = [known[key] for key in keys if key in known]
    leaves = tuple(
        _leaf(known[key], account) if key in known else unknown_key_bytes(key) for key in keys
    )
    return Half(
        leaves,
        Tree(leaves).root,
        len(found),
        sum(movement.amount_minor for movement in found if movement.favour == "C"),
        sum(movement.amount_minor for movement in found if movement.favour == "D"),
    )


def record(advised: Movement, written: Movement | None, *, wrongly: bool) -> Movement | None:
    """What to write down for an advised movement; nothing where it stands there already.

    One whose difference has been found is written anew when it is advised again.
    """
    if written is not None and not written.is_disputed:
        return None
    if wrongly and written is None:
        return replace(advised, amount_minor=advised.amount_minor + WRONG_BY_MINOR, is_wrong=True)
    return advised


def keys_of(packed: bytes) -> tuple[UUID, ...] | None:
    """The keys of a list; nothing unless they are whole, ascending and each there once."""
    if len(packed) % KEY_BYTES:
        return None
    parts = [packed[at : at + KEY_BYTES] for at in range(0, len(packed), KEY_BYTES)]
    if any(left >= right for left, right in pairwise(parts)):
        return None
    return tuple(UUID(bytes=part) for part in parts)


def are_those_of(header: Header, keys: Sequence[UUID]) -> bool:
    """Whether the keys are the ones that the header was signed over."""
    return header.legs == len(keys) and header.key_list_hash == key_list_hash(keys)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the bank expects of a header."""

    bank_id: str
    account: str
    currency: str
    # Digest of the last header that both signed.
    previous_digest: bytes


def objection(header: Header, expected: Expected, now_ms: int) -> str:
    """Why the bank will not look at a proposal; empty if it will."""
    checks = {
        "FOREIGN_HEADER": (header.bank_id, header.account, header.currency)
        == (expected.bank_id, expected.account, expected.currency),
        "CURRENCY_SCALE": header.exponent == exponent(expected.currency),
        "HEADER_EXPIRED": now_ms < header.expires_ms,
        "CHAIN_BROKEN": header.previous_digest == expected.previous_digest,
    }
    return next((reason for reason, is_right in checks.items() if not is_right), "")


def pack(leaves: Sequence[bytes]) -> bytes:
    """Leaves as one run of bytes, each after its length."""
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def unpack(packed: bytes) -> tuple[bytes, ...]:
    """The leaves of a run of bytes."""
    leaves, at = [], 0
    while at < len(packed):
        size = int.from_bytes(packed[at : at + 2], "big")
        leaves.append(packed[at + 2 : at + 2 + size])
        at += 2 + size
    return tuple(leaves)


def digest_of(header: bytes) -> bytes:
    """SHA-256 of the header's bytes as they came."""
    return hashlib.sha256(header).digest()


def _leaf(movement: Movement, account: str) -> bytes:
    return leaf_bytes(
        Leg(
            movement.uetr,
            movement.favour,
            movement.currency,
            exponent(movement.currency),
            movement.amount_minor,
            account,
            movement.end_to_end_id,
        )
    )
