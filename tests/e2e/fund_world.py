"""A whole system with funds and a registrar, and fund days played on it part by part."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as funds
from hefu.funds.v1.funds_pb2_grpc import FundDayServiceStub
from hefu.registrar.v1 import sample_registrar_pb2 as registrar
from libs.cli.fund_investors import Investor, people
from libs.cli.fund_link import FundLink, connect_funds
from libs.cli.fund_market import Market, Session
from libs.cli.fund_play import FundPlay
from libs.cli.fund_settling import Settling
from libs.cli.fund_setup import SetUp
from libs.cli.partners import register_partners
from libs.cli.system import REGISTRAR
from libs.fund_samples import load_samples
from libs.grpc_client import open_channel
from libs.ids import new_id
from libs.supervisor import BankSpec, RegistrarSpec, System, start

if TYPE_CHECKING:
    from hefu.funds.v1.funds_pb2_grpc import FundDayServiceAsyncStub
    from hefu.registrar.v1.sample_registrar_pb2_grpc import SampleRegistrarServiceAsyncStub

BANKS = ("AB", "DE")
CURRENCY = "CZK"
FIRST = date(2015, 1, 5)
LAST = date(2015, 3, 31)
WAIT_S = 120.0
MONEY_FUND = "MM0001"
# Of whose orders a corrected price is to be: a redemption's money differs then, too.
_WEIGHTS = {"subscription": 1, "switching": 1, "redemption": 100}


@dataclass
class FundWorld:
    """A running system, its investors, and the sessions not played yet."""

    system: System
    link: FundLink
    play: FundPlay
    checker: "FundDayServiceAsyncStub"
    investors: Sequence[Investor]
    sessions: list[Session]
    played: list[Session] = field(default_factory=list)

    @property
    def registrar(self) -> "SampleRegistrarServiceAsyncStub":
        """The sample registrar's own handle."""
        return self.link.registrars[REGISTRAR]

    def next_session(self) -> Session:
        """The next one; from now on it is played."""
        session = self.sessions.pop(0)
        self.played.append(session)
        return session

    async def day(self, *, newcomers: bool = True) -> Session:
        """A session without a fault, up to its tie-out."""
        session = self.next_session()
        await self.play.play(session, self.investors, self.investors if newcomers else ())
        return session

    async def plan(self, session: Session, fault: str, fund_code: str = "") -> None:
        """Let something go wrong on a session, with a fund where one is told."""
        planned = registrar.PlannedFault(
            trade_date=session.day.isoformat(),
            fault=registrar.Fault.Value(f"FAULT_{fault}"),
            fund_code=fund_code,
        )
        await self.registrar.PlanFaults(registrar.PlanFaultsRequest(faults=[planned]))

    async def faulty(self, fault: str) -> Session:
        """A session on which something goes wrong, up to the next morning."""
        session = self.next_session()
        await self.plan(session, fault)
        await self.play.trade(session, self.investors, self.investors)
        await self.play.night(session)
        return session

    async def reconciled(self, session: Session) -> None:
        """Wait until a session is."""
        await self.play.reached(session.day, funds.TA_DAY_STATE_RECONCILED)

    async def corrected(self, session: Session) -> None:
        """The registrar tells right what it told wrong."""
        request = registrar.CorrectRowsRequest(trade_date=session.day.isoformat())
        await self.registrar.CorrectRows(request)

    async def price_corrected(self, session: Session) -> str:
        """The registrar has priced a fund wrongly, and says so after all is done.

        Answers the fund: of most orders, and rather one from which money goes out.
        """
        orders = [o for o in self.play.orders.values() if o.trade_date == session.day.isoformat()]
        dealt: Counter[str] = Counter()
        for order in orders:
            kind = order.terms.WhichOneof("kind") or ""
            if order.confirmed_shares and kind in _WEIGHTS:
                dealt[getattr(order.terms, kind).fund_code] += _WEIGHTS[kind]
        prices = {each.fund_code: each.nav for each in self.play.market.prices(session.day)}
        code = max(prices, key=lambda each: dealt[each])
        request = registrar.CorrectPriceRequest(
            fund_code=code, trade_date=session.day.isoformat(), nav=prices[code] * 102 // 100
        )
        done = await self.registrar.CorrectPrice(request)
        assert done.amended > 0
        return code

    async def breaks(self) -> list[funds.FundBreak]:
        """What stands open, and waits for somebody: an advance is offered again by itself."""
        return [each for each in await self.standing() if _type(each) != "ADVANCE_UNPAID"]

    async def standing(self) -> list[funds.FundBreak]:
        """All that stands open."""
        request = funds.ListFundBreaksRequest(ta_id=REGISTRAR, open_only=True, page_size=500)
        return list((await self.link.desk.ListFundBreaks(request)).breaks)

    async def quiet(self, *orders: events_pb2.FundOrderTerms, fault: str = "") -> list[str]:
        """A session of these orders alone; where `fault` is told, it is of their fund."""
        session = self.next_session()
        placed = [str(new_id()) for _ in orders]
        for order_id, terms in zip(placed, orders, strict=True):
            request = funds.PlaceOrderRequest(order_id=order_id, terms=terms)
            await self.link.orders.PlaceOrder(request)
            await self.until_order(order_id, funds.FUND_ORDER_STATE_ACCEPTED)
        if fault:
            await self.plan(session, fault, MONEY_FUND)
        await self.play.trade(session, ())
        await self.play.night(session)
        await self.reconciled(session)
        return placed

    async def until_order(
        self, order_id: str, state: "funds.FundOrderState.ValueType"
    ) -> funds.FundOrder:
        """Wait until an order is at a state, or past it; windows are settled meanwhile."""
        async with asyncio.timeout(WAIT_S):
            while True:
                request = funds.GetOrderRequest(order_id=order_id)
                order = (await self.link.orders.GetOrder(request)).order
                if order.state >= state:
                    return order
                await self.play.settle()
                await asyncio.sleep(0.1)  # other processes work; there is no event to wait for

    async def until_breaks(self, *types: str) -> list[funds.FundBreak]:
        """Wait until breaks of these types stand, and no others."""
        wanted = set(types)
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.breaks()
                if {_type(each) for each in found} == wanted:
                    return found
                await asyncio.sleep(0.1)  # another process works; there is no event to wait for

    async def some_breaks(self, fund_code: str = "") -> list[funds.FundBreak]:
        """Wait until some stand, of a fund where one is told."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.breaks()
                if any(each.fund_code == fund_code or not fund_code for each in found):
                    return found
                await asyncio.sleep(0.1)  # as above

    async def is_even(self) -> bool:
        """Whether units tie out with the registrar's own books right now."""
        found = await self.link.desk.GetFundTieOut(funds.GetFundTieOutRequest(ta_id=REGISTRAR))
        return all(unit.ties_out for unit in found.units)

    async def repair(self, found: funds.FundBreak, repair: str) -> None:
        """One operator proposes how a break ends, another approves."""
        proposal = str(new_id())
        await self.link.desk.ProposeRepair(
            funds.ProposeRepairRequest(
                break_id=found.break_id,
                proposal_id=proposal,
                repair=events_pb2.Repair.Value(f"REPAIR_{repair}"),
                note="as the registrar says",
            )
        )
        await self.checker.ApproveRepair(
            funds.ApproveRepairRequest(break_id=found.break_id, proposal_id=proposal)
        )

    async def ties_out(self) -> None:
        """Units and cash, and no break is left."""
        self.play.tally.faults.clear()
        found = await self.play.tie_out(self.played[-1].day)
        assert self.play.tally.faults == [], self.play.tally.faults
        assert all(unit.ties_out for unit in found.units), found
        assert all(cash.ties_out for cash in found.cash), found
        left = await self.breaks()
        assert left == [], left


