"""Races of many callers, and groups on their page: one outcome, whoever comes first."""

import asyncio
from collections.abc import Sequence

import pytest

from libs.event_store import Appended, NewEvent
from libs.memory_store import MemoryStore
from services.accounts.codec.pages import JOURNAL, decode_page
from services.accounts.domain.answers import Answer
from services.accounts.domain.commands import (
    CloseAccount,
    Command,
    FreezeAccount,
    Linked,
    OpenAccount,
)
from services.accounts.domain.kinds import FreezeSide, Kind
from services.accounts.domain.pages import ENTRIES_MAX
from tests.services.accounts.desk import CZK, OPERATOR, PAYMENTS, Desk, credit, debit
from tests.services.accounts.journals import Running, Through, running

QUICK, ROUNDS = 25, 1_000


def _opening(desk: Desk, kind: Kind = Kind.CUSTOMER_WALLET, owner: str = "") -> OpenAccount:
    account_id = desk.id()
    return OpenAccount(account_id, owner or f"owner:{account_id}", kind, CZK, 0, "")


async def _wallet(journal: Running, desk: Desk, minor: int = 0) -> str:
    wallet, house = _opening(desk), _opening(desk, Kind.FEE_INCOME)
    await journal.writer.submit(OPERATOR, [wallet, house])
    if minor:
        legs = (debit(house.account_id, minor), credit(wallet.account_id, minor))
        assert (await journal.do(desk.transferring(*legs))).refusal is None
    return wallet.account_id


def _told(answer: Answer) -> str:
    return answer.refusal.reason if answer.refusal else ""


async def _entries_by_page(store: MemoryStore) -> list[list[str]]:
    pages = [decode_page(stored.data) async for stored in store.read(JOURNAL)]
    return [[entry.command_id for entry in page.entries] for page in pages]


