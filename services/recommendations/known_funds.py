"""What is known of a fund up to a position: facts of its features, its moves, level and price."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, Row, bindparam, func, select

from services.recommendations.domain.catalogue import price_of_10k
from services.recommendations.domain.facts import DAY_US, Fact, Kind, whole_series
from services.recommendations.domain.features import FEATURE_SET, FLOWS_DAYS, has_currencies
from services.recommendations.domain.feed import PRICE_MOST
from services.recommendations.domain.together import MOVES_MOST, Moves, moves
from services.recommendations.known_facts import Upto
from services.recommendations.rows import funds as f
from services.recommendations.rows import own as o

# Rows of prices read for the newest moves: some are corrections.
PRICES_MOST: Final = MOVES_MOST + 50


def fund_facts(
    connection: Connection, code: str, upto: int, feeds: int, feature_set: str = FEATURE_SET
) -> Sequence[Fact]:
    """All that a fund's features are made of, as of its newest price: what came since is not in.

    Prices count with what was paid out, where that is told; those of feeds, before the first of
    its own, that were stored up to `feeds`. Purchases, sales (at the newest price)
    and shares held here are sums: of a day, or of all.
    """
    t = f.navs.c
    query = select(f.navs).where(t.code == code, t.position <= upto)
    rows = list(connection.execute(query))
    if not rows:
        return []
    newest = max(rows, key=lambda row: (row.nav_date, row.position))
    at = max(row.position for row in rows)
    prices = [_priced(row) for row in rows]
    return [
        *prices,
        *_fed_before(connection, rows, feeds),
        *_sums(connection, newest, at, feature_set),
        *_level_facts(connection, code, at),
        *_gate_facts(connection, code, at),
        *_deferral_facts(connection, code, at),
    ]


def moves_of(
    connection: Connection, upto: Mapping[str, tuple[int, int]], at_us: int
) -> Mapping[str, Moves]:
    """The newest moves of each fund, from prices as they were known at two positions.

    Of the fund's own prices, and of those that feeds brought before its first.
    """
    found = {}
    for code, (position, feeds) in upto.items():
        rows = connection.execute(_NEWEST, {"code": code, "upto": position}).all()
        facts = [*map(_priced, rows), *_fed_before(connection, rows, feeds)]
        found[code] = moves(whole_series(facts, at_us))
    return found


_NEWEST: Final = (
    select(f.navs)
    .where(f.navs.c.code == bindparam("code"), f.navs.c.position <= bindparam("upto"))
    .order_by(f.navs.c.nav_date.desc(), f.navs.c.position.desc())
    .limit(PRICES_MOST)
)


def _fed_before(connection: Connection, own: Sequence[Row[Any]], feeds: int) -> Iterable[Fact]:
    """Prices of feeds up to the first of a fund's own; none where it has enough of its own."""
    if not feeds or not own or len(own) >= PRICES_MOST:
        return
    asked = {"code": own[0].code, "first": min(row.nav_date for row in own), "feeds": feeds}
    for row in connection.execute(_FED, asked):
        price = Decimal(row.price)
        if price <= PRICE_MOST:
            told, day = f"{row.date}/{row.position:020d}", f.day_us(row.date)
            amount = int(price.scaleb(_FED_SCALE))
            yield Fact(row.recorded_us, told, Kind.FED.value, day, "", row.instrument, amount)


_FED: Final = (
    select(o.prices)
    .where(
        o.prices.c.instrument == bindparam("code"),
        o.prices.c.date <= bindparam("first"),
        o.prices.c.position <= bindparam("feeds"),
    )
    .order_by(o.prices.c.date.desc(), o.prices.c.position.desc())
    .limit(PRICES_MOST)
)
_FED_SCALE: Final = 9


def _priced(row: Row[Any]) -> Fact:
    return Fact(
        row.recorded_us,
        row.event_id,
        Kind.NAV.value,
        f.day_us(row.nav_date),
        "",
        row.code,
        row.accumulated_nav or row.nav,
    )