def _type(found: funds.FundBreak) -> str:
    return events_pb2.BreakType.Name(found.type).removeprefix("BREAK_TYPE_")


async def started(folder: Path, manners: str = "clean") -> System:
    """A fresh system with two banks and a registrar, on free ports."""
    return await start(
        folder / "run",
        banks=[BankSpec(bank, CURRENCY) for bank in BANKS],
        manners=manners,
        port_offset=None,
        fresh=True,
        registrars=[RegistrarSpec(REGISTRAR, BANKS[0], CURRENCY)],
    )


@asynccontextmanager
async def open_fund_world(system: System, investors: int = 12) -> AsyncIterator[FundWorld]:
    """Everything set up, and nothing played yet."""
    samples = load_samples()
    market = Market(samples)
    sessions = market.sessions(FIRST, LAST)
    run_dir = system.run_dir
    async with connect_funds(run_dir, system.running) as link, _checker(system) as checker:
        await register_partners(link.link, system)
        settling = Settling(link.link, datetime.now(UTC).date())
        play = FundPlay(link, market, REGISTRAR, CURRENCY, settling, is_lively=True)
        known = people([f"T{number:04d}" for number in range(investors)], "tests")
        with Progress(console=Console(quiet=True)) as progress:
            set_up = SetUp(link, progress, CURRENCY, BANKS)
            await set_up.registrar(system.running.registrars[0], samples)
            await play.clock_at(sessions[0])
            await set_up.investors(known, date(2099, 12, 31))
        watching = asyncio.create_task(play.watch(await link.link.store.head()))
        try:
            yield FundWorld(system, link, play, checker, known, list(sessions))
        finally:
            watching.cancel()


@asynccontextmanager
async def _checker(system: System) -> AsyncIterator["FundDayServiceAsyncStub"]:
    """A second operator."""
    identity = system.run_dir / "identities" / "checker"
    async with open_channel(system.running.addresses["funds"], identity) as channel:
        yield FundDayServiceStub(channel)
