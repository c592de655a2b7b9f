"""Transfers one by one: a lone caller, and many whose calls the client library joins."""

from libs.cli.connections import Connections
from libs.ids import new_id
from libs.money import Money
from tests.bench.load import Wallets
from tests.bench.measuring import Shape


def shapes(link: Connections, wallets: Wallets) -> list[Shape]:
    """(a) and (b)."""

    async def single() -> int:
        await link.client.accounts.transfer(new_id(), *wallets.pair(), Money("CZK", 1))
        return 1

    return [
        Shape("a", "one caller, one transfer at a time", 1, single),
        Shape("b", "64 callers of single transfers, joined by the client", 64, single),
    ]
