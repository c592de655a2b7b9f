"""What is put together by hand is what the messages would have been."""

from uuid import UUID

import pytest

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from libs.client.command_bytes import command_bytes, transfer_bytes
from libs.ids import new_id
from libs.money import MINOR_MAX, Money
from libs.wire import money_to_wire


def transfer(transfer_id: UUID, payer: UUID, payee: UUID, amount: Money) -> pb.Command:
    sides = ((payer, events_pb2.DIRECTION_DEBIT), (payee, events_pb2.DIRECTION_CREDIT))
    legs = [
        pb.Leg(account_id=str(account), direction=side, amount=money_to_wire(amount))
        for account, side in sides
    ]
    return pb.Command(transfer=pb.Transfer(transfer_id=str(transfer_id), legs=legs))


@pytest.mark.parametrize("minor", [1, 127, 128, 725_00, 1 << 35, MINOR_MAX])
def test_a_transfer_by_hand_is_the_same_bytes(minor: int) -> None:
    terms = new_id(), new_id(), UUID(int=1), Money("CZK", minor)
    assert transfer_bytes(*terms) == command_bytes(transfer(*terms))


def test_its_texts_are_in_it() -> None:
    terms = new_id(), new_id(), new_id(), Money("CZK", 1)
    payment_id, fact_key = str(new_id()), "útrata/1" * 20
    command = transfer(*terms)
    command.transfer.purpose = "platba"
    command.transfer.correlation_id = payment_id
    command.transfer.fact_key = fact_key
    by_hand = transfer_bytes(*terms, purpose="platba", correlation_id=payment_id, fact_key=fact_key)
    assert by_hand == command_bytes(command)


def test_commands_one_after_the_other_are_a_request_of_all_of_them() -> None:
    commands = [
        transfer(new_id(), new_id(), new_id(), Money("CNY", 1)),
        pb.Command(release_hold=pb.HoldRelease(release_id=str(new_id())), is_linked=True),
        transfer(new_id(), new_id(), new_id(), Money("CZK", 2)),
    ]
    request = pb.PostCommandsRequest.FromString(b"".join(map(command_bytes, commands)))
    assert list(request.commands) == commands
