"""Trade days of the sample registrar: what is confirmed, at which price, and what the books say."""

from datetime import date
from typing import cast

import grpc
import pytest

from hefu.registrar.v1 import registrar_pb2 as link_pb
from hefu.registrar.v1 import sample_registrar_pb2 as pb
from libs.grpc_errors import reason_of
from libs.registrar_files import BalanceRow, ConfirmationRow, DividendRow, OrderRow, PriceRow
from tests.services.sampleregistrar.exchange import (
    AFTER,
    EQUITY,
    MONEY,
    NEXT,
    OTHER,
    Exchange,
    T,
    order,
)

NAVS = {EQUITY: 10_025, OTHER: 11_280}


def confirmations(rows: object) -> list[ConfirmationRow]:
    return list(cast("tuple[ConfirmationRow, ...]", rows))


def balances(rows: object) -> dict[tuple[str, str], int]:
    found = cast("tuple[BalanceRow, ...]", rows)
    return {
        (row.transaction_account_id, row.fund_code): row.total_vol_of_distributor_in_ta
        for row in found
    }


async def buy(exchange: Exchange, *amounts: int, fund: str = EQUITY) -> None:
    rows = [
        order(number, fund_code=fund, application_amount=amount)
        for number, amount in enumerate(amounts, 1)
    ]
    receipts = (await exchange.submit(rows)).receipts
    assert [receipt.outcome for receipt in receipts] == [link_pb.RECEIPT_OUTCOME_ACCEPTED]
    await exchange.run(NAVS)
    await exchange.until("05")


async def test_a_subscription_is_confirmed_as_the_reference_says(exchange: Exchange) -> None:
    await buy(exchange, 1_000_000)

    row = confirmations(exchange.distributor.rows("04"))[0]
    assert (row.business_code, row.return_code, row.business_finish_flag) == ("122", "0000", "1")
    assert (row.confirmed_vol, row.charge, row.agency_fee) == (989_589, 7_937, 7_937)
    assert (row.confirmed_amount, row.nav) == (1_000_000, 10_025)
    assert (row.transaction_date, row.transaction_cfm_date) == (T, NEXT)
    assert balances(exchange.distributor.rows("05")) == {("INV00001", EQUITY): 989_589}


async def test_prices_come_first_and_say_the_day(exchange: Exchange) -> None:
    await buy(exchange, 1_000_000)

    rows = cast("tuple[PriceRow, ...]", exchange.distributor.rows("07"))
    assert {(row.fund_code, row.nav_date, row.nav) for row in rows} == {
        (EQUITY, T, 10_025),
        (OTHER, T, 11_280),
        (MONEY, T, 10_000),
    }
    assert next(iter(exchange.distributor.files)) == ("0105/07", 1)


async def test_a_redemption_pays_less_its_fee_by_days_held(exchange: Exchange) -> None:
    await buy(exchange, 1_000_000)
    sell = order(
        2,
        "024",
        transaction_account_id="INV00001",
        application_vol=100_000,
        transaction_date=NEXT,
    )
    await exchange.submit([sell], NEXT)
    await exchange.run(NAVS, NEXT, AFTER)

    row = confirmations(await exchange.until("04", day=NEXT))[0]
    # 1,000.00 shares at 1.0025 held one day: 1.5 % of 1,002.50.
    assert (row.business_code, row.confirmed_vol, row.charge) == ("124", 100_000, 1_504)
    assert row.confirmed_amount == 100_250 - 1_504
    assert balances(await exchange.until("05", day=NEXT)) == {("INV00001", EQUITY): 889_589}


async def test_more_than_is_there_is_not_redeemed(exchange: Exchange) -> None:
    await buy(exchange, 1_000_000)
    sell = order(
        2, "024", transaction_account_id="INV00001", application_vol=999_999, transaction_date=NEXT
    )
    await exchange.submit([sell], NEXT)
    done = await exchange.run(NAVS, NEXT, AFTER)

    assert (done.confirmed, done.rejected) == (0, 1)
    assert confirmations(await exchange.until("04", day=NEXT))[0].return_code == "0004"


async def test_a_switch_moves_shares_from_fund_to_fund(exchange: Exchange) -> None:
    await buy(exchange, 1_000_000)
    move = order(
        2,
        "036",
        transaction_account_id="INV00001",
        application_vol=100_000,
        code_of_target_fund=OTHER,
        transaction_date=NEXT,
    )
    await exchange.submit([move], NEXT)
    await exchange.run(NAVS, NEXT, AFTER)

    row = confirmations(await exchange.until("04", day=NEXT))[0]
    # Both charge 0.8 % on the way in, so there is no difference to pay.
    assert (row.business_code, row.charge, row.recuperate_fee) == ("136", 1_504, 0)
    assert row.cfm_vol_of_target_fund == round((100_250 - 1_504) / 1.1280)
    assert balances(await exchange.until("05", day=NEXT)) == {
        ("INV00001", EQUITY): 889_589,
        ("INV00001", OTHER): row.cfm_vol_of_target_fund,
    }


