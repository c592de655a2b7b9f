"""What an order is answered: return codes, and a row that repeats what was asked."""

from dataclasses import dataclass
from datetime import date

from libs.fund_arithmetic import InvestorKind, Lot
from libs.registrar_files import ConfirmationRow, OrderRow

UNKNOWN_ACCOUNT = "0001"
BELOW_MINIMUM = "0002"
UNKNOWN_FUND = "0003"
TOO_FEW_SHARES = "0004"
NOT_SERVED = "0005"
BY_THE_MANAGER = "0009"
# Stands in no table of ours.
UNEXPLAINED = "9999"
TOLD = {
    UNKNOWN_ACCOUNT: "账户不存在",
    BELOW_MINIMUM: "低于最低金额",
    UNKNOWN_FUND: "基金代码错误",
    TOO_FEW_SHARES: "份额不足",
    NOT_SERVED: "业务不支持",
    BY_THE_MANAGER: "基金管理人拒绝",
    UNEXPLAINED: "?",
}
# What each request is confirmed as (funds, section 3).
CONFIRMED_AS = {
    "020": "120",
    "022": "122",
    "023": "123",
    "024": "124",
    "025": "125",
    "029": "129",
    "036": "136",
    "039": "139",
    "063": "163",
}
BUYING = frozenset({"020", "022", "023", "039"})
SELLING = frozenset({"024", "025", "063"})
SWITCH = "036"
DIVIDEND_MODE = "029"


@dataclass(frozen=True, slots=True)
class Request:
    """An order as it is to be decided on a day: of a rolled-over one, what is left of it."""

    row: OrderRow
    shares: int

    @property
    def serial(self) -> str:
        """The distributor's number."""
        return self.row.app_sheet_serial_no

    @property
    def kind(self) -> InvestorKind:
        """Whose order it is."""
        is_person = self.row.individual_or_institution == "1"
        return InvestorKind.PERSON if is_person else InvestorKind.INSTITUTION


@dataclass(frozen=True, slots=True)
class Decided:
    """A row as the books have it, the lots it took, and what is left for the next day."""

    row: ConfirmationRow
    kind: InvestorKind = InvestorKind.PERSON
    taken: tuple[Lot, ...] = ()
    left: int = 0


@dataclass(frozen=True, slots=True)
class Days:
    """T, and the day its orders are confirmed."""

    trade: date
    confirm: date


def answer(request: Request, ta_serial: str, days: Days, ta_account: str) -> ConfirmationRow:
    """The row that repeats the order, with nothing confirmed yet."""
    asked = request.row
    return ConfirmationRow(
        app_sheet_serial_no=asked.app_sheet_serial_no,
        ta_serial_no=ta_serial,
        business_code=CONFIRMED_AS.get(asked.business_code, "1" + asked.business_code[1:]),
        fund_code=asked.fund_code,
        transaction_date=days.trade,
        transaction_cfm_date=days.confirm,
        distributor_code=asked.distributor_code,
        ta_account_id=ta_account,
        transaction_account_id=asked.transaction_account_id,
        share_class=asked.share_class,
        transaction_time=asked.transaction_time,
        application_vol=request.shares,
        application_amount=asked.application_amount,
        currency_type=asked.currency_type,
        large_redemption_flag=asked.large_redemption_flag,
        discount_rate_of_commission=asked.discount_rate_of_commission,
        code_of_target_fund=asked.code_of_target_fund,
        def_dividend_method=asked.def_dividend_method,
        ration_protocol_no=asked.ration_protocol_no,
    )


def rejected(row: ConfirmationRow, code: str) -> Decided:
    """A refusal: nothing is confirmed, all of the money goes back."""
    refund = row.application_amount
    told = TOLD.get(code, "")
    return Decided(row._replace(return_code=code, error_detail=told, refund_amount=refund))
