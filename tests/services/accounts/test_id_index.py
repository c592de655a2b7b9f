"""One outcome per id for ever, whatever has left memory meanwhile."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from itertools import count
from random import Random
from typing import TypeVar

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from libs.ids import named_id
from libs.memory_store import MemoryStore
from libs.read_model import Database, DatabaseUnavailable
from services.accounts.codec.pages import JOURNAL, SNAPSHOTS, decode_snapshot
from services.accounts.domain.answers import Answer
from services.accounts.domain.book import Known
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Command, OpenAccount, Transfer
from services.accounts.domain.kinds import Kind
from services.accounts.id_index import IdIndex
from services.accounts.recovery import recover
from tests.services.accounts.desk import CZK, OPERATOR, PAYMENTS, Desk, credit, debit
from tests.services.accounts.journals import Now, Running, running

T = TypeVar("T")


@pytest.fixture
def rows() -> Iterator[Database]:
    with closing(Database.open("sqlite://")) as database:
        yield database


def _opening(desk: Desk, kind: Kind = Kind.CUSTOMER_WALLET) -> OpenAccount:
    account_id = desk.id()
    return OpenAccount(account_id, f"o:{account_id}", kind, CZK, 0, "")


async def _two_accounts(journal: Running, desk: Desk) -> tuple[str, str]:
    wallet, house = _opening(desk), _opening(desk, Kind.FEE_INCOME)
    await journal.writer.submit(OPERATOR, [wallet, house])
    await journal.do(
        desk.transferring(debit(house.account_id, 900), credit(wallet.account_id, 900))
    )
    return wallet.account_id, house.account_id


async def _all_leaves(journal: Running, desk: Desk) -> None:
    """Nothing that was done so far is in memory any more."""
    await journal.do(desk.placing(desk.id(), 1))
    position = journal.writer.position
    async with asyncio.timeout(30):
        while await journal.writer.read(lambda book: book.floor) < position:
            await journal.do(desk.placing(desk.id(), 1))
            await journal.index.reached(journal.writer.position)


async def test_an_id_that_has_left_memory_gives_the_first_answer_again(rows: Database) -> None:
    desk = Desk()
    async with running(MemoryStore(), keep=0, database=rows) as journal:
        wallet, house = await _two_accounts(journal, desk)
        moved = desk.transferring(debit(wallet, 100), credit(house, 100))
        too_much = desk.placing(wallet, 5_000)
        first = [await journal.do(moved), await journal.do(too_much)]
        await _all_leaves(journal, desk)
        assert not await journal.writer.read(lambda book: moved[0] in book.ids.get("payments", {}))

        again = await journal.writer.submit(PAYMENTS, [moved, too_much])
        await journal.do(desk.transferring(debit(house, 5_000), credit(wallet, 5_000)))
        still = await journal.do(too_much)

    assert [each._replace(is_replayed=False) for each in again] == first
    assert all(each.is_replayed for each in again)
    assert still.refusal is not None
    assert still.refusal.reason == "BALANCE_TOO_LOW"


async def test_other_terms_under_an_id_that_has_left_memory_name_the_fields(rows: Database) -> None:
    desk = Desk()
    async with running(MemoryStore(), keep=0, database=rows) as journal:
        wallet, _ = await _two_accounts(journal, desk)
        placed = desk.placing(wallet, 100)
        await journal.do(placed)
        await _all_leaves(journal, desk)

        answer = await journal.do(placed._replace(purpose="other"))

    assert answer.refusal is not None
    assert (answer.refusal.reason, answer.refusal.fields) == (
        "IDEMPOTENCY_KEY_REUSED",
        ("purpose",),
    )


async def test_facts_business_keys_and_ended_holds_are_known_for_ever(rows: Database) -> None:
    desk, store = Desk(), MemoryStore()
    async with running(store, keep=0, database=rows) as journal:
        opening = _opening(desk)
        await journal.do(opening, OPERATOR)
        wallet, house = await _two_accounts(journal, desk)
        legs = (debit(wallet, 10), credit(house, 10))
        await journal.do(desk.transferring(*legs, fact_key="payment/credit"))
        taken, given, lapsed = (desk.placing(wallet, 10, house, 60) for _ in range(3))
        for hold in (taken, given, lapsed):
            await journal.do(hold)
        await journal.do(desk.capturing(taken.hold_id))
        await journal.do(desk.releasing(given.hold_id))
    now = Now()
    now.us += 60_000_000
    async with running(store, now, keep=0, database=rows) as journal:
        await _all_leaves(journal, desk)
        active = await journal.writer.read(lambda book: list(book.holds))

        asked: list[tuple[Command, Caller]] = [
            (desk.transferring(*legs, fact_key="payment/credit"), PAYMENTS),
            (desk.capturing(taken.hold_id), PAYMENTS),
            (desk.capturing(given.hold_id), PAYMENTS),
            (desk.releasing(lapsed.hold_id), PAYMENTS),
            (desk.capturing(lapsed.hold_id, account_id=wallet), PAYMENTS),
            (opening._replace(account_id=desk.id()), OPERATOR),
        ]
        answers = [await journal.do(*each) for each in asked]

    assert not active
    assert [answer.refusal.reason for answer in answers if answer.refusal] == [
        "FACT_ALREADY_POSTED",
        "HOLD_CAPTURED",
        "HOLD_RELEASED",
        "HOLD_EXPIRED",
        "HOLD_TERMS_DIFFER",
        "ACCOUNT_KEY_TAKEN",
    ]


class Deaf(Database):
    """A database that does not answer while told so."""

    is_deaf = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self.is_deaf:
            raise DatabaseUnavailable("not now")
        return await super().read(work)


async def test_without_an_answer_of_the_index_what_is_old_waits_and_what_is_new_goes_on() -> None:
    desk = Desk()
    with closing(Deaf.open("sqlite://")) as rows:
        assert isinstance(rows, Deaf)
        async with running(MemoryStore(), keep=0, database=rows) as journal:
            wallet, house = await _two_accounts(journal, desk)
            old = desk.placing(wallet, 10)
            await journal.do(old)
            await _all_leaves(journal, desk)
            rows.is_deaf = True
            new = desk.placing(wallet, 10)
            timeless = _opening(desk)._replace(account_id=str(named_id("account", "x")))

            asked: list[tuple[Command, Caller]] = [
                (old, PAYMENTS),
                (new, PAYMENTS),
                (timeless, OPERATOR),
            ]
            answers = [await journal.do(*each) for each in asked]
            rows.is_deaf = False
            then = [await journal.do(*each) for each in asked]

    assert _reasons(answers) == ["ID_INDEX_BEHIND", "", "ID_INDEX_BEHIND"]
    assert _reasons(then) == ["", "", ""]
    assert [answer.is_replayed for answer in then] == [True, True, False]
    assert house


def _reasons(answers: list[Answer]) -> list[str]:
    return [answer.refusal.reason if answer.refusal else "" for answer in answers]


async def test_a_lost_index_is_made_again_from_the_pages(rows: Database) -> None:
    desk, store = Desk(), MemoryStore()
    async with running(store, keep=0, snapshot_every_pages=2, database=rows) as journal:
        wallet, _ = await _two_accounts(journal, desk)
        old = desk.placing(wallet, 10)
        first = await journal.do(old)
        await _all_leaves(journal, desk)
        await journal.do(desk.placing(wallet, 10))
        async with asyncio.timeout(30):
            while await _newest_snapshot(store) < first.position:
                await journal.do(desk.placing(wallet, 1))
    with closing(Database.open("sqlite://")) as empty:
        async with running(store, keep=0, database=empty) as journal:
            assert journal.recovered.snapshot_page >= first.position, "its ids are in no memory"
            await journal.index.reached(journal.recovered.snapshot_page)

            assert (await journal.do(old))._replace(is_replayed=False) == first


async def _newest_snapshot(store: MemoryStore) -> int:
    newest = await store.read_last(SNAPSHOTS)
    return decode_snapshot(newest.data).page_number if newest else -1


async def test_an_index_of_another_journal_is_discarded(rows: Database) -> None:
    desk = Desk()
    async with running(MemoryStore(), database=rows) as journal:
        await _two_accounts(journal, desk)
        await journal.index.reached(journal.writer.position)
    other, store = Desk(), MemoryStore()
    other.id()
    async with running(store) as journal:
        wallet, house = await _two_accounts(journal, other)
        await journal.do(other.transferring(debit(wallet, 3), credit(house, 3)))

    with capture_logs() as said:
        index = IdIndex(rows, store, JOURNAL)
        await recover(store, index)

    assert said[0]["event"] == "id_index_discarded"
    assert index.position == -1


async def test_memory_holds_no_more_than_it_is_told_to_keep(rows: Database) -> None:
    desk = Desk()
    held: list[int] = []
    async with running(MemoryStore(), keep=50, database=rows) as journal:
        wallet, house = await _two_accounts(journal, desk)
        for _ in range(60):
            batch = [
                desk.transferring(debit(wallet, 1), credit(house, 1), fact_key=desk.id())
                for _ in range(10)
            ]
            await journal.writer.submit(PAYMENTS, batch)
            await journal.index.reached(journal.writer.position)
            held.append(await journal.writer.read(lambda book: _held(book.ids) + len(book.facts)))

    assert max(held) <= 130
    assert held[-1] >= 50


def _held(ids: Mapping[str, Mapping[str, Known]]) -> int:
    return sum(map(len, ids.values()))


@pytest.mark.parametrize("seed", range(6))
async def test_histories_with_evictions_equal_those_without(seed: int) -> None:
    """The same commands, old ones among them again and again, to a journal that forgets at once."""
    random = Random(seed)  # noqa: S311 - a history that can be told again
    desk = Desk()
    with closing(Database.open("sqlite://")) as rows, closing(Database.open("sqlite://")) as more:
        async with (
            running(MemoryStore(), keep=0, database=rows) as forgetful,
            running(MemoryStore(), database=more) as other,
        ):
            accounts: list[str] = []
            for journal in (forgetful, other):
                accounts = list(await _two_accounts(journal, Desk()))
            said: list[Command] = []
            holds: list[str] = []
            ids = count(1)
            desk = Desk()
            for _ in range(40):
                desk.id()
            for _ in range(60):
                batch = [_any(random, desk, accounts, said, holds, ids) for _ in range(8)]
                said += batch
                one = await forgetful.writer.submit(PAYMENTS, batch)
                two = await other.writer.submit(PAYMENTS, batch)
                assert one == two
                await forgetful.index.reached(forgetful.writer.position)
            book = await forgetful.writer.read(lambda book: book)
            assert book.floor > 40
            assert book.accounts == await other.writer.read(lambda book: book.accounts)


def _any(
    random: Random,
    desk: Desk,
    accounts: list[str],
    said: list[Command],
    holds: list[str],
    ids: Iterator[int],
) -> Command:
    payer, payee = random.sample(accounts, 2)
    amount = random.randint(1, 40)
    match random.randrange(7):
        case 0 | 1 if said:
            again = random.choice(said)
            return again._replace(purpose="b") if isinstance(again, Transfer) else again
        case 2 if holds:
            return desk.capturing(random.choice(holds), amount, payee, is_final=amount > 20)
        case 3 if holds:
            return desk.releasing(random.choice(holds))
        case 4:
            placed = desk.placing(payer, amount)
            holds.append(placed.hold_id)
            return placed
        case 5 if said:
            return random.choice(said)
        case _:
            key = f"fact/{random.randint(0, next(ids))}"
            return desk.transferring(debit(payer, amount), credit(payee, amount), fact_key=key)
