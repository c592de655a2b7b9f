"""What another price of a day touches: orders that the price made, and who holds the fund."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from services.funds import tables as t
from services.funds.domain.order_lifecycle import Stage

_O, _H, _M = t.orders.c, t.holdings.c, t.movements.c
# Answered at the price, or still to be.
_BOOKED: Final = (
    Stage.PARTIALLY_CONFIRMED.name,
    Stage.ROLLED_OVER.name,
    Stage.CONFIRMED.name,
    Stage.SETTLED.name,
    Stage.AMENDED.name,
)
_WAITING: Final = (
    Stage.ACCEPTED.name,
    Stage.BATCHED.name,
    Stage.TA_RECEIVED.name,
    Stage.PRICED.name,
)


@dataclass(frozen=True, slots=True)
class Touched:
    """How many orders, the first of them, and each holder's shares."""

    booked: int
    waiting: int
    first: Sequence[str]
    shares: Sequence[int]


def touched(connection: Connection, code: str, day: date, first: int) -> Touched:
    """What a fund's price of a day has to do with; of the orders the first so many are named."""
    by_stage = select(_O.stage, func.count()).where(*_of_day(code, day)).group_by(_O.stage)
    counts = {row[0]: row[1] for row in connection.execute(by_stage)}
    named = select(_O.order_id).where(*_of_day(code, day)).order_by(_O.place_position).limit(first)
    held = select(_H.shares).where(_H.fund_code == code, _H.shares > 0)
    return Touched(
        sum(counts.get(stage, 0) for stage in _BOOKED),
        sum(counts.get(stage, 0) for stage in _WAITING),
        list(connection.execute(named).scalars()),
        list(connection.execute(held).scalars()),
    )


def _of_day(code: str, day: date) -> tuple[ColumnElement[bool], ...]:
    """Orders of the day in the fund, and those that entered it from another by a switch."""
    told = day.isoformat()
    is_of_day = and_(_O.first_date != "", _O.first_date <= told, _O.trade_date >= told)
    entered = select(_M.order_id).where(_M.fund_code == code, _M.is_reversed.is_(False))
    is_of_fund = or_(_O.fund_code == code, _O.order_id.in_(entered))
    return is_of_day, is_of_fund, _O.stage.in_((*_BOOKED, *_WAITING))
