"""Orders of a day as the registrar's file 03: written once, kept, and sent until it is known."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, TypeVar, assert_never

from libs.decider import Asked, Cause
from libs.event_store import EventStore
from libs.fund_arithmetic import DividendMode
from libs.projection import Projection
from libs.read_model import Database
from libs.registrar_files import OrderRow, Package, PackageKey, Row, build_index, make_package
from libs.registrar_files.package import ROWS_PER_FILE
from libs.trading_calendar import local_time
from services.funds import queries
from services.funds.aggregates import Aggregates, file_key
from services.funds.booking_desk import LOT, LOTS_AT_ONCE
from services.funds.breaking import Breaking, about
from services.funds.clients.registrar import Answered, NotSent, Peer, RegistrarLink, Unsure
from services.funds.domain import order_lifecycle as life
from services.funds.domain import ta_day
from services.funds.domain.breaks import BreakType
from services.funds.domain.order import Command
from services.funds.domain.order import Record as OrderRecord
from services.funds.domain.order_terms import (
    DividendModeChange,
    FastRedemption,
    Redemption,
    RegistrarMovement,
    Remainder,
    Subscription,
    Switching,
)
from services.funds.domain.registrar import Registrar
from services.funds.file_room import FileRoom
from services.funds.opening import Opening
from services.funds.reading import profile_of
from services.funds.serials import trading_account_of

T = TypeVar("T")
_ACTOR: Final = "funds"
ACCOUNTS: Final = "01"
ORDERS: Final = "03"
AT_ONCE: Final = 256
ROWS_WITHIN_S: Final = 60.0
# The package with the day's orders is the first, and the only one, that we send for a day.
PACKAGE_NUMBER: Final = 1
NOMINEE: Final = "HEFU-NOMINEE"


@dataclass(frozen=True, slots=True)
class Batching:
    """Writes the file of a day's orders, and hands it over."""

    aggregates: Aggregates
    file_room: FileRoom
    link: RegistrarLink
    breaking: Breaking
    opening: Opening
    database: Database
    store: EventStore
    projection: Projection
    distributor: str

    async def batch(self, registrar: Registrar, trade_date: date) -> ta_day.Fact:
        """Keep the file, then mark its orders; done again it is the same file."""
        orders = await self._orders(registrar.ta_id, trade_date)
        rows = [await self._row(order, trade_date) for order in orders]
        contents: dict[str, Sequence[Row]] = {ORDERS: rows}
        profile = profile_of(registrar.profile)
        if profile.opens_accounts:
            traded = [
                (
                    await self.aggregates.terms_of(order.terms.kind.fund_code),
                    order.terms.investor_id,
                )
                for order in orders
            ]
            if wanted := await self.opening.requests(registrar, trade_date, traded):
                contents[ACCOUNTS] = wanted
        key = PackageKey(self.distributor, registrar.ta_id, trade_date, PACKAGE_NUMBER)
        package = make_package(key, contents, profile)
        for file in package.files:
            at = file_key(registrar.ta_id, trade_date, file.file_type, file.batch)
            await self.file_room.keep(at, file.body, is_outgoing=True)
            left = len(contents[file.file_type]) - (file.batch - 1) * ROWS_PER_FILE
            await self.file_room.accept(at, min(left, ROWS_PER_FILE))
        first = file_key(registrar.ta_id, trade_date, ORDERS, 1)
        marks = [(order, life.Batched(first, number)) for number, order in enumerate(orders, 1)]
        await self._mark(marks, "BATCHED")
        amounts = (row.application_amount for row in rows)
        shares = (row.application_vol for row in rows)
        sent = next(file for file in package.files if file.file_type == ORDERS)
        return ta_day.OrdersBatched(first, sent.sha256.hex(), len(rows), sum(amounts), sum(shares))

    async def send(self, registrar: Registrar, trade_date: date) -> ta_day.Fact | None:
        """Hand the day's file over; None: not now."""
        package = await self._package(registrar, trade_date)
        match await self.link.submit(Peer(registrar.ta_id, registrar.address), package):
            case Answered() as answered:
                return await self._answered(registrar, trade_date, answered)
            case NotSent():
                return None
            case Unsure(cause):
                return ta_day.DeliveryDoubted(cause)
            case other:
                assert_never(other)

    async def ask(self, registrar: Registrar, trade_date: date) -> ta_day.Fact | None:
        """What became of a file whose delivery is in doubt; absent, the same one goes again."""
        peer = Peer(registrar.ta_id, registrar.address)
        match await self.link.receipt(peer, trade_date, PACKAGE_NUMBER):
            case Answered() as answered:
                return await self._answered(registrar, trade_date, answered)
            case NotSent():
                sent = await self.send(registrar, trade_date)
                return None if isinstance(sent, ta_day.DeliveryDoubted) else sent
            case other:
                assert_never(other)

    async def _answered(
        self, registrar: Registrar, trade_date: date, answered: Answered
    ) -> ta_day.Fact | None:
        if not answered.is_taken:
            faults = [fault for receipt in answered.receipts for fault in receipt.faults]
            terms = about(
                registrar.ta_id,
                trade_date,
                description="our orders were refused: " + "; ".join(map(str, faults[:5])),
            )
            place = f"{registrar.ta_id}/{trade_date}/{ORDERS}"
            await self.breaking.find(BreakType.FILE_QUARANTINED, place, terms)
            return None
        orders = await self._orders(registrar.ta_id, trade_date)
        received = [
            (order, life.Received()) for order in orders if order.stage is life.Stage.BATCHED
        ]
        await self._mark(received, "RECEIVED")
        return ta_day.Acknowledged()

    async def caught_up(self) -> None:
        """Return once the rows are as new as the store."""
        await self.projection.wait_for(await self.store.head(), ROWS_WITHIN_S)

    async def _orders(self, ta_id: str, trade_date: date) -> list[life.Begun]:
        """Orders that the day's file holds, in the order in which they were placed."""
        await self.caught_up()
        stages = (life.Stage.ACCEPTED.name, life.Stage.BATCHED.name)
        ids = await self.database.read(
            lambda c: queries.orders_of_day(c, ta_id, trade_date.isoformat(), stages)
        )
        await in_lots(ids, self.aggregates.orders_at_hand)
        states = [(await self.aggregates.orders.load(id_)).state for id_ in ids]
        return [state for state in states if isinstance(state, life.Begun)]

    async def _package(self, registrar: Registrar, trade_date: date) -> Package:
        ta_id, us = registrar.ta_id, self.distributor
        kept = [
            *await self.file_room.outgoing(ta_id, us, trade_date, ACCOUNTS),
            *await self.file_room.outgoing(ta_id, us, trade_date, ORDERS),
        ]
        key = PackageKey(self.distributor, registrar.ta_id, trade_date, PACKAGE_NUMBER)
        profile = profile_of(registrar.profile)
        return Package(key, build_index(key, kept, profile), tuple(file for file, _ in kept))

    async def _mark(self, marks: Sequence[tuple[life.Begun, life.Fact]], step: str) -> None:
        async def mark(lot: Sequence[tuple[life.Begun, life.Fact]]) -> None:
            asked = [_marked(order, fact, step) for order, fact in lot]
            recorded(await self.aggregates.orders.record_each(asked))

        await in_lots(marks, mark)

    async def _row(self, order: life.Begun, trade_date: date) -> OrderRow:
        placed, kind = order.placed, order.terms.kind
        terms = await self.aggregates.terms_of(kind.fund_code)
        local = local_time(placed.place_us, terms.dealing.time_zone)
        is_whole = terms.register_model.name == "OMNIBUS"
        row = OrderRow(
            order.serial,
            placed.business_code,
            kind.fund_code,
            trade_date,
            f"{local:%H%M%S}",
            NOMINEE if is_whole else trading_account_of(order.terms.investor_id),
            distributor_code=self.distributor,
            share_class="1" if terms.is_back_end else "0",
            currency_type=terms.currency,
            discount_rate_of_commission=terms.fees_on(trade_date).discount,
            ration_protocol_no=order.terms.plan_id.replace("-", "")[:20],
        )
        match kind:
            case Subscription(amount=amount):
                return row._replace(application_amount=amount.minor)
            case Redemption(remainder=remainder):
                flag = "0" if remainder is Remainder.CANCEL else "1"
                return row._replace(application_vol=placed.shares, large_redemption_flag=flag)
            case Switching(target_code=target, remainder=remainder):
                flag = "0" if remainder is Remainder.CANCEL else "1"
                return row._replace(
                    application_vol=placed.shares,
                    large_redemption_flag=flag,
                    code_of_target_fund=target,
                )
            case FastRedemption():
                # A bank has paid for them: from now on their income is no more the investor's.
                return row._replace(application_vol=order.remaining_shares, take_income_flag="1")
            case DividendModeChange(mode=mode):
                flag = "1" if mode is DividendMode.CASH else "0"
                return row._replace(def_dividend_method=flag)
            case RegistrarMovement():
                raise AssertionError("what the registrar begins is not sent to it")
            case _:
                assert_never(kind)


async def side_by_side(items: Sequence[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Work on many, so many at once that the store joins their appends."""
    waiting = iter(items)

    async def one() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(AT_ONCE, len(items))):
            group.create_task(one())


async def in_lots(items: Sequence[T], work: Callable[[Sequence[T]], Awaitable[None]]) -> None:
    """Work on many together: a few lots at once, one decided while others are being stored."""
    waiting = iter([items[at : at + LOT] for at in range(0, len(items), LOT)])

    async def one() -> None:
        for lot in waiting:
            await work(lot)

    async with asyncio.TaskGroup() as group:
        for _ in range(LOTS_AT_ONCE):
            group.create_task(one())


def _marked(order: life.Begun, fact: life.Fact, step: str) -> Asked[Command]:
    order_id, name = order.placed.order_id, life.tried(order, step)
    cause = Cause(f"{order_id}/{name}", correlation_id=order_id, actor=_ACTOR)
    return Asked(order_id, OrderRecord(fact), cause)


def recorded(answers: Sequence[object]) -> None:
    """All of a lot were recorded. Raises the first that hindered one."""
    for each in answers:
        if isinstance(each, Exception):
            raise each
