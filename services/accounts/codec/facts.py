"""Entries between their message and ours; the form is a contract: `tests/golden/accounts`."""

from hefu.accounts.v1 import events_pb2 as pb
from libs.wire import time_from_wire, time_to_wire
from services.accounts.codec.amounts import (
    amount_from,
    asked_legs_from,
    asked_legs_to_wire,
    asked_obligation_from,
    asked_obligation_to_wire,
    legs_from,
    legs_to_wire,
    money,
    obligation_to_wire,
)
from services.accounts.codec.span_facts import span_from_wire, span_to_wire
from services.accounts.domain import entries as d


def entry_to_wire(entry: d.Entry, ordinal: int) -> pb.Entry:
    """An entry as its message."""
    obligation, fact = entry.obligation, entry.fact
    message = pb.Entry(
        ordinal=ordinal,
        command_id=entry.command_id,
        caller=entry.caller,
        correlation_id=entry.correlation_id,
        terms_hash=entry.terms_hash,
        term_checks=entry.term_checks,
        value_date=entry.value_date,
        business_date=entry.business_date,
        obligation=None if obligation is None else obligation_to_wire(obligation),
        balances=[
            pb.BalanceAfter(
                account_id=account_id,
                account_seq=seq,
                posted_minor=posted,
                held_minor=held,
                incoming_minor=incoming,
            )
            for account_id, seq, posted, held, incoming in entry.balances
        ],
        transfer_posted=_transfer(fact) if isinstance(fact, d.TransferPosted) else None,
        group_id=entry.group_id,
        is_past_day_negative=entry.is_past_day_negative,
    )
    if not isinstance(fact, d.TransferPosted):
        _fact_to_wire(fact, message)
    return message


def _transfer(fact: d.TransferPosted) -> pb.TransferPosted:
    legs, purpose, fact_key, corrects, corrects_date, rounding, quote_id = fact
    message = pb.TransferPosted(legs=legs_to_wire(legs), purpose=purpose, fact_key=fact_key)
    if corrects:
        message.corrects, message.corrects_date = corrects, corrects_date
    if rounding is not None:
        message.rounding.CopyFrom(_rounding(rounding))
        message.quote_id = quote_id
    return message


def _rounding(rounding: d.Rounding) -> pb.Rounding:
    parts = [
        pb.RoundingPart(account_id=account_id, numerator=numerator, denominator=denominator)
        for account_id, numerator, denominator in rounding.parts
    ]
    return pb.Rounding(rule=rounding.rule, parts=parts)


def entry_from_wire(message: pb.Entry) -> d.Entry:
    """A message as an entry."""
    obligation = message.obligation if message.HasField("obligation") else None
    return d.Entry(
        _fact_from_wire(message),
        message.command_id,
        message.caller,
        message.correlation_id,
        message.terms_hash,
        message.term_checks,
        message.value_date,
        message.business_date,
        None
        if obligation is None
        else d.Obligation(
            obligation.bank_id,
            obligation.window_id,
            obligation.favour,
            obligation.amount.currency_code,
            obligation.amount.minor_units,
            obligation.payment_id,
            obligation.carried_from_window_id,
        ),
        tuple(
            d.BalanceAfter(
                b.account_id, b.account_seq, b.posted_minor, b.held_minor, b.incoming_minor
            )
            for b in message.balances
        ),
        message.group_id,
        message.is_past_day_negative,
    )


