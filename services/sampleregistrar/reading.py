"""What the books say altogether, for whoever holds them against the distributor's."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from sqlalchemy import Connection, func, select

from libs.registrar_files import DONE, ConfirmationRow
from services.sampleregistrar import books
from services.sampleregistrar.domain.answers import BUYING, CONFIRMED_AS, SELLING
from services.sampleregistrar.rows import confirmation_of, dividend_of
from services.sampleregistrar.schema import (
    accounts,
    faults,
    orders,
    packages_in,
    packages_out,
    positions,
    prices,
    rows,
)

_BOUGHT = frozenset(CONFIRMED_AS[code] for code in BUYING)
_SOLD = frozenset({*(CONFIRMED_AS[code] for code in SELLING), "142"})


# A message's fields, by the names of the contract.
Fields: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Books:
    """Everything, by the names of the contract."""

    funds: list[Fields]
    days: list[Fields]
    counts: dict[str, int]
    faults: dict[str, int]
    last_trade_date: str


def read_books(connection: Connection, from_date: str) -> Books:
    """The books as they are; cash of the days from a date on."""
    return Books(
        _funds(connection),
        _days(connection, from_date),
        _counts(connection),
        _faults(connection),
        books.last_day(connection),
    )


def shares_page(
    connection: Connection, fund: str, after: str, size: int
) -> tuple[list[Fields], str]:
    """Accounts of a fund after one, and the token of the next page."""
    joined = positions.join(accounts, accounts.c.transaction_account_id == positions.c.account)
    found = connection.execute(
        select(
            positions.c.account, accounts.c.ta_account_id, positions.c.shares, positions.c.bucket
        )
        .select_from(joined)
        .where((positions.c.fund == fund) & (positions.c.account > after))
        .order_by(positions.c.account)
        .limit(size + 1)
    ).all()
    page: list[Fields] = [
        {
            "transaction_account_id": row.account,
            "ta_account_id": row.ta_account_id,
            "shares": row.shares,
            "income_carried": row.bucket,
        }
        for row in found[:size]
    ]
    return page, found[size - 1].account if len(found) > size else ""


def _funds(connection: Connection) -> list[Fields]:
    held = {
        row.fund: row
        for row in connection.execute(
            select(
                positions.c.fund,
                func.sum(positions.c.shares).label("shares"),
                func.sum(positions.c.frozen).label("frozen"),
                func.count().label("accounts"),
            ).group_by(positions.c.fund)
        )
    }
    newest = select(prices.c.fund, func.max(prices.c.trade_date)).group_by(prices.c.fund)
    dates = {row[0]: row[1] for row in connection.execute(newest)}
    found: list[Fields] = []
    for code in sorted(books.funds_of(connection)):
        row, day = held.get(code), dates.get(code, "")
        nav = connection.execute(
            select(prices.c.nav).where((prices.c.fund == code) & (prices.c.trade_date == day))
        ).scalar_one_or_none()
        found.append(
            {
                "fund_code": code,
                "shares": row.shares if row else 0,
                "frozen_shares": row.frozen if row else 0,
                "accounts": row.accounts if row else 0,
                "nav": nav or 0,
                "nav_date": day,
            }
        )
    return found


def _days(connection: Connection, from_date: str) -> list[Fields]:
    """What is due between the distributor and us, by day and currency."""
    sums: dict[tuple[str, str], dict[str, int]] = {}
    found = connection.execute(
        select(rows.c.trade_date, rows.c.file_type, rows.c.row)
        .where(rows.c.trade_date >= from_date)
        .order_by(rows.c.trade_date)
    )
    for day, file_type, text in found:
        if file_type == "04":
            row = confirmation_of(text)
            currency, parts = row.currency_type, _cash_of(row)
        else:
            paid = dividend_of(text)
            currency, parts = paid.currency_type, {"dividends_minor": paid.confirmed_amount}
        day_sums = sums.setdefault((day, currency), {})
        for name, minor in parts.items():
            day_sums[name] = day_sums.get(name, 0) + minor
    return [
        {"trade_date": day, "currency_code": currency, **parts}
        for (day, currency), parts in sorted(sums.items())
    ]


def _cash_of(row: ConfirmationRow) -> dict[str, int]:
    if row.return_code != DONE:
        return {}
    fees = {"agency_fees_minor": row.agency_fee}
    if row.business_code in _BOUGHT:
        return {**fees, "subscribed_minor": row.confirmed_amount}
    if row.business_code in _SOLD:
        redemption = {"redeemed_minor": row.confirmed_amount, "redemption_fees_minor": row.charge}
        return {**fees, **redemption}
    return {**fees, "redemption_fees_minor": row.charge}


def _counts(connection: Connection) -> dict[str, int]:
    def count(of: object, *where: object) -> int:
        statement = select(func.count()).select_from(of)  # type: ignore[arg-type]
        return connection.execute(statement.where(*where)).scalar_one()  # type: ignore[arg-type]

    return {
        "orders": count(orders),
        "rows_confirmed": count(rows),
        "packages_received": count(packages_in),
        "packages_issued": count(packages_out),
        "packages_refused": count(packages_out, packages_out.c.is_refused == 1),
        "packages_waiting": count(packages_out, packages_out.c.copies > 0),
    }


def _faults(connection: Connection) -> dict[str, int]:
    done = select(faults.c.fault, func.count()).where(faults.c.happened == 1)
    return {row[0]: row[1] for row in connection.execute(done.group_by(faults.c.fault))}
