"""Where the time of a bulk transfer goes in the accounts service, stage by stage, on this machine.

Each stage alone, without a store, a network or other work beside it: CPU time for each transfer.
The stages of the general way are what a transfer costs that is not plain.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar
from uuid import uuid4

from sqlalchemy import Connection

from hefu.accounts.v1 import accounts_pb2 as pb
from libs.event_store import StoredEvent
from libs.ids import new_id
from libs.read_model import Database, apply
from libs.validation import shape_violations
from services.accounts.calls import Call
from services.accounts.codec import commands
from services.accounts.codec.entry_bytes import encode_entry
from services.accounts.codec.pages import JOURNAL, PAGE_TYPE, encode_page
from services.accounts.codec.plain_calls import read_transfers, response_bytes
from services.accounts.domain.book import Account, Book
from services.accounts.domain.callers import caller_of
from services.accounts.domain.entries import Entry
from services.accounts.domain.journal import decide
from services.accounts.domain.kinds import Kind
from services.accounts.domain.pages import NO_HASH
from services.accounts.draft import Draft
from services.accounts.posting import post
from services.accounts.projections import ACCOUNTS_ENTRIES
from tests.bench.load import FUNDS, Wallets, request_of

CALLS: Final = 30
BULK: Final = 500
WALLETS: Final = 200
_MICRO: Final = 1_000_000
_GENERAL: Final = "general way"

T = TypeVar("T")


@dataclass
class Stages:
    """CPU time of each stage, in microseconds a transfer."""

    spent_s: dict[str, float] = field(default_factory=dict)

    def take(self, name: str, work: Callable[[], T]) -> T:
        begun = time.process_time()
        done = work()
        self.spent_s[name] = self.spent_s.get(name, 0.0) + time.process_time() - begun
        return done

    def micros(self) -> dict[str, float]:
        return {name: s / (CALLS * BULK) * _MICRO for name, s in self.spent_s.items()}


async def measured() -> dict[str, float]:
    """Microseconds of CPU for each transfer, by stage, in the order in which they come."""
    wallets = Wallets([new_id() for _ in range(WALLETS)])
    book = Book()
    book.begin_page(0, int(time.time() * _MICRO))
    for number, wallet in enumerate(wallets.ids):
        account = Account(str(wallet), f"o{number}", Kind.CUSTOMER_WALLET, "CZK", 0, posted=FUNDS)
        book.open_account(account, 0)
    stages = Stages()
    with closing(Database.open("sqlite://")) as database:
        await database.write(ACCOUNTS_ENTRIES.metadata.create_all)
        previous = NO_HASH
        for _ in range(CALLS):
            data, previous = _one_call(stages, book, request_of(wallets, BULK), previous)
            event = StoredEvent(uuid4(), PAGE_TYPE, data, {}, JOURNAL, 1, 1, 0, is_json=False)
            await database.write(partial(_rows, stages, event))
    return dict(sorted(stages.micros().items(), key=lambda item: item[0].startswith(_GENERAL)))


def _one_call(stages: Stages, book: Book, raw: bytes, previous: bytes) -> tuple[bytes, bytes]:
    """A call of its own page; the page's bytes and hash."""
    plain = stages.take("read the request, check its shape", lambda: read_transfers(raw))
    if plain is None:
        raise AssertionError("the load is plain")
    book.begin_page(book.page_number + 1, book.page_us)
    number, draft = book.page_number, Draft(book.business_date)
    call = Call(caller_of("wallet", "wallet"), plain, asyncio.Future(), ready=len(plain))
    stages.take(
        "decide, move the balances, entry and answer in bytes",
        lambda: post(call, plain.plain, book, draft, None),
    )
    if call.at != BULK:
        raise AssertionError("the load is refused")
    page = stages.take(
        "page: Merkle root and chained hash",
        lambda: encode_page(number, previous, book.page_us, book.business_date, draft.encoded),
    )
    results = [each for each in call.decided if isinstance(each, str)]
    stages.take("answer", lambda: response_bytes(results, number))
    _general(stages, raw, book)
    return page


def _rows(stages: Stages, event: StoredEvent, connection: Connection) -> None:
    stages.take(
        "rows, later: SQL of the read model",
        lambda: apply(connection, ACCOUNTS_ENTRIES.project(event)),
    )


def _general(stages: Stages, raw: bytes, book: Book) -> None:
    request = pb.PostTransfersRequest.FromString(raw)
    stages.take(f"{_GENERAL}: rules of the proto", lambda: shape_violations(request))
    asked = stages.take(
        f"{_GENERAL}: message to command",
        lambda: [commands.transfer_of(each) for each in request.transfers],
    )
    # Decided by another caller: its ids are its own.
    other = caller_of("another", "wallet")
    entries = stages.take(
        f"{_GENERAL}: decide by the rules", lambda: [decide(each, other, book) for each in asked]
    )
    posted = [entry for entry in entries if isinstance(entry, Entry)]
    stages.take(
        f"{_GENERAL}: entries to bytes",
        lambda: [encode_entry(entry, n) for n, entry in enumerate(posted)],
    )
