"""Rows of holdings, of what is frozen in them, and of every movement of units."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, select

from libs.event_store import StoredEvent
from libs.writes import Added, Patch, Put, Write
from services.funds import tables as t
from services.funds.aggregates import HOLDINGS
from services.funds.domain import holding_lifecycle as life
from services.funds.domain.order_terms import (
    DIVIDEND,
    FORCED_DECREASE,
    FORCED_INCREASE,
    FORCED_REDEMPTION,
)

PREFIX: Final = "holding-"
# What units came in or went out by, from the code of the registrar's row; callers read the words.
_SWITCH: Final = ("136", "137", "138")
_CAME_IN: Final[Mapping[str, str]] = {
    **dict.fromkeys(_SWITCH, "SWITCHED_IN"),
    DIVIDEND: "REINVESTED",
    FORCED_INCREASE: "INCREASED",
}
_WENT_OUT: Final[Mapping[str, str]] = {
    **dict.fromkeys(_SWITCH, "SWITCHED_OUT"),
    FORCED_REDEMPTION: "FORCED_REDEEMED",
    FORCED_DECREASE: "DECREASED",
}
_H: Final = t.holdings.c
_M: Final = t.movements.c


@dataclass(frozen=True, slots=True)
class _At:
    """Whose holding it is, and where the event stands."""

    investor_id: str
    fund_code: str
    position: int
    revision: int

    @property
    def key(self) -> dict[str, object]:
        return {"investor_id": self.investor_id, "fund_code": self.fund_code}


def of_holding(stored: StoredEvent) -> Iterator[Write]:
    """What an event of a holding changes."""
    investor_id, _, code = stored.stream.removeprefix(PREFIX).rpartition("-")
    at = _At(investor_id, code, stored.position, stored.revision)
    if stored.revision == 0:
        yield Put(t.holdings, {**at.key, **_NEW})
    event = HOLDINGS.decode(stored.type, stored.data)
    yield from _OF[type(event)](at, event)


_NEW: Final = {
    "shares": 0,
    "cost_minor": 0,
    "income_minor": 0,
    "realised_minor": 0,
    "mode": "",
    "bucket": 0,
    "accrued_until": "",
}


def movement_of(row_id: str, *, is_in: bool) -> str:
    """What a booked row is called in a statement."""
    code = row_id.split("/")[-2] if row_id.count("/") > 1 else ""
    return _CAME_IN.get(code, "SUBSCRIBED") if is_in else _WENT_OUT.get(code, "REDEEMED")


def _movement(at: _At, line_date: object, movement: str, **said: object) -> Write:
    row: dict[str, object] = {
        "position": at.position,
        "investor_id": at.investor_id,
        "fund_code": at.fund_code,
        "line_date": str(line_date),
        "movement": movement,
        "shares": 0,
        "amount_minor": 0,
        "fee_minor": 0,
        "cost_minor": 0,
        "income_minor": 0,
        "realised_minor": 0,
        "nav": 0,
        "order_id": "",
        "row_id": "",
        "is_reversed": False,
    }
    return Put(t.movements, {**row, **said})


def _lot_added(at: _At, event: life.LotAdded) -> Iterator[Write]:
    left = event.shares - event.taken
    cost = event.cost_minor * left // event.shares if event.shares else 0
    yield Patch(t.holdings, at.key, {"shares": Added(left), "cost_minor": Added(cost)})
    yield _movement(
        at,
        event.confirm_date,
        movement_of(event.row_id, is_in=True),
        shares=left,
        amount_minor=-event.cost_minor,
        cost_minor=cost,
        nav=event.nav,
        order_id=event.order_id,
        row_id=event.row_id,
    )


def _redeemed(at: _At, event: life.SharesRedeemed) -> Iterator[Write]:
    shares = sum(part.shares for part in event.parts)
    cost = sum(part.cost for part in event.parts)
    yield Patch(
        t.holdings,
        at.key,
        {
            "shares": Added(-shares),
            "cost_minor": Added(-cost),
            "realised_minor": Added(event.net_minor - cost),
        },
    )
    if event.unfrozen:
        yield _thaw(at, event.order_id, event.unfrozen)
    yield _movement(
        at,
        event.confirm_date,
        movement_of(event.row_id, is_in=False),
        shares=-shares,
        amount_minor=event.net_minor,
        fee_minor=event.fee_minor,
        cost_minor=-cost,
        realised_minor=event.net_minor - cost,
        order_id=event.order_id,
        row_id=event.row_id,
    )


def _dividend(at: _At, event: life.DividendReceived) -> Iterator[Write]:
    yield Patch(t.holdings, at.key, {"income_minor": Added(event.cash_minor)})
    yield _movement(
        at,
        event.confirm_date,
        "DIVIDEND",
        amount_minor=event.cash_minor,
        income_minor=event.cash_minor,
        order_id=event.order_id,
        row_id=event.row_id,
    )


def _income(at: _At, event: life.IncomeAccrued) -> Iterator[Write]:
    day = event.accrual_date
    changes: dict[str, object] = {"bucket": event.bucket, "accrued_until": day.isoformat()}
    if event.credited_shares:
        changes["shares"] = Added(event.credited_shares)
        # A money fund's share is one unit of money: cents of income are hundredths of shares.
        changes["income_minor"] = Added(event.credited_shares)
    yield Patch(t.holdings, at.key, changes)
    if event.credited_shares:
        yield _movement(
            at,
            day + timedelta(days=1),
            "INCOME",
            shares=event.credited_shares,
            income_minor=event.credited_shares,
        )


def _reversed(at: _At, event: life.BookingReversed) -> Iterator[Write]:
    """Undo what the row's booking did to the sums."""
    is_booked = and_(
        _M.investor_id == at.investor_id,
        _M.fund_code == at.fund_code,
        _M.row_id == event.row_id,
        _M.is_reversed.is_(False),
    )

    def without(name: str) -> ColumnElement[int]:
        booked = select(func.sum(_M[name])).where(is_booked).scalar_subquery()
        less: ColumnElement[int] = _H[name] - func.coalesce(booked, 0)
        return less

    sums = ("shares", "cost_minor", "income_minor", "realised_minor")
    yield Patch(t.holdings, at.key, {name: without(name) for name in sums})
    key = {**at.key, "row_id": event.row_id, "is_reversed": False}
    yield Patch(t.movements, key, {"is_reversed": True})


