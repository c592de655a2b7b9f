"""What the stories of funds have in common: one fund of each sort, one investor, one order each."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from libs.fund_arithmetic import (
    DividendMode,
    FeeBand,
    FeeMethod,
    FundType,
    HoldingBand,
    InvestorKind,
)
from libs.money import Money
from libs.suitability import InvestorClass, RiskLevel
from services.funds.domain import fund as funds
from services.funds.domain.expectation import Expected
from services.funds.domain.fund import Listed, Nav
from services.funds.domain.holding import AddLot, holding
from services.funds.domain.holding_lifecycle import Holding
from services.funds.domain.investor import ClassRecorded, Investor
from services.funds.domain.order import Place, decide
from services.funds.domain.order_lifecycle import (
    Absent,
    Accepted,
    AdvancePaid,
    Batched,
    Event,
    Funded,
    LimitReserved,
    MoneyHeld,
    Received,
    SharesFrozen,
)
from services.funds.domain.order_placing import Setting
from services.funds.domain.order_terms import (
    Confirmation,
    DividendModeChange,
    FastRedemption,
    Kind,
    Redemption,
    RegistrarMovement,
    Subscription,
    Switching,
    Terms,
    confirmed_as,
)
from services.funds.domain.product import (
    Dealing,
    FeeTable,
    FundStatus,
    FundTerms,
    Limits,
    RegisterModel,
)

ORDER_ID = "019a0a00-0000-7000-8000-000000000001"
REQUEST_ID = "019a0a00-0000-7000-8000-0000000000ff"
SERIAL = "06H027TPTHPOL66ONBGR06RM"
CALLER = "wallet-app"
INVESTOR_ID = "owner-1"
WALLET = "019a0a00-0000-7000-8000-00000000aaaa"
# Inside ORDER_ID, in microseconds.
PLACE_US = 0x019A0A000000 * 1000
TODAY, T, CONFIRM_DAY, SETTLE_DAY = (
    date(2025, 10, 22),
    date(2025, 10, 22),
    date(2025, 10, 23),
    date(2025, 10, 24),
)
NEXT_T = date(2025, 10, 23)
CUT_OFF_US = PLACE_US + 3_600_000_000
NAV = 1_0025

FUND = FundTerms(
    "000001",
    "Broad Equity",
    "HFTA",
    "CNY",
    FundType.EQUITY,
    RiskLevel.R3,
    RegisterModel.LOOK_THROUGH,
    Dealing(("XSHG",), "Asia/Shanghai"),
    (
        FeeTable(
            date(2000, 1, 1),
            FeeMethod.OUTSIDE,
            (FeeBand(0, 8_000),),
            (HoldingBand(0, 5_000), HoldingBand(365, 0)),
            agency_share=1_000_000,
        ),
    ),
    Limits(first_minor=1_000, top_up_minor=1_00, redeem_shares=10_00, remaining_shares=50_00),
)
TARGET = replace(FUND, code="000002", name="Target", risk_level=RiskLevel.R2)
ABROAD = replace(TARGET, ta_id="OTHER")
MONEY = replace(
    FUND,
    code="000003",
    name="Purse",
    fund_type=FundType.MONEY_MARKET,
    risk_level=RiskLevel.R1,
    fee_tables=(FeeTable(date(2000, 1, 1), FeeMethod.OUTSIDE, (FeeBand(0, 0),)),),
    limits=Limits(fast_daily_minor=10_000_00),
    advancing_bank_id="CD",
)
PROFILE = ClassRecorded(
    InvestorClass.C3, InvestorKind.PERSON, date(2026, 6, 30), "profile-7", "recommendations"
)
INVESTOR = Investor(PROFILE)

BUY = Subscription("000001", Money("CNY", 10_000_00))
SELL = Redemption("000001", 1_000_00)
SWITCH = Switching("000001", "000002", 1_000_00)
# From one registrar to another.
CROSS = Redemption("000001", 1_000_00, target_code="000002")
MODE = DividendModeChange("000001", DividendMode.REINVEST)
FAST = FastRedemption("000003", 6_000_00)
DIVIDEND = RegistrarMovement("000001", "143")


def listed(terms: FundTerms = FUND, status: FundStatus = FundStatus.OPEN) -> Listed:
    return Listed(terms, 1, status, navs=(Nav(T - timedelta(days=1), NAV),))


def held(shares: int = 2_000_00, since: date = date(2025, 1, 6)) -> Holding:
    lot = AddLot("before", "r0", shares, since, since, shares, 1_0000)
    return holding.fold(Holding(), list(holding.decide(lot, Holding())))


def setting(
    fund: funds.Fund | None = None,
    holding_: Holding | None = None,
    investor: Investor = INVESTOR,
    trade_date: date | None = T,
    target: funds.Fund | None = None,
) -> Setting:
    return Setting(
        fund if fund is not None else listed(),
        holding_ if holding_ is not None else held(),
        investor,
        TODAY,
        trade_date,
        target if target is not None else listed(TARGET),
    )


def setting_of(kind: Kind) -> Setting:
    return setting(
        listed(MONEY) if isinstance(kind, FastRedemption) else None,
        held(8_000_00) if isinstance(kind, FastRedemption) else None,
        target=listed(ABROAD) if kind == CROSS else None,
    )


def terms(kind: Kind, **changes: str) -> Terms:
    return replace(Terms(INVESTOR_ID, WALLET, kind), **changes)  # type: ignore[arg-type]


def place(asked: Terms, within: Setting | None = None) -> Place:
    return Place(ORDER_ID, asked, CALLER, PLACE_US, SERIAL, within or setting_of(asked.kind))


def placed(kind: Kind, within: Setting | None = None) -> list[Event]:
    return list(decide(place(terms(kind), within), Absent()))


HELD = MoneyHeld(11)
FUNDED = Funded(12, PLACE_US + 2_000_000)
FROZEN = SharesFrozen(PLACE_US + 1_000_000)
ADVANCED = AdvancePaid("advance-1", PLACE_US + 3_000_000)
RESERVED = LimitReserved()
ACCEPTED = Accepted(T, CONFIRM_DAY, SETTLE_DAY, PLACE_US + 3_000_000, CUT_OFF_US)
BATCHED = Batched("HFTA/2025-10-22/03/1", 7)
RECEIVED = Received()


def accepted(kind: Kind) -> list[Event]:
    """A history up to the trade day."""
    match kind:
        case Subscription():
            way: list[Event] = [HELD, FUNDED]
        case DividendModeChange():
            way = []
        case FastRedemption():
            way = [FROZEN, ADVANCED]
        case _:
            way = [FROZEN]
    return [*placed(kind), *way, ACCEPTED]


def sent(kind: Kind) -> list[Event]:
    """A history up to the registrar's acknowledgement."""
    return [*accepted(kind), BATCHED, RECEIVED]


