"""What payments tell, as rows: money that came into a wallet or left it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Column, Index, MetaData, Table, Text

from libs.event_store import StoredEvent
from libs.read_model import PatchRows, Put, ReadModel, Write

_PACKAGE: Final = "hefu.payments.v1."
metadata = MetaData()

cash = Table(
    "heard_cash",
    metadata,
    Column("payment_id", Text, primary_key=True),
    # Empty: not a wallet of ours.
    Column("payer_account_id", Text, nullable=False),
    Column("payee_account_id", Text, nullable=False),
    Column("currency_code", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    # Of the event that says the money moved; null before.
    Column("event_id", Text),
    Column("recorded_us", BigInteger),
    Column("position", BigInteger),
)
Index("heard_cash_of_payer", cash.c.payer_account_id)
Index("heard_cash_of_payee", cash.c.payee_account_id)

# Parts of payments that went back to the payer.
refunds = Table(
    "heard_refunds",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("payment_id", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("heard_refunds_of_payment", refunds.c.payment_id)

# Payer's and payee's wallet field of each kind of payment.
_SIDES: Final[Mapping[str, tuple[str, str]]] = {
    "top_up": ("", "wallet_account_id"),
    "payout": ("wallet_account_id", ""),
    "transfer": ("payer_account_id", "payee_account_id"),
    "merchant_payment": ("payer_account_id", "merchant_account_id"),
}
_MOVED: Final = frozenset({"PaymentCompleted", "PaymentPaid"})


def project(stored: StoredEvent) -> Iterator[Write]:
    name = stored.type.removeprefix(_PACKAGE)
    if name == "PaymentRequested":
        yield from _requested(orjson.loads(stored.data))
    elif name in _MOVED:
        payment_id = stored.stream.removeprefix("payment-")
        told = (str(stored.id), stored.recorded_us, stored.position)
        yield PatchRows(cash, ("event_id", "recorded_us", "position"), [(*told, payment_id)])
    elif name == "PaymentRefundCompleted":
        row = {
            "event_id": str(stored.id),
            "payment_id": stored.stream.removeprefix("payment-"),
            "amount_minor": int(orjson.loads(stored.data).get("amount_minor", 0)),
            "recorded_us": stored.recorded_us,
            "position": stored.position,
        }
        yield Put(refunds, row)


def _requested(body: Mapping[str, Any]) -> Iterator[Write]:
    terms = body["terms"]
    for kind, (payer, payee) in _SIDES.items():
        if kind in terms:
            yield Put(
                cash,
                {
                    "payment_id": body["payment_id"],
                    "payer_account_id": terms[kind].get(payer, "") if payer else "",
                    "payee_account_id": terms[kind].get(payee, "") if payee else "",
                    "currency_code": terms["amount"]["currency_code"],
                    "amount_minor": int(terms["amount"].get("minor_units", 0)),
                },
            )


model = ReadModel("heard_payments", 2, "payments", ("payment-",), metadata, project)
