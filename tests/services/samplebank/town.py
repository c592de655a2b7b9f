"""A bank and a wallet beside each other, over real connections: what the tests of the bank use."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import grpc

from hefu.bank.v1 import bank_pb2 as pb
from hefu.bank.v1 import bank_pb2_grpc
from hefu.samplebank.v1.samplebank_pb2_grpc import SampleBankServiceStub
from hefu.type.v1.money_pb2 import Money as WireMoney
from libs.authority import Identity, establish
from libs.clock import system_clock
from libs.grpc_client import open_channel
from libs.grpc_errors import Refused
from libs.grpc_server import Binding, Policy, serve
from libs.ids import derived_id
from libs.iso20022 import (
    CreditTransfers,
    DirectDebits,
    Inquiry,
    InquiryItem,
    Item,
    Message,
    StatusReport,
    build,
    parse,
)
from libs.money import Money
from libs.signing import Signer, message_payload, read_public_key, verify
from libs.two_halves import Header, Leg, Tree, key_list_hash, leaf_bytes, uetr_of
from services.samplebank.running import open_bank
from services.samplebank.settings import Settings

ACCOUNT = "WALLET0001"
ROOT = UUID("018f0000-0000-7000-8000-000000000001")
DATE = "2030-01-15"
TIMEOUT_S = 10.0
_BANK = frozenset({"bank"})
_POLICY: Policy = {
    f"BankLinkService/{name}": _BANK
    for name in ("DeliverMessage", "CountersignSettlement", "GetNodes", "GetLeaves")
}


def payment(ordinal: int) -> UUID:
    return derived_id(ROOT, "payment", ordinal)


def item(ordinal: int, minor: int = 10_000, account: str = "") -> Item:
    id_ = payment(ordinal)
    return Item(
        uetr_of(id_, 1), id_.hex, f"I{ordinal}", Money("CZK", minor), account or f"PAYEE{ordinal}"
    )


def payouts(name: str, items: Sequence[Item]) -> CreditTransfers:
    return CreditTransfers(name, f"{name}-batch", 1, "CD", ACCOUNT, DATE, tuple(items))


def pulls(name: str, items: Sequence[Item]) -> DirectDebits:
    return DirectDebits(name, f"{name}-batch", 1, "CD", ACCOUNT, DATE, tuple(items))


def inquiry(name: str, about: CreditTransfers | DirectDebits) -> Inquiry:
    items = tuple(InquiryItem("R1", i.uetr, i.end_to_end_id) for i in about.items)
    return Inquiry(name, 1, about.message_id, "pain.001.001.09", items)


def leg(found: Item, favour: str = "D") -> Leg:
    return Leg(found.uetr, favour, "CZK", 2, found.amount.minor, ACCOUNT, found.end_to_end_id)


def header_over(legs: Sequence[Leg], /, **changes: object) -> Header:
    ordered = sorted(legs, key=lambda leg: leg.uetr.bytes)
    fields: dict[str, object] = {
        "settlement_id": derived_id(ROOT, "settlement"),
        "round": 1,
        "bank_id": "CD",
        "account": ACCOUNT,
        "currency": "CZK",
        "exponent": 2,
        "model": "NET_BILATERAL",
        "value_date": 20300115,
        "window_ids": (derived_id(ROOT, "window"),),
        "legs": len(ordered),
        "sum_ours_minor": sum(leg.amount_minor for leg in ordered if leg.favour == "C"),
        "sum_bank_minor": sum(leg.amount_minor for leg in ordered if leg.favour == "D"),
        "key_list_hash": key_list_hash(leg.uetr for leg in ordered),
        "root": Tree([leaf_bytes(leg) for leg in ordered]).root,
        "created_ms": 1,
        "expires_ms": 2**42,
    }
    return Header(**{**fields, **changes})  # type: ignore[arg-type]


class Letterbox(bank_pb2_grpc.BankLinkServiceServicer):
    """The wallet's side of the link: keeps what banks deliver, and can be out of order."""

    def __init__(self) -> None:
        self.received: list[pb.IsoMessage] = []
        self.attempts = 0
        self.refuses_with = ""
        self._changed = asyncio.Condition()

    async def DeliverMessage(  # noqa: N802 - the proto's name
        self, request: pb.DeliverMessageRequest, _context: object
    ) -> pb.DeliverMessageResponse:
        async with self._changed:
            self.attempts += 1
            self._changed.notify_all()
            if self.refuses_with:
                raise Refused(self.refuses_with)
            self.received.append(request.message)
        return pb.DeliverMessageResponse(message_id=str(len(self.received)))

    async def CountersignSettlement(  # noqa: N802 - the proto's name
        self, _request: pb.CountersignSettlementRequest, _context: object
    ) -> pb.CountersignSettlementResponse:
        raise Refused("METHOD_UNKNOWN")

    async def GetNodes(  # noqa: N802 - the proto's name
        self, _request: pb.GetNodesRequest, _context: object
    ) -> pb.GetNodesResponse:
        raise Refused("METHOD_UNKNOWN")

    async def GetLeaves(  # noqa: N802 - the proto's name
        self, _request: pb.GetLeavesRequest, _context: object
    ) -> pb.GetLeavesResponse:
        raise Refused("METHOD_UNKNOWN")

    async def wait_for(self, count: int) -> list[Message]:
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.received) >= count)
        return [parse(message.message_type, message.body) for message in self.received]

    async def wait_for_attempts(self, count: int) -> None:
        async with asyncio.timeout(TIMEOUT_S), self._changed:
            await self._changed.wait_for(lambda: self.attempts >= count)


