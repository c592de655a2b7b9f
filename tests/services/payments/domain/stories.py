"""Ids, terms and facts that the tests of the payment share."""

from libs.money import Money
from services.payments.domain.lifecycle import (
    Carried,
    Completed,
    Doubted,
    EnteredWindow,
    FundsHeld,
    Paid,
    PullConfirmed,
    PullRequested,
    RefusedByBank,
    Requested,
    Settled,
)
from services.payments.domain.payment import Request, payment
from services.payments.domain.terms import (
    Kind,
    MerchantPayment,
    Payout,
    Refund,
    Terms,
    TopUp,
    WalletTransfer,
)
from tests.scenario import Scenario

AT_MS = 1_714_000_000_000
ID, REFUND_ID, OTHER_ID, REQUEST_ID = (
    f"018f0000-0000-7000-8000-00000000000{n}" for n in range(1, 5)
)
FUTURE_ID = "01900000-0000-7000-8000-000000000001"
WALLET, OTHER, MERCHANT = "wallet-1", "wallet-2", "merchant-1"
CALLER = "shop"

PAYOUT = Payout(WALLET, "CD", "123", "Jana")
TOP_UP = TopUp(WALLET, "CD", "123")
TRANSFER = WalletTransfer(WALLET, OTHER)
SALE = MerchantPayment(WALLET, MERCHANT, 150)
REFUND = Refund(OTHER_ID)

HELD = FundsHeld(1)
ENTERED = EnteredWindow("w1", 2)
COMPLETED = Completed("", 3)
CREDITED = Completed("w1", 3)
PULL = PullRequested()
CONFIRMED = PullConfirmed("B1")
PAID = Paid("B1")
REFUSED = RefusedByBank("AC01", "no such account")
DOUBTED = Doubted("no reply")
CARRIED = Carried("w1", "w2", "AMOUNT")
SETTLED = Settled("s1")

story = Scenario(payment)


def terms(kind: Kind, minor: int = 10_000, note: str = "", currency: str = "CZK") -> Terms:
    return Terms(Money(currency, minor), kind, note)


def requested(kind: Kind, minor: int = 10_000, note: str = "") -> Requested:
    return Requested(ID, terms(kind, minor, note), CALLER, AT_MS)


def request(asked: Terms, id_: str = ID, caller: str = CALLER) -> Request:
    return Request(id_, asked, caller, AT_MS)
