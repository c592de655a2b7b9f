"""What the client sends without asking the proto's rules is what they have nothing to say of."""

from uuid import UUID

import pytest

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from libs.client.accounts import are_well_formed
from libs.ids import new_id
from libs.money import MINOR_MAX, Money
from libs.validation import shape_violations
from libs.wire import money_to_wire

# One id of ours, for ever: a test is called after what it is given.
ID = UUID("01a1f7d4-6c00-7a3e-9b52-3f0c8d1e2a47")
IDS: list[UUID | str] = [ID, UUID(int=0), UUID(int=2**128 - 1), "no-id", str(ID)]
CURRENCIES = ["CZK", "XXX", "czk", "CZ", "CZKK", "C K", "\u010cZK", ""]
MINORS = [1, MINOR_MAX, 0, -1, MINOR_MAX + 1]


@pytest.mark.parametrize("currency", CURRENCIES)
@pytest.mark.parametrize("minor", MINORS)
@pytest.mark.parametrize("id_", IDS)
def test_what_is_well_formed_breaks_no_rule(id_: UUID | str, minor: int, currency: str) -> None:
    amount = Money(currency, minor)
    debit = events_pb2.DIRECTION_DEBIT
    leg = pb.Leg(account_id=str(id_), direction=debit, amount=money_to_wire(amount))
    transfer = pb.Transfer(transfer_id=str(id_), legs=[leg, leg])
    capture = pb.HoldCapture(
        capture_id=str(id_), hold_id=str(id_), account_id=str(id_), amount=money_to_wire(amount)
    )
    placement = pb.HoldPlacement(
        hold_id=str(id_), account_id=str(id_), amount=money_to_wire(amount)
    )
    release = pb.HoldRelease(release_id=str(id_), hold_id=str(id_), amount=money_to_wire(amount))

    violations = [
        violation
        for command in (
            pb.Command(transfer=transfer),
            pb.Command(capture_hold=capture),
            pb.Command(release_hold=release),
            pb.Command(place_hold=placement),
        )
        for violation in shape_violations(command)
    ]

    assert not (are_well_formed([id_], amount) and violations)


def test_ordinary_ids_and_amounts_are_well_formed() -> None:
    assert are_well_formed([new_id(), new_id()], Money("CZK", 725_00))
    assert are_well_formed([new_id()], None)
    assert not are_well_formed([new_id(), str(new_id())], None)
