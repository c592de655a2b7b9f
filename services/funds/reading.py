"""Rows of registrars' files as what they mean to us; the profile of each registrar says how."""

from collections.abc import Mapping
from functools import cache
from typing import Final

from libs.registrar_files import ConfirmationRow, DividendRow, PriceRow, Profile, load_profile
from services.funds.domain.fund import Nav
from services.funds.domain.order_terms import Confirmation
from services.funds.domain.product import FundStatus

# What registrars say no with; another code is a rejected order and a break (funds, section 4).
REFUSALS: Final[Mapping[str, str]] = {
    "0001": "INVESTOR_NOT_IDENTIFIED",
    "0002": "BELOW_MINIMUM",
    "0003": "FUND_CLOSED",
    "0004": "SHARES_NOT_FREE",
    "0005": "REDEMPTION_SUSPENDED",
    "0009": "REFUSED_BY_MANAGER",
}
_STATUSES: Final[Mapping[str, FundStatus]] = {
    "0": FundStatus.OPEN,
    "1": FundStatus.RAISING,
    "4": FundStatus.CLOSED,
    "5": FundStatus.PAUSED_IN,
    "6": FundStatus.PAUSED_OUT,
    "8": FundStatus.CLOSED,
}
_MORE_ROWS, _ROLL_OVER = "0", "1"


@cache
def profile_of(name: str) -> Profile:
    """A registrar's profile; an empty name is the standard one."""
    return load_profile(name) if name else load_profile()


def confirmation_of(row: ConfirmationRow, file_key: str, number: int) -> Confirmation:
    """A row of 04."""
    return Confirmation(
        row.ta_serial_no,
        row.business_code,
        row.fund_code,
        row.transaction_date,
        row.transaction_cfm_date,
        row.nav,
        row.confirmed_vol,
        row.confirmed_amount,
        fee_minor=row.charge,
        agency_fee_minor=row.agency_fee,
        refund_minor=row.refund_amount,
        back_end_minor=row.total_backend_load,
        target_code=row.code_of_target_fund,
        target_nav=row.target_nav,
        target_shares=row.cfm_vol_of_target_fund,
        recuperate_fee_minor=row.recuperate_fee,
        register_date=row.share_register_date,
        is_final=row.business_finish_flag != _MORE_ROWS,
        rolls_over=_rolls_over(row),
        file_key=file_key,
        row=number,
    )


def _rolls_over(row: ConfirmationRow) -> bool:
    """Whether the rest of a large redemption goes on to the next day."""
    is_short = 0 <= row.confirmed_vol < row.application_vol
    is_open = row.business_finish_flag == _MORE_ROWS
    return is_open and is_short and row.large_redemption_flag == _ROLL_OVER


def dividend_of(row: DividendRow, file_key: str, number: int) -> Confirmation:
    """A row of 06, as the confirmation that it is."""
    return Confirmation(
        row.ta_serial_no,
        row.business_code,
        row.fund_code,
        row.xr_date,
        row.transaction_cfm_date,
        row.nav,
        row.vol_of_dividend_for_reinvestment,
        # Of a reinvested one too: what it would have been in cash.
        row.dividend_amount,
        register_date=row.transaction_cfm_date,
        file_key=file_key,
        row=number,
    )


def nav_of(row: PriceRow) -> Nav:
    """A row of 07."""
    income = -row.fund_income if row.fund_income_flag == "1" else row.fund_income
    return Nav(
        row.nav_date,
        row.nav,
        row.accumulative_nav,
        income,
        -row.fund_yield if row.yield_flag == "1" else row.fund_yield,
    )


def status_of(row: PriceRow) -> FundStatus | None:
    """What a row of 07 says of who may deal; None: a flag that we do not know."""
    return _STATUSES.get(row.fund_status)
