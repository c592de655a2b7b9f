"""The demo's handle on the bank: end its day, read its books."""

from datetime import date

from hefu.samplebank.v1 import samplebank_pb2 as pb
from hefu.samplebank.v1.samplebank_pb2_grpc import SampleBankServiceServicer
from libs.grpc_errors import Refused
from libs.telemetry import get_logger
from services.samplebank.api.desk import Context, Desk
from services.samplebank.statements import DayEnded

log = get_logger()


class SampleBankApi(SampleBankServiceServicer):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def EndDay(self, request: pb.EndDayRequest, _context: Context) -> pb.EndDayResponse:
        desk, business_date = self._desk, request.business_date
        try:
            date.fromisoformat(business_date)
        except ValueError as error:
            raise Refused("BUSINESS_DATE_INVALID", "there is no such date") from error
        try:
            end = await desk.database.write(
                lambda connection: desk.day_book.end_day(connection, business_date, desk.now_ms)
            )
        except DayEnded as error:
            raise Refused("BANK_DAY_ENDED", "a later business date has ended") from error
        desk.bell.ring()
        log.info("day_ended", business_date=business_date, count=end.lines)
        return pb.EndDayResponse(
            statement_number=end.number, closing_minor=end.closing_minor, lines=end.lines
        )

    async def GetBooks(
        self, _request: pb.GetBooksRequest, _context: Context
    ) -> pb.GetBooksResponse:
        desk = self._desk
        books = await desk.database.write(desk.day_book.books)
        return pb.GetBooksResponse(
            bank_id=desk.bank.terms.bank_id,
            account_number=desk.bank.terms.number,
            currency_code=desk.bank.terms.currency,
            balance_minor=books.balance_minor,
            executed=books.executed,
            executed_twice=books.executed_twice,
            refused=books.refused,
            behaviours=books.behaviours,
        )
