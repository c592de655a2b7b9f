"""A rebalance over gRPC: which fund is sold first and why, and cash that is raised."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from uuid import uuid4

import pytest

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.projection import Behind
from libs.suitability import InvestorClass
from services.recommendations.domain import proposal as what
from tests.services.recommendations.conftest import Served
from tests.services.recommendations.test_api import portfolio, refusal
from tests.services.recommendations.worlds import TODAY, WALLET_ACCOUNT, Told, proposal_id

# Dear for a week, then half a percent, and free after a year.
STEPS = [{"rate": "15000"}, {"from_days": "7", "rate": "5000"}, {"from_days": "365"}]
TABLE = {"effective_date": "2020-01-01", "redemption": STEPS, "discount": "1000000"}
CODES = [f"00010{n}" for n in range(1, 9)]
# Of four funds too much is held, since so many days; of the other four nothing.
AGES = {"000101": 300, "000102": 400, "000103": 40, "000104": 500}
HELD_MINOR = {"000101": 2_800_000, "000102": 2_800_000, "000103": 2_200_000, "000104": 2_200_000}


async def four_funds(told: Told, name: str) -> None:
    for code in CODES:
        await told.fund(code, 2, "BOND", fee_tables=[TABLE])
        await told.navs(code, 260)
    for code, days in AGES.items():
        # The last price of each is another one, so shares are what comes to the amount.
        nav = {"nav_date": TODAY.isoformat(), "nav": "10000"}
        await told.again(code, "FundNavPublished", {"nav": nav, "source": "test"})
        day = (TODAY - timedelta(days=days)).isoformat()
        await told.lot(name, code, HELD_MINOR[code], day)


async def asked(
    served: Served, name: str, number: int, minor: int = 0
) -> events_pb2.RecommendationIssued:
    answer = await served.wallet.ProposePortfolio(rebalance(name, number, minor))
    return answer.proposal.issued


async def published(served: Served, code: str, *, first: int, top_up: int) -> None:
    """The fund's terms anew, with other least purchases."""
    terms = {
        "code": code,
        "name": f"Fund {code}",
        "ta_id": f"TA{code[-1]}",
        "currency": "CNY",
        "fund_type": "FUND_TYPE_BOND",
        "risk_level": "RISK_LEVEL_R2",
        "dealing": {"calendars": ["XSHG"], "time_zone": "Asia/Shanghai"},
        "fee_tables": [TABLE],
        "limits": {"first_minor": str(first), "top_up_minor": str(top_up)},
        "share_scale": "2",
        "nav_scale": "4",
    }
    await served.world.told.again(code, "FundPublished", {"terms": terms, "version": "2"})
    await served.world.heard(served.parts)


async def accepted(served: Served, number: int = 3) -> None:
    await served.wallet.AcceptProposal(
        pb.AcceptProposalRequest(
            proposal_id=proposal_id(number), request_id=str(uuid4()), account_id=WALLET_ACCOUNT
        )
    )


def rebalance(name: str, number: int, minor: int = 0) -> pb.ProposePortfolioRequest:
    return portfolio(
        name,
        number,
        minor,
        is_rebalance=True,
        strategy=pb.STRATEGY_EQUAL_WEIGHT,
        fund_codes=CODES,
    )


def trades(issued: events_pb2.RecommendationIssued) -> Mapping[str, int]:
    return {item.fund_code: item.amount_minor for item in issued.items}


def evidence(issued: events_pb2.RecommendationIssued, code: str) -> Mapping[str, Mapping[str, str]]:
    (item,) = [each for each in issued.items if each.fund_code == code]
    return {
        reason.code: {each.name: each.value for each in reason.evidence} for reason in item.reasons
    }


@pytest.fixture
async def anna(served: Served) -> str:
    name = await served.investor("anna", InvestorClass.C4)
    await four_funds(served.world.told, name)
    await served.world.heard(served.parts)
    return name


async def test_of_funds_to_be_sold_those_past_their_fee_go_first_and_young_lots_wait(
    served: Served, anna: str
) -> None:
    """All would go to an eighth: 50 points are too much, and 20 may be sold."""
    issued = await asked(served, anna, 3)

    sold = {code: minor for code, minor in trades(issued).items() if minor < 0}
    assert set(sold) == {"000102", "000104"}
    assert sold["000102"] == -1_550_000
    assert 1_990_000 < -sum(sold.values()) <= 2_000_000
    assert issued.constraint_set == "2026-2"
    assert "TURNOVER" not in issued.fallbacks


