"""Purchases and prices as the running service heard them, read from its rows."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import orjson
from sqlalchemy import Connection, literal, select

from libs.read_model import Database
from libs.suitability import InvestorClass
from services.recommendations.ranking.interactions import (
    Interactions,
    Label,
    collected,
    day_of,
)
from services.recommendations.ranking.market import Market
from services.recommendations.rows import funds as rows
from services.recommendations.rows import own

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
    query = select(t.investor_id, t.code, t.placed_us, t.investor_class, t.amount_minor)
    found = (
        (
            *(row.investor_id, row.code, row.placed_us // DAY_US),
            *(int(InvestorClass[row.investor_class]), row.amount_minor),
        )
        for row in connection.execute(query)
        if row.investor_class in InvestorClass.__members__
    )
    return collected(found, _labels(connection))


def _labels(connection: Connection) -> Mapping[str, Label]:
    """Currencies, and themes by the day they were told: kinds of funds, until a feed tells one."""
    k, n = rows.levels.c, own.themes.c
    told = [
        *connection.execute(select(k.position, k.recorded_us, k.code, k.kind, literal(""))),
        *connection.execute(select(n.position, n.recorded_us, n.instrument, literal(""), n.theme)),
    ]
    kinds: dict[str, str] = {}
    fed: dict[str, str] = {}
    themes: dict[str, list[tuple[int, str]]] = {}
    for _, recorded_us, code, kind, theme in sorted(told):
        if kind:
            kinds[code] = kind
        else:
            fed[code] = theme
        found = fed.get(code) or kinds.get(code, "")
        themes.setdefault(code, []).append((recorded_us // DAY_US, found))
    funds = connection.execute(select(rows.funds.c.code, rows.funds.c.terms)).all()
    return {
        fund.code: Label(
            str(orjson.loads(fund.terms)["currency"]), tuple(themes.get(fund.code, ()))
        )
        for fund in funds
        if fund.terms is not None
    }


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
