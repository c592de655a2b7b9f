"""A business day on real processes: it ties out, can be sent again, traced and replayed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from hefu.payments.v1 import payments_pb2 as payments
from hefu.samplebank.v1 import samplebank_pb2 as samplebank
from libs.client import HefuClient, HefuError, payout
from libs.ids import new_id
from libs.money import Money
from libs.orders import parse_orders, wallet_id
from tests.e2e.conftest import BANKS, World, assert_ties_out, order_lines, started, write_orders

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]
ORDERS = 120
SEED = 1
KEYS = {
    "orders_read", "accounts_opened", "top_ups_confirmed", "payments_settled", "payments_refused",
    "payments_carried", "gross_minor", "settlements", "tie_out", "journal_sum_minor",
    "liabilities_minor", "in_transit_minor", "suspense_minor", "bank_assets_minor",
    "journal_pages", "events_total", "seconds",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    world = await started(tmp_path_factory.mktemp("day"), "ordinary")
    yield world
    await world.system.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(world: World) -> dict[str, object]:
    told, report = await world.day(write_orders(world.folder, ORDERS, SEED))
    assert_ties_out(told, report, ORDERS)
    return report


async def executed(world: World) -> dict[str, tuple[int, int]]:
    """Per bank: how many instructions it executed, and how many of them twice."""
    found = {}
    async with world.connect() as link:
        for bank, stub in link.banks.items():
            books = await stub.GetBooks(samplebank.GetBooksRequest())
            found[bank] = (books.executed, books.executed_twice)
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def again(world: World, played: dict[str, object]) -> tuple[int, int, dict[str, object]]:
    """The same file once more: how much the banks executed newly and twice, and the report."""
    assert played
    before = await executed(world)
    told, report = await world.day(write_orders(world.folder, ORDERS, SEED))
    assert_ties_out(told, report, ORDERS)
    after = await executed(world)
    newly = sum(after[bank][0] - before[bank][0] for bank in BANKS)
    return newly, sum(twice for _, twice in after.values()), report


async def test_a_day_with_ordinary_banks_comes_right_by_itself(
    world: World, played: dict[str, object]
) -> None:
    assert played.keys() == KEYS
    assert played["payments_carried"] == 1, "one bank disagreed about one leg"
    settlements = played["settlements"]
    assert isinstance(settlements, list)
    assert {line["bank"] for line in settlements} == set(BANKS)
    assert sum(line["disputed_legs"] for line in settlements) == 1
    assert sum(line["in_doubt_resolved"] for line in settlements) > 0, "a lost reply was resolved"
    async with world.connect() as link:
        behaved: set[str] = set()
        for stub in link.banks.values():
            books = await stub.GetBooks(samplebank.GetBooksRequest())
            assert books.executed_twice == 0
            behaved |= {name for name, times in books.behaviours.items() if times}
    assert {"LOST_REPLY", "DUPLICATE_CONFIRM", "ROOT_DIFFERS"} <= behaved


async def test_the_same_file_again_pays_nobody_twice(
    played: dict[str, object], again: tuple[int, int, dict[str, object]]
) -> None:
    newly, twice, report = again
    assert newly == played["payments_carried"], "only the carried leg was still to be paid"
    assert twice == 0
    assert report["payments_carried"] == 0
    assert report["payments_refused"] == played["payments_refused"]


async def test_every_read_model_is_the_fold_of_its_events(
    world: World, played: dict[str, object]
) -> None:
    assert played
    told = await world.hefu("replay", "all")
    assert told.code == 0, told.output
    assert told.output.count("the same, row for row") > 3


async def test_a_trace_tells_the_whole_story_of_a_payment(
    world: World, played: dict[str, object]
) -> None:
    assert played
    async with world.connect() as link:
        page = await link.payments.ListPayments(
            payments.ListPaymentsRequest(
                settlement=payments.SETTLEMENT_STATUS_SETTLED, page_size=1000
            )
        )
    paid = next(found for found in page.payments if found.terms.HasField("payout"))
    told = await world.hefu("trace", paid.payment_id, "--json")
    assert told.code == 0, told.output
    moments = [json.loads(line) for line in told.output.splitlines() if line.startswith("{")]
    assert {moment["where"] for moment in moments} == {
        "payments", "accounts", "settlement", "bank",
    }  # fmt: skip
    happened = [moment["what"] for moment in moments]
    for what in (
        "PaymentRequested", "HoldPlaced", "HoldCaptured", "PaymentEnteredWindow",
        "BankTransferIntended", "→ pain.001.001.09", "← pain.002.001.10", "PaymentPaid",
        "← camt.053.001.08", "PaymentSettled",
    ):  # fmt: skip
        assert what in happened, f"{what} is missing of {happened}"
    assert [moment["at_us"] for moment in moments] == sorted(m["at_us"] for m in moments)


async def test_streams_are_listed_and_shown_decoded(
    world: World, played: dict[str, object]
) -> None:
    assert played
    told = await world.hefu("events", "list", "--prefix", "settlement-", "--json")
    streams = [json.loads(line)["stream"] for line in told.output.splitlines()]
    assert len(streams) >= len(BANKS)
    shown = await world.hefu("events", "show", streams[0], "--json")
    types = [json.loads(line)["type"] for line in shown.output.splitlines()]
    assert types[0] == "hefu.settlement.v1.SettlementDrafted"
    journal = await world.hefu("events", "show", "journal-0", "--limit", "3")
    assert "PageWritten" in journal.output
    missing = await world.hefu("events", "show", "payment-none")
    assert missing.code == 1


async def test_status_shows_every_process_healthy(world: World) -> None:
    told = await world.hefu("status", "--json")
    assert told.code == 0, told.output
    for name in ("nats", "eventstore", "accounts", "payments", "settlement", "bank-AB"):
        assert name in told.output


def wallet_with_money() -> UUID:
    file = parse_orders(order_lines(ORDERS, SEED), "CZK", frozenset(BANKS))
    return wallet_id(next(iter(file.accounts)), "CZK")


async def test_a_thousand_calls_with_ten_ids_make_ten_payments(
    world: World, again: tuple[int, int, dict[str, object]]
) -> None:
    assert again
    wallet = wallet_with_money()
    ids = [new_id() for _ in range(10)]
    terms = payout(wallet, "AB", "5550001112", Money("CZK", 1))
    async with HefuClient.open(world.system.run_dir) as hefu:

        async def ask(number: int) -> payments.CreatePaymentResponse:
            request = payments.CreatePaymentRequest(payment_id=str(ids[number % 10]), terms=terms)
            return await hefu.payments.stub.CreatePayment(request, timeout=60)

        answers = await asyncio.gather(*(ask(number) for number in range(1000)))
        for number, answer in enumerate(answers):
            assert answer.payment.payment_id == str(ids[number % 10])
            assert answer.payment.terms == terms
        assert sum(not answer.is_replayed for answer in answers) == 10
        found = [
            payment.payment_id
            async for payment in hefu.payments.pages(account_id=wallet)
            if payment.payment_id in {str(id_) for id_ in ids}
        ]
    assert sorted(found) == sorted(str(id_) for id_ in ids)


async def test_another_body_under_a_known_id_is_refused_by_field(
    world: World, again: tuple[int, int, dict[str, object]]
) -> None:
    assert again
    wallet = wallet_with_money()
    id_ = new_id()
    async with HefuClient.open(world.system.run_dir) as hefu:
        await hefu.payments.create(id_, payout(wallet, "AB", "5550001112", Money("CZK", 2)))
        with pytest.raises(HefuError) as refused:
            await hefu.payments.create(id_, payout(wallet, "AB", "5550001113", Money("CZK", 3)))
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    fields = {violation.field for violation in refused.value.violations}
    assert fields == {"terms.amount.minor_units", "terms.payout.bank_account"}
    shown = await world.hefu("events", "show", f"payment-{id_}", "--json")
    assert shown.output.count("PaymentRequested") == 1


async def test_a_faulty_file_executes_nothing_and_names_line_field_and_reason(
    world: World,
) -> None:
    lines = order_lines(3, 99)
    file = world.folder / "faulty.asc"
    file.write_text("\n".join([*lines, '990999;1;"AB";"1";1.001;" "']) + "\n")
    told, report = await world.day(file)
    assert told.code == 2
    assert "line 5: amount" in told.output
    assert not report


async def test_valid_lines_of_a_faulty_file_are_played_when_asked(
    world: World, again: tuple[int, int, dict[str, object]], tmp_path: Path
) -> None:
    assert again
    (file := tmp_path / "part.asc").write_text(
        "\n".join([*order_lines(3, 98), '990999;1;"ZZ";"1";1.00;" "']) + "\n"
    )
    told, report = await world.day(file, "--skip-invalid")
    assert "1 lines skipped" in told.output
    assert_ties_out(told, report, 3)
