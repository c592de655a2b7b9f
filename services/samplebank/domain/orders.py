"""Orders of the wallet: pulls from the bank's customers and payouts to them, each executed once."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from libs.money import Money

DONE = "ACSC"
REFUSED = "RJCT"
PENDING = "PDNG"
NO_SUCH_ACCOUNT = "AC01"
NO_FUNDS = "AM04"
WRONG_CURRENCY = "AM03"
DUPLICATE = "DU03"
NOT_FOUND = "NOOR"
PULL = "PULL"
PAYOUT = "PAYOUT"


@dataclass(frozen=True, slots=True)
class Order:
    """One transaction as the bank keeps it. `confirmed_ms` is from when on the bank tells."""

    uetr: UUID
    kind: str
    end_to_end_id: str
    instruction_id: str
    amount: Money
    bank_account: str
    message_id: str
    status: str = DONE
    reason: str = ""
    bank_reference: str = ""
    value_date: str = ""
    decided_ms: int = 0
    confirmed_ms: int = 0

    @property
    def favour(self) -> str:
        """C where the wallet's account is credited, D where it is debited."""
        return "C" if self.kind == PULL else "D"

    @property
    def effect_minor(self) -> int:
        """What it does to the wallet's account."""
        if self.status != DONE:
            return 0
        return self.amount.minor if self.kind == PULL else -self.amount.minor


@dataclass(frozen=True, slots=True)
class Account:
    """The wallet's account. `credit_line_minor` is how far it may be overdrawn."""

    bank_id: str
    number: str
    currency: str
    credit_line_minor: int
    balance_minor: int = 0
    # The last business date that has ended; empty before the first.
    ended_date: str = ""


@dataclass(frozen=True, slots=True)
class Executed:
    """What the bank answers, in the order asked, and which of it is new in its books."""

    answered: tuple[Order, ...]
    added: tuple[Order, ...]
    balance_minor: int


def execute(
    asked: Sequence[Order],
    known: dict[UUID, Order],
    account: Account,
    knows: Callable[[str], bool],
    *,
    now_ms: int,
    confirmed_ms: int,
) -> Executed:
    """Decides each order once for ever: one seen before is answered with its first outcome."""
    answered, added, balance = [], [], account.balance_minor
    for order in asked:
        first = known.get(order.uetr)
        if first is not None:
            answered.append(first if _same(order, first) else _refused(order, DUPLICATE))
            continue
        reason = _objection(order, account, balance, knows)
        decided = replace(
            order,
            status=REFUSED if reason else DONE,
            reason=reason,
            bank_reference="" if reason else f"{account.bank_id}{order.uetr.hex[:16].upper()}",
            value_date="" if reason else max(order.value_date, account.ended_date),
            decided_ms=now_ms,
            confirmed_ms=now_ms if reason else confirmed_ms,
        )
        balance += decided.effect_minor
        answered.append(decided)
        added.append(decided)
    return Executed(tuple(answered), tuple(added), balance)


def not_found(uetr: UUID, end_to_end_id: str) -> Order:
    """The answer about an order that the bank does not find."""
    nothing = Money("XXX", 0)
    return Order(uetr, "", end_to_end_id, "", nothing, "", "", status=REFUSED, reason=NOT_FOUND)


def foreign(order: Order) -> Order:
    """The order under references that are nobody's."""
    seed = hashlib.sha256(b"foreign" + order.uetr.bytes).digest()
    return replace(order, uetr=UUID(bytes=seed[:16], version=4), end_to_end_id=seed[16:].hex())


def told(order: Order, now_ms: int) -> Order:
    """The order as the bank tells of it now."""
    if order.status == DONE and now_ms < order.confirmed_ms:
        return replace(order, status=PENDING, bank_reference="", value_date="")
    return order


def _objection(
    order: Order, account: Account, balance_minor: int, knows: Callable[[str], bool]
) -> str:
    if order.amount.currency != account.currency:
        return WRONG_CURRENCY
    if order.kind == PULL:
        return ""
    if not knows(order.bank_account):
        return NO_SUCH_ACCOUNT
    if balance_minor - order.amount.minor < -account.credit_line_minor:
        return NO_FUNDS
    return ""


def _same(order: Order, first: Order) -> bool:
    return (order.kind, order.amount, order.bank_account, order.end_to_end_id) == (
        first.kind,
        first.amount,
        first.bank_account,
        first.end_to_end_id,
    )


def _refused(order: Order, reason: str) -> Order:
    return replace(order, status=REFUSED, reason=reason, bank_reference="", value_date="")
