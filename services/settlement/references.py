"""References we send to banks, all derived, so that a step run again has the same ones."""

import base64
import hashlib
from collections.abc import Sequence
from uuid import UUID

from libs.two_halves import uetr_of

ATTEMPT = 1


def uetr_text(payment_id: str) -> str:
    """The UETR of a payment's first, and so far only, instruction."""
    return str(uetr_of(UUID(payment_id), ATTEMPT))


def instruction_id_of(payment_id: str) -> str:
    """InstrId: 26 characters base32 and the attempt."""
    text = base64.b32encode(UUID(payment_id).bytes).decode("ascii").rstrip("=")
    return f"{text}-{ATTEMPT:02d}"


def message_id_of(transfer_ids: Sequence[str]) -> str:
    """MsgId of the message that carries exactly these transfers, in this order."""
    return _digest("message", *transfer_ids)


def inquiry_id_of(transfer_ids: Sequence[str], message_id: str, attempt: int, ordinal: int) -> str:
    """MsgId of an inquiry about transfers of one message."""
    return _digest("inquiry", message_id, str(attempt), str(ordinal), *transfer_ids)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