async def test_a_group_is_never_parted_by_the_end_of_a_page() -> None:
    store, desk = MemoryStore(), Desk()
    groups = [tuple(_opening(desk) for _ in range(7)) for _ in range(ENTRIES_MAX // 7 + 1)]
    async with running(store) as journal:
        answers = await journal.writer.submit(OPERATOR, [*map(Linked, groups), _opening(desk)])

    ids = [command.account_id for group in groups for command in group]
    assert [answer.entry.command_id for answer in answers[:-1] if answer.entry] == ids
    pages = [page for page in await _entries_by_page(store) if page]
    assert len(pages) > 1
    for group in groups:
        (home,) = [page for page in pages if group[0].account_id in page]
        at = home.index(group[0].account_id)
        assert home[at : at + len(group)] == [command.account_id for command in group]


async def test_a_group_that_was_written_and_never_answered_keeps_its_outcome() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        payer, payee = await _wallet(journal, desk, 100), await _wallet(journal, desk)

    def moving(minor: int) -> Command:
        return desk.transferring(debit(payer, minor), credit(payee, minor))

    good, bad = Linked((moving(10), moving(20))), Linked((moving(30), moving(900)))

    class DiesUnheard(Through):
        """Every append succeeds, and its answer never comes."""

        async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
            await super().append(stream, events, expected)
            await asyncio.Event().wait()
            raise AssertionError

    before = len(await _entries_by_page(store))
    async with running(DiesUnheard(store)) as journal:
        asking = asyncio.ensure_future(journal.writer.submit(PAYMENTS, [good, bad]))
        while len(await _entries_by_page(store)) == before:  # noqa: ASYNC110 - in memory
            await asyncio.sleep(0)
        asking.cancel()

    async with running(store) as journal:
        answers = await journal.writer.submit(PAYMENTS, [good, bad])
        (alone,) = await journal.writer.submit(PAYMENTS, [good.commands[1]])
        account = await journal.writer.read(lambda book: book.accounts[payer].posted)

    assert [_told(answer) for answer in answers] == ["", "", "LINKED_FAILED", "BALANCE_TOO_LOW"]
    assert all(answer.is_replayed for answer in answers)
    assert alone.refusal is not None
    assert (alone.refusal.reason, alone.refusal.fields) == ("IDEMPOTENCY_KEY_REUSED", ("group",))
    assert account == 70


async def test_a_preview_answers_as_the_command_will_and_writes_nothing() -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        payer, payee = await _wallet(journal, desk, 100), await _wallet(journal, desk)
        legs = (debit(payer, 60), credit(payee, 60))
        commands = [desk.transferring(*legs) for _ in range(2)]
        before = (journal.writer.position, await _entries_by_page(store))

        answers, book = await journal.writer.preview(PAYMENTS, [*commands, commands[0]])

        assert [_told(answer) for answer in answers] == ["", "BALANCE_TOO_LOW", ""]
        assert answers[2].is_replayed
        assert {answer.position for answer in answers} == {journal.writer.position}
        assert book.accounts[payee].posted == 60
        assert (journal.writer.position, await _entries_by_page(store)) == before
        real = await journal.writer.submit(PAYMENTS, commands)
        assert [_told(answer) for answer in real] == ["", "BALANCE_TOO_LOW"]


async def _reversals(journal: Running, desk: Desk) -> None:
    """Two reversals of one sale, under ids of their own."""
    payer, payee = await _wallet(journal, desk, 100), await _wallet(journal, desk, 1_000)
    sale = desk.transferring(debit(payer, 100), credit(payee, 100), fact_key="")
    await journal.do(sale)
    back = (debit(payee, 100), credit(payer, 100))
    fact_key = f"{sale.transfer_id}/reversal"
    commands = [desk.transferring(*back, fact_key=fact_key) for _ in range(2)]

    answers = await asyncio.gather(*(journal.do(commands[n % 2]) for n in range(8)))

    outcomes = {(answer.entry and answer.entry.command_id, _told(answer)) for answer in answers}
    assert sorted(told for _, told in outcomes) == ["", "FACT_ALREADY_POSTED"]
    figures = await journal.writer.read(
        lambda book: (book.accounts[payer].posted, book.accounts[payee].posted)
    )
    assert figures == (100, 1_000)


async def _closing(journal: Running, desk: Desk) -> None:
    """Close races freeze and a payment in: closed stays closed, and no money is in it."""
    account_id, payer = await _wallet(journal, desk), await _wallet(journal, desk, 10)
    close = CloseAccount(desk.id(), account_id)
    freeze = FreezeAccount(desk.id(), account_id, FreezeSide.BOTH, "x", stop_captures=False)
    pay = desk.transferring(debit(payer, 10), credit(account_id, 10))

    async def one(command: Command) -> Answer:
        caller = PAYMENTS if command is pay else OPERATOR
        (answer,) = await journal.writer.submit(caller, [command])
        return answer

    commands: list[Command] = [close, freeze, pay]
    shift = int(account_id[-1], 16) % 3
    answers = await asyncio.gather(*map(one, commands[shift:] + commands[:shift]))

    told = dict(zip(commands[shift:] + commands[:shift], map(_told, answers), strict=True))
    account = await journal.writer.read(lambda book: book.accounts[account_id])
    if told[close]:
        assert (told[close], told[pay]) == ("ACCOUNT_NOT_EMPTY", "")
    else:
        assert account.is_closed
        assert account.posted == 0
        assert told[pay] in {"ACCOUNT_CLOSED", "ACCOUNT_FROZEN_CREDIT"}
        late = FreezeAccount(desk.id(), account_id, FreezeSide.DEBIT, "x", stop_captures=False)
        (answer,) = await journal.writer.submit(OPERATOR, [late])
        assert _told(answer) == "ACCOUNT_CLOSED"


async def _openings(journal: Running, desk: Desk) -> None:
    """One owner's account opened by two ids at once: one account, one refusal."""
    owner = f"owner:{desk.id()}"
    commands = [_opening(desk, owner=owner) for _ in range(2)]
    found = await asyncio.gather(
        *(journal.writer.submit(OPERATOR, [command]) for command in commands)
    )
    assert sorted(_told(answer) for (answer,) in found) == ["", "ACCOUNT_KEY_TAKEN"]


async def _six_holds(journal: Running, desk: Desk) -> None:
    """Fifty callers, six holds of 1,000 on 5,000."""
    wallet = await _wallet(journal, desk, 5_000)
    commands = [desk.placing(wallet, 1_000) for _ in range(6)]
    answers = await asyncio.gather(*(journal.do(commands[n % 6]) for n in range(50)))
    outcomes = {(commands[n % 6][0], _told(answer)) for n, answer in enumerate(answers)}
    assert len(outcomes) == 6
    assert sorted(told for _, told in outcomes) == [*[""] * 5, "BALANCE_TOO_LOW"]


async def _same_key(journal: Running, desk: Desk) -> None:
    """One command sent 32 times at once."""
    wallet = await _wallet(journal, desk, 100)
    command = desk.placing(wallet, 60)
    answers = await asyncio.gather(*(journal.do(command) for _ in range(32)))
    assert [answer.is_replayed for answer in answers].count(False) == 1
    assert len({answer._replace(is_replayed=False) for answer in answers}) == 1
    held = await journal.writer.read(lambda book: book.accounts[wallet].held)
    assert held == 60


RACES = [_reversals, _closing, _openings, _six_holds, _same_key]


async def _run(race: int, rounds: int) -> None:
    store, desk = MemoryStore(), Desk()
    async with running(store) as journal:
        for start in range(0, rounds, 25):
            await asyncio.gather(
                *(RACES[race](journal, desk) for _ in range(min(25, rounds - start)))
            )
        standing = await journal.writer.read(lambda book: dict(book.accounts))
    async with running(store) as journal:
        replayed = await journal.writer.read(lambda book: dict(book.accounts))
    assert replayed == standing


@pytest.mark.parametrize("race", range(len(RACES)), ids=lambda n: RACES[n].__name__.strip("_"))
async def test_a_race_has_one_outcome(race: int) -> None:
    await _run(race, QUICK)


@pytest.mark.full
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("race", range(len(RACES)), ids=lambda n: RACES[n].__name__.strip("_"))
async def test_a_thousand_races_have_one_outcome_each(race: int) -> None:
    await _run(race, ROUNDS)
