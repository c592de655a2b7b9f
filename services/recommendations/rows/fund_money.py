"""What orders of funds took from wallets, gave back and cost, and which are under way, as rows."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Index, MetaData, Table, Text

from libs.event_store import StoredEvent
from libs.read_model import Patch, Put, Write

# Of everything that is heard of funds.
metadata = MetaData()

owners = Table(
    "heard_order_owners",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("investor_id", Text, nullable=False),
    # The fund it is of: its money is in the currency of that fund.
    Column("code", Text, nullable=False),
    # What it takes from the wallet once it is funded; 0 where another order pays for it.
    Column("amount_minor", BigInteger, nullable=False),
    # Of the event that says the money was taken; null before.
    Column("funded_id", Text),
    Column("funded_us", BigInteger),
    Column("funded_position", BigInteger),
    # It moves shares or money that have not all moved yet.
    Column("is_under_way", Boolean, nullable=False),
)
Index("heard_orders_of_owner", owners.c.investor_id, owners.c.is_under_way)
moved = Table(
    "heard_order_money",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    # What came into the wallet; below 0: what was taken back.
    Column("wallet_minor", BigInteger, nullable=False),
    # Of a confirmation: the money that it moved, and the fees in it.
    Column("confirmed_minor", BigInteger, nullable=False),
    Column("fee_minor", BigInteger, nullable=False),
    Column("recorded_us", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
)
Index("heard_money_of_order", moved.c.order_id, moved.c.position)

ORDER: Final = "fund_order-"
_TRADES: Final = ("subscription", "redemption", "switching", "fast_redemption")
_KINDS: Final = (*_TRADES, "dividend_mode_change", "registrar_movement")
_FEES: Final = ("fee_minor", "back_end_minor", "recuperate_fee_minor")


def owner(body: Mapping[str, Any]) -> Write:
    """Whose order it is, from the event that says it was placed."""
    terms = body.get("terms", {})
    is_paid_for = bool(terms.get("switch_id"))
    amount = terms.get("subscription", {}).get("amount", {})
    return Put(
        owners,
        {
            "order_id": body.get("order_id", ""),
            "investor_id": terms.get("investor_id", ""),
            "code": next((terms[kind]["fund_code"] for kind in _KINDS if kind in terms), ""),
            "amount_minor": 0 if is_paid_for else int(amount.get("minor_units", 0)),
            "is_under_way": any(kind in terms for kind in _TRADES),
        },
    )


def _funded(stored: StoredEvent, _: Mapping[str, Any]) -> Iterator[Write]:
    values = {
        "funded_id": str(stored.id),
        "funded_us": stored.recorded_us,
        "funded_position": stored.position,
    }
    yield Patch(owners, {"order_id": stored.stream.removeprefix(ORDER)}, values)


def _goes(*, on: bool) -> Callable[[StoredEvent, Mapping[str, Any]], Iterator[Write]]:
    """Whether shares or money of it are still to move, from this event on."""

    def told(stored: StoredEvent, _: Mapping[str, Any]) -> Iterator[Write]:
        order_id = stored.stream.removeprefix(ORDER)
        yield Patch(owners, {"order_id": order_id}, {"is_under_way": on})

    return told


def _given(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    """An advance that was paid out, or what no registrar took."""
    yield from _moved(stored, wallet_minor=int(body.get("amount_minor", 0)))


def _paid(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    """Proceeds. Without a posting they went to the bank that had advanced them, or into a fund."""
    if int(body.get("journal_position", 0)):
        yield from _given(stored, body)


def _confirmed(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    told = body.get("confirmation", {})
    yield from _moved(stored, confirmed_minor=_amount(told), fee_minor=_fee(told))


def _amended(stored: StoredEvent, body: Mapping[str, Any]) -> Iterator[Write]:
    """By how much it is another one now."""
    before, after = body.get("before", {}), body.get("after", {})
    yield from _moved(
        stored,
        confirmed_minor=_amount(after) - _amount(before),
        fee_minor=_fee(after) - _fee(before),
    )
    yield from _GOES_ON(stored, body)


def _amount(told: Mapping[str, Any]) -> int:
    return int(told.get("amount_minor", 0))


def _fee(told: Mapping[str, Any]) -> int:
    return sum(int(told.get(name, 0)) for name in _FEES)


def _moved(
    stored: StoredEvent, wallet_minor: int = 0, confirmed_minor: int = 0, fee_minor: int = 0
) -> Iterator[Write]:
    if wallet_minor or confirmed_minor or fee_minor:
        row = {
            "event_id": str(stored.id),
            "order_id": stored.stream.removeprefix(ORDER),
            "wallet_minor": wallet_minor,
            "confirmed_minor": confirmed_minor,
            "fee_minor": fee_minor,
            "recorded_us": stored.recorded_us,
            "position": stored.position,
        }
        yield Put(moved, row)


_GOES_ON: Final = _goes(on=True)
_IS_OVER: Final = _goes(on=False)

TOLD: Final[Mapping[str, Callable[[StoredEvent, Mapping[str, Any]], Iterator[Write]]]] = {
    "FundOrderFunded": _funded,
    "FundOrderAdvancePaid": _given,
    "FundOrderReturned": _given,
    "FundOrderPartPaid": _paid,
    "FundOrderConfirmed": _confirmed,
    "FundOrderPartlyConfirmed": _confirmed,
    "FundOrderConfirmationAmended": _amended,
    # What pays back a bank's advance is with the registrar once more.
    "FundOrderOfferedAgain": _GOES_ON,
    **dict.fromkeys(
        (
            *("FundOrderSettled", "FundOrderCancelled"),
            *("FundOrderFundingFailed", "FundOrderRefused"),
        ),
        _IS_OVER,
    ),
}
