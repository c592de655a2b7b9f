"""The two halves of a settlement, byte-exact: leaves, the tree over them, the header both sign."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeVar
from uuid import UUID

from libs.byte_layout import (
    BytesMalformed,
    Reader,
    currency_bytes,
    digest_bytes,
    number_bytes,
    text_bytes,
)
from libs.merkle import leaf_hash, level_above, node_hash

__all__ = [
    "NO_DIGEST",
    "OURS",
    "THE_BANKS",
    "BytesMalformed",
    "Header",
    "Leg",
    "Tree",
    "UnknownKey",
    "decode_leaf",
    "dispute_type",
    "key_list_hash",
    "leaf_bytes",
    "leaf_hash",
    "node_hash",
    "sign_payload",
    "uetr_of",
    "unknown_key_bytes",
]

T = TypeVar("T")

OURS = "H"
THE_BANKS = "B"
NO_DIGEST = bytes(32)
_LEG = b"HEFU-LEG-1"
_UNKNOWN = b"HEFU-ABS-1"
_HEADER = b"HEFU-SETTLE-1"
_NO_UETR = bytes(16)


@dataclass(frozen=True, slots=True)
class Leg:
    """A movement both sides have in their books.

    `favour` is C (the wallet's) or D (the bank's); `account` is the wallet's account at the bank.
    """

    uetr: UUID
    favour: str
    currency: str
    exponent: int
    amount_minor: int
    account: str
    end_to_end_id: str
    original_uetr: UUID | None = None


@dataclass(frozen=True, slots=True)
class UnknownKey:
    """What a side puts where it has nothing."""

    uetr: UUID


def leaf_bytes(leg: Leg) -> bytes:
    """The leaf of a leg. Raises `BytesMalformed` where a field does not fit its place."""
    if leg.favour not in {"C", "D"}:
        raise BytesMalformed(f"favour {leg.favour!r} is neither C nor D")
    return b"".join(
        (
            _LEG,
            leg.uetr.bytes,
            leg.favour.encode("ascii"),
            currency_bytes(leg.currency),
            number_bytes(leg.exponent, 1),
            number_bytes(leg.amount_minor, 8),
            text_bytes(leg.account),
            text_bytes(leg.end_to_end_id),
            leg.original_uetr.bytes if leg.original_uetr else _NO_UETR,
        )
    )


def unknown_key_bytes(uetr: UUID) -> bytes:
    """The leaf of a key that this side does not know."""
    return _UNKNOWN + uetr.bytes


def decode_leaf(data: bytes) -> Leg | UnknownKey:
    """Reads a leaf back. Raises `BytesMalformed`; only the exact encoding passes."""
    reader = Reader(data)
    leaf: Leg | UnknownKey
    if data.startswith(_UNKNOWN):
        reader.take(len(_UNKNOWN))
        leaf = UnknownKey(reader.uuid())
    else:
        reader.expect(_LEG)
        leaf = Leg(
            uetr=reader.uuid(),
            favour=reader.ascii(1),
            currency=reader.ascii(3),
            exponent=reader.number(1),
            amount_minor=reader.number(8),
            account=reader.text(),
            end_to_end_id=reader.text(),
            original_uetr=UUID(bytes=original) if any(original := reader.take(16)) else None,
        )
    reader.end()
    return leaf


def dispute_type(ours: bytes, theirs: bytes) -> str:
    """Why two leaves of one key differ. Raises `BytesMalformed` for bytes that are no such leaf."""
    mine, other = decode_leaf(ours), decode_leaf(theirs)
    if mine.uetr != other.uetr:
        raise BytesMalformed("the leaves belong to different keys")
    if isinstance(mine, UnknownKey):
        return "UNKNOWN_TO_US"
    if isinstance(other, UnknownKey):
        return "UNKNOWN_TO_BANK"
    differences = {
        "CURRENCY": (mine.currency, mine.exponent) != (other.currency, other.exponent),
        "DIRECTION": mine.favour != other.favour,
        "AMOUNT": mine.amount_minor != other.amount_minor,
        "ACCOUNT": mine.account != other.account,
        "REFERENCE": mine.end_to_end_id != other.end_to_end_id,
        "RETURN_LINK": mine.original_uetr != other.original_uetr,
    }
    found = [name for name, differs in differences.items() if differs]
    if not found:
        raise BytesMalformed("the leaves do not differ")
    return found[0]


class Tree:
    """The Merkle tree over leaves in the order of their UETRs (hashing of RFC 6962)."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._leaves = tuple(leaves)
        self.levels = [[leaf_hash(leaf) for leaf in self._leaves]]
        while len(self.levels[-1]) > 1:
            self.levels.append(level_above(self.levels[-1]))

    @property
    def root(self) -> bytes:
        """The 32 bytes both sides compare."""
        return self.levels[-1][0] if self._leaves else hashlib.sha256().digest()

    def nodes(self, level: int, indices: Iterable[int]) -> list[bytes]:
        """Hashes of one level, in the order of the indices. Raises `IndexError`."""
        return [_at(_at(self.levels, level), index) for index in indices]

    def leaf(self, index: int) -> bytes:
        """The bytes of one leaf. Raises `IndexError`."""
        return _at(self._leaves, index)


