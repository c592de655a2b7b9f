"""Calls to the distributor's registrar link."""

from collections.abc import Awaitable, Callable

import grpc

from hefu.registrar.v1 import registrar_pb2 as pb
from hefu.registrar.v1.registrar_pb2_grpc import RegistrarLinkServiceStub
from libs.grpc_errors import reason_of
from libs.messenger import NotArrived, NotTaken
from libs.registrar_files import FileReason
from services.sampleregistrar.codec import package_message
from services.sampleregistrar.issuing import Parcel

TIMEOUT_S = 60.0


def deliverer(channel: grpc.aio.Channel, registrar_id: str) -> Callable[[Parcel], Awaitable[None]]:
    """Sends a package to the distributor. What it gives raises `NotTaken` or `NotArrived`."""
    stub = RegistrarLinkServiceStub(channel)

    async def send(parcel: Parcel) -> None:
        message = package_message(parcel.package, registrar_id)
        request = pb.DeliverFilesRequest(package=message)
        try:
            answer = await stub.DeliverFiles(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise NotTaken(reason_of(error)) from error
            raise NotArrived(reason_of(error) or error.code().name) from error
        refused = [r for r in answer.receipts if r.outcome == pb.RECEIPT_OUTCOME_REFUSED]
        faults = [fault for receipt in refused for fault in receipt.faults]
        if refused and not refused[0].batch and [f.reason for f in faults] == [FileReason.GAP]:
            raise NotArrived("GAP")
        if refused:
            raise NotTaken("; ".join(f"{f.file_name} {f.reason} {f.description}" for f in faults))

    return send
