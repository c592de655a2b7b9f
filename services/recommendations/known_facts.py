"""What is known of an investor and of a fund up to a position: the facts of their features."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Row, bindparam, case, func, or_, select

from services.recommendations.domain.features import DAY_US, FLOWS_DAYS, Fact, Kind, series
from services.recommendations.domain.together import MOVES_MOST, Moves, moves
from services.recommendations.rows import funds as f
from services.recommendations.rows import own as o
from services.recommendations.rows import payments as p

# Rows of prices read for the newest moves: some are corrections.
PRICES_MOST: Final = MOVES_MOST + 50


@dataclass(frozen=True, slots=True)
class Upto:
    """What counts: positions of the three sources, and the time."""

    own: int
    funds: int
    payments: int
    at_us: int


def facts_of(connection: Connection, investor_id: str, upto: Upto) -> Sequence[Fact]:
    """All that is known of one investor, from all three sources."""
    return [
        *_fund_side(connection, investor_id, upto),
        *_plan_side(connection, investor_id, upto),
        *_own_side(connection, investor_id, upto),
        *_cash_side(connection, investor_id, upto),
    ]


def _theme(code: ColumnElement[str], has_one: ColumnElement[bool]) -> ColumnElement[str]:
    """As the feeds told it last by then, else the kind of the fund by the terms of then."""
    t, n = o.themes.c, f.levels.c
    fed = (
        select(t.theme)
        .where(t.instrument == code, t.position <= bindparam("own"))
        .order_by(t.position.desc())
        .limit(1)
    )
    kind = (
        select(n.kind)
        .where(n.code == code, n.position <= bindparam("funds"))
        .order_by(n.position.desc())
        .limit(1)
    )
    either = func.coalesce(func.nullif(fed.scalar_subquery(), ""), kind.scalar_subquery(), "")
    return case((has_one, either), else_="").label("theme")


# Asked for every answer: put together once.
_FUND_SIDE: Final = select(
    f.facts, _theme(f.facts.c.code, f.facts.c.kind.in_((Kind.BOUGHT.value, Kind.SOLD.value)))
).where(f.facts.c.investor_id == bindparam("investor_id"), f.facts.c.position <= bindparam("funds"))
_OWN_SIDE: Final = select(
    o.own_facts, _theme(o.own_facts.c.code, o.own_facts.c.kind == Kind.OPENED.value)
).where(
    or_(
        o.own_facts.c.investor_id == bindparam("investor_id"),
        o.own_facts.c.proposal_id.in_(
            select(o.proposals.c.proposal_id).where(
                o.proposals.c.investor_id == bindparam("investor_id")
            )
        ),
    ),
    o.own_facts.c.position <= bindparam("own"),
)
_WALLETS: Final = select(o.wallets.c.account_id).where(
    o.wallets.c.investor_id == bindparam("investor_id")
)


def _fund_side(connection: Connection, investor_id: str, upto: Upto) -> Iterable[Fact]:
    asked = {"investor_id": investor_id, "funds": upto.funds, "own": upto.own}
    for row in connection.execute(_FUND_SIDE, asked):
        yield Fact(
            row.recorded_us,
            row.event_id,
            row.kind,
            row.business_us,
            investor_id,
            row.code,
            row.amount,
            row.theme,
        )


_PLANS: Final = (
    select(f.plans)
    .where(
        f.plans.c.plan_id.in_(
            select(f.plans.c.plan_id).where(f.plans.c.investor_id == bindparam("investor_id"))
        ),
        f.plans.c.position <= bindparam("upto"),
    )
    .order_by(f.plans.c.plan_id, f.plans.c.position)
)
_PLAN_RUNS: Final = frozenset({"PlanCreated", "PlanResumed"})
_PLAN_RESTS: Final = frozenset({"PlanSuspended", "PlanStopped"})


def _plan_side(connection: Connection, investor_id: str, upto: Upto) -> Iterable[Fact]:
    """Plans begun and resumed as +1 of their fund, suspended and stopped as -1."""
    plan_id, code, is_running = "", "", False
    asked = {"investor_id": investor_id, "upto": upto.funds}
    for row in connection.execute(_PLANS, asked):
        if row.plan_id != plan_id:
            plan_id, code, is_running = row.plan_id, row.code, False
        ran, was = is_running, code
        is_running = row.event in _PLAN_RUNS or (is_running and row.event not in _PLAN_RESTS)
        code = row.code or code
        for told, amount in ((was, -int(ran)), (code, int(is_running))):
            if amount and (told != code or was != code or ran is not is_running):
                at = row.recorded_us
                event_id = f"{row.event_id}/{amount:+d}"
                yield Fact(at, event_id, Kind.PLAN.value, at, investor_id, told, amount)


def _own_side(connection: Connection, investor_id: str, upto: Upto) -> Iterable[Fact]:
    asked = {"investor_id": investor_id, "funds": upto.funds, "own": upto.own}
    for row in connection.execute(_OWN_SIDE, asked):
        yield Fact(
            row.recorded_us,
            row.event_id,
            row.kind,
            row.business_us,
            investor_id,
            row.code,
            1,
            row.theme,
        )


def _cash_side(connection: Connection, investor_id: str, upto: Upto) -> Iterable[Fact]:
    mine = list(connection.execute(_WALLETS, {"investor_id": investor_id}).scalars())
    if not mine:
        return
    t = p.cash.c
    moved = select(p.cash).where(
        or_(t.payer_account_id.in_(mine), t.payee_account_id.in_(mine)),
        t.event_id.is_not(None),
        t.position <= upto.payments,
    )
    for row in connection.execute(moved):
        for kind, account in (
            (Kind.CASH_OUT, row.payer_account_id),
            (Kind.CASH_IN, row.payee_account_id),
        ):
            if account in mine:
                yield Fact(
                    row.recorded_us,
                    f"{row.event_id}/{kind.value}",
                    kind.value,
                    row.recorded_us,
                    investor_id,
                    "",
                    row.amount_minor,
                )


def fund_facts(connection: Connection, code: str, upto: int) -> Sequence[Fact]:
    """All that a fund's features are made of, as of its newest price: what came since is not in.

    Prices count with what was paid out, where that is told. Purchases, sales (at the newest price)
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
    return [*prices, *_sums(connection, newest, at), *_level_facts(connection, code, at)]


