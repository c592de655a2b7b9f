"""Values of the domain as messages and back, by the names that both have; what an order shows."""

from dataclasses import dataclass
from typing import Any, Final, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from sqlalchemy import Row

from hefu.funds.v1 import events_pb2 as events_pb
from hefu.funds.v1 import funds_pb2 as pb
from libs.decider import FieldViolation
from libs.event_store import EventStore
from libs.grpc_errors import Refused
from libs.projection import Projection
from libs.read_model import Database
from libs.wire import time_to_wire
from services.funds.domain import fund as funds
from services.funds.domain import iso_names
from services.funds.domain import order_lifecycle as life
from services.funds.domain.order_terms import Redemption, Terms, entry_id
from services.funds.domain.product import FundTerms
from services.funds.shapes import shape_of

T = TypeVar("T")
M = TypeVar("M", bound=Message)
PAGE_SIZE: Final = 100
TOKEN_LENGTH_MAX: Final = 18


@dataclass(frozen=True, slots=True)
class Reads:
    """Where answers are read: rows at least as new as the caller asks, and the store itself."""

    projection: Projection
    database: Database
    store: EventStore


def position_of(page_token: str) -> int:
    """A page token that is a position. Raises `Refused`."""
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdigit() and len(page_token) <= TOKEN_LENGTH_MAX):
        violation = FieldViolation("page_token", "is none that we gave")
        raise Refused("PAGE_TOKEN_INVALID", "", [violation])
    return int(page_token)


def from_wire(type_: type[T], message: Message) -> T:
    """A message as the value that it is stored as; what is not set is what protobuf says it is."""
    found: T = shape_of(type_).from_json(MessageToDict(message, preserving_proto_field_name=True))
    return found


def to_wire(value: object, message: M) -> M:
    """A value as its message."""
    return ParseDict(shape_of(type(value)).to_json(value), message)


def order_terms(message: events_pb.FundOrderTerms) -> Terms:
    """Terms as asked for; the message has passed the rules in its proto."""
    return from_wire(Terms, message)


def fund_terms(message: events_pb.FundTerms) -> FundTerms:
    """A set-up as it is published."""
    return from_wire(FundTerms, message)


def fund_view(fund: funds.Listed) -> pb.Fund:
    """A fund as the API shows it."""
    latest = fund.latest_nav
    return pb.Fund(
        terms=to_wire(fund.terms, events_pb.FundTerms()),
        status=events_pb.FundStatus.Value(f"FUND_STATUS_{fund.status.name}"),
        version=fund.version,
        latest_nav=None if latest is None else to_wire(latest, events_pb.FundNav()),
        nav_corrections=[correction_view(fund, each.proposal_id) for each in fund.proposals.every],
    )


def correction_view(fund: funds.Listed, proposal_id: str) -> pb.NavCorrection:
    """A proposed correction as the API shows it."""
    found = fund.proposals.get(proposal_id)
    if found is None:
        raise AssertionError("what is shown was proposed")
    return pb.NavCorrection(
        proposal_id=proposal_id,
        before=to_wire(found.before, events_pb.FundNav()),
        after=to_wire(found.after, events_pb.FundNav()),
        cause=found.cause,
        maker=found.maker,
        is_approved=proposal_id in fund.proposals.approved,
        is_refused=proposal_id in fund.proposals.refused,
    )


def nav_view(code: str, fund: funds.Listed, nav: funds.Nav) -> pb.PublishedNav:
    """One price as the API shows it."""
    return pb.PublishedNav(
        code=code,
        nav=to_wire(nav, events_pb.FundNav()),
        corrections=fund.corrections.count(nav.nav_date),
    )


def nav_row_view(row: Row[Any]) -> pb.PublishedNav:
    """A price as it stands in the rows."""
    nav = events_pb.FundNav(
        nav_date=row.nav_date,
        nav=row.nav,
        accumulated_nav=row.accumulated_nav,
        income_per_10k=row.income_per_10k,
        seven_day_yield=row.seven_day_yield,
    )
    return pb.PublishedNav(code=row.code, nav=nav, corrections=row.corrections)


def order_view(order: life.Begun, change_us: int = 0) -> pb.FundOrder:
    """An order as the API shows it."""
    placed, accepted, refusal = order.placed, order.accepted, order.refusal
    rows = [part.confirmation for part in order.parts]
    iso_request, iso_confirmation = iso_names.message_names(placed.terms.kind) or ("", "")
    shown = pb.FundOrder(
        order_id=placed.order_id,
        terms=to_wire(placed.terms, events_pb.FundOrderTerms()),
        state=pb.FundOrderState.Value(f"FUND_ORDER_STATE_{_stage(order).name}"),
        reason=refusal.reason if refusal is not None else "",
        description=refusal.description if refusal is not None else "",
        serial=order.serial,
        business_code=placed.business_code,
        ta_id=placed.ta_id,
        trade_date=_day(order.trade_date),
        confirm_date=_day(accepted.confirm_date if accepted is not None else None),
        settle_date=_day(accepted.settle_date if accepted is not None else None),
        place_time=time_to_wire(placed.place_us),
        confirmed_shares=order.confirmed_shares,
        confirmed_minor=order.confirmed_minor,
        fee_minor=sum(row.fee_minor for row in rows),
        nav=rows[-1].nav if rows else 0,
        target_shares=sum(row.target_shares for row in rows),
        target_nav=rows[-1].target_nav if rows else 0,
        refund_minor=order.returned.amount_minor if order.returned is not None else 0,
        remaining_shares=order.remaining_shares,
        payment_id=next((p.payment_id for p in reversed(order.parts) if p.payment_id), ""),
        recommendation_id=placed.terms.recommendation_id,
        iso_status=iso_names.status_code(order) or "",
        iso_reason=iso_names.reject_code(refusal.reason) if refusal is not None else "",
        iso_request=iso_request,
        iso_confirmation=iso_confirmation,
        entry_order_ids=_entries(order),
        offers=order.offers,
        entry_refusal=next((p.entry_refusal.reason for p in order.parts if p.entry_refusal), ""),
    )
    if accepted is not None:
        shown.cut_off_time.CopyFrom(time_to_wire(accepted.cut_off_us))
    if change_us:
        shown.change_time.CopyFrom(time_to_wire(change_us))
    return shown


def _stage(order: life.Begun) -> life.Stage:
    """What is offered again has not ended: nobody who waits for an end is told of one."""
    is_between = order.stage is life.Stage.REJECTED and life.is_offer_due(order)
    return life.Stage.SHARES_FROZEN if is_between else order.stage


def _entries(order: life.Begun) -> list[str]:
    """Orders that the parts of a switch between registrars have paid for."""
    if not isinstance(order.terms.kind, Redemption) or not order.terms.kind.target_code:
        return []
    return [
        entry_id(order.placed.order_id, part.row_id)
        for part in order.parts
        if part.paid_minor and part.entry_refusal is None
    ]


def _day(day: Any) -> str:  # noqa: ANN401 - a date, or none
    return "" if day is None else str(day.isoformat())