def key_list_hash(uetrs: Iterable[UUID]) -> bytes:
    """The hash over the ordered keys."""
    digest = hashlib.sha256(b"HEFU-KEYS-1")
    for uetr in uetrs:
        digest.update(uetr.bytes)
    return digest.digest()


@dataclass(frozen=True)
class Header:
    """What both sides sign: one round of one settlement. Amounts in minor units, times in ms."""

    settlement_id: UUID
    round: int
    bank_id: str
    account: str
    currency: str
    exponent: int
    model: str
    # The date as a number: 20300115.
    value_date: int
    window_ids: tuple[UUID, ...]
    legs: int
    sum_ours_minor: int
    sum_bank_minor: int
    key_list_hash: bytes
    root: bytes
    created_ms: int
    expires_ms: int
    previous_digest: bytes = NO_DIGEST

    @property
    def net_minor(self) -> int:
        """What the bank owes us; negative: what we owe."""
        return self.sum_ours_minor - self.sum_bank_minor

    def encode(self) -> bytes:
        """The exact bytes. Raises `BytesMalformed` where a field does not fit its place."""
        if list(self.window_ids) != sorted(set(self.window_ids), key=lambda window: window.bytes):
            raise BytesMalformed("window ids are not in order")
        return b"".join(
            (
                _HEADER,
                self.settlement_id.bytes,
                number_bytes(self.round, 1),
                text_bytes(self.bank_id),
                text_bytes(self.account),
                currency_bytes(self.currency),
                number_bytes(self.exponent, 1),
                text_bytes(self.model),
                number_bytes(self.value_date, 4),
                number_bytes(len(self.window_ids), 2),
                *(window.bytes for window in self.window_ids),
                number_bytes(self.legs, 8),
                number_bytes(self.sum_ours_minor, 8),
                number_bytes(self.sum_bank_minor, 8),
                number_bytes(self.net_minor, 8, signed=True),
                digest_bytes(self.key_list_hash),
                digest_bytes(self.root),
                number_bytes(self.created_ms, 8),
                number_bytes(self.expires_ms, 8),
                digest_bytes(self.previous_digest),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Reads a header back. Raises `BytesMalformed`; only the exact encoding passes."""
        reader = Reader(data)
        reader.expect(_HEADER)
        settlement_id, round_ = reader.uuid(), reader.number(1)
        bank_id, account = reader.text(), reader.text()
        currency, exponent = reader.ascii(3), reader.number(1)
        model, value_date = reader.text(), reader.number(4)
        window_ids = tuple(reader.uuid() for _ in range(reader.number(2)))
        legs, sum_ours, sum_bank = (reader.number(8) for _ in range(3))
        net = reader.number(8, signed=True)
        header = cls(
            settlement_id=settlement_id,
            round=round_,
            bank_id=bank_id,
            account=account,
            currency=currency,
            exponent=exponent,
            model=model,
            value_date=value_date,
            window_ids=window_ids,
            legs=legs,
            sum_ours_minor=sum_ours,
            sum_bank_minor=sum_bank,
            key_list_hash=reader.take(32),
            root=reader.take(32),
            created_ms=reader.number(8),
            expires_ms=reader.number(8),
            previous_digest=reader.take(32),
        )
        reader.end()
        if header.net_minor != net or header.encode() != data:
            raise BytesMalformed("the header contradicts itself")
        return header

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the exact bytes."""
        return hashlib.sha256(self.encode()).digest()

    def sign_payload(self, role: str) -> bytes:
        """What the side of this role signs."""
        return sign_payload(role, self.digest)


def sign_payload(role: str, digest: bytes) -> bytes:
    """What is signed over a header; the role (`H` or `B`) stops a replay as the other's."""
    if role not in {OURS, THE_BANKS}:
        raise BytesMalformed(f"role {role!r} is neither H nor B")
    return b"HEFU-SIGN-1\x00" + role.encode("ascii") + digest_bytes(digest)


def uetr_of(payment_id: UUID, attempt: int) -> UUID:
    """The UETR of a payment's attempt: a UUIDv4 in form, always the same for one attempt."""
    seed = hashlib.sha256(b"HEFU-UETR-1" + payment_id.bytes + number_bytes(attempt, 1)).digest()
    return UUID(bytes=seed[:16], version=4)


def _at(items: Sequence[T], index: int) -> T:
    if index < 0:
        raise IndexError(index)
    return items[index]
