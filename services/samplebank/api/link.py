"""The bank link as a bank serves it: checks who signed, asks the books, signs what it answers."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import grpc

from hefu.bank.v1 import bank_pb2 as pb
from hefu.bank.v1.bank_pb2_grpc import BankServiceServicer
from libs import two_halves
from libs.grpc_errors import Refused
from libs.iso20022 import CreditTransfers, DirectDebits, Inquiry, MessageInvalid, parse
from libs.signing import decline_payload, difference_payload, final_payload, message_payload
from libs.telemetry import get_logger
from services.samplebank.api.desk import Context, Desk
from services.samplebank.domain.behaviours import Behaviour
from services.samplebank.domain.half import Movement, are_those_of, keys_of
from services.samplebank.settlements import (
    COUNTERSIGNED,
    DIFFERED,
    AlreadyAgreed,
    Answered,
    OldRound,
    Proposal,
    ProposalDiffers,
    RoundUnknown,
)
from services.samplebank.submissions import Answer, MessageIdReused, Submission

TREES_KEPT = 8
_STATEMENT = "camt.053.001.08"
_FAVOURS = {pb.FAVOUR_WALLET: "C", pb.FAVOUR_BANK: "D"}
_FAILURES = {
    Behaviour.ERROR_500: grpc.StatusCode.INTERNAL,
    Behaviour.REFUSE_CONNECTION: grpc.StatusCode.UNAVAILABLE,
}
log = get_logger()


class BankApi(BankServiceServicer):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._trees: dict[tuple[UUID, int], two_halves.Tree] = {}

    async def SubmitMessage(
        self, request: pb.SubmitMessageRequest, context: Context
    ) -> pb.SubmitMessageResponse:
        desk, message = self._desk, request.message
        desk.check(
            message.key_id, message.signature, message_payload(message.message_type, message.body)
        )
        submission = await asyncio.to_thread(self._read, message)
        try:
            answer = await desk.database.write(
                lambda connection: desk.bank.answer(connection, submission, desk.now_ms)
            )
        except MessageIdReused as error:
            raise Refused("MESSAGE_ID_REUSED", "the message id came with other bytes") from error
        desk.bell.ring()
        if answer.is_lost:
            code = _FAILURES.get(
                answer.behaviour or Behaviour.LOST_REPLY, grpc.StatusCode.DEADLINE_EXCEEDED
            )
            await context.abort(code, "")
        return pb.SubmitMessageResponse(replies=[self._spoiled(answer)])

    async def AdviseMovements(
        self, request: pb.AdviseMovementsRequest, _context: Context
    ) -> pb.AdviseMovementsResponse:
        advised = [
            Movement(
                UUID(movement.uetr),
                movement.end_to_end_id,
                _FAVOURS[movement.favour],
                movement.amount.currency_code,
                movement.amount.minor_units,
            )
            for movement in request.movements
        ]
        for index, movement in enumerate(advised):
            if movement.amount_minor <= 0:
                raise Refused("AMOUNT_NOT_POSITIVE", f"movements[{index}].amount is not positive")
        added = await self._desk.database.write(
            lambda connection: self._desk.ledger.advise(connection, advised)
        )
        return pb.AdviseMovementsResponse(added=added)

    async def ProposeSettlement(
        self, request: pb.ProposeSettlementRequest, _context: Context
    ) -> pb.ProposeSettlementResponse:
        desk = self._desk
        try:
            header = two_halves.Header.decode(request.header)
        except two_halves.BytesMalformed as error:
            raise Refused("MESSAGE_MALFORMED", f"header: {error}") from error
        keys = keys_of(request.keys)
        if keys is None:
            raise Refused("FIELD_INVALID", "keys: not whole, or not in ascending order")
        desk.check(request.key_id, request.signature, header.sign_payload(two_halves.OURS))
        if not are_those_of(header, keys):
            raise Refused("FIELD_INVALID", "keys: not those of the header")
        proposal = Proposal(header, request.header, keys)
        try:
            answered = await desk.database.write(
                lambda connection: desk.ledger.propose(connection, proposal, desk.now_ms)
            )
        except ProposalDiffers as error:
            raise Refused("PROPOSAL_DIFFERS", "this round came with another header") from error
        except OldRound as error:
            raise Refused("OLD_ROUND", "a later round has been answered") from error
        except AlreadyAgreed as error:
            raise Refused("STATE_CHANGE_NOT_ALLOWED", "an earlier round is agreed") from error
        log.info(
            "proposal_answered",
            settlement_id=str(header.settlement_id),
            round=header.round,
            legs=header.legs,
            state=answered.answer,
            reason=answered.reason,
        )
        return self._answer(answered)

    async def GetNodes(self, request: pb.GetNodesRequest, _context: Context) -> pb.GetNodesResponse:
        tree = await self._tree(request.settlement_id, request.round)
        try:
            return pb.GetNodesResponse(hashes=tree.nodes(request.level, request.indices))
        except IndexError as error:
            raise Refused("NODE_NOT_FOUND", f"the tree has no node {error}") from error

    async def GetLeaves(
        self, request: pb.GetLeavesRequest, _context: Context
    ) -> pb.GetLeavesResponse:
        tree = await self._tree(request.settlement_id, request.round)
        try:
            return pb.GetLeavesResponse(leaves=[tree.leaf(index) for index in request.indices])
        except IndexError as error:
            raise Refused("NODE_NOT_FOUND", f"the tree has no leaf {error}") from error

    async def ConfirmFinal(
        self, request: pb.ConfirmFinalRequest, _context: Context
    ) -> pb.ConfirmFinalResponse:
        desk, digest = self._desk, request.digest
        desk.check(request.key_id, request.signature, final_payload(two_halves.OURS, digest))
        settlement_id = UUID(bytes=request.settlement_id)
        try:
            await desk.database.write(
                lambda connection: desk.ledger.confirm_final(
                    connection, settlement_id, digest, request.signature
                )
            )
        except RoundUnknown as error:
            raise Refused("ROUND_UNKNOWN", "no such header was countersigned") from error
        return pb.ConfirmFinalResponse(
            signature=desk.signer.sign(final_payload(two_halves.THE_BANKS, digest)),
            key_id=desk.signer.key_id,
        )

    async def FetchStatements(
        self, request: pb.FetchStatementsRequest, _context: Context
    ) -> pb.FetchStatementsResponse:
        desk = self._desk
        if request.account_number != desk.bank.terms.number:
            raise Refused("ACCOUNT_NOT_FOUND", "the bank keeps no such account")
        bodies = await desk.database.read(
            lambda connection: desk.day_book.fetch(connection, request.from_number)
        )
        return pb.FetchStatementsResponse(pages=[desk.signed(_STATEMENT, body) for body in bodies])

    @staticmethod
    def _read(message: pb.IsoMessage) -> Submission:
        try:
            found = parse(message.message_type, message.body)
        except MessageInvalid as error:
            reason = "MESSAGE_INVALID"
            if error.reason == "TYPE_UNKNOWN":
                reason = "MESSAGE_TYPE_UNKNOWN"
            raise Refused(reason, str(error)) from error
        if not isinstance(found, CreditTransfers | DirectDebits | Inquiry):
            raise Refused("MESSAGE_TYPE_UNKNOWN", "a bank does not take such messages")
        return Submission(message.message_type, message.body, found)

    def _spoiled(self, answer: Answer) -> pb.IsoMessage:
        reply = self._desk.signed(answer.message_type, answer.body)
        match answer.behaviour:
            case Behaviour.HALF_REPLY:
                reply.body = reply.body[: len(reply.body) // 2]
            case Behaviour.GARBAGE:
                return self._desk.signed(answer.message_type, bytes(range(1, 256)))
            case Behaviour.BAD_SIGNATURE:
                reply.signature = bytes(64)
        return reply

    def _answer(self, answered: Answered) -> pb.ProposeSettlementResponse:
        signer, digest = self._desk.signer, answered.digest
        if answered.answer == COUNTERSIGNED:
            payload = two_halves.sign_payload(two_halves.THE_BANKS, digest)
            return pb.ProposeSettlementResponse(
                countersignature=pb.Countersignature(
                    digest=digest,
                    key_id=signer.key_id,
                    signature=signer.sign(payload),
                    extra_keys=answered.extra_keys,
                )
            )
        if answered.answer == DIFFERED:
            return pb.ProposeSettlementResponse(
                difference=pb.Difference(
                    root=answered.root,
                    legs=answered.legs,
                    sum_wallet_minor=answered.sum_wallet_minor,
                    sum_bank_minor=answered.sum_bank_minor,
                    extra_keys=answered.extra_keys,
                    signature=signer.sign(difference_payload(digest, answered.root)),
                    key_id=signer.key_id,
                )
            )
        return pb.ProposeSettlementResponse(
            decline=pb.Decline(
                reason=answered.reason,
                signature=signer.sign(decline_payload(digest)),
                key_id=signer.key_id,
            )
        )

    async def _tree(self, settlement_id: bytes, round_: int) -> two_halves.Tree:
        key = (UUID(bytes=settlement_id), round_)
        if key not in self._trees:
            try:
                leaves: Sequence[bytes] = await self._desk.database.read(
                    lambda connection: self._desk.ledger.leaves(connection, *key)
                )
            except RoundUnknown as error:
                raise Refused("ROUND_UNKNOWN", "no such round was proposed") from error
            while len(self._trees) >= TREES_KEPT:
                del self._trees[next(iter(self._trees))]
            self._trees[key] = await asyncio.to_thread(two_halves.Tree, leaves)
        return self._trees[key]
