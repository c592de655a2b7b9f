"""Amounts, legs and movements between us and a bank, between their messages and ours."""

from collections.abc import Sequence

from hefu.accounts.v1 import events_pb2 as pb
from hefu.type.v1.money_pb2 import Money
from services.accounts.domain import entries as d
from services.accounts.domain.commands import Amount, Leg, ObligationTerms


def money(currency: str, minor: int) -> Money:
    return Money(currency_code=currency, minor_units=minor)


def amount_from(message: Money) -> Amount:
    return Amount(message.currency_code, message.minor_units)


def legs_to_wire(legs: Sequence[d.PostedLeg]) -> list[pb.PostedLeg]:
    return [
        pb.PostedLeg(
            account_id=account_id,
            direction=pb.Direction.ValueType(direction),
            amount=Money(currency_code=currency, minor_units=minor),
        )
        for account_id, direction, currency, minor in legs
    ]


def legs_from(legs: Sequence[pb.PostedLeg]) -> tuple[d.PostedLeg, ...]:
    return tuple(
        d.PostedLeg(leg.account_id, leg.direction, leg.amount.currency_code, leg.amount.minor_units)
        for leg in legs
    )


def obligation_to_wire(obligation: d.Obligation) -> pb.Obligation:
    return pb.Obligation(
        bank_id=obligation.bank_id,
        window_id=obligation.window_id,
        favour=pb.Favour.ValueType(obligation.favour),
        amount=money(obligation.currency, obligation.minor),
        payment_id=obligation.payment_id,
        carried_from_window_id=obligation.carried_from,
    )


def asked_obligation_to_wire(terms: ObligationTerms) -> pb.Obligation:
    bank_id, favour, currency, minor, payment_id, carried_from = terms
    return obligation_to_wire(
        d.Obligation(bank_id, "", favour, currency, minor, payment_id, carried_from)
    )


def asked_obligation_from(message: pb.Obligation) -> ObligationTerms:
    return ObligationTerms(
        message.bank_id,
        message.favour,
        *amount_from(message.amount),
        message.payment_id,
        message.carried_from_window_id,
    )


def asked_legs_to_wire(legs: Sequence[Leg]) -> list[pb.CrossingLeg]:
    return [
        pb.CrossingLeg(
            account_id=account_id,
            bank_id=bank_id,
            direction=pb.Direction.ValueType(direction),
            amount=money(currency, minor),
        )
        for account_id, bank_id, direction, currency, minor in legs
    ]


def asked_legs_from(legs: Sequence[pb.CrossingLeg]) -> tuple[Leg, ...]:
    return tuple(
        Leg(leg.account_id, leg.bank_id, leg.direction, *amount_from(leg.amount)) for leg in legs
    )
