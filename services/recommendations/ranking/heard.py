"""Purchases and prices as the running service heard them, read from its rows."""

import asyncio
from collections.abc import Sequence
from typing import Final

import numpy as np
from sqlalchemy import Connection, select

from libs.read_model import Database
from libs.suitability import InvestorClass
from services.recommendations.ranking.interactions import Interactions, collected, day_of
from services.recommendations.ranking.market import Market
from services.recommendations.rows import funds as rows

DAY_US: Final = 86_400_000_000


def from_database(url: str) -> tuple[Interactions, Market | None]:
    """Orders with a class, and NAVs side by side; the service may run meanwhile."""
    database = Database.open(url)
    try:
        return asyncio.run(database.read(lambda c: (_purchases(c), _market(c))))
    finally:
        database.close()


def _purchases(connection: Connection) -> Interactions:
    t = rows.orders.c
    query = select(t.investor_id, t.code, t.placed_us, t.investor_class)
    return collected(
        (row.investor_id, row.code, row.placed_us // DAY_US, int(InvestorClass[row.investor_class]))
        for row in connection.execute(query)
        if row.investor_class in InvestorClass.__members__
    )


def _market(connection: Connection) -> Market | None:
    """The latest word for each day; a fund without a price keeps its last one."""
    t = rows.navs.c
    query = select(t.code, t.nav_date, t.nav, t.accumulated_nav).order_by(t.position)
    told = {
        (row.nav_date, row.code): row.accumulated_nav or row.nav
        for row in connection.execute(query)
    }
    if not told:
        return None
    dates = sorted({day for day, _ in told})
    codes = tuple(sorted({code for _, code in told}))
    prices = np.full((len(dates), len(codes)), np.nan)
    for column, code in enumerate(codes):
        prices[:, column] = _filled([told.get((day, code)) for day in dates])
    return Market(np.array([day_of(day) for day in dates], dtype=np.int32), codes, prices)


def _filled(values: Sequence[int | None]) -> Sequence[float]:
    last = float("nan")
    found = []
    for value in values:
        last = last if value is None else float(value)
        found.append(last)
    return found
