"""The read model of the journal, made anew from the pages, is the one that lives."""

import asyncio
from contextlib import closing, suppress

from hefu.accounts.v1 import events_pb2 as pb
from libs.memory_store import MemoryStore
from libs.projection import Projection
from libs.read_model import Database
from libs.replay import replay
from services.accounts.codec.rows import PageRow, PageRows, add_entry
from services.accounts.domain.book import Account
from services.accounts.domain.commands import FreezeAccount, SealWindow
from services.accounts.domain.kinds import FreezeSide, Kind
from services.accounts.projections import (
    ACCOUNTS_ENTRIES,
    entries,
    entry_accounts,
    list_accounts,
    pages,
)
from tests.services.accounts.desk import (
    BANK,
    OPERATOR,
    SETTLEMENT,
    Desk,
    banks,
)
from tests.services.accounts.stored import store_pages


async def _a_days_journal(store: MemoryStore) -> Desk:
    desk = Desk()
    wallet, merchant, window_id = (
        desk.account(funds=900),
        desk.account(Kind.MERCHANT),
        desk.window(),
    )
    hold_id = desk.posted(desk.placing(wallet, 300, expires_after_s=60)).command_id
    desk.turn_page(1)
    desk.posted(desk.capturing(hold_id, 100, bank_id=BANK, obligation=banks(100)))
    desk.posted(desk.capturing(hold_id, 50, merchant))
    freeze = FreezeAccount(desk.id(), merchant, FreezeSide.CREDIT, "x", stop_captures=False)
    desk.posted(freeze, OPERATOR)
    desk.posted(SealWindow(desk.id(), window_id), SETTLEMENT)
    desk.refused(desk.placing(wallet, 10_000))
    desk.turn_page(100)
    await store_pages(desk, store)
    return desk


async def test_rows_are_the_books_and_a_replay_differs_in_none() -> None:
    store = MemoryStore()
    desk = await _a_days_journal(store)
    with closing(Database.open("sqlite://")) as database:
        projection = Projection(ACCOUNTS_ENTRIES, database, store)
        running = asyncio.create_task(projection.run())
        await projection.wait_for(await store.head())

        found = await database.read(lambda c: list_accounts(c, "", 0, "", 1_000))
        steps = [
            step
            async for step in replay(ACCOUNTS_ENTRIES, database, store, to_position=0, swap=False)
        ]

        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert {account.account_id: _row(account) for account in found} == {
        account_id: _row(account) for account_id, account in desk.book.accounts.items()
    }
    assert steps[-1].is_done
    assert steps[-1].rows_compared > len(found)
    assert steps[-1].rows_different == 0


def _row(account: Account) -> tuple[object, ...]:
    return (
        account.owner,
        account.kind,
        account.ordinal,
        account.posted,
        account.held,
        account.incoming,
        account.seq,
        account.is_closed,
        sorted(account.freezes),
    )


def test_rows_come_in_the_order_of_their_tables_columns() -> None:
    leg = pb.PostedLeg(account_id="a", direction=pb.DIRECTION_CREDIT)
    leg.amount.minor_units = 5
    entry = pb.Entry(
        correlation_id="c",
        value_date="2026-09-20",
        business_date="2026-09-21",
        balances=[
            pb.BalanceAfter(
                account_id="a", account_seq=2, posted_minor=7, held_minor=3, incoming_minor=1
            )
        ],
        transfer_posted=pb.TransferPosted(legs=[leg]),
        obligation=pb.Obligation(window_id="w"),
    )
    found = PageRows(PageRow(9, 0, "", 1, b"", b""), [], [], [], [])

    add_entry(found, entry, 4, b"stored")

    assert [dict(zip(entries.c.keys(), row, strict=True)) for row in found.entries] == [
        {
            "page_number": 9,
            "ordinal": 4,
            "correlation_id": "c",
            "window_id": "w",
            "business_date": "2026-09-21",
            "data": b"stored",
        }
    ]
    assert [dict(zip(entry_accounts.c.keys(), row, strict=True)) for row in found.touched] == [
        {
            "account_id": "a",
            "account_seq": 2,
            "page_number": 9,
            "ordinal": 4,
            "value_date": "2026-09-20",
            "business_date": "2026-09-21",
            "moved_minor": 5,
            "posted_minor": 7,
            "held_minor": 3,
            "incoming_minor": 1,
        }
    ]
    assert PageRow._fields[1:] == tuple(pages.c.keys())[1:]
