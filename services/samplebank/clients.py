"""Calls to the wallet's bank link."""

from collections.abc import Awaitable, Callable

import grpc

from hefu.bank.v1 import bank_pb2 as pb
from hefu.bank.v1.bank_pb2_grpc import BankLinkServiceStub
from libs.grpc_errors import reason_of
from libs.messenger import NotArrived, NotTaken
from services.samplebank.outbox import Parcel

TIMEOUT_S = 10.0
# What will not change when the same is sent again.
_FOR_GOOD = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


def deliverer(
    channel: grpc.aio.Channel, sign: Callable[[str, bytes], pb.IsoMessage]
) -> Callable[[Parcel], Awaitable[None]]:
    """Sends a message to the wallet. What it gives raises `NotTaken` or `NotArrived`."""
    stub = BankLinkServiceStub(channel)

    async def send(parcel: Parcel) -> None:
        request = pb.DeliverMessageRequest(message=sign(parcel.message_type, parcel.body))
        try:
            await stub.DeliverMessage(request, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            reason = reason_of(error)
            raise (NotTaken if error.code() in _FOR_GOOD else NotArrived)(reason) from error

    return send
