"""The read model of payments: one row each with everything the API shows, and the queries on it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    Table,
    Text,
    and_,
    case,
    or_,
    select,
)

from libs.event_store import StoredEvent
from libs.money import Money
from libs.read_model import Added, Patch, PatchRows, Put, ReadModel, Write
from services.payments.codec import codec
from services.payments.domain import lifecycle as life
from services.payments.domain.terms import (
    KIND_NAMES,
    Kind,
    MerchantPayment,
    Payout,
    Refund,
    Terms,
    TopUp,
    WalletTransfer,
    payer_and_payee,
)
from services.payments.domain.view import Settlement, Status, View, settlement_of

PREFIX: Final = "payment-"
# More than this is not looked at in one look of the watchdog; the oldest come first.
OPEN_MAX: Final = 20_000

metadata = MetaData()

payments = Table(
    "payments",
    metadata,
    Column("payment_id", Text, primary_key=True),
    Column("caller", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("payer_account_id", Text, nullable=False),
    Column("payee_account_id", Text, nullable=False),
    Column("bank_id", Text, nullable=False),
    Column("bank_account", Text, nullable=False),
    Column("payee_name", Text, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("original_payment_id", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("request_ms", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("failure_reason", Text, nullable=False),
    Column("failure_description", Text, nullable=False),
    Column("is_in_doubt", Boolean, nullable=False),
    Column("entered_window_id", Text, nullable=False),
    Column("carried_window_id", Text, nullable=False),
    Column("times_carried", Integer, nullable=False),
    Column("settlement_id", Text, nullable=False),
    Column("bank_reference", Text, nullable=False),
    Column("refunded_minor", BigInteger, nullable=False),
    # What the process still has to do: steps of its own, money to give back, refunds to begin.
    Column("steps_open", Integer, nullable=False),
    Column("returns_open", Integer, nullable=False),
    Column("refunds_open", Integer, nullable=False),
    # Position of its first event, and where it stands now.
    Column("request_position", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("change_us", BigInteger, nullable=False),
)
_T: Final = payments.c
_IS_OPEN: Final = _T.steps_open + _T.returns_open + _T.refunds_open > 0
Index("payments_in_order", _T.request_position)
Index("payments_of_payer", _T.payer_account_id, _T.request_position)
Index("payments_of_payee", _T.payee_account_id, _T.request_position)
Index("payments_by_status", _T.status, _T.request_position)
Index("payments_open", _T.request_position, sqlite_where=_IS_OPEN, postgresql_where=_IS_OPEN)


def project(stored: StoredEvent) -> Iterator[Write]:
    event = codec.decode(stored.type, stored.data)
    at = {"revision": stored.revision, "change_us": stored.recorded_us}
    if isinstance(event, life.Requested):
        yield Put(payments, {**_first_row(event), **at, "request_position": stored.position})
        return
    payment_id = stored.stream.removeprefix(PREFIX)
    values = {**_changes(event), **at}
    if type(event) in _OF_PLAIN_VALUES:
        yield PatchRows(payments, tuple(values), [(*values.values(), payment_id)])
    else:
        yield Patch(payments, {"payment_id": payment_id}, values)


def _first_row(event: life.Requested) -> dict[str, object]:
    terms, kind = event.terms, event.terms.kind
    payer, payee = payer_and_payee(kind)
    bank_id, bank_account = (
        (kind.bank_id, kind.bank_account) if isinstance(kind, TopUp | Payout) else ("", "")
    )
    return {
        "payment_id": event.payment_id,
        "caller": event.caller,
        "kind": KIND_NAMES[type(kind)],
        "currency_code": terms.amount.currency,
        "amount_minor": terms.amount.minor,
        "payer_account_id": payer,
        "payee_account_id": payee,
        "bank_id": bank_id,
        "bank_account": bank_account,
        "payee_name": kind.payee_name if isinstance(kind, Payout) else "",
        "fee_minor": kind.fee_minor if isinstance(kind, MerchantPayment) else 0,
        "original_payment_id": kind.original_payment_id if isinstance(kind, Refund) else "",
        "note": terms.note,
        "request_ms": event.request_ms,
        "status": Status.PROCESSING.name,
        "failure_reason": "",
        "failure_description": "",
        "is_in_doubt": False,
        "entered_window_id": "",
        "carried_window_id": "",
        "times_carried": 0,
        "settlement_id": "",
        "bank_reference": "",
        "refunded_minor": 0,
        "steps_open": 1,
        "returns_open": 0,
        "refunds_open": 0,
    }


def _changes(event: life.Event) -> dict[str, object]:
    return _CHANGES[type(event)](event)


def _failed(event: life.Failed) -> dict[str, object]:
    return {
        "status": Status.FAILED.name,
        "failure_reason": event.reason,
        "failure_description": event.description,
        "is_in_doubt": False,
        "steps_open": 0,
        "returns_open": 0,
    }


def _refunded(event: life.RefundCompleted) -> dict[str, object]:
    # Refunds are few: an expression of its own costs a statement.
    refunded = _T.refunded_minor + event.amount_minor
    is_whole = refunded >= _T.amount_minor
    return {
        "refunded_minor": refunded,
        "refunds_open": _T.refunds_open - 1,
        "status": case((is_whole, Status.REVERSED.name), else_=_T.status),
    }


# Plain values, and counts by a constant: so the changes of many payments are one statement.
_CHANGES: Final[Mapping[type, Callable[[Any], dict[str, object]]]] = {
    life.FundsHeld: lambda _: {},
    life.EnteredWindow: lambda e: {"entered_window_id": e.window_id, "steps_open": 0},
    life.PullRequested: lambda _: {"steps_open": 0},
    life.PullConfirmed: lambda e: {
        "is_in_doubt": False,
        "bank_reference": e.bank_reference,
        "steps_open": 1,
    },
    life.Completed: lambda e: {
        "status": Status.SUCCEEDED.name,
        "failure_reason": "",
        "failure_description": "",
        "entered_window_id": e.window_id,
        "steps_open": 0,
    },
    life.Paid: lambda e: {
        "status": Status.SUCCEEDED.name,
        "is_in_doubt": False,
        "bank_reference": e.bank_reference,
    },
    life.Settled: lambda e: {"settlement_id": e.settlement_id},
    life.Doubted: lambda _: {"is_in_doubt": True},
    life.Carried: lambda e: {
        "carried_window_id": e.to_window_id,
        "times_carried": Added(1),
    },
    life.RefusedByBank: lambda _: {"is_in_doubt": False, "returns_open": 1},
    life.Failed: _failed,
    life.Stuck: lambda e: {
        "status": Status.NEEDS_ACTION.name,
        "failure_reason": e.reason,
        "failure_description": e.description,
    },
    life.CancelRequested: lambda _: {},
    life.Cancelled: lambda _: {"status": Status.CANCELLED.name, "steps_open": 0},
    life.RefundReserved: lambda _: {"refunds_open": Added(1)},
    life.RefundCompleted: _refunded,
    life.RefundGivenUp: lambda _: {"refunds_open": Added(-1)},
}

# Nothing is counted by them: these changes go to the database as they are.
_OF_PLAIN_VALUES: Final = frozenset(_CHANGES) - {
    life.Carried,
    life.RefundReserved,
    life.RefundCompleted,
    life.RefundGivenUp,
}

model = ReadModel("payments", 1, "payments", (PREFIX,), metadata, project)


# ---- queries


@dataclass(frozen=True, slots=True)
class Seen:
    """A row as a view, with the revision it was made at and its place in the order of requests."""

    view: View
    revision: int
    request_position: int


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for; empty or None: all."""

    caller: str = ""
    account_id: str = ""
    status: Status | None = None
    settlement: Settlement | None = None


