"""What advice asks of its rows: the catalogue, prices for construction, and the crowd."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, Select, func, select

from libs.suitability import RiskLevel
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.facts import DAY_US
from services.recommendations.rows import funds as f
from services.recommendations.rows import own as o

_EPOCH: Final = date(1970, 1, 1)
# A market whose newest price is older than this is not followed any more.
MARKET_SILENT_DAYS: Final = 10
CALENDARS_KNOWN_MAX: Final = 8


def day_of(text: str) -> int:
    """Days since 1970 of a date (ISO 8601)."""
    return (date.fromisoformat(text) - _EPOCH).days


def date_of(day: int) -> str:
    """The date (ISO 8601) of days since 1970."""
    return (_EPOCH + timedelta(days=day)).isoformat()


# ---- the catalogue


@dataclass(frozen=True, slots=True)
class Marks:
    """What the catalogue and the prices were last changed by, as positions."""

    funds: int
    facts: int
    prices: int


def marks(connection: Connection) -> Marks:
    fed = {row.kind: row.position for row in connection.execute(select(o.marks))}
    newest = connection.execute(select(func.max(f.funds.c.position))).scalar()
    return Marks(newest or 0, fed.get("FactsTaken", 0), fed.get("PricesTaken", 0))


def catalogue(connection: Connection, now_us: int, *, follows_market: bool) -> Catalogue:
    """All funds as they stand. With `follows_market` today is the market's newest day."""
    days = list(connection.execute(select(f.sessions.c.day).order_by(f.sessions.c.day)).scalars())
    newest = day_of(days[-1]) if days else None
    today = newest if follows_market and newest is not None else now_us // DAY_US
    is_silent = newest is None or today - newest > MARKET_SILENT_DAYS
    told = {row.instrument: row for row in connection.execute(select(o.fund_facts))}
    place = {day: n for n, day in enumerate(days)}
    found = []
    for row in connection.execute(_funds_with_prices()):
        if row.terms is None:
            continue
        behind = len(days) - 1 - place[row.nav_date] if row.nav_date else 0
        found.append(_fund(row, told.get(row.code), behind + (1_000 if is_silent else 0)))
    return Catalogue(found, today)


def _funds_with_prices() -> Select[Any]:
    """Each fund with its first and newest day of price; the index answers without a scan."""
    n = f.navs.c
    mine = n.code == f.funds.c.code
    newest = select(func.max(n.nav_date)).where(mine).scalar_subquery()
    first = select(func.min(n.nav_date)).where(mine).scalar_subquery()
    price = (
        select(n.nav)
        .where(mine)
        .order_by(n.nav_date.desc(), n.position.desc())
        .limit(1)
        .scalar_subquery()
    )
    return select(
        f.funds,
        func.coalesce(newest, "").label("nav_date"),
        func.coalesce(first, "").label("first_nav_date"),
        func.coalesce(price, 0).label("nav"),
    )


def _fund(row: Row[Any], told: Row[Any] | None, behind: int) -> Fund:
    terms = orjson.loads(row.terms)
    limits, dealing = terms.get("limits", {}), terms.get("dealing", {})
    inception = told.inception_date if told is not None and told.inception_date else ""
    first = inception or row.first_nav_date
    return Fund(
        row.code,
        terms["name"],
        RiskLevel(row.level),
        terms["currency"],
        str(terms["fund_type"]).removeprefix("FUND_TYPE_"),
        # Without a data company's word the registrar's house is the manager.
        told.manager if told is not None and told.manager else terms["ta_id"],
        theme=told.theme if told is not None else "",
        family=told.family if told is not None else "",
        is_open=row.status == "FUND_STATUS_OPEN",
        has_calendar=bool(dealing.get("calendars")),
        is_liquidating=row.status == "FUND_STATUS_CLOSED",
        is_gated=row.status == f.GATED,
        first_minor=int(limits.get("first_minor", 0)),
        top_up_minor=int(limits.get("top_up_minor", 0)),
        daily_minor=int(limits.get("daily_minor", 0)),
        least_days=int(limits.get("lock_days", 0)),
        front_fee_millionths=f.front_millionths(terms),
        yearly_fee_millionths=told.yearly_fee_millionths if told is not None else 0,
        redemption=f.redemption_steps(terms),
        inception_day=day_of(first) if first else None,
        nav_day=day_of(row.nav_date) if row.nav_date else None,
        sessions_behind=behind,
        revision=row.position,
        nav=row.nav,
        nav_scale=row.nav_scale,
        share_scale=int(terms.get("share_scale", 0)),
        nav_position=row.nav_position,
    )


