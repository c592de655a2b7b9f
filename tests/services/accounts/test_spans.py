"""Transfers, groups and computed amounts over any shards: as on one journal, kills in between."""

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import events_pb2 as ev
from hefu.type.v1.money_pb2 import Money
from libs.cli.journal_ledger import Ledger
from libs.event_store import Appended, EventStore, NewEvent
from libs.memory_store import MemoryStore
from services.accounts.codec.pages import journal_of
from services.accounts.domain.commands import (
    Amount,
    Balancing,
    CloseAccount,
    Exchange,
    FreezeAccount,
    GiveQuote,
    Item,
    Linked,
    OpenAccount,
    OpenWindow,
    Part,
    SetBounds,
    Source,
    Template,
    Transfer,
)
from services.accounts.domain.entries import CommandRefused, Entry, TransferPosted
from services.accounts.domain.kinds import Direction, FreezeSide, Kind, QuoteSide
from services.accounts.domain.refusals import Refusal
from tests.services.accounts.conftest import Served
from tests.services.accounts.desk import (
    BANK,
    CZK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    Desk,
    clearing,
    credit,
    debit,
    ours,
)
from tests.services.accounts.journals import Through
from tests.services.accounts.sharded import Sharded, house, reason_of, sharded, sum_of, wallet

SHARDS = 4


async def _nothing_is_left(journal: Sharded) -> None:
    await journal.nothing_is_open()
    assert await journal.in_transit() == 0
    assert sum_of((await journal.shards.trial()).totals) == 0


async def test_a_transfer_over_four_shards_is_answered_as_if_it_were_in_one_place() -> None:
    desk, store = Desk(), MemoryStore()
    async with sharded(store, shards=SHARDS) as journal:
        fees = await house(journal, desk)
        one, two = [await wallet(journal, desk, n, 500) for n in (1, 2)]
        three = await wallet(journal, desk, 3)
        legs = (debit(one, 200), debit(two, 100), credit(three, 290), credit(fees, 10))
        moved = desk.transferring(*legs)

        first = await journal.do(moved)
        again = await journal.do(moved)
        other = await journal.do(moved._replace(purpose="other"))

        assert first.entry is not None
        assert isinstance(first.entry.fact, TransferPosted)
        assert [tuple(leg) for leg in first.entry.fact.legs] == [
            (leg.account_id, *leg[2:]) for leg in legs
        ]
        told = {balance.account_id: balance.posted for balance in first.entry.balances}
        assert {id_: told[id_] for id_ in (one, two, three)} == {one: 300, two: 400, three: 290}
        assert set(told) == {one, two, three, fees}
        assert again == first._replace(is_replayed=True)
        assert reason_of(other) == "IDEMPOTENCY_KEY_REUSED"
        assert other.refusal is not None
        assert other.refusal.fields == ("purpose",)
        await _nothing_is_left(journal)
    async with sharded(store, shards=SHARDS) as journal:
        assert await journal.do(moved) == again


async def test_what_one_shard_refuses_happens_on_none() -> None:
    desk = Desk()
    async with sharded(MemoryStore(), shards=SHARDS) as journal:
        wallets = [await wallet(journal, desk, n, 500) for n in range(SHARDS)]
        freeze = FreezeAccount(desk.id(), wallets[3], FreezeSide.CREDIT, "x", stop_captures=True)
        await journal.do(freeze, OPERATOR)
        poor = (debit(wallets[0], 1), debit(wallets[1], 501), credit(wallets[2], 502))
        frozen = (debit(wallets[0], 2), credit(wallets[2], 1), credit(wallets[3], 1))
        both = (debit(wallets[1], 501), credit(wallets[2], 500), credit(wallets[3], 1))

        answers = [await journal.do(desk.transferring(*legs)) for legs in (poor, frozen, both)]

        assert list(map(reason_of, answers)) == [
            "BALANCE_TOO_LOW",
            "ACCOUNT_FROZEN_CREDIT",
            "ACCOUNT_FROZEN_CREDIT",
        ]
        fields = [each.refusal.fields for each in answers if each.refusal is not None]
        assert fields == [("legs[1].account_id",), ("legs[2].account_id",), ("legs[2].account_id",)]
        assert [await journal.posted(each) for each in wallets] == [500] * SHARDS
        await _nothing_is_left(journal)


