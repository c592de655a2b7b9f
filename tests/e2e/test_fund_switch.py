"""A switch from a fund of one registrar to a fund of another, both of them real processes."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as funds
from hefu.registrar.v1 import sample_registrar_pb2 as registrar
from libs.cli.fund_investors import Investor, people
from libs.cli.fund_link import FundLink, connect_funds
from libs.cli.fund_market import EARLY, MORNING, Market, Session, cut_off, instant
from libs.cli.fund_play import FundPlay
from libs.cli.fund_settling import Settling
from libs.cli.fund_setup import SetUp
from libs.cli.partners import register_partners
from libs.client.fund_terms import subscribe, switch
from libs.fund_samples import load_samples
from libs.ids import new_id
from libs.money import Money
from libs.supervisor import BankSpec, RegistrarSpec, System, start
from tests.e2e.conftest import World

pytestmark = [pytest.mark.timeout(600), pytest.mark.full]

CURRENCY = "CZK"
BANKS = ("AB", "DE")
# Each banks elsewhere, and keeps one open-end fund.
LEFT, ENTERED = "HFTA", "HFTB"
FUNDS = {LEFT: "VLUE01", ENTERED: "USMV01"}
FIRST, LAST = date(2015, 1, 5), date(2015, 1, 30)
WAIT_S = 120.0


@dataclass
class TwoRegistrars:
    """A running system, one investor, and the sessions not played yet."""

    system: System
    link: FundLink
    plays: dict[str, FundPlay]
    investor: Investor
    sessions: list[Session]

    async def place(self, terms: events_pb2.FundOrderTerms) -> str:
        """An order of the next session's morning, accepted."""
        await self.plays[LEFT].clock(instant(self.sessions[0].day, MORNING))
        order_id = str(new_id())
        request = funds.PlaceOrderRequest(order_id=order_id, terms=terms)
        await self.link.orders.PlaceOrder(request)
        await self.until(order_id, funds.FUND_ORDER_STATE_ACCEPTED)
        return order_id

    async def day(self) -> Session:
        """The next session with both registrars, and what it moves is settled with the banks."""
        session = self.sessions.pop(0)
        told = session.day.isoformat()
        await self.plays[LEFT].clock(cut_off(session.day))
        for ta_id, play in self.plays.items():
            await self.link.desk.RunCutOff(funds.RunCutOffRequest(ta_id=ta_id, trade_date=told))
            await play.reached(session.day, funds.TA_DAY_STATE_ACKNOWLEDGED)
            night = registrar.RunDayRequest(
                trade_date=told,
                confirm_date=session.confirm.isoformat(),
                prices=play.market.prices(session.day),
            )
            await self.link.registrars[ta_id].RunDay(night)
        await self.plays[LEFT].clock(instant(session.confirm, EARLY))
        for play in self.plays.values():
            await play.reached(session.day, funds.TA_DAY_STATE_RECONCILED)
        return session

    async def until(
        self, order_id: str, state: "funds.FundOrderState.ValueType"
    ) -> funds.FundOrder:
        """Wait until an order is at a state, or past it; windows are settled meanwhile."""
        async with asyncio.timeout(WAIT_S):
            while True:
                order = (
                    await self.link.orders.GetOrder(funds.GetOrderRequest(order_id=order_id))
                ).order
                if order.state >= state:
                    return order
                await self.plays[LEFT].settle()
                await asyncio.sleep(0.1)  # other processes work; there is no event to wait for

    async def shares(self, code: str) -> int:
        """What the investor holds of a fund."""
        request = funds.GetHoldingRequest(investor_id=self.investor.owner, fund_code=code)
        return (await self.link.orders.GetHolding(request)).holding.shares

    async def tie_out(self, session: Session) -> list[str]:
        """What does not tie out, with either."""
        for play in self.plays.values():
            await play.tie_out(session.day)
        return [fault for play in self.plays.values() for fault in play.tally.faults]


@asynccontextmanager
async def two_registrars(folder: Path) -> AsyncIterator[TwoRegistrars]:
    specs = [RegistrarSpec(LEFT, BANKS[0], CURRENCY), RegistrarSpec(ENTERED, BANKS[1], CURRENCY)]
    system = await start(
        folder / "run",
        banks=[BankSpec(bank, CURRENCY) for bank in BANKS],
        manners="clean",
        port_offset=None,
        fresh=True,
        registrars=specs,
    )
    try:
        async with connect_funds(system.run_dir, system.running) as link:
            yield await _set_up(system, link)
    finally:
        await system.stop()


async def _set_up(system: System, link: FundLink) -> TwoRegistrars:
    await register_partners(link.link, system)
    settling = Settling(link.link, datetime.now(UTC).date())
    samples = {fund.code: fund for fund in load_samples()}
    plays: dict[str, FundPlay] = {}
    investors: Sequence[Investor] = people(["T0001"], "two registrars")
    with Progress(console=Console(quiet=True)) as progress:
        set_up = SetUp(link, progress, CURRENCY, BANKS)
        for known in system.running.registrars:
            kept = [samples[FUNDS[known.registrar_id]]]
            await set_up.registrar(known, kept)
            market = Market(kept)
            plays[known.registrar_id] = FundPlay(
                link, market, known.registrar_id, CURRENCY, settling, has_plans=False
            )
        sessions = plays[LEFT].market.sessions(FIRST, LAST)
        await plays[LEFT].clock_at(sessions[0])
        await set_up.investors(investors, date(2099, 12, 31))
    return TwoRegistrars(system, link, plays, investors[0], list(sessions))


async def test_what_is_redeemed_at_one_registrar_buys_at_the_other_and_a_trace_shows_both(
    tmp_path: Path,
) -> None:
    async with two_registrars(tmp_path) as world:
        owner, wallet = world.investor.owner, world.investor.wallet(CURRENCY)
        amount = Money(CURRENCY, 1_000_000)
        bought = await world.place(subscribe(owner, wallet, FUNDS[LEFT], amount))
        await world.day()
        await world.until(bought, funds.FUND_ORDER_STATE_SETTLED)
        held = await world.shares(FUNDS[LEFT])
        assert held > 0

        switched = await world.place(switch(owner, wallet, FUNDS[LEFT], FUNDS[ENTERED], held))
        await world.day()
        # The registrar pays two sessions after; what has come buys on the day it comes.
        await world.day()
        left = await world.until(switched, funds.FUND_ORDER_STATE_SETTLED)
        (entry,) = left.entry_order_ids
        await world.until(entry, funds.FUND_ORDER_STATE_ACCEPTED)
        await world.day()
        entered = await world.until(entry, funds.FUND_ORDER_STATE_SETTLED)

        assert entered.terms.switch_id == switched
        assert (left.ta_id, entered.ta_id) == (LEFT, ENTERED)
        assert entered.terms.subscription.amount.minor_units == left.confirmed_minor
        assert await world.shares(FUNDS[LEFT]) == 0
        assert await world.shares(FUNDS[ENTERED]) == entered.confirmed_shares > 0
        assert await world.tie_out(await world.day()) == []

        traced = await World(world.system, tmp_path).hefu("trace", switched, "--json")
        assert traced.code == 0, traced.output
        told = [json.loads(line) for line in traced.output.splitlines()]
        placed = [each["detail"] for each in told if each["what"] == "FundOrderPlaced"]
        assert {each["order_id"]: each["ta_id"] for each in placed} == {
            switched: LEFT,
            entry: ENTERED,
        }
        # The registrar that is left has paid, and the one that is entered was paid.
        assert sum(each["what"] == "PaymentRequested" for each in told) == len(FUNDS)
