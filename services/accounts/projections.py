"""The read model of the journal: accounts, entries, and which entry touched which account."""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    and_,
    select,
    tuple_,
)

from libs.event_store import StoredEvent
from libs.read_model import Patch, Put, ReadModel, Write
from services.accounts.codec.pages import PAGE_TYPE, decode_rows
from services.accounts.domain.book import Account, Freeze, Place
from services.accounts.domain.entries import (
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    BalanceAfter,
    Entry,
    Page,
    TransferPosted,
    WindowClosed,
    WindowOpened,
    WindowSealed,
)
from services.accounts.domain.kinds import Kind

metadata = MetaData()
accounts = Table(
    "accounts",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("owner", String(80), nullable=False),
    Column("kind", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("account_seq", BigInteger, nullable=False),
    Column("posted_minor", BigInteger, nullable=False),
    Column("held_minor", BigInteger, nullable=False),
    Column("incoming_minor", BigInteger, nullable=False),
    Column("is_closed", Boolean, nullable=False),
    Index("accounts_by_owner", "owner"),
)
freezes = Table(
    "account_freezes",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("freeze_id", String(36), primary_key=True),
    Column("side", Integer, nullable=False),
    Column("purpose", String(80), nullable=False),
    Column("stop_captures", Boolean, nullable=False),
    Column("is_standing", Boolean, nullable=False),
)
entries = Table(
    "entries",
    metadata,
    Column("page_number", BigInteger, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("written_us", BigInteger, nullable=False),
    Column("fact", String(40), nullable=False),
    Column("caller", String(80), nullable=False),
    Column("command_id", String(36), nullable=False),
    Column("correlation_id", String(80), nullable=False),
    Column("window_id", String(36), nullable=False),
    Column("value_date", String(10), nullable=False),
    Column("business_date", String(10), nullable=False),
    # The entry's stored bytes: what is listed is what was written.
    Column("data", LargeBinary, nullable=False),
    Index("entries_by_correlation", "correlation_id", "page_number", "ordinal"),
    Index("entries_by_window", "window_id", "page_number", "ordinal"),
)
entry_accounts = Table(
    "entry_accounts",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("account_seq", BigInteger, primary_key=True),
    Column("page_number", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
)


def project(event: StoredEvent) -> Iterable[Write]:
    """The rows a page makes."""
    if event.type != PAGE_TYPE:
        return ()
    return _rows(*decode_rows(event.data))


ACCOUNTS_ENTRIES = ReadModel("accounts_entries", 1, "accounts", ("journal-",), metadata, project)


def _rows(page: Page, stored: Sequence[bytes]) -> Iterator[Write]:
    newest: dict[str, BalanceAfter] = {}
    for ordinal, (entry, data) in enumerate(zip(page.entries, stored, strict=True)):
        if not isinstance(entry.fact, TransferPosted):
            yield from _lifecycle(entry)
        yield _entry_row(page, ordinal, entry, data)
        for balance in entry.balances:
            newest[balance.account_id] = balance
            row = {
                "account_id": balance.account_id,
                "account_seq": balance.account_seq,
                "page_number": page.number,
                "ordinal": ordinal,
            }
            yield Put(entry_accounts, row)
    for account_id, seq, posted, held, incoming in newest.values():
        figures = {
            "account_seq": seq,
            "posted_minor": posted,
            "held_minor": held,
            "incoming_minor": incoming,
        }
        yield Patch(accounts, {"account_id": account_id}, figures)


def _entry_row(page: Page, ordinal: int, entry: Entry, data: bytes) -> Put:
    return Put(
        entries,
        {
            "page_number": page.number,
            "ordinal": ordinal,
            "written_us": page.written_us,
            "fact": type(entry.fact).__name__,
            "caller": entry.caller,
            "command_id": entry.command_id,
            "correlation_id": entry.correlation_id,
            "window_id": entry.obligation.window_id if entry.obligation else "",
            "value_date": entry.value_date,
            "business_date": entry.business_date,
            "data": data,
        },
    )


def _lifecycle(entry: Entry) -> Iterator[Write]:
    match entry.fact:
        case AccountOpened(account_id, owner, kind, currency, ordinal):
            yield _account_row(account_id, owner, kind, currency, ordinal)
        case WindowOpened(_, bank_id, currency, clearing, ordinal):
            yield _account_row(clearing, f"bank:{bank_id}", Kind.CLEARING, currency, ordinal)
        case WindowSealed() as sealed:
            yield _account_row(
                sealed.next_clearing_account_id,
                f"bank:{sealed.bank_id}",
                Kind.CLEARING,
                sealed.currency,
                sealed.next_ordinal,
            )
        case AccountClosed(account_id) | WindowClosed(_, account_id):
            yield Patch(accounts, {"account_id": account_id}, {"is_closed": True})
        case AccountFrozen(freeze_id, account_id, side, purpose, stops):
            row = {
                "account_id": account_id,
                "freeze_id": freeze_id,
                "side": side,
                "purpose": purpose,
                "stop_captures": stops,
                "is_standing": True,
            }
            yield Put(freezes, row)
        case AccountUnfrozen(freeze_id, account_id):
            key = {"account_id": account_id, "freeze_id": freeze_id}
            yield Patch(freezes, key, {"is_standing": False})


def _account_row(account_id: str, owner: str, kind: int, currency: str, ordinal: int) -> Put:
    return Put(
        accounts,
        {
            "account_id": account_id,
            "owner": owner,
            "kind": int(kind),
            "currency": currency,
            "ordinal": ordinal,
            "account_seq": 0,
            "posted_minor": 0,
            "held_minor": 0,
            "incoming_minor": 0,
            "is_closed": False,
        },
    )


def list_accounts(
    connection: Connection, owner: str, kind: int, after: str, limit: int
) -> list[Account]:
    """Accounts in the order of their ids, behind `after`."""
    query = select(accounts).where(accounts.c.account_id > after)
    if owner:
        query = query.where(accounts.c.owner == owner)
    if kind:
        query = query.where(accounts.c.kind == kind)
    found = connection.execute(query.order_by(accounts.c.account_id).limit(limit)).all()
    listed = [_account(row) for row in found]
    ids = [account.account_id for account in listed]
    standing = and_(freezes.c.account_id.in_(ids), freezes.c.is_standing)
    query = select(freezes).where(standing).order_by(freezes.c.freeze_id)
    by_id = {account.account_id: account for account in listed}
    for row in connection.execute(query):
        freeze = Freeze(row.freeze_id, row.side, row.purpose, row.stop_captures)
        by_id[row.account_id].freezes[row.freeze_id] = freeze
    return listed


def list_entries(
    connection: Connection, account_id: str, correlation_id: str, after: Place, limit: int
) -> Sequence[Row[int, int, int, bytes]]:
    """Page number, ordinal, time and stored bytes of entries in journal order, behind `after`."""
    query = select(entries.c.page_number, entries.c.ordinal, entries.c.written_us, entries.c.data)
    place = (entries.c.page_number, entries.c.ordinal)
    if account_id:
        place = (entry_accounts.c.page_number, entry_accounts.c.ordinal)
        touched = and_(
            entry_accounts.c.page_number == entries.c.page_number,
            entry_accounts.c.ordinal == entries.c.ordinal,
        )
        query = query.join(entry_accounts, touched)
        query = query.where(entry_accounts.c.account_id == account_id)
        order = [entry_accounts.c.account_seq]
    else:
        order = [entries.c.page_number, entries.c.ordinal]
    if correlation_id:
        query = query.where(entries.c.correlation_id == correlation_id)
    query = query.where(tuple_(*place) > tuple_(after.page_number, after.ordinal))
    return connection.execute(query.order_by(*order).limit(limit)).all()


def _account(row: Row[*tuple[object, ...]]) -> Account:
    account = Account(row.account_id, row.owner, Kind(row.kind), row.currency, row.ordinal)
    account.posted, account.held = row.posted_minor, row.held_minor
    account.incoming, account.seq = row.incoming_minor, row.account_seq
    account.is_closed = row.is_closed
    return account