# ---- prices for construction


Quote = tuple[str, int, int, int]


def quotes(connection: Connection, codes: Sequence[str]) -> Mapping[str, Sequence[Quote]]:
    """(nav_date, nav, accumulated_nav, income_per_10k) by fund, oldest first, corrections last."""
    t = f.navs.c
    query = (
        select(t.code, t.nav_date, t.nav, t.accumulated_nav, t.income_per_10k)
        .where(t.code.in_(codes))
        .order_by(t.code, t.nav_date, t.position)
    )
    found: dict[str, list[Quote]] = {}
    for code, *quote in connection.execute(query):
        found.setdefault(code, []).append((quote[0], quote[1], quote[2], quote[3]))
    return found


def fed_prices(connection: Connection, codes: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Prices that feeds brought, by instrument and day; the latest brought counts."""
    t = o.prices.c
    query = select(o.prices).where(t.instrument.in_(codes)).order_by(t.date, t.position)
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(query):
        found.setdefault(row.instrument, {})[row.date] = row.price
    return found


def last_prices(connection: Connection, instruments: Sequence[str]) -> Mapping[str, str]:
    """The newest price a feed brought of each."""
    return {
        name: by_day[max(by_day)]
        for name, by_day in fed_prices(connection, sorted(set(instruments))).items()
    }


def held_views(connection: Connection, today: str) -> Sequence[Mapping[str, Any]]:
    """Views in force, in one order."""
    query = (
        select(o.views.c.view)
        .where(o.views.c.valid_until_date >= today)
        .order_by(o.views.c.source, o.views.c.view_id)
    )
    return [orjson.loads(each) for each in connection.execute(query).scalars()]


def factor_scores(connection: Connection, codes: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Scores by factor, then by fund."""
    t = o.scores.c
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(select(o.scores).where(t.instrument.in_(codes))):
        found.setdefault(row.factor, {})[row.instrument] = row.score
    return found


# ---- the crowd


@dataclass(frozen=True, slots=True)
class Bought:
    code: str
    investor_class: str
    day: int
    buyers: int


def bought(connection: Connection) -> Sequence[Bought]:
    """How many investors bought a fund last on a day, by their class then."""
    t = f.orders.c
    last = (
        select(t.investor_id, t.code, func.max(t.placed_us).label("last_us"))
        .group_by(t.investor_id, t.code)
        .subquery()
    )
    day = (last.c.last_us - last.c.last_us % DAY_US) / DAY_US
    query = (
        select(last.c.code, t.investor_class, day.label("day"), func.count().label("buyers"))
        .join(
            f.orders,
            (t.investor_id == last.c.investor_id)
            & (t.code == last.c.code)
            & (t.placed_us == last.c.last_us),
        )
        .group_by(last.c.code, t.investor_class, day)
    )
    return [
        Bought(row.code, row.investor_class, int(row.day), row.buyers)
        for row in connection.execute(query)
    ]


def baskets(connection: Connection, most: int) -> Mapping[str, frozenset[str]]:
    """What each investor bought, for at most so many purchases: then an artifact has to do it."""
    t = f.orders.c
    query = select(t.investor_id, t.code).distinct().limit(most + 1)
    rows = list(connection.execute(query))
    if len(rows) > most:
        return {}
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.investor_id, set()).add(row.code)
    return {investor_id: frozenset(codes) for investor_id, codes in found.items()}
