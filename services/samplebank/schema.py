"""The tables of the bank's own books."""

from sqlalchemy import BigInteger, Boolean, Column, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

account_table = Table(
    "account",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("balance_minor", BigInteger, nullable=False),
    Column("ended_date", Text, nullable=False),
)
orders = Table(
    "orders",
    metadata,
    Column("uetr", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("end_to_end_id", Text, nullable=False),
    Column("instruction_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("bank_account", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("bank_reference", Text, nullable=False),
    Column("value_date", Text, nullable=False),
    Column("decided_ms", BigInteger, nullable=False),
    Column("confirmed_ms", BigInteger, nullable=False),
)
# Booked lines of the wallet's account, in the order of booking. One order, one line.
lines = Table(
    "lines",
    metadata,
    Column("ordinal", Integer, primary_key=True),
    Column("uetr", Text, nullable=False, index=True),
    Column("end_to_end_id", Text, nullable=False),
    Column("favour", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("value_date", Text, nullable=False),
    Column("bank_reference", Text, nullable=False),
    # 0 until a statement shows it.
    Column("statement_number", Integer, nullable=False, index=True),
)
movements = Table(
    "movements",
    metadata,
    Column("uetr", Text, primary_key=True),
    Column("end_to_end_id", Text, nullable=False),
    Column("favour", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("is_wrong", Boolean, nullable=False),
    Column("is_disputed", Boolean, nullable=False),
    # 0 for one that was only advised.
    Column("executed_ms", BigInteger, nullable=False),
    # Of the settlement both agreed on; empty before.
    Column("settlement_id", Text, nullable=False),
)
messages = Table(
    "messages",
    metadata,
    Column("message_id", Text, primary_key=True),
    Column("message_type", Text, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    # What happened to its first answer; empty: nothing.
    Column("behaviour", Text, nullable=False),
    Column("reply_type", Text, nullable=False),
    Column("reply", LargeBinary, nullable=False),
)
script = Table(
    "script",
    metadata,
    Column("behaviour", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
)
proposals = Table(
    "proposals",
    metadata,
    Column("settlement_id", Text, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("header", LargeBinary, nullable=False),
    # COUNTERSIGNED, DIFFERED or DECLINED, and what was said with it.
    Column("answer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("legs", BigInteger, nullable=False),
    Column("sum_wallet_minor", BigInteger, nullable=False),
    Column("sum_bank_minor", BigInteger, nullable=False),
    Column("extra_keys", LargeBinary, nullable=False),
    # The bank's own leaves, for the walk.
    Column("leaves", LargeBinary, nullable=False),
)
finals = Table(
    "finals",
    metadata,
    Column("settlement_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("wallet_signature", LargeBinary, nullable=False),
)
statements = Table(
    "statements",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("business_date", Text, nullable=False, index=True),
    Column("opening_minor", BigInteger, nullable=False),
    Column("closing_minor", BigInteger, nullable=False),
    Column("lines", Integer, nullable=False),
)
statement_pages = Table(
    "statement_pages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("page", Integer, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
# What is still to be delivered to the wallet, and what has been.
outbox = Table(
    "outbox",
    metadata,
    Column("ordinal", Integer, primary_key=True),
    Column("message_type", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("due_ms", BigInteger, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    # 0 while it is not delivered.
    Column("delivered_ms", BigInteger, nullable=False),
    # The reason where the wallet would not take it; empty: taken.
    Column("refusal", Text, nullable=False),
)
