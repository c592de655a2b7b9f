"""Several shards behind the calls of one: ids, facts, transfers between them, kills in between."""

import asyncio
from random import Random

import pytest

from libs.failure import StartFailed
from libs.memory_store import MemoryStore
from services.accounts.codec.pages import journal_of
from services.accounts.domain.commands import (
    Balancing,
    CloseAccount,
    Command,
    FreezeAccount,
    Item,
    Leg,
    Linked,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
    OpenWindow,
)
from services.accounts.domain.entries import HoldCaptured
from services.accounts.domain.kinds import FreezeSide, Kind
from services.accounts.domain.refusals import Refused
from services.accounts.domain.sharding import page_of
from services.accounts.placing import as_many_as_before
from services.accounts.writer import JournalTaken
from tests.services.accounts.desk import (
    BANK,
    CZK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    TODAY,
    Desk,
    banks,
    credit,
    debit,
)
from tests.services.accounts.sharded import (
    SHARDS,
    DiesBefore,
    house,
    reason_of,
    sharded,
    sum_of,
    wallet,
)


async def test_a_transfer_between_shards_is_two_and_leaves_nothing_in_transit() -> None:
    desk = Desk()
    async with sharded(MemoryStore()) as journal:
        payer = await wallet(journal, desk, 1, 500)
        payee = await wallet(journal, desk, 2)
        moved = desk.transferring(debit(payer, 200), credit(payee, 200))

        answer = await journal.do(moved)

        assert answer.entry is not None
        told = {balance.account_id: balance.posted for balance in answer.entry.balances}
        assert told == {payer: 300, payee: 200}, "as if it were one, and nothing of ours"
        assert page_of(answer.position)[0] == 2, "the answer is that of the far half"
        assert (await journal.posted(payer), await journal.posted(payee)) == (300, 200)
        await journal.nothing_is_open()
        assert await journal.in_transit() == 0
        assert sum_of((await journal.shards.trial()).totals) == 0


async def test_asking_again_gives_the_same_answer_and_moves_nothing() -> None:
    desk, store = Desk(), MemoryStore()
    async with sharded(store) as journal:
        payer, payee = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2)
        moved = desk.transferring(debit(payer, 200), credit(payee, 200))
        first, joined = await asyncio.gather(journal.do(moved), journal.do(moved))
        again = await journal.do(moved)
        await journal.nothing_is_open()
    async with sharded(store) as journal:
        later = await journal.do(moved)

        assert await journal.posted(payee) == 200
    assert [first.is_replayed, joined.is_replayed, again.is_replayed] == [False, True, True]
    assert first._replace(is_replayed=True) == joined == again == later


async def test_what_the_far_shard_refuses_goes_back() -> None:
    desk = Desk()
    async with sharded(MemoryStore()) as journal:
        payer, payee = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2)
        freeze_id = desk.id()
        frozen = FreezeAccount(freeze_id, payee, FreezeSide.CREDIT, "order", stop_captures=False)
        await journal.do(frozen, OPERATOR)
        moved = desk.transferring(debit(payer, 200), credit(payee, 200))

        first = await journal.do(moved)
        again = await journal.do(moved)

        assert reason_of(first) == reason_of(again) == "ACCOUNT_FROZEN_CREDIT"
        assert again.is_replayed
        assert (await journal.posted(payer), await journal.posted(payee)) == (500, 0)
        assert await journal.open_crossings() == 0
        assert await journal.in_transit() == 0


async def test_an_account_is_not_closed_while_money_may_come_back() -> None:
    desk, store = Desk(), MemoryStore()
    dying = DiesBefore(store, journal_of(2))
    async with sharded(dying) as journal:
        payer, payee = await wallet(journal, desk, 1, 200), await wallet(journal, desk, 2)
        freeze = FreezeAccount(desk.id(), payee, FreezeSide.BOTH, "x", stop_captures=True)
        await journal.do(freeze, OPERATOR)
        await journal.do(desk.transferring(debit(payer, 1), credit(payee, 1)))
        dying.is_dead = True
        asking = asyncio.create_task(
            journal.do(desk.transferring(debit(payer, 200), credit(payee, 200)))
        )
        await dying.died.wait()

        closed = await journal.do(CloseAccount(desk.id(), payer), OPERATOR)
        asking.cancel()
    async with sharded(store) as journal:
        await journal.nothing_is_open()

        assert reason_of(closed) == "ACCOUNT_HAS_HOLDS"
        assert await journal.posted(payer) == 200


async def test_what_the_near_shard_refuses_never_leaves() -> None:
    desk = Desk()
    async with sharded(MemoryStore()) as journal:
        payer, payee = await wallet(journal, desk, 1, 100), await wallet(journal, desk, 2)
        moved = desk.transferring(debit(payer, 200), credit(payee, 200))

        first, again = await journal.do(moved), await journal.do(moved)

        assert reason_of(first) == reason_of(again) == "BALANCE_TOO_LOW"
        assert await journal.posted(payer) == 100


