"""Postings of payments: what each step asks of the journal, under ids derived from the payment."""

from dataclasses import dataclass
from typing import TypeAlias, assert_never

from libs.ids import account_id_of, derived_text
from libs.money import Money
from services.payments.domain.lifecycle import Begun
from services.payments.domain.terms import MerchantPayment, Payout, WalletTransfer


@dataclass(frozen=True, slots=True)
class Hold:
    """Set aside in a wallet; never expires."""

    hold_id: str
    account_id: str
    amount: Money
    payment_id: str


@dataclass(frozen=True, slots=True)
class Capture:
    """Take a whole hold into the bank's open window, in the bank's favour."""

    capture_id: str
    hold_id: str
    bank_id: str
    amount: Money
    payment_id: str
    fact_key: str


@dataclass(frozen=True, slots=True)
class Release:
    """Give a whole hold back."""

    release_id: str
    hold_id: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class Move:
    """Debits and credits of (account id, minor units) in one currency.

    With `in_our_favour_of` it stands in that bank's open window as a movement in our favour.
    """

    transfer_id: str
    currency: str
    debits: tuple[tuple[str, int], ...]
    credits: tuple[tuple[str, int], ...]
    payment_id: str
    purpose: str
    fact_key: str
    in_our_favour_of: str = ""


Posting: TypeAlias = Hold | Capture | Release | Move


@dataclass(frozen=True, slots=True)
class Posted:
    """Done, now or before: the journal's page, and the window it fell into."""

    position: int
    window_id: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Decided for ever under this id, by a name of the refusal table."""

    reason: str
    description: str = ""


def refund_shares(
    original: Begun, merchant_minor: int, fee_minor: int
) -> tuple[tuple[str, int], ...]:
    """(payer, whole), (payee, its part), (fee income, its part) of a refund."""
    kind = original.terms.kind
    match kind:
        case WalletTransfer():
            return legs_of(kind, merchant_minor, original.terms.amount.currency)
        case MerchantPayment(payer, merchant):
            part = MerchantPayment(payer, merchant, fee_minor)
            whole = merchant_minor + fee_minor
            return legs_of(part, whole, original.terms.amount.currency)
    raise AssertionError(f"{kind} is not refunded")


def legs_of(
    kind: WalletTransfer | MerchantPayment, minor: int, currency: str
) -> tuple[tuple[str, int], ...]:
    """The payer with the whole amount, then each payee with its part, unless it is nothing."""
    match kind:
        case WalletTransfer(payer, payee):
            return (payer, minor), (payee, minor)
        case MerchantPayment(payer, merchant, fee):
            fees = str(account_id_of("house", "FEE_INCOME", currency))
            parts = ((merchant, minor - fee), (fees, fee))
            return (payer, minor), *(part for part in parts if part[1])
        case _:
            assert_never(kind)


def move_of(
    payment: Begun, *, debits: tuple[tuple[str, int], ...], credits_: tuple[tuple[str, int], ...]
) -> Move:
    return Move(
        step_id(payment, "move"),
        payment.terms.amount.currency,
        debits,
        credits_,
        payment.payment_id,
        "payment",
        f"{payment.payment_id}/move",
    )


def wallet_side(
    payment: Begun,
    purpose: str,
    ordinal: int,
    *,
    debit: str,
    credit: str,
    in_our_favour_of: str = "",
) -> Move:
    minor = payment.terms.amount.minor
    return Move(
        step_id(payment, purpose, ordinal),
        payment.terms.amount.currency,
        ((debit, minor),),
        ((credit, minor),),
        payment.payment_id,
        purpose,
        f"{payment.payment_id}/{purpose}",
        in_our_favour_of,
    )


def capture_of(payment: Begun, kind: Payout) -> Capture:
    return Capture(
        step_id(payment, "capture"),
        step_id(payment, "hold"),
        kind.bank_id,
        payment.terms.amount,
        payment.payment_id,
        f"{payment.payment_id}/capture",
    )


def release_of(payment: Begun) -> Release:
    return Release(step_id(payment, "release"), step_id(payment, "hold"), payment.payment_id)


def bank_account(bank_id: str, kind: str, payment: Begun) -> str:
    return str(account_id_of(f"bank:{bank_id}", kind, payment.terms.amount.currency))


def step_id(payment: Begun, purpose: str, ordinal: int = 0) -> str:
    return derived_text(payment.payment_id, purpose, ordinal)
