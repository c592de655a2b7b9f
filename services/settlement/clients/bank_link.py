"""The link to each bank: mutual TLS, a deadline, and failures told apart by what may have left."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

import grpc

from hefu.bank.v1 import bank_pb2 as pb
from hefu.bank.v1 import bank_pb2_grpc
from libs.grpc_client import open_channel
from libs.money import Money
from libs.telemetry import get_logger
from libs.transient import Unavailable
from libs.wire import money_to_wire
from services.settlement.domain.partner import Registered

T = TypeVar("T")
CONNECT_S = 3.0
CALL_S = 8.0

log = get_logger()


@dataclass(frozen=True, slots=True)
class Signed:
    """An ISO 20022 message: exact bytes, and the detached signature over them."""

    message_type: str
    body: bytes
    signature: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The bank answered at once, perhaps with nothing."""

    replies: tuple[Signed, ...]


@dataclass(frozen=True, slots=True)
class NotSent:
    """No byte of the message left this process."""

    cause: str


@dataclass(frozen=True, slots=True)
class Unsure:
    """Bytes may have left, and nothing is known."""

    cause: str


Submitted: TypeAlias = Answered | NotSent | Unsure


@dataclass(frozen=True, slots=True)
class Advised:
    """A movement announced so that the bank can write its own half."""

    uetr: str
    end_to_end_id: str
    amount: Money
    bank_account: str
    name: str


@dataclass(frozen=True, slots=True)
class Countersigned:
    digest: bytes
    key_id: str
    signature: bytes
    extra_keys: bytes = b""


@dataclass(frozen=True, slots=True)
class Different:
    root: bytes
    signature: bytes
    key_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    reason: str


Answer: TypeAlias = Countersigned | Different | Declined