def _fact_to_wire(fact: d.Fact, message: pb.Entry) -> None:  # noqa: C901, PLR0912, PLR0915 - one case each
    match fact:
        case d.TransferPosted():
            raise AssertionError("handled before, because it is nearly every entry")
        case d.HoldPlaced(hold_id, account_id, amount, destination, deadline_us, purpose):
            placed = pb.HoldPlaced(
                hold_id=hold_id,
                account_id=account_id,
                amount=money(*amount),
                destination_account_id=destination,
                purpose=purpose,
            )
            if deadline_us:
                placed.expire_time.CopyFrom(time_to_wire(deadline_us))
            message.hold_placed.CopyFrom(placed)
        case d.HoldCaptured(hold_id, legs, amount, released, remaining, purpose, fact_key):
            message.hold_captured.CopyFrom(
                pb.HoldCaptured(
                    hold_id=hold_id,
                    legs=legs_to_wire(legs),
                    amount=money(*amount),
                    released_minor=released,
                    remaining_minor=remaining,
                    purpose=purpose,
                    fact_key=fact_key,
                )
            )
        case d.HoldReleased(hold_id, amount, remaining):
            message.hold_released.CopyFrom(
                pb.HoldReleased(hold_id=hold_id, amount=money(*amount), remaining_minor=remaining)
            )
        case d.HoldExpired(hold_id, amount):
            message.hold_expired.CopyFrom(pb.HoldExpired(hold_id=hold_id, amount=money(*amount)))
        case d.CommandRefused(reason, field, description, command):
            message.command_refused.CopyFrom(
                pb.CommandRefused(
                    reason=reason, field=field, description=description, command=command
                )
            )
        case d.AccountOpened(account_id, owner, kind, currency, ordinal, ceiling):
            message.account_opened.CopyFrom(
                pb.AccountOpened(
                    account_id=account_id,
                    owner=owner,
                    kind=pb.AccountKind.ValueType(kind),
                    currency_code=currency,
                    ordinal=ordinal,
                    ceiling_minor=ceiling,
                )
            )
        case d.AccountFrozen(freeze_id, account_id, side, purpose, stops):
            message.account_frozen.CopyFrom(
                pb.AccountFrozen(
                    freeze_id=freeze_id,
                    account_id=account_id,
                    side=pb.FreezeSide.ValueType(side),
                    purpose=purpose,
                    stop_captures=stops,
                )
            )
        case d.AccountUnfrozen(freeze_id, account_id):
            message.account_unfrozen.CopyFrom(
                pb.AccountUnfrozen(freeze_id=freeze_id, account_id=account_id)
            )
        case d.AccountClosed(account_id):
            message.account_closed.CopyFrom(pb.AccountClosed(account_id=account_id))
        case d.WindowOpened(window_id, bank_id, currency, clearing, ordinal):
            message.window_opened.CopyFrom(
                pb.WindowOpened(
                    window_id=window_id,
                    bank_id=bank_id,
                    currency_code=currency,
                    clearing_account_id=clearing,
                    ordinal=ordinal,
                )
            )
        case d.WindowSealed() as sealed:
            message.window_sealed.CopyFrom(
                pb.WindowSealed(
                    window_id=sealed.window_id,
                    bank_id=sealed.bank_id,
                    currency_code=sealed.currency,
                    next_window_id=sealed.next_window_id,
                    next_clearing_account_id=sealed.next_clearing_account_id,
                    legs=sealed.legs,
                    sum_ours_minor=sealed.sum_ours,
                    sum_bank_minor=sealed.sum_bank,
                    net_minor=sealed.sum_ours - sealed.sum_bank,
                    next_ordinal=sealed.next_ordinal,
                )
            )
        case d.WindowClosed(window_id, clearing):
            message.window_closed.CopyFrom(
                pb.WindowClosed(window_id=window_id, clearing_account_id=clearing)
            )
        case d.BusinessDateMoved(from_date, to_date):
            message.business_date_moved.CopyFrom(
                pb.BusinessDateMoved(from_date=from_date, to_date=to_date)
            )
        case d.AccountReopened(account_id, purpose):
            message.account_reopened.CopyFrom(
                pb.AccountReopened(account_id=account_id, purpose=purpose)
            )
        case d.BoundsSet(account_id, floor, ceiling, purpose):
            message.bounds_set.CopyFrom(
                pb.BoundsSet(
                    account_id=account_id,
                    floor_minor=floor,
                    ceiling_minor=ceiling,
                    purpose=purpose,
                )
            )
        case d.QuoteGiven():
            message.quote_given.CopyFrom(quote_to_wire(fact))
        case d.CrossingBegun():
            message.crossing_begun.CopyFrom(_begun(fact))
        case d.CrossingEnded(crossing_id, reason, field, description, legs):
            message.crossing_ended.CopyFrom(
                pb.CrossingEnded(
                    crossing_id=crossing_id,
                    reason=reason,
                    field=field,
                    description=description,
                    legs=legs_to_wire(legs),
                )
            )
        case d.PeriodLocked(last_date):
            message.period_locked.CopyFrom(pb.PeriodLocked(last_date=last_date))
        case _:
            span_to_wire(fact, message)


def quote_to_wire(quote: d.QuoteGiven) -> pb.QuoteGiven:
    return pb.QuoteGiven(
        quote_id=quote.quote_id,
        sold=money(*quote.sold),
        bought=money(*quote.bought),
        rate_numerator=quote.numerator,
        rate_denominator=quote.denominator,
        side=pb.QuoteSide.ValueType(quote.side),
        spread_minor=quote.spread,
        expire_time=time_to_wire(quote.expires_us),
    )


