"""The bank's half of settlements: what was advised, what it answers to proposals, and the end."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from sqlalchemy import Connection, RowMapping, insert, select, update

from libs.two_halves import NO_DIGEST, Header
from services.samplebank import books
from services.samplebank.domain.behaviours import Behaviour, Script
from services.samplebank.domain.half import (
    EXTRA_AFTER_MS,
    Expected,
    Movement,
    half_of,
    objection,
    pack,
    record,
    unpack,
)
from services.samplebank.domain.orders import Account
from services.samplebank.schema import finals, movements, proposals

COUNTERSIGNED = "COUNTERSIGNED"
DIFFERED = "DIFFERED"
DECLINED = "DECLINED"
EXTRA_KEYS_MAX = 10_000


class ProposalDiffers(Exception):
    """Another content came under the same settlement and round."""


class OldRound(Exception):
    """A later round of the settlement has been answered."""


class AlreadyAgreed(Exception):
    """Both have signed an earlier round of the settlement."""


class RoundUnknown(Exception):
    """Nothing was proposed under this settlement and round."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal whose signature holds."""

    header: Header
    header_bytes: bytes
    keys: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What the bank said of a proposal."""

    answer: str
    digest: bytes
    reason: str
    root: bytes
    legs: int
    sum_wallet_minor: int
    sum_bank_minor: int
    extra_keys: bytes


@dataclass(frozen=True, slots=True)
class Ledger:
    """The side of the books that settlements are made from."""

    terms: Account
    script: Script

    def advise(self, connection: Connection, advised: Sequence[Movement]) -> int:
        """Writes down what will be settled; how much of it was new."""
        written = books.movements_of(connection, [movement.uetr for movement in advised])
        wrong = self._wrong(connection, advised, written)
        fresh: list[Movement] = []
        righted: list[Movement] = []
        for movement in {movement.uetr: movement for movement in advised}.values():
            before = written.get(movement.uetr)
            now = record(movement, before, wrongly=movement.uetr == wrong)
            if now is not None:
                (fresh if before is None else righted).append(now)
        if fresh:
            connection.execute(insert(movements), list(map(books.movement_row, fresh)))
        for movement in righted:
            row = books.movement_row(movement)
            del row["executed_ms"], row["settlement_id"]
            connection.execute(update(movements).where(movements.c.uetr == row["uetr"]).values(row))
        return len(fresh)

    def propose(self, connection: Connection, proposal: Proposal, now_ms: int) -> Answered:
        """Answers from the bank's own figures; a repeat is answered as the first time.

        Raises `ProposalDiffers`, `OldRound`, `AlreadyAgreed`.
        """
        header = proposal.header
        before = self._seen(connection, header.settlement_id)
        for row in before:
            if row["round"] == header.round:
                if row["digest"] != header.digest:
                    raise ProposalDiffers(header.settlement_id)
                return _answered(row)
        if any(row["answer"] == COUNTERSIGNED for row in before):
            raise AlreadyAgreed(header.settlement_id)
        if any(row["round"] > header.round for row in before):
            raise OldRound(header.settlement_id)
        known = books.movements_of(connection, proposal.keys)
        half = half_of(proposal.keys, known, self.terms.number)
        expected = Expected(
            self.terms.bank_id,
            self.terms.number,
            self.terms.currency,
            self._last_agreed(connection),
        )
        reason = objection(header, expected, now_ms)
        agrees = half.root == header.root
        answer = DECLINED if reason else COUNTERSIGNED if agrees else DIFFERED
        answered = Answered(
            answer,
            header.digest,
            reason,
            half.root,
            half.legs,
            half.sum_wallet_minor,
            half.sum_bank_minor,
            self._extra_keys(connection, proposal.keys, now_ms),
        )
        connection.execute(
            insert(proposals).values(
                settlement_id=str(header.settlement_id),
                round=header.round,
                header=proposal.header_bytes,
                leaves=pack(half.leaves),
                **asdict(answered),
            )
        )
        self._mark(connection, answer, header, known)
        return answered

    def leaves(self, connection: Connection, settlement_id: UUID, round_: int) -> tuple[bytes, ...]:
        """The bank's own leaves of a round. Raises `RoundUnknown`."""
        packed = connection.execute(
            select(proposals.c.leaves).where(
                (proposals.c.settlement_id == str(settlement_id)) & (proposals.c.round == round_)
            )
        ).scalar_one_or_none()
        if packed is None:
            raise RoundUnknown(settlement_id)
        return unpack(packed)

    def confirm_final(
        self, connection: Connection, settlement_id: UUID, digest: bytes, signature: bytes
    ) -> None:
        """Writes down that both hold the settlement final. Raises `RoundUnknown`."""
        agreed = [
            row
            for row in self._seen(connection, settlement_id)
            if row["answer"] == COUNTERSIGNED and row["digest"] == digest
        ]
        if not agreed:
            raise RoundUnknown(settlement_id)
        key = finals.c.settlement_id == str(settlement_id)
        if connection.execute(select(finals.c.digest).where(key)).first() is None:
            connection.execute(
                insert(finals).values(
                    settlement_id=str(settlement_id), digest=digest, wallet_signature=signature
                )
            )

    def _wrong(
        self,
        connection: Connection,
        advised: Sequence[Movement],
        written: dict[UUID, Movement],
    ) -> UUID | None:
        """The one movement that the bank writes down wrongly, once in its life."""
        behaviour = Behaviour.ROOT_DIFFERS
        fresh = [str(movement.uetr) for movement in advised if movement.uetr not in written]
        if behaviour not in self.script.beside or not fresh:
            return None
        if books.times(connection, behaviour):
            return None
        chosen = self.script.pick(fresh)
        books.occurred(connection, behaviour, chosen)
        return UUID(chosen)

    def _mark(
        self,
        connection: Connection,
        answer: str,
        header: Header,
        known: dict[UUID, Movement],
    ) -> None:
        if answer == COUNTERSIGNED:
            for part in books.parts(list(known)):
                connection.execute(
                    update(movements)
                    .where(movements.c.uetr.in_(part))
                    .values(settlement_id=str(header.settlement_id))
                )
        if answer == DIFFERED:
            wrong = [str(movement.uetr) for movement in known.values() if movement.is_wrong]
            connection.execute(
                update(movements).where(movements.c.uetr.in_(wrong)).values(is_disputed=True)
            )

    def _extra_keys(self, connection: Connection, keys: Sequence[UUID], now_ms: int) -> bytes:
        proposed = {str(key) for key in keys}
        found = connection.execute(
            select(movements.c.uetr)
            .where(
                (movements.c.executed_ms > 0)
                & (movements.c.executed_ms < now_ms - EXTRA_AFTER_MS)
                & (movements.c.settlement_id == "")
            )
            .limit(EXTRA_KEYS_MAX)
        ).scalars()
        extra = sorted(UUID(uetr).bytes for uetr in found if uetr not in proposed)
        return b"".join(extra)

    def _last_agreed(self, connection: Connection) -> bytes:
        agreed = connection.execute(
            select(proposals.c.header, proposals.c.digest).where(
                proposals.c.answer == COUNTERSIGNED
            )
        ).all()
        named = {Header.decode(header).previous_digest for header, _ in agreed}
        # The last of the chain is the one that no other names.
        return next((digest for _, digest in agreed if digest not in named), NO_DIGEST)

    @staticmethod
    def _seen(connection: Connection, settlement_id: UUID) -> Sequence[RowMapping]:
        return (
            connection.execute(
                select(proposals).where(proposals.c.settlement_id == str(settlement_id))
            )
            .mappings()
            .all()
        )


def _answered(row: RowMapping) -> Answered:
    return Answered(**{name: row[name] for name in Answered.__slots__})
