"""What an account's balance was: at a position, at a time, by value date. Read from the rows."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from services.accounts.domain.book import Place
from services.accounts.domain.kinds import Kind, sign_of
from services.accounts.domain.sharding import page_of, position_of
from services.accounts.projections import (
    AccountEntries,
    accounts,
    entry_accounts,
    last_page_at,
    page_count,
    shard_of_account,
)

# Behind every entry of a page.
_LAST_ORDINAL = 1 << 31


@dataclass(frozen=True, slots=True)
class AsOf:
    """Figures on the normal side, in minor units, as page `position` left them.

    `seq` 0: the account was not open yet. `pages`: how many there were when this was read.
    """

    account_id: str
    currency: str
    position: int
    seq: int
    posted: int
    held: int
    incoming: int
    pages: int


def at_position(connection: Connection, account_id: str, position: int | None) -> AsOf | None:
    """As a page left it; None: as the last one did. Answers None for no such account."""
    found = connection.execute(
        select(accounts.c.currency).where(accounts.c.account_id == account_id)
    ).first()
    if found is None:
        return None
    shard = shard_of_account(connection, account_id)
    last = position_of(shard, page_count(connection, shard) - 1)
    # Where another journal stood says nothing of this one.
    is_of_it = position is not None and (position < 0 or page_of(position)[0] == shard)
    position = min(position, last) if position is not None and is_of_it else last
    account = AccountEntries(connection, account_id)
    seq = account.first_after(Place(position, _LAST_ORDINAL)) - 1 if position >= 0 else 0
    if seq == 0:
        return AsOf(account_id, found.currency, position, 0, 0, 0, 0, last + 1)
    row = account.row(seq)
    return AsOf(
        account_id,
        found.currency,
        position,
        seq,
        row.posted_minor,
        row.held_minor,
        row.incoming_minor,
        last + 1,
    )


def at_time(connection: Connection, account_id: str, time_us: int) -> AsOf | None:
    """As the last page left it that was written at or before a time."""
    at = last_page_at(connection, time_us, shard_of_account(connection, account_id))
    return at_position(connection, account_id, at)


def by_value_date(
    connection: Connection, account_id: str, date: str, position: int | None
) -> AsOf | None:
    """Posted: the legs dated up to `date`, on pages up to the position. Holds: at the position."""
    found = at_position(connection, account_id, position)
    if found is None:
        return None
    moved = connection.execute(
        select(func.coalesce(func.sum(entry_accounts.c.moved_minor), 0)).where(
            entry_accounts.c.account_id == account_id,
            entry_accounts.c.account_seq <= found.seq,
            entry_accounts.c.value_date <= date,
        )
    ).scalar_one()
    kind = connection.execute(
        select(accounts.c.kind).where(accounts.c.account_id == account_id)
    ).scalar_one()
    posted = sign_of(Kind(kind)) * int(moved)
    return AsOf(
        account_id,
        found.currency,
        found.position,
        found.seq,
        posted,
        found.held,
        found.incoming,
        found.pages,
    )
