"""Proofs made from the rows: an entry's way up to its page, and the page's up to a head."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from libs.journal_proof import Proof, page_leaf
from libs.merkle import leaf_hash, path_to
from services.accounts.domain.sharding import position_of
from services.accounts.projections import entries, pages


def page_entries(connection: Connection, page_number: int) -> list[bytes]:
    """The stored bytes of a page's entries, in their order."""
    query = select(entries.c.data).where(entries.c.page_number == page_number)
    return list(connection.execute(query.order_by(entries.c.ordinal)).scalars())


def page_hashes(connection: Connection, first: int, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Number, hash and root of pages from one on, in their order."""
    query = select(pages.c.page_number, pages.c.page_hash, pages.c.entries_root)
    # Of shard 0: the other journals are proven from their own stream, not from these rows.
    query = query.where(pages.c.page_number >= first, pages.c.page_number < position_of(1, 0))
    query = query.order_by(pages.c.page_number)
    return connection.execute(query.limit(limit)).all()


def prove(connection: Connection, journal: str, place: tuple[int, int], size: int) -> Proof | None:
    """A proof for a head of `size` pages, which covers the page; None: there is no such entry."""
    page_number, ordinal = place
    found = page_entries(connection, page_number)
    if ordinal >= len(found):
        return None
    hashes = page_hashes(connection, 0, size)
    leaves = [page_leaf(row.page_number, row.page_hash, row.entries_root) for row in hashes]
    return Proof(
        journal,
        page_number,
        ordinal,
        found[ordinal],
        len(found),
        tuple(path_to(ordinal, [leaf_hash(each) for each in found])),
        hashes[page_number].page_hash,
        size,
        tuple(path_to(page_number, leaves)),
    )
