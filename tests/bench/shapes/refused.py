"""(g): transfers of money that is not there; a refusal is decided and recorded like any other."""

from tests.bench.load import Post, Wallets, request_of
from tests.bench.measuring import Shape
from tests.bench.shapes.bulk import BULK, IN_FLIGHT


def shape(post: Post, empty: Wallets) -> Shape:
    """Bulk calls in which every transfer is refused."""

    async def bulk() -> int:
        answer = await post(request_of(empty, BULK))
        for result in answer.results:
            if result.refusal.reason != "BALANCE_TOO_LOW":
                raise AssertionError(result)
        return len(answer.results)

    name = f"bulk of {BULK}, {IN_FLIGHT} in flight, all refused"
    return Shape("g", name, IN_FLIGHT, bulk)
