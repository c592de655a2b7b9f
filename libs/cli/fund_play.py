"""Fund days played through the public interfaces alone, each to its tie-out."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from rich.progress import Progress

from hefu.funds.v1 import events_pb2 as funds_events
from hefu.funds.v1 import funds_pb2 as funds
from hefu.registrar.v1 import sample_registrar_pb2 as registrar
from libs.cli.fund_investors import Day, Investor, Wish
from libs.cli.fund_link import FundLink
from libs.cli.fund_market import EARLY, MORNING, Market, Session, cut_off, instant
from libs.cli.fund_settling import Settling
from libs.cli.fund_setup import money_of
from libs.client.calls import patiently
from libs.client.errors import HefuError, is_transient
from libs.fund_samples import SampleFund
from libs.money import Money

if TYPE_CHECKING:
    from hefu.registrar.v1.sample_registrar_pb2_grpc import SampleRegistrarServiceAsyncStub

ORDERS_AT_ONCE = 500
STUCK_S = 120.0
# How long money may be on its way from one book to the next.
EVEN_S = 10.0
# How long the banks' part of a day's cash takes.
SETTLE_S = 8.0
# Sessions after the last one in which all cash must be where it belongs.
QUIET_MAX = 5
_PAUSE_S = 0.05
_STREAM_S = 300.0
_PAGE = 1_000
_RUN_TENTHS = 9
# Past the acceptance: nothing of the day changes it any more before the cut-off.
_TAKEN = frozenset(
    {
        funds.FUND_ORDER_STATE_ACCEPTED,
        funds.FUND_ORDER_STATE_BATCHED,
        funds.FUND_ORDER_STATE_TA_RECEIVED,
        funds.FUND_ORDER_STATE_PRICED,
        funds.FUND_ORDER_STATE_PARTIALLY_CONFIRMED,
        funds.FUND_ORDER_STATE_ROLLED_OVER,
        funds.FUND_ORDER_STATE_CONFIRMED,
        funds.FUND_ORDER_STATE_SETTLED,
        funds.FUND_ORDER_STATE_AMENDED,
        funds.FUND_ORDER_STATE_CANCELLED,
        funds.FUND_ORDER_STATE_REJECTED,
    }
)


class FundDayStuck(Exception):
    """The day did not get on within its patience; the message says what it waited for."""


@dataclass(slots=True)
class Tally:
    """What was counted while the days were played."""

    kinds: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    plan_orders: int = 0
    plans_skipped: int = 0
    dividends: int = 0
    gates: int = 0
    forced: int = 0
    settlements: int = 0
    tie_outs: int = 0
    faults: list[str] = field(default_factory=list)
    # Where the time went, in seconds by part of the day.
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Count the time of a block under a part's name."""
        begun = time.monotonic()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - begun


