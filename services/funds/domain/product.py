"""A fund as it is set up: what is published of it, and what of that counts on a day."""

from dataclasses import dataclass
from datetime import date, time
from enum import Enum, auto

from libs.fund_arithmetic import (
    BackEnd,
    DividendMode,
    FeeBand,
    FeeMethod,
    FrontEnd,
    FundType,
    HoldingBand,
    Rounding,
    Scales,
    YearBand,
)
from libs.money import exponent
from libs.suitability import RiskLevel


# Their names are storage.
class RegisterModel(Enum):
    """Who the registrar knows: each investor, or one nominee account of ours."""

    LOOK_THROUGH = auto()
    OMNIBUS = auto()


class FundStatus(Enum):
    RAISING = auto()
    OPEN = auto()
    PAUSED_IN = auto()  # nobody may buy
    PAUSED_OUT = auto()  # nobody may sell
    CLOSED = auto()


class Carry(Enum):
    """When whole cents of a money fund's income become shares."""

    DAILY = auto()
    MONTHLY = auto()


@dataclass(frozen=True, slots=True)
class FeeTable:
    """Fees from a date on, until a later table's; rates and shares in millionths."""

    effective_date: date
    method: FeeMethod
    front: tuple[FeeBand, ...]
    redemption: tuple[HoldingBand, ...] = ()
    back_end: tuple[YearBand, ...] = ()
    discount: int = 1_000_000
    # The part of the front-end fee that is ours.
    agency_share: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Money in minor units, shares at the fund's scale; 0: no limit."""

    first_minor: int = 0
    top_up_minor: int = 0
    redeem_shares: int = 0
    # What would be left below this goes too, or the redemption is refused.
    remaining_shares: int = 0
    sells_remainder: bool = False
    # Of one investor and trade day (限购).
    daily_minor: int = 0
    # Of one investor.
    holding_shares: int = 0
    # Fast redemption of one investor and natural day.
    fast_daily_minor: int = 0
    # Natural days from its registered date in which a lot is not to be redeemed.
    lock_days: int = 0


@dataclass(frozen=True, slots=True)
class Dealing:
    """How a fund trades: a day counts when every exchange named is open."""

    calendars: tuple[str, ...]
    time_zone: str
    # Local seconds of the day; strictly before is in time.
    cut_off_s: int = 54_000
    settle_subscribe_days: int = 1
    settle_redeem_days: int = 2

    @property
    def cut_off(self) -> time:
        return time(self.cut_off_s // 3600, self.cut_off_s // 60 % 60, self.cut_off_s % 60)


class DocumentKind(Enum):
    """The names are storage."""

    PROSPECTUS = auto()
    KEY_FACTS = auto()
    CONTRACT = auto()
    REPORT = auto()
    NOTICE = auto()


@dataclass(frozen=True, slots=True)
class Document:
    """`sha256` is of the bytes behind the link. Of two of a kind and language the later counts."""

    title: str
    link: str
    sha256: str
    kind: DocumentKind | None = None
    language: str = ""
    valid_from: date | None = None


@dataclass(frozen=True, slots=True)
class FundTerms:
    """All that is published of a fund."""

    code: str
    name: str
    ta_id: str
    currency: str
    fund_type: FundType
    risk_level: RiskLevel
    register_model: RegisterModel
    dealing: Dealing
    fee_tables: tuple[FeeTable, ...]
    limits: Limits = Limits()
    share_scale: int = 2
    nav_scale: int = 4
    rounding: Rounding = Rounding.HALF_UP
    default_dividend_mode: DividendMode = DividendMode.CASH
    # Net redemptions above this part of the fund's shares are large; millionths.
    gate: int = 100_000
    carry: Carry = Carry.DAILY
    # Day of the month on which income is carried; counts for MONTHLY, clamped to the month's end.
    carry_day: int = 1
    is_switch_allowed: bool = True
    # The bank that advances fast redemptions; empty: none is offered.
    advancing_bank_id: str = ""
    asks_second_confirmation: bool = False
    # Hours after funding in which a buyer may still withdraw (冷静期).
    cooling_off_h: int = 0
    documents: tuple[Document, ...] = ()

    @property
    def is_money_fund(self) -> bool:
        return self.fund_type is FundType.MONEY_MARKET

    @property
    def is_back_end(self) -> bool:
        return any(table.method is FeeMethod.BACK_END for table in self.fee_tables)

    @property
    def scales(self) -> Scales:
        return Scales(exponent(self.currency), self.share_scale, self.nav_scale, self.rounding)

    def fees_on(self, day: date) -> FeeTable:
        """The table of a day; before the first one, the first."""
        known = [table for table in self.fee_tables if table.effective_date <= day]
        tables = known or self.fee_tables
        return max(tables, key=lambda each: each.effective_date) if known else tables[0]

    def front_end_on(self, day: date) -> FrontEnd:
        table = self.fees_on(day)
        return FrontEnd(table.method, table.front, table.discount)

    def back_end_on(self, day: date) -> BackEnd:
        table = self.fees_on(day)
        return BackEnd(table.redemption, table.back_end)
