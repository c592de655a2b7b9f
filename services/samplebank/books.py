"""The bank's own books: rows to values and back, and what is asked of them."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, update

from libs.money import Money
from libs.telemetry import get_logger
from services.samplebank.domain.behaviours import Behaviour
from services.samplebank.domain.half import Movement
from services.samplebank.domain.orders import DONE, Account, Order
from services.samplebank.schema import account_table, lines, movements, orders, script

IN_MAX = 500
FOLLOWS = "follows "
log = get_logger()


def account_of(connection: Connection, terms: Account) -> Account:
    """The wallet's account as it stands; opened where it is not there yet."""
    row = connection.execute(select(account_table)).mappings().one_or_none()
    if row is None:
        connection.execute(insert(account_table).values(id=1, balance_minor=0, ended_date=""))
        return terms
    return Account(
        terms.bank_id,
        terms.number,
        terms.currency,
        terms.credit_line_minor,
        row["balance_minor"],
        row["ended_date"],
    )


def orders_of(connection: Connection, uetrs: Sequence[UUID]) -> dict[UUID, Order]:
    """The orders known under these keys."""
    found: dict[UUID, Order] = {}
    for part in parts(uetrs):
        rows = connection.execute(select(orders).where(orders.c.uetr.in_(part))).mappings()
        found.update({UUID(row["uetr"]): _order(row) for row in rows})
    return found


def add_orders(connection: Connection, added: Sequence[Order], balance_minor: int) -> None:
    """Writes decided orders, the lines of those that were executed, and the bank's half of them."""
    if not added:
        return
    connection.execute(insert(orders), [_order_row(order) for order in added])
    done = [order for order in added if order.status == DONE]
    if done:
        connection.execute(insert(lines), [_line_row(order) for order in done])
    connection.execute(update(account_table).values(balance_minor=balance_minor))
    pulled = [order for order in done if order.favour == "C"]
    if pulled:
        connection.execute(insert(movements), [_movement_row_of(order) for order in pulled])
    paid = [order for order in done if order.favour == "D"]
    if paid:
        connection.execute(
            update(movements)
            .where(movements.c.uetr == bindparam("key"))
            .values(executed_ms=bindparam("at_ms")),
            [{"key": str(order.uetr), "at_ms": order.decided_ms} for order in paid],
        )


def movements_of(connection: Connection, uetrs: Sequence[UUID]) -> dict[UUID, Movement]:
    """The bank's half, as far as it knows these keys."""
    found: dict[UUID, Movement] = {}
    for part in parts(uetrs):
        rows = connection.execute(select(movements).where(movements.c.uetr.in_(part))).mappings()
        found.update({UUID(row["uetr"]): _movement(row) for row in rows})
    return found


def occurred(connection: Connection, behaviour: Behaviour, subject: str) -> bool:
    """Writes down that a behaviour occurs with this subject; False if it had before."""
    where = (script.c.behaviour == behaviour.value) & (script.c.subject == subject)
    if connection.execute(select(script.c.subject).where(where)).first() is not None:
        return False
    connection.execute(insert(script).values(behaviour=behaviour.value, subject=subject))
    log.info("behaviour_played", reason=behaviour.value, message_id=subject)
    return True


def times(connection: Connection, behaviour: Behaviour) -> int:
    """How often a behaviour has occurred; what followed from an occurrence is no other one."""
    is_counted = (script.c.behaviour == behaviour.value) & ~script.c.subject.startswith(FOLLOWS)
    count = select(func.count()).select_from(script).where(is_counted)
    return connection.execute(count).scalar_one()


def parts(uetrs: Sequence[UUID]) -> Iterable[list[str]]:
    texts = [str(uetr) for uetr in uetrs]
    return (texts[at : at + IN_MAX] for at in range(0, len(texts), IN_MAX))


def _order(row: RowMapping) -> Order:
    return Order(
        uetr=UUID(row["uetr"]),
        kind=row["kind"],
        end_to_end_id=row["end_to_end_id"],
        instruction_id=row["instruction_id"],
        amount=Money(row["currency"], row["amount_minor"]),
        bank_account=row["bank_account"],
        message_id=row["message_id"],
        status=row["status"],
        reason=row["reason"],
        bank_reference=row["bank_reference"],
        value_date=row["value_date"],
        decided_ms=row["decided_ms"],
        confirmed_ms=row["confirmed_ms"],
    )


def _order_row(order: Order) -> dict[str, object]:
    return {
        "uetr": str(order.uetr),
        "kind": order.kind,
        "end_to_end_id": order.end_to_end_id,
        "instruction_id": order.instruction_id,
        "currency": order.amount.currency,
        "amount_minor": order.amount.minor,
        "bank_account": order.bank_account,
        "message_id": order.message_id,
        "status": order.status,
        "reason": order.reason,
        "bank_reference": order.bank_reference,
        "value_date": order.value_date,
        "decided_ms": order.decided_ms,
        "confirmed_ms": order.confirmed_ms,
    }


def _line_row(order: Order) -> dict[str, object]:
    return {
        "uetr": str(order.uetr),
        "end_to_end_id": order.end_to_end_id,
        "favour": order.favour,
        "amount_minor": order.amount.minor,
        "value_date": order.value_date,
        "bank_reference": order.bank_reference,
        "statement_number": 0,
    }


def _movement_row_of(order: Order) -> dict[str, object]:
    movement = Movement(
        order.uetr, order.end_to_end_id, order.favour, order.amount.currency, order.amount.minor
    )
    return {**movement_row(movement), "executed_ms": order.decided_ms}


def movement_row(movement: Movement) -> dict[str, object]:
    """A movement as it is written down before anything happened with it."""
    return {
        "uetr": str(movement.uetr),
        "end_to_end_id": movement.end_to_end_id,
        "favour": movement.favour,
        "currency": movement.currency,
        "amount_minor": movement.amount_minor,
        "is_wrong": movement.is_wrong,
        "is_disputed": movement.is_disputed,
        "executed_ms": 0,
        "settlement_id": "",
    }


def _movement(row: RowMapping) -> Movement:
    return Movement(
        UUID(row["uetr"]),
        row["end_to_end_id"],
        row["favour"],
        row["currency"],
        row["amount_minor"],
        row["is_wrong"],
        row["is_disputed"],
    )


def uuid_of(text: str) -> UUID:
    """A key as it is kept."""
    return UUID(text)