class FundPlay:
    """Plays sessions one after the other. All ids depend on names and dates alone."""

    def __init__(
        self,
        link: FundLink,
        market: Market,
        ta_id: str,
        currency: str,
        settling: Settling,
        *,
        seed: str = "hefu",
        is_lively: bool = False,
        has_plans: bool = True,
    ) -> None:
        self._link = link
        self.market = market
        self._ta_id = ta_id
        self._currency = currency
        self._settling = settling
        self._seed = seed
        self._is_lively = is_lively
        self._has_plans = has_plans
        self.tally = Tally()
        self.orders: dict[str, funds.FundOrder] = {}
        self._changed = asyncio.Event()
        self._plan_orders_seen: set[str] = set()
        self._first = True

    async def watch(self, after: int) -> None:
        """Follow orders as they change, for ever."""
        while True:
            request = funds.WatchOrdersRequest(after_position=after)
            try:
                async for change in self._link.orders.WatchOrders(request, timeout=_STREAM_S):
                    self._keep(change.order)
                    after = change.position
            except grpc.aio.AioRpcError as error:
                if not is_transient(error):
                    raise
                await asyncio.sleep(_PAUSE_S)

    async def play(
        self, session: Session, investors: Sequence[Investor], buyers: Sequence[Investor] = ()
    ) -> None:
        """One session: orders, cut-off, the registrar's night, the books. Raises `FundDayStuck`.

        `buyers` buy besides those whose day it is.
        """
        await self.trade(session, investors, buyers)
        with self.tally.timing("registrar"):
            await self.night(session)
        with self.tally.timing("booking"):
            await self.reached(session.day, funds.TA_DAY_STATE_RECONCILED)
        with self.tally.timing("tie-out"):
            await self.tie_out(session.day)

    async def trade(
        self, session: Session, investors: Sequence[Investor], buyers: Sequence[Investor] = ()
    ) -> None:
        """Orders and plans of a session, up to the registrar's acknowledgement."""
        day, timing = self._planned(session), self.tally.timing
        await self.clock(instant(session.day, MORNING))
        with timing("plans"):
            plans = await self._plans(session.day)
        with timing("orders"):
            wishes = await self._wishes(day, investors, buyers)
            placed = await self._place(wishes)
        with timing("acceptance"):
            await self._taken(placed, plans)
        with timing("cut-off"):
            await self.clock(cut_off(session.day))
            await self._cut_off(session.day)
            await self.reached(session.day, funds.TA_DAY_STATE_ACKNOWLEDGED)

    async def night(self, session: Session) -> None:
        """The registrar prices and decides; the next morning has come."""
        await self._run_registrar(self._planned(session), session)
        await self.clock(instant(session.confirm, EARLY))

    def _planned(self, session: Session) -> Day:
        return Day(session.day, session.ordinal, self._seed, self._is_lively)

    async def clock(self, to: Timestamp) -> None:
        """Move the funds' clock."""
        request = funds.SetFundClockRequest(now_time=to)
        await patiently(lambda: self._link.desk.SetFundClock(request))

    async def clock_at(self, session: Session) -> None:
        """Bring the funds' clock to a session's morning, where it is not past it."""
        now = await patiently(lambda: self._link.desk.GetFundClock(funds.GetFundClockRequest()))
        if not now.is_simulated:
            raise FundDayStuck("the funds keep real time here: their clock cannot be moved")
        try:
            await self.clock(instant(session.day, EARLY))
        except HefuError as error:
            if error.reason != "CLOCK_ONLY_FORWARD":
                raise
            stands = now.now_time.ToDatetime().isoformat(" ", "minutes")
            raise FundDayStuck(
                f"the funds' clock stands at {stands} UTC and only goes forward: "
                "`--fresh` begins anew, or choose a later day"
            ) from error

    async def settle(self) -> int:
        """Settle what the banks' windows hold."""
        done = await self._settling.round()
        self.tally.settlements += done
        return done

    async def finish(self, sessions: Sequence[Session], progress: Progress) -> None:
        """Go on through quiet sessions until the cash of every day is settled with the banks.

        Redemptions are paid some sessions later, and what was gated later still. Raises
        `FundDayStuck`.
        """
        left = [session.day for session in sessions]
        bar = progress.add_task("cash settled with the banks", total=len(left))
        last = sessions[-1]
        for _ in range(QUIET_MAX):
            last = self.market.sessions(last.confirm, last.confirm)[0]
            await self._quiet(last)
            left = await self._unsettled([*left, last.day], is_patient=False)
            progress.update(bar, completed=len(sessions) - len(set(left) - {last.day}))
            if not left:
                return
        await self._unsettled(left, is_patient=True)

    async def _quiet(self, session: Session) -> None:
        """A session on which nobody wants anything."""
        await self.clock(instant(session.day, MORNING))
        await self.clock(cut_off(session.day))
        await self._cut_off(session.day)
        await self.reached(session.day, funds.TA_DAY_STATE_ACKNOWLEDGED)
        request = registrar.RunDayRequest(
            trade_date=session.day.isoformat(),
            confirm_date=session.confirm.isoformat(),
            prices=self.market.prices(session.day),
            incomes=self.market.incomes(session),
        )
        await patiently(lambda: self._registrar.RunDay(request))
        await self.clock(instant(session.confirm, EARLY))
        await self.reached(session.day, funds.TA_DAY_STATE_RECONCILED)

    async def _unsettled(self, days: Sequence[date], *, is_patient: bool) -> list[date]:
        """Days whose cash is not settled; what is on its way is waited for."""
        deadline = time.monotonic() + (STUCK_S if is_patient else SETTLE_S)
        left = list(days)
        while True:
            await self.settle()
            found = {day: await self._day(day) for day in left}
            left = [day for day in left if found[day].state < funds.TA_DAY_STATE_CASH_SETTLED]
            if not left or (not is_patient and time.monotonic() > deadline):
                return left
            if time.monotonic() > deadline:
                raise FundDayStuck(f"{left[0]}: {_told(found[left[0]])}; cash is not settled")
            await asyncio.sleep(_PAUSE_S)

    async def tie_out(self, day: date) -> funds.GetFundTieOutResponse:
        """Units and cash of the registrar; what is not even is kept as a fault.

        Money that moves right now is in neither place for a moment, so it is looked at again.
        """
        deadline = time.monotonic() + EVEN_S
        while True:
            request = funds.GetFundTieOutRequest(ta_id=self._ta_id)
            found = await patiently(partial(self._link.desk.GetFundTieOut, request))
            faults = _faults(day, found, await self.books(day))
            if not faults or time.monotonic() > deadline:
                self.tally.faults += faults
                self.tally.tie_outs += 1
                return found
            await asyncio.sleep(_PAUSE_S)

    async def books(self, from_day: date) -> registrar.GetBooksResponse:
        """The registrar's own books; cash of the days from one on."""
        request = registrar.GetBooksRequest(from_date=from_day.isoformat())
        return await patiently(lambda: self._registrar.GetBooks(request))

    @property
    def _registrar(self) -> "SampleRegistrarServiceAsyncStub":
        return self._link.registrars[self._ta_id]

    # -- orders

    async def _plans(self, day: date) -> int:
        if not self._has_plans:
            return 0
        request = funds.RunPlansRequest(to_date=day.isoformat())
        done = await patiently(lambda: self._link.desk.RunPlans(request))
        self.tally.plan_orders += done.issued
        self.tally.plans_skipped += done.skipped
        if done.issued:
            self.tally.kinds["REGULAR_PLAN"] += done.issued
        return self.tally.plan_orders

    async def _wishes(
        self, day: Day, investors: Sequence[Investor], buyers: Sequence[Investor]
    ) -> list[Wish]:
        market_funds = self.market.funds
        run = day.run_on(market_funds)
        wanting: dict[str, tuple[Investor, str]] = {}
        for name, chosen in (
            ("fast", day.hurried(investors)),
            ("switch", day.switchers(investors)),
            ("mode", day.mode_changers(investors)),
            ("sell", day.sellers(investors)),
            ("run", day.runners(investors) if run else []),
        ):
            for investor in chosen:
                wanting.setdefault(investor.account, (investor, name))
        held = await self._held([investor for investor, _ in wanting.values()])
        wishes = list(day.buys([*day.buyers(investors), *buyers], market_funds))
        for investor, name in wanting.values():
            wish = _wish(day, investor, name, held[investor.account], market_funds, run)
            if wish is not None:
                wishes.append(wish)
        return list({wish.order_id: wish for wish in wishes}.values())

    async def _held(self, investors: Sequence[Investor]) -> dict[str, dict[str, int]]:
        """Free shares by account and fund."""
        held: dict[str, dict[str, int]] = {}

        async def one(investor: Investor) -> None:
            request = funds.ListHoldingsRequest(investor_id=investor.owner, page_size=100)
            found = await patiently(lambda: self._link.orders.ListHoldings(request))
            held[investor.account] = {
                holding.fund_code: holding.shares - holding.frozen_shares
                for holding in found.holdings
            }

        async with asyncio.TaskGroup() as group:
            for investor in investors:
                group.create_task(one(investor))
        return held

    async def _place(self, wishes: Sequence[Wish]) -> list[str]:
        placed: list[str] = []
        for at in range(0, len(wishes), ORDERS_AT_ONCE):
            part = wishes[at : at + ORDERS_AT_ONCE]
            request = funds.PlaceOrdersRequest(
                orders=[
                    funds.PlaceOrderRequest(order_id=wish.order_id, terms=self._terms(wish))
                    for wish in part
                ]
            )
            done = await patiently(partial(self._link.orders.PlaceOrders, request))
            for wish, result in zip(part, done.results, strict=True):
                if result.HasField("refusal"):
                    self.tally.refusals[result.refusal.reason] += 1
                    continue
                self.tally.kinds[wish.kind] += 1
                self._keep(result.order)
                placed.append(wish.order_id)
        return placed

    def _terms(self, wish: Wish) -> funds_events.FundOrderTerms:
        terms = funds_events.FundOrderTerms(
            investor_id=wish.investor.owner,
            wallet_account_id=wish.investor.wallet(self._currency),
        )
        rest = (
            funds_events.REMAINDER_ROLL_OVER if wish.rolls_over else funds_events.REMAINDER_CANCEL
        )
        match wish.kind:
            case "SUBSCRIBE":
                terms.subscription.fund_code = wish.fund
                amount = money_of(Money(self._currency, wish.amount_minor))
                terms.subscription.amount.CopyFrom(amount)
            case "REDEEM":
                terms.redemption.fund_code = wish.fund
                terms.redemption.shares = wish.shares
                terms.redemption.remainder = rest
            case "FAST_REDEEM":
                terms.fast_redemption.fund_code = wish.fund
                terms.fast_redemption.shares = wish.shares
            case "SWITCH":
                terms.switching.fund_code = wish.fund
                terms.switching.target_code = wish.target
                terms.switching.shares = wish.shares
                terms.switching.remainder = rest
            case _:
                terms.dividend_mode_change.fund_code = wish.fund
                terms.dividend_mode_change.mode = (
                    funds_events.DIVIDEND_MODE_CASH
                    if wish.is_cash
                    else funds_events.DIVIDEND_MODE_REINVEST
                )
        return terms

    async def _taken(self, placed: Sequence[str], plans: int) -> None:
        """Until each of these, and each order of a plan, is accepted or over."""
        waiting = set(placed)

        def is_so() -> bool:
            for order_id in list(waiting):
                order = self.orders.get(order_id)
                if order is not None and order.state in _TAKEN:
                    waiting.discard(order_id)
            return not waiting and len(self._plan_orders_seen) >= plans

        def told() -> str:
            if waiting:
                order = self.orders.get(min(waiting))
                state = funds.FundOrderState.Name(order.state) if order else "unknown"
                return f"{len(waiting)} orders are not accepted, {min(waiting)} is {state}"
            return f"{plans - len(self._plan_orders_seen)} orders of plans are not accepted"

        await self._until(is_so, told)

    def _keep(self, order: funds.FundOrder) -> None:
        known = self.orders.get(order.order_id)
        if known is None or _at(order) >= _at(known):
            self.orders[order.order_id] = order
            if order.terms.plan_id and order.state in _TAKEN:
                self._plan_orders_seen.add(order.order_id)
            self._changed.set()

    # -- the registrar's day

    async def _cut_off(self, day: date) -> None:
        request = funds.RunCutOffRequest(ta_id=self._ta_id, trade_date=day.isoformat())
        await patiently(lambda: self._link.desk.RunCutOff(request))

    async def _run_registrar(self, day: Day, session: Session) -> None:
        market, request = (
            self.market,
            registrar.RunDayRequest(
                trade_date=session.day.isoformat(),
                confirm_date=session.confirm.isoformat(),
            ),
        )
        request.prices.extend(market.prices(session.day))
        request.incomes.extend(market.incomes(session))
        # The day before anybody holds anything brings nothing to anyone.
        dividends = [] if self._first else day.dividends(market.funds)
        request.dividends.extend(market.dividend(fund, session) for fund in dividends)
        run = None if self._first else day.run_on(market.funds)
        if run is not None:
            request.gates.append(registrar.DayGate(fund_code=run.code))
        if day.is_forced() and not self._first:
            for is_omnibus in (False, True):
                open_end = [f for f in market.funds if not f.is_money_market]
                forced = [f for f in open_end if f.is_omnibus is is_omnibus]
                code = forced[session.ordinal % len(forced)].code
                request.forced.append(registrar.ForcedRedemption(fund_code=code, shares=1_000))
                self.tally.forced += 1
        done = await patiently(lambda: self._registrar.RunDay(request))
        self.tally.dividends += len(dividends)
        self.tally.gates += bool(run is not None and done.rolled_over)
        self._first = False

    async def reached(self, day: date, state: "funds.TaDayState.ValueType") -> None:
        """Wait until the registrar's day is at a stage. Raises `FundDayStuck`."""
        deadline = time.monotonic() + STUCK_S
        while True:
            found = await self._day(day)
            if found.state >= state:
                return
            if time.monotonic() > deadline:
                wanted = funds.TaDayState.Name(state).removeprefix("TA_DAY_STATE_")
                raise FundDayStuck(f"{day}: {_told(found)}; it does not become {wanted}")
            await asyncio.sleep(_PAUSE_S)

    async def _day(self, day: date) -> funds.TaDay:
        request = funds.GetTaDayRequest(ta_id=self._ta_id, trade_date=day.isoformat())
        return (await patiently(lambda: self._link.desk.GetTaDay(request))).ta_day

    async def _until(self, is_so: Callable[[], bool], told: Callable[[], str]) -> None:
        try:
            async with asyncio.timeout(STUCK_S):
                while not is_so():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise FundDayStuck(told()) from None


