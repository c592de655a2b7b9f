"""The tables of the registrar's own books."""

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, Table, Text

metadata = MetaData()

funds = Table(
    "funds",
    metadata,
    Column("code", Text, primary_key=True),
    # JSON.
    Column("terms", Text, nullable=False),
)
# Opened at an account's first order.
accounts = Table(
    "accounts",
    metadata,
    Column("transaction_account_id", Text, primary_key=True),
    Column("ta_account_id", Text, nullable=False, unique=True),
)
# Requests of 01, answered in 02 on the morning after their day.
account_requests = Table(
    "account_requests",
    metadata,
    Column("serial", Text, primary_key=True),
    Column("trade_date", Text, nullable=False, index=True),
    Column("business_code", Text, nullable=False),
    Column("transaction_account_id", Text, nullable=False),
)
positions = Table(
    "positions",
    metadata,
    Column("account", Text, primary_key=True),
    Column("fund", Text, primary_key=True),
    Column("shares", BigInteger, nullable=False),
    Column("bucket", BigInteger, nullable=False),
    Column("mode", Integer, nullable=False),
    Column("frozen", BigInteger, nullable=False),
    # JSON: order, confirm date, registered date, shares, cost, nav; oldest first.
    Column("lots", Text, nullable=False),
)
orders = Table(
    "orders",
    metadata,
    Column("serial", Text, primary_key=True),
    # The day it is to be decided on; later than asked where it was rolled over.
    Column("trade_date", Text, nullable=False, index=True),
    Column("row", Text, nullable=False),
    # What is left to be decided, in shares; the amount is in the row.
    Column("shares", BigInteger, nullable=False),
    # WAITING, ANSWERED or ROLLED_OVER.
    Column("state", Text, nullable=False),
)
# One line each row of the books, as it is right; `told` is how it was told.
rows = Table(
    "rows",
    metadata,
    Column("ta_serial_no", Text, primary_key=True),
    Column("trade_date", Text, nullable=False, index=True),
    # 04 or 06.
    Column("file_type", Text, nullable=False),
    Column("fund", Text, nullable=False),
    Column("row", Text, nullable=False),
    Column("kind", Text, nullable=False),
    # JSON: the lots taken, for when the price is corrected.
    Column("taken", Text, nullable=False),
    # 1 where it was told wrong, or not at all.
    Column("is_spoiled", Integer, nullable=False),
)
days = Table(
    "days",
    metadata,
    Column("trade_date", Text, primary_key=True),
    Column("confirm_date", Text, nullable=False),
    # SHA-256 of what was asked, and JSON of what was answered.
    Column("asked", LargeBinary, nullable=False),
    Column("answered", Text, nullable=False),
)
prices = Table(
    "prices",
    metadata,
    Column("fund", Text, primary_key=True),
    Column("trade_date", Text, primary_key=True),
    Column("nav", BigInteger, nullable=False),
    # As it stood in the file, where a fault spoiled it; or else the same.
    Column("told_nav", BigInteger, nullable=False),
)
packages_in = Table(
    "packages_in",
    metadata,
    Column("trade_date", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sha256", LargeBinary, nullable=False),
    # JSON: the answer, as it was given.
    Column("receipts", Text, nullable=False),
    # JSON: the last batch of each type so far.
    Column("batches", Text, nullable=False),
)
packages_out = Table(
    "packages_out",
    metadata,
    Column("ordinal", Integer, primary_key=True),
    Column("trade_date", Text, nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("package", LargeBinary, nullable=False),
    # JSON: the last batch of each type so far.
    Column("batches", Text, nullable=False),
    # From when on it is sent; 0: held back.
    Column("due_ms", BigInteger, nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    # How often it is still to be delivered.
    Column("copies", Integer, nullable=False),
    # 1 where the distributor would not take it, or a file of it.
    Column("is_refused", Integer, nullable=False),
)
faults = Table(
    "faults",
    metadata,
    Column("ordinal", Integer, primary_key=True),
    Column("trade_date", Text, nullable=False, index=True),
    Column("fault", Text, nullable=False),
    Column("fund", Text, nullable=False),
    Column("happened", Integer, nullable=False),
)