def _frozen(at: _At, event: life.SharesFrozen | life.FastReserved) -> Iterator[Write]:
    yield Put(t.freezes, {**at.key, "order_id": event.order_id, "shares": event.shares})


def _thaw(at: _At, order_id: str, shares: int) -> Write:
    return Patch(t.freezes, {**at.key, "order_id": order_id}, {"shares": Added(-shares)})


def _unfrozen(at: _At, event: life.SharesUnfrozen) -> Iterator[Write]:
    yield _thaw(at, event.order_id, event.shares)


def _fast_released(at: _At, event: life.FastReleased) -> Iterator[Write]:
    yield Patch(t.freezes, {**at.key, "order_id": event.order_id}, {"shares": 0})


def _mode(at: _At, event: life.DividendModeSet) -> Iterator[Write]:
    yield Patch(t.holdings, at.key, {"mode": event.mode.name})


def _nothing(_at: _At, _event: object) -> Iterator[Write]:
    yield from ()


_OF: Final[Mapping[type, Callable[[_At, Any], Iterator[Write]]]] = {
    life.LotAdded: _lot_added,
    life.SharesRedeemed: _redeemed,
    life.DividendReceived: _dividend,
    life.IncomeAccrued: _income,
    life.BookingReversed: _reversed,
    life.SharesFrozen: _frozen,
    life.FastReserved: _frozen,
    life.SharesUnfrozen: _unfrozen,
    life.FastReleased: _fast_released,
    life.DividendModeSet: _mode,
    life.PurchaseReserved: _nothing,
    life.PurchaseReleased: _nothing,
}