@pytest.mark.parametrize("is_refused", [False, True])
@pytest.mark.parametrize("died_before", ["far half", "end"])
async def test_a_kill_between_the_halves_is_made_good_after_the_restart(
    died_before: str, *, is_refused: bool
) -> None:
    desk, store = Desk(), MemoryStore()
    dying = DiesBefore(store, journal_of(2))
    async with sharded(dying) as journal:
        payer, payee = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2)
        if is_refused:
            freeze = FreezeAccount(desk.id(), payee, FreezeSide.BOTH, "x", stop_captures=True)
            await journal.do(freeze, OPERATOR)
        opened = desk.transferring(debit(payer, 1), credit(payee, 1))
        await journal.do(opened)
        await journal.nothing_is_open()
        moved = desk.transferring(debit(payer, 200), credit(payee, 200))
        if died_before == "end":
            # The near half passes; then its journal stops before it can write the end.
            dying.journal = journal_of(1)
            near = await journal.writers[1].read(lambda book: book.page_number)
        dying.is_dead = died_before == "far half"
        asking = asyncio.create_task(journal.do(moved))
        if died_before == "end":
            await journal.writers[1].reached(near + 1)
            dying.is_dead = True
        async with asyncio.timeout(30):
            await dying.died.wait()
        asking.cancel()
    before = 500 if is_refused else 499
    async with sharded(store) as journal:
        await journal.nothing_is_open()
        paid = 0 if is_refused else 200
        assert await journal.posted(payer) == before - paid
        assert await journal.posted(payee) == 500 - before + paid
        assert await journal.in_transit() == 0

        again = await journal.do(moved)

        assert reason_of(again) == ("ACCOUNT_FROZEN_CREDIT" if is_refused else "")
        assert again.is_replayed
        assert await journal.posted(payer) == before - paid


async def test_money_in_transit_is_the_open_crossings_at_all_times() -> None:
    desk, store = Desk(), MemoryStore()
    dying = DiesBefore(store, journal_of(2))
    async with sharded(dying) as journal:
        payer, payee = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2)
        await journal.do(desk.transferring(debit(payer, 1), credit(payee, 1)))
        await journal.nothing_is_open()
        dying.is_dead = True
        asking = asyncio.create_task(
            journal.do(desk.transferring(debit(payer, 200), credit(payee, 200)))
        )
        await dying.died.wait()

        near = (await journal.writers[1].trial()).totals
        transit = [each.credit_minus_debit for each in near if each.kind == Kind.SHARD_TRANSIT]
        begun = await journal.writers[1].read(lambda book: len(book.crossings))
        asking.cancel()
    # Of the 201 that left shard 1, one has come in on shard 2.
    assert (transit, begun) == ([201 - 500], 1)


async def test_an_id_belongs_to_the_shard_that_decided_it_first() -> None:
    desk = Desk()
    async with sharded(MemoryStore()) as journal:
        one, two = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2, 500)
        first = desk.placing(one, 100)
        await journal.do(first)

        elsewhere = await journal.do(first._replace(account_id=two))
        racing = desk.placing(one, 100)
        both = await asyncio.gather(journal.do(racing), journal.do(racing._replace(account_id=two)))

    assert elsewhere.refusal is not None
    assert elsewhere.refusal.reason == "IDEMPOTENCY_KEY_REUSED"
    assert elsewhere.refusal.fields == ("account_id",)
    assert sorted(map(reason_of, both)) == ["", "IDEMPOTENCY_KEY_REUSED"]


async def test_facts_and_business_keys_are_unique_over_all_shards() -> None:
    desk = Desk()
    async with sharded(MemoryStore()) as journal:
        fees = await house(journal, desk)
        one, two = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2, 500)

        def fee(wallet: str) -> Command:
            legs = (debit(wallet, 10), credit(fees, 10))
            return desk.transferring(*legs, fact_key="fee/1")

        both = await asyncio.gather(journal.do(fee(one)), journal.do(fee(two)))
        later = await journal.do(fee(two))
        ids = [await wallet(journal, desk, shard) for shard in (1, 2)]
        taken = [
            await journal.do(
                OpenAccount(desk.id(), f"w:{id_}", Kind.CUSTOMER_WALLET, CZK, 0, ""), OPERATOR
            )
            for id_ in ids
            for _ in range(4)
        ]

    assert sorted(map(reason_of, both)) == ["", "FACT_ALREADY_POSTED"]
    assert reason_of(later) == "FACT_ALREADY_POSTED"
    assert set(map(reason_of, taken)) == {"ACCOUNT_KEY_TAKEN"}


