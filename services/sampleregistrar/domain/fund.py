"""A fund as its registrar knows it, and what its arithmetic needs to be told."""

from dataclasses import dataclass
from datetime import date

from libs.fund_arithmetic import (
    FeeBand,
    FeeMethod,
    FrontEnd,
    FundType,
    HoldingBand,
    InvestorKind,
    Rounding,
    Scales,
    Terms,
    rules_on,
)
from libs.fund_arithmetic.redeeming import BackEnd

GATE_PPM = 100_000
# Shares have two decimals here, prices four, money two.
SHARE_SCALE = 2
NAV_SCALE = 4


@dataclass(frozen=True, slots=True)
class Fund:
    """Rates in millionths, amounts in minor units."""

    code: str
    currency: str
    is_omnibus: bool
    fund_type: FundType
    method: FeeMethod
    rounding: Rounding
    front_bands: tuple[FeeBand, ...]
    redemption_bands: tuple[HoldingBand, ...]
    agency_share_ppm: int
    gate_ppm: int = GATE_PPM

    @property
    def is_money_market(self) -> bool:
        """Whether it is priced at 1.00 and credits income."""
        return self.fund_type is FundType.MONEY_MARKET

    @property
    def scales(self) -> Scales:
        """Decimals and rounding."""
        return Scales(2, SHARE_SCALE, NAV_SCALE, self.rounding)

    def front_end(self, discount_ppm: int) -> FrontEnd:
        """The fee on the way in, at an order's discount."""
        return FrontEnd(self.method, self.front_bands, discount_ppm)

    def redemption_terms(self, on: date, kind: InvestorKind) -> Terms:
        """What a redemption confirmed on a date costs."""
        bands = BackEnd(self.redemption_bands)
        return Terms(bands, self.fund_type, kind, rules_on(on), self.scales)

    def agency_fee(self, charge: int) -> int:
        """The distributor's part of a fee, in minor units, rounded down."""
        return charge * self.agency_share_ppm // 1_000_000
