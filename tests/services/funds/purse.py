"""A money-market fund whose units pay at once, a bank that advances it, and who holds them."""

from datetime import date

from libs.decider import Cause
from libs.fund_arithmetic import FeeBand, FeeMethod, FundType
from libs.ids import account_id_of
from libs.registrar_files import PriceRow
from libs.suitability import RiskLevel
from services.funds.domain import facility as facilities
from services.funds.domain.product import FeeTable, FundTerms, Limits
from services.funds.parts import Parts
from tests.services.funds.dealing import BUY, cut_off, place
from tests.services.funds.scripted import FUND, Scripted, set_up, terms
from tests.services.funds.worlds import CURRENCY, World, at

AFTER = date(2026, 9, 29)
ADVANCED = str(account_id_of("advance:CD", "ADVANCE", CURRENCY))
FACILITY = facilities.Terms("CD", CURRENCY, "CD00ADVANCE", 10_000_000)


def money_fund() -> FundTerms:
    return terms(
        fund_type=FundType.MONEY_MARKET,
        risk_level=RiskLevel.R1,
        fee_tables=(FeeTable(date(2020, 1, 1), FeeMethod.OUTSIDE, (FeeBand(0, 0),)),),
        limits=Limits(fast_daily_minor=1_000_000),
        advancing_bank_id="CD",
    )


async def own_money(world: World, parts: Parts, registrar: Scripted) -> None:
    """8,000.00 of a money fund, registered on the confirm date."""
    await set_up(parts, money_fund())
    await parts.aggregates.facilities.transact(
        f"CD-{CURRENCY}", facilities.OpenFacility(FACILITY, "operator"), Cause("open")
    )
    await place(world, parts, BUY)
    await cut_off(world, parts)
    (order,) = registrar.orders()
    await registrar.hand_in(parts, {"07": [PriceRow(FUND, registrar.trade_date, 10_000)]})
    world.now_us = at("2026-09-28 09:00")
    row = registrar.bought(order, 1_000_000, 0, nav=10_000)
    await registrar.hand_in(parts, {"04": [row], "05": [registrar.balance(1_000_000)]})
    await world.until_order(1, "Settled")


def income(day: date, per_10k: int) -> PriceRow:
    return PriceRow(FUND, day, 10_000, fund_income=per_10k)
