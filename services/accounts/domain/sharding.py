"""Which shard an account lives on, and which a command belongs to.

Customers' accounts are spread by a hash of their ids; every other kind, the banks' windows and
quotes among them, lives on shard 0, so that a window's totals stay one writer's running figures.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

from libs.ids import account_id_of
from services.accounts.domain.commands import (
    Balancing,
    CaptureHold,
    CloseAccount,
    Command,
    Exchange,
    FreezeAccount,
    Leg,
    OpenAccount,
    PlaceHold,
    ReopenAccount,
    SetBounds,
    Template,
    Transfer,
    UnfreezeAccount,
)
from services.accounts.domain.kinds import Direction, Kind

SPREAD = frozenset({Kind.CUSTOMER_WALLET, Kind.MERCHANT})
HOME = 0
# A page of any shard in one number; those of shard 0 are plain page numbers.
SHARD_BITS_AT = 40
_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)
ShardOf = Callable[[str], int]


def hashed(account_id: str, shards: int) -> int:
    return crc32(account_id.encode()) % shards


def position_of(shard: int, page_number: int) -> int:
    return shard << SHARD_BITS_AT | page_number if page_number >= 0 else page_number


def page_of(position: int) -> tuple[int, int]:
    """Shard and page number."""
    if position < 0:
        return HOME, position
    return position >> SHARD_BITS_AT, position & (1 << SHARD_BITS_AT) - 1


def transit_of(shard: int, currency: str) -> str:
    """The id of a shard's account in transit to and from all others."""
    return str(account_id_of(f"shard:{shard}", Kind.SHARD_TRANSIT.name, currency))


class Halves(NamedTuple):
    """A transfer cut in two: legs of the near shard and of the far one, each in balance.

    Their accounts as the caller knows them; nothing for those in transit.
    """

    near: int
    far: int
    near_legs: tuple[Leg, ...]
    far_legs: tuple[Leg, ...]
    near_fields: tuple[str, ...]
    far_fields: tuple[str, ...]


def shards_of(command: Command, shard_of: ShardOf) -> set[int]:
    """Every shard that has an account this command names, hold apart."""
    match command:
        case OpenAccount(account_id, _, kind):
            return {shard_of(account_id)} if kind in SPREAD else {HOME}
        case FreezeAccount() | UnfreezeAccount() | CloseAccount() | ReopenAccount() | SetBounds():
            return {shard_of(command.account_id)}
        case PlaceHold(_, account_id, _, destination):
            return {shard_of(each) for each in (account_id, destination) if each}
        case CaptureHold(account_id=account_id, bank_id=bank_id):
            return {HOME} if bank_id else {shard_of(account_id)} if account_id else set()
        case Transfer():
            found = {shard_of(each) for each in accounts_of(command) if each}
            if (
                command.obligation is not None
                or isinstance(command.computed, Exchange)
                or any(leg.bank_id for leg in command.legs)
            ):
                found.add(HOME)
            return found
        case _:
            return {HOME}


def accounts_of(command: Transfer) -> Iterable[str]:
    match command.computed:
        case Template(_, _, sources, _, parts):
            debited = [source.account_id for source in sources]
            return [*debited, *(part.account_id for part in parts)]
        case Exchange(seller=seller, buyer=buyer):
            # Positions and the spread's account are ours.
            return [seller, buyer]
        case _:
            return [leg.account_id for leg in command.legs]


def halved(command: Transfer, shard_of: ShardOf) -> Halves | None:
    """The halves of a transfer between two shards; None where it cannot be cut.

    The near half must only take: what it gave could be spent before it has to go back.
    """
    if isinstance(command.computed, Balancing | Template | Exchange):
        return None
    by_shard: dict[int, list[Leg]] = {}
    fields: dict[int, list[str]] = {}
    for n, leg in enumerate(command.legs):
        shard = HOME if leg.bank_id else shard_of(leg.account_id)
        by_shard.setdefault(shard, []).append(leg)
        fields.setdefault(shard, []).append(f"legs[{n}].account_id")
    takers = [
        shard for shard, legs in by_shard.items() if all(leg.direction == _DEBIT for leg in legs)
    ]
    if len(by_shard) != 2 or not takers:  # noqa: PLR2004 - near and far
        return None
    near = takers[0]
    (far,) = set(by_shard) - {near}
    if command.obligation is not None and HOME not in (near, far):
        return None
    moved: dict[str, int] = {}
    for leg in by_shard[near]:
        moved[leg.currency] = moved.get(leg.currency, 0) + leg.minor
    return Halves(
        near,
        far,
        (*by_shard[near], *crossing_legs(near, moved, _CREDIT)),
        (*crossing_legs(far, moved, _DEBIT), *by_shard[far]),
        tuple(fields[near]),
        (*[""] * len(moved), *fields[far]),
    )


def crossing_legs(shard: int, moved: dict[str, int], direction: int) -> list[Leg]:
    return [
        Leg(transit_of(shard, currency), "", direction, currency, minor)
        for currency, minor in moved.items()
    ]


def filled(legs: Sequence[Leg], minor: int) -> tuple[Leg, ...]:
    """Legs without an amount take all that was moved."""
    return tuple(leg if leg.minor else leg._replace(minor=minor) for leg in legs)


def reversed_legs(legs: Iterable[tuple[str, int, str, int]]) -> tuple[Leg, ...]:
    return tuple(
        Leg(account_id, "", _CREDIT if direction == _DEBIT else _DEBIT, currency, minor)
        for account_id, direction, currency, minor in legs
    )
