"""What an account can be, and what follows from it. The numbers are storage."""

from enum import IntEnum


class Kind(IntEnum):
    CUSTOMER_WALLET = 1
    MERCHANT = 2
    BANK_MIRROR = 3
    IN_TRANSIT_OUT = 4
    IN_TRANSIT_IN = 5
    CLEARING = 6
    FUND_CLEARING = 7
    ADVANCE = 8
    FEE_INCOME = 9
    SUSPENSE_LONG = 10
    SUSPENSE_SHORT = 11
    FX_POSITION = 12
    HOUSE = 13
    SHARD_TRANSIT = 14


class Direction(IntEnum):
    DEBIT = 1
    CREDIT = 2


class FreezeSide(IntEnum):
    DEBIT = 1
    CREDIT = 2
    BOTH = 3


class QuoteSide(IntEnum):
    """Which amount of a quote was given."""

    SOLD = 1
    BOUGHT = 2


class Favour(IntEnum):
    """In whose favour a movement between us and a bank is."""

    OURS = 1
    BANK = 2


KINDS = frozenset(Kind)
# Kinds without a side of their own ("either") are kept on the credit side.
DEBIT_NORMAL = frozenset({Kind.BANK_MIRROR, Kind.IN_TRANSIT_IN, Kind.SUSPENSE_SHORT})
_FLOOR_ZERO = frozenset(
    {
        Kind.CUSTOMER_WALLET,
        Kind.MERCHANT,
        Kind.IN_TRANSIT_OUT,
        Kind.IN_TRANSIT_IN,
        Kind.ADVANCE,
        Kind.SUSPENSE_LONG,
        Kind.SUSPENSE_SHORT,
    }
)
# By number: a million accounts ask at each start.
_SIGNS = (0, *(-1 if kind in DEBIT_NORMAL else 1 for kind in Kind))
_FLOORS = (None, *(0 if kind in _FLOOR_ZERO else None for kind in Kind))


def sign_of(kind: Kind) -> int:
    """1 where credits raise the balance, -1 where debits do."""
    return _SIGNS[kind]


def floor_of(kind: Kind) -> int | None:
    """What `available` may not go below, in minor units; None: no bound."""
    return _FLOORS[kind]
