"""Commands in the bytes of a bulk call, each a field of its own: together they are its request.

The most frequent one is put together by hand, in a quarter of the time that its messages take.
"""

from functools import lru_cache
from typing import Final
from uuid import UUID

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.money import Money
from libs.wire_bytes import BYTES, message, number, text

_AMOUNTS_KEPT: Final = 4_096
# Tags: of a command in its request, and of what is in it, one within the other.
_COMMAND, _TRANSFER, _LEG = "\x0a", "\x12", "\x12"
_PURPOSE, _CORRELATION, _FACT = "\x1a", "\x22", "\x2a"
_AMOUNT, _CURRENCY, _MINOR = "\x22", "\x0a", "\x10"
# An id of 36 characters, the first field of what it names; a leg's direction, debit or credit.
_ID, _DEBIT, _CREDIT = "\x0a\x24", "\x18\x01", "\x18\x02"


def command_bytes(command: pb.Command) -> bytes:
    """Any command."""
    return pb.PostCommandsRequest(commands=[command]).SerializeToString()


def transfer_bytes(  # noqa: PLR0913 - the fields of a plain transfer
    transfer_id: UUID | str,
    payer: UUID | str,
    payee: UUID | str,
    amount: Money,
    *,
    purpose: str = "",
    correlation_id: str = "",
    fact_key: str = "",
) -> bytes:
    """A transfer of one amount from one account to another; ids in their canonical form."""
    field = _amount(amount.currency, amount.minor)
    debit = message(_LEG, f"{_ID}{payer}{_DEBIT}{field}")
    credit = message(_LEG, f"{_ID}{payee}{_CREDIT}{field}")
    texts = text(_PURPOSE, purpose) + text(_CORRELATION, correlation_id) + text(_FACT, fact_key)
    transfer = message(_TRANSFER, f"{_ID}{transfer_id}{debit}{credit}{texts}")
    return message(_COMMAND, transfer).encode(BYTES)


@lru_cache(_AMOUNTS_KEPT)
def _amount(currency: str, minor: int) -> str:
    return message(_AMOUNT, text(_CURRENCY, currency) + number(_MINOR, minor))
