"""The steps of an order: each one call to the journal or one command to a holding, keyed by ids."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, assert_never

import structlog

from libs.clock import Clock, system_clock
from libs.decider import Cause, Rejected
from libs.fund_arithmetic import value_of
from libs.ids import derived_id
from libs.money import Money
from libs.process import Recorded
from libs.trading_calendar import CalendarUnknown
from services.funds import days
from services.funds.aggregates import Aggregates, holding_id
from services.funds.amending import Amending
from services.funds.breaking import Breaking, about
from services.funds.cash import DIV, RED, SUB, clearing_id, short
from services.funds.clients.accounts import (
    Accounts,
    Capture,
    Hold,
    Move,
    Posted,
    Refused,
    Release,
)
from services.funds.domain import holding as holdings
from services.funds.domain import order_lifecycle as life
from services.funds.domain.booking import bookings_of
from services.funds.domain.breaks import BreakType
from services.funds.domain.order import (
    FUNDING_MAX_US,
    Command,
    GiveUpFunding,
    JudgePart,
    Record,
)
from services.funds.domain.order_steps import (
    Action,
    BookShares,
    Enter,
    Judge,
    PayInvestor,
    SeeCash,
    Step,
    TakeBack,
    TellDay,
    accept_from_us,
    return_of,
)
from services.funds.domain.order_terms import (
    DIVIDEND,
    FastRedemption,
    RegistrarMovement,
    Subscription,
    Switching,
    entry_id,
    entry_of,
)
from services.funds.expecting import Expecting
from services.funds.fund_day import FundDays
from services.funds.opening import Opening
from services.funds.placing import Placing
from services.funds.repaying import Repaying

_ACTOR: Final = "funds"
# What a wallet refuses to take is tried again under another id, once in so many microseconds.
RETRY_EVERY_US: Final = 10 * 60 * 1_000_000

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ordering:
    """Performs one step of an order. Each posting's id derives from the order and the step."""

    aggregates: Aggregates
    accounts: Accounts
    expecting: Expecting
    fund_days: FundDays
    opening: Opening
    clock: Clock
    repaying: Repaying
    amending: Amending
    placing: Placing
    breaking: Breaking
    wake_order: Callable[[str], None]
    real_clock: Clock = system_clock

    async def perform(
        self, order_id: str, order: life.Order, step: Step
    ) -> Recorded[Command] | None:
        """What to record of it; None: not known yet. Raises `Unavailable`: the same again later."""
        if isinstance(order, life.Absent):
            raise AssertionError("what is not there has no steps")  # noqa: TRY004 - a bug of ours
        match step:
            case Judge(row_id):
                command = await self._judge(order, row_id)
                name = f"judge/{row_id}"
            case BookShares(row_id):
                command = await self._book(order, row_id)
                name = f"book/{row_id}/{_version(order, row_id)}"
            case PayInvestor(row_id):
                command = await self._pay(order, row_id)
                name = f"pay/{row_id}/{_version(order, row_id)}"
            case Enter(row_id):
                command = await self._enter(order, row_id)
                name = f"enter/{row_id}"
            case TakeBack(row_id):
                command = await self._take_back(order, row_id)
                name = f"take_back/{row_id}/{_version(order, row_id)}"
            case TellDay(row_id) | SeeCash(row_id):
                command = await self._amended(order, step)
                name = f"{type(step).__name__}/{row_id}/{_version(order, row_id)}"
            case Action():
                command = await self._act(order, step)
                name = life.tried(order, step.name)
            case _:
                assert_never(step)
        return None if command is None else Recorded(command, _cause(order_id, name))

    async def _act(self, order: life.Begun, action: Action) -> Command | None:
        match action:
            case Action.RESERVE_LIMIT:
                return await self._reserve_limit(order)
            case Action.PLACE_HOLD:
                return await self._place_hold(order)
            case Action.CAPTURE:
                return await self._capture(order)
            case Action.CARRY_OVER:
                return await self._carry_over(order)
            case Action.FREEZE_SHARES:
                return await self._freeze(order)
            case Action.PAY_ADVANCE:
                return await self.repaying.advance(order)
            case Action.ACCEPT:
                return await self._accept(order)
            case Action.ROLL_OVER:
                return await self._roll_over(order)
            case Action.OFFER_AGAIN:
                return await self.repaying.offer_again(order)
            case Action.GIVE_BACK:
                return await self._give_back(order)
            case _:
                assert_never(action)

    async def _reserve_limit(self, order: life.Begun) -> Command:
        kind = order.terms.kind
        if not isinstance(kind, Subscription):
            raise AssertionError("only purchases are limited")  # noqa: TRY004 - a bug of ours
        fund = await self.aggregates.terms_of(kind.fund_code)
        day = days.trade_day_of([fund], order.placed.place_us, is_buying=True)
        if day is None:
            return Record(life.FundingFailed("CALENDAR_UNKNOWN", "a day it needs is not known"))
        reserve = holdings.ReservePurchase(
            order.placed.order_id, day, kind.amount.minor, fund.limits.daily_minor
        )
        failed = await self._hold_to(order, kind.fund_code, reserve, "limit")
        return Record(failed or life.LimitReserved())

    async def _place_hold(self, order: life.Begun) -> Command:
        order_id, kind = order.placed.order_id, order.terms.kind
        if not isinstance(kind, Subscription):
            raise AssertionError("only purchases hold money")  # noqa: TRY004 - a bug of ours
        hold = Hold(_id(order, "hold"), order.terms.wallet_account_id, kind.amount, order_id)
        match await self.accounts.post(hold):
            case Posted(position):
                return Record(life.MoneyHeld(position))
            case Refused(reason, description):
                return Record(life.FundingFailed(reason, description))

    async def _capture(self, order: life.Begun) -> Command:
        now_us = self.clock()
        if now_us >= order.placed.place_us + FUNDING_MAX_US and await self._is_released(order):
            return GiveUpFunding(now_us)
        fund = await self.aggregates.terms_of(order.terms.kind.fund_code)
        capture = Capture(
            _id(order, "capture"),
            _id(order, "hold"),
            clearing_id(fund.ta_id, fund.currency, SUB),
            order.placed.order_id,
            f"{order.placed.order_id}/S1",
        )
        match await self.accounts.post(capture):
            case Posted(position):
                return Record(life.Funded(position, now_us))
            case Refused(reason, description):
                return Record(life.FundingFailed(reason, description))

    async def _carry_over(self, order: life.Begun) -> Command | None:
        """From what the redeemed fund's registrar has paid into what this one's is owed (X1)."""
        kind, switch_id = order.terms.kind, order.terms.switch_id
        switch = (await self.aggregates.orders.load(switch_id)).state
        if isinstance(switch, life.Absent) or not isinstance(kind, Subscription):
            raise AssertionError("a switch begins with what it redeems, and then buys")  # noqa: TRY004 - a bug
        currency, source = await self._clearing(switch)
        target = clearing_id(order.placed.ta_id, currency, SUB)
        done = await self._insist(_move(order, "carry_over", kind.amount, source, target))
        self.wake_order(switch_id)
        return None if done is None else Record(life.Funded(done.position, self.clock()))

    async def _freeze(self, order: life.Begun) -> Command:
        kind, order_id = order.terms.kind, order.placed.order_id
        fund = await self.aggregates.terms_of(kind.fund_code)
        today = days.today_of(fund.dealing, self.clock())
        if isinstance(kind, FastRedemption):
            amount = value_of(kind.shares, 10**fund.nav_scale, fund.scales)
            limit = fund.limits.fast_daily_minor
            freeze: holdings.Command = holdings.ReserveFast(
                order_id, kind.shares, amount, today, limit
            )
        else:
            freeze = holdings.FreezeShares(
                order_id, order.placed.shares, today, fund.limits.lock_days
            )
        failed = await self._hold_to(order, kind.fund_code, freeze, "freeze")
        return Record(failed or life.SharesFrozen(self.clock()))

    async def _hold_to(
        self, order: life.Begun, code: str, command: holdings.Command, step: str
    ) -> life.FundingFailed | None:
        """Tell the holding; its refusal is the order's."""
        try:
            await self._to_holding(order, code, command, step)
        except Rejected as rejected:
            return life.FundingFailed(rejected.reason.name, rejected.description)
        return None

    async def _to_holding(
        self, order: life.Begun, code: str, command: holdings.Command, step: str
    ) -> None:
        order_id = order.placed.order_id
        cause = Cause(f"{order_id}/{step}", correlation_id=order_id, actor=_ACTOR)
        id_ = holding_id(order.terms.investor_id, code)
        await self.aggregates.holdings.transact(id_, command, cause)

    async def _accept(self, order: life.Begun) -> Command | None:
        from_us, now_us = accept_from_us(order), self.clock()
        if now_us < from_us:
            return None
        kind = order.terms.kind
        traded = [await self.aggregates.terms_of(kind.fund_code)]
        if isinstance(kind, Switching):
            traded.append(await self.aggregates.terms_of(kind.target_code))
        ta_id, is_buying = traded[0].ta_id, isinstance(kind, Subscription)
        # Recorded while the gate is held: no day is cut off with an order on its way into it.
        async with self.fund_days.gate(ta_id):
            try:
                found = days.dealing_of(traded, from_us, is_buying=is_buying)
                while await self.fund_days.is_cut_off(ta_id, found.trade):
                    found = days.dealing_after(traded, found.trade, is_buying=is_buying)
            except CalendarUnknown as error:
                return Record(life.Refused("CALENDAR_UNKNOWN", str(error)))
            if await self.opening.waits(traded[0], order.terms.investor_id, found.trade):
                return None
            closing = days.closing_us(traded, found.trade)
            accepted = life.Accepted(found.trade, found.confirm, found.settle, now_us, closing)
            order_id = order.placed.order_id
            cause = _cause(order_id, life.tried(order, Action.ACCEPT.name))
            await self.aggregates.orders.transact(order_id, Record(accepted), cause)
        return Record(accepted)

    async def _roll_over(self, order: life.Begun) -> Command:
        if order.trade_date is None:
            raise AssertionError("what is confirmed in part has a trade day")
        fund = await self.aggregates.terms_of(order.terms.kind.fund_code)
        day = days.next_trade_day(fund, order.trade_date)
        return Record(life.RemainderRolledOver(day, order.remaining_shares))

    async def _give_back(self, order: life.Begun) -> Command | None:
        kind, owed = order.terms.kind, return_of(order)
        before = order.returned or life.Returned(0, 0)
        if order.advance_id:
            await self.repaying.tell(order)
        if owed.amount_minor:
            fund = await self.aggregates.terms_of(kind.fund_code)
            back = _move(
                order,
                f"give_back:{before.amount_minor}" if before.amount_minor else "give_back",
                Money(fund.currency, owed.amount_minor),
                clearing_id(fund.ta_id, fund.currency, SUB),
                order.terms.wallet_account_id,
            )
            if await self._insist(back) is None:
                return None
        elif order.is_held and not order.is_funded and not await self._is_released(order):
            raise AssertionError("what was captured was recorded so, or is captured again")
        if owed.shares:
            thaw: holdings.Command = holdings.UnfreezeShares(order.placed.order_id)
            if isinstance(kind, FastRedemption):
                thaw = holdings.ReleaseFast(order.placed.order_id)
            step = f"unfreeze/{before.shares}" if before.shares else "unfreeze"
            await self._to_holding(order, kind.fund_code, thaw, step)
        if order.is_reserved and order.stage in life.DROPPED:
            lift = holdings.ReleasePurchase(order.placed.order_id)
            await self._to_holding(order, kind.fund_code, lift, "lift")
        return Record(owed)

    async def _is_released(self, order: life.Begun) -> bool:
        """Give the hold back; False where the journal has captured it, which nobody undoes."""
        release = Release(_id(order, "release"), _id(order, "hold"), order.placed.order_id)
        match await self.accounts.post(release):
            case Posted() | Refused("HOLD_RELEASED" | "HOLD_EXPIRED"):
                return True
            case Refused("HOLD_CAPTURED"):
                return False
            case Refused() as other:
                raise AssertionError(f"a hold of ours is not released: {other}")

    async def _judge(self, order: life.Begun, row_id: str) -> Command | None:
        """Wait where the day's price is missing: it wakes the order when it comes."""
        expected = await self.expecting.of(order, _part(order, row_id).confirmation)
        return None if expected is None else JudgePart(row_id, expected)

    async def _book(self, order: life.Begun, row_id: str) -> Command:
        part = _part(order, row_id)
        step = f"book/{row_id}/{_version(order, row_id)}"
        for code, command in bookings_of(order, part):
            await self._to_holding(order, code, command, step)
        return Record(life.PartBooked(row_id))

    async def _pay(self, order: life.Begun, row_id: str) -> Command | None:
        part, kind = _part(order, row_id), order.terms.kind
        owes = part.confirmation.amount_minor - part.paid_minor
        if isinstance(kind, FastRedemption):
            return await self.repaying.repay(order, part, owes)
        currency, source = await self._clearing(order)
        # What is paid so far names the posting: an amendment may owe more under the same row.
        step = f"pay:{row_id}:{part.paid_minor}" + (part.proposal_id and f":{part.proposal_id}")
        paid = _move(order, step, Money(currency, owes), source, order.terms.wallet_account_id)
        done = await self._insist(paid)
        return None if done is None else Record(life.PartPaid(row_id, owes, done.position))

    async def _enter(self, order: life.Begun, row_id: str) -> Command | None:
        """Place the purchase it pays for; None while that has not taken the money yet."""
        part = _part(order, row_id)
        currency, _ = await self._clearing(order)
        amount = Money(currency, part.confirmation.amount_minor)
        switch_id, caller = order.placed.order_id, order.placed.caller
        terms = entry_of(switch_id, order.terms, amount)
        try:
            entry = (await self.placing.enter(entry_id(switch_id, row_id), terms, caller)).state
        except Rejected as rejected:
            refused = life.EntryRefused(row_id, rejected.reason.name, rejected.description)
            return Record(refused)
        if isinstance(entry, life.Absent):
            raise AssertionError("what was placed is there")  # noqa: TRY004 - a bug of ours
        if entry.is_funded:
            return Record(life.PartPaid(row_id, amount.minor, 0))
        if entry.refusal is not None:
            refusal = entry.refusal
            return Record(life.EntryRefused(row_id, refusal.reason, refusal.description))
        return None

    async def _take_back(self, order: life.Begun, row_id: str) -> Command | None:
        """From the wallet into clearing, from where the day pays it back to the registrar.

        Where operators spare the wallet, suspense gives it: one fact, whoever gives.
        """
        part = _part(order, row_id)
        currency, clearing = await self._clearing(order)
        too_much = Money(currency, part.paid_minor - part.confirmation.amount_minor)
        step, wallet = f"take_back:{row_id}:{part.proposal_id}", order.terms.wallet_account_id
        back = _move(order, step, too_much, wallet, clearing)
        if part.is_spared:
            suspense = short(order.placed.ta_id, currency)
            await self.accounts.open([suspense])
            spared_id, debits = (
                _id(order, f"{step}:spared"),
                ((suspense.account_id, too_much.minor),),
            )
            back = replace(back, transfer_id=spared_id, debits=debits)
        done = await self._insist(back)
        place = f"{order.placed.order_id}/{row_id}/{part.proposal_id}"
        if done is None:
            terms = about(
                order.placed.ta_id,
                part.confirmation.trade_date,
                fund_code=part.confirmation.fund_code,
                order_id=order.placed.order_id,
                investor_id=order.terms.investor_id,
                row_id=row_id,
                ours=str(part.paid_minor),
                theirs=str(part.confirmation.amount_minor),
                description=f"the wallet is to give back {too_much.minor} and has too little",
            )
            await self.breaking.find(BreakType.WALLET_SHORT, place, terms)
            return None
        await self.breaking.end(BreakType.WALLET_SHORT, place, "it was given back")
        return Record(life.PartPaid(row_id, -too_much.minor, done.position))

    async def _amended(self, order: life.Begun, step: TellDay | SeeCash) -> Command | None:
        fund = await self.aggregates.terms_of(order.terms.kind.fund_code)
        part = _part(order, step.row_id)
        if isinstance(step, TellDay):
            return Record(await self.amending.tell(fund.ta_id, order, part))
        seen = await self.amending.see(fund.ta_id, order, part)
        return None if seen is None else Record(seen)

    async def _clearing(self, order: life.Begun) -> tuple[str, str]:
        """Currency and account that the proceeds of an order pass."""
        kind = order.terms.kind
        fund = await self.aggregates.terms_of(kind.fund_code)
        is_dividend = isinstance(kind, RegistrarMovement) and kind.business_code == DIVIDEND
        return fund.currency, clearing_id(fund.ta_id, fund.currency, DIV if is_dividend else RED)

    async def _insist(self, move: Move) -> Posted | None:
        """Post what must come to the investor; None: refused for now (a frozen wallet).

        A refusal uses its id up, so that later tries have ids of their own; the fact key keeps it
        to one posting. Meanwhile the money waits in fund clearing, where the tie-out shows it.
        """
        done = await self.accounts.post(move)
        if isinstance(done, Refused) and done.reason != "FACT_ALREADY_POSTED":
            turn = 1 + self.real_clock() // RETRY_EVERY_US
            again = str(derived_id(move.transfer_id, "again", turn))
            done = await self.accounts.post(replace(move, transfer_id=again))
        match done:
            case Posted():
                return done
            case Refused(reason="FACT_ALREADY_POSTED"):
                return Posted(0)
            case Refused(reason):
                logger.error("fund_order_stuck", step=move.purpose, reason=reason)
                return None


def _part(order: life.Begun, row_id: str) -> life.Part:
    part = order.part(row_id)
    if part is None:
        raise AssertionError(f"{row_id} was recorded")
    return part


def _version(order: life.Begun, row_id: str) -> str:
    """What tells a booking from the one that amends it."""
    part = _part(order, row_id)
    return f"{part.confirmation.row}" + (part.proposal_id and f"/{part.proposal_id}")


def _id(order: life.Begun, purpose: str) -> str:
    return str(derived_id(order.placed.order_id, purpose))


def _move(order: life.Begun, step: str, amount: Money, debit: str, credit: str) -> Move:
    order_id = order.placed.order_id
    return Move(
        _id(order, step),
        amount.currency,
        ((debit, amount.minor),),
        ((credit, amount.minor),),
        order_id,
        step.partition(":")[0],
        f"{order_id}/{step}",
    )


def _cause(order_id: str, step: str) -> Cause:
    return Cause(f"{order_id}/{step}", correlation_id=order_id, actor=_ACTOR)
