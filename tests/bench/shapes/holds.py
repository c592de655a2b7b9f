"""(f): money set aside and then taken, each pair by one of many callers."""

from libs.client.accounts import AccountsClient
from libs.ids import new_id
from libs.money import Money
from tests.bench.load import Wallets
from tests.bench.measuring import Shape

CALLERS = 64


def shape(accounts: AccountsClient, wallets: Wallets) -> Shape:
    """As the payments service does it; an item is a pair."""

    async def pair() -> int:
        payer, payee = wallets.pair()
        hold_id = new_id()
        await accounts.place_hold(hold_id, payer, Money("CZK", 1))
        await accounts.capture_hold(new_id(), hold_id, payee)
        return 1

    return Shape("f", "64 callers of a hold and its capture", CALLERS, pair)
