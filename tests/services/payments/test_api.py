"""Payments over gRPC, as a wallet back end and an operator meet them."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import grpc
import pytest

from hefu.payments.v1 import events_pb2
from hefu.payments.v1 import payments_pb2 as pb
from libs.client import HefuError, is_settled, merchant_payment, payout, top_up, transfer
from libs.client.payments import PaymentsClient
from libs.decider import Cause, FieldViolation
from libs.grpc_client import open_channel
from libs.grpc_errors import reason_of, violations_of
from libs.money import Money
from libs.wire import money_to_wire
from services.payments.codec import codec
from services.payments.domain.lifecycle import Doubted
from services.payments.domain.payment import Record, payment
from services.payments.reactions import PaymentStreams
from tests.services.payments.conftest import Served, serving
from tests.services.payments.worlds import FEES, MERCHANT, OTHER, WALLET, World, payment_id

AMOUNT = Money("CZK", 10_000)
ID, OTHER_ID, REFUND_ID = payment_id(1), payment_id(2), payment_id(3)
PAYOUT = payout(WALLET, "CD", "123456789", AMOUNT, "Jana")
TRANSFER = transfer(WALLET, OTHER, AMOUNT)
SALE = merchant_payment(WALLET, MERCHANT, AMOUNT, 150)


def fund(served: Served, minor: int = 10_000_000) -> None:
    served.world.journal.balances[WALLET] = minor


async def test_a_payment_is_made_and_waited_for(served: Served) -> None:
    fund(served)
    asked = await served.wallet.create(ID, TRANSFER)
    assert asked.status == pb.PAYMENT_STATUS_PROCESSING
    done = await served.wallet.wait(ID)
    assert done.status == pb.PAYMENT_STATUS_SUCCEEDED
    assert (await served.wallet.get(ID)).status == pb.PAYMENT_STATUS_SUCCEEDED


async def test_a_payout_is_waited_for_until_it_is_settled_with_the_bank(served: Served) -> None:
    fund(served)
    await served.wallet.create(ID, PAYOUT)
    await served.world.until(ID, "EnteredWindow")
    waiting = asyncio.create_task(served.wallet.wait(ID, until=is_settled))
    await served.world.banks.decided(ID, "DONE")
    await served.world.banks.settled(ID)
    settled = await waiting
    assert settled.settlement == pb.SETTLEMENT_STATUS_SETTLED
    assert (settled.window_id, settled.settlement_id) == ("window-1", "settlement-1")


async def test_a_thousand_calls_under_ten_ids_make_ten_payments(served: Served) -> None:
    fund(served)
    ids = [payment_id(number) for number in range(10, 20)]
    requests = [pb.CreatePaymentRequest(payment_id=id_, terms=TRANSFER) for id_ in ids * 100]
    stub = served.wallet.stub
    responses = await asyncio.gather(*(stub.CreatePayment(each, timeout=30) for each in requests))
    answers = {
        id_: {
            (each.payment.payment_id, each.payment.terms.SerializeToString(deterministic=True))
            for each in responses
            if each.payment.payment_id == id_
        }
        for id_ in ids
    }
    assert all(len(equal) == 1 for equal in answers.values())
    assert sum(not each.is_replayed for each in responses) == 10
    for id_ in ids:
        await served.wallet.wait(id_)
    assert served.world.journal.balances[OTHER] == 10 * AMOUNT.minor


@pytest.mark.parametrize(
    ("terms", "fields"),
    [
        (transfer(WALLET, OTHER, Money("CZK", 9_999)), ["terms.amount.minor_units"]),
        (transfer(WALLET, OTHER, Money("EUR", 10_000)), ["terms.amount.currency_code"]),
        (transfer(WALLET, MERCHANT, AMOUNT), ["terms.transfer.payee_account_id"]),
        (transfer(WALLET, OTHER, AMOUNT, "hello"), ["terms.note"]),
        (PAYOUT, ["terms.kind"]),
    ],
)
async def test_other_terms_under_one_id_are_refused_field_by_field(
    served: Served, terms: events_pb2.PaymentTerms, fields: list[str]
) -> None:
    fund(served)
    await served.wallet.create(ID, TRANSFER)
    before = await served.world.until(ID, "Completed")
    with pytest.raises(HefuError) as refused:
        await served.wallet.create(ID, terms)
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert [each.field for each in refused.value.violations] == fields
    request = pb.CreatePaymentRequest(payment_id=ID, terms=terms)
    with pytest.raises(grpc.aio.AioRpcError) as single:
        await served.wallet.stub.CreatePayment(request, timeout=30)
    assert single.value.code() is grpc.StatusCode.ALREADY_EXISTS
    assert [each.field for each in violations_of(single.value)] == fields
    assert await served.world.events(ID) == before


async def test_keys_belong_to_their_caller(served: Served) -> None:
    fund(served)
    await served.wallet.create(ID, TRANSFER)
    with pytest.raises(HefuError) as refused:
        await served.market.create(ID, TRANSFER)
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert refused.value.violations == ()
    for ask in (served.market.get(ID), served.market.cancel(ID), served.market.refund(ID)):
        with pytest.raises(HefuError) as refused:
            await ask
        assert refused.value.reason == "PAYMENT_NOT_FOUND"
    assert [each async for each in served.market.pages()] == []
    assert len([each async for each in served.wallet.pages()]) == 1


async def test_a_malformed_request_is_refused_with_its_field(served: Served) -> None:
    request = pb.CreatePaymentRequest(payment_id="x", terms=TRANSFER)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.wallet.stub.CreatePayment(request, timeout=30)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [each.field for each in violations_of(refused.value)] == ["payment_id"]
    with pytest.raises(HefuError) as local:
        await served.wallet.create("x", TRANSFER)
    assert local.value.violations[0].field == "payment_id"


async def test_each_item_of_a_bulk_call_has_its_own_result(served: Served) -> None:
    fund(served)
    items = [
        pb.CreatePaymentRequest(payment_id=ID, terms=TRANSFER),
        pb.CreatePaymentRequest(payment_id=OTHER_ID, terms=transfer(WALLET, WALLET, AMOUNT)),
        pb.CreatePaymentRequest(payment_id=ID, terms=TRANSFER),
        pb.CreatePaymentRequest(payment_id=ID, terms=SALE),
    ]
    request = pb.CreatePaymentsRequest(payments=items)
    response = await served.wallet.stub.CreatePayments(request, timeout=30)
    assert [each.payment_id for each in response.results] == [ID, OTHER_ID, ID, ID]
    assert [each.refusal.reason for each in response.results] == [
        "",
        "SAME_ACCOUNT_BOTH_SIDES",
        "",
        "IDEMPOTENCY_KEY_REUSED",
    ]
    assert [each.is_replayed for each in response.results] == [False, False, True, False]
    assert response.results[3].refusal.fields[0].field == "terms.kind"
    assert response.position > 0


async def test_wrong_control_sums_refuse_all_before_any(served: Served) -> None:
    request = pb.CreatePaymentsRequest(
        payments=[pb.CreatePaymentRequest(payment_id=ID, terms=TRANSFER)],
        control_sums=[money_to_wire(Money("CZK", 9_999))],
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.wallet.stub.CreatePayments(request, timeout=30)
    assert reason_of(refused.value) == "BATCH_TOTALS_DIFFER"
    assert violations_of(refused.value) == (
        FieldViolation("control_sums", "CZK: 9999 told, 10000 found"),
    )
    assert await served.world.events(ID) == []
    request.control_sums[0].minor_units = 10_000
    assert len((await served.wallet.stub.CreatePayments(request, timeout=30)).results) == 1


async def test_a_payment_that_is_not_there_is_not_found(served: Served) -> None:
    with pytest.raises(HefuError) as refused:
        await served.wallet.get(ID)
    assert refused.value.reason == "PAYMENT_NOT_FOUND"
    with pytest.raises(HefuError) as refused:
        await served.wallet.cancel(ID)
    assert refused.value.reason == "PAYMENT_NOT_FOUND"


async def test_an_operator_reads_and_does_not_pay(served: Served) -> None:
    fund(served)
    await served.wallet.create(ID, TRANSFER)
    assert (await served.operator.get(ID)).payment_id == ID
    with pytest.raises(HefuError) as refused:
        await served.operator.create(OTHER_ID, TRANSFER)
    assert refused.value.reason == "PERMISSION_DENIED"


async def test_lists_go_page_by_page_in_the_order_of_requests(served: Served) -> None:
    fund(served)
    ids = [payment_id(number) for number in range(30, 37)]
    for id_ in ids:
        await served.wallet.create(id_, TRANSFER)
    request = pb.ListPaymentsRequest(page_size=3, min_position=served.wallet.position)
    pages = []
    while True:
        page = await served.wallet.stub.ListPayments(request, timeout=30)
        pages.append([each.payment_id for each in page.payments])
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert pages == [ids[:3], ids[3:6], ids[6:]]
    found = [each async for each in served.wallet.pages(account_id=OTHER)]
    assert [each.payment_id for each in found] == ids
    assert all(each.HasField("change_time") for each in found)
    assert [each async for each in served.wallet.pages(account_id=MERCHANT)] == []


async def test_a_page_token_of_ones_own_making_is_refused(served: Served) -> None:
    for token in ("abc", "-1", "٣", "9" * 40):
        request = pb.ListPaymentsRequest(page_token=token)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.wallet.stub.ListPayments(request, timeout=30)
        assert reason_of(refused.value) == "PAGE_TOKEN_INVALID"


async def test_a_position_past_all_payments_is_answered_with_all_there_is(served: Served) -> None:
    fund(served)
    await served.wallet.create(ID, TRANSFER)
    await served.wallet.wait(ID)
    request = pb.GetPaymentRequest(payment_id=ID, min_position=10**12)
    response = await served.wallet.stub.GetPayment(request, timeout=10)
    assert response.payment.payment_id == ID


async def test_a_payout_in_our_hands_is_cancelled_and_the_money_is_free(served: Served) -> None:
    served.world.journal.windows.clear()
    fund(served, AMOUNT.minor)
    served.world.journal.is_away = True
    await served.wallet.create(ID, PAYOUT)
    cancelled = await served.wallet.cancel(ID)
    assert cancelled.status == pb.PAYMENT_STATUS_PROCESSING
    served.world.journal.is_away = False
    done = await served.wallet.wait(ID)
    assert done.status == pb.PAYMENT_STATUS_CANCELLED
    assert served.world.journal.available(WALLET) == AMOUNT.minor


async def test_refunds_go_back_in_parts_until_nothing_is_left(served: Served) -> None:
    fund(served, AMOUNT.minor)
    await served.wallet.create(ID, SALE)
    await served.wallet.wait(ID)
    first = await served.wallet.refund(ID, Money("CZK", 1_000), refund_id=OTHER_ID)
    assert (await served.wallet.wait(first.payment_id)).status == pb.PAYMENT_STATUS_SUCCEEDED
    assert (await served.wallet.get(ID)).refunded_minor == 1_000
    last = await served.wallet.refund(ID, refund_id=REFUND_ID)
    await served.wallet.wait(last.payment_id)
    original = await served.wallet.get(ID)
    assert original.status == pb.PAYMENT_STATUS_REVERSED
    balances = served.world.journal.balances
    assert (balances[WALLET], balances[MERCHANT], balances[FEES]) == (AMOUNT.minor, 0, 0)
    again = await served.wallet.refund(ID, refund_id=REFUND_ID)
    assert (again.payment_id, again.status) == (REFUND_ID, pb.PAYMENT_STATUS_SUCCEEDED)
    with pytest.raises(HefuError) as refused:
        await served.wallet.refund(ID)
    assert refused.value.reason == "REFUND_EXCEEDS_ORIGINAL"


async def test_racing_refunds_never_give_back_more_than_was_paid(served: Served) -> None:
    fund(served, AMOUNT.minor)
    await served.wallet.create(ID, SALE)
    await served.wallet.wait(ID)
    refunds = [
        served.wallet.refund(ID, Money("CZK", 3_000), refund_id=payment_id(number))
        for number in range(50, 58)
    ]
    outcomes = await asyncio.gather(*refunds, return_exceptions=True)
    taken = [each for each in outcomes if isinstance(each, pb.Payment)]
    assert len(taken) == 3
    for each in taken:
        await served.wallet.wait(each.payment_id)
    assert served.world.journal.balances[WALLET] == 9_000


async def test_a_refund_that_the_merchant_cannot_pay_fails_and_frees_its_part(
    served: Served,
) -> None:
    fund(served, AMOUNT.minor)
    await served.wallet.create(ID, SALE)
    await served.wallet.wait(ID)
    served.world.journal.balances[MERCHANT] = 0
    await served.wallet.refund(ID, refund_id=REFUND_ID)
    failed = await served.wallet.wait(REFUND_ID)
    assert failed.failure_reason == "MERCHANT_BALANCE_TOO_LOW"
    served.world.journal.balances[MERCHANT] = 9_850
    await served.wallet.refund(ID, refund_id=OTHER_ID)
    assert (await served.wallet.wait(OTHER_ID)).status == pb.PAYMENT_STATUS_SUCCEEDED


async def test_a_refund_asked_for_by_terms_is_the_same_refund(served: Served) -> None:
    fund(served, AMOUNT.minor)
    await served.wallet.create(ID, TRANSFER)
    await served.wallet.wait(ID)
    terms = events_pb2.PaymentTerms(
        amount=money_to_wire(Money("CZK", 400)),
        refund=events_pb2.Refund(original_payment_id=ID),
    )
    await served.wallet.create(REFUND_ID, terms)
    await served.wallet.wait(REFUND_ID)
    same = await served.wallet.refund(ID, Money("CZK", 400), refund_id=REFUND_ID)
    assert same.status == pb.PAYMENT_STATUS_SUCCEEDED
    terms.amount.minor_units = 500
    with pytest.raises(HefuError) as refused:
        await served.wallet.create(REFUND_ID, terms)
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert [each.field for each in refused.value.violations] == ["terms.amount.minor_units"]
    with pytest.raises(HefuError) as refused:
        await served.wallet.refund(ID, Money("CZK", 400), refund_id=ID)
    assert refused.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert served.world.journal.balances[WALLET] == 400


async def test_a_watch_tells_every_change_in_order_from_the_first(served: Served) -> None:
    fund(served)
    await served.wallet.create(ID, PAYOUT)
    await served.world.until(ID, "EnteredWindow")
    seen: list[str] = []
    async with asyncio.timeout(10):
        async for change in served.wallet.watch([ID]):
            seen.append(change.event)
            if change.event == "PaymentEnteredWindow":
                break
    assert seen == ["PaymentRequested", "PaymentFundsHeld", "PaymentEnteredWindow"]


async def test_many_changes_come_in_one_message_and_without_the_requests(served: Served) -> None:
    fund(served)
    ids = [payment_id(number) for number in range(10, 20)]
    await asyncio.gather(*(served.wallet.create(id_, TRANSFER) for id_ in ids))
    await asyncio.gather(*(served.wallet.wait(id_) for id_ in ids))
    request = pb.WatchPaymentsRequest(without_requests=True, changes_max=4)
    messages: list[list[str]] = []
    async with asyncio.timeout(10):
        async for response in served.wallet.stub.WatchPayments(request, timeout=10):
            assert not response.HasField("payment")
            messages.append([each.payment.payment_id for each in response.changes])
            assert {each.event for each in response.changes} == {"PaymentCompleted"}
            if sum(map(len, messages)) == len(ids):
                break
    assert sorted(id_ for each in messages for id_ in each) == ids
    assert [len(each) for each in messages] == [4, 4, 2]


async def test_a_top_up_is_processing_until_the_bank_has_said(served: Served) -> None:
    await served.wallet.create(ID, top_up(WALLET, "CD", "1", AMOUNT))
    await served.world.until(ID, "PullRequested")
    await served.world.banks.doubted(ID)
    await served.world.until(ID, "Doubted")
    doubted = await served.wallet.get(ID)
    assert (doubted.status, doubted.is_in_doubt) == (pb.PAYMENT_STATUS_PROCESSING, True)
    await served.world.banks.decided(ID, "DONE")
    assert (await served.wallet.wait(UUID(ID))).status == pb.PAYMENT_STATUS_SUCCEEDED


async def test_what_another_process_recorded_is_seen_by_readers_and_watchers(
    served: Served,
) -> None:
    await served.wallet.create(ID, top_up(WALLET, "CD", "1", AMOUNT))
    await served.world.until(ID, "PullRequested")
    assert not (await served.wallet.get(ID)).is_in_doubt
    another = PaymentStreams(served.world.store, "payment", payment, codec)
    done = await another.transact(ID, Record(Doubted("no reply")), Cause("another"))
    async with asyncio.timeout(10):
        async for change in served.wallet.watch([ID]):
            if change.event == "PaymentDoubted":
                break
    assert change.payment.is_in_doubt
    served.wallet.position = done.position
    assert (await served.wallet.get(ID)).is_in_doubt


async def test_a_client_outlives_a_restart_of_the_service(run_dir: Path) -> None:
    world = World()
    world.journal.balances[WALLET] = 2 * AMOUNT.minor
    async with serving(world, run_dir) as served:
        await served.wallet.create(ID, TRANSFER)
        port = served.port
    async with AsyncExitStack() as stack:
        channel = open_channel(f"localhost:{port}", run_dir / "identities" / "wallet")
        client = PaymentsClient(await stack.enter_async_context(channel))
        stack.push_async_callback(client.close)
        asked = asyncio.create_task(client.create(OTHER_ID, TRANSFER))
        waiting = asyncio.create_task(client.wait(ID))
        await asyncio.sleep(0)
        await stack.enter_async_context(serving(world, run_dir, port))
        assert (await asked).payment_id == OTHER_ID
        assert (await waiting).status == pb.PAYMENT_STATUS_SUCCEEDED
