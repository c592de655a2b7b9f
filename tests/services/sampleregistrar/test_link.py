"""The registrar link as a registrar serves it: receipts, repeats, gaps, and who may call."""

from collections.abc import Sequence
from dataclasses import replace

import grpc
import pytest

from hefu.registrar.v1 import registrar_pb2 as pb
from hefu.registrar.v1 import sample_registrar_pb2 as demo_pb
from hefu.registrar.v1.sample_registrar_pb2_grpc import SampleRegistrarServiceStub
from libs.grpc_client import open_channel
from libs.grpc_errors import reason_of
from libs.registrar_files import (
    AccountConfirmation,
    AccountRequest,
    PackageKey,
    Row,
    build_index,
    make_package,
)
from services.sampleregistrar.codec import package_message
from tests.services.sampleregistrar.exchange import (
    EQUITY,
    NEXT,
    OTHER,
    PROFILE,
    TA,
    US,
    Exchange,
    T,
    order,
)

ACCEPTED = pb.RECEIPT_OUTCOME_ACCEPTED
REPEATED = pb.RECEIPT_OUTCOME_REPEATED
REFUSED = pb.RECEIPT_OUTCOME_REFUSED


async def send(exchange: Exchange, package: pb.FilePackage) -> pb.SubmitFilesResponse:
    return await exchange.registrar.SubmitFiles(pb.SubmitFilesRequest(package=package))


async def test_the_same_package_again_is_answered_and_does_nothing(exchange: Exchange) -> None:
    first = await exchange.submit([order(1, application_amount=100)])
    again = await exchange.submit([order(1, application_amount=100)])
    other = await exchange.submit([order(1, application_amount=200)])

    assert [r.outcome for r in first.receipts] == [ACCEPTED]
    assert first.receipts[0].rows == 1
    assert [r.outcome for r in again.receipts] == [REPEATED]
    assert other.receipts[0].outcome == REFUSED
    assert other.receipts[0].faults[0].reason == "OTHER_CONTENT"
    assert (await exchange.demo.GetBooks(demo_pb.GetBooksRequest())).orders == 1


async def test_a_receipt_can_be_asked_for(exchange: Exchange) -> None:
    request = pb.GetReceiptRequest(trade_date=T.isoformat(), number=1)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await exchange.registrar.GetReceipt(request)
    assert reason_of(refusal.value) == "MESSAGE_NOT_FOUND"

    await exchange.submit([order(1, application_amount=100)])

    found = await exchange.registrar.GetReceipt(request)
    assert [(r.outcome, r.rows) for r in found.receipts] == [(ACCEPTED, 1)]


async def test_a_lost_receipt_is_found_by_asking(exchange: Exchange) -> None:
    await exchange.plan("LOST_RECEIPT")
    with pytest.raises(grpc.aio.AioRpcError) as lost:
        await exchange.submit([order(1, application_amount=100)])
    assert lost.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    found = await exchange.registrar.GetReceipt(
        pb.GetReceiptRequest(trade_date=T.isoformat(), number=1)
    )
    again = await exchange.submit([order(1, application_amount=100)])

    assert found.receipts[0].outcome == ACCEPTED
    assert again.receipts[0].outcome == REPEATED


async def test_a_gap_is_refused_and_may_be_filled(exchange: Exchange) -> None:
    early = await exchange.submit([order(2, application_amount=100)], number=2)
    await exchange.submit([order(1, application_amount=100)], number=1)
    later = await exchange.submit([order(2, application_amount=100)], number=2)

    assert early.receipts[0].faults[0].reason == "GAP"
    assert later.receipts[0].outcome == ACCEPTED


async def test_a_spoiled_file_is_refused_with_row_and_field(exchange: Exchange) -> None:
    key = PackageKey(US, TA, T, 1)
    package = make_package(key, {"03": [order(1, application_amount=100)]}, PROFILE)
    file = package.files[0]
    bad = replace(file, body=file.body.replace(b"SPKO01", b"SP K01"))
    index = build_index(key, [(bad, 1)], PROFILE)

    answer = await send(exchange, package_message(replace(package, index=index, files=(bad,)), TA))

    fault = answer.receipts[0].faults[0]
    assert (answer.receipts[0].outcome, fault.reason) == (REFUSED, "FIELD")
    assert (fault.row, fault.field) == (1, "FundCode")
    assert (await exchange.demo.GetBooks(demo_pb.GetBooksRequest())).orders == 0


async def test_a_number_used_before_is_refused_whole(exchange: Exchange) -> None:
    await exchange.submit([order(1, application_amount=100)])
    again = await exchange.submit(
        [order(2, application_amount=100), order(1, application_amount=100)], number=2
    )

    fault = again.receipts[0].faults[0]
    assert (fault.reason, fault.row, fault.field) == ("FIELD", 2, "AppSheetSerialNo")
    assert (await exchange.demo.GetBooks(demo_pb.GetBooksRequest())).orders == 1


async def test_orders_of_a_day_that_was_run_come_too_late(exchange: Exchange) -> None:
    await exchange.run({})

    late = await exchange.submit([order(1, application_amount=100)])

    assert late.receipts[0].faults[0].reason == "DATE"


async def test_a_package_for_another_registrar_is_refused(exchange: Exchange) -> None:
    package = make_package(PackageKey(US, TA, T, 1), {"03": []}, PROFILE)

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await send(exchange, package_message(package, "OTHER"))
    assert reason_of(refusal.value) == "FIELD_INVALID"


async def test_each_party_may_do_its_own_alone(exchange: Exchange) -> None:
    distributor = exchange.run_dir / "identities" / "funds"

    async with open_channel(exchange.address, distributor, mutual=True) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await SampleRegistrarServiceStub(channel).GetBooks(demo_pb.GetBooksRequest())
    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_issued_packages_can_be_fetched(exchange: Exchange) -> None:
    await exchange.run({})
    found = await exchange.registrar.FetchFiles(
        pb.FetchFilesRequest(trade_date=T.isoformat(), from_number=1)
    )
    later = await exchange.registrar.FetchFiles(
        pb.FetchFilesRequest(trade_date=T.isoformat(), from_number=2)
    )

    assert [package.number for package in found.packages] == [1, 2]
    assert [file.type for file in later.packages[0].files] == [4, 5]


async def test_accounts_that_are_asked_for_are_opened_and_answered_on_the_next_morning(
    exchange: Exchange,
) -> None:
    asked = AccountRequest("HA0001", "001", "INV00001", T)
    rows: dict[str, Sequence[Row]] = {"01": [asked], "03": [order(1, application_amount=1_000_000)]}
    package = make_package(PackageKey(US, TA, T, 1), rows, PROFILE)
    done = await send(exchange, package_message(package, TA))
    assert [receipt.outcome for receipt in done.receipts] == [ACCEPTED, ACCEPTED]

    await exchange.run({EQUITY: 10_025, OTHER: 11_280})

    (answer,) = await exchange.until("02")
    assert isinstance(answer, AccountConfirmation)
    assert (answer.app_sheet_serial_no, answer.business_code) == ("HA0001", "101")
    assert (answer.return_code, answer.ta_account_id) == ("0000", "000000000001")
    assert (answer.transaction_date, answer.transaction_cfm_date) == (T, NEXT)
