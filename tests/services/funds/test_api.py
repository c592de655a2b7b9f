"""Funds over gRPC, as a wallet back end, operators, an adviser and a registrar meet them."""

import grpc
import pytest

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as pb
from hefu.registrar.v1 import registrar_pb2
from hefu.type.v1 import suitability_pb2
from libs.client import HefuError
from libs.client.fund_terms import redeem, subscribe
from libs.grpc_errors import violations_of
from libs.ids import new_id
from libs.money import Money
from libs.wire import time_to_wire
from services.funds.clients.registrar import package_to_wire
from services.funds.domain.product import Document, DocumentKind
from tests.services.funds.conftest import Served
from tests.services.funds.scripted import FUND, Scripted, T
from tests.services.funds.served import BUY, bought, bring_to_market, classify, reason
from tests.services.funds.worlds import CURRENCY, INVESTOR, OTHER, TA, WALLET, at, order_id


async def test_an_investor_buys_sees_the_holding_and_sells(served: Served) -> None:
    await bring_to_market(served)
    await bought(served)

    (holding,) = await served.wallet.holdings(INVESTOR, with_returns=True)
    assert (holding.shares, holding.cost_minor, holding.market_minor) == (
        989_589,
        1_000_000,
        992_063,
    )
    assert holding.nav_date == T.isoformat()
    lots = await served.wallet.stub.GetHolding(
        pb.GetHoldingRequest(investor_id=INVESTOR, fund_code=FUND)
    )
    assert [lot.shares for lot in lots.holding.lots] == [989_589]
    statement = await served.wallet.stub.ListStatementLines(
        pb.ListStatementLinesRequest(investor_id=INVESTOR)
    )
    ((line),) = statement.lines
    assert (line.movement, line.shares_after, line.amount_minor) == (
        "SUBSCRIBED",
        989_589,
        -1_000_000,
    )
    sold = await served.wallet.place(order_id(2), redeem(INVESTOR, WALLET, FUND, 100_000))
    assert sold.business_code == "024"
    settled = await served.wallet.get(order_id(1))
    assert settled.iso_status == "SETT"
    assert (settled.iso_request, settled.iso_confirmation) == ("setr.010.001.04", "setr.012.001.04")
    assert sold.iso_request == "setr.004.001.04"
    assert [nav.nav.nav async for nav in served.wallet.navs(FUND, T, T)] == [10_025]
    assert [fund.terms.code async for fund in served.wallet.funds()] == [FUND]


async def test_what_there_is_to_read_about_a_fund_is_listed_with_its_terms(served: Served) -> None:
    notice = Document("A notice", "documents/notice.md", "0" * 64, DocumentKind.NOTICE, "zh-CN", T)
    older = Document("Prospectus", "documents/prospectus.pdf", "f" * 64)
    await bring_to_market(served, documents=(notice, older))

    first, second = (await served.wallet.fund(FUND)).terms.documents

    assert (first.title, first.link, first.sha256) == (notice.title, notice.link, notice.sha256)
    assert first.kind == events_pb2.DOCUMENT_KIND_NOTICE
    assert (first.language, first.valid_from) == ("zh-CN", T.isoformat())
    assert second.kind == events_pb2.DOCUMENT_KIND_UNSPECIFIED


async def test_units_and_cash_tie_out_and_the_day_is_told(served: Served) -> None:
    await bring_to_market(served)
    await bought(served)
    await served.world.until(f"ta_day-{TA}-{T}", "TaDayCashSettled")

    tied = await served.operator.GetFundTieOut(pb.GetFundTieOutRequest())
    (units,) = tied.units
    assert (units.holdings_shares, units.registrar_shares, units.ties_out) == (
        989_589,
        989_589,
        True,
    )
    day = await served.operator.GetTaDay(pb.GetTaDayRequest(ta_id=TA, trade_date=T.isoformat()))
    assert day.ta_day.state == pb.TA_DAY_STATE_CASH_SETTLED
    assert (day.ta_day.booked, day.ta_day.breaks) == (1, 0)
    files = await served.operator.ListTaFiles(pb.ListTaFilesRequest(ta_id=TA))
    assert {each.file_type for each in files.files} == {"03", "04", "05", "07", "IX"}


