"""Rows of orders: whose they are, where they stand, and which wait for something of ours."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import case

from libs.event_store import StoredEvent
from libs.writes import Patch, Put, Write
from services.funds import tables as t
from services.funds.aggregates import ORDERS
from services.funds.domain import order_lifecycle as life
from services.funds.domain.order_lifecycle import Stage
from services.funds.serials import trading_account_of

PREFIX: Final = "fund_order-"
_O: Final = t.orders.c
_NOT_PRICED: Final = (Stage.BATCHED.name, Stage.TA_RECEIVED.name)


def of_order(stored: StoredEvent) -> Iterator[Write]:
    """What an event of an order changes."""
    event = ORDERS.decode(stored.type, stored.data)
    at = {"revision": stored.revision, "change_us": stored.recorded_us}
    if isinstance(event, life.Placed):
        yield Put(t.orders, {**_first_row(event), **at, "place_position": stored.position})
        yield Put(t.trading_accounts, _trading_account(event))
        return
    changes = _CHANGES[type(event)](event)
    yield Patch(t.orders, {"order_id": stored.stream.removeprefix(PREFIX)}, {**changes, **at})


def _first_row(event: life.Placed) -> dict[str, object]:
    terms = event.terms
    return {
        "order_id": event.order_id,
        "caller": event.caller,
        "investor_id": terms.investor_id,
        "fund_code": terms.kind.fund_code,
        "ta_id": event.ta_id,
        "serial": event.serial,
        "plan_id": terms.plan_id,
        "stage": Stage.DRAFT.name,
        "first_date": "",
        "trade_date": "",
        "steps_open": 1,
        "is_waiting": False,
    }


def _trading_account(event: life.Placed) -> dict[str, object]:
    terms = event.terms
    return {
        "trading_account_id": trading_account_of(terms.investor_id),
        "investor_id": terms.investor_id,
        "wallet_account_id": terms.wallet_account_id,
    }


def _stage(stage: Stage, steps_open: int) -> Callable[[Any], dict[str, object]]:
    changes: dict[str, object] = {
        "stage": stage.name,
        "steps_open": steps_open,
        "is_waiting": False,
    }
    return lambda _: changes


def _busy(_event: object) -> dict[str, object]:
    return {"steps_open": 1}


def _at_rest(_event: object) -> dict[str, object]:
    return {"steps_open": 0}


def _booked(_event: life.PartBooked) -> dict[str, object]:
    # Of an amended order the money may differ too.
    is_amended = _O.stage == Stage.AMENDED.name
    return {"steps_open": case((is_amended, 1), else_=0)}


def _accepted(event: life.Accepted) -> dict[str, object]:
    day = event.trade_date.isoformat()
    return {
        "stage": Stage.ACCEPTED.name,
        # Offered again it has still to do with the day on which it was first.
        "first_date": case((_O.first_date == "", day), else_=_O.first_date),
        "trade_date": day,
        "steps_open": 0,
        "is_waiting": True,
    }


def _confirmed(event: life.Confirmed) -> dict[str, object]:
    day = event.confirmation.trade_date.isoformat()
    # What a registrar began was never accepted: its answer's day is its first.
    first = case((_O.first_date == "", day), else_=_O.first_date)
    return {
        "stage": Stage.CONFIRMED.name,
        "first_date": first,
        "trade_date": day,
        "steps_open": 0 if event.is_booked else 1,
        "is_waiting": False,
    }


def _partly_confirmed(event: life.PartlyConfirmed) -> dict[str, object]:
    return {
        "stage": Stage.PARTIALLY_CONFIRMED.name,
        "steps_open": 0 if event.is_booked else 1,
        "is_waiting": False,
    }


def _priced(_event: life.Priced) -> dict[str, object]:
    # The price may come after the answer: then it is no stage of the order any more.
    is_before = _O.stage.in_(_NOT_PRICED)
    return {"stage": case((is_before, Stage.PRICED.name), else_=_O.stage)}


def _rolled_over(event: life.RemainderRolledOver) -> dict[str, object]:
    return {
        "stage": Stage.ROLLED_OVER.name,
        "trade_date": event.trade_date.isoformat(),
        "steps_open": 0,
    }


def _settled(_event: life.Settled) -> dict[str, object]:
    is_amended = _O.stage == Stage.AMENDED.name
    stage = case((is_amended, _O.stage), else_=Stage.SETTLED.name)
    return {"stage": stage, "steps_open": 0}


def _amended(_event: life.ConfirmationAmended) -> dict[str, object]:
    answered = [stage.name for stage in life.ANSWERED]
    stage = case((_O.stage.in_(answered), Stage.AMENDED.name), else_=_O.stage)
    return {"stage": stage, "steps_open": 1}


# Steps may be counted open that are done: whoever looks finds nothing to do.
_CHANGES: Final[Mapping[type, Callable[[Any], dict[str, object]]]] = {
    life.SuitabilityPassed: _stage(Stage.SUITABILITY_PASSED, 1),
    life.LimitReserved: _busy,
    life.MoneyHeld: _busy,
    life.Funded: _stage(Stage.FUNDED, 1),
    life.FundingFailed: _stage(Stage.REJECTED, 1),
    life.SharesFrozen: _stage(Stage.SHARES_FROZEN, 1),
    life.AdvancePaid: _busy,
    life.OfferedAgain: _stage(Stage.SHARES_FROZEN, 1),
    life.Accepted: _accepted,
    life.Cancelled: _stage(Stage.CANCELLED, 1),
    life.Batched: _stage(Stage.BATCHED, 0),
    life.Received: _stage(Stage.TA_RECEIVED, 0),
    life.Priced: _priced,
    life.Confirmed: _confirmed,
    life.PartlyConfirmed: _partly_confirmed,
    life.PartAgreed: _busy,
    life.PartDisputed: _at_rest,
    life.DifferenceAccepted: _busy,
    # What is left is cash: who has it tells the order.
    life.PartBooked: _booked,
    life.PartCovered: _busy,
    life.PartPaid: _busy,
    life.EntryRefused: _busy,
    life.WalletSpared: _busy,
    life.PartCashTold: _busy,
    life.RemainderRolledOver: _rolled_over,
    life.RemainderCancelled: _stage(Stage.CONFIRMED, 1),
    life.Refused: _stage(Stage.REJECTED, 1),
    life.Returned: _at_rest,
    life.Settled: _settled,
    life.ConfirmationAmended: _amended,
}
