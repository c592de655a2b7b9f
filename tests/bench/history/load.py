"""What the history is made of: accounts, and transfers among them, in bulk calls."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import count, islice
from random import Random
from typing import Final, TypeVar

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2
from hefu.type.v1 import money_pb2
from tests.bench.history.running import HOUSE

R = TypeVar("R")

BULK, IN_FLIGHT = 2_000, 4
CURRENCY: Final = "CNY"
FUNDS: Final = 1_000_000
WITH_FACT: Final = 20  # one transfer in so many stands for a business fact


def ids() -> Iterator[str]:
    """UUIDv7 of now, in order."""
    n = 0
    while True:
        ms = f"{time.time_ns() // 1_000_000:012x}"
        for _ in range(1_000):
            n += 1
            tail = f"{n:014x}"
            yield f"{ms[:8]}-{ms[8:]}-7{tail[:3]}-8{tail[3:6]}-{tail[6:]:0>12}"


async def in_flight(
    post: Callable[[R], Awaitable[int]], calls: Iterator[R], done: Callable[[int], None]
) -> None:
    """Send the calls, a few at a time."""
    waiting: deque[asyncio.Future[int]] = deque()
    try:
        for call in calls:
            waiting.append(asyncio.ensure_future(post(call)))
            # Let it leave before the next is made.
            await asyncio.sleep(0)
            if len(waiting) >= IN_FLIGHT:
                done(await waiting.popleft())
        while waiting:
            done(await waiting.popleft())
    finally:
        # Where one failed: nobody asks for the others any more.
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def opening(id_: str) -> pb.Command:
    house, wallet = events_pb2.ACCOUNT_KIND_FEE_INCOME, events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET
    owner, kind = ("house", house) if id_ == HOUSE else (f"customer:{id_[-12:]}", wallet)
    return pb.Command(
        open_account=pb.Opening(account_id=id_, owner=owner, kind=kind, currency_code=CURRENCY)
    )


def openings(account_ids: Sequence[str]) -> Iterator[pb.PostCommandsRequest]:
    for at in range(0, len(account_ids), BULK):
        yield pb.PostCommandsRequest(commands=map(opening, account_ids[at : at + BULK]))


def first_money(account_ids: Sequence[str]) -> Iterator[pb.Transfer]:
    """The house pays everyone."""
    fresh = ids()
    for n, payee in enumerate(account_ids):
        yield _transfer(n, next(fresh), HOUSE, payee, FUNDS)


def going_round(account_ids: Sequence[str], seed: int) -> Iterator[pb.Transfer]:
    """Anyone pays anyone, without end."""
    random, fresh = Random(seed), ids()  # noqa: S311 - the same history each time
    for n in count():
        payer, payee = random.choice(account_ids), random.choice(account_ids)
        source = HOUSE if payer == payee else payer
        yield _transfer(n, next(fresh), source, payee, random.randint(1, 500))


def bulks(transfers: Iterator[pb.Transfer]) -> Iterator[pb.PostTransfersRequest]:
    while True:
        request = pb.PostTransfersRequest(transfers=islice(transfers, BULK))
        if not request.transfers:
            return
        yield request


def _transfer(n: int, id_: str, payer: str, payee: str, minor: int) -> pb.Transfer:
    amount = money_pb2.Money(currency_code=CURRENCY, minor_units=minor)
    legs = [
        pb.Leg(account_id=payer, direction=events_pb2.DIRECTION_DEBIT, amount=amount),
        pb.Leg(account_id=payee, direction=events_pb2.DIRECTION_CREDIT, amount=amount),
    ]
    fact_key = f"{id_}/credit" if n % WITH_FACT == 0 else ""
    return pb.Transfer(transfer_id=id_, legs=legs, purpose="history", fact_key=fact_key)
