"""What is known of an investor up to a position, from all that is heard: the facts of features."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)
from sqlalchemy.engine import Dialect

from services.recommendations.domain.facts import Fact, Kind
from services.recommendations.domain.features import FEATURE_SET, has_currencies, in_one_heap
from services.recommendations.rows import fund_money as m
from services.recommendations.rows import funds as f
from services.recommendations.rows import own as o
from services.recommendations.rows import payments as p

Part: TypeAlias = "Select[Any]"
# Revision, stored type and data of an event; without data it says nothing that advice asks for.
Happened: TypeAlias = tuple[int, str, str]


@dataclass(frozen=True, slots=True)
class Upto:
    """What counts: positions of the three sources, the time, and how features are made of it."""

    own: int
    funds: int
    payments: int
    at_us: int
    feature_set: str = FEATURE_SET
    # Of advice's own, but of prices alone: what the catalogue that is advised from has heard.
    feeds: int = 0


class Known(NamedTuple):
    """Facts of one investor, and what happened to the investor as such."""

    facts: Sequence[Fact]
    events: Sequence[Happened]


def facts_of(connection: Connection, investor_id: str, upto: Upto) -> Sequence[Fact]:
    """All facts of one investor up to a position."""
    return known_of(connection, investor_id, upto).facts


def known_of(connection: Connection, investor_id: str, upto: Upto) -> Known:
    """All that is known of one investor: one statement, asked for every answer.

    What happened to the investor is told to the newest row, whatever the position.
    """
    asked = {
        "investor_id": investor_id,
        "own": upto.own,
        "funds": upto.funds,
        "payments": upto.payments,
    }
    facts: list[Fact] = []
    plans: list[_PlanRow] = []
    events: list[Happened] = []
    for row in _statement(connection.dialect).ask(connection, asked):
        kind, event_id, code, amount, business_us, recorded_us, told = row
        if kind == _HAPPENED:
            events.append((amount, event_id, told))
        elif kind in _PLAN_EVENTS:
            plans.append((told, amount, event_id, kind, code, recorded_us))
        else:
            theme, currency = ("", told) if kind in _OF_PAYMENTS else (told, "")
            facts.append(
                Fact(
                    *(recorded_us, event_id, kind, business_us),
                    *(investor_id, code, amount, theme, currency),
                )
            )
    facts += _planned(plans, investor_id)
    return Known(facts if has_currencies(upto.feature_set) else in_one_heap(facts), events)


@dataclass(frozen=True, slots=True)
class _Statement:
    """Put together once a database: that takes longer than the answer."""

    sql: str
    # Values by name; and the names in the order of the marks, where the database takes marks.
    values: Mapping[str, Any]
    order: Sequence[str] | None

    def ask(self, connection: Connection, asked: Mapping[str, Any]) -> Iterable[Any]:
        values: Any = {**self.values, **asked}
        if self.order is not None:
            values = tuple(map(values.__getitem__, self.order))
        return connection.exec_driver_sql(self.sql, values)


@lru_cache(maxsize=8)
def _statement(dialect: Dialect) -> _Statement:
    compiled = _ALL.compile(dialect=dialect)
    given = dict.fromkeys(("investor_id", "own", "funds", "payments"))
    return _Statement(compiled.string, compiled.construct_params(given), compiled.positiontup)


# ---- plans

_PLAN_RUNS: Final = frozenset({"PlanCreated", "PlanResumed"})
_PLAN_RESTS: Final = frozenset({"PlanSuspended", "PlanStopped"})
_PLAN_EVENTS: Final = _PLAN_RUNS | _PLAN_RESTS | {"PlanChanged"}
# Plan, position, event id, event, fund, recorded.
_PlanRow: TypeAlias = tuple[str, int, str, str, str, int]


def _planned(rows: Sequence[_PlanRow], investor_id: str) -> Iterable[Fact]:
    """Plans begun and resumed as +1 of their fund, suspended and stopped as -1."""
    plan_id, code, is_running = "", "", False
    for of_plan, _, event_id, event, told_code, at_us in sorted(rows):
        if of_plan != plan_id:
            plan_id, code, is_running = of_plan, told_code, False
        ran, was = is_running, code
        is_running = event in _PLAN_RUNS or (is_running and event not in _PLAN_RESTS)
        code = told_code or code
        for told, amount in ((was, -int(ran)), (code, int(is_running))):
            if amount and (told != code or was != code or ran is not is_running):
                name = f"{event_id}/{amount:+d}"
                yield Fact(at_us, name, Kind.PLAN.value, at_us, investor_id, told, amount)


# ---- the statement: kind, event id, fund, amount, when it happened and was recorded, and a word:
# of an order or a view the theme, of a payment the currency, of a plan its id.

_WHO: Final[ColumnElement[str]] = bindparam("investor_id")
_OWN: Final[ColumnElement[int]] = bindparam("own")
_FUNDS: Final[ColumnElement[int]] = bindparam("funds")
_PAYMENTS: Final[ColumnElement[int]] = bindparam("payments")
_ONE: Final[ColumnElement[int]] = literal_column("1")
# Kinds whose word is a currency. Orders of funds move a wallet, too; they say none.
_OF_PAYMENTS: Final = frozenset({Kind.CASH_IN.value, Kind.CASH_OUT.value, Kind.WALLET.value})
# The kind of row that is no fact.
_HAPPENED: Final = "HAPPENED"
_NOTHING: Final[ColumnElement[str]] = literal_column("''")


def _theme(code: ColumnElement[str], has_one: ColumnElement[bool]) -> ColumnElement[str]:
    """As the feeds told it last by then, else the kind of the fund by the terms of then."""
    t, n = o.themes.c, f.levels.c
    fed = (
        select(t.theme)
        .where(t.instrument == code, t.position <= _OWN)
        .order_by(t.position.desc())
        .limit(_ONE)
    )
    kind = (
        select(n.kind)
        .where(n.code == code, n.position <= _FUNDS)
        .order_by(n.position.desc())
        .limit(_ONE)
    )
    either = func.coalesce(
        func.nullif(fed.scalar_subquery(), _NOTHING), kind.scalar_subquery(), _NOTHING
    )
    return case((has_one, either), else_=_NOTHING)


def _is(column: Column[Any], *kinds: Kind) -> ColumnElement[bool]:
    return or_(*(column == literal(kind.value) for kind in kinds))


def _kind(kind: Kind) -> ColumnElement[str]:
    return literal_column(f"'{kind.value}'")


def _of_funds() -> Part:
    t = f.facts.c
    theme = _theme(t.code, _is(t.kind, Kind.BOUGHT, Kind.SOLD))
    columns = (t.kind, t.event_id, t.code, t.amount, t.business_us, t.recorded_us, theme)
    return select(*columns).where(t.investor_id == _WHO, t.position <= _FUNDS)


def _of_advice() -> Sequence[Part]:
    """Warnings are told of an investor, all else of a proposal."""
    t, n = o.own_facts.c, o.proposals.c
    theme = _theme(t.code, _is(t.kind, Kind.OPENED))
    times = (t.business_us, t.recorded_us)
    mine = select(n.proposal_id).where(n.investor_id == _WHO)
    return [
        select(t.kind, t.event_id, t.code, _ONE, *times, theme).where(each, t.position <= _OWN)
        for each in (t.investor_id == _WHO, t.proposal_id.in_(mine))
    ]


def _of_investor() -> Part:
    """What happened to the investor as such."""
    t = o.histories.c
    kind: ColumnElement[str] = literal_column(f"'{_HAPPENED}'")
    columns = (kind, t.type, _NOTHING, t.revision, _ONE, _ONE, t.data)
    return select(*columns).where(t.investor_id == _WHO)


def _turned_down() -> Part:
    """Each fund of a proposal that was dismissed."""
    t, d, n = o.proposal_items.c, o.own_facts.c, o.proposals.c
    mine = select(n.proposal_id).where(n.investor_id == _WHO)
    event_id = d.event_id + literal("/") + t.code
    times = (d.business_us, d.recorded_us)
    return select(_kind(Kind.TURNED_DOWN), event_id, t.code, _ONE, *times, _NOTHING).where(
        d.proposal_id.in_(mine),
        _is(d.kind, Kind.DISMISSED),
        d.position <= _OWN,
        t.proposal_id == d.proposal_id,
    )


def _of_plans() -> Part:
    t = f.plans.c
    mine = select(t.plan_id).where(t.investor_id == _WHO)
    columns = (t.event, t.event_id, t.code, t.position, t.recorded_us, t.recorded_us, t.plan_id)
    return select(*columns).where(t.plan_id.in_(mine), t.position <= _FUNDS)


def _of_payments() -> Sequence[Part]:
    """What went out of an investor's wallets and came in, and what of it was given back."""
    t, n, w = p.cash.c, p.refunds.c, o.wallets.c
    found = []
    sides = ((t.payer_account_id, Kind.CASH_OUT, 1), (t.payee_account_id, Kind.CASH_IN, -1))
    for side, kind, back in sides:
        mine = (w.investor_id == _WHO, side == w.account_id)
        moved = (_kind(kind), t.event_id + literal(f"/{kind.value}"), _NOTHING, t.amount_minor)
        # What has not moved yet has no position.
        found.append(
            select(*moved, t.recorded_us, t.recorded_us, t.currency_code).where(
                *mine, t.position <= _PAYMENTS
            )
        )
        amount = n.amount_minor * literal_column(str(back))
        returned = (_kind(Kind.WALLET), n.event_id + literal(f"/{back}"), _NOTHING, amount)
        found.append(
            select(*returned, n.recorded_us, n.recorded_us, t.currency_code).where(
                *mine, n.payment_id == t.payment_id, n.position <= _PAYMENTS
            )
        )
    return found


def _of_orders() -> Sequence[Part]:
    """What orders of funds took from wallets, gave back, and cost."""
    t, n = m.owners.c, m.moved.c
    taken = (-t.amount_minor, t.funded_us, t.funded_us, _NOTHING)
    found = [
        select(_kind(Kind.WALLET), t.funded_id, t.code, *taken).where(
            t.investor_id == _WHO, t.funded_position <= _FUNDS
        )
    ]
    for kind, amount in (
        (Kind.WALLET, n.wallet_minor),
        (Kind.CONFIRMED, n.confirmed_minor),
        (Kind.FEE_PAID, n.fee_minor),
    ):
        columns = (_kind(kind), n.event_id + literal(f"/{kind.value}"), t.code, amount)
        at_us = n.recorded_us
        found.append(
            select(*columns, at_us, at_us, _NOTHING).where(
                t.investor_id == _WHO,
                n.order_id == t.order_id,
                n.position <= _FUNDS,
                amount != literal_column("0"),
            )
        )
    return found


_ALL: Final = union_all(
    _of_funds(),
    *_of_advice(),
    _of_investor(),
    _turned_down(),
    _of_plans(),
    *_of_payments(),
    *_of_orders(),
)