def _wish(
    day: Day,
    investor: Investor,
    name: str,
    held: Mapping[str, int],
    market_funds: Sequence[SampleFund],
    run: SampleFund | None,
) -> Wish | None:
    match name:
        case "run" if run is not None:
            return day.sell(investor, held, run.code, _RUN_TENTHS)
        case "fast":
            return day.fast(investor, held, market_funds)
        case "switch":
            return day.switch(investor, held, market_funds)
        case "mode":
            return day.mode(investor, held)
        case _:
            return day.sell(investor, held)


def _faults(
    day: date, found: funds.GetFundTieOutResponse, books: registrar.GetBooksResponse
) -> list[str]:
    theirs = {fund.fund_code: fund.shares for fund in books.funds}
    faults = []
    for line in found.units:
        if line.holdings_shares != theirs.get(line.fund_code, 0):
            faults.append(
                f"{day}: fund {line.fund_code}: {line.holdings_shares} hundredths of units "
                f"here, {theirs.get(line.fund_code, 0)} in the registrar's books"
            )
        elif not line.ties_out:
            faults.append(f"{day}: fund {line.fund_code}: units do not tie out")
    faults += [
        f"{day}: {cash.purpose}: clearing is {cash.balance_minor}, "
        f"not {cash.expected_minor} minor units"
        for cash in found.cash
        if not cash.ties_out
    ]
    return faults


def _told(found: funds.TaDay) -> str:
    state = funds.TaDayState.Name(found.state).removeprefix("TA_DAY_STATE_")
    waiting = f", waiting for {found.waiting_for}" if found.waiting_for else ""
    return f"the registrar's day is {state}{waiting}, {found.breaks} breaks"


def _at(order: funds.FundOrder) -> tuple[int, int]:
    return order.change_time.ToMicroseconds(), order.state
