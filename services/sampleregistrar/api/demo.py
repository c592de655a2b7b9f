"""The demo's handle on the registrar: tell it of funds and faults, run its days, read its books."""

from datetime import date

from hefu.registrar.v1 import sample_registrar_pb2 as pb
from hefu.registrar.v1.sample_registrar_pb2_grpc import SampleRegistrarServiceServicer
from libs.grpc_errors import Refused
from libs.telemetry import get_logger
from services.sampleregistrar import books, issuing
from services.sampleregistrar.api.desk import Context, Desk
from services.sampleregistrar.codec import fund_of
from services.sampleregistrar.correcting import Corrected, DayNotRun
from services.sampleregistrar.day import DayDiffers, DayPast, DayTerms, PriceMissing
from services.sampleregistrar.domain.answers import Days
from services.sampleregistrar.domain.faults import Fault, Planned
from services.sampleregistrar.domain.income import Dividend, Forced, Income
from services.sampleregistrar.reading import read_books, shares_page

PAGE = 1_000
log = get_logger()


class SampleRegistrarApi(SampleRegistrarServiceServicer):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def PutFunds(self, request: pb.PutFundsRequest, _context: Context) -> pb.PutFundsResponse:
        told = [fund_of(fund) for fund in request.funds]
        await self._desk.database.write(lambda connection: books.put_funds(connection, told))
        return pb.PutFundsResponse(funds=len(told))

    async def PlanFaults(
        self, request: pb.PlanFaultsRequest, _context: Context
    ) -> pb.PlanFaultsResponse:
        planned = [
            (
                _day("trade_date", each.trade_date).isoformat(),
                Planned(Fault[pb.Fault.Name(each.fault).removeprefix("FAULT_")], each.fund_code),
            )
            for each in request.faults
        ]
        await self._desk.database.write(lambda connection: books.plan_faults(connection, planned))
        return pb.PlanFaultsResponse()

    async def RunDay(self, request: pb.RunDayRequest, _context: Context) -> pb.RunDayResponse:
        desk, terms = self._desk, _terms(request)
        try:
            done = await desk.database.write(
                lambda connection: desk.days.run(connection, terms, desk.now_ms)
            )
        except DayDiffers as error:
            raise Refused("IDEMPOTENCY_KEY_REUSED", "the day was run on other terms") from error
        except DayPast as error:
            raise Refused("BUSINESS_DATE_PAST", "a later day has been run") from error
        except PriceMissing as error:
            raise Refused("FIELD_REQUIRED", f"prices: there is none of {error}") from error
        desk.bell.ring()
        log.info("day_run", business_date=request.trade_date, count=done.orders)
        return pb.RunDayResponse(
            orders=done.orders,
            confirmed=done.confirmed,
            rejected=done.rejected,
            rolled_over=done.rolled_over,
            files=done.files,
        )

    async def CorrectPrice(
        self, request: pb.CorrectPriceRequest, _context: Context
    ) -> pb.CorrectPriceResponse:
        desk, trade = self._desk, _day("trade_date", request.trade_date)
        try:
            done = await desk.database.write(
                lambda connection: desk.corrections.correct_price(
                    connection, request.fund_code, trade, request.nav, desk.now_ms
                )
            )
        except DayNotRun as error:
            raise _not_run() from error
        self._tell(request.trade_date, done)
        return pb.CorrectPriceResponse(amended=done.rows, files=done.files)

    async def CorrectRows(
        self, request: pb.CorrectRowsRequest, _context: Context
    ) -> pb.CorrectRowsResponse:
        desk, trade = self._desk, _day("trade_date", request.trade_date)
        try:
            done = await desk.database.write(
                lambda connection: desk.corrections.correct_rows(connection, trade, desk.now_ms)
            )
        except DayNotRun as error:
            raise _not_run() from error
        self._tell(request.trade_date, done)
        return pb.CorrectRowsResponse(rows=done.rows, files=done.files)

    async def ReleaseFiles(
        self, request: pb.ReleaseFilesRequest, _context: Context
    ) -> pb.ReleaseFilesResponse:
        desk = self._desk
        if request.trade_date:
            _day("trade_date", request.trade_date)
        packages = await desk.database.write(
            lambda connection: issuing.release(connection, request.trade_date, desk.now_ms)
        )
        desk.bell.ring()
        return pb.ReleaseFilesResponse(packages=packages)

    async def GetBooks(self, request: pb.GetBooksRequest, _context: Context) -> pb.GetBooksResponse:
        found = await self._desk.database.read(lambda c: read_books(c, request.from_date))
        return pb.GetBooksResponse(
            registrar_id=self._desk.registrar_id,
            funds=[pb.FundBooks(**fund) for fund in found.funds],
            days=[pb.DayCash(**day) for day in found.days],
            faults=found.faults,
            last_trade_date=found.last_trade_date,
            **found.counts,
        )

    async def ListShares(
        self, request: pb.ListSharesRequest, _context: Context
    ) -> pb.ListSharesResponse:
        size = request.page_size or PAGE
        found, token = await self._desk.database.read(
            lambda connection: shares_page(connection, request.fund_code, request.page_token, size)
        )
        return pb.ListSharesResponse(
            accounts=[pb.AccountShares(**account) for account in found], next_page_token=token
        )

    def _tell(self, trade_date: str, done: Corrected) -> None:
        self._desk.bell.ring()
        log.info("day_corrected", business_date=trade_date, count=done.rows)


def _terms(request: pb.RunDayRequest) -> DayTerms:
    trade, confirm = (
        _day("trade_date", request.trade_date),
        _day("confirm_date", request.confirm_date),
    )
    if confirm <= trade:
        raise Refused("FIELD_INVALID", "confirm_date: must be after the trade date")
    return DayTerms(
        Days(trade, confirm),
        {price.fund_code: price.nav for price in request.prices},
        tuple(
            Income(
                income.fund_code,
                _income_day(index, income.date, trade, confirm),
                income.income_per_ten_thousand,
                income.seven_day_yield_ppm,
            )
            for index, income in enumerate(request.incomes)
        ),
        tuple(
            Dividend(each.fund_code, each.per_share, _day("payment_date", each.payment_date))
            for each in request.dividends
        ),
        tuple((gate.fund_code, gate.accepted_shares) for gate in request.gates),
        tuple(
            Forced(each.fund_code, each.transaction_account_id, each.shares)
            for each in request.forced
        ),
    )


def _income_day(index: int, text: str, trade: date, confirm: date) -> date:
    found = _day(f"incomes[{index}].date", text)
    if not trade <= found < confirm:
        told = f"incomes[{index}].date: from the trade date to the day before the confirm date"
        raise Refused("FIELD_INVALID", told)
    return found


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Refused("DATE_MALFORMED", f"{field}: there is no such date") from error


def _not_run() -> Refused:
    told = "trade_date: it has not been run, or a later one has"
    return Refused("STATE_CHANGE_NOT_ALLOWED", told)
