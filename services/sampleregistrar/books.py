"""The registrar's own books: what is read of them and written into them."""

from collections.abc import Iterable, Sequence
from datetime import date

from sqlalchemy import Connection, RowMapping, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from libs.fund_arithmetic import InvestorKind
from libs.registrar_files import DividendRow
from services.sampleregistrar.domain.answers import Decided, Request
from services.sampleregistrar.domain.faults import Fault, Planned
from services.sampleregistrar.domain.fund import Fund
from services.sampleregistrar.domain.register import Position, Register
from services.sampleregistrar.intake import WAITING
from services.sampleregistrar.rows import (
    confirmation_of,
    dividend_of,
    fund_of_text,
    fund_text,
    lots_of,
    lots_text,
    order_of,
    position_of,
    position_row,
    row_text,
)
from services.sampleregistrar.schema import (
    account_requests,
    accounts,
    days,
    faults,
    funds,
    orders,
    positions,
    prices,
    rows,
)

ANSWERED = "ANSWERED"
ROLLED_OVER = "ROLLED_OVER"


def put_funds(connection: Connection, told: Iterable[Fund]) -> None:
    """Funds as they are from now on."""
    for fund in told:
        values = {"code": fund.code, "terms": fund_text(fund)}
        statement = upsert(funds).values(values)
        connection.execute(statement.on_conflict_do_update(index_elements=["code"], set_=values))


def funds_of(connection: Connection) -> dict[str, Fund]:
    """Every fund by its code."""
    found = connection.execute(select(funds.c.code, funds.c.terms)).all()
    return {code: fund_of_text(terms) for code, terms in found}


def register_of(connection: Connection) -> Register:
    """The whole register."""
    found = connection.execute(select(positions)).mappings()
    return Register(position_of(row) for row in found)


def write_positions(connection: Connection, changed: Sequence[Position]) -> None:
    """Positions as they are from now on."""
    if not changed:
        return
    statement = upsert(positions)
    replaced = {
        name: statement.excluded[name] for name in ("shares", "bucket", "mode", "frozen", "lots")
    }
    connection.execute(
        statement.on_conflict_do_update(index_elements=["account", "fund"], set_=replaced),
        [position_row(position) for position in changed],
    )


def ta_accounts_of(connection: Connection) -> dict[str, str]:
    """Accounts here by the distributor's accounts."""
    found = connection.execute(select(accounts)).all()
    return {row.transaction_account_id: row.ta_account_id for row in found}


def requests_on(connection: Connection, trade_date: date) -> Sequence[RowMapping]:
    """Accounts asked for on a day, in the order of their serials."""
    mine = account_requests.c.trade_date == trade_date.isoformat()
    query = select(account_requests).where(mine).order_by(account_requests.c.serial)
    return connection.execute(query).mappings().all()


def waiting(connection: Connection, trade_date: date) -> list[Request]:
    """Orders to be decided on a day, rolled-over ones too."""
    found = connection.execute(
        select(orders.c.row, orders.c.shares)
        .where((orders.c.trade_date <= trade_date.isoformat()) & (orders.c.state != ANSWERED))
        .order_by(orders.c.serial)
    ).all()
    return [Request(order_of(row), shares) for row, shares in found]


def close_orders(connection: Connection, decided: Sequence[Decided], confirm: date) -> None:
    """Orders that were decided; what is left of them waits for the next day."""
    for each in decided:
        if each.row.from_ta_flag == "1":
            continue
        is_over = not each.left
        values = {
            "state": ANSWERED if is_over else ROLLED_OVER,
            "shares": each.left,
            "trade_date": each.row.transaction_date.isoformat() if is_over else confirm.isoformat(),
        }
        mine = orders.c.serial == each.row.app_sheet_serial_no
        connection.execute(update(orders).where(mine).values(values))


def add_rows(
    connection: Connection, decided: Sequence[Decided], paid: Sequence[DividendRow]
) -> None:
    """What the day's rows are, as they are right."""
    written = [
        {
            "ta_serial_no": each.row.ta_serial_no,
            "trade_date": each.row.transaction_date.isoformat(),
            "file_type": "04",
            "fund": each.row.fund_code,
            "row": row_text(each.row),
            "kind": each.kind.name,
            "taken": lots_text(each.taken),
            "is_spoiled": 0,
        }
        for each in decided
    ]
    written += [
        {
            "ta_serial_no": row.ta_serial_no,
            "trade_date": row.xr_date.isoformat(),
            "file_type": "06",
            "fund": row.fund_code,
            "row": row_text(row),
            "kind": InvestorKind.PERSON.name,
            "taken": "[]",
            "is_spoiled": 0,
        }
        for row in paid
    ]
    if written:
        connection.execute(insert(rows), written)


