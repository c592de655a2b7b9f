"""Transfers between shards: the intent beside the near half, and how it ended.

1. The near shard posts source -> SHARD_TRANSIT and, on the same page, the intent (`begin`).
2. The far shard posts SHARD_TRANSIT -> destination, under an id derived from the crossing.
3. The near shard writes the end: the far half stands, or was refused and the amount goes back.

What goes back goes on under any freeze, and above any ceiling: it was there before.
"""

from services.accounts.domain.book import Account, Book, balance_after
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import BeginCrossing, EndCrossing
from services.accounts.domain.entries import (
    BalanceAfter,
    CrossingBegun,
    CrossingEnded,
    Entry,
    PostedLeg,
)
from services.accounts.domain.kinds import Direction
from services.accounts.domain.of_today import of_today
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.terms import Digest

_DEBIT = int(Direction.DEBIT)


def begin(command: BeginCrossing, digest: Digest, caller: Caller, book: Book) -> Entry:
    return of_today(CrossingBegun(*command), command.crossing_id, digest, caller, book, ())


def end(command: EndCrossing, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The end of an open crossing. Raises `Refused`."""
    _, crossing_id, reason, field, description, legs = command
    if (caller.name, crossing_id) not in book.crossings:
        raise Refused(Reason.HOLD_NOT_FOUND, "crossing_id", "no such transfer between shards")
    back = tuple(PostedLeg(leg.account_id, *leg[2:]) for leg in legs)
    fact = CrossingEnded(crossing_id, reason, field, description, back)
    return of_today(fact, command.request_id, digest, caller, book, _balances(back, book))


def _balances(legs: tuple[PostedLeg, ...], book: Book) -> tuple[BalanceAfter, ...]:
    moved: dict[str, tuple[Account, int]] = {}
    for account_id, direction, _, minor in legs:
        account, before = moved.get(account_id, (book.accounts[account_id], 0))
        moved[account_id] = account, before + (-minor if direction == _DEBIT else minor)
    return tuple(
        balance_after(account, account.posted + net * account.sign, account.held, account.incoming)
        for account, net in moved.values()
    )
