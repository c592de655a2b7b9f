"""Proofs made from the rows: an entry's way up to its page, and the page's up to a head."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from libs.journal_proof import Proof, page_leaf
from libs.merkle import leaf_hash, path_to
from services.accounts.codec.pages import journal_of
from services.accounts.domain.book import Place
from services.accounts.domain.sharding import page_of, position_of
from services.accounts.projections import entries, pages


def page_entries(connection: Connection, page_number: int) -> list[bytes]:
    """The stored bytes of a page's entries, in their order."""
    query = select(entries.c.data).where(entries.c.page_number == page_number)
    return list(connection.execute(query.order_by(entries.c.ordinal)).scalars())


def page_hashes(connection: Connection, first: int, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Position, hash and root of a journal's pages from one on, in their order."""
    query = select(pages.c.page_number, pages.c.page_hash, pages.c.entries_root)
    behind = position_of(page_of(first)[0] + 1, 0)
    query = query.where(pages.c.page_number >= first, pages.c.page_number < behind)
    query = query.order_by(pages.c.page_number)
    return connection.execute(query.limit(limit)).all()


def prove(connection: Connection, place: Place, size: int) -> Proof | None:
    """A proof for a head of `size` pages, which covers the page; None: there is no such entry."""
    found = page_entries(connection, place.page_number)
    if place.ordinal >= len(found):
        return None
    shard, number = page_of(place.page_number)
    hashes = page_hashes(connection, position_of(shard, 0), size)
    leaves = [page_leaf(n, row.page_hash, row.entries_root) for n, row in enumerate(hashes)]
    return Proof(
        journal_of(shard),
        number,
        place.ordinal,
        found[place.ordinal],
        len(found),
        tuple(path_to(place.ordinal, [leaf_hash(each) for each in found])),
        hashes[number].page_hash,
        size,
        tuple(path_to(number, leaves)),
    )