async def test_a_large_redemption_is_gated_as_the_reference_says(exchange: Exchange) -> None:
    # 0.8 % off 1,008,000.00 is 1,000,000.00: so many shares at 1.00.
    await exchange.submit([order(1, application_amount=100_800_000)])
    await exchange.run({EQUITY: 10_000, OTHER: 10_000})
    asked = [("A", 9_000_000), ("B", 6_000_000), ("C", 3_000_000)]
    rows = [
        order(
            place,
            "024",
            transaction_account_id="INV00001",
            application_vol=shares,
            transaction_date=NEXT,
        )
        for place, (_, shares) in enumerate(asked, 2)
    ]
    rows.append(
        order(
            5,
            "036",
            transaction_account_id="INV00001",
            application_vol=2_000_000,
            code_of_target_fund=OTHER,
            transaction_date=NEXT,
        )
    )
    rows.append(order(6, application_amount=5_040_000, transaction_date=NEXT))
    await exchange.submit(rows, NEXT)
    gate = pb.DayGate(fund_code=EQUITY, accepted_shares=10_000_000)
    done = await exchange.run({EQUITY: 10_000, OTHER: 10_000}, NEXT, AFTER, gates=[gate])

    told = {
        r.app_sheet_serial_no[-1]: r for r in confirmations(await exchange.until("04", day=NEXT))
    }
    assert [told[key].confirmed_vol for key in "2345"] == [
        4_500_000,
        3_000_000,
        1_500_000,
        1_000_000,
    ]
    assert {told[key].business_finish_flag for key in "2345"} == {"0"}
    assert done.rolled_over == 4
    position = next(
        row
        for row in cast("tuple[BalanceRow, ...]", await exchange.until("05", day=NEXT))
        if row.transaction_account_id == "INV00001" and row.fund_code == EQUITY
    )
    assert position.total_frozen_vol == 10_000_000

    later = date(2015, 1, 8)
    await exchange.run({EQUITY: 10_000, OTHER: 10_000}, AFTER, later)
    rest = confirmations(await exchange.until("04", day=AFTER))
    assert sorted(row.confirmed_vol for row in rest) == [1_000_000, 1_500_000, 3_000_000, 4_500_000]
    assert {row.business_finish_flag for row in rest} == {"1"}
    assert {row.transaction_date for row in rest} == {AFTER}


async def test_who_wants_no_rest_gets_none(exchange: Exchange) -> None:
    await exchange.submit([order(1, application_amount=100_800_000)])
    await exchange.run({EQUITY: 10_000})
    sell = order(
        2,
        "024",
        transaction_account_id="INV00001",
        application_vol=50_000_000,
        large_redemption_flag="0",
        transaction_date=NEXT,
    )
    await exchange.submit([sell], NEXT)
    gate = pb.DayGate(fund_code=EQUITY)
    done = await exchange.run({EQUITY: 10_000}, NEXT, AFTER, gates=[gate])

    row = confirmations(await exchange.until("04", day=NEXT))[0]
    assert (row.confirmed_vol, row.business_finish_flag, done.rolled_over) == (10_000_000, "1", 0)


async def test_a_dividend_is_paid_or_reinvested(exchange: Exchange) -> None:
    await buy(exchange, 1_000_000, 1_000_000)
    mode = order(
        3, "029", transaction_account_id="INV00001", def_dividend_method="1", transaction_date=NEXT
    )
    await exchange.submit([mode], NEXT)
    await exchange.run(NAVS, NEXT, AFTER)
    later = date(2015, 1, 8)
    dividend = pb.DayDividend(fund_code=EQUITY, per_share=350, payment_date=later.isoformat())
    await exchange.run(NAVS, AFTER, later, dividends=[dividend])

    rows = cast("tuple[DividendRow, ...]", await exchange.until("06", day=AFTER))
    cash = round(989_589 * 0.035)
    assert [(r.confirmed_amount, r.vol_of_dividend_for_reinvestment) for r in rows] == [
        (cash, 0),
        (0, round(cash / 1.0025)),
    ]
    held = balances(await exchange.until("05", day=AFTER))
    assert held["INV00001", EQUITY] == 989_589
    assert held["INV00002", EQUITY] == 989_589 + round(cash / 1.0025)