class LinkRefused(Exception):
    """The bank refused the call as such. `reason` is its own."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BankLink(Protocol):
    """The port. `submit` never raises; the others raise `Unavailable` or `LinkRefused`."""

    async def submit(self, bank: Registered, message: Signed) -> Submitted: ...
    async def advise(self, bank: Registered, movements: Sequence[Advised]) -> None: ...
    async def propose(
        self, bank: Registered, header: bytes, signature: bytes, key_id: str, keys: bytes
    ) -> Answer: ...
    async def nodes(
        self, bank: Registered, settlement_id: UUID, round_: int, level: int, indices: Sequence[int]
    ) -> Sequence[bytes]: ...
    async def leaves(
        self, bank: Registered, settlement_id: UUID, round_: int, indices: Sequence[int]
    ) -> Sequence[bytes]: ...
    async def confirm_final(
        self, bank: Registered, settlement_id: UUID, digest: bytes, signature: bytes, key_id: str
    ) -> tuple[bytes, str]: ...
    async def statements(self, bank: Registered, from_number: int) -> Sequence[Signed]: ...


class GrpcBankLink(BankLink):
    """The port over gRPC: a channel a bank, kept; nothing is ever sent twice by itself."""

    def __init__(self, identity_dir: Path) -> None:
        self._identity_dir = identity_dir
        self._channels: dict[str, tuple[str, grpc.aio.Channel]] = {}

    async def submit(self, bank: Registered, message: Signed) -> Submitted:
        request = pb.SubmitMessageRequest(message=_to_wire(message))
        try:
            channel = await self._ready(bank)
        except Unavailable as error:
            # Connecting is all that was tried: the request was not handed to the channel.
            return NotSent(str(error))
        stub: bank_pb2_grpc.BankServiceAsyncStub = bank_pb2_grpc.BankServiceStub(channel)
        try:
            reply = await stub.SubmitMessage(request, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            return Unsure(error.code().name)
        except (asyncio.CancelledError, TimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, bytes may have left
            log.warning("bank_link_failed", bank_id=bank.bank_id, error=type(error).__name__)
            return Unsure(type(error).__name__)
        return Answered(tuple(_from_wire(each) for each in reply.replies))

    async def advise(self, bank: Registered, movements: Sequence[Advised]) -> None:
        request = pb.AdviseMovementsRequest(
            movements=[
                pb.AdvisedMovement(
                    uetr=each.uetr,
                    end_to_end_id=each.end_to_end_id,
                    favour=pb.FAVOUR_BANK,
                    amount=money_to_wire(each.amount),
                    bank_account=each.bank_account,
                    name=each.name,
                )
                for each in movements
            ]
        )
        await self._call(bank, lambda stub: stub.AdviseMovements(request, timeout=CALL_S))

    async def propose(
        self, bank: Registered, header: bytes, signature: bytes, key_id: str, keys: bytes
    ) -> Answer:
        request = pb.ProposeSettlementRequest(
            header=header, signature=signature, key_id=key_id, keys=keys
        )
        reply = await self._call(bank, lambda stub: stub.ProposeSettlement(request, timeout=CALL_S))
        match reply.WhichOneof("answer"):
            case "countersignature":
                said = reply.countersignature
                return Countersigned(said.digest, said.key_id, said.signature, said.extra_keys)
            case "difference":
                differs = reply.difference
                return Different(differs.root, differs.signature, differs.key_id)
            case "decline":
                return Declined(reply.decline.reason)
            case _:
                raise LinkRefused("NO_ANSWER")

    async def nodes(
        self, bank: Registered, settlement_id: UUID, round_: int, level: int, indices: Sequence[int]
    ) -> Sequence[bytes]:
        request = pb.GetNodesRequest(
            settlement_id=settlement_id.bytes, round=round_, level=level, indices=indices
        )
        reply = await self._call(bank, lambda stub: stub.GetNodes(request, timeout=CALL_S))
        return list(reply.hashes)

    async def leaves(
        self, bank: Registered, settlement_id: UUID, round_: int, indices: Sequence[int]
    ) -> Sequence[bytes]:
        request = pb.GetLeavesRequest(
            settlement_id=settlement_id.bytes, round=round_, indices=indices
        )
        reply = await self._call(bank, lambda stub: stub.GetLeaves(request, timeout=CALL_S))
        return list(reply.leaves)

    async def confirm_final(
        self, bank: Registered, settlement_id: UUID, digest: bytes, signature: bytes, key_id: str
    ) -> tuple[bytes, str]:
        request = pb.ConfirmFinalRequest(
            settlement_id=settlement_id.bytes, digest=digest, signature=signature, key_id=key_id
        )
        reply = await self._call(bank, lambda stub: stub.ConfirmFinal(request, timeout=CALL_S))
        return reply.signature, reply.key_id

    async def statements(self, bank: Registered, from_number: int) -> Sequence[Signed]:
        request = pb.FetchStatementsRequest(
            account_number=bank.account_number, from_number=from_number
        )
        reply = await self._call(bank, lambda stub: stub.FetchStatements(request, timeout=CALL_S))
        return [_from_wire(each) for each in reply.pages]

    async def close(self) -> None:
        """Close every channel."""
        for _, channel in self._channels.values():
            await channel.close()
        self._channels.clear()

    async def _call(
        self,
        bank: Registered,
        call: Callable[["bank_pb2_grpc.BankServiceAsyncStub"], Awaitable[T]],
    ) -> T:
        channel = await self._ready(bank)
        stub: bank_pb2_grpc.BankServiceAsyncStub = bank_pb2_grpc.BankServiceStub(channel)
        try:
            return await call(stub)
        except grpc.aio.AioRpcError as error:
            if error.code() in _TRANSIENT:
                raise Unavailable(f"{bank.bank_id}: {error.code().name}") from error
            raise LinkRefused(f"{error.code().name} {error.details()}") from error

    async def _ready(self, bank: Registered) -> grpc.aio.Channel:
        """The bank's channel, connected and its certificate checked. Raises `Unavailable`."""
        known = self._channels.get(bank.bank_id)
        if known is None or known[0] != bank.address:
            if known is not None:
                await known[1].close()
            channel = open_channel(
                bank.address, self._identity_dir, mutual=True, server_identity=bank.link_identity
            )
            known = (bank.address, channel)
            self._channels[bank.bank_id] = known
        try:
            await asyncio.wait_for(known[1].channel_ready(), CONNECT_S)
        except (TimeoutError, grpc.aio.UsageError) as error:
            raise Unavailable(f"{bank.bank_id} cannot be reached") from error
        return known[1]


_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)


def _to_wire(message: Signed) -> pb.IsoMessage:
    return pb.IsoMessage(
        message_type=message.message_type,
        body=message.body,
        signature=message.signature,
        key_id=message.key_id,
    )


def _from_wire(message: pb.IsoMessage) -> Signed:
    return Signed(message.message_type, message.body, message.signature, message.key_id)
