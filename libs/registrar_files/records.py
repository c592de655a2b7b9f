"""What stands in the files of a registrar: one record a row, fields by the market's own names.

Numbers are whole numbers at the decimals that the registrar's profile gives the field (money 2,
shares 2, prices 4, rates 6 unless it says otherwise). A date that is blank in the file is None, a
blank text is "", a blank number is 0. `None` is never a number.
"""

from datetime import date
from typing import NamedTuple, TypeAlias


class AccountRequest(NamedTuple):
    """A row of 01: an investor wants a trading account (008), or none any more (009), and so on."""

    app_sheet_serial_no: str
    business_code: str
    transaction_account_id: str
    transaction_date: date
    # Empty where the registrar is to give one.
    ta_account_id: str = ""
    distributor_code: str = ""
    # "1" a person, "0" an institution.
    individual_or_institution: str = "1"
    investor_name: str = ""
    transaction_time: str = ""


class AccountConfirmation(NamedTuple):
    """A row of 02: the answer to a row of 01."""

    app_sheet_serial_no: str
    ta_serial_no: str
    business_code: str
    transaction_account_id: str
    transaction_date: date
    transaction_cfm_date: date
    # Empty where no account was opened.
    ta_account_id: str = ""
    # "0000": done.
    return_code: str = "0000"
    error_detail: str = ""
    distributor_code: str = ""


class OrderRow(NamedTuple):
    """A row of 03: one order of ours."""

    app_sheet_serial_no: str
    # 020 022 024 029 036 037 039 063 053 ...
    business_code: str
    fund_code: str
    transaction_date: date
    # hhmmss, local time of the fund.
    transaction_time: str = ""
    transaction_account_id: str = ""
    ta_account_id: str = ""
    distributor_code: str = ""
    # "0" front-end, "1" back-end.
    share_class: str = "0"
    application_vol: int = 0
    application_amount: int = 0
    # ISO 4217; a profile may turn it into the market's digits.
    currency_type: str = ""
    # "0" cancel the rest, "1" roll it over.
    large_redemption_flag: str = "1"
    # Millionths of the band's rate: 1000000 is no discount.
    discount_rate_of_commission: int = 1_000_000
    individual_or_institution: str = "1"
    code_of_target_fund: str = ""
    # "0" reinvest, "1" cash.
    def_dividend_method: str = ""
    # Of the order to be cancelled (053).
    original_app_sheet_no: str = ""
    ration_protocol_no: str = ""
    # "1": paid by a bank in advance; from T on the shares' income is no more the holder's.
    take_income_flag: str = ""


class ConfirmationRow(NamedTuple):
    """A row of 04: what the registrar did, of an order or of itself.

    Its identity is (registrar, `ta_serial_no`, `business_code`, `transaction_cfm_date`).
    """

    app_sheet_serial_no: str
    ta_serial_no: str
    # 120 122 124 129 136 138 139 142 143 144 145 163 ...
    business_code: str
    fund_code: str
    # T.
    transaction_date: date
    transaction_cfm_date: date
    original_app_sheet_no: str = ""
    distributor_code: str = ""
    ta_account_id: str = ""
    transaction_account_id: str = ""
    share_class: str = "0"
    transaction_time: str = ""
    original_subs_date: date | None = None
    share_register_date: date | None = None
    transfer_date_through_clearing_agency: date | None = None
    application_vol: int = 0
    application_amount: int = 0
    confirmed_vol: int = 0
    # Subscriptions: fee included. Redemptions: fees taken off.
    confirmed_amount: int = 0
    nav: int = 0
    currency_type: str = ""
    refund_amount: int = 0
    # "0000": done.
    return_code: str = "0000"
    error_detail: str = ""
    # "0" more rows follow, "1" the last.
    business_finish_flag: str = "1"
    large_redemption_flag: str = ""
    detail_flag: str = ""
    # "1": the registrar began it.
    from_ta_flag: str = "0"
    force_redemption_type: str = ""
    charge: int = 0
    agency_fee: int = 0
    other_fee1: int = 0
    rate_fee: int = 0
    discount_rate_of_commission: int = 1_000_000
    total_backend_load: int = 0
    recuperate_fee: int = 0
    change_fee: int = 0
    total_trans_fee: int = 0
    breach_fee: int = 0
    breach_fee_back_to_fund: int = 0
    code_of_target_fund: str = ""
    target_nav: int = 0
    cfm_vol_of_target_fund: int = 0
    def_dividend_method: str = ""
    undistribute_monetary_income: int = 0
    # "0" positive, "1" negative.
    undistribute_monetary_income_flag: str = "0"
    take_income_flag: str = ""
    deposit_acct: str = ""
    ration_protocol_no: str = ""
    variety_code: str = ""
    begin_date: date | None = None
    end_date: date | None = None
    send_day: int = 0
    frequency: int = 0
    time_unit: str = ""
    batch_num: int = 0
    ration_type: str = ""


