"""Questions to the read model; none of them decides about money or units."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, or_, select

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


def orders_of_day(
    connection: Connection, ta_id: str, trade_date: str, stages: Sequence[str]
) -> Sequence[str]:
    """Orders of a registrar's day in some stages, in the order in which they were placed."""
    query = select(_O.order_id).where(_O.ta_id == ta_id, _O.trade_date == trade_date)
    if stages:
        query = query.where(_O.stage.in_(stages))
    return list(connection.execute(query.order_by(_O.place_position)).scalars())


def orders_open_of(
    connection: Connection, wanted: tuple[str, str], stages: Sequence[str]
) -> Sequence[str]:
    """Orders at a registrar of an investor in some stages, oldest first."""
    ta_id, investor_id = wanted
    query = select(_O.order_id).where(_O.investor_id == investor_id, _O.ta_id == ta_id)
    query = query.where(_O.stage.in_(stages)).order_by(_O.place_position)
    return list(connection.execute(query).scalars())


def trading_accounts(connection: Connection, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(investor, wallet) by trading account; unknown ones are left out."""
    c, found = t.trading_accounts.c, {}
    for part in in_parts(ids):
        query = select(t.trading_accounts).where(c.trading_account_id.in_(part))
        for row in connection.execute(query):
            found[row.trading_account_id] = (row.investor_id, row.wallet_account_id)
    return found


def open_days(connection: Connection) -> Sequence[str]:
    """Ids of days that are cut off and not settled, oldest first."""
    c = t.ta_days.c
    query = select(c.ta_id, c.trade_date).where(c.is_cut_off, ~c.is_settled)
    rows = connection.execute(query.order_by(c.trade_date, c.ta_id))
    return [f"{row.ta_id}-{row.trade_date}" for row in rows]


def days_before(connection: Connection, ta_id: str, trade_date: str) -> Sequence[str]:
    """Ids of a registrar's earlier days that are not settled."""
    c = t.ta_days.c
    query = select(c.trade_date).where(
        c.ta_id == ta_id, c.trade_date < trade_date, c.is_cut_off, ~c.is_settled
    )
    return [f"{ta_id}-{day}" for day in connection.execute(query).scalars()]


def holders(connection: Connection, fund_code: str) -> Sequence[str]:
    """Investors who have, or had, shares of a fund."""
    query = select(_H.investor_id).where(_H.fund_code == fund_code).order_by(_H.investor_id)
    return list(connection.execute(query).scalars())


def shares_of_fund(connection: Connection, fund_code: str) -> dict[str, tuple[int, int]]:
    """(shares, income bucket) by investor."""
    query = select(_H.investor_id, _H.shares, _H.bucket).where(_H.fund_code == fund_code)
    return {row.investor_id: (row.shares, row.bucket) for row in connection.execute(query)}


def open_breaks(connection: Connection) -> Sequence[str]:
    """Breaks whose repair is approved and not done."""
    c = t.breaks.c
    query = select(c.break_id).where(c.is_approved, ~c.is_closed)
    return list(connection.execute(query).scalars())


def standing_breaks(connection: Connection, ta_id: str, type_: str) -> Sequence[str]:
    """Breaks of one kind with a registrar that have not ended."""
    c = t.breaks.c
    query = select(c.break_id).where(c.ta_id == ta_id, c.type == type_, ~c.is_closed)
    return list(connection.execute(query).scalars())


def breaks_of_day(connection: Connection, ta_id: str, trade_date: str) -> int:
    """How many breaks of a day stand."""
    c = t.breaks.c
    query = select(func.count()).where(c.ta_id == ta_id, c.trade_date == trade_date, ~c.is_closed)
    return int(connection.execute(query).scalar_one())


def orders_touched(
    connection: Connection, ta_id: str, trade_date: str, stages: Sequence[str]
) -> Sequence[str]:
    """Orders of a day, and those whose remainder has gone on from it to a later one."""
    query = select(_O.order_id).where(_O.ta_id == ta_id)
    has_rolled = and_(_O.first_date <= trade_date, _O.trade_date >= trade_date)
    query = query.where(_O.first_date != "", has_rolled)
    if stages:
        query = query.where(_O.stage.in_(stages))
    return list(connection.execute(query.order_by(_O.place_position)).scalars())


def unanswered(
    connection: Connection, sent_type: str, answer_type: str
) -> Sequence[tuple[str, str, int]]:
    """(registrar, trade date, rows) of files we sent that no accepted file of a type answers."""
    sent, answer = t.files, t.files.alias()
    is_answer = and_(
        answer.c.ta_id == sent.c.ta_id,
        answer.c.trade_date == sent.c.trade_date,
        answer.c.file_type == answer_type,
        answer.c.outcome == "ACCEPTED",
    )
    query = select(sent.c.ta_id, sent.c.trade_date, func.sum(sent.c.rows)).where(
        sent.c.file_type == sent_type,
        sent.c.is_outgoing,
        ~select(answer.c.file_key).where(is_answer).exists(),
    )
    found = connection.execute(query.group_by(sent.c.ta_id, sent.c.trade_date))
    return [(ta_id, trade_date, int(rows)) for ta_id, trade_date, rows in found]


@dataclass(frozen=True, slots=True)
class FileFilter:
    """What is asked for; empty: all."""

    ta_id: str = ""
    trade_date: str = ""
    outcome: str = ""


def files_page(
    connection: Connection, wanted: FileFilter, after: int, size: int
) -> Sequence[Row[Any]]:
    """Files in the order in which they were kept."""
    c = t.files.c
    query = select(t.files).where(c.position > after)
    for name in FileFilter.__dataclass_fields__:
        value = getattr(wanted, name)
        if name == "outcome" and value == "SENT":
            query = query.where(c.is_outgoing)
        elif value:
            query = query.where(c[name] == value)
    return list(connection.execute(query.order_by(c.position).limit(size)))


def breaks_page(
    connection: Connection, ta_id: str, after: int, size: int, *, open_only: bool
) -> Sequence[Row[Any]]:
    """Breaks in the order in which they were found."""
    c = t.breaks.c
    query = select(c.break_id, c.position).where(c.position > after)
    if ta_id:
        query = query.where(c.ta_id == ta_id)
    if open_only:
        query = query.where(~c.is_closed)
    return list(connection.execute(query.order_by(c.position).limit(size)))


def days_between(connection: Connection, ta_id: str, from_date: str, to_date: str) -> Sequence[str]:
    """Ids of days, oldest first."""
    c = t.ta_days.c
    query = select(c.ta_id, c.trade_date).where(c.trade_date >= from_date)
    if to_date:
        query = query.where(c.trade_date <= to_date)
    if ta_id:
        query = query.where(c.ta_id == ta_id)
    rows = connection.execute(query.order_by(c.trade_date, c.ta_id))
    return [f"{row.ta_id}-{row.trade_date}" for row in rows]


def unsettled_days(connection: Connection, ta_id: str) -> Sequence[str]:
    """Ids of a registrar's days whose cash is not settled."""
    c = t.ta_days.c
    query = select(c.trade_date).where(c.ta_id == ta_id, ~c.is_settled)
    return [f"{ta_id}-{day}" for day in connection.execute(query).scalars()]


def unended_orders_of(connection: Connection, ta_id: str) -> Sequence[str]:
    """Orders of a registrar that are not at their end."""
    is_open = or_(_O.stage.not_in(_ENDED), _O.steps_open > 0)
    return list(connection.execute(select(_O.order_id).where(_O.ta_id == ta_id, is_open)).scalars())


@dataclass(frozen=True, slots=True)
class UnitSums:
    """Units of one fund: all that came in, all that went out, what is held, and by how many."""

    issued: int
    redeemed: int
    held: int
    holders: int


def unit_sums(connection: Connection, fund_code: str) -> UnitSums:
    """Sums over all movements, and over all holdings: two ways to one number."""
    moved = select(
        func.coalesce(func.sum(case((_M.shares > 0, _M.shares), else_=0)), 0),
        func.coalesce(func.sum(case((_M.shares < 0, -_M.shares), else_=0)), 0),
    ).where(_M.fund_code == fund_code, _M.is_reversed.is_(False))
    held = select(
        func.coalesce(func.sum(_H.shares), 0),
        func.coalesce(func.sum(case((_H.shares > 0, 1), else_=0)), 0),
    ).where(_H.fund_code == fund_code)
    issued, redeemed = connection.execute(moved).one()
    shares, holders_ = connection.execute(held).one()
    return UnitSums(int(issued), int(redeemed), int(shares), int(holders_))


def last_balances(connection: Connection, ta_id: str) -> str | None:
    """Trade date of a registrar's newest accepted balances."""
    c = t.files.c
    query = select(func.max(c.trade_date)).where(
        c.ta_id == ta_id, c.file_type == "05", c.outcome == "ACCEPTED"
    )
    found: str | None = connection.execute(query).scalar_one()
    return found


def balance_files(connection: Connection, ta_id: str, trade_date: str) -> Sequence[tuple[int, int]]:
    """(batch, rows) of a day's accepted balances, oldest first."""
    c = t.files.c
    query = (
        select(c.batch, c.rows)
        .where(c.ta_id == ta_id, c.trade_date == trade_date)
        .where(c.file_type == "05", c.outcome == "ACCEPTED")
        .order_by(c.batch)
    )
    return [(int(batch), int(rows)) for batch, rows in connection.execute(query)]


def fund_codes(connection: Connection) -> Sequence[str]:
    """Codes of all funds."""
    return list(connection.execute(select(t.funds.c.code).order_by(t.funds.c.code)).scalars())


def active_plans(connection: Connection) -> Sequence[str]:
    """Plans that may have an instalment due."""
    c = t.plans.c
    query = select(c.plan_id).where(c.stage == "ACTIVE").order_by(c.position)
    return list(connection.execute(query).scalars())


def busy_plans(connection: Connection) -> Sequence[str]:
    """Plans with an instalment whose money is not known yet."""
    c = t.plans.c
    return list(connection.execute(select(c.plan_id).where(c.pending > 0)).scalars())


def plans_page(
    connection: Connection, callers: Sequence[str], wanted: tuple[str, str], after: int, size: int
) -> Sequence[Row[Any]]:
    """Plans of an investor, in a stage, in the order in which they began."""
    c = t.plans.c
    investor_id, stage = wanted
    query = select(t.plans).where(c.position > after)
    if callers:
        query = query.where(c.caller.in_(callers))
    if investor_id:
        query = query.where(c.investor_id == investor_id)
    if stage:
        query = query.where(c.stage == stage)
    return list(connection.execute(query.order_by(c.position).limit(size)))


def plan_counts(connection: Connection, plan_id: str) -> tuple[int, int]:
    """(issued, skipped) of a plan."""
    c = t.plans.c
    row = connection.execute(select(c.issued, c.skipped).where(c.plan_id == plan_id)).first()
    return (0, 0) if row is None else (row.issued, row.skipped)


def open_advances(connection: Connection) -> Sequence[str]:
    """Advances that are not repaid, or not given up."""
    c = t.advances.c
    return list(connection.execute(select(c.advance_id).where(~c.is_over)).scalars())


def known_holdings(connection: Connection, investors: Sequence[str]) -> set[tuple[str, str]]:
    """(investor, fund) of the holdings that some investors have, or had."""
    found: set[tuple[str, str]] = set()
    for part in in_parts(investors):
        query = select(_H.investor_id, _H.fund_code).where(_H.investor_id.in_(part))
        found |= {(row.investor_id, row.fund_code) for row in connection.execute(query)}
    return found