async def test_a_money_fund_credits_income_day_by_day(exchange: Exchange) -> None:
    friday, monday, tuesday = date(2015, 1, 9), date(2015, 1, 12), date(2015, 1, 13)
    thursday = date(2015, 1, 8)
    bought = order(1, fund_code=MONEY, application_amount=800_000, transaction_date=thursday)
    await exchange.submit([bought], thursday)
    await exchange.run({}, thursday, friday)
    incomes = [
        pb.DayIncome(fund_code=MONEY, date=f"2015-01-{day:02d}", income_per_ten_thousand=income)
        for day, income in ((9, 5_432), (10, 5_500))
    ]
    await exchange.run({}, friday, monday, incomes=incomes)

    row = cast("tuple[BalanceRow, ...]", await exchange.until("05", day=friday))[0]
    assert row.total_vol_of_distributor_in_ta == 800_087
    assert row.undistribute_monetary_income == 45
    told = cast("tuple[PriceRow, ...]", await exchange.until("07", day=friday))
    assert [(r.nav_date, r.fund_income) for r in told if r.fund_code == MONEY] == [
        (friday, 5_432),
        (date(2015, 1, 10), 5_500),
    ]
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await exchange.run({}, monday, tuesday, incomes=incomes)
    assert reason_of(refusal.value) == "FIELD_INVALID"


async def test_what_a_bank_has_paid_for_brings_the_holder_nothing(exchange: Exchange) -> None:
    bought = order(1, fund_code=MONEY, application_amount=800_000)
    await exchange.submit([bought])
    await exchange.run({})
    fast = order(
        2,
        "024",
        fund_code=MONEY,
        transaction_account_id="INV00001",
        application_vol=300_000,
        take_income_flag="1",
        transaction_date=NEXT,
    )
    await exchange.submit([fast], NEXT)
    income = pb.DayIncome(fund_code=MONEY, date=NEXT.isoformat(), income_per_ten_thousand=10_000)
    await exchange.run({}, NEXT, AFTER, incomes=[income])

    row = cast("tuple[BalanceRow, ...]", await exchange.until("05", day=NEXT))[0]
    # 5,000.00 of the 8,000.00 shares, at 1.0000 for ten thousand.
    assert row.total_vol_of_distributor_in_ta == 500_000 + 50


async def test_a_forced_redemption_is_nobodys_order(exchange: Exchange) -> None:
    await buy(exchange, 1_000_000, 2_000_000)
    forced = pb.ForcedRedemption(fund_code=EQUITY, shares=100)
    await exchange.run(NAVS, NEXT, AFTER, forced=[forced])

    row = confirmations(await exchange.until("04", day=NEXT))[0]
    assert (row.business_code, row.from_ta_flag, row.confirmed_vol) == ("142", "1", 100)
    assert row.transaction_account_id == "INV00002"
    assert row.app_sheet_serial_no.startswith("TA")


async def test_the_books_say_what_is_due(exchange: Exchange) -> None:
    await buy(exchange, 1_000_000, 500_000)

    books = await exchange.demo.GetBooks(pb.GetBooksRequest())
    assert [(day.trade_date, day.subscribed_minor) for day in books.days] == [
        ("2015-01-05", 1_500_000)
    ]
    fund = {each.fund_code: each for each in books.funds}[EQUITY]
    assert (fund.accounts, fund.nav) == (2, 10_025)
    assert fund.shares == sum(balances(exchange.distributor.rows("05")).values())
    page = await exchange.demo.ListShares(pb.ListSharesRequest(fund_code=EQUITY, page_size=1))
    assert [each.transaction_account_id for each in page.accounts] == ["INV00001"]
    assert page.next_page_token


async def test_a_day_is_run_once(exchange: Exchange) -> None:
    await exchange.submit([order(1, application_amount=1_000_000)])
    first = await exchange.run(NAVS)
    again = await exchange.run(NAVS)

    assert first == again
    for navs, day, reason in (
        ({**NAVS, EQUITY: 1}, T, "IDEMPOTENCY_KEY_REUSED"),
        (NAVS, date(2015, 1, 2), "BUSINESS_DATE_PAST"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await exchange.run(navs, day, NEXT)
        assert reason_of(refusal.value) == reason


async def test_an_order_without_a_price_stops_the_day(exchange: Exchange) -> None:
    await exchange.submit([order(1, application_amount=1_000_000)])

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await exchange.run({OTHER: 10_000})
    assert reason_of(refusal.value) == "FIELD_REQUIRED"
    assert (await exchange.run(NAVS)).confirmed == 1


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("fund_code", "NOSUCH", "0003"),
        ("application_amount", 0, "0002"),
        ("business_code", "026", "0005"),
    ],
)
async def test_what_cannot_be_done_is_rejected_with_its_code(
    exchange: Exchange, field: str, value: object, code: str
) -> None:
    changed: dict[str, object] = {"application_amount": 1_000_000, field: value}
    row = OrderRow(**{**order(1)._asdict(), **changed})
    await exchange.submit([row])
    await exchange.run(NAVS)

    told = confirmations(await exchange.until("04"))[0]
    assert (told.return_code, told.confirmed_vol) == (code, 0)
    assert told.refund_amount == row.application_amount
