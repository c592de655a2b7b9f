"""Rows of regular plans, and of the advances that fast redemptions are paid from."""

from collections.abc import Iterator
from typing import Final

from libs.event_store import StoredEvent
from libs.writes import Added, Patch, Put, Write
from services.funds import tables as t
from services.funds.aggregates import ADVANCES, PLANS
from services.funds.domain import advance, plan

PLAN_PREFIX: Final = "plan-"
ADVANCE_PREFIX: Final = "advance-"


def of_plan(stored: StoredEvent) -> Iterator[Write]:
    """What an event of a plan changes."""
    event = PLANS.decode(stored.type, stored.data)
    key = {"plan_id": stored.stream.removeprefix(PLAN_PREFIX)}
    match event:
        case plan.Created(_, terms, caller):
            row = {
                "caller": caller,
                "investor_id": terms.investor_id,
                "fund_code": terms.fund_code,
                "stage": plan.Stage.ACTIVE.name,
                "issued": 0,
                "skipped": 0,
                "pending": 0,
                "position": stored.position,
            }
            yield Put(t.plans, {**key, **row})
        case plan.InstallmentIssued():
            yield Patch(t.plans, key, {"pending": Added(1)})
        case plan.InstallmentPlaced():
            yield Patch(t.plans, key, {"issued": Added(1), "pending": Added(-1)})
        case plan.InstallmentSkipped():
            yield Patch(t.plans, key, {"skipped": Added(1), "pending": Added(-1)})
        case plan.Suspended():
            yield Patch(t.plans, key, {"stage": plan.Stage.SUSPENDED.name})
        case plan.Resumed():
            yield Patch(t.plans, key, {"stage": plan.Stage.ACTIVE.name})
        case plan.Stopped():
            yield Patch(t.plans, key, {"stage": plan.Stage.STOPPED.name})
        case plan.Changed():
            pass


def of_advance(stored: StoredEvent) -> Iterator[Write]:
    """What an event of an advance changes."""
    event = ADVANCES.decode(stored.type, stored.data)
    key = {"advance_id": stored.stream.removeprefix(ADVANCE_PREFIX)}
    match event:
        case advance.Requested(_, terms):
            yield Put(t.advances, {**key, "bank_id": terms.bank_id, "is_over": False})
        case advance.HeadroomReleased() | advance.IncomePaid():
            yield Patch(t.advances, key, {"is_over": True})
        case advance.IncomeDue():
            yield Patch(t.advances, key, {"is_over": False})
        case _:
            pass
