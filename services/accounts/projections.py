"""The read model of the journal: accounts, pages, entries, and what each did to which account."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
    Select,
    String,
    Table,
    and_,
    func,
    select,
    tuple_,
)

from libs.event_store import StoredEvent
from libs.read_model import Patch, PatchRows, Put, PutRows, ReadModel, Write
from libs.rows import Lot, make_rows
from services.accounts.codec.pages import PAGE_TYPE, shard_of_stream
from services.accounts.codec.rows import (
    Bounds,
    Change,
    Closed,
    Frozen,
    Opened,
    PageRows,
    Unfrozen,
    page_rows,
)
from services.accounts.domain.book import Account, Freeze, Place
from services.accounts.domain.kinds import Kind
from services.accounts.domain.sharding import page_of, position_of

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
    # Null: the kind's own floor; no ceiling.
    Column("floor_minor", BigInteger),
    Column("ceiling_minor", BigInteger),
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
# Numbers have no gaps; times and business dates rise with them, so that halving finds any of them.
pages = Table(
    "pages",
    metadata,
    Column("page_number", BigInteger, primary_key=True, autoincrement=False),
    Column("written_us", BigInteger, nullable=False),
    Column("business_date", String(10), nullable=False),
    Column("entries", Integer, nullable=False),
    Column("page_hash", LargeBinary, nullable=False),
    Column("entries_root", LargeBinary, nullable=False),
)
entries = Table(
    "entries",
    metadata,
    Column("page_number", BigInteger, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    # What entries are found by. All else that they tell is in their bytes, their time on the page.
    Column("correlation_id", String(80), nullable=False),
    Column("window_id", String(36), nullable=False),
    Column("business_date", String(10), nullable=False),
    # The entry's stored bytes: what is listed is what was written.
    Column("data", LargeBinary, nullable=False),
)
# Most entries are in no window, and many in no payment: those take no room in the index.
for _name, _column in (
    ("entries_by_correlation", entries.c.correlation_id),
    ("entries_by_window", entries.c.window_id),
):
    Index(
        _name,
        _column,
        entries.c.page_number,
        entries.c.ordinal,
        sqlite_where=_column != "",
        postgresql_where=_column != "",
    )
# Entries that, dated back, leave an account below its floor at the end of an earlier day: a report.
past_day_negatives = Table(
    "past_day_negatives",
    metadata,
    Column("page_number", BigInteger, primary_key=True),
    Column("ordinal", Integer, primary_key=True),
)
# What an entry did to an account, and the account's figures after it. Sequence numbers have no gaps
# per account; places and business dates rise with them.
entry_accounts = Table(
    "entry_accounts",
    metadata,
    Column("account_id", String(36), primary_key=True),
    Column("account_seq", BigInteger, primary_key=True),
    Column("page_number", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("value_date", String(10), nullable=False),
    Column("business_date", String(10), nullable=False),
    # Credits minus debits of the entry, whatever the account's normal side.
    Column("moved_minor", BigInteger, nullable=False),
    Column("posted_minor", BigInteger, nullable=False),
    Column("held_minor", BigInteger, nullable=False),
    Column("incoming_minor", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)


# What each entry changes of the accounts that it touches.
_FIGURES = ("account_seq", "posted_minor", "held_minor", "incoming_minor")


def project(event: StoredEvent) -> Iterable[Write]:
    """The rows a page makes."""
    if event.type != PAGE_TYPE:
        return ()
    # A shard's pages are numbered from its own base on; those of shard 0 are as they are.
    shard = shard_of_stream(event.stream)
    return _rows(page_rows(event.data, lambda number: position_of(shard, number)))


ACCOUNTS_ENTRIES = ReadModel("accounts_entries", 4, "accounts", ("journal-",), metadata, project)


def make_rows_apart(connection: Connection, lot: Lot) -> frozenset[str] | None:
    """`make_rows` of this model, by a name that another process finds it under."""
    return make_rows(connection, ACCOUNTS_ENTRIES, lot)


def _rows(found: PageRows) -> Iterator[Write]:
    page = found.page
    yield PutRows(pages, [page])
    for change in found.changes:
        yield _changed(change)
    yield PutRows(entries, found.entries)
    yield PutRows(past_day_negatives, [(page.number, each) for each in found.past_day_negatives])
    yield PutRows(entry_accounts, found.touched)
    newest = {each[0]: each for each in found.touched}
    # Sequence number, posted, held, incoming, and whose they are.
    figures = [(each[1], *each[7:], each[0]) for each in newest.values()]
    yield PatchRows(accounts, _FIGURES, figures)


def _changed(change: Change) -> Write:
    match change:
        case Opened(account_id, owner, kind, currency, ordinal, ceiling):
            row = {
                "account_id": account_id,
                "owner": owner,
                "kind": kind,
                "currency": currency,
                "ordinal": ordinal,
                "account_seq": 0,
                "posted_minor": 0,
                "held_minor": 0,
                "incoming_minor": 0,
                "is_closed": False,
                "ceiling_minor": ceiling,
            }
            return Put(accounts, row)
        case Closed(account_id, is_closed):
            return Patch(accounts, {"account_id": account_id}, {"is_closed": is_closed})
        case Bounds(account_id, floor, ceiling):
            bounds = {"floor_minor": floor, "ceiling_minor": ceiling}
            return Patch(accounts, {"account_id": account_id}, bounds)
        case Frozen(account_id, freeze_id, side, purpose, stop_captures):
            row = {
                "account_id": account_id,
                "freeze_id": freeze_id,
                "side": side,
                "purpose": purpose,
                "stop_captures": stop_captures,
                "is_standing": True,
            }
            return Put(freezes, row)
        case Unfrozen(account_id, freeze_id):
            key = {"account_id": account_id, "freeze_id": freeze_id}
            return Patch(freezes, key, {"is_standing": False})


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
        account = by_id[row.account_id]
        account.freezes = {**account.freezes, row.freeze_id: freeze}
    return listed


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries; what is empty asks for nothing. Dates are business dates, both included."""

    account_id: str = ""
    correlation_id: str = ""
    window_id: str = ""
    from_date: str = ""
    to_date: str = ""
    is_past_day_negative: bool = False


