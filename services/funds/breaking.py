"""Breaks found by the work: named by what it is and where, so that seen again it is the same."""

from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from libs.clock import Clock
from libs.decider import Cause
from libs.ids import named_id
from services.funds.aggregates import Aggregates
from services.funds.domain import breaks
from services.funds.domain.breaks import BreakType

_ACTOR: Final = "funds"


@dataclass(frozen=True, slots=True)
class Breaking:
    """Opens breaks, and closes those that end by themselves."""

    aggregates: Aggregates
    clock: Clock

    async def find(self, type_: BreakType, place: str, terms: breaks.Terms) -> None:
        """Open a break, unless it is there; `terms` need no id and no type."""
        break_id = break_id_of(type_, place)
        named = replace(terms, break_id=break_id, type=type_)
        cause = Cause(f"{break_id}/find", correlation_id=terms.order_id, actor=_ACTOR)
        find = breaks.Find(named, self.clock())
        await self.aggregates.breaks.transact(break_id, find, cause, is_new=True)

    async def end(self, type_: BreakType, place: str, cause: str) -> None:
        """Close what was only late; nothing where there is no such break."""
        break_id = break_id_of(type_, place)
        known = (await self.aggregates.breaks.load(break_id)).state
        if isinstance(known, breaks.Standing) and not known.is_closed:
            because = Cause(f"{break_id}/end", actor=_ACTOR)
            await self.aggregates.breaks.transact(break_id, breaks.Close(cause), because)


def break_id_of(type_: BreakType, place: str) -> str:
    """A break's id, from what it is and where."""
    return str(named_id("fund break", type_.name, place))


def about(ta_id: str, trade_date: date, **said: str) -> breaks.Terms:
    """What a break is about, before it has its name."""
    return breaks.Terms("", BreakType.LATE, ta_id, trade_date, **said)
