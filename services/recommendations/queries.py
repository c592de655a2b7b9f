"""What advice asks of its rows: the catalogue, one investor's facts, prices, what to watch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, Select, bindparam, func, or_, select

from libs.suitability import RiskLevel
from services.recommendations.domain.catalogue import Catalogue, Fund
from services.recommendations.domain.features import DAY_US, FLOWS_DAYS, Fact, Kind
from services.recommendations.rows import funds as f
from services.recommendations.rows import own as o
from services.recommendations.rows import payments as p

_EPOCH: Final = date(1970, 1, 1)
# A market whose newest price is older than this is not followed any more.
MARKET_SILENT_DAYS: Final = 10
CALENDARS_KNOWN_MAX: Final = 8


@dataclass(frozen=True, slots=True)
class Upto:
    """What counts: positions of the three sources, and the time."""

    own: int
    funds: int
    payments: int
    at_us: int


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
        is_gated=row.status == "FUND_STATUS_PAUSED_OUT",
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


# ---- facts


def facts_of(connection: Connection, investor_id: str, upto: Upto) -> Sequence[Fact]:
    """All that is known of one investor, from all three sources."""
    return [
        *_fund_side(connection, investor_id, upto),
        *_plan_side(connection, investor_id, upto),
        *_own_side(connection, investor_id, upto),
        *_cash_side(connection, investor_id, upto),
    ]


# Asked for every answer: put together once.
_FUND_SIDE: Final = select(f.facts).where(
    f.facts.c.investor_id == bindparam("investor_id"), f.facts.c.position <= bindparam("upto")
)
_OWN_SIDE: Final = select(o.own_facts).where(
    or_(
        o.own_facts.c.investor_id == bindparam("investor_id"),
        o.own_facts.c.proposal_id.in_(
            select(o.proposals.c.proposal_id).where(
                o.proposals.c.investor_id == bindparam("investor_id")
            )
        ),
    ),
    o.own_facts.c.position <= bindparam("upto"),
)
_WALLETS: Final = select(o.wallets.c.account_id).where(
    o.wallets.c.investor_id == bindparam("investor_id")
)


def _fund_side(connection: Connection, investor_id: str, upto: Upto) -> Iterable[Fact]:
    asked = {"investor_id": investor_id, "upto": upto.funds}
    for row in connection.execute(_FUND_SIDE, asked):
        yield Fact(
            row.recorded_us,
            row.event_id,
            row.kind,
            row.business_us,
            investor_id,
            row.code,
            row.amount,
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
    asked = {"investor_id": investor_id, "upto": upto.own}
    for row in connection.execute(_OWN_SIDE, asked):
        yield Fact(
            row.recorded_us, row.event_id, row.kind, row.business_us, investor_id, row.code, 1
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


def fund_facts(connection: Connection, code: str, upto: Upto) -> Sequence[Fact]:
    """All that a fund's features are made of, as of its newest price: what came since is not in.

    Prices count with what was paid out, where that is told. Purchases, sales (at the newest price)
    and shares held here are sums: of a day, or of all.
    """
    t = f.navs.c
    query = select(f.navs).where(t.code == code, t.position <= upto.funds)
    rows = list(connection.execute(query))
    if not rows:
        return []
    newest = max(rows, key=lambda row: (row.nav_date, row.position))
    at = max(row.position for row in rows)
    prices = [
        Fact(
            row.recorded_us,
            row.event_id,
            Kind.NAV.value,
            f.day_us(row.nav_date),
            "",
            code,
            row.accumulated_nav or row.nav,
        )
        for row in rows
    ]
    return [*prices, *_sums(connection, newest, at), *_fee_facts(connection, code, at)]


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


def _fee_facts(connection: Connection, code: str, at: int) -> Iterable[Fact]:
    t = f.levels.c
    query = select(f.levels).where(t.code == code, t.position <= at)
    for row in connection.execute(query):
        told = f"{code}/FEE/{row.position}"
        yield Fact(
            row.recorded_us,
            told,
            Kind.FEE.value,
            row.recorded_us,
            "",
            code,
            row.fee_millionths,
        )


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


# ---- what to watch


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
    t = o.open_items.c
    rows = connection.execute(select(o.open_items).where(t.code == code).order_by(t.proposal_id))
    return [(row.proposal_id, row.highest_level) for row in rows]


def ordering(connection: Connection, most: int = 1_000) -> Sequence[str]:
    """Accepted proposals that still have orders to place."""
    t = o.proposals.c
    query = select(t.proposal_id).where(t.orders_open > 0).order_by(t.position).limit(most)
    return list(connection.execute(query).scalars())


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
