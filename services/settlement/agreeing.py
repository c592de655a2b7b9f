"""The bank's answer to a proposal: countersigned, or walked down to what differs, or neither."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from libs.signing import difference_payload, verify
from libs.telemetry import get_logger
from libs.two_halves import THE_BANKS, BytesMalformed, dispute_type, sign_payload
from services.settlement.clients.bank_link import (
    BankLink,
    Countersigned,
    Declined,
    Different,
    LinkRefused,
)
from services.settlement.domain.partner import Registered
from services.settlement.domain.settlement import (
    Agree,
    Agreed,
    Differ,
    Differed,
    DisputedLeg,
    Live,
    Proposed,
    why_stuck,
)
from services.settlement.domain.walk import AskNodes, WalkInvalid, walk
from services.settlement.halves import Half

INDICES_MAX = 5_000

log = get_logger()


@dataclass(frozen=True, slots=True)
class Stuck:
    """Nothing to record: people must look. `description` says why."""

    description: str


def countersigned(
    bank: Registered, proposal: Proposed, answer: Countersigned, now_ms: int, expires_ms: int
) -> Agree | Stuck:
    """Accepted only over the current header, unexpired, by the bank's key, in its role."""
    digest = hashlib.sha256(proposal.header).digest()
    if answer.digest != digest:
        return Stuck("the countersignature is over another header")
    if answer.key_id != bank.key_id:
        return Stuck("the countersignature is by another key")
    if now_ms > expires_ms:
        return Stuck("the proposal had expired")
    if not verify(bank.public_key, answer.signature, sign_payload(THE_BANKS, digest)):
        return Stuck("the countersignature does not verify")
    return Agree(Agreed(proposal.round, digest, answer.signature, answer.key_id))


class Agreeing:
    """Asks the bank, and walks both trees where it differs."""

    def __init__(self, link: BankLink) -> None:
        self._link = link

    async def ask(
        self, settlement: Live, bank: Registered, half: Half, key_id: str, clocked: tuple[int, int]
    ) -> Agree | Differ | Stuck:
        """The answer to the proposal in hand. `clocked`: now and its expiry, in milliseconds."""
        proposal = settlement.proposal
        if proposal is None:
            raise AssertionError("nothing was proposed")
        try:
            answer = await self._link.propose(
                bank, proposal.header, proposal.signature, key_id, half.keys
            )
            match answer:
                case Countersigned():
                    return countersigned(bank, proposal, answer, *clocked)
                case Declined(reason):
                    return Stuck(f"the bank declined: {reason[:100]}")
                case Different():
                    return await self._differing(settlement, bank, proposal, half, answer)
        except LinkRefused as refused:
            return Stuck(f"the bank refused the proposal: {refused.reason[:100]}")

    async def _differing(
        self,
        settlement: Live,
        bank: Registered,
        proposal: Proposed,
        half: Half,
        answer: Different,
    ) -> Differ | Stuck:
        digest = hashlib.sha256(proposal.header).digest()
        payload = difference_payload(digest, answer.root)
        is_signed = answer.key_id == bank.key_id and verify(
            bank.public_key, answer.signature, payload
        )
        if not is_signed:
            return Stuck("the bank's difference does not verify")
        settlement_id = UUID(settlement.terms.settlement_id)
        try:
            disputed, exchanges = await self._walk(
                bank, settlement_id, proposal.round, half, answer.root
            )
        except (WalkInvalid, BytesMalformed) as error:
            # No leg is named, so nothing is carried: the answer proves nothing.
            log.warning("walk_invalid", settlement_id=str(settlement_id), reason=str(error))
            disputed, exchanges = (), 0
        return Differ(Differed(proposal.round, answer.root, disputed, exchanges))

    async def _walk(
        self, bank: Registered, settlement_id: UUID, round_: int, half: Half, root: bytes
    ) -> tuple[tuple[DisputedLeg, ...], int]:
        walking = walk(half.tree.levels, root)
        try:
            ask = next(walking)
            while True:
                answer: list[bytes] = []
                for part in _parts(ask.indices):
                    if isinstance(ask, AskNodes):
                        answer += await self._link.nodes(
                            bank, settlement_id, round_, ask.level, part
                        )
                    else:
                        answer += await self._link.leaves(bank, settlement_id, round_, part)
                ask = walking.send(answer)
        except StopIteration as stop:
            walked = stop.value
        disputed = tuple(
            DisputedLeg(
                half.legs[index].payment_id,
                str(half.uetrs[index]),
                dispute_type(half.tree.leaf(index), leaf),
                half.tree.leaf(index),
                leaf,
            )
            for index, leaf in sorted(walked.leaves.items())
        )
        return disputed, walked.exchanges


def _parts(indices: Sequence[int]) -> list[Sequence[int]]:
    return [indices[at : at + INDICES_MAX] for at in range(0, len(indices), INDICES_MAX)]


__all__ = ["Agreeing", "Stuck", "countersigned", "why_stuck"]
