"""All aggregates of funds over one store, and the names under which their events are stored."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, TypeAlias, get_args

from libs.decider import Streams
from libs.event_store import EventStore
from services.funds.domain import (
    advance,
    breaks,
    facility,
    files,
    fund,
    holding,
    holding_lifecycle,
    investor,
    nominee_row,
    order,
    order_lifecycle,
    plan,
    registrar,
    registrar_account,
    ta_day,
    trading_days,
)
from services.funds.domain.product import FundTerms
from services.funds.shapes import ShapeCodec

PACKAGE: Final = "hefu.funds.v1."
# A day's orders are looked at in each of its stages: so many are kept at hand, a few hundred MiB.
ORDERS_KEPT: Final = 120_000


def _named(prefix: str, events: object) -> Mapping[str, type[Any]]:
    """Stored names: the aggregate's own word and the event's. Golden files pin every one."""
    return {prefix + each.__name__: each for each in get_args(events)}


FundStreams: TypeAlias = Streams[fund.Command, fund.Fund, fund.Event]
HoldingStreams: TypeAlias = Streams[
    holding.Command, holding_lifecycle.Holding, holding_lifecycle.Event
]
OrderStreams: TypeAlias = Streams[order.Command, order_lifecycle.Order, order_lifecycle.Event]
InvestorStreams: TypeAlias = Streams[investor.Command, investor.Investor, investor.Event]

RegistrarStreams: TypeAlias = Streams[registrar.Command, registrar.Known, registrar.Event]
TaDayStreams: TypeAlias = Streams[ta_day.Command, ta_day.TaDay, ta_day.Event]
FileStreams: TypeAlias = Streams[files.Command, files.File, files.Event]
BreakStreams: TypeAlias = Streams[breaks.Command, breaks.Break, breaks.Event]
PlanStreams: TypeAlias = Streams[plan.Command, plan.Plan, plan.Event]
FacilityStreams: TypeAlias = Streams[facility.Command, facility.Facility, facility.Event]
AdvanceStreams: TypeAlias = Streams[advance.Command, advance.Advance, advance.Event]
TradingDaysStreams: TypeAlias = Streams[
    trading_days.Command, trading_days.TradingDays, trading_days.Event
]
NomineeRowStreams: TypeAlias = Streams[
    nominee_row.Command, nominee_row.NomineeRow, nominee_row.Event
]
RegistrarAccountStreams: TypeAlias = Streams[
    registrar_account.Command, registrar_account.RegistrarAccount, registrar_account.Event
]

FUNDS: Final[ShapeCodec[fund.Event]] = ShapeCodec(PACKAGE, _named("Fund", fund.Event))
HOLDINGS: Final[ShapeCodec[holding_lifecycle.Event]] = ShapeCodec(
    PACKAGE, _named("Holding", holding_lifecycle.Event)
)
ORDERS: Final[ShapeCodec[order_lifecycle.Event]] = ShapeCodec(
    PACKAGE, _named("FundOrder", order_lifecycle.Event)
)
INVESTORS: Final[ShapeCodec[investor.Event]] = ShapeCodec(
    PACKAGE, _named("FundInvestor", investor.Event)
)
TA_DAYS: Final[ShapeCodec[ta_day.Event]] = ShapeCodec(PACKAGE, _named("TaDay", ta_day.Event))
FILES: Final[ShapeCodec[files.Event]] = ShapeCodec(PACKAGE, _named("TaFile", files.Event))
BREAKS: Final[ShapeCodec[breaks.Event]] = ShapeCodec(PACKAGE, _named("FundBreak", breaks.Event))
PLANS: Final[ShapeCodec[plan.Event]] = ShapeCodec(PACKAGE, _named("Plan", plan.Event))
FACILITIES: Final[ShapeCodec[facility.Event]] = ShapeCodec(
    PACKAGE, _named("AdvanceFacility", facility.Event)
)
ADVANCES: Final[ShapeCodec[advance.Event]] = ShapeCodec(PACKAGE, _named("Advance", advance.Event))
TRADING_DAYS: Final[ShapeCodec[trading_days.Event]] = ShapeCodec(
    PACKAGE, _named("TradingDays", trading_days.Event)
)

REGISTRAR_ACCOUNTS: Final[ShapeCodec[registrar_account.Event]] = ShapeCodec(
    PACKAGE, _named("RegistrarAccount", registrar_account.Event)
)

# One kind of event is no union.
REGISTRARS: Final[ShapeCodec[registrar.Event]] = ShapeCodec(
    PACKAGE, {"RegistrarRegistered": registrar.Registered}
)
NOMINEE_ROWS: Final[ShapeCodec[nominee_row.Event]] = ShapeCodec(
    PACKAGE, {"NomineeRowClaimsFixed": nominee_row.ClaimsFixed}
)


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Streams by category. The names are storage."""

    registrars: RegistrarStreams
    funds: FundStreams
    orders: OrderStreams
    holdings: HoldingStreams
    investors: InvestorStreams
    ta_days: TaDayStreams
    files: FileStreams
    breaks: BreakStreams
    plans: PlanStreams
    facilities: FacilityStreams
    advances: AdvanceStreams
    trading_days: TradingDaysStreams
    nominee_rows: NomineeRowStreams
    registrar_accounts: RegistrarAccountStreams

    @classmethod
    def over(cls, store: EventStore) -> "Aggregates":
        """The aggregates of this store."""
        return cls(
            Streams(store, "registrar", registrar.registrar, REGISTRARS),
            Streams(store, "fund", fund.fund, FUNDS),
            Streams(store, "fund_order", order.order, ORDERS, ORDERS_KEPT),
            Streams(store, "holding", holding.holding, HOLDINGS),
            Streams(store, "fund_investor", investor.investor, INVESTORS),
            Streams(store, "ta_day", ta_day.ta_day, TA_DAYS),
            Streams(store, "ta_file", files.files, FILES),
            Streams(store, "fund_break", breaks.breaks, BREAKS),
            Streams(store, "plan", plan.plan, PLANS),
            Streams(store, "facility", facility.facility, FACILITIES),
            Streams(store, "advance", advance.advance, ADVANCES),
            Streams(store, "trading_days", trading_days.trading_days, TRADING_DAYS),
            Streams(store, "nominee_row", nominee_row.nominee_row, NOMINEE_ROWS),
            Streams(
                store,
                "registrar_account",
                registrar_account.registrar_account,
                REGISTRAR_ACCOUNTS,
            ),
        )

    async def terms_of(self, code: str) -> FundTerms:
        """A fund's set-up as it is now; whoever asks has an order for it, or its file."""
        state = (await self.funds.load(code)).state
        if isinstance(state, fund.Absent):
            raise AssertionError(f"{code} is in no catalogue")  # noqa: TRY004 - a bug of ours
        return state.terms

    async def orders_at_hand(self, ids: Iterable[str]) -> None:
        """Read side by side the orders that are not in memory, as after a start."""
        unknown = [id_ for id_ in ids if self.orders.known(id_) is None]
        await asyncio.gather(*(self.orders.load(id_) for id_ in unknown))


def holding_id(investor_id: str, fund_code: str) -> str:
    """The stream's id of a holding."""
    return f"{investor_id}-{fund_code}"


def ta_day_id(ta_id: str, trade_date: date) -> str:
    """The stream's id of a registrar's trading day."""
    return f"{ta_id}-{trade_date.isoformat()}"


def file_key(ta_id: str, trade_date: date, file_type: str, batch: int) -> str:
    """The stream's id of a file: its key for ever."""
    return f"{ta_id}-{trade_date.isoformat()}-{file_type}-{batch:03d}"
