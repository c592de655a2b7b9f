"""Faults on purpose: each happens as told, the books stay right, and it can be made good."""

from typing import cast

import pytest

from hefu.registrar.v1 import registrar_pb2 as link_pb
from hefu.registrar.v1 import sample_registrar_pb2 as pb
from libs.registrar_files import ConfirmationRow, PriceRow
from tests.services.sampleregistrar.exchange import EQUITY, OTHER, Exchange, T, order

NAVS = {EQUITY: 10_025, OTHER: 11_280}
ORDERS = 5


async def played(exchange: Exchange, fault: str) -> None:
    await exchange.plan(fault)
    rows = [order(number, application_amount=1_000_000) for number in range(1, ORDERS + 1)]
    await exchange.submit(rows)
    await exchange.run(NAVS)


def told(rows: object) -> list[ConfirmationRow]:
    return list(cast("tuple[ConfirmationRow, ...]", rows))


async def books(exchange: Exchange) -> pb.GetBooksResponse:
    return await exchange.demo.GetBooks(pb.GetBooksRequest())


async def test_a_late_file_comes_when_it_is_let_go(exchange: Exchange) -> None:
    await played(exchange, "LATE_FILE")
    await exchange.until("07")
    waiting = await exchange.registrar.FetchFiles(
        link_pb.FetchFilesRequest(trade_date=T.isoformat(), from_number=2)
    )
    assert not waiting.packages

    released = await exchange.demo.ReleaseFiles(pb.ReleaseFilesRequest())

    assert released.packages == 1
    assert len(await exchange.until("04")) == ORDERS


async def test_a_duplicate_file_comes_twice(exchange: Exchange) -> None:
    await played(exchange, "DUPLICATE_FILE")
    await exchange.until("05")
    while exchange.distributor.repeats < 2:
        exchange.distributor.changed.clear()
        await exchange.distributor.changed.wait()

    assert exchange.distributor.repeats == 2


async def test_a_partial_confirmation_adds_up(exchange: Exchange) -> None:
    await played(exchange, "PARTIAL_CONFIRMATION")

    rows = told(await exchange.until("04"))
    parts = [row for row in rows if row.detail_flag]
    assert len(rows) == ORDERS + 1
    assert [row.business_finish_flag for row in parts] == ["0", "1"]
    assert sum(row.confirmed_vol for row in parts) == 989_589
    assert sum(row.confirmed_amount for row in parts) == 1_000_000
    assert sum(row.charge for row in parts) == 7_937
    assert len({row.app_sheet_serial_no for row in parts}) == 1
    assert len({row.ta_serial_no for row in parts}) == 2


@pytest.mark.parametrize(
    ("fault", "code"), [("REJECTED_ORDER", "0009"), ("UNKNOWN_RETURN_CODE", "9999")]
)
async def test_one_order_is_rejected(exchange: Exchange, fault: str, code: str) -> None:
    await played(exchange, fault)

    rejected = [row for row in told(await exchange.until("04")) if row.return_code != "0000"]
    assert [(row.return_code, row.refund_amount) for row in rejected] == [(code, 1_000_000)]
    assert len(await exchange.until("05")) == ORDERS - 1


async def test_wrong_units_are_amended_under_the_same_number(exchange: Exchange) -> None:
    await played(exchange, "WRONG_UNITS")
    wrong = [row for row in told(await exchange.until("04")) if row.confirmed_vol != 989_589]

    corrected = await exchange.demo.CorrectRows(pb.CorrectRowsRequest(trade_date=T.isoformat()))
    right = told(await exchange.until("04", 2))

    assert corrected.rows == 1
    assert [row.confirmed_vol for row in wrong] == [989_689]
    assert [row._replace(confirmed_vol=989_689) for row in right] == wrong


async def test_a_missing_order_is_answered_later(exchange: Exchange) -> None:
    await played(exchange, "MISSING_ORDER")
    first = {row.app_sheet_serial_no for row in told(await exchange.until("04"))}

    await exchange.demo.CorrectRows(pb.CorrectRowsRequest(trade_date=T.isoformat()))
    second = {row.app_sheet_serial_no for row in told(await exchange.until("04", 2))}

    assert (len(first), len(second)) == (ORDERS - 1, 1)
    assert not first & second
    assert len(await exchange.until("05")) == ORDERS


async def test_a_row_may_be_about_nobodys_order(exchange: Exchange) -> None:
    await played(exchange, "UNKNOWN_ORDER")

    strange = [r for r in told(await exchange.until("04")) if r.app_sheet_serial_no[0] == "X"]
    assert len(strange) == 1
    assert len(await exchange.until("05")) == ORDERS


@pytest.mark.parametrize(("fault", "reason"), [("WRONG_COUNT", "COUNT"), ("WRONG_TOTAL", "TOTAL")])
async def test_a_spoiled_file_is_followed_by_the_right_one(
    exchange: Exchange, fault: str, reason: str
) -> None:
    await played(exchange, fault)

    assert len(await exchange.until("04", 2)) == ORDERS
    assert exchange.distributor.refused == [reason]
    assert (await books(exchange)).faults == {fault: 1}


async def test_prices_may_come_last(exchange: Exchange) -> None:
    await played(exchange, "PRICES_AFTER_CONFIRMATIONS")
    await exchange.until("07")

    assert next(iter(exchange.distributor.files)) == ("0105/04", 1)


async def test_a_wrong_price_is_told_right_later(exchange: Exchange) -> None:
    await played(exchange, "WRONG_PRICE")
    wrong = cast("tuple[PriceRow, ...]", await exchange.until("07"))
    await exchange.demo.CorrectRows(pb.CorrectRowsRequest(trade_date=T.isoformat()))
    right = cast("tuple[PriceRow, ...]", await exchange.until("07", 2))

    assert len(right) == 1
    spoiled = {row.fund_code: row.nav for row in wrong}[right[0].fund_code]
    assert (spoiled, right[0].nav) == (NAVS[right[0].fund_code] + 1, NAVS[right[0].fund_code])


async def test_a_corrected_price_amends_what_was_confirmed(exchange: Exchange) -> None:
    await exchange.submit([order(1, application_amount=1_000_000)])
    await exchange.run(NAVS)
    first = told(await exchange.until("04"))[0]

    corrected = await exchange.demo.CorrectPrice(
        pb.CorrectPriceRequest(fund_code=EQUITY, trade_date=T.isoformat(), nav=10_050)
    )
    second = told(await exchange.until("04", 2))[0]

    assert corrected.amended == 1
    assert (second.ta_serial_no, second.nav) == (first.ta_serial_no, 10_050)
    assert second.confirmed_vol == round(992_063 / 1.0050)
    assert cast("tuple[PriceRow, ...]", await exchange.until("07", 2))[0].nav == 10_050
    fund = {each.fund_code: each for each in (await books(exchange)).funds}[EQUITY]
    assert fund.shares == second.confirmed_vol


async def test_files_wait_for_a_distributor_that_is_away(exchange: Exchange) -> None:
    exchange.distributor.is_away = True
    await played(exchange, "PARTIAL_CONFIRMATION")
    assert (await books(exchange)).packages_waiting == 2

    exchange.distributor.is_away = False

    assert len(await exchange.until("04")) == ORDERS + 1