async def test_a_group_over_shards_sees_its_own_effects_and_is_all_or_nothing() -> None:
    desk, store = Desk(), MemoryStore()
    async with sharded(store, shards=SHARDS) as journal:
        rich = await wallet(journal, desk, 1, 500)
        two, three = await wallet(journal, desk, 2), await wallet(journal, desk, 3)
        through = Linked(
            (
                desk.transferring(debit(rich, 300), credit(two, 300)),
                desk.transferring(debit(two, 300), credit(three, 300)),
            )
        )
        too_much = Linked(
            (
                desk.transferring(debit(rich, 100), credit(two, 100)),
                desk.transferring(debit(three, 301), credit(two, 301)),
                # This fault stands earlier in the table, and is not the group's first.
                desk.transferring(debit(two, 1), credit(desk.id(), 1)),
            )
        )

        done = await journal.shards.submit(PAYMENTS, [through])
        failed = await journal.shards.submit(PAYMENTS, [too_much])
        alone = await journal.do(through.commands[0])
        again = await journal.shards.submit(PAYMENTS, [through, too_much])

        assert list(map(reason_of, done)) == ["", ""]
        assert list(map(reason_of, failed)) == ["LINKED_FAILED", "BALANCE_TOO_LOW", "LINKED_FAILED"]
        assert [await journal.posted(each) for each in (rich, two, three)] == [200, 0, 300]
        assert alone.refusal is not None
        assert alone.refusal.fields == ("group",)
        assert again == [each._replace(is_replayed=True) for each in (*done, *failed)]
        await _nothing_is_left(journal)


async def test_as_much_as_there_is_moves_between_shards_whichever_side_says_how_much() -> None:
    desk = Desk()
    async with sharded(MemoryStore(), shards=SHARDS) as journal:
        payer, payee = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2)
        bounds = SetBounds(desk.id(), payee, None, 420, "tier")
        await journal.do(bounds, OPERATOR)
        legs = (debit(payer, 1_000), credit(payee, 1_000))
        kept = desk.transferring(*legs)._replace(computed=Balancing(0, 100))
        lifted = (debit(payer, 50), credit(payee, 50))
        filled = desk.transferring(*lifted)._replace(computed=Balancing(1, 0))
        nothing = desk.transferring(*lifted)._replace(computed=Balancing(1, 0))

        answers = [await journal.do(each) for each in (kept, filled, nothing)]

        assert list(map(reason_of, answers)) == ["", "", "NOTHING_TO_MOVE"]
        posted = [each.entry.fact for each in answers[:2] if each.entry is not None]
        assert [fact.legs[0].minor for fact in posted if isinstance(fact, TransferPosted)] == [
            400,
            20,
        ]
        rules = [fact.rounding for fact in posted if isinstance(fact, TransferPosted)]
        assert {rule.rule for rule in rules if rule is not None} == {"BALANCING"}
        assert await journal.posted(payer) == 80
        assert await journal.posted(payee) == 420
        await _nothing_is_left(journal)


async def test_sources_on_several_shards_are_drawn_in_their_order() -> None:
    desk = Desk()
    async with sharded(MemoryStore(), shards=SHARDS) as journal:
        fees = await house(journal, desk)
        sources = [await wallet(journal, desk, n, 100) for n in (1, 2, 1, 0)]
        merchant = await wallet(journal, desk, 3)
        parts = (Part(fees, fixed=5), Part(merchant, share=2), Part(sources[1], share=1))
        drawn = (Source(sources[0], None), Source(sources[2], 30), Source(sources[3], None))
        template = Template(1, Amount(CZK, 205), drawn, 3, parts)
        enough = desk.transferring()._replace(computed=template)
        short = enough._replace(transfer_id=desk.id())

        first, second = await journal.do(enough), await journal.do(short)

        assert (reason_of(first), reason_of(second)) == ("", "BALANCE_TOO_LOW")
        assert second.refusal is not None
        assert second.refusal.description == "55 of 205 is available"
        assert [await journal.posted(each) for each in sources] == [0, 166, 70, 25]
        assert await journal.posted(merchant) == 134
        await _nothing_is_left(journal)