def moves_of(connection: Connection, upto: Mapping[str, int], at_us: int) -> Mapping[str, Moves]:
    """The newest moves of each fund, from its prices as they were known at its position."""
    found = {}
    for code, position in upto.items():
        rows = connection.execute(_NEWEST, {"code": code, "upto": position})
        found[code] = moves(series(map(_priced, rows), at_us))
    return found


_NEWEST: Final = (
    select(f.navs)
    .where(f.navs.c.code == bindparam("code"), f.navs.c.position <= bindparam("upto"))
    .order_by(f.navs.c.nav_date.desc(), f.navs.c.position.desc())
    .limit(PRICES_MOST)
)


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


def _sums(connection: Connection, newest: Row[Any], at: int) -> Iterable[Fact]:
    """Flows by day in the longest window before the newest price, and the shares held here."""
    t = f.facts.c
    price = _price(connection, newest)
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


def _price(connection: Connection, newest: Row[Any]) -> int:
    """Minor units of ten thousand shares at a price."""
    found = connection.execute(
        select(f.funds.c.nav_scale, f.funds.c.terms).where(f.funds.c.code == newest.code)
    ).first()
    if found is None or found.terms is None:
        return 0
    shares = int(orjson.loads(found.terms).get("share_scale", 0))
    return price_of_10k(newest.nav, found.nav_scale, shares)


def _level_facts(connection: Connection, code: str, at: int) -> Iterable[Fact]:
    """Levels and fees, each time the terms were published."""
    t = f.levels.c
    query = select(f.levels).where(t.code == code, t.position <= at)
    for row in connection.execute(query):
        at_us = row.recorded_us
        for kind, amount in ((Kind.FEE, row.fee_millionths), (Kind.LEVEL, row.level)):
            told = f"{code}/{kind.value}/{row.position}"
            yield Fact(at_us, told, kind.value, at_us, "", code, amount)


def level_and_price(
    connection: Connection, codes: Iterable[str], upto: Upto
) -> Mapping[str, tuple[int, int]]:
    """Level, and minor units of ten thousand shares, by fund, as known at a time."""
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
            shares = int(orjson.loads(scale.terms).get("share_scale", 0))
            found[code] = (level, price_of_10k(nav or 0, scale.nav_scale, shares))
    return found


def price_of_10k(nav: int, nav_scale: int, share_scale: int) -> int:
    """Minor units (hundredths) of ten thousand of the smallest shares."""
    divisor: int = 10 ** (nav_scale + share_scale)
    return nav * 1_000_000 // divisor
