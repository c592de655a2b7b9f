"""Payments as tests ask for them."""

from libs.decider import Cause
from libs.money import Money
from services.payments.__main__ import Payments
from services.payments.domain.payment import Request
from services.payments.domain.terms import (
    Kind,
    MerchantPayment,
    Payout,
    Refund,
    Terms,
    TopUp,
    WalletTransfer,
)
from tests.services.payments.worlds import MERCHANT, OTHER, WALLET, World, payment_id

PAYOUT = Payout(WALLET, "CD", "123456789", "Jana")
TOP_UP = TopUp(WALLET, "CD", "123456789")
TRANSFER = WalletTransfer(WALLET, OTHER)
SALE = MerchantPayment(WALLET, MERCHANT, 150)


def terms(kind: Kind, minor: int = 10_000, note: str = "") -> Terms:
    return Terms(Money("CZK", minor), kind, note)


async def ask(
    world: World, parts: Payments, kind: Kind, minor: int = 10_000, number: int = 1
) -> str:
    """Record a request, as the API does, and wake its process."""
    id_ = payment_id(number)
    assert not isinstance(kind, Refund), "refunds are asked for on the original"
    request = Request(id_, terms(kind, minor), "wallet", world.now_us // 1_000)
    await parts.streams.transact(id_, request, Cause(id_))
    parts.driver.wake(id_)
    return id_
