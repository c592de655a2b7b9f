"""The link to each registrar: mutual TLS, a deadline, failures told apart by what may have left."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import grpc

from hefu.registrar.v1 import registrar_pb2 as pb
from hefu.registrar.v1 import registrar_pb2_grpc
from libs.grpc_client import open_channel
from libs.grpc_errors import reason_of
from libs.registrar_files import File, FileFault, FileReason, Package, PackageKey
from libs.transient import Unavailable

CONNECT_S: Final = 3.0
CALL_S: Final = 30.0
# The protocol's numbers of the market's types.
TYPES: Final = {
    "01": pb.FILE_TYPE_ACCOUNT_REQUESTS,
    "02": pb.FILE_TYPE_ACCOUNT_CONFIRMATIONS,
    "03": pb.FILE_TYPE_ORDERS,
    "04": pb.FILE_TYPE_CONFIRMATIONS,
    "05": pb.FILE_TYPE_BALANCES,
    "06": pb.FILE_TYPE_DIVIDENDS,
    "07": pb.FILE_TYPE_PRICES,
}
_NAMES: Final = {number: text for text, number in TYPES.items()}


@dataclass(frozen=True, slots=True)
class Peer:
    """A registrar, and where it listens."""

    ta_id: str
    address: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer about one file: taken, or the faults for which it is not."""

    file_type: str
    batch: int
    is_taken: bool
    is_repeat: bool = False
    rows: int = 0
    sha256: bytes = b""
    faults: tuple[FileFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """The registrar has it, and said what became of it."""

    receipts: tuple[Receipt, ...]

    @property
    def is_taken(self) -> bool:
        """Whether all of it was."""
        return bool(self.receipts) and all(each.is_taken for each in self.receipts)


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte left this process, or the registrar says that it has never seen it."""

    cause: str


@dataclass(frozen=True, slots=True)
class Unsure:
    """Bytes may have left, and nothing is known."""

    cause: str


Delivered: TypeAlias = Answered | NotSent | Unsure


class RegistrarLink(Protocol):
    """The port. `submit` never raises; the others raise `libs.transient.Unavailable`."""

    async def submit(self, peer: Peer, package: Package) -> Delivered:
        """Hand over a package; the same one may be handed over again."""
        ...

    async def receipt(self, peer: Peer, trade_date: date, number: int) -> Answered | NotSent:
        """What became of a package whose delivery is not known."""
        ...

    async def fetch(self, peer: Peer, trade_date: date, from_number: int) -> Sequence[Package]:
        """What the registrar has issued for a day, from a number on."""
        ...


class GrpcRegistrarLink(RegistrarLink):
    """The port over gRPC: a channel for each registrar, kept; nothing is sent twice by itself."""

    def __init__(self, identity_dir: Path) -> None:
        self._identity_dir = identity_dir
        self._channels: dict[str, tuple[str, grpc.aio.Channel]] = {}

    async def submit(self, peer: Peer, package: Package) -> Delivered:
        request = pb.SubmitFilesRequest(package=package_to_wire(package, peer.ta_id))
        try:
            stub = await self._ready(peer)
        except Unavailable as error:
            # Connecting is all that was tried: the request was not handed to the channel.
            return NotSent(str(error))
        try:
            reply = await stub.SubmitFiles(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            return Unsure(f"{error.code().name}: {error.details() or ''}")
        return Answered(receipts_from_wire(reply.receipts))

    async def receipt(self, peer: Peer, trade_date: date, number: int) -> Answered | NotSent:
        request = pb.GetReceiptRequest(trade_date=trade_date.isoformat(), number=number)
        stub = await self._ready(peer)
        try:
            reply = await stub.GetReceipt(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return NotSent("the registrar has never seen it")
            raise _unavailable(error) from error
        return Answered(receipts_from_wire(reply.receipts))

    async def fetch(self, peer: Peer, trade_date: date, from_number: int) -> Sequence[Package]:
        request = pb.FetchFilesRequest(trade_date=trade_date.isoformat(), from_number=from_number)
        stub = await self._ready(peer)
        try:
            reply = await stub.FetchFiles(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            raise _unavailable(error) from error
        return [package_from_wire(each, peer.ta_id, "") for each in reply.packages]

    async def close(self) -> None:
        """Close all channels."""
        for _, channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def _ready(self, peer: Peer) -> "registrar_pb2_grpc.RegistrarServiceAsyncStub":
        channel = await self._channel(peer)
        try:
            async with asyncio.timeout(CONNECT_S):
                await channel.channel_ready()
        except TimeoutError as error:
            raise Unavailable(f"{peer.ta_id} cannot be reached") from error
        stub: registrar_pb2_grpc.RegistrarServiceAsyncStub = (
            registrar_pb2_grpc.RegistrarServiceStub(channel)
        )
        return stub

    async def _channel(self, peer: Peer) -> grpc.aio.Channel:
        address, channel = self._channels.get(peer.ta_id, ("", None))
        if channel is not None and address == peer.address:
            return channel
        if channel is not None:
            await channel.close()
        channel = open_channel(
            peer.address,
            self._identity_dir,
            mutual=True,
            server_identity=f"hefu://registrar/{peer.ta_id}",
        )
        self._channels[peer.ta_id] = (peer.address, channel)
        return channel


def package_to_wire(package: Package, ta_id: str) -> pb.FilePackage:
    """A package as a message."""
    return pb.FilePackage(
        registrar_id=ta_id,
        trade_date=package.key.trade_date.isoformat(),
        number=package.key.number,
        index=package.index,
        files=[
            pb.RegistrarFile(
                type=TYPES[file.file_type],
                batch=file.batch,
                name=file.name,
                body=file.body,
                sha256=file.sha256,
            )
            for file in package.files
        ],
    )


def package_from_wire(message: pb.FilePackage, sender: str, receiver: str) -> Package:
    """A message as a package; whether its hashes are right its reader finds out."""
    key = PackageKey(sender, receiver, date.fromisoformat(message.trade_date), message.number)
    files = tuple(
        File(_NAMES[file.type], file.batch, file.name, file.body) for file in message.files
    )
    return Package(key, message.index, files)


def receipts_from_wire(messages: Sequence[pb.FileReceipt]) -> tuple[Receipt, ...]:
    """Receipts as ours."""
    return tuple(
        Receipt(
            _NAMES.get(each.type, ""),
            each.batch,
            each.outcome in (pb.RECEIPT_OUTCOME_ACCEPTED, pb.RECEIPT_OUTCOME_REPEATED),
            each.outcome == pb.RECEIPT_OUTCOME_REPEATED,
            each.rows,
            each.sha256,
            tuple(
                FileFault(FileReason(f.reason), f.file_name, f.row, f.field, f.description)
                for f in each.faults
                if f.reason in FileReason.__members__
            ),
        )
        for each in messages
    )


def receipts_to_wire(receipts: Sequence[Receipt]) -> list[pb.FileReceipt]:
    """Receipts as messages."""
    return [
        pb.FileReceipt(
            type=TYPES.get(each.file_type, pb.FILE_TYPE_UNSPECIFIED),
            batch=each.batch,
            outcome=_outcome(each),
            rows=each.rows,
            sha256=each.sha256,
            faults=[
                pb.FileFault(
                    reason=fault.reason.value,
                    file_name=fault.file_name,
                    row=fault.row,
                    field=fault.field,
                    description=fault.description,
                )
                for fault in each.faults
            ],
        )
        for each in receipts
    ]


def _outcome(receipt: Receipt) -> "pb.ReceiptOutcome.ValueType":
    if not receipt.is_taken:
        return pb.RECEIPT_OUTCOME_REFUSED
    return pb.RECEIPT_OUTCOME_REPEATED if receipt.is_repeat else pb.RECEIPT_OUTCOME_ACCEPTED


def _unavailable(error: grpc.aio.AioRpcError) -> Unavailable:
    return Unavailable(f"{reason_of(error)}: {error.details() or ''}")