def _sums(connection: Connection, newest: Row[Any], at: int, feature_set: str) -> Iterable[Fact]:
    """Flows by day in the longest window before the newest price, and the shares held here."""
    t = f.facts.c
    price = _price(connection, newest, feature_set)
    day = (t.business_us - t.business_us % DAY_US).label("day")
    since = f.day_us(newest.nav_date) - max(FLOWS_DAYS) * DAY_US
    flows = (
        select(t.kind, day, func.sum(t.amount).label("amount"))
        .where(
            t.code == newest.code,
            t.kind.in_((Kind.BOUGHT.value, Kind.SOLD.value)),
            t.position <= at,
            t.business_us > since,
        )
        .group_by(t.kind, day)
    )
    for row in connection.execute(flows):
        amount = int(row.amount)
        if row.kind == Kind.SOLD.value:
            amount = amount * price // 10_000
        told = f"{newest.code}/{row.kind}/{row.day}"
        yield Fact(0, told, row.kind, int(row.day), "", newest.code, amount)
    held = select(func.sum(t.amount)).where(
        t.code == newest.code, t.kind == Kind.SHARES.value, t.position <= at
    )
    shares = int(connection.execute(held).scalar() or 0)
    size = shares * price // 10_000
    yield Fact(0, f"{newest.code}/SIZE", Kind.SIZE.value, 0, "", newest.code, size)


def _price(connection: Connection, newest: Row[Any], feature_set: str) -> int:
    """Minor units of ten thousand shares at a price."""
    found = connection.execute(
        select(f.funds.c.nav_scale, f.funds.c.terms).where(f.funds.c.code == newest.code)
    ).first()
    if found is None or found.terms is None:
        return 0
    terms = orjson.loads(found.terms)
    shares, currency = int(terms.get("share_scale", 0)), _currency(terms, feature_set)
    return price_of_10k(newest.nav, found.nav_scale, shares, currency)


def _level_facts(connection: Connection, code: str, at: int) -> Iterable[Fact]:
    """Levels and fees, each time the terms were published."""
    t = f.levels.c
    query = select(f.levels).where(t.code == code, t.position <= at)
    for row in connection.execute(query):
        at_us = row.recorded_us
        for kind, amount in ((Kind.FEE, row.fee_millionths), (Kind.LEVEL, row.level)):
            told = f"{code}/{kind.value}/{row.position}"
            yield Fact(at_us, told, kind.value, at_us, "", code, amount)


def _gate_facts(connection: Connection, code: str, at: int) -> Iterable[Fact]:
    """Whether holders could sell, each time the status was told."""
    t = f.statuses.c
    query = select(f.statuses).where(t.code == code, t.position <= at)
    for row in connection.execute(query):
        told, at_us = f"{code}/GATE/{row.position}", row.recorded_us
        yield Fact(at_us, told, Kind.GATE.value, at_us, "", code, row.is_gated)


def _deferral_facts(connection: Connection, code: str, at: int) -> Iterable[Fact]:
    """Trade days whose large redemptions were not paid out whole; known from the first of them."""
    t = f.deferrals.c
    first = func.min(t.recorded_us).label("recorded_us")
    query = select(t.trade_date, first).where(t.code == code, t.position <= at)
    for row in connection.execute(query.group_by(t.trade_date)):
        told, day = f"{code}/DEFERRED/{row.trade_date}", f.day_us(row.trade_date)
        yield Fact(row.recorded_us, told, Kind.DEFERRED.value, day, "", code, 1)


class Priced(NamedTuple):
    """A fund at a time; `price`: minor units of ten thousand of the smallest shares."""

    level: int
    price: int
    currency: str


def priced(connection: Connection, codes: Iterable[str], upto: Upto) -> Mapping[str, Priced]:
    """Funds as known at a time, as far as features ask."""
    found = {}
    for code in sorted(set(codes)):
        scale = connection.execute(
            select(f.funds.c.nav_scale, f.funds.c.terms).where(f.funds.c.code == code)
        ).first()
        t, n = f.levels.c, f.navs.c
        level = connection.execute(
            select(t.level)
            .where(t.code == code, t.position <= upto.funds)
            .order_by(t.position.desc())
            .limit(1)
        ).scalar()
        nav = connection.execute(
            select(n.nav)
            .where(n.code == code, n.position <= upto.funds)
            .order_by(n.nav_date.desc(), n.position.desc())
            .limit(1)
        ).scalar()
        if scale is not None and scale.terms is not None and level is not None:
            terms = orjson.loads(scale.terms)
            currency = _currency(terms, upto.feature_set)
            shares = int(terms.get("share_scale", 0))
            price = price_of_10k(nav or 0, scale.nav_scale, shares, currency)
            found[code] = Priced(level, price, currency)
    return found


def _currency(terms: Mapping[str, Any], feature_set: str) -> str:
    """Sets before currencies were told apart knew none."""
    return str(terms["currency"]) if has_currencies(feature_set) else ""
