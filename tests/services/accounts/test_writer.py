"""The writer over a store: the chain, races, lost answers, a second writer, the timer."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
import stamina

from libs.event_store import Appended, NewEvent
from libs.failure import StartFailed
from libs.memory_store import MemoryStore
from services.accounts.codec.entry_bytes import encode_entry
from services.accounts.codec.pages import (
    JOURNAL,
    decode_page,
    encode_page,
)
from services.accounts.domain.commands import Command, OpenAccount, OpenWindow, SealWindow
from services.accounts.domain.entries import HoldExpired, Page
from services.accounts.domain.kinds import Direction, Kind
from services.accounts.domain.pages import ENTRIES_MAX, NO_HASH
from services.accounts.domain.refusals import Refused
from services.accounts.recovery import recover
from services.accounts.writer import JournalTaken
from tests.services.accounts.desk import (
    BANK,
    CZK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    Desk,
    banks,
    clearing,
    credit,
    debit,
)
from tests.services.accounts.journals import Now, Running, Through, UnsureStore, running


@pytest.fixture(autouse=True)
def _no_waiting_between_retries() -> object:
    with stamina.set_testing(True, attempts=100):
        yield


async def _pages(store: MemoryStore) -> list[Page]:
    return [decode_page(stored.data) async for stored in store.read(JOURNAL)]


async def _funded(journal: Running, desk: Desk, minor: int) -> str:
    """A wallet with money, by commands that a desk makes up."""
    wallet, house = desk.id(), desk.id()
    await journal.writer.submit(
        OPERATOR,
        [
            OpenAccount(wallet, f"w:{wallet}", Kind.CUSTOMER_WALLET, CZK, 0, ""),
            OpenAccount(house, f"h:{house}", Kind.FEE_INCOME, CZK, 0, ""),
        ],
    )
    if minor:
        answer = await journal.do(desk.transferring(debit(house, minor), credit(wallet, minor)))
        assert answer.refusal is None
    return wallet


async def test_pages_form_a_chain_over_their_stored_bytes() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        for _ in range(3):
            await _funded(journal, desk, 5)

    previous = NO_HASH
    for number, page in enumerate(await _pages(store)):
        assert (page.number, page.previous_hash) == (number, previous)
        previous = page.page_hash
    assert journal.writer.head_hash == previous


async def test_all_that_is_queued_goes_on_one_page() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        wallet = await _funded(journal, desk, 100)
        before = journal.writer.position

        answers = await asyncio.gather(*(journal.do(desk.placing(wallet, 1)) for _ in range(50)))

        assert {answer.position for answer in answers} == {before + 1}


async def test_a_large_call_spans_pages_and_answers_in_order() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        opens = [
            OpenAccount(desk.id(), f"owner:{n}", Kind.CUSTOMER_WALLET, CZK, 0, "")
            for n in range(ENTRIES_MAX + 10)
        ]
        answers = await journal.writer.submit(OPERATOR, opens)

    pages = await _pages(store)
    assert len(pages) >= 2
    assert all(len(page.entries) <= ENTRIES_MAX for page in pages)
    assert max([len(stored.data) async for stored in store.read(JOURNAL)]) <= 700 * 1_024
    ids = [answer.entry.command_id for answer in answers if answer.entry]
    assert ids == [command.account_id for command in opens]


async def test_a_page_says_where_nothing_on_it_is_of_a_window() -> None:
    store, desk = MemoryStore(), Desk()
    window, following = desk.id(), desk.id()
    async with running(store) as journal:
        wallet, other = await _funded(journal, desk, 100), await _funded(journal, desk, 0)
        before = journal.writer.position
        plain = desk.transferring(debit(wallet, 1), credit(other, 1), fact_key="p/credit")
        into_window = desk.transferring(
            debit(wallet, 2), clearing(Direction.CREDIT, 2), obligation=banks(2)
        )
        for caller, command in (
            (PAYMENTS, plain),
            (SETTLEMENT, OpenWindow(window, BANK, CZK)),
            (PAYMENTS, into_window),
            (SETTLEMENT, SealWindow(following, window)),
            (PAYMENTS, desk.placing(wallet, 1)),
        ):
            (answer,) = await journal.writer.submit(caller, [command])
            assert answer.refusal is None

    said = [stored.metadata.get("windows") async for stored in store.read(JOURNAL, before + 1)]
    assert said == ["none", None, None, None, "none"]


async def test_fifty_callers_race_six_holds_of_1000_on_5000_and_five_succeed() -> None:
    desk = Desk()
    async with running(MemoryStore()) as journal:
        wallet = await _funded(journal, desk, 5_000)
        commands = [desk.placing(wallet, 1_000) for _ in range(6)]

        async def caller(n: int) -> list[tuple[str, bool]]:
            turned: Sequence[Command] = commands[n % 6 :] + commands[: n % 6]
            return [(command[0], (await journal.do(command)).refusal is None) for command in turned]

        seen = [each for found in await asyncio.gather(*map(caller, range(50))) for each in found]

    outcomes = dict(seen)
    assert sum(outcomes.values()) == 5
    assert set(seen) == set(outcomes.items()), "each id has one outcome for every caller"


async def test_the_same_command_at_the_same_time_has_one_effect() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        wallet = await _funded(journal, desk, 100)
        command = desk.placing(wallet, 10)

        answers = await asyncio.gather(*(journal.do(command) for _ in range(32)))

    assert [answer.is_replayed for answer in answers].count(False) == 1
    assert len({answer._replace(is_replayed=False) for answer in answers}) == 1


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_page_of_unknown_outcome_is_sent_again_as_it_was(*, is_lost: bool) -> None:
    store, desk = UnsureStore(3, is_lost=is_lost), Desk()
    async with running(store) as journal:
        wallet = await _funded(journal, desk, 100)

    assert len(set(store.sent[:4])) == 1
    assert len(await _pages(store)) == journal.writer.position + 1
    assert (await recover(store)).book.accounts[wallet].posted == 100


async def test_a_crash_between_append_and_answer_keeps_the_outcome() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        wallet = await _funded(journal, desk, 100)
    held, refused = desk.placing(wallet, 80), desk.placing(wallet, 30)

    class DiesUnheard(Through):
        """Every append succeeds, and its answer never comes."""

        async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
            await super().append(stream, events, expected)
            await asyncio.Event().wait()
            raise AssertionError

    async with running(DiesUnheard(store)) as journal:
        asking = asyncio.gather(journal.do(held), journal.do(refused))
        while len(await _pages(store)) == journal.writer.position + 1:  # noqa: ASYNC110 - in memory
            await asyncio.sleep(0)
        asking.cancel()

    async with running(store) as journal:
        first, second = await journal.do(held), await journal.do(refused)
        again = await journal.do(refused)

    assert first.is_replayed
    assert first.refusal is None
    assert second.refusal is not None
    assert second.refusal.reason == "BALANCE_TOO_LOW"
    assert again == second


async def test_a_second_writer_is_fenced_by_the_store() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as first, running(store) as second:
        await _funded(first, desk, 5)

        with pytest.raises(Refused, match="STORE_UNAVAILABLE"):
            await second.do(desk.placing(desk.id(), 1))

        with pytest.raises(JournalTaken, match="another writer has written page 0"):
            await second.tasks[0]
        await _funded(first, desk, 5)


async def test_the_timer_writes_an_expiry_that_nobody_asked_for() -> None:
    store, desk, now = MemoryStore(), Desk(), Now()
    async with running(store, now) as journal:
        wallet = await _funded(journal, desk, 100)
        await journal.do(desk.placing(wallet, 60, expires_after_s=1))
        position = journal.writer.position
        now.us += 990_000  # ten milliseconds before the deadline
        # A read wakes nothing: the timer alone does, once the clock has passed the deadline.
        asyncio.get_running_loop().call_later(0.005, setattr, now, "us", now.us + 20_000)

        await journal.writer.reached(position + 1)

    assert isinstance((await _pages(store))[-1].entries[0].fact, HoldExpired)


async def test_page_time_never_goes_back() -> None:
    store, desk, now = MemoryStore(), Desk(), Now()
    async with running(store, now) as journal:
        await _funded(journal, desk, 5)
        now.us -= 3_600_000_000
        await _funded(journal, desk, 5)

    times = [page.written_us for page in await _pages(store)]
    assert times == sorted(times)


async def test_only_what_changes_something_is_written() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        wallet = await _funded(journal, desk, 100)
        command = desk.placing(wallet, 10)
        await journal.do(command)
        position = journal.writer.position

        repeated = await journal.do(command)
        misshapen = await journal.do(desk.placing(wallet, 0))

        assert repeated.is_replayed
        assert repeated.position == position
        assert misshapen.refusal is not None
        assert journal.writer.position == position


async def test_a_reader_waits_for_the_page_on_its_way() -> None:
    class Slow(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.may_go = asyncio.Event()
            self.may_go.set()

        async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
            await self.may_go.wait()
            return await super().append(stream, events, expected)

    store, desk = Slow(), Desk()
    async with running(store) as journal:
        wallet = await _funded(journal, desk, 100)
        store.may_go.clear()
        placing = asyncio.create_task(journal.do(desk.placing(wallet, 60)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading = asyncio.create_task(
            journal.writer.read(lambda book: (book.accounts[wallet].held, book.page_number))
        )
        await asyncio.sleep(0)
        assert not reading.done(), "what is not stored is not shown"

        store.may_go.set()

        assert await reading == (60, (await placing).position)


async def test_other_terms_under_a_used_id_name_the_fields_after_a_restart_too() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        wallet = await _funded(journal, desk, 100)
        command = desk.placing(wallet, 10)
        await journal.do(command)
    changed = command._replace(purpose="other", expires_after_s=9)
    async with running(store) as journal:
        answer = await journal.do(changed)

    assert answer.refusal is not None
    assert answer.refusal.reason == "IDEMPOTENCY_KEY_REUSED"
    assert answer.refusal.fields == ("expires_after_s", "purpose")


async def _copied(store: MemoryStore, changed: Mapping[int, bytes]) -> MemoryStore:
    """A store with the journal alone, some of its pages replaced."""
    copy = MemoryStore()
    async for stored in store.read(JOURNAL):
        data = changed.get(stored.revision, stored.data)
        event = NewEvent(stored.id, stored.type, data, stored.metadata, stored.is_json)
        await copy.append(JOURNAL, [event], stored.revision - 1)
    return copy


@pytest.mark.parametrize("damage", ["flip", "swap"])
async def test_a_damaged_journal_stops_the_start_and_names_the_page(damage: str) -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        for _ in range(3):
            await _funded(journal, desk, 100)
    pages = [stored.data async for stored in store.read(JOURNAL)]
    flipped = pages[2][:60] + bytes([pages[2][60] ^ 1]) + pages[2][61:]
    damaged = await _copied(store, {2: flipped if damage == "flip" else pages[1]})

    with pytest.raises(StartFailed, match="damaged at page 2"):
        await recover(damaged)


async def test_a_page_written_anew_with_a_right_hash_breaks_the_chain_behind_it() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        for _ in range(3):
            await _funded(journal, desk, 100)
    page = (await _pages(store))[1]
    encoded = [encode_entry(entry, ordinal) for ordinal, entry in enumerate(page.entries)]
    anew, _ = encode_page(1, page.previous_hash, page.written_us, "2026-09-20", encoded)

    with pytest.raises(StartFailed, match="damaged at page 2"):
        await recover(await _copied(store, {1: anew}))


async def test_a_full_queue_turns_callers_away() -> None:
    desk = Desk()
    async with running(MemoryStore()) as journal:
        flood = [desk.placing(desk.id(), 1)] * 100_001
        with pytest.raises(Refused, match="QUEUE_FULL"):
            await journal.writer.submit(PAYMENTS, flood)