async def test_the_same_id_is_one_order_and_other_terms_are_refused_field_by_field(
    served: Served,
) -> None:
    await bring_to_market(served)
    served.world.journal.balances[WALLET] = 5_000_000
    first = await served.wallet.place(order_id(1), BUY)
    again = await served.wallet.place(order_id(1), BUY)
    assert first.order_id == again.order_id
    other = subscribe(INVESTOR, WALLET, FUND, Money(CURRENCY, 2_000_000))
    with pytest.raises(HefuError) as caught:
        await served.wallet.place(order_id(1), other)
    assert caught.value.reason == "IDEMPOTENCY_KEY_REUSED"
    assert [each.field for each in caught.value.violations] == ["terms.kind.amount"]
    assert served.world.journal.balances[WALLET] == 4_000_000


async def test_a_wallet_of_somebody_else_pays_for_nothing(served: Served) -> None:
    await bring_to_market(served)
    foreign = subscribe(OTHER, WALLET, FUND, Money(CURRENCY, 1_000_000))
    with pytest.raises(HefuError) as caught:
        await served.wallet.place(order_id(1), foreign)
    assert caught.value.reason == "WALLET_NOT_OF_INVESTOR"


@pytest.mark.parametrize(
    ("field", "told"),
    [("amount", Money(CURRENCY, 0)), ("fund_code", "hf0001"), ("fund_code", "")],
)
async def test_bad_input_names_its_field(served: Served, field: str, told: object) -> None:
    await bring_to_market(served)
    code = told if field == "fund_code" else FUND
    amount = told if field == "amount" else Money(CURRENCY, 1_000_000)
    asked = subscribe(INVESTOR, WALLET, str(code), amount)  # type: ignore[arg-type]
    request = pb.PlaceOrderRequest(order_id=order_id(1), terms=asked)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.wallet.stub.PlaceOrder(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in violations_of(caught.value)[0].field


async def test_above_the_investors_class_a_warning_and_a_second_confirmation_are_needed(
    served: Served,
) -> None:
    await bring_to_market(served)
    await classify(served, suitability_pb2.INVESTOR_CLASS_C2)
    served.world.journal.balances[WALLET] = 1_000_000
    with pytest.raises(HefuError, match="SUITABILITY_WARNING_NEEDED"):
        await served.wallet.place(order_id(1), BUY)
    warning_id, confirmation_id = str(new_id()), str(new_id())
    await served.wallet.stub.AcknowledgeWarning(
        pb.AcknowledgeWarningRequest(
            investor_id=INVESTOR, fund_code=FUND, warning_id=warning_id, text_sha256="0" * 64
        )
    )
    warned = subscribe(INVESTOR, WALLET, FUND, Money(CURRENCY, 1_000_000), warning_id)
    with pytest.raises(HefuError, match="SECOND_CONFIRMATION_NEEDED"):
        await served.wallet.place(order_id(1), warned)
    await served.wallet.stub.ConfirmAgain(
        pb.ConfirmAgainRequest(
            investor_id=INVESTOR,
            fund_code=FUND,
            confirmation_id=confirmation_id,
            warning_id=warning_id,
        )
    )
    warned.second_confirmation_id = confirmation_id
    placed = await served.wallet.place(order_id(1), warned)
    assert placed.state == pb.FUND_ORDER_STATE_SUITABILITY_PASSED


async def test_the_lowest_class_buys_nothing_above_its_level_whatever_it_confirms(
    served: Served,
) -> None:
    await bring_to_market(served)
    await classify(served, suitability_pb2.INVESTOR_CLASS_C1_MINIMUM)
    with pytest.raises(HefuError, match="SUITABILITY_NEVER"):
        await served.wallet.place(order_id(1), BUY)


async def test_advice_places_nothing_but_what_it_proposed(served: Served) -> None:
    await bring_to_market(served)
    served.world.journal.balances[WALLET] = 1_000_000
    request = pb.PlaceOrderRequest(order_id=order_id(1), terms=BUY)
    assert await reason(served.advice.PlaceOrder(request)) == "FIELD_REQUIRED"
    request.terms.recommendation_id = "proposal-1"
    await served.advice.PlaceOrder(request)
    seen = await served.wallet.get(order_id(1))
    assert seen.recommendation_id == "proposal-1"


async def test_another_wallet_back_end_sees_no_order_that_is_not_its_own(served: Served) -> None:
    await bring_to_market(served)
    served.world.journal.balances[WALLET] = 1_000_000
    await served.wallet.place(order_id(1), BUY)
    request = pb.GetOrderRequest(order_id=order_id(1))
    assert await reason(served.market.GetOrder(request)) == "ORDER_NOT_FOUND"
    cancel = pb.CancelOrderRequest(order_id=order_id(1), request_id=str(new_id()))
    assert await reason(served.market.CancelOrder(cancel)) == "ORDER_NOT_FOUND"
    found = await served.market.ListOrders(pb.ListOrdersRequest())
    assert list(found.orders) == []


async def test_who_is_in_no_policy_is_served_nothing(served: Served) -> None:
    request = pb.GetFundRequest(code=FUND)
    assert await reason(served.payments.GetFund(request)) == "PERMISSION_DENIED"


async def test_a_registrar_speaks_for_nobody_else(served: Served) -> None:
    await bring_to_market(served)
    registrar = Scripted(served.world)
    package = package_to_wire(registrar.package({"07": [registrar.price()]}), TA)
    request = registrar_pb2.DeliverFilesRequest(package=package)
    assert await reason(served.stranger.DeliverFiles(request)) == "FOREIGN_REFERENCE"


async def test_the_clock_goes_forward_only(served: Served) -> None:
    await bring_to_market(served)
    back = pb.SetFundClockRequest(now_time=time_to_wire(at("2026-09-23 14:00")))
    assert await reason(served.operator.SetFundClock(back)) == "CLOCK_ONLY_FORWARD"


async def test_a_day_is_not_cut_off_before_its_time(served: Served) -> None:
    await bring_to_market(served)
    request = pb.RunCutOffRequest(ta_id=TA, trade_date=T.isoformat())
    assert await reason(served.operator.RunCutOff(request)) == "BEFORE_CUT_OFF"
    no_session = pb.RunCutOffRequest(ta_id=TA, trade_date="2026-10-10")
    assert await reason(served.operator.RunCutOff(no_session)) == "NOT_A_SESSION"


async def test_a_plan_is_begun_paused_taken_up_and_ended(served: Served) -> None:
    await bring_to_market(served)
    plan_id = order_id(70)
    plan = events_pb2.PlanTerms(
        investor_id=INVESTOR,
        wallet_account_id=WALLET,
        fund_code=FUND,
        frequency=events_pb2.PLAN_FREQUENCY_MONTH,
        send_day=31,
        begin_date="2026-09-25",
    )
    plan.amount.currency_code, plan.amount.minor_units = CURRENCY, 50_000
    stub = served.wallet.stub
    begun = await stub.CreatePlan(pb.CreatePlanRequest(plan_id=plan_id, terms=plan))
    assert (begun.plan.state, begun.plan.next_date) == (pb.PLAN_STATE_ACTIVE, "2026-09-30")
    keys = [str(new_id()) for _ in range(3)]
    paused = await stub.SuspendPlan(pb.SuspendPlanRequest(plan_id=plan_id, request_id=keys[0]))
    assert paused.plan.state == pb.PLAN_STATE_SUSPENDED
    taken_up = await stub.ResumePlan(pb.ResumePlanRequest(plan_id=plan_id, request_id=keys[1]))
    assert taken_up.plan.state == pb.PLAN_STATE_ACTIVE
    ended = await stub.StopPlan(pb.StopPlanRequest(plan_id=plan_id, request_id=keys[2]))
    assert ended.plan.state == pb.PLAN_STATE_STOPPED
    listed = await stub.ListPlans(
        pb.ListPlansRequest(investor_id=INVESTOR, min_position=ended.position)
    )
    assert [each.plan_id for each in listed.plans] == [plan_id]
