"""What a payment is asked to do, and where two askings differ."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeAlias

from libs.decider import FieldViolation
from libs.money import Money


@dataclass(frozen=True, slots=True)
class TopUp:
    wallet_account_id: str
    bank_id: str
    bank_account: str


@dataclass(frozen=True, slots=True)
class Payout:
    wallet_account_id: str
    bank_id: str
    bank_account: str
    payee_name: str = ""


@dataclass(frozen=True, slots=True)
class WalletTransfer:
    payer_account_id: str
    payee_account_id: str


@dataclass(frozen=True, slots=True)
class MerchantPayment:
    payer_account_id: str
    merchant_account_id: str
    fee_minor: int = 0


@dataclass(frozen=True, slots=True)
class Refund:
    original_payment_id: str


Kind: TypeAlias = TopUp | Payout | WalletTransfer | MerchantPayment | Refund

# These names are storage, and the paths of field violations.
KIND_NAMES: dict[type[Kind], str] = {
    TopUp: "top_up",
    Payout: "payout",
    WalletTransfer: "transfer",
    MerchantPayment: "merchant_payment",
    Refund: "refund",
}


@dataclass(frozen=True, slots=True)
class Terms:
    amount: Money
    kind: Kind
    note: str = ""


def payer_and_payee(kind: Kind) -> tuple[str, str]:
    """Accounts of ours that the kind names; empty where the other side is a bank."""
    match kind:
        case TopUp(wallet):
            return "", wallet
        case Payout(wallet):
            return wallet, ""
        case WalletTransfer(payer, payee):
            return payer, payee
        case MerchantPayment(payer, merchant):
            return payer, merchant
        case Refund():
            return "", ""


def differences(asked: Terms, known: Terms) -> tuple[FieldViolation, ...]:
    """The fields in which two askings differ, by their paths in the contract."""
    return tuple(
        FieldViolation(f"terms.{path}", f"was {before!r} when this id was first used")
        for path, before in _differing(asked, known)
    )


def _differing(asked: Terms, known: Terms) -> Iterator[tuple[str, object]]:
    if asked.amount.currency != known.amount.currency:
        yield "amount.currency_code", known.amount.currency
    if asked.amount.minor != known.amount.minor:
        yield "amount.minor_units", known.amount.minor
    name = KIND_NAMES[type(known.kind)]
    if type(asked.kind) is not type(known.kind):
        yield "kind", name
    else:
        for each in fields(known.kind):
            before = getattr(known.kind, each.name)
            if getattr(asked.kind, each.name) != before:
                yield f"{name}.{each.name}", before
    if asked.note != known.note:
        yield "note", known.note
