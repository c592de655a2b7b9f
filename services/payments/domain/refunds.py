"""Refunds as the original payment keeps them: reserved, then completed or given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto


class RefundStage(Enum):
    RESERVED = auto()
    COMPLETED = auto()
    GIVEN_UP = auto()


@dataclass(frozen=True, slots=True)
class RefundPart:
    """A refund's share of the original, leg by leg, in minor units."""

    refund_id: str
    amount_minor: int
    merchant_minor: int
    fee_minor: int
    note: str
    request_ms: int
    is_rest: bool
    stage: RefundStage = RefundStage.RESERVED


def split_back(amount: int, left: Sequence[int]) -> tuple[int, ...]:
    """Undo a split in part: `floor(a * r / R)` a leg, left-over units to legs with room, in order.

    No leg is asked for more than it has left, and the last part ends on zero exactly (ledger,
    section 6). `amount` is at most the sum of `left`.
    """
    whole = sum(left)
    if not 0 <= amount <= whole:
        raise AssertionError(f"{amount} of {whole} cannot be given back")
    parts = [amount * each // whole if whole else 0 for each in left]
    rest = amount - sum(parts)
    for index, each in enumerate(left):
        more = min(rest, each - parts[index])
        parts[index] += more
        rest -= more
    return tuple(parts)