async def test_the_reasons_say_what_is_sold_first_and_when_another_gets_cheaper(
    served: Served, anna: str
) -> None:
    answer = await served.wallet.ProposePortfolio(rebalance(anna, 3))

    first = evidence(answer.proposal.issued, "000102")
    assert first["SELLING_COSTS"] == {"sold": "155000", "fee": "0", "past": "1000000"}
    assert 0 < int(first["SOLD_FIRST"]["sold_alike"]) < 155_000
    day = (TODAY + timedelta(days=65)).isoformat()
    assert evidence(answer.proposal.issued, "000101")["CHEAPER_FROM"] == {
        "left": "155000",
        "date": day,
        "rate_now": "5000",
        "rate_then": "0",
    }
    texts = {text.fund_code: text for text in answer.proposal.texts}
    assert f"from {day} on selling it costs 0.00% instead of 0.50%" in texts["000101"].text_en
    assert f"自 {day} 起赎回费率由 0.50% 降为 0.00%" in texts["000101"].text_zh
    assert "It is sold before others" in texts["000102"].text_en
    assert "先于其他" in texts["000102"].text_zh


async def test_nothing_is_rebalanced_while_orders_of_the_rebalance_before_are_to_be_placed(
    served: Served, anna: str
) -> None:
    await asked(served, anna, 3)
    served.world.funds.is_away = True
    await accepted(served)

    reason, fields = await refusal(served.wallet.ProposePortfolio(rebalance(anna, 4)))

    assert (reason, fields) == ("ORDERS_UNDER_WAY", [f"proposals.{proposal_id(3)}"])


