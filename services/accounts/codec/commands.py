"""Requests as commands. Shapes are checked by the journal, in its own order."""

from collections.abc import Sequence
from typing import TypeAlias

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.type.v1.money_pb2 import Money
from services.accounts.domain import commands as d

WindowRequest: TypeAlias = pb.OpenWindowRequest | pb.SealWindowRequest | pb.CloseWindowRequest


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
        case "give_quote":
            return quote_of(message.give_quote)
        case _:
            raise AssertionError("the contract requires one of them")


def items_of(asked: Sequence[d.Command], linked: Sequence[bool]) -> Sequence[d.Item]:
    """The commands of a call, with each run of linked ones as one item."""
    if not any(linked):
        return asked
    items: list[d.Item] = []
    run: list[d.Command] = []
    for command, is_linked in zip(asked, linked, strict=True):
        if is_linked or run:
            run.append(command)
        else:
            items.append(command)
        if run and not is_linked:
            items.append(d.Linked(tuple(run)))
            run = []
    if run:
        items.append(d.Linked(tuple(run), is_open=True))
    return items


def links_of(messages: Sequence[pb.Command]) -> list[bool]:
    """Which commands are linked to the next; a transfer may say so itself."""
    return [message.is_linked or message.transfer.is_linked for message in messages]


def transfer_of(message: pb.Transfer) -> d.Transfer:
    return d.Transfer(
        message.transfer_id,
        tuple([_leg(leg) for leg in message.legs]),
        message.purpose,
        message.correlation_id,
        message.fact_key,
        message.value_date,
        _obligation(message.obligation) if message.HasField("obligation") else None,
        _computed(message),
        d.Correction(message.corrects, message.corrects_date) if message.corrects else None,
    )


def _computed(message: pb.Transfer) -> d.Computed | None:
    match message.WhichOneof("computed"):
        case "template":
            return _template(message.template)
        case "exchange":
            return _exchange(message.exchange)
    balancing = [n for n, leg in enumerate(message.legs) if leg.HasField("up_to")]
    if not balancing:
        return None
    # On more than one leg it is on none that may have it.
    at = balancing[0] if len(balancing) == 1 else -1
    return d.Balancing(at, message.legs[balancing[0]].up_to.keep_minor)


def _template(message: pb.PostingTemplate) -> d.Template:
    sources = tuple(
        d.Source(source.account_id, source.max_minor if source.HasField("max_minor") else None)
        for source in message.sources
    )
    parts = tuple(
        d.Part(
            part.account_id,
            part.fixed_minor if part.HasField("fixed_minor") else None,
            part.share if part.HasField("share") else None,
            part.is_rest,
        )
        for part in message.parts
    )
    return d.Template(message.version, _amount(message.amount), sources, message.whole, parts)


def _exchange(message: pb.Exchange) -> d.Exchange:
    return d.Exchange(
        message.quote_id,
        _amount(message.sold),
        _amount(message.bought),
        message.seller_account_id,
        message.buyer_account_id,
        message.sold_position_account_id,
        message.bought_position_account_id,
        message.spread_account_id,
    )


def quote_of(message: pb.QuoteTerms) -> d.GiveQuote:
    return d.GiveQuote(
        message.quote_id,
        message.sold_currency_code,
        message.bought_currency_code,
        message.rate_numerator,
        message.rate_denominator,
        message.side,
        message.given_minor,
        message.spread_minor,
        message.expires_after_s,
        message.correlation_id,
    )


def opening_of(message: pb.Opening) -> d.OpenAccount:
    return d.OpenAccount(
        message.account_id,
        message.owner,
        message.kind,
        message.currency_code,
        message.ordinal,
        message.correlation_id,
        message.ceiling_minor if message.HasField("ceiling_minor") else None,
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


def reopening_of(message: pb.ReopenAccountRequest) -> d.ReopenAccount:
    return d.ReopenAccount(message.request_id, message.account_id, message.purpose)


def bounds_of(message: pb.SetBoundsRequest) -> d.SetBounds:
    return d.SetBounds(
        message.request_id,
        message.account_id,
        message.floor_minor if message.HasField("floor_minor") else None,
        message.ceiling_minor if message.HasField("ceiling_minor") else None,
        message.purpose,
    )


def window_of(message: WindowRequest) -> d.WindowCommand:
    match message:
        case pb.OpenWindowRequest():
            return d.OpenWindow(message.window_id, message.bank_id, message.currency_code)
        case pb.SealWindowRequest():
            return d.SealWindow(message.next_window_id, message.window_id)
        case _:
            return d.CloseWindow(message.window_id)


def date_move_of(message: pb.MoveBusinessDateRequest) -> d.MoveBusinessDate:
    return d.MoveBusinessDate(message.request_id, message.to_date, message.closing_date)


def lock_of(message: pb.LockPeriodRequest) -> d.LockPeriod:
    return d.LockPeriod(message.request_id, message.last_date)


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
