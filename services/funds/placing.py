"""Placing orders: what a decision stands on is gathered, then the order's own decider decides."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TypeAlias

from libs.clock import Clock
from libs.decider import Cause, FieldViolation, Rejected, Transacted
from services.funds import days
from services.funds.aggregates import Aggregates, holding_id
from services.funds.clients.accounts import Accounts, Wallet
from services.funds.domain import fund as funds
from services.funds.domain import order_lifecycle as life
from services.funds.domain.order import Cancel, Place
from services.funds.domain.order_placing import Reason as OrderReason
from services.funds.domain.order_placing import Setting
from services.funds.domain.order_terms import Subscription, Terms, target_of
from services.funds.serials import serial_of

Done: TypeAlias = Transacted[life.Order, life.Event]


class Reason(Enum):
    WALLET_NOT_OF_INVESTOR = auto()


@dataclass(frozen=True, slots=True)
class Placing:
    """Takes orders of callers and of plans."""

    aggregates: Aggregates
    accounts: Accounts
    clock: Clock
    # Callers make their ids by it.
    real_clock: Clock
    wake: Callable[[str], None]
    # Whose a wallet is never changes.
    _wallets: dict[str, Wallet] = field(default_factory=dict)

    async def place(self, order_id: str, terms: Terms, caller: str) -> Done:
        """Take an order, or answer it as it stands. Raises `Rejected`."""
        if terms.switch_id:
            path, told = "terms.switch_id", "is told, not asked for"
            violations = [FieldViolation(path, told)]
            raise Rejected(OrderReason.FIELD_NOT_ALLOWED, f"{path}: {told}", violations)
        known = await self.aggregates.orders.load(order_id)
        if isinstance(known.state, life.Absent):
            await self._check_wallet(terms)
        return await self._placed(order_id, terms, caller)

    async def _placed(self, order_id: str, terms: Terms, caller: str) -> Done:
        now_us = self.clock()
        setting = await self._setting(terms, now_us)
        serial = serial_of(order_id)
        place = Place(order_id, terms, caller, now_us, serial, setting, self.real_clock())
        cause = Cause(f"{order_id}/PLACE", correlation_id=order_id, actor=caller)
        done = await self.aggregates.orders.transact(order_id, place, cause)
        if done.events:
            self.wake(order_id)
        return done

    async def enter(self, order_id: str, terms: Terms, caller: str) -> Done:
        """Place what a switch pays for; `terms.switch_id` names that. Raises `Rejected`."""
        return await self._placed(order_id, terms, caller)

    async def cancel(self, order_id: str, request_id: str, caller: str) -> Done:
        """Cancel it, strictly before its cut-off. Raises `Rejected`."""
        cause = Cause(f"{request_id}/cancel", correlation_id=order_id, actor=caller)
        command = Cancel(request_id, caller, self.clock())
        done = await self.aggregates.orders.transact(order_id, command, cause)
        self.wake(order_id)
        return done

    async def _setting(self, terms: Terms, now_us: int) -> Setting:
        kind = terms.kind
        fund = (await self.aggregates.funds.load(kind.fund_code)).state
        target: funds.Fund = funds.Absent()
        traded = [fund]
        if target_of(kind):
            target = (await self.aggregates.funds.load(target_of(kind))).state
            traded.append(target)
        listed = [each.terms for each in traded if isinstance(each, funds.Listed)]
        today, trade_date = days.utc_day(now_us), None
        if listed:
            is_buying = isinstance(kind, Subscription)
            today = days.today_of(listed[0].dealing, now_us)
            trade_date = days.trade_day_of(listed, now_us, is_buying=is_buying)
        id_ = holding_id(terms.investor_id, kind.fund_code)
        holding = (await self.aggregates.holdings.load(id_)).state
        investor = (await self.aggregates.investors.load(terms.investor_id)).state
        return Setting(fund, holding, investor, today, trade_date, target)

    async def _check_wallet(self, terms: Terms) -> None:
        id_ = terms.wallet_account_id
        wallet = self._wallets.get(id_) or await self.accounts.look(id_)
        if wallet is None or (wallet.owner, wallet.kind) != (terms.investor_id, "CUSTOMER_WALLET"):
            path, told = "terms.wallet_account_id", "is no wallet of this investor"
            violations = [FieldViolation(path, told)]
            raise Rejected(Reason.WALLET_NOT_OF_INVESTOR, f"{path}: {told}", violations)
        self._wallets[id_] = wallet