async def test_nothing_is_rebalanced_where_it_is_not_known_what_is_under_way(
    served: Served, anna: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(*_: object, **__: object) -> None:
        await asyncio.sleep(0)
        raise Behind("heard_funds", 1, 2)

    monkeypatch.setattr(served.parts.portfolios.under_way.funds, "wait_for", late)

    reason, _ = await refusal(served.wallet.ProposePortfolio(rebalance(anna, 3)))

    assert reason == "READ_MODEL_BEHIND"
    state = (await served.parts.advice.proposals.load(proposal_id(3))).state
    assert isinstance(state, what.Absent)


async def test_of_two_rebalances_of_what_is_held_once_one_alone_is_ordered(
    served: Served, anna: str
) -> None:
    await asked(served, anna, 3)
    await asked(served, anna, 4)
    served.world.funds.unpaid = set(CODES)
    await accepted(served, 3)

    reason, fields = await refusal(accepted(served, 4))

    assert (reason, fields) == ("PROPOSAL_EXPIRED", [f"proposals.{proposal_id(3)}"])
    state = (await served.parts.advice.proposals.load(proposal_id(4))).state
    assert isinstance(state, what.Proposal)
    assert (state.status, state.cause) == (what.Status.EXPIRED, "ORDERS_UNDER_WAY")
    assert {order.proposal_id for order in served.world.funds.orders.values()} == {proposal_id(3)}


@pytest.mark.parametrize(
    "ends", ["FundOrderSettled", "FundOrderCancelled", "FundOrderFundingFailed", "FundOrderRefused"]
)
async def test_nothing_is_rebalanced_until_an_order_is_over(
    served: Served, anna: str, ends: str
) -> None:
    told = served.world.told
    order_id = await told.order(anna, "000101", 100_000, "C4")
    await served.world.heard(served.parts)

    first = await refusal(served.wallet.ProposePortfolio(rebalance(anna, 3)))
    await told.tell(f"fund_order-{order_id}", "funds", [(ends, {})])

    assert first == ("ORDERS_UNDER_WAY", [f"orders.{order_id}"])
    assert trades(await asked(served, anna, 3))


@pytest.mark.parametrize("begins", ["FundOrderOfferedAgain", "FundOrderConfirmationAmended"])
async def test_what_moves_once_more_is_waited_for_once_more(
    served: Served, anna: str, begins: str
) -> None:
    told = served.world.told
    order_id = await told.order(anna, "000101", 100_000, "C4")
    stream = f"fund_order-{order_id}"
    await told.tell(stream, "funds", [("FundOrderSettled", {}), (begins, {})])
    await served.world.heard(served.parts)

    reason, _ = await refusal(served.wallet.ProposePortfolio(rebalance(anna, 3)))
    await told.tell(stream, "funds", [("FundOrderSettled", {})])

    assert reason == "ORDERS_UNDER_WAY"
    assert trades(await asked(served, anna, 3))


async def test_an_order_that_moves_nothing_is_not_waited_for(served: Served, anna: str) -> None:
    mode = {"investor_id": anna, "dividend_mode_change": {"fund_code": "000101"}}
    placed = {"order_id": "m", "terms": mode, "place_us": "1"}
    await served.world.told.tell("fund_order-m", "funds", [("FundOrderPlaced", placed)])
    await served.world.heard(served.parts)

    assert trades(await asked(served, anna, 3))


async def test_new_money_is_placed_whatever_is_under_way(served: Served, anna: str) -> None:
    await served.world.told.order(anna, "000101", 100_000, "C4")
    await served.world.heard(served.parts)

    answer = await served.wallet.ProposePortfolio(portfolio(anna, 3, 5_000_000))

    assert answer.proposal.issued.items


async def test_the_same_question_under_another_id_gives_the_same_items(
    served: Served, anna: str
) -> None:
    first, second = await asked(served, anna, 3), await asked(served, anna, 4)

    assert first.item_hash == second.item_hash


async def test_cash_that_is_raised_comes_first_from_what_is_free_to_sell(
    served: Served, anna: str
) -> None:
    issued = await asked(served, anna, 3, -500_000)

    found = trades(issued)
    assert sum(found.values()) == -500_000
    assert {code for code, minor in found.items() if minor < 0} <= {"000102", "000104"}
    assert sum(item.weight for item in issued.items) == 10_000


async def test_more_cash_than_is_held_is_refused(served: Served, anna: str) -> None:
    reason, fields = await refusal(served.wallet.ProposePortfolio(rebalance(anna, 3, -20_000_000)))

    assert (reason, fields) == ("AMOUNT_NOT_POSITIVE", ["amount"])


async def test_a_sale_is_ordered_in_the_shares_proposed_however_often_and_whatever_the_price(
    served: Served, anna: str
) -> None:
    issued = await asked(served, anna, 3)
    wanted = {item.fund_code: item.shares for item in issued.items if item.amount_minor < 0}
    served.world.funds.is_away = True
    await accepted(served)
    for code in wanted:
        nav = {"nav_date": TODAY.isoformat(), "nav": "9100"}
        body = {"before": {"nav_date": TODAY.isoformat(), "nav": "10000"}, "after": nav}
        await served.world.told.again(code, "FundNavCorrected", body)
    await served.world.heard(served.parts)

    served.world.funds.is_away = False
    trades_now = [item for item in issued.items if item.amount_minor]
    await served.world.until(f"proposal-{proposal_id(3)}", "ProposalOrderLinked", len(trades_now))

    orders = list(served.world.funds.orders.values())
    assert {each.fund_code: each.shares for each in orders if each.amount is None} == wanted
    assert [each.amount is None for each in orders][: len(wanted)] == [True] * len(wanted)


async def test_purchases_wait_for_the_money_of_what_is_sold(served: Served, anna: str) -> None:
    issued = await asked(served, anna, 3)
    sold = {item.fund_code for item in issued.items if item.amount_minor < 0}
    house, last = served.world.funds, max(sold)
    house.unpaid = {last}
    await accepted(served)
    stream = f"proposal-{proposal_id(3)}"
    await served.world.until(stream, "ProposalOrderLinked", len(sold))
    before = {order.fund_code for order in house.orders.values()}

    house.unpaid = set()
    trading = {item.fund_code for item in issued.items if item.amount_minor}
    await served.world.until(stream, "ProposalOrderLinked", len(trading))

    assert before == sold
    assert {order.fund_code for order in house.orders.values()} == trading


@pytest.mark.parametrize("falls", ["is refused", "never pays"])
async def test_without_the_money_of_a_sale_nothing_is_bought_from_the_wallet(
    served: Served, anna: str, falls: str
) -> None:
    """More than was accepted is not taken from it: what was bought is told as not ordered."""
    issued = await asked(served, anna, 3)
    trading = [item for item in issued.items if item.amount_minor]
    sold = {item.fund_code for item in trading if item.amount_minor < 0}
    house, stream = served.world.funds, f"proposal-{proposal_id(3)}"
    if falls == "is refused":
        house.refusals = {max(sold): "SHARES_NOT_FREE"}
    else:
        house.unpaid = {max(sold)}
    await accepted(served)
    await served.world.until(stream, "ProposalOrderLinked", len(sold))

    served.world.now_us += 31 * 86_400_000_000
    await served.world.until(stream, "ProposalOrderLinked", len(trading))

    found = await served.wallet.GetProposal(pb.GetProposalRequest(proposal_id=proposal_id(3)))
    told = {order.fund_code: order.refusal_reason for order in found.proposal.orders}
    assert {code for code, why in told.items() if why == "SALE_NOT_PAID"} == told.keys() - sold
    assert {order.fund_code for order in house.orders.values()} <= sold


async def test_more_of_what_is_held_may_be_less_than_a_first_purchase(
    served: Served, anna: str
) -> None:
    """The least of a first purchase rises above what a rebalance adds to a fund that is held."""
    await served.world.told.lot(anna, "000105", 700_000, "2024-01-02")
    await served.world.heard(served.parts)
    issued = await asked(served, anna, 3)
    bought = trades(issued)["000105"]
    assert 1_000 <= bought < 2_000_000
    await published(served, "000105", first=bought + 1, top_up=1_000)

    await accepted(served)
    done = (await served.parts.advice.proposals.load(proposal_id(3))).state

    assert isinstance(done, what.Proposal)
    assert done.status is what.Status.ACCEPTED


async def test_a_fund_that_stays_as_it_is_is_not_judged_as_a_purchase(
    served: Served, anna: str
) -> None:
    issued = await asked(served, anna, 3)
    assert trades(issued)["000101"] == 0
    known = await served.wallet.GetInvestor(pb.GetInvestorRequest(investor_id=anna))
    wanted = known.investor.preferences
    wanted.excluded_funds.append("000101")
    await served.wallet.SetPreferences(
        pb.SetPreferencesRequest(investor_id=anna, request_id=str(uuid4()), preferences=wanted)
    )

    await accepted(served)

    done = (await served.parts.advice.proposals.load(proposal_id(3))).state
    assert isinstance(done, what.Proposal)
    assert done.status is what.Status.ACCEPTED


async def test_a_rebalance_asks_for_no_more_money_than_its_sales_bring(
    served: Served, anna: str
) -> None:
    """With a fund of three days' holding among those that must be sold, at one and a half."""
    young = (TODAY - timedelta(days=3)).isoformat()
    await served.world.told.lot(anna, "000103", 4_000_000, young)
    await served.world.heard(served.parts)

    issued = await asked(served, anna, 3)

    fees = sum(
        int(evidence(issued, item.fund_code)["SELLING_COSTS"]["fee"])
        for item in issued.items
        if item.amount_minor < 0
    )
    assert fees > 0
    assert sum(trades(issued).values()) <= -fees


async def test_what_is_held_and_may_not_be_bought_is_left_and_nothing_else_is_no_rebalance(
    served: Served, anna: str
) -> None:
    for code in AGES:
        body = {"status": "FUND_STATUS_PAUSED_IN", "request_id": "x"}
        await served.world.told.again(code, "FundStatusChanged", body)
    await served.world.heard(served.parts)

    assert await refusal(served.wallet.ProposePortfolio(rebalance(anna, 3))) == (
        "AMOUNT_NOT_POSITIVE",
        ["amount"],
    )


async def test_without_its_solver_a_rebalance_says_that_it_sells_more_than_it_should(
    served: Served, anna: str
) -> None:
    served.world.solver.is_away = True

    issued = await asked(served, anna, 3)

    assert list(issued.fallbacks) == ["TURNOVER", "THEME", "MONEY", "SOLVER_AWAY", "EQUAL_WEIGHT"]
    assert issued.expected.turnover_millionths > 200_000