def _fact_from_wire(message: pb.Entry) -> d.Fact:  # noqa: C901, PLR0911, PLR0912 - one case each
    name = message.WhichOneof("fact")
    match name:
        case "transfer_posted":
            return _transfer_from(message.transfer_posted)
        case "hold_placed":
            placed = message.hold_placed
            return d.HoldPlaced(
                placed.hold_id,
                placed.account_id,
                amount_from(placed.amount),
                placed.destination_account_id,
                time_from_wire(placed.expire_time) if placed.HasField("expire_time") else 0,
                placed.purpose,
            )
        case "hold_captured":
            captured = message.hold_captured
            return d.HoldCaptured(
                captured.hold_id,
                legs_from(captured.legs),
                amount_from(captured.amount),
                captured.released_minor,
                captured.remaining_minor,
                captured.purpose,
                captured.fact_key,
            )
        case "hold_released":
            released = message.hold_released
            return d.HoldReleased(
                released.hold_id, amount_from(released.amount), released.remaining_minor
            )
        case "hold_expired":
            return d.HoldExpired(
                message.hold_expired.hold_id, amount_from(message.hold_expired.amount)
            )
        case "command_refused":
            refused = message.command_refused
            return d.CommandRefused(
                refused.reason, refused.field, refused.description, refused.command
            )
        case "account_opened":
            opened = message.account_opened
            return d.AccountOpened(
                opened.account_id,
                opened.owner,
                opened.kind,
                opened.currency_code,
                opened.ordinal,
                opened.ceiling_minor if opened.HasField("ceiling_minor") else None,
            )
        case "account_frozen":
            frozen = message.account_frozen
            return d.AccountFrozen(
                frozen.freeze_id,
                frozen.account_id,
                frozen.side,
                frozen.purpose,
                frozen.stop_captures,
            )
        case "account_unfrozen":
            unfrozen = message.account_unfrozen
            return d.AccountUnfrozen(unfrozen.freeze_id, unfrozen.account_id)
        case "account_closed":
            return d.AccountClosed(message.account_closed.account_id)
        case "window_opened":
            window = message.window_opened
            return d.WindowOpened(
                window.window_id,
                window.bank_id,
                window.currency_code,
                window.clearing_account_id,
                window.ordinal,
            )
        case "window_sealed":
            sealed = message.window_sealed
            return d.WindowSealed(
                sealed.window_id,
                sealed.bank_id,
                sealed.currency_code,
                sealed.next_window_id,
                sealed.next_clearing_account_id,
                sealed.legs,
                sealed.sum_ours_minor,
                sealed.sum_bank_minor,
                sealed.next_ordinal,
            )
        case "window_closed":
            closed = message.window_closed
            return d.WindowClosed(closed.window_id, closed.clearing_account_id)
        case "business_date_moved":
            moved = message.business_date_moved
            return d.BusinessDateMoved(moved.from_date, moved.to_date)
        case "account_reopened":
            reopened = message.account_reopened
            return d.AccountReopened(reopened.account_id, reopened.purpose)
        case "bounds_set":
            bounds = message.bounds_set
            return d.BoundsSet(
                bounds.account_id,
                bounds.floor_minor if bounds.HasField("floor_minor") else None,
                bounds.ceiling_minor if bounds.HasField("ceiling_minor") else None,
                bounds.purpose,
            )
        case "quote_given":
            return _quote_from(message.quote_given)
        case "crossing_begun":
            return _begun_from(message.crossing_begun)
        case "crossing_ended":
            ended = message.crossing_ended
            legs = legs_from(ended.legs)
            return d.CrossingEnded(
                ended.crossing_id, ended.reason, ended.field, ended.description, legs
            )
        case "period_locked":
            return d.PeriodLocked(message.period_locked.last_date)
        case "span_begun" | "part_reserved" | "part_released" | "span_decided" | "span_ended":
            return span_from_wire(message)
        case _:
            raise AssertionError(f"an entry of a kind this version does not know: {name}")


def _transfer_from(posted: pb.TransferPosted) -> d.TransferPosted:
    legs = legs_from(posted.legs)
    if not posted.corrects and not posted.HasField("rounding"):
        return d.TransferPosted(legs, posted.purpose, posted.fact_key)
    rounding = None
    if posted.HasField("rounding"):
        parts = posted.rounding.parts
        rounding = d.Rounding(
            posted.rounding.rule,
            tuple(d.RoundingPart(p.account_id, p.numerator, p.denominator) for p in parts),
        )
    return d.TransferPosted(
        legs,
        posted.purpose,
        posted.fact_key,
        posted.corrects,
        posted.corrects_date,
        rounding,
        posted.quote_id,
    )


def _quote_from(given: pb.QuoteGiven) -> d.QuoteGiven:
    return d.QuoteGiven(
        given.quote_id,
        amount_from(given.sold),
        amount_from(given.bought),
        given.rate_numerator,
        given.rate_denominator,
        given.side,
        given.spread_minor,
        time_from_wire(given.expire_time),
    )


def _begun(begun: d.CrossingBegun) -> pb.CrossingBegun:
    message = pb.CrossingBegun(
        crossing_id=begun.crossing_id,
        transfer_id=begun.transfer_id,
        shard=begun.shard,
        far_legs=asked_legs_to_wire(begun.far_legs),
        purpose=begun.purpose,
        value_date=begun.value_date,
        kinds=[pb.AccountKind.ValueType(kind) for kind in begun.kinds],
        near_account_ids=begun.near_account_ids,
    )
    if begun.obligation is not None:
        message.obligation.CopyFrom(asked_obligation_to_wire(begun.obligation))
    return message


def _begun_from(message: pb.CrossingBegun) -> d.CrossingBegun:
    has_one = message.HasField("obligation")
    return d.CrossingBegun(
        message.crossing_id,
        message.transfer_id,
        message.shard,
        asked_legs_from(message.far_legs),
        asked_obligation_from(message.obligation) if has_one else None,
        message.purpose,
        message.value_date,
        tuple(message.kinds),
        tuple(message.near_account_ids),
    )
