"""The tables of settlement's read models; each set is fed by exactly one service's events."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)

own = MetaData()
journal = MetaData()
orders = MetaData()


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=False)


def _count(name: str, *, key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, autoincrement=False, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


# ---- from our own events
partners = Table(
    "partners",
    own,
    _text("bank_id", key=True),
    _text("legal_name"),
    _text("address"),
    _text("link_identity"),
    Column("public_key", LargeBinary, nullable=False),
    _text("key_id"),
    _text("account_number"),
    _text("currency"),
    # JSON of the capability record.
    _text("capability"),
    _text("window_id"),
    _text("mirror_account_id"),
)

transfers = Table(
    "transfers",
    own,
    _text("transfer_id", key=True),
    _text("bank_id"),
    _text("kind"),
    _text("settlement_id"),
    _text("message_id"),
    # Items in all, final ones, done ones, and done ones that stand in the journal.
    _count("item_count"),
    _count("final"),
    _count("done"),
    _count("booked"),
    Index("transfers_by_settlement", "settlement_id"),
)

items = Table(
    "items",
    own,
    _text("payment_id", key=True),
    _text("transfer_id"),
    _text("bank_id"),
    _text("kind"),
    _text("settlement_id"),
    _text("uetr"),
    _text("currency"),
    _count("amount_minor"),
    _text("outcome"),
    _text("reason"),
    _text("bank_reference"),
    _text("value_date"),
    _flag("was_doubted"),
    _flag("is_booked"),
    _flag("is_contradicted"),
    Index("items_by_transfer", "transfer_id"),
    Index("items_by_settlement", "settlement_id"),
    Index("items_by_uetr", "uetr"),
    Index("items_by_bank", "bank_id"),
)

settlements = Table(
    "settlements",
    own,
    _text("settlement_id", key=True),
    _text("bank_id"),
    _text("currency"),
    _text("stage"),
    # One window each; ids joined by spaces where a later model has more.
    _text("window_ids"),
    _text("value_date"),
    _count("legs"),
    _count("sum_ours_minor"),
    _count("sum_bank_minor"),
    _count("rounds"),
    _count("disputed"),
    _count("confirmed"),
    _count("in_doubt_resolved"),
    _count("seal_position"),
    Column("root", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    # Position of the event that agreed it; 0: not agreed.
    _count("agreed_position"),
    _count("drafted_position"),
    _text("statement_id"),
    _flag("is_told"),
    _count("changed_us"),
    _count("position"),
    Index("settlements_by_bank", "bank_id"),
)

leg_marks = Table(
    "leg_marks",
    own,
    _text("settlement_id", key=True),
    _text("payment_id", key=True),
    # DISPUTED, then CARRIED.
    _text("state"),
    _text("reason"),
)

messages = Table(
    "messages",
    own,
    _text("message_id", key=True),
    # 0: as it first came or left; above: a repeat.
    _count("repeat", key=True),
    _text("bank_id"),
    _text("message_type"),
    _flag("is_sent"),
    _count("recorded_us"),
    _count("size_bytes"),
    _text("quarantine_reason"),
    _text("summary"),
    _text("account_number"),
    _count("statement_number"),
    _count("page"),
    _flag("is_last_page"),
    _count("position"),
    Index("messages_by_bank", "bank_id", "position"),
)

message_payments = Table(
    "message_payments",
    own,
    _text("payment_id", key=True),
    _text("message_id", key=True),
)

statements = Table(
    "statements",
    own,
    _text("statement_id", key=True),
    _text("bank_id"),
    _count("number"),
    _text("from_date"),
    _text("to_date"),
    _count("opening_minor"),
    _count("closing_minor"),
    _count("line_count"),
    _count("matched"),
    # Ids of its pages' messages, joined by spaces.
    _text("message_ids"),
    _count("position"),
    Index("statements_by_bank", "bank_id", "number"),
)

lines = Table(
    "lines",
    own,
    _text("statement_id", key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    _text("payment_id"),
    Column("rung", Integer, nullable=False),
    _text("favour"),
    _text("currency"),
    _count("amount_minor"),
    _text("bank_reference"),
    _text("value_date"),
    Index("lines_by_payment", "payment_id"),
)

breaks = Table(
    "breaks",
    own,
    _text("break_id", key=True),
    _text("type"),
    _text("bank_id"),
    _text("payment_id"),
    _text("settlement_id"),
    _text("currency"),
    _count("amount_minor"),
    _text("description"),
    _flag("is_cleared"),
    _count("opened_us"),
)

cut_offs = Table(
    "cut_offs",
    own,
    _text("request_id", key=True),
    _flag("is_complete"),
)

# ---- from the journal
movements = Table(
    "movements",
    journal,
    _text("payment_id", key=True),
    _text("window_id", key=True),
    _text("bank_id"),
    # OURS or BANK.
    _text("favour"),
    _text("currency"),
    _count("amount_minor"),
    _count("page"),
    _text("carried_from"),
    Index("movements_by_window", "window_id"),
)

seals = Table(
    "seals",
    journal,
    _text("window_id", key=True),
    _text("bank_id"),
    _text("currency"),
    _text("next_window_id"),
    _count("legs"),
    _count("sum_ours_minor"),
    _count("sum_bank_minor"),
    _count("page"),
)

open_windows = Table(
    "open_windows",
    journal,
    _text("bank_id", key=True),
    _text("currency", key=True),
    _text("window_id"),
)

# Payments that the mirror followed: pulls received, payouts made.
mirrored = Table("mirrored", journal, _text("payment_id", key=True), _count("page"))

# The newest page in these tables.
pages = Table("pages", journal, _text("journal", key=True), _count("page"))

# ---- from payments
payout_details = Table(
    "payout_details",
    orders,
    _text("payment_id", key=True),
    _text("bank_id"),
    _text("bank_account"),
    _text("name"),
)