def list_entries(
    connection: Connection, wanted: EntryFilter, after: Place, limit: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Page number, ordinal, time and stored bytes of entries in journal order, behind `after`.

    A place is for ever, and new entries come behind all others: pages of a list stay as they are.
    """
    query = select(entries.c.page_number, entries.c.ordinal, pages.c.written_us, entries.c.data)
    query = query.join_from(entries, pages, pages.c.page_number == entries.c.page_number)
    for column, value in (
        (entries.c.correlation_id, wanted.correlation_id),
        (entries.c.window_id, wanted.window_id),
    ):
        if value:  # the second condition lets the database use the index
            query = query.where(column == value, column != "")
    if wanted.is_past_day_negative:
        flagged = past_day_negatives.c
        of_entry = (
            flagged.page_number == entries.c.page_number,
            flagged.ordinal == entries.c.ordinal,
        )
        query = query.join(past_day_negatives, and_(*of_entry))
    if wanted.account_id:
        query = _of_account(connection, query, wanted, after)
    else:
        query = _of_all(connection, query, wanted, after)
    return connection.execute(query.limit(limit)).all()


def _of_account(
    connection: Connection, query: Select[Any], wanted: EntryFilter, after: Place
) -> Select[Any]:
    account = AccountEntries(connection, wanted.account_id)
    first = account.first_after(after)
    if wanted.from_date:
        first = max(first, account.first_on(wanted.from_date))
    query = query.join(
        entry_accounts,
        and_(
            entry_accounts.c.page_number == entries.c.page_number,
            entry_accounts.c.ordinal == entries.c.ordinal,
        ),
    )
    query = query.where(entry_accounts.c.account_id == wanted.account_id)
    query = query.where(entry_accounts.c.account_seq >= first)
    if wanted.to_date:
        query = query.where(entry_accounts.c.account_seq < account.first_behind(wanted.to_date))
    return query.order_by(entry_accounts.c.account_seq)


def _of_all(
    connection: Connection, query: Select[Any], wanted: EntryFilter, after: Place
) -> Select[Any]:
    place = tuple_(entries.c.page_number, entries.c.ordinal)
    query = query.where(place > tuple_(after.page_number, after.ordinal))
    # The days of several journals do not turn on one page: then the dates alone decide.
    is_one = shard_count(connection) == 1
    if wanted.from_date and is_one:
        # The page on which a day begins carries the date of the day before.
        first_page = bisect_left(_Pages(connection, pages.c.business_date), wanted.from_date) - 1
        query = query.where(entries.c.page_number >= first_page)
    if wanted.from_date:
        query = query.where(entries.c.business_date >= wanted.from_date)
    if wanted.to_date:
        query = query.where(entries.c.business_date <= wanted.to_date)
    if wanted.to_date and is_one:
        behind = bisect_right(_Pages(connection, pages.c.business_date), wanted.to_date)
        query = query.where(entries.c.page_number < behind)
    return query.order_by(entries.c.page_number, entries.c.ordinal)


class _Pages(Sequence[Any]):
    """One column of a shard's pages, found by number: what halving looks at."""

    def __init__(self, connection: Connection, column: "Column[Any]", shard: int = 0) -> None:
        self._connection = connection
        self._query = select(column)
        self._shard = shard
        self._count = page_count(connection, shard)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:  # noqa: ANN401 - an int gives what the column holds
        query = self._query.where(pages.c.page_number == position_of(self._shard, number))
        return self._connection.execute(query).scalar_one()


def page_count(connection: Connection, shard: int = 0) -> int:
    """How many pages of a shard are in the rows: the last one's number and one."""
    number = pages.c.page_number
    found = select(func.max(number)).where(number < position_of(shard + 1, 0))
    last = connection.execute(found.where(number >= position_of(shard, 0))).scalar_one()
    return 0 if last is None else page_of(int(last))[1] + 1


def shard_count(connection: Connection) -> int:
    """How many shards have pages in the rows; 1 where there are none at all."""
    last = connection.execute(select(func.max(pages.c.page_number))).scalar_one()
    return 1 if last is None else page_of(int(last))[0] + 1


def shard_of_account(connection: Connection, account_id: str) -> int:
    """Where the account's entries stand."""
    found = select(entry_accounts.c.page_number).where(entry_accounts.c.account_id == account_id)
    place = connection.execute(found.limit(1)).scalar()
    return 0 if place is None else page_of(int(place))[0]


def last_page_at(connection: Connection, time_us: int, shard: int = 0) -> int:
    """The last page of a shard written at or before a time; -1 where there is none."""
    number = bisect_right(_Pages(connection, pages.c.written_us, shard), time_us) - 1
    return position_of(shard, number)


class AccountEntries:
    """The entries of one account by their sequence numbers: 1 to `last`, found by halving."""

    def __init__(self, connection: Connection, account_id: str) -> None:
        self._connection = connection
        self._account_id = account_id
        found = select(func.max(entry_accounts.c.account_seq))
        mine = entry_accounts.c.account_id == account_id
        self.last = int(connection.execute(found.where(mine)).scalar_one() or 0)

    def row(self, seq: int) -> Row[*tuple[Any, ...]]:
        """One of them."""
        query = select(entry_accounts).where(
            entry_accounts.c.account_id == self._account_id, entry_accounts.c.account_seq == seq
        )
        return self._connection.execute(query).one()

    def first_after(self, place: Place) -> int:
        """Sequence number of the first behind a place; one more than the last where none is."""
        if place.page_number < 0:
            return 1
        return self._first(lambda row: (row.page_number, row.ordinal) > tuple(place))

    def first_on(self, date: str) -> int:
        """The first of a business date or a later one."""
        return self._first(lambda row: row.business_date >= date)

    def first_behind(self, date: str) -> int:
        """The first of a later business date."""
        return self._first(lambda row: row.business_date > date)

    def _first(self, is_there: Callable[[Row[*tuple[Any, ...]]], bool]) -> int:
        numbers = range(1, self.last + 1)
        return 1 + bisect_left(numbers, 1, key=lambda seq: int(is_there(self.row(seq))))


def _account(row: Row[*tuple[object, ...]]) -> Account:
    account = Account(row.account_id, row.owner, Kind(row.kind), row.currency, row.ordinal)
    account.posted, account.held = row.posted_minor, row.held_minor
    account.incoming, account.seq = row.incoming_minor, row.account_seq
    account.is_closed, account.ceiling = row.is_closed, row.ceiling_minor
    if row.floor_minor is not None:
        account.floor = row.floor_minor
    return account
