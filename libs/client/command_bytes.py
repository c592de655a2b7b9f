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
_ID_LENGTH: Final = 36
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
    if purpose or correlation_id or fact_key:
        texts = text(_PURPOSE, purpose) + text(_CORRELATION, correlation_id)
        texts += text(_FACT, fact_key)
        whole = _transfer(transfer_id, payer, payee, amount.currency, amount.minor, texts)
    else:
        first, second, third, last = _around(amount.currency, amount.minor)
        whole = f"{first}{transfer_id!s}{second}{payer!s}{third}{payee!s}{last}"
    return whole.encode(BYTES)


def _transfer(
    transfer_id: UUID | str,
    payer: UUID | str,
    payee: UUID | str,
    currency: str,
    minor: int,
    texts: str = "",
) -> str:
    field = _amount(currency, minor)
    debit = message(_LEG, f"{_ID}{payer}{_DEBIT}{field}")
    credit = message(_LEG, f"{_ID}{payee}{_CREDIT}{field}")
    return message(_COMMAND, message(_TRANSFER, f"{_ID}{transfer_id}{debit}{credit}{texts}"))


@lru_cache(_AMOUNTS_KEPT)
def _around(currency: str, minor: int) -> tuple[str, str, str, str]:
    """What stands around the three ids of a transfer of this amount that has no texts."""
    own, payer, payee = (mark * _ID_LENGTH for mark in "xyz")
    first, left = _transfer(own, payer, payee, currency, minor).split(own)
    second, left = left.split(payer)
    third, last = left.split(payee)
    return first, second, third, last


@lru_cache(_AMOUNTS_KEPT)
def _amount(currency: str, minor: int) -> str:
    return message(_AMOUNT, text(_CURRENCY, currency) + number(_MINOR, minor))
