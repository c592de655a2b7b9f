"""(i): payments between two wallets, from the request to the outcome."""

from hefu.payments.v1 import payments_pb2 as pb
from libs.cli.connections import Connections
from libs.client import transfer
from libs.client.payments import is_final
from libs.ids import new_id
from libs.money import Money
from tests.bench.load import Wallets
from tests.bench.measuring import Shape

CALLERS = 64


def shape(link: Connections, wallets: Wallets) -> Shape:
    """Each caller asks for a payment and waits until it has come to its end."""
    payments = link.client.payments

    async def payment() -> int:
        asked = await payments.create(new_id(), transfer(*wallets.pair(), Money("CZK", 1)))
        ended = await payments.wait(asked.payment_id, is_final)
        if ended.status != pb.PAYMENT_STATUS_SUCCEEDED:
            raise AssertionError(ended)
        return 1

    return Shape("i", "64 callers of payments between two wallets, to their end", CALLERS, payment)
