"""What advice asks of its rows: the catalogue, prices for construction, and the crowd."""

import sys
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
# Changed funds that are read by themselves; of more all are read.
CHANGED_MOST: Final = 500


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


@dataclass(frozen=True, slots=True)
class Read:
    """A catalogue, and what it was read at."""

    catalogue: Catalogue
    marks: Marks
    # How many sessions of the market there were, and the newest.
    sessions: int
    newest: str


def catalogue(
    connection: Connection, now_us: int, *, follows_market: bool, before: Read | None = None
) -> Read:
    """All funds as they stand. With `follows_market` today is the market's newest day.

    What was read `before` is read again only where it may be another: mostly of some funds.
    """
    t = f.sessions.c
    sessions, newest = connection.execute(select(func.count(), func.max(t.day))).one()
    day = day_of(newest) if newest else None
    today = day if follows_market and day is not None else now_us // DAY_US
    found = marks(connection)
    if before is not None and _lasts(before, found, sessions, newest or "", today):
        query = _funds_with_prices().where(f.funds.c.position > before.marks.funds)
        rows = connection.execute(query.limit(CHANGED_MOST + 1)).all()
        if len(rows) <= CHANGED_MOST:
            told = _told(connection, [row.code for row in rows])
            changed = before.catalogue.changed(_funds(connection, rows, told, day, today))
            fed = changed.fed_with(_fed(connection, found.prices, before), found.prices)
            return Read(fed, found, sessions, newest or "")
    rows = connection.execute(_funds_with_prices()).all()
    funds = _funds(connection, rows, _told(connection, None), day, today)
    fed_by = _fed(connection, found.prices, before)
    return Read(Catalogue(funds, today, fed_by, found.prices), found, sessions, newest or "")


def _fed(connection: Connection, upto: int, before: Read | None) -> Mapping[str, int]:
    """By fund, where its newest price of a feed was stored; asked again of new batches alone."""
    is_known = before is not None and before.marks.prices <= upto
    kept = before.catalogue.fed if before is not None and is_known else {}
    since = before.marks.prices if before is not None and is_known else 0
    if since == upto:
        return kept
    t = o.priced.c
    query = select(t.instrument, t.position).where(t.position > since)
    # A batch that came while this is read counts from the next time on.
    return {
        **kept,
        **{row.instrument: min(row.position, upto) for row in connection.execute(query)},
    }


def _lasts(before: Read, found: Marks, sessions: int, newest: str, today: int) -> bool:
    """Whether at most some funds have changed: not the market, the day, or what feeds told."""
    return (
        (before.sessions, before.newest) == (sessions, newest)
        and before.catalogue.today == today
        and before.marks.facts == found.facts
        and before.marks.funds <= found.funds
    )


def _told(connection: Connection, codes: Sequence[str] | None) -> Mapping[str, Row[Any]]:
    """What feeds told of some funds, or of all."""
    query = select(o.fund_facts)
    if codes is not None:
        query = query.where(o.fund_facts.c.instrument.in_(codes))
    return {row.instrument: row for row in connection.execute(query)}


def _funds(
    connection: Connection,
    rows: Sequence[Row[Any]],
    told: Mapping[str, Row[Any]],
    newest: int | None,
    today: int,
) -> Sequence[Fund]:
    is_silent = newest is None or today - newest > MARKET_SILENT_DAYS
    t = f.sessions.c
    oldest = min(_days_in(rows), default="")
    later = sorted(connection.execute(select(t.day).where(t.day > oldest)).scalars())
    found = []
    for row in rows:
        if row.terms is not None:
            priced = bisect_right(later, row.nav_date)
            behind = len(later) - priced if row.nav_date else 0
            fund = _fund(row, told.get(row.code), behind + (1_000 if is_silent else 0))
            # Whether it goes on is said by the next trade day's confirmations, behind its price.
            if row.deferred_date and priced - bisect_right(later, row.deferred_date) <= 1:
                fund = replace(fund, is_gated=True)
            found.append(fund)
    return found


def _days_in(rows: Sequence[Row[Any]]) -> Iterable[str]:
    """Days of prices and of deferred redemptions."""
    return (day for row in rows for day in (row.nav_date, row.deferred_date) if day)


def _funds_with_prices() -> Select[Any]:
    """Each fund with its first and newest day of price; the index answers without a scan."""
    n = f.navs.c
    mine = n.code == f.funds.c.code
    newest = select(func.max(n.nav_date)).where(mine).scalar_subquery()
    first = select(func.min(n.nav_date)).where(mine).scalar_subquery()
    d = f.deferrals.c
    deferred = select(func.max(d.trade_date)).where(d.code == f.funds.c.code).scalar_subquery()
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
        func.coalesce(deferred, "").label("deferred_date"),
    )


def _fund(row: Row[Any], told: Row[Any] | None, behind: int) -> Fund:
    terms = orjson.loads(row.terms)
    limits, dealing = terms.get("limits", {}), terms.get("dealing", {})
    inception = told.inception_date if told is not None and told.inception_date else ""
    first = inception or row.first_nav_date
    return Fund(
        # The same text in every catalogue: what is made of many codes is found by them.
        sys.intern(row.code),
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
