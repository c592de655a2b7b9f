"""What payments ask of the journal in bytes: the same as in messages, and plain if it can be."""

import pytest

from hefu.accounts.v1 import accounts_pb2
from libs.client.command_bytes import command_bytes
from libs.ids import account_id_of, new_id
from libs.money import MINOR_MAX, Money
from services.accounts.codec.plain_calls import read_commands
from services.payments.clients import bytes_of, command_of
from services.payments.postings import Hold, Move, Posting

PAYER, PAYEE = str(new_id()), str(new_id())
FEES = str(account_id_of("house", "FEE_INCOME", "CZK"))


def move(
    debits: tuple[tuple[str, int], ...], credits_: tuple[tuple[str, int], ...], favour: str = ""
) -> Move:
    payment_id = str(new_id())
    fact_key = f"{payment_id}/move"
    return Move(str(new_id()), "CZK", debits, credits_, payment_id, "payment", fact_key, favour)


PLAIN = [
    move(((PAYER, 1),), ((PAYEE, 1),)),
    move(((PAYER, MINOR_MAX),), ((FEES, MINOR_MAX),)),
]
OTHER: list[Posting] = [
    move(((PAYER, 500),), ((PAYEE, 490), (FEES, 10))),
    move(((FEES, 7),), ((PAYEE, 7),), "AB"),
    move((("no-id", 7),), ((PAYEE, 7),)),
    Hold(str(new_id()), PAYER, Money("CZK", 1), str(new_id())),
]


@pytest.mark.parametrize("posting", [*PLAIN, *OTHER])
def test_a_posting_in_its_bytes_is_its_command(posting: Posting) -> None:
    assert bytes_of(posting) == command_bytes(command_of(posting))


def test_transfers_of_payments_are_read_by_the_journal_the_plain_way() -> None:
    request = b"".join(map(bytes_of, PLAIN))
    found = read_commands(request)
    assert found is not None
    commands = accounts_pb2.PostCommandsRequest.FromString(request).commands
    for plain, command in zip(found, commands, strict=True):
        transfer = command.transfer
        assert (plain.purpose, plain.correlation_id, plain.fact_key) == (
            transfer.purpose,
            transfer.correlation_id,
            transfer.fact_key,
        )
