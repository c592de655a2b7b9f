"""What a fund order or a plan is asked to do: `subscribe(owner, wallet, "SP5001", amount)`.

Shares are whole numbers at the fund's scale: of a fund of two decimals, 1250 are 12.50.
"""

from datetime import date
from typing import Final
from uuid import UUID

from hefu.funds.v1 import events_pb2
from libs.money import Money
from libs.wire import money_to_wire

_FAILURES_MAX: Final = 3


def subscribe(
    investor_id: str, wallet: UUID | str, fund_code: str, amount: Money, warning_id: str = ""
) -> events_pb2.FundOrderTerms:
    """Buy for an amount."""
    kind = events_pb2.FundSubscription(fund_code=fund_code, amount=money_to_wire(amount))
    return events_pb2.FundOrderTerms(
        investor_id=investor_id,
        wallet_account_id=str(wallet),
        subscription=kind,
        warning_id=warning_id,
    )


def redeem(
    investor_id: str, wallet: UUID | str, fund_code: str, shares: int
) -> events_pb2.FundOrderTerms:
    """Sell shares (at the fund's scale); what a large redemption defers rolls over."""
    kind = events_pb2.FundRedemption(
        fund_code=fund_code, shares=shares, remainder=events_pb2.REMAINDER_ROLL_OVER
    )
    return events_pb2.FundOrderTerms(
        investor_id=investor_id, wallet_account_id=str(wallet), redemption=kind
    )


def redeem_fast(
    investor_id: str, wallet: UUID | str, fund_code: str, shares: int
) -> events_pb2.FundOrderTerms:
    """Money-market shares (at the fund's scale) into the wallet at once."""
    kind = events_pb2.FundFastRedemption(fund_code=fund_code, shares=shares)
    return events_pb2.FundOrderTerms(
        investor_id=investor_id, wallet_account_id=str(wallet), fast_redemption=kind
    )


def switch(
    investor_id: str, wallet: UUID | str, fund_code: str, target_code: str, shares: int
) -> events_pb2.FundOrderTerms:
    """Shares (at the fund's scale) out of one fund and into another, of whichever registrar."""
    kind = events_pb2.FundSwitching(
        fund_code=fund_code,
        target_code=target_code,
        shares=shares,
        remainder=events_pb2.REMAINDER_ROLL_OVER,
    )
    return events_pb2.FundOrderTerms(
        investor_id=investor_id, wallet_account_id=str(wallet), switching=kind
    )


def change_dividends(
    investor_id: str, wallet: UUID | str, fund_code: str, *, is_cash: bool
) -> events_pb2.FundOrderTerms:
    """Dividends of a holding as cash into the wallet from now on, or as more units."""
    mode = events_pb2.DIVIDEND_MODE_CASH if is_cash else events_pb2.DIVIDEND_MODE_REINVEST
    kind = events_pb2.FundDividendModeChange(fund_code=fund_code, mode=mode)
    return events_pb2.FundOrderTerms(
        investor_id=investor_id, wallet_account_id=str(wallet), dividend_mode_change=kind
    )


def monthly(
    investor_id: str, wallet: UUID | str, fund_code: str, amount: Money, day: int, begin: date
) -> events_pb2.PlanTerms:
    """Buy for an amount on a day of each month, the last one in shorter months.

    Three failures in a row suspend it. The message has more: other frequencies, an end.
    """
    return events_pb2.PlanTerms(
        investor_id=investor_id,
        wallet_account_id=str(wallet),
        fund_code=fund_code,
        amount=money_to_wire(amount),
        frequency=events_pb2.PLAN_FREQUENCY_MONTH,
        send_day=day,
        begin_date=begin.isoformat(),
        max_fail=_FAILURES_MAX,
    )