async def test_currencies_are_exchanged_between_wallets_on_any_shards() -> None:
    desk = Desk()
    async with sharded(MemoryStore(), shards=SHARDS) as journal:
        positions = [
            await house(journal, desk, currency, Kind.FX_POSITION) for currency in (CZK, "EUR")
        ]
        spreads = await house(journal, desk, "EUR")
        seller = await wallet(journal, desk, 1, 10_000)
        for shard in (1, 2):
            buyer = await wallet(journal, desk, shard, currency="EUR")
            quote = GiveQuote(desk.id(), CZK, "EUR", 100, 2_531, QuoteSide.SOLD, 4_000, 3, 60, "")
            await journal.do(quote)
            asked = Exchange(
                quote.quote_id,
                Amount(CZK, 4_000),
                Amount("EUR", 158),
                seller,
                buyer,
                positions[0],
                positions[1],
                spreads,
            )
            first = await journal.do(desk.transferring()._replace(computed=asked))
            second = await journal.do(desk.transferring()._replace(computed=asked))

            assert (reason_of(first), reason_of(second)) == ("", "QUOTE_USED")
            assert await journal.posted(buyer) == 155
            assert first.entry is not None
            assert isinstance(first.entry.fact, TransferPosted)
            assert {leg.account_id for leg in first.entry.fact.legs} == {
                seller,
                buyer,
                *positions,
                spreads,
            }
        assert await journal.posted(seller) == 2_000
        await _nothing_is_left(journal)


async def test_a_fact_is_posted_once_and_is_free_again_where_it_was_refused() -> None:
    desk = Desk()
    async with sharded(MemoryStore(), shards=SHARDS) as journal:
        one, two, three = [await wallet(journal, desk, n, 500) for n in (1, 2, 3)]

        def split(minor: int) -> Transfer:
            legs = (debit(one, minor), credit(two, minor - 1), credit(three, 1))
            return desk.transferring(*legs, fact_key="split/1")

        too_much = await journal.do(split(501))
        racing = await asyncio.gather(*(journal.do(split(100)) for _ in range(3)))
        # Another shard would decide this one.
        legs = (debit(two, 3), credit(one, 2), credit(three, 1))
        elsewhere = await journal.do(desk.transferring(*legs, fact_key="split/1"))

        assert reason_of(elsewhere) == "FACT_ALREADY_POSTED"
        assert reason_of(too_much) == "BALANCE_TOO_LOW"
        assert sorted(map(reason_of, racing)) == ["", *["FACT_ALREADY_POSTED"] * 2]
        assert await journal.posted(one) == 400
        await _nothing_is_left(journal)


async def test_an_obligation_stands_in_the_window_on_shard_0() -> None:
    desk = Desk()
    async with sharded(MemoryStore(), shards=SHARDS) as journal:
        one, two = await wallet(journal, desk, 1, 500), await wallet(journal, desk, 2, 500)
        window_id = desk.id()
        await journal.do(OpenWindow(window_id, BANK, CZK), SETTLEMENT)
        legs = (clearing(Direction.DEBIT, 100), credit(one, 60), credit(two, 40))
        answer = await journal.do(desk.transferring(*legs, obligation=ours(100)))
        window = await journal.shards.read(lambda book: book.windows[window_id])

        assert answer.entry is not None
        assert answer.entry.obligation is not None
        assert answer.entry.obligation.window_id == window_id
        assert (window.legs, window.sum_ours) == (1, 100)
        await _nothing_is_left(journal)


