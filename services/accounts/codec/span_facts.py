"""Entries of transfers over any shards, between their message and ours."""

from typing import assert_never

from hefu.accounts.v1 import events_pb2 as pb
from services.accounts.codec.amounts import (
    amount_from,
    asked_legs_from,
    asked_legs_to_wire,
    asked_obligation_from,
    asked_obligation_to_wire,
    legs_from,
    legs_to_wire,
    money,
)
from services.accounts.domain import entries as d
from services.accounts.domain.commands import (
    Asked,
    Balancing,
    Correction,
    Exchange,
    Home,
    Part,
    Source,
    Template,
    Transfer,
)


def span_to_wire(
    fact: d.SpanBegun | d.PartReserved | d.PartReleased | d.SpanDecided | d.SpanEnded,
    message: pb.Entry,
) -> None:
    match fact:
        case d.SpanBegun():
            message.span_begun.CopyFrom(_begun(fact))
        case d.PartReserved(reservation_id, span_id, legs, means):
            message.part_reserved.CopyFrom(
                pb.PartReserved(
                    reservation_id=reservation_id,
                    span_id=span_id,
                    legs=legs_to_wire(legs),
                    means=[
                        pb.SetAside(account_id=account_id, held_minor=held, incoming_minor=incoming)
                        for account_id, held, incoming in means
                    ],
                )
            )
        case d.PartReleased(reservation_id, span_id):
            message.part_released.CopyFrom(
                pb.PartReleased(reservation_id=reservation_id, span_id=span_id)
            )
        case d.SpanDecided(span_id, reason, field, description, at):
            decided = pb.SpanDecided(span_id=span_id, reason=reason, at=at)
            decided.field, decided.description = field, description
            message.span_decided.CopyFrom(decided)
        case d.SpanEnded(span_id, reason, field, description, at):
            ended = pb.SpanEnded(span_id=span_id, reason=reason, at=at)
            ended.field, ended.description = field, description
            message.span_ended.CopyFrom(ended)
        case _:
            assert_never(fact)


def span_from_wire(message: pb.Entry) -> d.Fact:
    match message.WhichOneof("fact"):
        case "span_begun":
            return _begun_from(message.span_begun)
        case "part_reserved":
            part = message.part_reserved
            means = (
                d.SetAside(each.account_id, each.held_minor, each.incoming_minor)
                for each in part.means
            )
            legs = legs_from(part.legs)
            return d.PartReserved(part.reservation_id, part.span_id, legs, tuple(means))
        case "part_released":
            released = message.part_released
            return d.PartReleased(released.reservation_id, released.span_id)
        case "span_decided":
            made = message.span_decided
            return d.SpanDecided(made.span_id, made.reason, made.field, made.description, made.at)
        case _:
            end = message.span_ended
            return d.SpanEnded(end.span_id, end.reason, end.field, end.description, end.at)


def _begun(begun: d.SpanBegun) -> pb.SpanBegun:
    return pb.SpanBegun(
        span_id=begun.span_id,
        transfer=_transfer(begun.transfer),
        homes=[pb.AccountHome(account_id=home, shard=shard) for home, shard in begun.homes],
        kinds=[pb.AccountKind.ValueType(kind) for kind in begun.kinds],
        backdate_days=begun.backdate_days,
        ahead_days=begun.ahead_days,
        received_minor=begun.received,
    )


def _begun_from(message: pb.SpanBegun) -> d.SpanBegun:
    return d.SpanBegun(
        message.span_id,
        _transfer_from(message.transfer),
        tuple(Home(home.account_id, home.shard) for home in message.homes),
        tuple(message.kinds),
        message.backdate_days,
        message.ahead_days,
        message.received_minor,
    )


def _transfer(transfer: Transfer) -> pb.SpanTransfer:
    message = pb.SpanTransfer(
        transfer_id=transfer.transfer_id,
        legs=asked_legs_to_wire(transfer.legs),
        purpose=transfer.purpose,
        correlation_id=transfer.correlation_id,
        fact_key=transfer.fact_key,
        value_date=transfer.value_date,
    )
    if transfer.obligation is not None:
        message.obligation.CopyFrom(asked_obligation_to_wire(transfer.obligation))
    if transfer.corrects is not None:
        message.corrects, message.corrects_date = transfer.corrects
    match transfer.computed:
        case Balancing(leg, keep):
            message.balancing.CopyFrom(pb.SpanBalancing(leg=leg, keep_minor=keep))
        case Template() as template:
            message.template.CopyFrom(_template(template))
        case Exchange() as exchange:
            message.exchange.CopyFrom(_exchange(exchange))
        case _:
            pass
    return message


def _transfer_from(message: pb.SpanTransfer) -> Transfer:
    corrects = Correction(message.corrects, message.corrects_date) if message.corrects else None
    obligation = message.obligation if message.HasField("obligation") else None
    return Transfer(
        message.transfer_id,
        asked_legs_from(message.legs),
        message.purpose,
        message.correlation_id,
        message.fact_key,
        message.value_date,
        None if obligation is None else asked_obligation_from(obligation),
        _computed_from(message),
        corrects,
    )


def _computed_from(message: pb.SpanTransfer) -> Asked | None:
    match message.WhichOneof("computed"):
        case "balancing":
            return Balancing(message.balancing.leg, message.balancing.keep_minor)
        case "template":
            return _template_from(message.template)
        case "exchange":
            return _exchange_from(message.exchange)
        case _:
            return None


def _template(template: Template) -> pb.SpanTemplate:
    return pb.SpanTemplate(
        version=template.version,
        amount=money(*template.amount),
        sources=[
            pb.SpanSource(account_id=account_id, max_minor=at_most)
            for account_id, at_most in template.sources
        ],
        whole=template.whole,
        parts=[
            pb.SpanPart(account_id=account_id, fixed_minor=fixed, share=share, is_rest=is_rest)
            for account_id, fixed, share, is_rest in template.parts
        ],
    )


def _template_from(message: pb.SpanTemplate) -> Template:
    sources = (
        Source(each.account_id, each.max_minor if each.HasField("max_minor") else None)
        for each in message.sources
    )
    parts = (
        Part(
            each.account_id,
            each.fixed_minor if each.HasField("fixed_minor") else None,
            each.share if each.HasField("share") else None,
            each.is_rest,
        )
        for each in message.parts
    )
    amount = amount_from(message.amount)
    return Template(message.version, amount, tuple(sources), message.whole, tuple(parts))


def _exchange(exchange: Exchange) -> pb.SpanExchange:
    return pb.SpanExchange(
        quote_id=exchange.quote_id,
        sold=money(*exchange.sold),
        bought=money(*exchange.bought),
        seller_account_id=exchange.seller,
        buyer_account_id=exchange.buyer,
        sold_position_account_id=exchange.sold_position,
        bought_position_account_id=exchange.bought_position,
        spread_account_id=exchange.spread_account,
    )


def _exchange_from(message: pb.SpanExchange) -> Exchange:
    return Exchange(
        message.quote_id,
        amount_from(message.sold),
        amount_from(message.bought),
        message.seller_account_id,
        message.buyer_account_id,
        message.sold_position_account_id,
        message.bought_position_account_id,
        message.spread_account_id,
    )
