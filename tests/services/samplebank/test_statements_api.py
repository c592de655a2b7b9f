import grpc
import pytest

from hefu.bank.v1 import bank_pb2 as pb
from hefu.samplebank.v1 import samplebank_pb2 as demo
from libs.grpc_errors import reason_of
from libs.iso20022 import StatementPage, Summary, parse
from libs.money import Money
from tests.services.samplebank.town import ACCOUNT, Town, Visit, item, payouts, pulls

DAY = demo.EndDayRequest(business_date="2030-01-15")
NEXT_DAY = demo.EndDayRequest(business_date="2030-01-16")


async def fetched(visit: Visit, from_number: int = 1) -> list[StatementPage]:
    request = pb.FetchStatementsRequest(account_number=ACCOUNT, from_number=from_number)
    response = await visit.link.FetchStatements(request)
    pages = [parse(message.message_type, message.body) for message in response.pages]
    assert all(isinstance(page, StatementPage) for page in pages)
    return [page for page in pages if isinstance(page, StatementPage)]


async def test_a_day_ends_with_a_statement_that_is_delivered_and_kept(town: Town) -> None:
    async with town.bank() as visit:
        await visit.submit(pulls("m1", [item(1, 50_000)]))
        await visit.submit(payouts("m2", [item(2, 20_000)]))
        end = await visit.demo.EndDay(DAY)
        (delivered,) = await town.letterbox.wait_for(1)
        (kept,) = await fetched(visit)

    assert (end.statement_number, end.closing_minor, end.lines) == (1, 30_000, 2)
    assert delivered == kept
    assert (kept.opening, kept.closing) == (Money("CZK", 0), Money("CZK", 30_000))
    assert kept.summary == Summary(1, 50_000, 1, 20_000)
    assert [(e.favour, e.uetr, e.status) for e in kept.entries] == [
        ("C", item(1).uetr, "BOOK"),
        ("D", item(2).uetr, "BOOK"),
    ]


async def test_a_long_statement_has_pages_that_add_up(town: Town) -> None:
    async with town.bank() as visit:
        for start in (0, 200, 400):
            items = [item(n, 100 + n) for n in range(start, start + 200)]
            await visit.submit(payouts(f"m{start}", items))
        end = await visit.demo.EndDay(DAY)
        pages = await fetched(visit)

    assert end.lines == 600
    assert [(p.page, p.is_last, len(p.entries)) for p in pages] == [
        (1, False, 250),
        (2, False, 250),
        (3, True, 100),
    ]
    assert len({(p.statement_id, p.opening, p.closing, p.summary) for p in pages}) == 1
    assert -sum(e.amount.minor for p in pages for e in p.entries) == pages[0].closing.minor
    assert len({p.message_id for p in pages}) == 3


async def test_ending_a_day_again_issues_nothing_new(town: Town) -> None:
    async with town.bank() as visit:
        await visit.submit(pulls("m1", [item(1)]))
        first = await visit.demo.EndDay(DAY)
    async with town.bank() as visit:
        again = await visit.demo.EndDay(DAY)
        pages = await fetched(visit)

    assert again == first
    assert len(pages) == 1


async def test_statements_are_numbered_without_gaps_and_open_where_the_last_closed(
    town: Town,
) -> None:
    async with town.bank() as visit:
        await visit.submit(pulls("m1", [item(1, 500)]))
        await visit.demo.EndDay(DAY)
        late = await visit.submit(pulls("m2", [item(2, 70)]))
        await visit.demo.EndDay(NEXT_DAY)
        await visit.demo.EndDay(demo.EndDayRequest(business_date="2030-01-20"))
        pages = await fetched(visit)
        rest = await fetched(visit, from_number=3)

    assert [(p.number, p.opening.minor, p.closing.minor) for p in pages] == [
        (1, 0, 500),
        (2, 500, 570),
        (3, 570, 570),
    ]
    assert late.transactions[0].value_date == "2030-01-15"
    assert [p.number for p in rest] == [3]


async def test_a_date_that_ends_again_states_only_what_came_since(town: Town) -> None:
    async with town.bank() as visit:
        await visit.submit(pulls("m1", [item(1, 500)]))
        await visit.demo.EndDay(DAY)
        await visit.submit(pulls("m2", [item(2, 70)]))
        further = await visit.demo.EndDay(DAY)
        again = await visit.demo.EndDay(DAY)
        pages = await fetched(visit)

    assert further == again
    assert [(p.number, p.to_date, p.opening.minor, p.closing.minor) for p in pages] == [
        (1, "2030-01-15", 0, 500),
        (2, "2030-01-15", 500, 570),
    ]


async def test_a_date_before_the_last_one_does_not_end_again(town: Town) -> None:
    async with town.bank() as visit:
        await visit.demo.EndDay(NEXT_DAY)
        with pytest.raises(grpc.aio.AioRpcError) as past:
            await visit.demo.EndDay(DAY)
        with pytest.raises(grpc.aio.AioRpcError) as never:
            await visit.demo.EndDay(demo.EndDayRequest(business_date="2030-02-30"))

    assert reason_of(past.value) == "BANK_DAY_ENDED"
    assert reason_of(never.value) == "BUSINESS_DATE_INVALID"


async def test_statements_of_another_account_are_not_shown(town: Town) -> None:
    async with town.bank() as visit:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.link.FetchStatements(
                pb.FetchStatementsRequest(account_number="OTHER", from_number=1)
            )

    assert reason_of(caught.value) == "ACCOUNT_NOT_FOUND"


async def test_a_hostile_bank_delivers_late_and_twice(town: Town) -> None:
    async with town.bank("hostile") as visit:
        await visit.demo.EndDay(DAY)
        assert town.letterbox.received == []
        first, second = await town.letterbox.wait_for(2)

    assert first == second
