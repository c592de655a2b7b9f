"""The link that banks call: messages, countersignatures, and our side of a walk."""

from uuid import UUID

import grpc

from hefu.bank.v1 import bank_pb2 as pb
from hefu.bank.v1 import bank_pb2_grpc
from libs.auth import current_caller
from libs.clock import Clock
from libs.decider import Cause
from libs.grpc_errors import Refused
from libs.grpc_server import Binding, Policy
from libs.iso20022 import StatementPage
from libs.read_model import Database
from libs.two_halves import Header
from services.settlement import queries
from services.settlement.aggregates import Aggregates
from services.settlement.agreeing import Stuck, countersigned
from services.settlement.answers import payments_of
from services.settlement.clients.bank_link import Countersigned, Signed
from services.settlement.correspondence import Correspondence, Heard, SetAside
from services.settlement.domain import settlement
from services.settlement.domain.partner import Registered
from services.settlement.halves import Half, Halves
from services.settlement.high_water import OwnRows
from services.settlement.sending import Sending
from services.settlement.statement_desk import StatementDesk

SERVICE = "hefu.bank.v1.BankLinkService"
_BANK = frozenset({"bank"})
POLICY: Policy = {
    f"BankLinkService/{method}": _BANK
    for method in ("DeliverMessage", "CountersignSettlement", "GetNodes", "GetLeaves")
}


class BankLinkApi(bank_pb2_grpc.BankLinkServiceServicer):
    """The caller is the bank its certificate names; it sees and says nothing of others."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the answers are made of
        self,
        aggregates: Aggregates,
        correspondence: Correspondence,
        sending: Sending,
        desk: StatementDesk,
        halves: Halves,
        database: Database,
        rows: OwnRows,
        clock: Clock,
    ) -> None:
        self._aggregates = aggregates
        self._correspondence = correspondence
        self._sending = sending
        self._desk = desk
        self._halves = halves
        self._database = database
        self._rows = rows
        self._clock = clock

    def binding(self) -> Binding:
        """How it is added to a server."""
        add = bank_pb2_grpc.add_BankLinkServiceServicer_to_server
        return Binding(add, self, SERVICE)

    async def DeliverMessage(
        self,
        request: pb.DeliverMessageRequest,
        _: "grpc.aio.ServicerContext[pb.DeliverMessageRequest, pb.DeliverMessageResponse]",
    ) -> pb.DeliverMessageResponse:
        bank = await self._caller()
        message = request.message
        signed = Signed(message.message_type, message.body, message.signature, message.key_id)
        heard = await self._correspondence.hear(bank, signed)
        # A repeat is decided on again: the first may have been kept by a process that then died.
        await self._act_on(bank, heard)
        return pb.DeliverMessageResponse(message_id=heard.message_id, is_repeat=heard.is_repeat)

    async def _act_on(self, bank: Registered, heard: Heard) -> None:
        message = heard.message
        if isinstance(message, StatementPage):
            if message.account_number != bank.account_number:
                raise SetAside("FOREIGN_REFERENCE", "the account is not ours")
            if await self._desk.restated(bank.bank_id, message, heard.message_id):
                raise SetAside("STATEMENT_RESTATED", "held until two persons accept it")
            self._desk.wake()
            return
        payment_ids = [payment_id for payment_id in payments_of(message) if payment_id]
        await self._rows.reached()
        found = await self._database.read(lambda c: queries.known_items(c, payment_ids))
        transfer_ids = sorted({item.transfer_id for item in found.values()})
        await self._sending.take(bank, heard, transfer_ids)

    async def CountersignSettlement(
        self,
        request: pb.CountersignSettlementRequest,
        _: "grpc.aio.ServicerContext[pb.CountersignSettlementRequest, pb.CountersignSettlementResponse]",  # noqa: E501 - a type
    ) -> pb.CountersignSettlementResponse:
        bank = await self._caller()
        live = await self._settlement(bank, request.settlement_id)
        proposal = live.proposal
        if proposal is None or request.round != proposal.round:
            raise Refused("STATE_CHANGE_NOT_ALLOWED", f"the round in hand is {live.round}")
        said = request.countersignature
        answer = Countersigned(said.digest, said.key_id, said.signature, said.extra_keys)
        expires_ms = Header.decode(proposal.header).expires_ms
        agree = countersigned(bank, proposal, answer, self._clock() // 1_000, expires_ms)
        if isinstance(agree, Stuck):
            raise Refused("SIGNATURE_INVALID", agree.description)
        settlement_id = live.terms.settlement_id
        cause = Cause(f"{settlement_id}/countersigned", settlement_id, actor=bank.bank_id)
        await self._aggregates.settlements.transact(settlement_id, agree, cause)
        return pb.CountersignSettlementResponse()

    async def GetNodes(
        self,
        request: pb.GetNodesRequest,
        _: "grpc.aio.ServicerContext[pb.GetNodesRequest, pb.GetNodesResponse]",
    ) -> pb.GetNodesResponse:
        half = await self._half(request.settlement_id, request.round)
        try:
            return pb.GetNodesResponse(hashes=half.tree.nodes(request.level, request.indices))
        except IndexError as error:
            raise Refused("FIELD_INVALID", "there is no such node") from error

    async def GetLeaves(
        self,
        request: pb.GetLeavesRequest,
        _: "grpc.aio.ServicerContext[pb.GetLeavesRequest, pb.GetLeavesResponse]",
    ) -> pb.GetLeavesResponse:
        half = await self._half(request.settlement_id, request.round)
        try:
            leaves = [half.tree.leaf(index) for index in request.indices]
        except IndexError as error:
            raise Refused("FIELD_INVALID", "there is no such leaf") from error
        return pb.GetLeavesResponse(leaves=leaves)

    async def _half(self, settlement_id: bytes, round_: int) -> Half:
        bank = await self._caller()
        live = await self._settlement(bank, settlement_id)
        if live.proposal is None or round_ != live.proposal.round:
            raise Refused("STATE_CHANGE_NOT_ALLOWED", f"the round in hand is {live.round}")
        half = await self._halves.of(live, bank)
        if half.tree.root != live.proposal.root:
            raise Refused("STATE_CHANGE_NOT_ALLOWED", "its disputed legs have left")
        return half

    async def _caller(self) -> Registered:
        return (await self._aggregates.partner_of(current_caller().name)).terms

    async def _settlement(self, bank: Registered, settlement_id: bytes) -> settlement.Live:
        id_ = str(UUID(bytes=settlement_id))
        state = (await self._aggregates.settlements.load(id_)).state
        if not isinstance(state, settlement.Live) or state.terms.bank_id != bank.bank_id:
            raise Refused("SETTLEMENT_NOT_FOUND", "this bank has no such settlement")
        return state
