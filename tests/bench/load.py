"""What the load is made of: wallets with money, and transfers as bytes ready to be sent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import grpc

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.cli.connections import Connections
from libs.client.accounts import AccountsClient
from libs.ids import account_id_of, new_id
from libs.money import Money
from libs.wire_bytes import BYTES, varint

BANK: Final = "AB"
FUNDS: Final = 10**12
_POST: Final = "/hefu.accounts.v1.AccountsService/PostTransfers"
_CALL_S: Final = 60.0
# Digits of an id that are counted up.
_COUNTED: Final = 12

Post = Callable[[bytes], Awaitable[pb.PostTransfersResponse]]


@dataclass
class Wallets:
    """Wallets taken in turn, so that each pays the next."""

    ids: Sequence[UUID]
    turn: int = 0
    texts: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.texts = list(map(str, self.ids))

    def pair(self) -> tuple[UUID, UUID]:
        """The next payer and payee."""
        self.turn += 1
        count = len(self.ids)
        return self.ids[self.turn % count], self.ids[(self.turn + 1) % count]

    def pairs(self, count: int) -> Iterator[tuple[str, str]]:
        """So many of the next payers and payees, as text."""
        texts, size = self.texts, len(self.texts)
        first, self.turn = self.turn + 1, self.turn + count
        for turn in range(first, first + count):
            yield texts[turn % size], texts[(turn + 1) % size]


async def opened(link: Connections, count: int) -> list[UUID]:
    """Wallets without money."""
    wallets = [new_id() for _ in range(count)]
    accounts = link.client.accounts

    async def open_(wallet: UUID) -> None:
        await accounts.open_account(wallet, f"customer:{wallet}", "CUSTOMER_WALLET", "CZK")

    await asyncio.gather(*map(open_, wallets))
    return wallets


async def funded(link: Connections, as_payments: AccountsClient, count: int) -> list[UUID]:
    """Wallets with plenty of money, as if each had been topped up from the sample bank."""
    wallets = await opened(link, count)
    coming_in = account_id_of(f"bank:{BANK}", "IN_TRANSIT_IN", "CZK")

    async def fill(wallet: UUID) -> None:
        await as_payments.transfer(new_id(), coming_in, wallet, Money("CZK", FUNDS))

    await asyncio.gather(*map(fill, wallets))
    return wallets


def request_of(wallets: Wallets, count: int) -> bytes:
    """A `PostTransfersRequest` of so many transfers of one haler.

    Made by hand: the load generator shares the machine with what it measures. The ids are one
    UUIDv7 and its followers, counted up in the last digits (RFC 9562, 6.2).
    """
    amount = '"\x07\n\x03CZK\x10\x01'
    leg = f"\x12{chr(len(amount) + 40)}\n$"
    first = str(new_id())
    moment, last = first[:-_COUNTED], int(first[-_COUNTED:], 16) % 16 ** (_COUNTED - 1)
    size = varint(len(f"\n${first}") + 2 * (len(leg) + len(first) + 2 + len(amount)))
    parts = [
        f"\n{size}\n${moment}{last + n:0{_COUNTED}x}{leg}{payer}\x18\x01{amount}"
        f"{leg}{payee}\x18\x02{amount}"
        for n, (payer, payee) in enumerate(wallets.pairs(count))
    ]
    return "".join(parts).encode(BYTES)


def poster(channel: grpc.aio.Channel, method: str = _POST) -> Post:
    """The bulk call, from bytes."""
    ask = channel.unary_unary(
        method,
        request_serializer=_as_it_is,
        response_deserializer=pb.PostTransfersResponse.FromString,
    )

    async def post(raw: bytes) -> pb.PostTransfersResponse:
        answer: pb.PostTransfersResponse = await ask(raw, timeout=_CALL_S)
        return answer

    return post


def _as_it_is(raw: bytes) -> bytes:
    return raw