def find(connection: Connection, payment_id: str) -> Seen | None:
    row = connection.execute(select(payments).where(_T.payment_id == payment_id)).first()
    return None if row is None else _seen(row)


def page(connection: Connection, wanted: Filter, after: int, size: int) -> Sequence[Seen]:
    """Oldest first, those requested after a position."""
    query = (
        select(payments)
        .where(_T.request_position > after, *_conditions(wanted))
        .order_by(_T.request_position)
        .limit(size)
    )
    return [_seen(row) for row in connection.execute(query)]


def open_ids(connection: Connection) -> Sequence[str]:
    """Payments whose process has something to do, oldest first."""
    query = select(_T.payment_id).where(_IS_OPEN).order_by(_T.request_position).limit(OPEN_MAX)
    return list(connection.execute(query).scalars())


def _conditions(wanted: Filter) -> Iterator[ColumnElement[bool]]:
    if wanted.caller:
        yield _T.caller == wanted.caller
    if wanted.account_id:
        yield or_(
            _T.payer_account_id == wanted.account_id, _T.payee_account_id == wanted.account_id
        )
    if wanted.status is not None:
        yield _T.status == wanted.status.name
    came_to_nothing = _T.status.in_((Status.FAILED.name, Status.CANCELLED.name))
    has_window = or_(_T.entered_window_id != "", _T.carried_window_id != "")
    match wanted.settlement:
        case Settlement.SETTLED:
            yield and_(_T.settlement_id != "", ~came_to_nothing)
        case Settlement.IN_WINDOW:
            yield and_(_T.settlement_id == "", has_window, ~came_to_nothing)
        case Settlement.NONE:
            yield or_(came_to_nothing, and_(_T.settlement_id == "", ~has_window))


def _seen(row: Row[Any]) -> Seen:
    status = Status[row.status]
    window_id = row.carried_window_id or row.entered_window_id
    view = View(
        row.payment_id,
        Terms(Money(row.currency_code, row.amount_minor), _kind(row), row.note),
        row.caller,
        status,
        settlement_of(status, window_id, row.settlement_id),
        row.failure_reason,
        row.failure_description,
        row.is_in_doubt,
        window_id,
        row.times_carried,
        row.settlement_id,
        row.refunded_minor,
        row.request_ms,
        row.change_us,
    )
    return Seen(view, row.revision, row.request_position)


def _kind(row: Row[Any]) -> Kind:
    match row.kind:
        case "top_up":
            return TopUp(row.payee_account_id, row.bank_id, row.bank_account)
        case "payout":
            return Payout(row.payer_account_id, row.bank_id, row.bank_account, row.payee_name)
        case "transfer":
            return WalletTransfer(row.payer_account_id, row.payee_account_id)
        case "merchant_payment":
            return MerchantPayment(row.payer_account_id, row.payee_account_id, row.fee_minor)
        case "refund":
            return Refund(row.original_payment_id)
    raise AssertionError(f"{row.kind} is no kind of payment")
