"""What advice watches in its rows: proposals that are open, over or due, and what was set apart."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from services.recommendations.rows import fund_money as m
from services.recommendations.rows import own as o


def proposals_page(
    connection: Connection, investor_id: str, before: int, size: int
) -> Sequence[tuple[str, int]]:
    """(proposal, position), newest first."""
    t = o.proposals.c
    query = select(t.proposal_id, t.position).where(t.investor_id == investor_id)
    if before:
        query = query.where(t.position < before)
    rows = connection.execute(query.order_by(t.position.desc()).limit(size))
    return [(row.proposal_id, row.position) for row in rows]


def open_proposals(connection: Connection, investor_id: str) -> Sequence[str]:
    t = o.proposals.c
    query = select(t.proposal_id).where(t.investor_id == investor_id, t.status == "ISSUED")
    return list(connection.execute(query.order_by(t.proposal_id)).scalars())


def over_proposals(connection: Connection, now_us: int, most: int) -> Sequence[str]:
    """Still open, and their time is over."""
    t = o.proposals.c
    query = select(t.proposal_id).where(t.status == "ISSUED", t.valid_until_us <= now_us)
    return list(connection.execute(query.order_by(t.proposal_id).limit(most)).scalars())


def proposals_with(connection: Connection, code: str) -> Sequence[tuple[str, int]]:
    """Open proposals that hold a fund, with the highest level each may hold."""
    t, n = o.proposal_items.c, o.proposals.c
    query = select(o.proposal_items).where(
        t.code == code, n.proposal_id == t.proposal_id, n.status == "ISSUED"
    )
    rows = connection.execute(query.order_by(t.proposal_id))
    return [(row.proposal_id, row.highest_level) for row in rows]


def ordering(connection: Connection, most: int = 10_000) -> Sequence[str]:
    """Accepted proposals that still have orders to place."""
    t = o.proposals.c
    query = select(t.proposal_id).where(t.orders_open > 0).order_by(t.position).limit(most)
    return list(connection.execute(query).scalars())


def ordering_of(connection: Connection, investor_id: str) -> Sequence[str]:
    """The same of one investor."""
    t = o.proposals.c
    query = select(t.proposal_id).where(t.investor_id == investor_id, t.orders_open > 0)
    return list(connection.execute(query.order_by(t.position)).scalars())


def orders_under_way(connection: Connection, investor_id: str) -> Sequence[tuple[str, str]]:
    """(order, fund) whose shares or money have not all moved."""
    t = m.owners.c
    query = select(t.order_id, t.code).where(t.investor_id == investor_id, t.is_under_way)
    rows = connection.execute(query.order_by(t.order_id))
    return [(row.order_id, row.code) for row in rows]


def due_outcomes(connection: Connection, now_us: int, most: int) -> Sequence[str]:
    """Proposals that were followed and whose next span is over."""
    t = o.proposals.c
    query = select(t.proposal_id).where(t.outcome_due_us <= now_us)
    ordered = query.order_by(t.outcome_due_us, t.proposal_id).limit(most)
    return list(connection.execute(ordered).scalars())


def due_reviews(connection: Connection, now_us: int, most: int) -> Sequence[str]:
    t = o.investors.c
    query = select(t.investor_id).where(t.review_us <= now_us).order_by(t.review_us).limit(most)
    return list(connection.execute(query).scalars())


def forgotten(connection: Connection) -> Sequence[str]:
    t = o.investors.c
    return list(connection.execute(select(t.investor_id).where(t.is_forgotten)).scalars())


def shadowed(connection: Connection, version: str) -> tuple[int, int]:
    """How often a version answered in the shadow, and the mean overlap (millionths)."""
    t = o.shadows.c
    row = connection.execute(select(o.shadows).where(t.version == version)).first()
    if row is None or not row.answered:
        return 0, 0
    return row.answered, row.overlap_millionths // row.answered


def quarantine(connection: Connection, source: str, size: int) -> Sequence[Row[Any]]:
    """Newest first."""
    t = o.quarantined.c
    query = select(o.quarantined)
    if source:
        query = query.where(t.source == source)
    return list(connection.execute(query.order_by(t.position.desc(), t.ordinal).limit(size)))
