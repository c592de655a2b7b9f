"""Questions to the read model; none of them decides about money or units."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from services.funds import tables as t
from services.funds.domain.order_lifecycle import Stage

KEYS_IN_QUERY: Final = 500
# More than this is not looked at in one look of the watchdog; the oldest come first.
OPEN_MAX: Final = 20_000
_O: Final = t.orders.c
_H: Final = t.holdings.c
_M: Final = t.movements.c
_ENDED: Final = (Stage.SETTLED.name, Stage.CANCELLED.name, Stage.REJECTED.name)


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What is asked for; empty: all."""

    # Beginnings of callers' names.
    callers: tuple[str, ...] = ()
    investor_id: str = ""
    fund_code: str = ""
    stage: str = ""
    ta_id: str = ""
    trade_date: str = ""
    plan_id: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """An order's place in the order of their placing."""

    order_id: str
    position: int


def in_parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Keys in parts that fit one query on every database."""
    for start in range(0, len(keys), KEYS_IN_QUERY):
        yield keys[start : start + KEYS_IN_QUERY]


def orders_page(
    connection: Connection, wanted: OrderFilter, after: int, size: int
) -> Sequence[Place]:
    """Oldest first, those placed after a position."""
    query = (
        select(_O.order_id, _O.place_position)
        .where(_O.place_position > after, *_conditions(wanted))
        .order_by(_O.place_position)
        .limit(size)
    )
    return [Place(row.order_id, row.place_position) for row in connection.execute(query)]


def _conditions(wanted: OrderFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.callers:
        own, *begun_for = wanted.callers
        yield or_(_O.caller == own, *(_O.caller.startswith(each) for each in begun_for))
    for name in ("investor_id", "fund_code", "stage", "ta_id", "trade_date", "plan_id"):
        value = getattr(wanted, name)
        if value:
            yield _O[name] == value


def busy_orders(connection: Connection) -> Sequence[str]:
    """Orders that wait for a step of ours, oldest first."""
    query = select(_O.order_id).where(_O.steps_open > 0).order_by(_O.place_position).limit(OPEN_MAX)
    return list(connection.execute(query).scalars())


def unended_orders(connection: Connection) -> Sequence[str]:
    """Orders that are not at their end, or wait for a step: what a new start looks at."""
    is_open = or_(_O.stage.not_in(_ENDED), _O.steps_open > 0)
    return list(connection.execute(select(_O.order_id).where(is_open)).scalars())


def funds_page(
    connection: Connection, conditions: Sequence[ColumnElement[bool]], after: str, size: int
) -> Sequence[str]:
    """Codes in order, after one."""
    query = (
        select(t.funds.c.code)
        .where(t.funds.c.code > after, *conditions)
        .order_by(t.funds.c.code)
        .limit(size)
    )
    return list(connection.execute(query).scalars())


def funds_of_ta(connection: Connection, ta_id: str) -> Sequence[str]:
    """Codes of a registrar's funds."""
    query = select(t.funds.c.code).where(t.funds.c.ta_id == ta_id).order_by(t.funds.c.code)
    return list(connection.execute(query).scalars())


def navs_page(
    connection: Connection, code: str, days: tuple[str, str], after: str, size: int
) -> Sequence[Row[Any]]:
    """Prices of a fund between two days, oldest first."""
    c = t.navs.c
    begin, end = days
    query = select(t.navs).where(c.code == code, c.nav_date > after, c.nav_date >= begin)
    if end:
        query = query.where(c.nav_date <= end)
    return list(connection.execute(query.order_by(c.nav_date).limit(size)))


def holdings_page(
    connection: Connection, investor_id: str, fund_code: str, after: tuple[str, str], size: int
) -> Sequence[Row[Any]]:
    """Holdings with what is frozen of them and their funds' newest price, in their keys' order."""
    f, z = t.funds.c, t.freezes.c
    frozen = (
        select(func.coalesce(func.sum(z.shares), 0))
        .where(z.investor_id == _H.investor_id, z.fund_code == _H.fund_code)
        .scalar_subquery()
    )
    query = select(t.holdings, f.nav, f.nav_date, f.currency, f.terms, frozen.label("frozen")).join(
        t.funds, f.code == _H.fund_code
    )
    if investor_id:
        query = query.where(_H.investor_id == investor_id)
    if fund_code:
        query = query.where(_H.fund_code == fund_code)
    begun = or_(
        _H.investor_id > after[0],
        (_H.investor_id == after[0]) & (_H.fund_code > after[1]),
    )
    ordered = query.where(begun).order_by(_H.investor_id, _H.fund_code)
    return list(connection.execute(ordered.limit(size)))


def flows(connection: Connection, investor_id: str, fund_code: str) -> Sequence[tuple[str, int]]:
    """(day, minor units) of a holding, from the investor's view, oldest first."""
    query = (
        select(_M.line_date, _M.amount_minor)
        .where(
            _M.investor_id == investor_id,
            _M.fund_code == fund_code,
            _M.is_reversed.is_(False),
            _M.amount_minor != 0,
        )
        .order_by(_M.position)
    )
    return [(row.line_date, row.amount_minor) for row in connection.execute(query)]


def statement_page(
    connection: Connection,
    investor_id: str,
    fund_code: str,
    days: tuple[str, str],
    after: int,
    size: int,
) -> Sequence[Row[Any]]:
    """Movements of an investor's units, oldest first, with the units after each."""
    line = t.movements
    shares_after = (
        func.sum(line.c.shares)
        .over(partition_by=(line.c.investor_id, line.c.fund_code), order_by=line.c.position)
        .label("shares_after")
    )
    query = select(line, shares_after).where(
        line.c.investor_id == investor_id, line.c.is_reversed.is_(False)
    )
    if fund_code:
        query = query.where(line.c.fund_code == fund_code)
    running = query.subquery()
    begin, end = days
    page = select(running).where(running.c.position > after, running.c.line_date >= begin)
    if end:
        page = page.where(running.c.line_date <= end)
    return list(connection.execute(page.order_by(running.c.position).limit(size)))


def registrars(connection: Connection) -> Sequence[dict[str, Any]]:
    """Every registrar, by id."""
    found = connection.execute(select(t.registrars).order_by(t.registrars.c.ta_id))
    return [dict(row) for row in found.mappings()]
