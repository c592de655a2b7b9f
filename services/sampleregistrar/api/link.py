"""The registrar link as a registrar serves it."""

import grpc
from sqlalchemy import Connection

from hefu.registrar.v1 import registrar_pb2 as pb
from hefu.registrar.v1.registrar_pb2_grpc import RegistrarServiceServicer
from libs.grpc_errors import Refused
from libs.telemetry import get_logger
from services.sampleregistrar import books, intake
from services.sampleregistrar.api.desk import Context, Desk
from services.sampleregistrar.codec import package_message, package_of, receipt_messages
from services.sampleregistrar.domain.faults import Fault

log = get_logger()


class RegistrarApi(RegistrarServiceServicer):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def SubmitFiles(
        self, request: pb.SubmitFilesRequest, context: Context
    ) -> pb.SubmitFilesResponse:
        desk, message = self._desk, request.package
        if message.registrar_id != desk.registrar_id:
            raise Refused("FIELD_INVALID", f"package.registrar_id: this is {desk.registrar_id}")
        try:
            package = package_of(message, desk.distributor, desk.registrar_id)
        except ValueError as error:
            raise Refused("DATE_MALFORMED", "package.trade_date: there is no such date") from error
        receipts = await desk.database.write(
            lambda connection: desk.intake.take(connection, package)
        )
        log.info(
            "package_taken",
            message_id=package.key.name,
            state=",".join(receipt.outcome for receipt in receipts),
        )
        if await desk.database.write(lambda c: _loses(c, message.trade_date)):
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "")
        return pb.SubmitFilesResponse(receipts=receipt_messages(receipts))

    async def GetReceipt(
        self, request: pb.GetReceiptRequest, _context: Context
    ) -> pb.GetReceiptResponse:
        found = await self._desk.database.read(
            lambda connection: intake.find(connection, request.trade_date, request.number)
        )
        if found is None:
            raise Refused("MESSAGE_NOT_FOUND", "no such package has come")
        return pb.GetReceiptResponse(receipts=receipt_messages(found[1]))

    async def FetchFiles(
        self, request: pb.FetchFilesRequest, _context: Context
    ) -> pb.FetchFilesResponse:
        desk = self._desk
        packages = await desk.database.read(
            lambda connection: desk.issuer.fetch(
                connection, request.trade_date, request.from_number
            )
        )
        return pb.FetchFilesResponse(
            packages=[package_message(package, desk.registrar_id) for package in packages]
        )


def _loses(connection: Connection, trade_date: str) -> bool:
    """Whether the receipt gets lost, which happens once."""
    planned = books.planned_on(connection, trade_date)
    lost = [each for each in planned if each.fault is Fault.LOST_RECEIPT]
    books.happened(connection, trade_date, lost[:1])
    return bool(lost)
