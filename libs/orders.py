"""Files of payment orders, read strictly, with every fault named by line and field."""

import csv
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

from libs.ids import named_id
from libs.money import MINOR_MAX, AmountMalformed, parse_major

HEADER = ("order_id", "account_id", "bank_to", "account_to", "amount", "k_symbol")
FILE_BYTES_MAX = 64 * 1024 * 1024
# What every customer keeps in the wallet after the day, in minor units: 100.00.
KEPT_MINOR = 10_000
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Z0-9]{1,34}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Order:
    """An account's instruction to pay an account at a bank; the amount is in minor units."""

    order_id: str
    account_id: str
    bank_to: str
    account_to: str
    amount_minor: int
    symbol: str


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with a line of the file; lines count from 1, the header is line 1."""

    line: int
    field: str
    reason: str

    def __str__(self) -> str:
        """One sentence for people."""
        return f"line {self.line}: {self.field}: {self.reason}"


@dataclass(frozen=True, slots=True)
class OrdersFile:
    """A file as read: the valid orders in file order, and every fault."""

    orders: tuple[Order, ...]
    faults: tuple[LineFault, ...]

    @property
    def banks(self) -> tuple[str, ...]:
        """The banks the orders go to, sorted."""
        return tuple(sorted({order.bank_to for order in self.orders}))

    @property
    def accounts(self) -> dict[str, tuple[Order, ...]]:
        """Orders by account, accounts in file order."""
        found: dict[str, list[Order]] = {}
        for order in self.orders:
            found.setdefault(order.account_id, []).append(order)
        return {account: tuple(orders) for account, orders in found.items()}


def read_orders(path: Path, currency: str, known_banks: Iterable[str]) -> OrdersFile:
    """Read a file whole; faults are in the answer. Raises `OSError` where it can't be read."""
    if path.stat().st_size > FILE_BYTES_MAX:
        return OrdersFile((), (LineFault(0, "file", f"larger than {FILE_BYTES_MAX} bytes"),))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return OrdersFile((), (LineFault(0, "file", f"byte {error.start} is not UTF-8"),))
    return parse_orders(text.splitlines(), currency, frozenset(known_banks))


def parse_orders(lines: Sequence[str], currency: str, banks: frozenset[str]) -> OrdersFile:
    """Parse lines, header first. A repeated line is the same order; other terms are a fault."""
    rows = csv.reader(lines, delimiter=";", quotechar='"', strict=True)
    orders: dict[str, Order] = {}
    faults: list[LineFault] = []
    try:
        if tuple(next(rows, ())) != HEADER:
            return OrdersFile((), (LineFault(1, "header", f"must be {';'.join(HEADER)}"),))
        for row in rows:
            if not row:
                continue
            found = _order(rows.line_num, row, currency, banks)
            if isinstance(found, LineFault):
                faults.append(found)
            elif (earlier := orders.setdefault(found.order_id, found)) != found:
                faults.append(_reused(rows.line_num, earlier, found))
    except csv.Error as error:
        faults.append(LineFault(rows.line_num, "line", f"quoting is broken: {error}"))
    return OrdersFile(tuple(orders.values()), tuple(faults))


def _order(
    line: int, row: Sequence[str], currency: str, banks: frozenset[str]
) -> Order | LineFault:
    if len(row) != len(HEADER):
        absent = HEADER[len(row)] if len(row) < len(HEADER) else "line"
        return LineFault(line, absent, f"{len(HEADER)} fields are needed, {len(row)} are there")
    order_id, account_id, bank_to, account_to, amount, symbol = row
    for field, value in (("order_id", order_id), ("account_id", account_id)):
        if _NUMBER.fullmatch(value) is None:
            return LineFault(
                line, field, f"{value!r} is not a whole number" if value else "is missing"
            )
    if bank_to not in banks:
        return LineFault(line, "bank_to", f"unknown bank {bank_to!r}" if bank_to else "is missing")
    if _ACCOUNT.fullmatch(account_to) is None:
        reason = f"{account_to!r} is not an account number" if account_to else "is missing"
        return LineFault(line, "account_to", reason)
    try:
        minor = parse_major(amount, currency)
    except AmountMalformed as error:
        return LineFault(line, "amount", str(error) if amount else "is missing")
    if not 0 < minor <= MINOR_MAX:
        return LineFault(
            line, "amount", f"{amount} is not above zero" if minor <= 0 else "is too large"
        )
    return Order(order_id, account_id, bank_to, account_to, minor, symbol.strip())


def _reused(line: int, earlier: Order, later: Order) -> LineFault:
    fields = ("account_id", "bank_to", "account_to", "amount_minor", "symbol")
    differing = [name for name in fields if getattr(earlier, name) != getattr(later, name)]
    told = ", ".join(differing)
    return LineFault(
        line, "order_id", f"{later.order_id} was used before with other terms ({told})"
    )


def home_bank(account_id: str, banks: Sequence[str]) -> str:
    """Where an account is topped up from: its number's SHA-256 modulo the file's banks, sorted."""
    digest = hashlib.sha256(account_id.encode()).digest()
    return sorted(banks)[int.from_bytes(digest[:8], "big") % len(banks)]


def wallet_id(account_id: str, currency: str) -> UUID:
    """The wallet account of a file's account, for ever."""
    return named_id("wallet", currency, account_id)


def payment_id(order: Order, day: date) -> UUID:
    """The payment of an order on a business day: once a day, however often it is sent."""
    return named_id("order", day.isoformat(), order.order_id, at_ms=_midnight_ms(day))


def top_up_id(account_id: str, orders: Sequence[Order], day: date) -> UUID:
    """The top-up that covers an account's orders of a day."""
    covered = ",".join(f"{order.order_id}:{order.amount_minor}" for order in orders)
    return named_id("top_up", day.isoformat(), account_id, covered, at_ms=_midnight_ms(day))


def top_up_minor(orders: Sequence[Order]) -> int:
    """What an account needs: the sum of its orders, and what it keeps."""
    return sum(order.amount_minor for order in orders) + KEPT_MINOR


def load_banks(path: Path) -> Mapping[str, str]:
    """Legal names of the banks we know, by bank id."""
    with path.open(newline="", encoding="utf-8") as file:
        return {row["bank_id"]: row["legal_name"] for row in csv.DictReader(file, delimiter=";")}


def _midnight_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