def row(kind: Kind, **changes: object) -> Confirmation:
    """What a registrar that agrees answers."""
    code = (
        kind.business_code
        if isinstance(kind, RegistrarMovement)
        else confirmed_as(_CODES[type(kind)])
    )
    usual = Confirmation("TA0001", code, kind.fund_code, T, CONFIRM_DAY, NAV, 0, 0)
    match kind:
        case Subscription():
            usual = replace(
                usual,
                shares=9_895_89,
                amount_minor=10_000_00,
                fee_minor=79_37,
                agency_fee_minor=79_37,
            )
        case Redemption():
            usual = replace(usual, shares=1_000_00, amount_minor=997_49, fee_minor=5_01)
        case FastRedemption():
            usual = replace(usual, shares=6_000_00, amount_minor=6_000_00, nav=1_0000)
        case Switching():
            usual = replace(
                usual,
                shares=1_000_00,
                amount_minor=997_49,
                fee_minor=5_01,
                target_code="000002",
                target_nav=1_3000,
                target_shares=767_30,
            )
        case RegistrarMovement():
            usual = replace(usual, amount_minor=70_00)
    return replace(usual, **changes)  # type: ignore[arg-type]


_CODES: dict[type, str] = {
    Subscription: "022",
    Redemption: "024",
    FastRedemption: "024",
    Switching: "036",
    DividendModeChange: "029",
}


def expected(answer: Confirmation) -> Expected:
    """An expectation that agrees with a row."""
    return Expected(
        answer.nav,
        answer.shares,
        answer.amount_minor,
        answer.fee_minor,
        answer.back_end_minor,
        answer.target_nav,
        answer.target_shares,
        answer.recuperate_fee_minor,
    )


def kinds() -> Sequence[Kind]:
    return (BUY, SELL, SWITCH, CROSS, MODE, FAST)