def confirmed_on(connection: Connection, trade_date: date, *, fund: str = "") -> list[Decided]:
    """Rows of 04 of a day; of switches into a fund too."""
    found = connection.execute(
        select(rows)
        .where((rows.c.trade_date == trade_date.isoformat()) & (rows.c.file_type == "04"))
        .order_by(rows.c.ta_serial_no)
    ).mappings()
    decided = [
        Decided(confirmation_of(each["row"]), InvestorKind[each["kind"]], lots_of(each["taken"]))
        for each in found
    ]
    return [e for e in decided if fund in ("", e.row.fund_code, e.row.code_of_target_fund)]


def paid_on(connection: Connection, trade_date: date) -> list[DividendRow]:
    """Rows of 06 of a day."""
    found = connection.execute(
        select(rows.c.row)
        .where((rows.c.trade_date == trade_date.isoformat()) & (rows.c.file_type == "06"))
        .order_by(rows.c.ta_serial_no)
    ).scalars()
    return [dividend_of(row) for row in found]


def rewrite(connection: Connection, ta_serial_no: str, row: str) -> None:
    """A row as it is right from now on."""
    mine = rows.c.ta_serial_no == ta_serial_no
    connection.execute(update(rows).where(mine).values(row=row))


def mark_spoiled(connection: Connection, serials: Sequence[str]) -> None:
    """Rows that were told wrong, or not at all."""
    mine = rows.c.ta_serial_no.in_(serials)
    connection.execute(update(rows).where(mine).values(is_spoiled=1))


def take_spoiled(connection: Connection, trade_date: date) -> set[str]:
    """Rows of a day that are still to be told right; from now on they are."""
    mine = (rows.c.trade_date == trade_date.isoformat()) & (rows.c.is_spoiled == 1)
    found = set(connection.execute(select(rows.c.ta_serial_no).where(mine)).scalars())
    connection.execute(update(rows).where(mine).values(is_spoiled=0))
    return found


def set_price(connection: Connection, fund: str, trade_date: date, nav: int, told: int) -> None:
    """A fund's price of a day, and what was told of it."""
    values = {"fund": fund, "trade_date": trade_date.isoformat(), "nav": nav, "told_nav": told}
    statement = upsert(prices).values(values)
    keys = ["fund", "trade_date"]
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values))


def price_of(connection: Connection, fund: str, trade_date: date) -> tuple[int, int] | None:
    """A fund's price of a day, and what was told of it."""
    mine = (prices.c.fund == fund) & (prices.c.trade_date == trade_date.isoformat())
    found = connection.execute(select(prices.c.nav, prices.c.told_nav).where(mine)).one_or_none()
    return None if found is None else (found.nav, found.told_nav)


def last_day(connection: Connection) -> str:
    """The last trade date that was decided; empty before the first."""
    return connection.execute(select(func.max(days.c.trade_date))).scalar_one() or ""


def plan_faults(connection: Connection, planned: Sequence[tuple[str, Planned]]) -> None:
    """What will go wrong on which date."""
    connection.execute(
        insert(faults),
        [
            {"trade_date": day, "fault": each.fault.value, "fund": each.fund, "happened": 0}
            for day, each in planned
        ],
    )


def planned_on(connection: Connection, trade_date: str) -> list[Planned]:
    """What is still to go wrong on a date."""
    mine = (faults.c.trade_date == trade_date) & (faults.c.happened == 0)
    found = connection.execute(select(faults).where(mine).order_by(faults.c.ordinal)).mappings()
    return [Planned(Fault(row["fault"]), row["fund"]) for row in found]


def happened(connection: Connection, trade_date: str, done: Iterable[Planned]) -> None:
    """Each of these has gone wrong."""
    for each in done:
        mine = (
            (faults.c.trade_date == trade_date)
            & (faults.c.fault == each.fault.value)
            & (faults.c.fund == each.fund)
        )
        connection.execute(update(faults).where(mine).values(happened=1))


__all__ = ["WAITING"]
