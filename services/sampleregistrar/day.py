"""A trade day run: priced, every order decided, the packages issued, all in one transaction."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from sqlalchemy import Connection, RowMapping, insert, select

from libs.registrar_files import AccountConfirmation, BalanceRow, DividendRow, PriceRow, Row
from services.sampleregistrar import books
from services.sampleregistrar.domain.answers import Days, Decided, Request, answer
from services.sampleregistrar.domain.faults import (
    REJECTING,
    Fault,
    Planned,
    Told,
    pick,
    rejected_by,
    tell,
    wrong_price,
)
from services.sampleregistrar.domain.fund import Fund
from services.sampleregistrar.domain.income import (
    PAR,
    Dividend,
    Forced,
    Income,
    Office,
    credit_income,
    pay_dividend,
    redeem_by_force,
)
from services.sampleregistrar.domain.orders import Clerk, Market, Numbering
from services.sampleregistrar.domain.register import Register
from services.sampleregistrar.issuing import HELD, Issuer
from services.sampleregistrar.schema import days as days_table
from services.sampleregistrar.spoiling import put_spoiled


class DayDiffers(Exception):
    """The day was run before on other terms."""


class DayPast(Exception):
    """A later day has been run."""


class PriceMissing(Exception):
    """There are orders, or dividends, in a fund without a price."""


@dataclass(frozen=True, slots=True)
class DayTerms:
    """What the demo tells of a day."""

    days: Days
    navs: Mapping[str, int]
    incomes: tuple[Income, ...] = ()
    dividends: tuple[Dividend, ...] = ()
    gates: tuple[tuple[str, int], ...] = ()
    forced: tuple[Forced, ...] = ()

    @property
    def digest(self) -> bytes:
        """What a repeat is known by."""
        return hashlib.sha256(repr(self).encode()).digest()


@dataclass(frozen=True, slots=True)
class DayDone:
    """What became of a day."""

    orders: int
    confirmed: int
    rejected: int
    rolled_over: int
    files: tuple[str, ...]


@dataclass(slots=True)
class _Run:
    """One day in hand."""

    terms: DayTerms
    funds: Mapping[str, Fund]
    register: Register
    office: Office
    market: Market
    planned: list[Planned]
    happened: list[Planned]


@dataclass(frozen=True, slots=True)
class DayDesk:
    """Runs days, in order, each once."""

    registrar_id: str
    distributor: str
    seed: str
    issuer: Issuer

    def run(self, connection: Connection, terms: DayTerms, now_ms: int) -> DayDone:
        """Runs a day. Raises `DayDiffers`, `DayPast`, `PriceMissing`."""
        trade = terms.days.trade.isoformat()
        known = connection.execute(
            select(days_table).where(days_table.c.trade_date == trade)
        ).mappings()
        if (before := known.one_or_none()) is not None:
            if before["asked"] != terms.digest:
                raise DayDiffers(trade)
            told = json.loads(before["answered"])
            return DayDone(**{**told, "files": tuple(told["files"])})
        if trade <= books.last_day(connection):
            raise DayPast(trade)
        done = self._run(connection, self._begin(connection, terms), now_ms)
        connection.execute(
            insert(days_table).values(
                trade_date=trade,
                confirm_date=terms.days.confirm.isoformat(),
                asked=terms.digest,
                answered=json.dumps(asdict(done)),
            )
        )
        return done

    def _begin(self, connection: Connection, terms: DayTerms) -> _Run:
        funds = books.funds_of(connection)
        priced = {code: PAR for code, fund in funds.items() if fund.is_money_market}
        market = Market(funds, {**priced, **terms.navs}, dict(terms.gates))
        office = Office(
            terms.days,
            Numbering(self.registrar_id, terms.days),
            self.distributor,
            books.ta_accounts_of(connection),
        )
        planned = books.planned_on(connection, terms.days.trade.isoformat())
        return _Run(terms, funds, books.register_of(connection), office, market, planned, [])

    def _run(self, connection: Connection, run: _Run, now_ms: int) -> DayDone:
        trade, register = run.terms.days.trade, run.register
        requests = books.waiting(connection, trade)
        self._check_prices(run, requests)
        total = {code: register.shares_of(code) for code in run.funds}
        credit_income(register, run.terms.incomes, run.terms.days, _paid_in_advance(requests))
        paid = self._pay(run)
        decided = self._decide(run, requests)
        books.write_positions(connection, register.changed())
        books.close_orders(connection, decided, run.terms.days.confirm)
        books.add_rows(connection, decided, paid)
        prices = self._price(connection, run, total)
        told = tell(decided, run.planned, self.seed)
        run.happened += told.happened
        books.mark_spoiled(connection, told.spoiled)
        balances = balances_of(run.register, run.office)
        files = self._issue(connection, run, (prices, told, paid, balances), now_ms)
        books.happened(connection, trade.isoformat(), run.happened)
        ours = [each for each in decided if each.row.from_ta_flag == "0"]
        return DayDone(
            orders=len(ours),
            confirmed=sum(each.row.return_code == "0000" for each in ours),
            rejected=sum(each.row.return_code != "0000" for each in ours),
            rolled_over=sum(each.left > 0 for each in ours),
            files=tuple(files),
        )

    @staticmethod
    def _check_prices(run: _Run, requests: Sequence[Request]) -> None:
        needed = {request.row.fund_code for request in requests}
        needed |= {request.row.code_of_target_fund for request in requests} - {""}
        needed |= {dividend.fund for dividend in run.terms.dividends}
        needed |= {forced.fund for forced in run.terms.forced}
        if absent := sorted((needed & set(run.funds)) - set(run.market.navs)):
            raise PriceMissing(absent[0])

    @staticmethod
    def _pay(run: _Run) -> list[DividendRow]:
        return [
            row
            for dividend in sorted(run.terms.dividends, key=lambda each: each.fund)
            if dividend.fund in run.funds
            for row in pay_dividend(
                run.register,
                run.funds[dividend.fund],
                dividend,
                run.market.navs[dividend.fund],
                run.office,
            )
        ]

    def _decide(self, run: _Run, requests: Sequence[Request]) -> list[Decided]:
        refused = self._refused(run, requests)
        office = run.office
        clerk = Clerk(
            run.register, run.market, run.terms.days, office.numbering, office.ta_accounts
        )
        decided = clerk.decide([each for each in requests if each.serial not in refused])
        for request in requests:
            if request.serial in refused:
                ta_account = office.ta_accounts[request.row.transaction_account_id]
                row = answer(request, office.numbering.next(), run.terms.days, ta_account)
                decided.append(Decided(rejected_by(refused[request.serial], row)))
        for forced in run.terms.forced:
            fund = run.funds.get(forced.fund)
            nav = run.market.navs.get(forced.fund, 0)
            done = fund and redeem_by_force(run.register, fund, forced, nav, office)
            if done:
                decided.append(done)
        self._freeze(run.register, decided)
        return decided

    def _refused(self, run: _Run, requests: Sequence[Request]) -> dict[str, str]:
        """Orders that a fault rejects, with the code."""
        refused: dict[str, str] = {}
        for each in run.planned:
            if each.fault not in REJECTING:
                continue
            fitting = [
                request.serial
                for request in requests
                if each.fund in ("", request.row.fund_code) and request.serial not in refused
            ]
            chosen = pick(self.seed, each.fault.value, fitting)
            if chosen is not None:
                refused[chosen] = REJECTING[each.fault]
                run.happened.append(each)
        return refused

    @staticmethod
    def _freeze(register: Register, decided: Sequence[Decided]) -> None:
        frozen: dict[tuple[str, str], int] = {}
        for each in decided:
            if each.left:
                key = (each.row.transaction_account_id, each.row.fund_code)
                frozen[key] = frozen.get(key, 0) + each.left
        for position in list(register.all()):
            wanted = frozen.get((position.account, position.fund), 0)
            if position.frozen != wanted:
                register.put(replace(position, frozen=wanted))

    @staticmethod
    def _price(connection: Connection, run: _Run, total: Mapping[str, int]) -> tuple[PriceRow, ...]:
        trade = run.terms.days.trade
        rows = [
            PriceRow(
                fund_code=code,
                nav_date=trade,
                nav=run.market.navs[code],
                accumulative_nav=run.market.navs[code],
                currency_type=run.funds[code].currency,
                total_vol=total[code],
            )
            for code in sorted(set(run.market.navs) & set(run.funds))
            if not run.funds[code].is_money_market
        ]
        told = wrong_price(rows, run.planned)
        run.happened += [each for each in run.planned if each.fault is Fault.WRONG_PRICE]
        for row, said in zip(rows, told, strict=True):
            books.set_price(connection, row.fund_code, trade, row.nav, said.nav)
        return told + _incomes(run, total)

    def _issue(
        self,
        connection: Connection,
        run: _Run,
        told: tuple[Sequence[PriceRow], Told, Sequence[DividendRow], Sequence[BalanceRow]],
        now_ms: int,
    ) -> list[str]:
        prices, confirmations, paid, balances = told
        trade = run.terms.days.trade
        faults = {each.fault: each for each in run.planned}
        copies = 2 if Fault.DUPLICATE_FILE in faults else 1
        evening: dict[str, Sequence[Row]] = {"07": prices}
        morning: dict[str, Sequence[Row]] = {"04": confirmations.rows, "05": balances}
        if opened := _opened(books.requests_on(connection, trade), run.office):
            morning["02"] = opened
        if paid:
            morning["06"] = paid
        due_ms = HELD if Fault.LATE_FILE in faults else now_ms
        order = [(evening, now_ms), (morning, due_ms)]
        if Fault.PRICES_AFTER_CONFIRMATIONS in faults:
            order.reverse()
        happened = (Fault.DUPLICATE_FILE, Fault.LATE_FILE, Fault.PRICES_AFTER_CONFIRMATIONS)
        run.happened += [each for fault, each in faults.items() if fault in happened]
        files: list[str] = []
        for contents, due in order:
            spoils = [f for f in (Fault.WRONG_COUNT, Fault.WRONG_TOTAL) if f in faults]
            if spoils and "04" in contents:
                rows = {"04": contents["04"]}
                files += put_spoiled(self.issuer, connection, trade, rows, spoils[0], due)
                run.happened.append(faults[spoils[0]])
            files += self.issuer.issue(connection, trade, contents, due_ms=due, copies=copies)
        return files


def _paid_in_advance(requests: Sequence[Request]) -> dict[tuple[str, str], int]:
    taken: dict[tuple[str, str], int] = {}
    for request in requests:
        if request.row.take_income_flag == "1":
            key = (request.row.transaction_account_id, request.row.fund_code)
            taken[key] = taken.get(key, 0) + request.shares
    return taken


def _opened(asked: Sequence[RowMapping], office: Office) -> list[AccountConfirmation]:
    """Every account that was asked for is opened."""
    return [
        AccountConfirmation(
            each["serial"],
            office.numbering.next(),
            f"1{each['business_code'][1:]}",
            each["transaction_account_id"],
            office.days.trade,
            office.days.confirm,
            office.ta_accounts[each["transaction_account_id"]],
            distributor_code=office.distributor,
        )
        for each in asked
    ]


def balances_of(register: Register, office: Office) -> list[BalanceRow]:
    """What every account holds."""
    return [
        BalanceRow(
            ta_account_id=office.ta_accounts[position.account],
            fund_code=position.fund,
            transaction_cfm_date=office.days.confirm,
            total_vol_of_distributor_in_ta=position.shares,
            available_vol=position.shares - position.frozen,
            total_frozen_vol=position.frozen,
            transaction_account_id=position.account,
            distributor_code=office.distributor,
            def_dividend_method=str(position.mode.value),
            undistribute_monetary_income=position.bucket,
        )
        for position in register.all()
    ]


def _incomes(run: _Run, total: Mapping[str, int]) -> tuple[PriceRow, ...]:
    """A row for each natural day of a money fund; one of the trade day at the least."""
    trade = run.terms.days.trade
    told = {(each.fund, each.date): each for each in run.terms.incomes if each.fund in run.funds}
    for code, fund in run.funds.items():
        if fund.is_money_market:
            told.setdefault((code, trade), Income(code, trade, 0))
    return tuple(
        PriceRow(
            fund_code=code,
            nav_date=day,
            nav=PAR,
            accumulative_nav=PAR,
            currency_type=run.funds[code].currency,
            total_vol=total[code],
            fund_income=income.per_ten_thousand,
            fund_yield=income.seven_day_yield_ppm,
        )
        for (code, day), income in sorted(told.items())
    )