class BalanceRow(NamedTuple):
    """A row of 05: the shares of one account in one fund at the end of the confirm date."""

    ta_account_id: str
    fund_code: str
    transaction_cfm_date: date
    total_vol_of_distributor_in_ta: int
    available_vol: int = 0
    total_frozen_vol: int = 0
    transaction_account_id: str = ""
    distributor_code: str = ""
    share_class: str = "0"
    def_dividend_method: str = ""
    # Four decimals of the currency's unit: income that is not a whole minor unit yet.
    undistribute_monetary_income: int = 0
    undistribute_monetary_income_flag: str = "0"


class DividendRow(NamedTuple):
    """A row of 06: what one account gets of one dividend (143)."""

    ta_serial_no: str
    fund_code: str
    transaction_cfm_date: date
    registration_date: date
    xr_date: date
    dividend_date: date
    business_code: str = "143"
    ta_account_id: str = ""
    transaction_account_id: str = ""
    distributor_code: str = ""
    share_class: str = "0"
    currency_type: str = ""
    # Shares that are entitled.
    basis_vol: int = 0
    # Four decimals of the currency's unit, of one share.
    dividend_per_unit: int = 0
    dividend_amount: int = 0
    # What is paid in cash; 0 where it is reinvested.
    confirmed_amount: int = 0
    vol_of_dividend_for_reinvestment: int = 0
    # Of the reinvested shares, those that are frozen.
    frozen_vol: int = 0
    # Ex-date price.
    nav: int = 0
    def_dividend_method: str = ""
    charge: int = 0
    app_sheet_serial_no: str = ""
    return_code: str = "0000"


class PriceRow(NamedTuple):
    """A row of 07: a fund on one date. A money fund has one for each natural day since the last."""

    fund_code: str
    nav_date: date
    nav: int
    accumulative_nav: int = 0
    # "0" trading, "1" raising, "4" all paused, "5" no buying, "6" no selling, "8" ended.
    fund_status: str = "0"
    currency_type: str = ""
    # Shares in issue at the end of the day before; 0: not told.
    total_vol: int = 0
    # Income of ten thousand shares (万份收益), four decimals of the currency's unit.
    fund_income: int = 0
    fund_income_flag: str = "0"
    # Seven-day yield, millionths.
    fund_yield: int = 0
    yield_flag: str = "0"


Row: TypeAlias = (
    AccountRequest
    | AccountConfirmation
    | OrderRow
    | ConfirmationRow
    | BalanceRow
    | DividendRow
    | PriceRow
)

DONE = "0000"
# A row of each type of file, by the type's two digits.
ROW_OF: dict[str, type[Row]] = {
    "01": AccountRequest,
    "02": AccountConfirmation,
    "03": OrderRow,
    "04": ConfirmationRow,
    "05": BalanceRow,
    "06": DividendRow,
    "07": PriceRow,
}
