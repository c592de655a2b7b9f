"""The two halves of a settlement, byte-exact: leaves, the tree over them, the header both sign."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeVar
from uuid import UUID

T = TypeVar("T")

OURS = "H"
THE_BANKS = "B"
NO_DIGEST = bytes(32)
_LEG = b"HEFU-LEG-1"
_UNKNOWN = b"HEFU-ABS-1"
_HEADER = b"HEFU-SETTLE-1"
_NO_UETR = bytes(16)
_TEXT_MAX = 255


class BytesMalformed(ValueError):
    """The bytes are no leaf or header in the one permitted encoding."""


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
            _currency(leg.currency),
            _number(leg.exponent, 1),
            _number(leg.amount_minor, 8),
            _text(leg.account),
            _text(leg.end_to_end_id),
            leg.original_uetr.bytes if leg.original_uetr else _NO_UETR,
        )
    )


def unknown_key_bytes(uetr: UUID) -> bytes:
    """The leaf of a key that this side does not know."""
    return _UNKNOWN + uetr.bytes


def decode_leaf(data: bytes) -> Leg | UnknownKey:
    """Reads a leaf back. Raises `BytesMalformed`; only the exact encoding passes."""
    reader = _Reader(data)
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
            self.levels.append(_above(self.levels[-1]))

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


def leaf_hash(leaf: bytes) -> bytes:
    """The node of level 0."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes | None) -> bytes:
    """The node above two; alone, the left one moves up unchanged."""
    return left if right is None else hashlib.sha256(b"\x01" + left + right).digest()


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
                _number(self.round, 1),
                _text(self.bank_id),
                _text(self.account),
                _currency(self.currency),
                _number(self.exponent, 1),
                _text(self.model),
                _number(self.value_date, 4),
                _number(len(self.window_ids), 2),
                *(window.bytes for window in self.window_ids),
                _number(self.legs, 8),
                _number(self.sum_ours_minor, 8),
                _number(self.sum_bank_minor, 8),
                _number(self.net_minor, 8, signed=True),
                _digest(self.key_list_hash),
                _digest(self.root),
                _number(self.created_ms, 8),
                _number(self.expires_ms, 8),
                _digest(self.previous_digest),
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Reads a header back. Raises `BytesMalformed`; only the exact encoding passes."""
        reader = _Reader(data)
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
    return b"HEFU-SIGN-1\x00" + role.encode("ascii") + _digest(digest)


def uetr_of(payment_id: UUID, attempt: int) -> UUID:
    """The UETR of a payment's attempt: a UUIDv4 in form, always the same for one attempt."""
    seed = hashlib.sha256(b"HEFU-UETR-1" + payment_id.bytes + _number(attempt, 1)).digest()
    return UUID(bytes=seed[:16], version=4)


def _above(level: list[bytes]) -> list[bytes]:
    pairs = [
        hashlib.sha256(b"\x01" + left + right).digest()
        for left, right in zip(level[::2], level[1::2], strict=False)
    ]
    return pairs + level[-1:] if len(level) % 2 else pairs


def _at(items: Sequence[T], index: int) -> T:
    if index < 0:
        raise IndexError(index)
    return items[index]


def _number(value: int, size: int, *, signed: bool = False) -> bytes:
    try:
        return value.to_bytes(size, "big", signed=signed)
    except OverflowError as error:
        raise BytesMalformed(f"{value} does not fit {size} bytes") from error


def _text(text: str) -> bytes:
    if not text.isascii() or len(text) > _TEXT_MAX:
        raise BytesMalformed(f"{text!r} is no ASCII of at most {_TEXT_MAX} characters")
    return bytes((len(text),)) + text.encode("ascii")


def _currency(code: str) -> bytes:
    if len(code) != 3 or not code.isascii() or not code.isalpha() or not code.isupper():  # noqa: PLR2004 - ISO 4217
        raise BytesMalformed(f"{code!r} is no currency code")
    return code.encode("ascii")


def _digest(data: bytes) -> bytes:
    if len(data) != len(NO_DIGEST):
        raise BytesMalformed("a digest has 32 bytes")
    return data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise BytesMalformed("the bytes end too early")
        self._at += size
        return part

    def expect(self, name: bytes) -> None:
        if self.take(len(name)) != name:
            raise BytesMalformed(f"the bytes do not start with {name.decode('ascii')}")

    def end(self) -> None:
        if self._at != len(self._data):
            raise BytesMalformed("bytes are left over")

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def uuid(self) -> UUID:
        return UUID(bytes=self.take(16))

    def ascii(self, size: int) -> str:
        try:
            return self.take(size).decode("ascii")
        except UnicodeDecodeError as error:
            raise BytesMalformed("a text is not ASCII") from error

    def text(self) -> str:
        return self.ascii(self.number(1))