async def test_a_payout_is_captured_into_the_window_on_shard_0() -> None:
    desk, store = Desk(), MemoryStore()
    async with sharded(store) as journal:
        payer = await wallet(journal, desk, 2, 500)
        window_id = desk.id()
        await journal.do(OpenWindow(window_id, BANK, CZK), SETTLEMENT)
        hold = desk.placing(payer, 300)
        await journal.do(hold)
        capture = desk.capturing(hold.hold_id, bank_id=BANK, obligation=banks(300, "payout"))

        first = await journal.do(capture)
        await journal.nothing_is_open()
        window = await journal.shards.read(lambda book: book.windows[window_id])
        cleared = await journal.posted(window.clearing_account_id)

        assert reason_of(first) == ""
        assert (window.legs, window.sum_bank, cleared) == (1, 300, 300)
        assert await journal.posted(payer) == 200
    async with sharded(store) as journal:
        again = await journal.do(capture)
        other = await journal.do(capture._replace(purpose="other"))
        ended = await journal.do(desk.capturing(hold.hold_id, account_id=payer))

    assert again == first._replace(is_replayed=True)
    assert reason_of(other) == "IDEMPOTENCY_KEY_REUSED"
    assert reason_of(ended) == "HOLD_CAPTURED"
    assert not isinstance(first.entry, HoldCaptured)


async def test_what_cannot_be_done_between_shards_is_refused_and_leaves_the_id_free() -> None:
    desk = Desk()
    async with sharded(MemoryStore()) as journal:
        one, two = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2, 500)
        legs = (debit(one, 1), credit(two, 1))
        hold = desk.placing(one, 10, two)
        with_hold = Linked((desk.transferring(*legs), desk.placing(one, 10)))
        computed = desk.transferring(*legs)._replace(computed=Balancing(0, 0))
        with_computed = Linked((desk.transferring(*legs), computed))
        without_window = desk.transferring(*legs, obligation=banks(1))

        items: list[Item] = [hold, with_hold, with_computed, without_window]
        answers = await journal.shards.submit(PAYMENTS, items)
        then = await journal.do(hold._replace(destination=""))
        moved = await journal.do(computed)

    refused = ["GROUP_SPANS_SHARDS", "LINKED_FAILED"]
    assert list(map(reason_of, answers)) == [refused[0], *refused, *refused, refused[0]]
    assert reason_of(then) == reason_of(moved) == ""


async def test_all_journals_have_the_date_and_the_lock_of_shard_0() -> None:
    desk, store = Desk(), MemoryStore()
    async with sharded(store) as journal:
        await wallet(journal, desk, 1)
        await journal.do(MoveBusinessDate(desk.id(), "2026-09-23"), OPERATOR)
        await journal.do(LockPeriod(desk.id(), TODAY), OPERATOR)

        dates = [
            await writer.read(lambda book: (book.business_date, book.locked_date))
            for writer in journal.writers
        ]

    assert set(dates) == {("2026-09-23", TODAY)}


@pytest.mark.parametrize("others", [1, 2, 4, 5])
async def test_another_number_of_shards_than_before_does_not_start(others: int) -> None:
    desk, store = Desk(), MemoryStore()
    async with sharded(store) as journal:
        for shard in range(SHARDS):
            for _ in range(4):
                await wallet(journal, desk, shard)
        await as_many_as_before(journal.writers, store)
    async with sharded(store, shards=others) as journal:
        with pytest.raises(StartFailed, match=f"HEFU_SHARDS is {others}, and"):
            await as_many_as_before(journal.writers, store)


async def test_a_second_writer_on_one_shard_is_fenced_out_with_one_line() -> None:
    store, desk = MemoryStore(), Desk()
    async with sharded(store) as first, sharded(store) as second:
        await wallet(first, desk, 1)

        with pytest.raises(Refused, match="STORE_UNAVAILABLE"):
            await wallet(second, desk, 1)

        stopped = [task for task in second.tasks if task.done() and task.exception()]
        error = stopped[0].exception()
        assert isinstance(error, JournalTaken)
        assert str(error) == "another writer has written page 0 of journal-1; this one stops"


@pytest.mark.parametrize("seed", range(3))
async def test_random_transfers_between_shards_lose_and_make_nothing(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a history that can be told again
    desk, store = Desk(), MemoryStore()
    async with sharded(store) as journal:
        wallets = [await wallet(journal, desk, n % SHARDS, 1_000) for n in range(6)]
        commands = [_move(random, desk, wallets) for _ in range(120)]
        for at in range(0, len(commands), 20):
            batch = commands[at : at + 20] + random.choices(commands[: at + 1], k=5)
            await asyncio.gather(
                journal.shards.submit(PAYMENTS, batch[:12]),
                journal.shards.submit(PAYMENTS, batch[12:]),
            )
        await journal.nothing_is_open()
        balances = [await journal.posted(wallet) for wallet in wallets]
        assert await journal.in_transit() == 0
    async with sharded(store) as journal:
        again = await journal.shards.submit(PAYMENTS, commands)
        await journal.nothing_is_open()

        assert [await journal.posted(wallet) for wallet in wallets] == balances
    assert sum(balances) == 6_000
    assert min(balances) >= 0
    assert all(answer.is_replayed for answer in again)


def _move(random: Random, desk: Desk, wallets: list[str]) -> Command:
    payer, payee = random.sample(wallets, 2)
    legs: list[Leg] = [debit(payer, minor := random.randint(1, 600)), credit(payee, minor)]
    return desk.transferring(*legs)
