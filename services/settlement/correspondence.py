"""Messages to and from banks: exact bytes, kept first, and read only where the signature holds."""

import asyncio
import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass

from libs.decider import Cause, Rejected
from libs.iso20022 import Message, MessageInvalid, Notice, StatementPage, StatusReport, build, parse
from libs.read_model import Database
from libs.signing import Signer, message_payload, verify
from libs.telemetry import get_logger
from services.settlement import queries
from services.settlement.aggregates import ACTOR, Aggregates
from services.settlement.answers import in_words, payments_of
from services.settlement.clients.bank_link import Signed
from services.settlement.domain import evidence
from services.settlement.domain.partner import Registered
from services.settlement.high_water import OwnRows

log = get_logger()

Incoming = StatusReport | Notice | StatementPage


class SetAside(Exception):
    """Kept as evidence and acted on in no way. `wire_reason` is what the bank is told."""

    def __init__(self, wire_reason: str, description: str = "") -> None:
        super().__init__(description or wire_reason)
        self.wire_reason = wire_reason


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that may be acted on, and the id it is kept under."""

    message_id: str
    message: Incoming
    is_repeat: bool


class Correspondence:
    """Keeps what leaves and what comes."""

    def __init__(
        self, aggregates: Aggregates, signer: Signer, database: Database, rows: OwnRows
    ) -> None:
        self._aggregates = aggregates
        self._signer = signer
        self._database = database
        self._rows = rows

    async def write(
        self,
        bank_id: str,
        message_id: str,
        make: Callable[[], Message],
        payment_ids: tuple[str, ...],
        summary: str,
    ) -> Signed:
        """The message under this id: as it was kept, or else made, signed and kept now."""
        kept = await self.kept(message_id)
        if kept is not None:
            return kept
        message_type, body = await asyncio.to_thread(lambda: build(make()))
        signature = self._signer.sign(message_payload(message_type, body))
        sent = evidence.Sent(
            bank_id,
            message_id,
            message_type,
            body,
            hashlib.sha256(body).digest(),
            signature,
            payment_ids,
            summary,
        )
        cause = Cause(f"{message_id}/sent", actor=ACTOR)
        await self._aggregates.messages.transact(
            message_id, evidence.KeepSent(sent), cause, is_new=True
        )
        return Signed(message_type, body, signature, self._signer.key_id)

    async def kept(self, message_id: str) -> Signed | None:
        """A message we have sent or meant to: the same bytes again."""
        found = await self._first(message_id)
        if not isinstance(found, evidence.Sent):
            return None
        return Signed(found.message_type, found.body, found.signature, self._signer.key_id)

    async def page(self, message_id: str) -> StatementPage:
        """A statement's page that was kept, read again."""
        found = await self._first(message_id)
        if not isinstance(found, evidence.Received):
            raise AssertionError(f"{message_id} was not kept")  # noqa: TRY004 - impossible
        message = await asyncio.to_thread(parse, found.message_type, found.body)
        if not isinstance(message, StatementPage):
            raise AssertionError(f"{message_id} is no page")  # noqa: TRY004 - impossible
        return message

    async def _first(self, message_id: str) -> evidence.Event | None:
        """The event with the bytes; states in memory go without them."""
        streams = self._aggregates.messages
        async for stored in streams.store.read(streams.stream(message_id)):
            return streams.codec.decode(stored.type, stored.data)
        return None

    async def hear(
        self, bank: Registered, signed: Signed, known: Collection[str] | None = None
    ) -> Heard:
        """Keep it, and tell what it is. `known`: the payments it may speak of, in answer to a send.

        Raises `SetAside` for what is unsigned, unreadable, or speaks of what is not the bank's.
        """
        try:
            message = await self._read(bank, signed)
            foreign = await self._foreign(bank.bank_id, message, known)
            if foreign:
                raise SetAside(  # noqa: TRY301 - set aside like the others
                    "FOREIGN_REFERENCE", f"{foreign} is no transfer of this bank"
                )
        except SetAside as fault:
            await self._keep_aside(bank.bank_id, signed, fault)
            raise
        # One message of one bank has one place, so the same message twice is a repeat.
        message_id = _digest_of("message", bank.bank_id, message.message_id)
        is_repeat = await self._keep(_received(bank.bank_id, message_id, signed, message))
        return Heard(message_id, message, is_repeat)

    async def _read(self, bank: Registered, signed: Signed) -> Incoming:
        if signed.key_id != bank.key_id:
            raise SetAside("KEY_UNKNOWN", "the key is not the one registered")
        payload = message_payload(signed.message_type, signed.body)
        if not verify(bank.public_key, signed.signature, payload):
            raise SetAside("SIGNATURE_INVALID", "the signature is not the bank's over these bytes")
        try:
            message = await asyncio.to_thread(parse, signed.message_type, signed.body)
        except MessageInvalid as error:
            raise SetAside("MESSAGE_INVALID", f"{error.reason}: {error.description}") from error
        if not isinstance(message, StatusReport | Notice | StatementPage):
            raise SetAside("MESSAGE_INVALID", f"{signed.message_type} is not for us to receive")
        return message

    async def _foreign(
        self, bank_id: str, message: Incoming, known: Collection[str] | None
    ) -> str | None:
        """A reference that the message may not speak of."""
        if isinstance(message, StatementPage):
            return None  # a statement shows all there is; what is not ours becomes a break
        named = payments_of(message)
        ours = [payment_id for payment_id in named if payment_id]
        if known is not None:
            return next((payment_id for payment_id in ours if payment_id not in known), None)
        if isinstance(message, StatusReport) and None in named:
            return "a reference"
        await self._rows.reached()
        found = await self._database.read(lambda c: queries.known_items(c, ours))
        for payment_id in ours:
            item = found.get(payment_id)
            if item is None and isinstance(message, StatusReport):
                return payment_id
            if item is not None and item.bank_id != bank_id:
                return payment_id
        return None

    async def _keep(self, received: evidence.Received) -> bool:
        streams = self._aggregates.messages
        before = (await streams.load(received.message_id)).revision
        # Each arrival is a fact of its own.
        try:
            cause = Cause(f"{received.message_id}/received/{before + 1}", actor=received.bank_id)
            done = await streams.transact(
                received.message_id, evidence.KeepReceived(received), cause
            )
        except Rejected as error:
            raise SetAside(error.reason.name, error.description) from error
        return any(isinstance(e, evidence.Received) and e.is_repeat for e in done.events)

    async def _keep_aside(self, bank_id: str, signed: Signed, fault: SetAside) -> None:
        log.warning("bank_message_set_aside", bank_id=bank_id, reason=fault.wire_reason)
        message_id = _digest_of("aside", bank_id, signed.message_type, signed.body.hex())
        received = evidence.Received(
            bank_id,
            message_id,
            signed.message_type,
            signed.body,
            hashlib.sha256(signed.body).digest(),
            signed.signature,
            quarantine_reason=fault.wire_reason,
            summary=str(fault)[:200],
        )
        await self._keep(received)


def _received(
    bank_id: str, message_id: str, signed: Signed, message: Incoming
) -> evidence.Received:
    payments: tuple[str, ...] = ()
    account, number, page, is_last = "", 0, 0, False
    if isinstance(message, StatementPage):
        summary = f"statement {message.number}, page {message.page}, {len(message.entries)} lines"
        account, number = message.account_number, message.number
        page, is_last = message.page, message.is_last
    else:
        summary = in_words(message)
        payments = tuple(dict.fromkeys(p for p in payments_of(message) if p))
    return evidence.Received(
        bank_id,
        message_id,
        signed.message_type,
        signed.body,
        hashlib.sha256(signed.body).digest(),
        signed.signature,
        payments,
        summary=summary,
        account_number=account,
        statement_number=number,
        page=page,
        is_last_page=is_last,
    )


def _digest_of(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
