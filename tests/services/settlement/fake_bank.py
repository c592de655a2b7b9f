"""A bank in memory: its own books, key and manners, behind the port of the link."""
# ruff: noqa: ARG002 - a port is wider than what one bank looks at

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from libs.iso20022 import (
    CreditTransfers,
    DirectDebits,
    Entry,
    Inquiry,
    Item,
    Message,
    Notice,
    StatementPage,
    StatusReport,
    Summary,
    TransactionStatus,
    build,
    parse,
)
from libs.money import Money
from libs.signing import Signer, difference_payload, final_payload, message_payload, verify
from libs.transient import Unavailable
from libs.two_halves import THE_BANKS, Header, Leg, Tree, leaf_bytes, sign_payload
from services.settlement.clients.bank_link import (
    Advised,
    Answer,
    Answered,
    BankLink,
    Countersigned,
    Different,
    NotSent,
    Signed,
    Submitted,
    Unsure,
)
from services.settlement.domain.partner import Registered

DATE = "2030-01-15"
OURS = "OURACCT1"


def signer(path: Path, seed: int) -> Signer:
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Signer(path)


@dataclass
class FakeBank(BankLink):
    """What it does next is scripted: each manner is used once, in order, then it is clean."""

    bank_id: str
    signer: Signer
    wallet_key: bytes
    manners: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    legs: dict[UUID, Leg] = field(default_factory=dict)
    executed: dict[UUID, Entry] = field(default_factory=dict)
    executions: Counter[UUID] = field(default_factory=Counter)
    outcomes: dict[UUID, TransactionStatus] = field(default_factory=dict)
    submissions: list[str] = field(default_factory=list)
    statements_issued: list[StatementPage] = field(default_factory=list)
    late: list[Message] = field(default_factory=list)
    lines: list[Entry] = field(default_factory=list)
    serial: int = 0

    def next_manner(self, *names: str) -> str:
        if self.manners and self.manners[0] in names:
            return self.manners.pop(0)
        return ""

    def _serial(self) -> str:
        self.serial += 1
        return hashlib.sha256(f"{self.bank_id}{self.serial}".encode()).hexdigest()[:32]

    def sign(self, message: Message) -> Signed:
        type_, body = build(message)
        signature = self.signer.sign(message_payload(type_, body))
        return Signed(type_, body, signature, self.signer.key_id)

    async def submit(self, bank: Registered, message: Signed) -> Submitted:
        manner = self.next_manner("REFUSE_CONNECTION", "LOST_ORDER")
        if manner == "REFUSE_CONNECTION":
            return NotSent("refused")
        if manner == "LOST_ORDER":
            return Unsure("DEADLINE_EXCEEDED")
        payload = message_payload(message.message_type, message.body)
        assert verify(self.wallet_key, message.signature, payload)
        found = parse(message.message_type, message.body)
        self.submissions.append(found.message_id)
        match found:
            case DirectDebits() | CreditTransfers():
                return self._paid(found, message.message_type)
            case Inquiry():
                return self._told(found)
            case _:
                raise AssertionError(found)

    def _paid(self, found: DirectDebits | CreditTransfers, type_: str) -> Submitted:
        manner = self.next_manner("LOST_REPLY", "LATE", "HALF", "BAD_SIGNATURE", "FOREIGN")
        favour = "C" if isinstance(found, DirectDebits) else "D"
        statuses = [self._execute(item, favour) for item in found.items]
        if manner == "LOST_REPLY":
            return Unsure("CANCELLED")
        if manner == "LATE":
            self.late.append(self._report(found.message_id, type_, statuses))
            statuses = [
                TransactionStatus(s.uetr, s.end_to_end_id, "PDNG") if s.status == "ACSC" else s
                for s in statuses
            ]
        if manner == "HALF":
            statuses = statuses[: len(statuses) // 2]
        if manner == "FOREIGN":
            statuses = [TransactionStatus(None, "f" * 32, "ACSC")]
        reply = self.sign(self._report(found.message_id, type_, statuses))
        if manner == "BAD_SIGNATURE":
            reply = Signed(reply.message_type, reply.body, bytes(64), reply.key_id)
        return Answered((reply,))

    def _execute(self, item: Item, favour: str) -> TransactionStatus:
        known = self.outcomes.get(item.uetr)
        if known is not None:
            return known
        if item.bank_account in self.refused:
            status = TransactionStatus(item.uetr, item.end_to_end_id, "RJCT", "AC01")
        else:
            reference = f"REF{len(self.executed) + 1}"
            entry = Entry(item.amount, favour, DATE, DATE, reference, item.uetr, item.end_to_end_id)
            self.executed[item.uetr] = entry
            self.executions[item.uetr] += 1
            self.lines.append(entry)
            self._write(item.uetr, favour, item.amount, item.end_to_end_id)
            status = TransactionStatus(
                item.uetr, item.end_to_end_id, "ACSC", "", reference, DATE, item.amount
            )
        self.outcomes[item.uetr] = status
        return status

    def _write(self, uetr: UUID, favour: str, amount: Money, end_to_end_id: str) -> None:
        self.legs[uetr] = Leg(uetr, favour, amount.currency, 2, amount.minor, OURS, end_to_end_id)

    def _report(
        self, message_id: str, type_: str, statuses: Sequence[TransactionStatus]
    ) -> StatusReport:
        return StatusReport(
            self._serial(), 1_900_000_000_000, message_id, type_, transactions=tuple(statuses)
        )

    def _told(self, inquiry: Inquiry) -> Submitted:
        statuses = [
            self.outcomes.get(
                each.uetr, TransactionStatus(each.uetr, each.end_to_end_id, "RJCT", "NOOR")
            )
            for each in inquiry.transactions
        ]
        report = self._report(inquiry.original_message_id, inquiry.original_message_type, statuses)
        return Answered((self.sign(report),))

    def notice(self) -> Signed:
        message = Notice(
            self._serial(),
            self._serial(),
            1_900_000_000_000,
            OURS,
            "CZK",
            tuple(self.executed.values()),
        )
        return self.sign(message)

    async def advise(self, bank: Registered, movements: Sequence[Advised]) -> None:
        for each in movements:
            amount = each.amount
            if self.next_manner("ROOT_DIFFERS"):
                amount = Money(amount.currency, amount.minor + 100)
            self._write(UUID(each.uetr), "D", amount, each.end_to_end_id)

    def _tree(self, keys: bytes) -> Tree:
        uetrs = [UUID(bytes=keys[at : at + 16]) for at in range(0, len(keys), 16)]
        return Tree([leaf_bytes(self.legs[uetr]) for uetr in uetrs])

    async def propose(
        self, bank: Registered, header: bytes, signature: bytes, key_id: str, keys: bytes
    ) -> Answer:
        found = Header.decode(header)
        assert verify(self.wallet_key, signature, sign_payload("H", found.digest))
        self.tree = self._tree(keys)
        if self.tree.root == found.root:
            payload = sign_payload(THE_BANKS, found.digest)
            return Countersigned(found.digest, self.signer.key_id, self.signer.sign(payload))
        signed = self.signer.sign(difference_payload(found.digest, self.tree.root))
        return Different(self.tree.root, signed, self.signer.key_id)

    async def nodes(
        self, bank: Registered, settlement_id: UUID, round_: int, level: int, indices: Sequence[int]
    ) -> Sequence[bytes]:
        hashes = self.tree.nodes(level, indices)
        return [bytes(32)] * len(hashes) if self.next_manner("LYING_NODE") else hashes

    async def leaves(
        self, bank: Registered, settlement_id: UUID, round_: int, indices: Sequence[int]
    ) -> Sequence[bytes]:
        return [self.tree.leaf(index) for index in indices]

    async def confirm_final(
        self, bank: Registered, settlement_id: UUID, digest: bytes, signature: bytes, key_id: str
    ) -> tuple[bytes, str]:
        if self.next_manner("DOWN"):
            raise Unavailable("the bank is down")
        assert verify(self.wallet_key, signature, final_payload("H", digest))
        return self.signer.sign(final_payload(THE_BANKS, digest)), self.signer.key_id

    async def statements(self, bank: Registered, from_number: int) -> Sequence[Signed]:
        return [self.sign(page) for page in self.statements_issued if page.number >= from_number]

    def end_day(self, lines: Sequence[Entry] | None = None, pages: int = 1) -> list[Signed]:
        """The next statement over all lines not shown yet."""
        shown = list(self.lines if lines is None else lines)
        self.lines.clear()
        number = self.statements_issued[-1].number + 1 if self.statements_issued else 1
        opening = self.statements_issued[-1].closing.minor if self.statements_issued else 0
        credits_ = [e.amount.minor for e in shown if e.favour == "C"]
        debits = [e.amount.minor for e in shown if e.favour == "D"]
        summary = Summary(len(credits_), sum(credits_), len(debits), sum(debits))
        size = max(1, -(-len(shown) // pages))
        issued = [
            StatementPage(
                self._serial(),
                f"STMT{number}",
                number,
                page,
                page == pages,
                1_900_000_000_000,
                DATE,
                DATE,
                OURS,
                "CZK",
                Money("CZK", opening),
                Money("CZK", opening + sum(credits_) - sum(debits)),
                summary,
                tuple(shown[(page - 1) * size : page * size]),
            )
            for page in range(1, pages + 1)
        ]
        self.statements_issued += issued
        return [self.sign(page) for page in issued]
