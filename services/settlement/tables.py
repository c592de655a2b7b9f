"""The tables of settlement's read models; each set is fed by exactly one service's events."""

from sqlalchemy import Column, Index, Integer, LargeBinary, MetaData, Table

from libs.columns import count, flag, text

own = MetaData()
journal = MetaData()
orders = MetaData()


# ---- from our own events
partners = Table(
    "partners",
    own,
    text("bank_id", key=True),
    text("legal_name"),
    text("address"),
    text("link_identity"),
    Column("public_key", LargeBinary, nullable=False),
    text("key_id"),
    text("account_number"),
    text("currency"),
    # JSON of the capability record.
    text("capability"),
    text("window_id"),
    text("mirror_account_id"),
)

transfers = Table(
    "transfers",
    own,
    text("transfer_id", key=True),
    text("bank_id"),
    text("kind"),
    text("settlement_id"),
    text("message_id"),
    # Items in all, final ones, done ones, and done ones that stand in the journal.
    count("item_count"),
    count("final"),
    count("done"),
    count("booked"),
    Index("transfers_by_settlement", "settlement_id"),
)

items = Table(
    "items",
    own,
    text("payment_id", key=True),
    text("transfer_id"),
    text("bank_id"),
    text("kind"),
    text("settlement_id"),
    text("uetr"),
    text("currency"),
    count("amount_minor"),
    text("outcome"),
    text("reason"),
    text("bank_reference"),
    text("value_date"),
    flag("was_doubted"),
    flag("is_booked"),
    flag("is_contradicted"),
    Index("items_by_transfer", "transfer_id"),
    Index("items_by_settlement", "settlement_id"),
    Index("items_by_uetr", "uetr"),
    Index("items_by_bank", "bank_id"),
)

settlements = Table(
    "settlements",
    own,
    text("settlement_id", key=True),
    text("bank_id"),
    text("currency"),
    text("stage"),
    # One window each; ids joined by spaces where a later model has more.
    text("window_ids"),
    text("value_date"),
    count("legs"),
    count("sum_ours_minor"),
    count("sum_bank_minor"),
    count("rounds"),
    count("disputed"),
    count("confirmed"),
    count("in_doubt_resolved"),
    count("seal_position"),
    Column("root", LargeBinary, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    # Position of the event that agreed it; 0: not agreed.
    count("agreed_position"),
    count("drafted_position"),
    text("statement_id"),
    flag("is_told"),
    count("changed_us"),
    count("position"),
    Index("settlements_by_bank", "bank_id"),
)

leg_marks = Table(
    "leg_marks",
    own,
    text("settlement_id", key=True),
    text("payment_id", key=True),
    # DISPUTED, then CARRIED.
    text("state"),
    text("reason"),
)

messages = Table(
    "messages",
    own,
    text("message_id", key=True),
    # 0: as it first came or left; above: a repeat.
    count("repeat", key=True),
    text("bank_id"),
    text("message_type"),
    flag("is_sent"),
    count("recorded_us"),
    count("size_bytes"),
    text("quarantine_reason"),
    text("summary"),
    text("account_number"),
    count("statement_number"),
    count("page"),
    flag("is_last_page"),
    count("position"),
    Index("messages_by_bank", "bank_id", "position"),
)

message_payments = Table(
    "message_payments",
    own,
    text("payment_id", key=True),
    text("message_id", key=True),
)

statements = Table(
    "statements",
    own,
    text("statement_id", key=True),
    text("bank_id"),
    count("number"),
    text("from_date"),
    text("to_date"),
    count("opening_minor"),
    count("closing_minor"),
    count("line_count"),
    count("matched"),
    # Ids of its pages' messages, joined by spaces.
    text("message_ids"),
    count("position"),
    Index("statements_by_bank", "bank_id", "number"),
)

lines = Table(
    "lines",
    own,
    text("statement_id", key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    text("payment_id"),
    Column("rung", Integer, nullable=False),
    text("favour"),
    text("currency"),
    count("amount_minor"),
    text("bank_reference"),
    text("value_date"),
    Index("lines_by_payment", "payment_id"),
)

breaks = Table(
    "breaks",
    own,
    text("break_id", key=True),
    text("type"),
    text("bank_id"),
    text("payment_id"),
    text("settlement_id"),
    text("currency"),
    count("amount_minor"),
    text("description"),
    flag("is_cleared"),
    count("opened_us"),
)

cut_offs = Table(
    "cut_offs",
    own,
    text("request_id", key=True),
    flag("is_complete"),
)

# ---- from the journal
movements = Table(
    "movements",
    journal,
    text("payment_id", key=True),
    text("window_id", key=True),
    text("bank_id"),
    # OURS or BANK.
    text("favour"),
    text("currency"),
    count("amount_minor"),
    count("page"),
    text("carried_from"),
    Index("movements_by_window", "window_id"),
)

seals = Table(
    "seals",
    journal,
    text("window_id", key=True),
    text("bank_id"),
    text("currency"),
    text("next_window_id"),
    count("legs"),
    count("sum_ours_minor"),
    count("sum_bank_minor"),
    count("page"),
)

open_windows = Table(
    "open_windows",
    journal,
    text("bank_id", key=True),
    text("currency", key=True),
    text("window_id"),
)

# Payments that the mirror followed: pulls received, payouts made.
mirrored = Table("mirrored", journal, text("payment_id", key=True), count("page"))

# The newest page in these tables.
pages = Table("pages", journal, text("journal", key=True), count("page"))

# ---- from payments
payout_details = Table(
    "payout_details",
    orders,
    text("payment_id", key=True),
    text("bank_id"),
    text("bank_account"),
    text("name"),
)
