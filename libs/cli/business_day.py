"""One business day, played through the public interfaces alone, to the final settlements."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

from rich.progress import Progress, TaskID

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.accounts.v1 import events_pb2 as entries
from hefu.payments.v1 import events_pb2 as payment_events
from hefu.payments.v1 import payments_pb2 as payments
from hefu.samplebank.v1 import samplebank_pb2 as samplebank
from hefu.settlement.v1 import settlement_pb2 as settlement
from hefu.type.v1 import money_pb2 as money
from libs.cli.connections import Connections
from libs.client.calls import patiently
from libs.ids import new_id
from libs.orders import (
    Order,
    OrdersFile,
    home_bank,
    payment_id,
    top_up_id,
    top_up_minor,
    wallet_id,
)

T = TypeVar("T")
Watched = payments.Payment
_PAUSE_S = 0.25


class DayStuck(Exception):
    """The day did not get on within its patience; the message says what it waited for."""


@dataclass(frozen=True, slots=True)
class DayTerms:
    """Valid orders, a currency, a business date; how long to wait for any one step, in seconds."""

    file: OrdersFile
    currency: str
    business_date: date
    patience_s: float = 300.0


@dataclass(slots=True)
class Played:
    """What the day came to, before the books are read."""

    wallets: int
    top_ups: Sequence[UUID]
    payouts: Sequence[UUID]
    settlements: Sequence[settlement.Settlement]
    seconds: float


class BusinessDay:
    """Plays a day. All ids depend on the file and the date alone, so it can be played again."""

    def __init__(self, link: Connections, terms: DayTerms, progress: Progress) -> None:
        self._link = link
        self._terms = terms
        self._progress = progress
        self.payments: dict[str, Watched] = {}
        self._heed: Callable[[Watched], None] = _nothing

    async def play(self) -> Played:
        """The whole day. Raises `DayStuck`."""
        begun = time.monotonic()
        # What came before is in the answers to what is asked for now.
        watching = asyncio.create_task(self._watch(await self._link.store.head()))
        try:
            await self._open_wallets()
            top_ups = await self._top_up()
            payouts = await self._pay()
            # Who was carried on an earlier day is settled with this one's window.
            carried = {id_: payment.times_carried for id_, payment in self.payments.items()}
            settled = await self._cut_off()
            await self._confirmed(settled)
            await self._end_bank_days()
            final = await self._final(settled)
            await self._all_settled(payouts, carried)
        finally:
            watching.cancel()
        wallets = len(self._terms.file.accounts)
        return Played(wallets, top_ups, payouts, final, time.monotonic() - begun)

    async def _open_wallets(self) -> None:
        commands = [
            accounts.Command(
                open_account=accounts.Opening(
                    account_id=str(wallet_id(account, self._terms.currency)),
                    owner=f"customer:{account}",
                    kind=entries.ACCOUNT_KIND_CUSTOMER_WALLET,
                    currency_code=self._terms.currency,
                )
            )
            for account in self._terms.file.accounts
        ]
        await self._each("accounts opened", commands, self._open)

    async def _open(self, command: accounts.Command) -> None:
        result = await self._link.client.accounts.submit(command)
        if result.HasField("refusal"):
            told = f"account {result.command_id}: {result.refusal.reason}"
            raise DayStuck(told)

    async def _top_up(self) -> Sequence[UUID]:
        banks = self._terms.file.banks
        wanted = {}
        for account, orders in self._terms.file.accounts.items():
            id_ = top_up_id(account, orders, self._terms.business_date)
            wanted[id_] = payment_events.PaymentTerms(
                amount=self._money(top_up_minor(orders)),
                top_up=payment_events.TopUp(
                    wallet_account_id=str(wallet_id(account, self._terms.currency)),
                    bank_id=home_bank(account, banks),
                    bank_account=account,
                ),
                note="top-up for the day's orders",
            )
        await self._create("top-ups asked for", wanted)
        await self._until("top-ups confirmed by the banks", wanted, _is_over)
        return tuple(wanted)

    async def _pay(self) -> Sequence[UUID]:
        wanted = {
            payment_id(order, self._terms.business_date): self._payout(order)
            for order in self._terms.file.orders
        }
        await self._create("payments asked for", wanted)
        await self._until("payments in their windows", wanted, _is_in_window)
        return tuple(wanted)

    def _payout(self, order: Order) -> payment_events.PaymentTerms:
        return payment_events.PaymentTerms(
            amount=self._money(order.amount_minor),
            payout=payment_events.Payout(
                wallet_account_id=str(wallet_id(order.account_id, self._terms.currency)),
                bank_id=order.bank_to,
                bank_account=order.account_to,
                payee_name=f"Payee {order.account_to}",
            ),
            note=order.symbol,
        )

    async def _create(self, told: str, wanted: dict[UUID, payment_events.PaymentTerms]) -> None:
        async def create(item: tuple[UUID, payment_events.PaymentTerms]) -> None:
            payment = await self._link.client.payments.create(*item)
            await self._keep([payment])

        await self._each(told, list(wanted.items()), create)

    async def _cut_off(self) -> Sequence[settlement.Settlement]:
        request = settlement.CutOffRequest(
            request_id=str(new_id()), value_date=self._terms.business_date.isoformat()
        )
        response = await self._again(lambda: self._link.settlement.CutOff(request))
        return tuple(response.settlements)

    async def _confirmed(self, begun: Sequence[settlement.Settlement]) -> None:
        # A bank that leaves us in doubt ends the wait: its statement decides.
        await self._settlements(
            "settlements confirmed", begun, settlement.SETTLEMENT_STATE_CONFIRMED, patience_s=45.0
        )

    async def _final(
        self, begun: Sequence[settlement.Settlement]
    ) -> Sequence[settlement.Settlement]:
        return await self._settlements(
            "settlements final", begun, settlement.SETTLEMENT_STATE_FINAL, self._terms.patience_s
        )

    async def _settlements(
        self,
        told: str,
        begun: Sequence[settlement.Settlement],
        wanted: "settlement.SettlementState.ValueType",
        patience_s: float,
    ) -> Sequence[settlement.Settlement]:
        bar = self._bar(told, len(begun))
        ids = {found.settlement_id for found in begun}
        latest: list[settlement.Settlement] = list(begun)
        deadline = time.monotonic() + patience_s
        while ids and time.monotonic() < deadline:
            response = await self._again(
                lambda: self._link.settlement.ListSettlements(
                    settlement.ListSettlementsRequest(page_size=1000)
                )
            )
            latest = [found for found in response.settlements if found.settlement_id in ids]
            reached = sum(found.state >= wanted for found in latest)
            self._progress.update(bar, completed=reached)
            if reached == len(ids):
                break
            await asyncio.sleep(_PAUSE_S)
        return latest

    async def _end_bank_days(self) -> None:
        request = samplebank.EndDayRequest(business_date=self._terms.business_date.isoformat())
        await self._each(
            "banks' days ended",
            list(self._link.banks.values()),
            lambda bank: self._again(lambda: bank.EndDay(request)),
        )

    async def _all_settled(self, payouts: Iterable[UUID], carried: Mapping[str, int]) -> None:
        def is_at_rest(payment: Watched) -> bool:
            is_carried = payment.times_carried > carried.get(payment.payment_id, 0)
            return _is_settled(payment) or is_carried

        await self._until("payments settled", payouts, is_at_rest, patience_s=60.0, strict=False)

    # -- watching payments

    async def _watch(self, after: int) -> None:
        watching = self._link.client.payments.watch(after=after, public_only=True)
        async for change in watching:
            await self._keep([change.payment])

    async def _keep(self, found: Iterable[Watched]) -> None:
        for payment in found:
            known = self.payments.get(payment.payment_id)
            if known is None or _changed_at(payment) >= _changed_at(known):
                self.payments[payment.payment_id] = payment
                self._heed(payment)

    async def _until(
        self,
        told: str,
        wanted: Iterable[UUID],
        reached: Callable[[Watched], bool],
        patience_s: float | None = None,
        *,
        strict: bool = True,
    ) -> None:
        ids = {str(id_) for id_ in wanted}
        bar, total = self._bar(told, len(ids)), len(ids)
        known = (self.payments.get(id_) for id_ in ids)
        waiting = ids - {found.payment_id for found in known if found and reached(found)}
        over = asyncio.Event()

        def heed(payment: Watched) -> None:
            if payment.payment_id in waiting and reached(payment):
                waiting.discard(payment.payment_id)
                self._progress.update(bar, completed=total - len(waiting))
                if not waiting:
                    over.set()

        self._heed = heed
        self._progress.update(bar, completed=total - len(waiting))
        try:
            if waiting:
                async with asyncio.timeout(patience_s or self._terms.patience_s):
                    await over.wait()
        except TimeoutError:
            if strict:
                missing = f"{len(waiting)} of {total} are missing, {min(waiting)} among them"
                raise DayStuck(f"{told}: {missing}") from None
        finally:
            self._heed = _nothing

    # -- small things

    async def _each(
        self, told: str, items: Sequence[T], act: Callable[[T], Awaitable[Any]]
    ) -> None:
        bar = self._bar(told, len(items))

        async def one(item: T) -> None:
            await act(item)
            self._progress.advance(bar)

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        return await patiently(call, self._terms.patience_s)

    def _bar(self, told: str, total: int) -> TaskID:
        return self._progress.add_task(told, total=total)

    def _money(self, minor: int) -> money.Money:
        return money.Money(currency_code=self._terms.currency, minor_units=minor)


def _nothing(_payment: Watched) -> None:
    """Nobody waits for a change."""


def _changed_at(payment: Watched) -> int:
    return payment.change_time.ToMicroseconds()


def _is_over(payment: Watched) -> bool:
    return payment.status in {
        payments.PAYMENT_STATUS_SUCCEEDED,
        payments.PAYMENT_STATUS_FAILED,
        payments.PAYMENT_STATUS_CANCELLED,
    }


def _is_in_window(payment: Watched) -> bool:
    standing = {
        payments.SETTLEMENT_STATUS_IN_WINDOW,
        payments.SETTLEMENT_STATUS_SETTLED,
    }
    return payment.settlement in standing or payment.status == payments.PAYMENT_STATUS_FAILED


def _is_settled(payment: Watched) -> bool:
    return (
        payment.settlement == payments.SETTLEMENT_STATUS_SETTLED
        or payment.status == payments.PAYMENT_STATUS_FAILED
    )
