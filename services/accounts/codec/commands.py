"""Requests as commands. Shapes are checked by the journal, in its own order."""

from typing import TypeAlias

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.type.v1.money_pb2 import Money
from services.accounts.domain import commands as d

_WindowRequest: TypeAlias = pb.OpenWindowRequest | pb.SealWindowRequest | pb.CloseWindowRequest


def command_of(message: pb.Command) -> d.Command:
    """One command of a bulk call."""
    match message.WhichOneof("command"):
        case "transfer":
            return transfer_of(message.transfer)
        case "place_hold":
            return placement_of(message.place_hold)
        case "capture_hold":
            return capture_of(message.capture_hold)
        case "release_hold":
            return release_of(message.release_hold)
        case "open_account":
            return opening_of(message.open_account)
        case _:
            raise AssertionError("the contract requires one of them")


def transfer_of(message: pb.Transfer) -> d.Transfer:
    return d.Transfer(
        message.transfer_id,
        tuple([_leg(leg) for leg in message.legs]),
        message.purpose,
        message.correlation_id,
        message.fact_key,
        message.value_date,
        _obligation(message.obligation) if message.HasField("obligation") else None,
    )


def opening_of(message: pb.Opening) -> d.OpenAccount:
    return d.OpenAccount(
        message.account_id,
        message.owner,
        message.kind,
        message.currency_code,
        message.ordinal,
        message.correlation_id,
    )


def placement_of(message: pb.HoldPlacement) -> d.PlaceHold:
    return d.PlaceHold(
        message.hold_id,
        message.account_id,
        _amount(message.amount),
        message.destination_account_id,
        message.expires_after_s,
        message.purpose,
        message.correlation_id,
    )


def capture_of(message: pb.HoldCapture) -> d.CaptureHold:
    return d.CaptureHold(
        message.capture_id,
        message.hold_id,
        _amount(message.amount) if message.HasField("amount") else None,
        message.is_final,
        message.account_id,
        message.clearing_bank_id,
        message.purpose,
        message.correlation_id,
        message.fact_key,
        _obligation(message.obligation) if message.HasField("obligation") else None,
    )


def release_of(message: pb.HoldRelease) -> d.ReleaseHold:
    return d.ReleaseHold(
        message.release_id,
        message.hold_id,
        _amount(message.amount) if message.HasField("amount") else None,
        message.correlation_id,
    )


def freeze_of(message: pb.FreezeAccountRequest) -> d.FreezeAccount:
    return d.FreezeAccount(
        message.freeze_id,
        message.account_id,
        message.side,
        message.purpose,
        message.stop_captures,
    )


def unfreeze_of(message: pb.UnfreezeAccountRequest) -> d.UnfreezeAccount:
    return d.UnfreezeAccount(message.request_id, message.freeze_id, message.account_id)


def close_of(message: pb.CloseAccountRequest) -> d.CloseAccount:
    return d.CloseAccount(message.request_id, message.account_id)


def window_of(message: _WindowRequest) -> d.WindowCommand:
    match message:
        case pb.OpenWindowRequest():
            return d.OpenWindow(message.window_id, message.bank_id, message.currency_code)
        case pb.SealWindowRequest():
            return d.SealWindow(message.next_window_id, message.window_id)
        case _:
            return d.CloseWindow(message.window_id)


def date_move_of(message: pb.MoveBusinessDateRequest) -> d.MoveBusinessDate:
    return d.MoveBusinessDate(message.request_id, message.to_date)


def _leg(message: pb.Leg) -> d.Leg:
    amount = message.amount
    return d.Leg(
        message.account_id,
        message.clearing_bank_id,
        message.direction,
        amount.currency_code,
        amount.minor_units,
    )


def _amount(message: Money) -> d.Amount:
    return d.Amount(message.currency_code, message.minor_units)


def _obligation(message: pb.ObligationTerms) -> d.ObligationTerms:
    return d.ObligationTerms(
        message.bank_id,
        message.favour,
        message.amount.currency_code,
        message.amount.minor_units,
        message.payment_id,
        message.carried_from_window_id,
    )
