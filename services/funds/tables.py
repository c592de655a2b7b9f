"""The tables of the funds' read model, all fed by our own events."""

from sqlalchemy import Index, MetaData, Table

from libs.columns import count, flag, text

own = MetaData()


funds = Table(
    "funds",
    own,
    text("code", key=True),
    text("ta_id"),
    text("kind"),
    count("risk_level"),
    text("status"),
    count("version"),
    text("currency"),
    # The terms as they are stored, JSON.
    text("terms"),
    # The newest price; empty and 0 before the first.
    text("nav_date"),
    count("nav"),
    Index("funds_by_ta", "ta_id"),
)

navs = Table(
    "navs",
    own,
    text("code", key=True),
    text("nav_date", key=True),
    count("nav"),
    count("accumulated_nav"),
    count("income_per_10k"),
    count("seven_day_yield"),
    count("corrections"),
)

registrars = Table(
    "registrars",
    own,
    text("ta_id", key=True),
    text("name"),
    text("address"),
    text("bank_id"),
    text("bank_account"),
    text("currency_code"),
    text("profile"),
    flag("nets_agency_fee"),
)

investors = Table(
    "investors",
    own,
    text("investor_id", key=True),
    count("investor_class"),
    text("kind"),
    text("valid_until"),
    text("profile_version"),
)

orders = Table(
    "orders",
    own,
    text("order_id", key=True),
    text("caller"),
    text("investor_id"),
    text("fund_code"),
    text("ta_id"),
    text("serial"),
    text("plan_id"),
    text("stage"),
    # Its first trade day, and the one that counts now: a remainder goes on to later ones.
    text("first_date"),
    text("trade_date"),
    # Steps of ours that are still to be done; at rest with the registrar it is 0.
    count("steps_open"),
    # Accepted, and in no file yet.
    flag("is_waiting"),
    count("place_position"),
    count("revision"),
    count("change_us"),
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
    text("investor_id", key=True),
    text("fund_code", key=True),
    count("shares"),
    count("cost_minor"),
    # Cash dividends, and a money fund's income that became shares.
    count("income_minor"),
    # Proceeds less costs of what was redeemed.
    count("realised_minor"),
    text("mode"),
    count("bucket"),
    text("accrued_until"),
    Index("holdings_of_fund", "fund_code", "investor_id"),
)

freezes = Table(
    "freezes",
    own,
    text("investor_id", key=True),
    text("fund_code", key=True),
    text("order_id", key=True),
    count("shares"),
)

# What moved units, one line a booking: statements, flows of returns, and what a reversal undoes.
movements = Table(
    "movements",
    own,
    count("position", key=True),
    text("investor_id"),
    text("fund_code"),
    text("line_date"),
    text("movement"),
    count("shares"),
    # From the investor's view: paid below 0, received above.
    count("amount_minor"),
    count("fee_minor"),
    count("cost_minor"),
    count("income_minor"),
    count("realised_minor"),
    count("nav"),
    text("order_id"),
    text("row_id"),
    flag("is_reversed"),
    Index("movements_of_holding", "investor_id", "fund_code", "position"),
    Index("movements_of_fund", "fund_code", "line_date"),
)

# Whose account at the registrars it is: files name accounts, not investors.
trading_accounts = Table(
    "trading_accounts",
    own,
    text("trading_account_id", key=True),
    text("investor_id"),
    # Where an investor's money goes that no order of theirs names: the wallet of the last one.
    text("wallet_account_id"),
)

ta_days = Table(
    "ta_days",
    own,
    text("ta_id", key=True),
    text("trade_date", key=True),
    text("confirm_date"),
    flag("is_cut_off"),
    flag("is_settled"),
    count("open_position"),
    Index("ta_days_open", "is_settled", "trade_date"),
)

files = Table(
    "files",
    own,
    text("file_key", key=True),
    text("ta_id"),
    text("trade_date"),
    text("file_type"),
    count("batch"),
    text("sha256"),
    count("size"),
    flag("is_outgoing"),
    text("outcome"),
    text("reason"),
    text("description"),
    count("rows"),
    count("position"),
    Index("files_of_day", "ta_id", "trade_date"),
    Index("files_in_order", "position"),
)

breaks = Table(
    "breaks",
    own,
    text("break_id", key=True),
    text("type"),
    text("ta_id"),
    text("trade_date"),
    flag("is_closed"),
    flag("is_approved"),
    count("position"),
    Index("breaks_in_order", "position"),
    Index("breaks_of_day", "ta_id", "trade_date"),
)

plans = Table(
    "plans",
    own,
    text("plan_id", key=True),
    text("caller"),
    text("investor_id"),
    text("fund_code"),
    text("stage"),
    count("issued"),
    count("skipped"),
    # Instalments whose money is not known yet.
    count("pending"),
    count("position"),
    Index("plans_in_order", "position"),
    Index("plans_of_investor", "investor_id", "position"),
)

advances = Table(
    "advances",
    own,
    text("advance_id", key=True),
    text("bank_id"),
    flag("is_over"),
)
