"""The tables of the funds' read model, all fed by our own events."""

from sqlalchemy import BigInteger, Boolean, Column, Index, MetaData, Table, Text

own = MetaData()


def _text(name: str, *, key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=False)


def _count(name: str, *, key: bool = False) -> Column[int]:
    return Column(name, BigInteger, primary_key=key, autoincrement=False, nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


funds = Table(
    "funds",
    own,
    _text("code", key=True),
    _text("ta_id"),
    _text("kind"),
    _count("risk_level"),
    _text("status"),
    _count("version"),
    _text("currency"),
    # The terms as they are stored, JSON.
    _text("terms"),
    # The newest price; empty and 0 before the first.
    _text("nav_date"),
    _count("nav"),
    Index("funds_by_ta", "ta_id"),
)

navs = Table(
    "navs",
    own,
    _text("code", key=True),
    _text("nav_date", key=True),
    _count("nav"),
    _count("accumulated_nav"),
    _count("income_per_10k"),
    _count("seven_day_yield"),
    _count("corrections"),
)

registrars = Table(
    "registrars",
    own,
    _text("ta_id", key=True),
    _text("name"),
    _text("address"),
    _text("bank_id"),
    _text("bank_account"),
    _text("currency_code"),
    _text("profile"),
    _flag("nets_agency_fee"),
)

investors = Table(
    "investors",
    own,
    _text("investor_id", key=True),
    _count("investor_class"),
    _text("kind"),
    _text("valid_until"),
    _text("profile_version"),
)

orders = Table(
    "orders",
    own,
    _text("order_id", key=True),
    _text("caller"),
    _text("investor_id"),
    _text("fund_code"),
    _text("ta_id"),
    _text("serial"),
    _text("plan_id"),
    _text("stage"),
    # Its first trade day, and the one that counts now: a remainder goes on to later ones.
    _text("first_date"),
    _text("trade_date"),
    # Steps of ours that are still to be done; at rest with the registrar it is 0.
    _count("steps_open"),
    # Accepted, and in no file yet.
    _flag("is_waiting"),
    _count("place_position"),
    _count("revision"),
    _count("change_us"),
    Index("orders_in_order", "place_position"),
    Index("orders_of_investor", "investor_id", "place_position"),
    Index("orders_of_day", "ta_id", "trade_date", "place_position"),
    Index("orders_since", "ta_id", "first_date"),
    Index("orders_of_plan", "plan_id", "place_position"),
    Index("orders_by_serial", "ta_id", "serial"),
)

holdings = Table(
    "holdings",
    own,
    _text("investor_id", key=True),
    _text("fund_code", key=True),
    _count("shares"),
    _count("cost_minor"),
    # Cash dividends, and a money fund's income that became shares.
    _count("income_minor"),
    # Proceeds less costs of what was redeemed.
    _count("realised_minor"),
    _text("mode"),
    _count("bucket"),
    _text("accrued_until"),
    Index("holdings_of_fund", "fund_code", "investor_id"),
)

freezes = Table(
    "freezes",
    own,
    _text("investor_id", key=True),
    _text("fund_code", key=True),
    _text("order_id", key=True),
    _count("shares"),
)

# What moved units, one line a booking: statements, flows of returns, and what a reversal undoes.
movements = Table(
    "movements",
    own,
    _count("position", key=True),
    _text("investor_id"),
    _text("fund_code"),
    _text("line_date"),
    _text("movement"),
    _count("shares"),
    # From the investor's view: paid below 0, received above.
    _count("amount_minor"),
    _count("fee_minor"),
    _count("cost_minor"),
    _count("income_minor"),
    _count("realised_minor"),
    _count("nav"),
    _text("order_id"),
    _text("row_id"),
    _flag("is_reversed"),
    Index("movements_of_holding", "investor_id", "fund_code", "position"),
    Index("movements_of_fund", "fund_code", "line_date"),
)

# Whose account at the registrars it is: files name accounts, not investors.
trading_accounts = Table(
    "trading_accounts",
    own,
    _text("trading_account_id", key=True),
    _text("investor_id"),
    # Where an investor's money goes that no order of theirs names: the wallet of the last one.
    _text("wallet_account_id"),
)

ta_days = Table(
    "ta_days",
    own,
    _text("ta_id", key=True),
    _text("trade_date", key=True),
    _text("confirm_date"),
    _flag("is_cut_off"),
    _flag("is_settled"),
    _count("open_position"),
    Index("ta_days_open", "is_settled", "trade_date"),
)

files = Table(
    "files",
    own,
    _text("file_key", key=True),
    _text("ta_id"),
    _text("trade_date"),
    _text("file_type"),
    _count("batch"),
    _text("sha256"),
    _count("size"),
    _flag("is_outgoing"),
    _text("outcome"),
    _text("reason"),
    _text("description"),
    _count("rows"),
    _count("position"),
    Index("files_of_day", "ta_id", "trade_date"),
    Index("files_in_order", "position"),
)

breaks = Table(
    "breaks",
    own,
    _text("break_id", key=True),
    _text("type"),
    _text("ta_id"),
    _text("trade_date"),
    _flag("is_closed"),
    _flag("is_approved"),
    _count("position"),
    Index("breaks_in_order", "position"),
    Index("breaks_of_day", "ta_id", "trade_date"),
)

plans = Table(
    "plans",
    own,
    _text("plan_id", key=True),
    _text("caller"),
    _text("investor_id"),
    _text("fund_code"),
    _text("stage"),
    _count("issued"),
    _count("skipped"),
    # Instalments whose money is not known yet.
    _count("pending"),
    _count("position"),
    Index("plans_in_order", "position"),
    Index("plans_of_investor", "investor_id", "position"),
)

advances = Table(
    "advances",
    own,
    _text("advance_id", key=True),
    _text("bank_id"),
    _flag("is_over"),
)
