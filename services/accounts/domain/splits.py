"""Splits of an amount into parts, and the undoing of a split in parts: whole units, sums exact."""

from collections.abc import Sequence
from typing import NamedTuple

from services.accounts.domain.commands import Part
from services.accounts.domain.refusals import Reason, Refused

WHOLE_MAX = 10**12
# How a remainder is dealt with. The names are storage.
IN_LIST_ORDER = "FLOOR_THEN_LIST_ORDER"
INTO_THE_REST = "FLOOR_THEN_REST"


class Remainder(NamedTuple):
    """What rounding left over at one part, as a fraction of a minor unit."""

    part: int
    numerator: int
    denominator: int


class Shares(NamedTuple):
    """What each part gets, in the order of the parts; their sum is the total."""

    amounts: tuple[int, ...]
    rule: str
    remainders: tuple[Remainder, ...]


def check_split(total: int, whole: int, parts: Sequence[Part]) -> None:
    """Row 8. Raises `Refused`."""
    shares = [part.share for part in parts if part.share is not None]
    fixed = sum(part.fixed for part in parts if part.fixed is not None)
    rests = sum(part.is_rest for part in parts)
    if shares and not 0 < whole <= WHOLE_MAX:
        raise _invalid("whole", f"1 to {WHOLE_MAX}")
    if any(share < 0 for share in shares) or sum(shares) > whole:
        raise _invalid("parts", f"the shares come to {sum(shares)} of {whole}")
    if rests > 1:
        raise _invalid("parts", "more than one rest")
    if fixed > total:
        raise _invalid("parts", f"the fixed amounts come to {fixed} of {total}")
    if not rests and shares and sum(shares) < whole:
        raise _invalid("parts", f"the shares come to {sum(shares)} of {whole}, and no part is rest")
    if not rests and not shares and fixed < total:
        raise _invalid(
            "parts", f"the fixed amounts come to {fixed} of {total}, and no part is rest"
        )


def _invalid(field: str, text: str) -> Refused:
    return Refused(Reason.SPLIT_INVALID, f"template.{field}", text)


def split(total: int, whole: int, parts: Sequence[Part]) -> Shares:
    """Fixed amounts, then floored shares of what they leave, then the rest.

    Without a rest, units left over go one each, in list order, to parts with a share above 0. A
    negative total is split by its absolute value and negated.
    """
    if total < 0:
        shares = split(-total, whole, parts)
        return shares._replace(amounts=tuple(-amount for amount in shares.amounts))
    left = total - sum(part.fixed or 0 for part in parts)
    amounts = [
        part.fixed if part.fixed is not None else left * (part.share or 0) // (whole or 1)
        for part in parts
    ]
    over = total - sum(amounts)
    for n, part in enumerate(parts):
        if part.is_rest:
            lost = sum(left * part.share % whole for part in parts if part.share)
            amounts[n] = over
            remainders = (Remainder(n, lost, whole),) if lost else ()
            return Shares(tuple(amounts), INTO_THE_REST, remainders)
    takers = [n for n, part in enumerate(parts) if part.share][:over]
    for n in takers:
        amounts[n] += 1
    return Shares(tuple(amounts), IN_LIST_ORDER, tuple(Remainder(n, 1, 1) for n in takers))


def undo(amount: int, refundable: Sequence[int]) -> tuple[int, ...]:
    """Each leg's part of giving `amount` back, where `refundable` is what each still can give.

    `floor(amount * r / R)`, then left over units in list order to legs that have room: no part is
    above what its leg can give, and giving back all that is left ends every leg on 0.
    """
    whole = sum(refundable)
    if not 0 <= amount <= whole:
        raise ValueError(f"{amount} of {whole} cannot be given back")
    if amount == 0:
        return (0,) * len(refundable)
    parts = [amount * each // whole for each in refundable]
    over = amount - sum(parts)
    for n, each in enumerate(refundable):
        if over and parts[n] < each:
            parts[n] += 1
            over -= 1
    return tuple(parts)
