import grpc
import pytest

from hefu.bank.v1 import bank_pb2 as pb
from hefu.samplebank.v1 import samplebank_pb2 as demo
from libs.grpc_errors import reason_of
from libs.money import Money
from tests.services.samplebank.town import DATE, Town, inquiry, item, payouts, pulls


async def test_a_pull_credits_the_wallet_and_a_payout_debits_it(town: Town) -> None:
    async with town.bank() as visit:
        pulled = await visit.submit(pulls("m1", [item(1, 50_000), item(2, 700)]))
        paid = await visit.submit(payouts("m2", [item(3, 20_000)]))
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert [t.status for t in (*pulled.transactions, *paid.transactions)] == ["ACSC"] * 3
    assert paid.original_message_id == "m2"
    assert paid.transactions[0].amount == Money("CZK", 20_000)
    assert paid.transactions[0].value_date == DATE
    assert (books.balance_minor, books.executed, books.refused) == (30_700, 3, 0)


async def test_a_message_that_comes_again_is_answered_as_the_first_time(town: Town) -> None:
    async with town.bank() as visit:
        first = await visit.submit_raw(payouts("m1", [item(1)]))
    async with town.bank() as visit:
        again = await visit.submit_raw(payouts("m1", [item(1)]))
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert again == first
    assert (books.executed, books.executed_twice) == (1, 0)


async def test_a_transaction_in_another_message_is_executed_once_all_the_same(town: Town) -> None:
    async with town.bank() as visit:
        first = await visit.submit(payouts("m1", [item(1)]))
        again = await visit.submit(payouts("m2", [item(1), item(2)]))
        other = await visit.submit(payouts("m3", [item(1, 99)]))
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert again.transactions[0] == first.transactions[0]
    assert (other.transactions[0].status, other.transactions[0].reason) == ("RJCT", "DU03")
    assert books.balance_minor == -20_000


async def test_other_bytes_under_a_known_message_id_are_refused(town: Town) -> None:
    async with town.bank() as visit:
        await visit.submit(payouts("m1", [item(1)]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.submit(payouts("m1", [item(2)]))
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert reason_of(caught.value) == "MESSAGE_ID_REUSED"
    assert books.executed == 1


async def test_an_unknown_payee_is_refused_and_the_rest_is_paid(town: Town) -> None:
    async with town.bank("ordinary", bank_ordinal=9, seed="two") as visit:
        report = await visit.submit(payouts("m1", [item(n) for n in range(250)]))
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    refused = [t for t in report.transactions if t.status == "RJCT"]
    assert {t.reason for t in refused} == {"AC01"}
    assert 0 < len(refused) < 10
    assert books.executed == 250 - len(refused)
    assert books.behaviours["UNKNOWN_PAYEE"] == books.refused == len(refused)


async def test_the_account_is_overdrawn_to_the_agreed_line_and_no_further(town: Town) -> None:
    async with town.bank(credit_line_minor=25_000) as visit:
        report = await visit.submit(payouts("m1", [item(n) for n in range(3)]))

    assert [(t.status, t.reason) for t in report.transactions] == [
        ("ACSC", ""),
        ("ACSC", ""),
        ("RJCT", "AM04"),
    ]


async def test_an_inquiry_is_answered_from_the_books(town: Town) -> None:
    known, unknown = payouts("m1", [item(1)]), payouts("m2", [item(2)])
    async with town.bank() as visit:
        first = await visit.submit(known)
        found = await visit.submit(inquiry("q1", known))
        missing = await visit.submit(inquiry("q2", unknown))

    assert found.transactions == first.transactions
    assert found.original_message_id == "m1"
    assert (missing.transactions[0].status, missing.transactions[0].reason) == ("RJCT", "NOOR")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"signature": bytes(64)}, "SIGNATURE_INVALID"),
        ({"body": b"<Document/>"}, "SIGNATURE_INVALID"),
        ({"key_id": "0" * 16}, "KEY_UNKNOWN"),
        ({"message_type": "pain.008.001.09"}, "SIGNATURE_INVALID"),
    ],
)
async def test_a_message_that_the_wallet_did_not_sign_changes_nothing(
    town: Town, change: dict[str, object], reason: str
) -> None:
    async with town.bank() as visit:
        message = visit.signed(payouts("m1", [item(1)]))
        for name, value in change.items():
            setattr(message, name, value)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.link.SubmitMessage(pb.SubmitMessageRequest(message=message))
        books = await visit.demo.GetBooks(demo.GetBooksRequest())

    assert reason_of(caught.value) == reason
    assert books.executed == 0


@pytest.mark.parametrize(
    ("message_type", "body", "reason"),
    [
        ("pain.001.001.09", b"<!DOCTYPE a><Document/>", "MESSAGE_INVALID"),
        ("pain.001.001.09", b"\xff\xfe", "MESSAGE_INVALID"),
        ("pain.001.001.03", b"<Document/>", "MESSAGE_TYPE_UNKNOWN"),
    ],
)
async def test_bytes_that_are_no_message_are_refused_by_name(
    town: Town, message_type: str, body: bytes, reason: str
) -> None:
    async with town.bank() as visit:
        request = pb.SubmitMessageRequest(message=visit.sealed(message_type, body))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.link.SubmitMessage(request)

    assert reason_of(caught.value) == reason
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_only_operators_end_the_day_and_only_the_wallet_sends_orders(town: Town) -> None:
    async with town.bank() as visit:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await visit.barred.EndDay(demo.EndDayRequest(business_date=DATE))

    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
