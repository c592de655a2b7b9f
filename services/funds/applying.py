"""What a registrar's file does to us: prices and income, dividends, confirmations, balances."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, TypeVar

from libs.decider import Asked, Cause, Rejected
from libs.event_store import EventStore
from libs.ids import named_id
from libs.projection import Projection
from libs.read_model import Database
from libs.registrar_files import DONE, ConfirmationRow, DividendRow, PriceRow
from services.funds import queries
from services.funds.aggregates import Aggregates, holding_id
from services.funds.balancing import Balancing
from services.funds.batching import NOMINEE, ROWS_WITHIN_S, in_lots, recorded, side_by_side
from services.funds.booking_desk import Answer, Booked, BookingDesk, is_begun_by_registrar
from services.funds.breaking import Breaking, about
from services.funds.domain import fund as funds
from services.funds.domain import holding as holdings
from services.funds.domain import order_lifecycle as life
from services.funds.domain.breaks import BreakType
from services.funds.domain.order import Command, Record
from services.funds.domain.order_evolving import may_follow
from services.funds.domain.order_terms import Confirmation, RegistrarMovement, Terms
from services.funds.domain.product import Carry, FundStatus, FundTerms
from services.funds.domain.registrar import Registrar
from services.funds.domain.ta_day import FileApplied, FileType, Purpose, Total
from services.funds.file_room import FileRoom
from services.funds.reading import (
    REFUSALS,
    confirmation_of,
    dividend_of,
    nav_of,
    status_of,
)
from services.funds.serials import order_id_of
from services.funds.sharing import Sharing

R = TypeVar("R")
_ACTOR: Final = "funds"
_DAY: Final = timedelta(days=1)
_FIRST_BATCH: Final = "-001"


@dataclass(frozen=True, slots=True)
class Applying:
    """Applies accepted files; each can be applied again without effect."""

    aggregates: Aggregates
    file_room: FileRoom
    desk: BookingDesk
    balancing: Balancing
    sharing: Sharing
    breaking: Breaking
    database: Database
    store: EventStore
    projection: Projection
    distributor: str

    async def apply(
        self, registrar: Registrar, trade_date: date, file_type: FileType, key: str
    ) -> tuple[FileApplied, Booked]:
        """Every row has its effect, or its break."""
        batch = int(key.rpartition("-")[2])
        rows = await self.file_room.rows(
            registrar, self.distributor, trade_date, file_type.value, batch
        )
        done = Booked()
        match file_type:
            case FileType.PRICES:
                prices = [row for row in rows if isinstance(row, PriceRow)]
                done.booked = len(prices)
                await self._prices(registrar, trade_date, key, prices)
            case FileType.DIVIDENDS:
                found = [row for row in rows if isinstance(row, DividendRow)]
                done = await self._dividends(registrar, key, found)
            case FileType.CONFIRMATIONS:
                told = [row for row in rows if isinstance(row, ConfirmationRow)]
                done = await self._confirmations(registrar, key, told)
            case FileType.BALANCES:
                await self._caught_up()
                done.breaks = await self.balancing.compare(registrar, trade_date, batch)
            case FileType.ORDERS:
                raise AssertionError("orders are ours to send")
        totals = tuple(Total(p, minor) for p, minor in sorted_by_name(done.cash) if minor)
        return FileApplied(key, done.booked, done.rejected, done.breaks, totals), done

    # ---- prices and income

    async def _prices(
        self, registrar: Registrar, trade_date: date, key: str, rows: Sequence[PriceRow]
    ) -> None:
        listed: dict[str, funds.Listed] = {}
        for row in sorted(rows, key=lambda each: (each.fund_code, each.nav_date)):
            fund = await self._listed(registrar, trade_date, row.fund_code, key)
            if fund is None:
                continue
            listed[row.fund_code] = fund
            await self._price(row, fund, key)
            if fund.terms.is_money_fund:
                await self._income(row, fund.terms)
        orders = await self._orders(registrar.ta_id, trade_date, _BEFORE_PRICE)

        async def price(ids: Sequence[str]) -> None:
            await self.aggregates.orders_at_hand(ids)
            asked = [await self._priced(order_id, trade_date) for order_id in ids]
            recorded(await self.aggregates.orders.record_each([each for each in asked if each]))
            for order_id in ids:
                self.desk.wake(order_id)

        await in_lots(orders, price)

    async def _priced(self, order_id: str, trade_date: date) -> Asked[Command] | None:
        """That the order's price is known; None where it is not, or was before."""
        state = (await self.aggregates.orders.load(order_id)).state
        if not isinstance(state, life.Begun):
            return None
        fund = (await self.aggregates.funds.load(state.terms.kind.fund_code)).state
        nav = fund.nav_on(trade_date) if isinstance(fund, funds.Listed) else None
        if nav is None or state.price is not None:
            return None
        priced = life.Priced(trade_date, nav.nav)
        if not may_follow(state, priced):
            return None
        return Asked(order_id, Record(priced), _cause(order_id, f"priced/{trade_date}"))

    async def _price(self, row: PriceRow, fund: funds.Listed, key: str) -> None:
        nav, code = nav_of(row), row.fund_code
        cause = Cause(f"{key}/{code}/{row.nav_date}", correlation_id=code, actor=_ACTOR)
        try:
            await self.aggregates.funds.transact(code, funds.PublishNav(nav, key), cause)
        except Rejected as rejected:
            if rejected.reason is not funds.Reason.NAV_DIFFERS:
                await self._refused(fund, row.nav_date, key, rejected)
                return
            # A registrar's later word on a day it has priced is a correction.
            correct = funds.CorrectNav(nav, "the registrar's correction", key)
            await self.aggregates.funds.transact(code, correct, cause)
        status = status_of(row)
        if status is not None and status is not fund.status and fund.status in _BY_FILE:
            change = funds.ChangeStatus(f"{key}/{code}", status, "the registrar's word")
            await self.aggregates.funds.transact(code, change, cause)

    async def _refused(self, fund: funds.Listed, day: date, key: str, rejected: Rejected) -> None:
        """A price or a dividend that cannot be: it is not taken, and a person must look."""
        told = f"{rejected.reason.name}: {rejected.description}"
        terms = about(fund.terms.ta_id, day, fund_code=fund.terms.code, description=told)
        place = f"{key}/{fund.terms.code}/{day}/{rejected.reason.name}"
        await self.breaking.find(BreakType.NAV_DIFF, place, terms)

    async def _income(self, row: PriceRow, terms: FundTerms) -> None:
        """A natural day's income, for each holder; a day that is owed before it comes first."""
        day, code = row.nav_date, row.fund_code
        accrue = holdings.AccrueIncome(
            day, row.fund_income, _is_carry_day(terms, day), terms.share_scale
        )
        await self._caught_up()
        investors = await self.database.read(lambda c: queries.holders(c, code))

        async def one(investor_id: str) -> None:
            cause = Cause(f"income/{code}/{day}", correlation_id=code, actor=_ACTOR)
            id_ = holding_id(investor_id, code)
            try:
                await self.aggregates.holdings.transact(id_, accrue, cause)
            except Rejected as rejected:
                if rejected.reason is not holdings.Reason.ACCRUAL_GAP:
                    raise
                told = about(
                    terms.ta_id,
                    day,
                    fund_code=code,
                    investor_id=investor_id,
                    description=f"{rejected.reason.name}: {rejected.description}",
                )
                await self.breaking.find(BreakType.AMOUNT_DIFF, f"income/{id_}/{day}", told)

        await side_by_side(investors, one)

    async def _listed(
        self, registrar: Registrar, trade_date: date, code: str, key: str
    ) -> funds.Listed | None:
        fund = (await self.aggregates.funds.load(code)).state
        if isinstance(fund, funds.Listed):
            return fund
        told = about(registrar.ta_id, trade_date, fund_code=code, description="no fund of ours")
        await self.breaking.find(BreakType.MISSING_HERE, f"{key}/{code}", told)
        return None

    # ---- dividends and confirmations

    async def _dividends(
        self, registrar: Registrar, key: str, rows: Sequence[DividendRow]
    ) -> Booked:
        for row in {row.fund_code: row for row in rows}.values():
            await self._declare(row, key)
        accounts = await self._accounts([row.transaction_account_id for row in rows])
        answers: list[Answer] = []
        for number, row in enumerate(rows, 1):
            confirmation = dividend_of(row, key, number)
            known = accounts.get(row.transaction_account_id)
            answers += await self._begun(registrar, confirmation, row, known)
        return await self.desk.book(registrar.ta_id, answers)

    async def _declare(self, row: DividendRow, key: str) -> None:
        fund = (await self.aggregates.funds.load(row.fund_code)).state
        if isinstance(fund, funds.Absent):
            return
        dividend = funds.Dividend(
            f"{row.fund_code}/{row.xr_date}",
            row.registration_date,
            row.xr_date,
            row.dividend_date,
            row.dividend_per_unit,
        )
        cause = Cause(f"{key}/{row.fund_code}/dividend", correlation_id=row.fund_code)
        declare = funds.DeclareDividend(dividend, key)
        try:
            await self.aggregates.funds.transact(row.fund_code, declare, cause)
        except Rejected as rejected:
            await self._refused(fund, row.xr_date, key, rejected)

    async def _confirmations(
        self, registrar: Registrar, key: str, rows: Sequence[ConfirmationRow]
    ) -> Booked:
        answers: list[Answer] = []
        unknown_codes = 0
        ours = [order_id_of(row.app_sheet_serial_no) for row in rows]
        await in_lots([each for each in ours if each], self.aggregates.orders_at_hand)
        for number, row in enumerate(rows, 1):
            confirmation = confirmation_of(row, key, number)
            if is_begun_by_registrar(row.business_code):
                continue
            order_id = order_id_of(row.app_sheet_serial_no) or str(
                named_id("unknown order", registrar.ta_id, row.app_sheet_serial_no)
            )
            state = (await self.aggregates.orders.load(order_id)).state
            investor = state.terms.investor_id if isinstance(state, life.Begun) else ""
            refusal = None
            if row.return_code != DONE:
                reason = REFUSALS.get(row.return_code, "REFUSED_BY_REGISTRAR")
                serial, said = row.app_sheet_serial_no, row.error_detail
                refusal = life.Refused(reason, said, row.return_code, serial)
                if row.return_code not in REFUSALS:
                    unknown_codes += 1
                    await self._unknown_code(registrar, order_id, confirmation, row)
            answers.append(Answer(order_id, investor, confirmation, refusal=refusal))
        done = await self.desk.book(registrar.ta_id, answers, await self._missing(registrar, key))
        done.breaks += unknown_codes
        done.add(await self._by_registrar(registrar, key, rows))
        return done

    async def _by_registrar(
        self, registrar: Registrar, key: str, rows: Sequence[ConfirmationRow]
    ) -> Booked:
        """Rows that it began by itself, after all others: they are about what is held by then."""
        begun = [
            (number, row)
            for number, row in enumerate(rows, 1)
            if is_begun_by_registrar(row.business_code)
        ]
        accounts = await self._accounts([row.transaction_account_id for _, row in begun])
        answers: list[Answer] = []
        for number, row in begun:
            confirmation, known = (
                confirmation_of(row, key, number),
                accounts.get(row.transaction_account_id),
            )
            answers += await self._begun(registrar, confirmation, row, known)
        return await self.desk.book(registrar.ta_id, answers)

    async def _begun(
        self,
        registrar: Registrar,
        row: Confirmation,
        told: ConfirmationRow | DividendRow,
        known: tuple[str, str] | None,
    ) -> Sequence[Answer]:
        """Whose it is that the registrar began: one investor's, or all those behind our nominee."""
        if told.transaction_account_id != NOMINEE:
            return [_begun_by_registrar(registrar.ta_id, row, known)]
        try:
            return await self.sharing.answers(registrar.ta_id, row)
        except Rejected:
            # Nobody of ours: the desk finds no order, and that is a break.
            return [_begun_by_registrar(registrar.ta_id, row, None)]

    async def _missing(self, registrar: Registrar, key: str) -> Sequence[str]:
        """Breaks that stand because an order was not answered; no day has any before its files."""
        if key.endswith(_FIRST_BATCH):
            return ()
        await self._caught_up()
        type_ = BreakType.MISSING_AT_TA.name
        return await self.database.read(
            lambda c: queries.standing_breaks(c, registrar.ta_id, type_)
        )

    async def _unknown_code(
        self, registrar: Registrar, order_id: str, row: Confirmation, told: ConfirmationRow
    ) -> None:
        terms = about(
            registrar.ta_id,
            row.trade_date,
            fund_code=row.fund_code,
            order_id=order_id,
            row_id=row.row_id,
            theirs=told.return_code,
            description=told.error_detail or "a return code that no table explains",
        )
        await self.breaking.find(BreakType.RETURN_CODE_UNKNOWN, row.row_id, terms)

    async def _accounts(self, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        if not ids:
            return {}
        await self._caught_up()
        return await self.database.read(lambda c: queries.trading_accounts(c, ids))

    async def _orders(self, ta_id: str, trade_date: date, stages: Sequence[str]) -> Sequence[str]:
        await self._caught_up()
        day = trade_date.isoformat()
        return await self.database.read(lambda c: queries.orders_of_day(c, ta_id, day, stages))

    async def _caught_up(self) -> None:
        await self.projection.wait_for(await self.store.head(), ROWS_WITHIN_S)


_BEFORE_PRICE: Final = (
    life.Stage.BATCHED.name,
    life.Stage.TA_RECEIVED.name,
    life.Stage.PARTIALLY_CONFIRMED.name,
    life.Stage.CONFIRMED.name,
    life.Stage.ROLLED_OVER.name,
)
# States that a registrar's price file may change; what an operator has closed stays closed.
_BY_FILE: Final = frozenset(
    {FundStatus.OPEN, FundStatus.RAISING, FundStatus.PAUSED_IN, FundStatus.PAUSED_OUT}
)


def sorted_by_name(cash: Counter[Purpose]) -> list[tuple[Purpose, int]]:
    """Sums in one order, whatever the order of the rows."""
    return sorted(cash.items(), key=lambda each: each[0].name)


def _begun_by_registrar(ta_id: str, row: Confirmation, known: tuple[str, str] | None) -> Answer:
    investor_id, wallet = known if known is not None else ("", "")
    order_id = str(named_id("registrar", ta_id, row.row_id))
    if not investor_id:
        # Nobody of ours: the desk finds no order, and that is a break.
        return Answer(order_id, "", row)
    kind = RegistrarMovement(row.fund_code, row.business_code)
    return Answer(order_id, investor_id, row, Terms(investor_id, wallet, kind))


def _is_carry_day(terms: FundTerms, day: date) -> bool:
    if terms.carry is Carry.DAILY:
        return True
    last = (day.replace(day=28) + 4 * _DAY).replace(day=1) - _DAY
    return day.day == min(terms.carry_day, last.day)


def _cause(order_id: str, step: str) -> Cause:
    return Cause(f"{order_id}/{step}", correlation_id=order_id, actor=_ACTOR)