class StopsAfter(Through):
    """So many pages are stored from a certain moment on; then nothing comes back."""

    def __init__(self, store: EventStore) -> None:
        super().__init__(store)
        self.left: int | None = None
        self.stopped = asyncio.Event()

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        if self.left is not None and stream.startswith("journal-"):
            if self.left == 0:
                self.stopped.set()
                await asyncio.Event().wait()
            self.left -= 1
        return await super().append(stream, events, expected)


# Before any page of it: what comes at the end, and where the decision falls, in the quick part too.
_PAGES = [n if n in (3, 5) else pytest.param(n, marks=pytest.mark.full) for n in range(10)]


@pytest.mark.parametrize("pages", _PAGES)
@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_kill_before_any_page_leaves_all_of_it_or_nothing(
    pages: int, *, is_refused: bool
) -> None:
    desk, store = Desk(), MemoryStore()
    stopping = StopsAfter(store)
    async with sharded(stopping, shards=SHARDS) as journal:
        wallets = [await wallet(journal, desk, n, 500) for n in (1, 2, 3, 2)]
        one, two, three, spare = wallets
        # Every account in transit is there.
        await journal.do(
            desk.transferring(debit(one, 1), debit(three, 1), credit(spare, 1), credit(two, 1))
        )
        if is_refused:
            freeze = FreezeAccount(desk.id(), three, FreezeSide.BOTH, "x", stop_captures=True)
            await journal.do(freeze, OPERATOR)
        before = [await journal.posted(each) for each in wallets]
        group = Linked(
            (
                desk.transferring(debit(one, 200), credit(two, 150), credit(three, 50)),
                desk.transferring(debit(two, 651), credit(spare, 650), credit(three, 1)),
            )
        )
        stopping.left = pages
        asking = asyncio.create_task(journal.shards.submit(PAYMENTS, [group]))
        stopped = asyncio.create_task(stopping.stopped.wait())
        await asyncio.wait({asking, stopped}, return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        stopped.cancel()
    async with sharded(store, shards=SHARDS) as journal:
        await journal.nothing_is_open()
        after = [await journal.posted(each) for each in wallets]
        moved = [299, 0, 550, 1_151]
        assert after == before if is_refused else after in (before, moved)
        await _nothing_is_left(journal)

        answers = await journal.shards.submit(PAYMENTS, [group])

        reasons = ["ACCOUNT_FROZEN_CREDIT", "LINKED_FAILED"] if is_refused else ["", ""]
        assert list(map(reason_of, answers)) == reasons
        assert [await journal.posted(each) for each in wallets] == (before if is_refused else moved)
        await _nothing_is_left(journal)
        again = await journal.shards.submit(PAYMENTS, [group])
        assert again == [each._replace(is_replayed=True) for each in answers]


async def test_what_is_set_aside_is_in_the_snapshot_and_stops_whoever_comes_between() -> None:
    desk, store = Desk(), MemoryStore()
    stopping = StopsAfter(store)
    async with sharded(stopping, shards=SHARDS) as journal:
        one, two, three = [await wallet(journal, desk, n, 500) for n in (1, 2, 3)]
        await journal.do(desk.transferring(debit(one, 2), credit(two, 1), credit(three, 1)))
        moved = desk.transferring(debit(one, 2), credit(two, 500), credit(three, 1))._replace(
            legs=(debit(one, 498), credit(two, 497), credit(three, 1))
        )
        # The intent on shard 1 and what shards 2 and 3 set aside; then no decision comes.
        stopping.left = 3
        asking = asyncio.create_task(journal.do(moved))
        await stopping.stopped.wait()
        asking.cancel()
    # Pages enough for a snapshot of every shard, before anything is resumed: the others go on.
    async with sharded(store, shards=SHARDS) as journal:
        closing = await journal.do(CloseAccount(desk.id(), three), OPERATOR)
        await journal.nothing_is_open()
        assert reason_of(closing) in ("ACCOUNT_HAS_HOLDS", "ACCOUNT_NOT_EMPTY")
        assert await journal.posted(one) == 0
        assert await journal.posted(two) == 998


@pytest.mark.parametrize(
    ("seed", "commands"),
    [(0, 40), *(pytest.param(seed, 150, marks=pytest.mark.full) for seed in range(1, 5))],
)
async def test_random_commands_over_four_shards_come_to_what_one_journal_makes_of_them(
    seed: int, commands: int
) -> None:
    random = Random(seed)  # noqa: S311 - a history that can be told again
    desk = Desk()
    async with sharded(MemoryStore(), shards=SHARDS) as journal:
        wallets = [await wallet(journal, desk, n % SHARDS) for n in range(8)]
        fees = await house(journal, desk)
        for id_ in (*wallets, fees):
            kind = Kind.FEE_INCOME if id_ == fees else Kind.CUSTOMER_WALLET
            desk.posted(OpenAccount(id_, f"o:{id_}", kind, CZK, 0, ""), OPERATOR)
        for id_ in wallets:
            moved = desk.transferring(debit(fees, 400), credit(id_, 400))
            desk.posted(moved)
            assert reason_of(await journal.do(moved)) == ""
        for _ in range(commands):
            item = _random_item(random, desk, wallets, fees)
            one = _on_one(desk, item)
            many = [
                (reason_of(each), each.refusal.fields if each.refusal else ())
                for each in await journal.shards.submit(PAYMENTS, [item])
            ]
            assert many == one, item
        assert [await journal.posted(each) for each in wallets] == [
            desk.book.accounts[each].posted for each in wallets
        ]
        await _nothing_is_left(journal)


def _on_one(desk: Desk, item: Item) -> list[tuple[str, tuple[str, ...]]]:
    """Reasons and fields where all accounts are in one place."""
    decided = desk.link(item) if isinstance(item, Linked) else [desk.do(item)]
    found: list[tuple[str, tuple[str, ...]]] = []
    for decision in decided:
        match decision:
            case Entry(CommandRefused(reason, field)):
                found.append((reason, (field,) if field else ()))
            case Refusal(reason, fields):
                found.append((reason, fields))
            case _:
                found.append(("", ()))
    return found


def _random_item(random: Random, desk: Desk, wallets: list[str], fees: str) -> Item:
    match random.randrange(6):
        case 0:
            return Linked(tuple(_random_legs(random, desk, wallets, fees) for _ in range(3)))
        case 1:
            payer, payee = random.sample(wallets, 2)
            most = random.randint(1, 900)
            legs = (debit(payer, most), credit(payee, most))
            return desk.transferring(*legs)._replace(computed=Balancing(0, random.randint(0, 99)))
        case 2:
            some = random.sample(wallets, 5)
            sources = tuple(Source(each, random.choice((None, 50))) for each in some[:3])
            parts = (
                Part(fees, fixed=random.randint(1, 9)),
                Part(some[3], share=1),
                Part(some[4], share=2),
            )
            template = Template(1, Amount(CZK, random.randint(10, 900)), sources, 3, parts)
            return desk.transferring()._replace(computed=template)
        case _:
            return _random_legs(random, desk, wallets, fees)


def _random_legs(random: Random, desk: Desk, wallets: list[str], fees: str) -> Transfer:
    payers = random.sample(wallets, random.randint(1, 3))
    payees = [each for each in wallets if each not in payers][: random.randint(1, 3)]
    taken = [random.randint(3, 250) for _ in payers]
    shares = [sum(taken) // (len(payees) + 1) or 1 for _ in payees]
    legs = [debit(each, minor) for each, minor in zip(payers, taken, strict=True)]
    legs += [credit(each, minor) for each, minor in zip(payees, shares, strict=True)]
    rest = sum(taken) - sum(shares)
    if rest:
        legs.append(credit(fees, rest))
    random.shuffle(legs)
    return desk.transferring(*legs)


async def test_spans_that_race_for_the_same_money_never_overdraw_it() -> None:
    desk = Desk()
    async with sharded(MemoryStore(), shards=SHARDS) as journal:
        payers = [await wallet(journal, desk, n, 5_000) for n in range(SHARDS)]
        payees = [await wallet(journal, desk, n) for n in range(SHARDS)]

        def share() -> Transfer:
            legs = (*(debit(each, 1_000) for each in payers), *(credit(x, 1_000) for x in payees))
            return desk.transferring(*legs)

        answers = await asyncio.gather(*(journal.do(share()) for _ in range(12)))

        assert sorted(map(reason_of, answers)) == [*[""] * 5, *["BALANCE_TOO_LOW"] * 7]
        assert [await journal.posted(each) for each in (*payers, *payees)] == [0] * 4 + [5_000] * 4
        await _nothing_is_left(journal)


async def test_over_grpc_a_group_and_a_split_go_over_shards_and_the_audit_agrees(
    served_by_shards: Served,
) -> None:
    service, desk = served_by_shards, Desk()
    fees, *wallets = [desk.id() for _ in range(8)]
    for account_id in (fees, *wallets):
        kind = ev.ACCOUNT_KIND_FEE_INCOME if account_id == fees else ev.ACCOUNT_KIND_CUSTOMER_WALLET
        opening = pb.Opening(
            account_id=account_id, owner=f"o:{account_id}", kind=kind, currency_code=CZK
        )
        await service.operator.OpenAccount(pb.OpenAccountRequest(opening=opening))
    funding = _message(desk, [(fees, -700), *((each, 100) for each in wallets)])
    linked = _message(desk, [(wallets[0], -60), (wallets[1], 60)])
    linked.is_linked = True
    split = _message(desk, [(wallets[1], -150), *((each, 30) for each in wallets[2:])])
    too_much = _message(desk, [(wallets[0], -41), (wallets[1], 20), (wallets[2], 21)])
    asked = [[funding], [linked, split], [too_much]]
    requests = [pb.PostTransfersRequest(transfers=some) for some in asked]

    # What is not linked is independent, even in one request: these need one another.
    first = [await service.payments.PostTransfers(request) for request in requests]
    again = [await service.payments.PostTransfers(request) for request in requests]
    position = first[-1].position
    found = await service.payments.GetAccounts(
        pb.GetAccountsRequest(account_ids=wallets, min_position=position)
    )

    results = [each for response in first for each in response.results]
    assert [each.refusal.reason for each in results] == ["", "", "", "BALANCE_TOO_LOW"]
    assert results[3].refusal.field == "legs[0].account_id"
    assert {each.account_id for each in results[2].balances} == set(wallets[1:])
    assert all(each.is_replayed for response in again for each in response.results)
    assert [each.posted_minor for each in found.accounts] == [40, 10, *[130] * 5]
    await _all_agrees(service)


def _message(desk: Desk, moved: Sequence[tuple[str, int]]) -> pb.Transfer:
    legs = [
        pb.Leg(
            account_id=account_id,
            direction=ev.DIRECTION_DEBIT if minor < 0 else ev.DIRECTION_CREDIT,
            amount=Money(currency_code=CZK, minor_units=abs(minor)),
        )
        for account_id, minor in moved
    ]
    return pb.Transfer(transfer_id=desk.id(), legs=legs)


async def _all_agrees(service: Served) -> None:
    """What the auditor's own arithmetic says of every page of every journal."""
    faults: list[str] = []
    facts: set[str | None] = set()
    for shard in range(3):
        ledger = Ledger()
        async for stored in service.store.read(journal_of(shard)):
            for entry in ev.PageWritten.FromString(stored.data).entries:
                facts.add(entry.WhichOneof("fact"))
                faults += ledger.take(entry)
    assert faults == []
    assert {"span_begun", "part_reserved", "part_released", "span_decided"} < facts
