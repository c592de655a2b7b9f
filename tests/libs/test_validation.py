"""Shapes are checked by the rules in the protos, quickly enough for bulk calls."""

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2 as events
from libs.money import Money
from libs.validation import VIOLATIONS_MAX, drops_unknown_fields, shape_violations
from libs.wire import money_to_wire

ID = "01890a5d-ac96-774b-bcce-b302099a8057"


def _transfers(count: int) -> pb.PostTransfersRequest:
    leg = pb.Leg(
        account_id=ID, direction=events.DIRECTION_DEBIT, amount=money_to_wire(Money("CZK", 1))
    )
    transfer = pb.Transfer(transfer_id=ID, legs=[leg, leg])
    return pb.PostTransfersRequest(transfers=[transfer] * count)


def test_a_violation_names_the_path_of_its_field() -> None:
    request = _transfers(2)
    request.transfers[1].legs[0].ClearField("amount")

    assert [found.field for found in shape_violations(request)] == ["transfers[1].legs[0].amount"]


def test_only_so_many_violations_are_told() -> None:
    request = _transfers(200)
    for transfer in request.transfers:
        transfer.transfer_id = "?"

    assert len(shape_violations(request)) == VIOLATIONS_MAX


def test_a_field_that_the_proto_does_not_know_is_noticed_at_any_depth() -> None:
    known = _transfers(1)
    assert not drops_unknown_fields(known)

    unknown = pb.PostTransfersRequest.FromString(
        known.SerializeToString() + b"\x0a\x03\xfa\x7f\x00"
    )
    assert drops_unknown_fields(unknown)


def test_a_bulk_request_is_checked_to_its_last_transfer() -> None:
    request = _transfers(8_000)
    assert shape_violations(request) == ()

    request.transfers[-1].transfer_id = "?"

    (violation,) = shape_violations(request)
    assert violation.field == "transfers[7999].transfer_id"
