"""What funds tell, as rows: catalogue, prices by publication, orders, facts of investors."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text, func, select

from libs.event_store import StoredEvent
from libs.read_model import Patch, Put, ReadModel, Write
from services.recommendations.domain.catalogue import FeeStep
from services.recommendations.domain.facts import DAY_US, Kind
from services.recommendations.rows import fund_money
from services.recommendations.rows.fund_money import metadata

_PACKAGE: Final = "hefu.funds.v1."
_EPOCH: Final = date(1970, 1, 1)
_CODE_LENGTH: Final = 6
_YEAR_DAYS: Final = 365
# Nobody may sell.
GATED: Final = "FUND_STATUS_PAUSED_OUT"

funds = Table(
    "heard_funds",
    metadata,
    Column("code", Text, primary_key=True),
    # The terms as they were published, JSON.
    Column("terms", Text),
    Column("status", Text),
    Column("level", Integer),
    Column("nav_scale", Integer),
    Column("published_us", BigInteger),
    # Positions of the newest event of the product, and of its newest price.
    Column("position", BigInteger, nullable=False),
    Column("nav_position", BigInteger, nullable=False),
)
Index("heard_funds_by_position", funds.c.position)
# Days on which any fund had a price: the market's sessions as far as is known.
sessions = Table("heard_sessions", metadata, Column("day", Text, primary_key=True))
navs = Table(
    "heard_navs",
    metadata,
    Column("code", Text, primary_key=True),
    Column("nav_date", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("nav", BigInteger, nullable=False),
    # With what was paid out before, or 0; a money fund's income of ten thousand shares.
    Column("accumulated_nav", BigInteger, nullable=False),
    Column("income_per_10k", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
)
levels = Table(
    "heard_levels",
    metadata,
    Column("code", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("level", Integer, nullable=False),
    # The type of the fund, like EQUITY: its theme where no feed tells one.
    Column("kind", Text, nullable=False),
    # Front-end and redemption fee of a year's holding, by the terms published here (millionths).
    Column("fee_millionths", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
)
# Each time a fund's status was told: whether holders could sell at a position is read from it.
statuses = Table(
    "heard_statuses",
    metadata,
    Column("code", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("is_gated", Integer, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
)
# Each confirmation that left the rest of a large redemption to the next trade day.
deferrals = Table(
    "heard_deferrals",
    metadata,
    Column("code", Text, primary_key=True),
    Column("trade_date", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("recorded_us", BigInteger, nullable=False),
)
orders = Table(
    "heard_orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("investor_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("investor_class", Text, nullable=False),
    Column("placed_us", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("heard_orders_of_fund", orders.c.code, orders.c.placed_us)
facts = Table(
    "heard_facts",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("investor_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("business_us", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    # Of a confirmation that added shares or took them; null otherwise.
    Column("row_id", Text),
)
Index("heard_facts_of_investor", facts.c.investor_id, facts.c.position)
Index("heard_facts_of_fund", facts.c.code, facts.c.kind, facts.c.position)

# Each event of a plan; those after the first say nothing of whose it is.
plans = Table(
    "heard_plans",
    metadata,
    Column("plan_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("investor_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
)
Index("heard_plans_of_investor", plans.c.investor_id)


def day_us(text: str) -> int:
    """The start of a date (ISO 8601) in microseconds since 1970."""
    return (date.fromisoformat(text) - _EPOCH).days * DAY_US


def front_millionths(terms: Mapping[str, Any]) -> int:
    """The rate of the smallest purchase, after discount: the dearest one."""
    table = _fee_table(terms)
    bands = table.get("front", ())
    rate = int(bands[0].get("rate", 0)) if bands else 0
    return rate * int(table.get("discount", 1_000_000)) // 1_000_000


def redemption_steps(terms: Mapping[str, Any]) -> tuple[FeeStep, ...]:
    return tuple(
        FeeStep(int(band.get("from_days", 0)), int(band.get("rate", 0)))
        for band in _fee_table(terms).get("redemption", ())
    )


def _fee_of_a_year(terms: Mapping[str, Any]) -> int:
    steps = reversed(redemption_steps(terms))
    out = next((step.rate_millionths for step in steps if step.from_days <= _YEAR_DAYS), 0)
    return front_millionths(terms) + out


def _fee_table(terms: Mapping[str, Any]) -> Mapping[str, Any]:
    tables = terms.get("fee_tables")
    return tables[-1] if tables else {}


def project(stored: StoredEvent) -> Iterator[Write]:
    name = stored.type.removeprefix(_PACKAGE)
    told = _TOLD.get(name)
    if told is not None:
        yield from told(stored, orjson.loads(stored.data))


def _published(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    terms = body.get("terms", {})
    level = int(str(terms["risk_level"]).removeprefix("RISK_LEVEL_R"))
    at = {"position": stored.position}
    if stored.revision == 0:
        yield Put(
            funds,
            {
                "code": terms["code"],
                # What is published is open until it is told otherwise.
                "status": "FUND_STATUS_OPEN",
                "published_us": stored.recorded_us,
                "nav_position": 0,
                **at,
            },
        )
    yield Patch(
        funds,
        {"code": terms["code"]},
        {
            "terms": orjson.dumps(terms, option=orjson.OPT_SORT_KEYS).decode(),
            "level": level,
            "nav_scale": int(terms.get("nav_scale", 0)),
            **at,
        },
    )
    yield Put(
        levels,
        {
            "code": terms["code"],
            "level": level,
            "kind": str(terms.get("fund_type", "")).removeprefix("FUND_TYPE_"),
            "fee_millionths": _fee_of_a_year(terms),
            "recorded_us": stored.recorded_us,
            **at,
        },
    )


def _status(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    code, at = _code_of(stored), {"position": stored.position}
    status = body.get("status", "")
    yield Patch(funds, {"code": code}, {"status": status, **at})
    told = {"is_gated": int(status == GATED), "recorded_us": stored.recorded_us}
    yield Put(statuses, {"code": code, **at, **told})


def _nav(stored: StoredEvent, nav: Mapping[str, Any]) -> Iterator[Write]:
    day, price = nav["nav_date"], int(nav["nav"])
    row = {
        "code": _code_of(stored),
        "nav_date": day,
        "position": stored.position,
        "event_id": str(stored.id),
        "nav": price,
        "accumulated_nav": int(nav.get("accumulated_nav", 0)),
        "income_per_10k": int(nav.get("income_per_10k", 0)),
        "recorded_us": stored.recorded_us,
    }
    yield Put(navs, row)
    yield Put(sessions, {"day": day})
    # Plain values, so that the prices of many funds are few statements.
    at = {"nav_position": stored.position, "position": stored.position}
    yield Patch(funds, {"code": _code_of(stored)}, at)


def _placed(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    terms = body.get("terms", {})
    investor_id, placed_us = terms.get("investor_id", ""), int(body.get("place_us", 0))
    yield fund_money.owner(body)
    if bought := terms.get("subscription"):
        amount = int(bought.get("amount", {}).get("minor_units", 0))
        row = {
            "order_id": body.get("order_id", ""),
            "investor_id": investor_id,
            "code": bought["fund_code"],
            "amount_minor": amount,
            "investor_class": "",
            "placed_us": placed_us,
            "recorded_us": stored.recorded_us,
            "position": stored.position,
        }
        yield Put(orders, row)
        yield _fact(stored, investor_id, bought["fund_code"], Kind.BOUGHT, amount, placed_us)
    for name in ("redemption", "fast_redemption"):
        if sold := terms.get(name):
            shares = int(sold.get("shares", 0))
            yield _fact(stored, investor_id, sold["fund_code"], Kind.SOLD, shares, placed_us)


def _passed(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    found = str(body.get("investor_class", "")).removeprefix("INVESTOR_CLASS_")
    order_id = stored.stream.removeprefix(fund_money.ORDER)
    yield Patch(orders, {"order_id": order_id}, {"investor_class": found})


def _confirmed(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    yield from fund_money.TOLD[stored.type.removeprefix(_PACKAGE)](stored, body)
    told = body.get("confirmation", {})
    if told.get("rolls_over"):
        at, code = {"position": stored.position}, told["fund_code"]
        row = {"code": code, "trade_date": told["trade_date"], "recorded_us": stored.recorded_us}
        yield Put(deferrals, {**row, **at})
        # The fund is another one for who looks whether it changed.
        yield Patch(funds, {"code": code}, at)


def _lot(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    row_id = body.get("row_id", "")
    yield _shares(stored, int(body.get("shares", 0)), body.get("confirm_date", ""), row_id)


def _redeemed(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    shares = sum(int(part.get("shares", 0)) for part in body.get("parts", ()))
    yield _shares(stored, -shares, body.get("confirm_date", ""), body.get("row_id", ""))


def _reversed(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    """As many shares the other way as the row is booked with; known from now on."""
    undone = _shares(stored, 0, "", body.get("row_id", ""))
    yield undone
    of, older = undone.row, facts.alias("older").c
    net = select(func.coalesce(func.sum(older.amount), 0)).where(
        older.investor_id == of["investor_id"],
        older.code == of["code"],
        older.row_id == of["row_id"],
        older.position < stored.position,
    )
    yield Patch(facts, {"event_id": of["event_id"]}, {"amount": -net.scalar_subquery()})


def _accrued(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    shares = int(body.get("credited_shares", 0))
    if shares:
        yield _shares(stored, shares, body.get("accrual_date", ""))


def _shares(stored: StoredEvent, shares: int, day: str, row_id: str | None = None) -> Put:
    investor_id = stored.stream.removeprefix("holding-")[: -_CODE_LENGTH - 1]
    # A confirmation is known from the day it arrived; the day it is of lies before that.
    at_us = min(day_us(day), stored.recorded_us) if day else stored.recorded_us
    code = stored.stream[-_CODE_LENGTH:]
    told = _fact(stored, investor_id, code, Kind.SHARES, shares, at_us)
    return told if row_id is None else Put(facts, {**told.row, "row_id": row_id})


def _plan(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    terms = body.get("terms", {})
    yield Put(
        plans,
        {
            "plan_id": stored.stream.removeprefix("plan-"),
            "position": stored.position,
            "event_id": str(stored.id),
            "event": stored.type.removeprefix(_PACKAGE),
            "investor_id": terms.get("investor_id", ""),
            "code": terms.get("fund_code", ""),
            "recorded_us": stored.recorded_us,
        },
    )


def _fact(
    stored: StoredEvent, investor_id: str, code: str, kind: Kind, amount: int, business_us: int
) -> Put:
    return Put(
        facts,
        {
            "event_id": str(stored.id),
            "investor_id": investor_id,
            "code": code,
            "kind": kind.value,
            "amount": amount,
            "business_us": business_us,
            "recorded_us": stored.recorded_us,
            "position": stored.position,
        },
    )


def _code_of(stored: StoredEvent) -> str:
    return stored.stream.removeprefix("fund-")


_TOLD: Final[Mapping[str, Callable[[StoredEvent, Mapping[str, Any]], Iterator[Write]]]] = {
    "FundPublished": _published,
    "FundStatusChanged": _status,
    "FundNavPublished": lambda stored, body: _nav(stored, body["nav"]),
    "FundNavCorrected": lambda stored, body: _nav(stored, body["after"]),
    "FundOrderPlaced": _placed,
    "FundOrderSuitabilityPassed": _passed,
    **fund_money.TOLD,
    **dict.fromkeys(("FundOrderConfirmed", "FundOrderPartlyConfirmed"), _confirmed),
    "HoldingLotAdded": _lot,
    "HoldingSharesRedeemed": _redeemed,
    "HoldingBookingReversed": _reversed,
    "HoldingIncomeAccrued": _accrued,
    **dict.fromkeys(
        ("PlanCreated", "PlanChanged", "PlanSuspended", "PlanResumed", "PlanStopped"), _plan
    ),
}

PREFIXES: Final = ("fund-", fund_money.ORDER, "holding-", "plan-")
model = ReadModel("heard_funds", 8, "funds", PREFIXES, metadata, project)