@dataclass
class Town:
    """A wallet, and how to open its bank."""

    run_dir: Path
    letterbox: Letterbox
    link_port: int
    wallet: Signer
    bank_key: bytes

    def settings(self, manners: str, **changes: object) -> Settings:
        values: dict[str, object] = {
            "service": "bank-CD",
            "run_dir": self.run_dir,
            "port": 0,
            "bank_id": "CD",
            "manners": manners,
            "account_number": ACCOUNT,
            "currency": "CZK",
            "bank_link": f"localhost:{self.link_port}",
            "wallet_key": self.run_dir / "identities" / "settlement" / "signing.pub",
        }
        return Settings.model_validate({**values, **changes})

    @asynccontextmanager
    async def bank(self, manners: str = "clean", **changes: object) -> AsyncIterator["Visit"]:
        async with AsyncExitStack() as stack:
            bank = await stack.enter_async_context(
                open_bank(self.settings(manners, **changes), system_clock)
            )
            address = f"localhost:{bank.bound_port}"
            ours = open_channel(address, self.identity("settlement"), mutual=True)
            operators = open_channel(address, self.identity("operator"), mutual=True)
            await stack.enter_async_context(ours)
            await stack.enter_async_context(operators)
            # Connected first: a call that fails because nobody listens yet is another story.
            await asyncio.gather(ours.channel_ready(), operators.channel_ready())
            yield Visit(self, ours, operators)

    def identity(self, name: str) -> Path:
        return self.run_dir / "identities" / name


class Visit:
    """The wallet and the operator at the bank."""

    def __init__(self, town: Town, ours: grpc.aio.Channel, operators: grpc.aio.Channel) -> None:
        self.town = town
        self.link = bank_pb2_grpc.BankServiceStub(ours)
        self.demo = SampleBankServiceStub(operators)
        self.barred = SampleBankServiceStub(ours)

    def signed(self, message: Message) -> pb.IsoMessage:
        message_type, body = build(message)
        return self.sealed(message_type, body)

    def sealed(self, message_type: str, body: bytes) -> pb.IsoMessage:
        wallet = self.town.wallet
        signature = wallet.sign(message_payload(message_type, body))
        return pb.IsoMessage(
            message_type=message_type, body=body, signature=signature, key_id=wallet.key_id
        )

    async def submit(self, message: Message) -> StatusReport:
        (reply,) = await self.submit_raw(message)
        payload = message_payload(reply.message_type, reply.body)
        assert verify(self.town.bank_key, reply.signature, payload)
        report = parse(reply.message_type, reply.body)
        assert isinstance(report, StatusReport)
        return report

    async def submit_raw(self, message: Message) -> list[pb.IsoMessage]:
        request = pb.SubmitMessageRequest(message=self.signed(message))
        response = await self.link.SubmitMessage(request)
        return list(response.replies)

    async def advise(self, items: Sequence[Item]) -> int:
        movements = [
            pb.AdvisedMovement(
                uetr=str(each.uetr),
                end_to_end_id=each.end_to_end_id,
                favour=pb.FAVOUR_BANK,
                amount=WireMoney(currency_code="CZK", minor_units=each.amount.minor),
                bank_account=each.bank_account,
            )
            for each in items
        ]
        request = pb.AdviseMovementsRequest(movements=movements)
        return (await self.link.AdviseMovements(request)).added

    async def propose(
        self, header: Header, legs: Sequence[Leg], signer: Signer | None = None
    ) -> pb.ProposeSettlementResponse:
        wallet = signer or self.town.wallet
        keys = sorted(leg.uetr.bytes for leg in legs)
        return await self.link.ProposeSettlement(
            pb.ProposeSettlementRequest(
                header=header.encode(),
                signature=wallet.sign(header.sign_payload("H")),
                key_id=wallet.key_id,
                keys=b"".join(keys),
            )
        )


@asynccontextmanager
async def open_town(run_dir: Path) -> AsyncIterator[Town]:
    names = ("settlement", "operator", "bank-CD", "bank-XX")
    establish(run_dir, [Identity(name, signs=name != "operator") for name in names])
    letterbox = Letterbox()
    binding = Binding(
        bank_pb2_grpc.add_BankLinkServiceServicer_to_server,
        letterbox,
        "hefu.bank.v1.BankLinkService",
    )
    identities = run_dir / "identities"
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(
            serve(0, [binding], _POLICY, identities / "settlement", mutual=True)
        )
        yield Town(
            run_dir,
            letterbox,
            link.bound_port,
            Signer(identities / "settlement" / "signing.key"),
            read_public_key(identities / "bank-CD" / "signing.pub"),
        )
