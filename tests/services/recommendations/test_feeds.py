"""Feeds: what cannot be believed is set apart by name, the rest counts; views enter portfolios."""

from uuid import uuid4

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.suitability import InvestorClass
from tests.services.recommendations.conftest import Served
from tests.services.recommendations.test_api import listing, portfolio, refusal
from tests.services.recommendations.worlds import proposal_id

Q = events_pb2.QuarantineReason


def price(code: str, day: str, value: str) -> events_pb2.PricePoint:
    return events_pb2.PricePoint(instrument=code, date=day, price=value)


async def test_prices_that_cannot_be_are_set_apart_and_the_rest_counts(served: Served) -> None:
    batch = [
        price("000002", "2026-11-02", "1.00"),
        price("000002", "2026-11-03", "NaN"),
        price("000002", "2026-11-04", "2.50"),
        price("000002", "2026-11-05", "1.01"),
        price("000002", "2026-11-05", "1.02"),
        price("000002", "2999-01-01", "1.00"),
        price("000004", "2026-11-03", "-1"),
        price("999999", "2026-11-03", "1"),
        price("IDX:000300", "2026-11-03", "3500.5"),
        price("000004", "yesterday", "1"),
        price("000003", "2026-11-03", "9e99999"),
        price("000003", "2026-11-03", "1e-99999"),
    ]
    request = pb.PublishPricesRequest(batch_id=proposal_id(50), source="vendor", prices=batch)

    answer = await served.feeds.PublishPrices(request)
    again = await served.feeds.PublishPrices(request)
    await served.world.heard(served.parts)
    listed = await served.feeds.ListQuarantined(pb.ListQuarantinedRequest(source="vendor"))

    assert answer.taken == 3
    assert {item.ordinal: Q.Name(item.reason)[18:] for item in answer.quarantined} == {
        1: "NOT_A_NUMBER",
        2: "JUMP",
        4: "REPEATED",
        5: "FROM_FUTURE",
        6: "NOT_POSITIVE",
        7: "INSTRUMENT_UNKNOWN",
        9: "OUT_OF_RANGE",
        10: "OUT_OF_RANGE",
        11: "OUT_OF_RANGE",
    }
    assert again == answer
    assert len(listed.entries) == 9


async def test_a_price_is_judged_beside_the_last_one_of_an_earlier_batch(served: Served) -> None:
    first = [price("000002", "2026-11-02", "1.00")]
    second = [price("000002", "2026-11-03", "1.31")]
    await served.feeds.PublishPrices(
        pb.PublishPricesRequest(batch_id=proposal_id(51), source="vendor", prices=first)
    )

    answer = await served.feeds.PublishPrices(
        pb.PublishPricesRequest(batch_id=proposal_id(52), source="vendor", prices=second)
    )

    assert [Q.Name(item.reason) for item in answer.quarantined] == ["QUARANTINE_REASON_JUMP"]


async def test_a_batch_id_is_used_for_one_content(served: Served) -> None:
    for value, expected in (("1.00", ""), ("1.01", "IDEMPOTENCY_KEY_REUSED")):
        request = pb.PublishPricesRequest(
            batch_id=proposal_id(53),
            source="vendor",
            prices=[price("000002", "2026-11-02", value)],
        )
        if expected:
            reason, _ = await refusal(served.feeds.PublishPrices(request))
            assert reason == expected
        else:
            await served.feeds.PublishPrices(request)


async def test_a_view_moves_a_portfolio_towards_what_it_favours_and_says_so(
    served: Served,
) -> None:
    name = await served.investor("anna", InvestorClass.C5)
    strategy = pb.STRATEGY_BLACK_LITTERMAN
    before = await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000, strategy=strategy))
    view = events_pb2.AnalystView(
        view_id="v1",
        legs=[
            events_pb2.ViewLeg(instrument="000006", weight="1"),
            events_pb2.ViewLeg(instrument="000007", weight="-1"),
        ],
        yearly_return="0.30",
        confidence="0.9",
        valid_until_date="2999-01-01",
    )
    wrong = events_pb2.AnalystView(
        view_id="v2",
        legs=[events_pb2.ViewLeg(instrument="000006", weight="inf")],
        yearly_return="0.1",
        confidence="0.5",
        valid_until_date="2999-01-01",
    )

    answer = await served.feeds.PublishViews(
        pb.PublishViewsRequest(batch_id=proposal_id(54), source="house", views=[view, wrong])
    )
    await served.world.heard(served.parts)
    after = await served.wallet.ProposePortfolio(portfolio(name, 3, 10_000_000, strategy=strategy))

    assert answer.taken == 1
    weights = [
        {item.fund_code: item.weight for item in each.proposal.issued.items}
        for each in (before, after)
    ]
    assert weights[1].get("000006", 0) > weights[0].get("000006", 0)
    reasons = {
        item.fund_code: {reason.code for reason in item.reasons}
        for item in after.proposal.issued.items
    }
    assert "VIEW_HELD" in reasons["000006"]


async def test_facts_of_funds_decide_managers_themes_and_what_an_investor_excludes(
    served: Served,
) -> None:
    name = await served.investor("anna")
    facts = [
        events_pb2.FundFact(instrument=code, manager=manager, theme=theme)
        for code, manager, theme in (
            ("000002", "Huaxia", "treasuries"),
            ("000003", "Huaxia", "coal"),
            ("000008", "Huaxia", "treasuries"),
        )
    ]
    await served.feeds.PublishFundFacts(
        pb.PublishFundFactsRequest(batch_id=proposal_id(55), source="vendor", facts=facts)
    )
    wanted = events_pb2.InvestorPreferences(
        horizon_months=36, currency="CNY", goal="GOAL_GROWTH", excluded_themes=["coal"]
    )
    await served.wallet.SetPreferences(
        pb.SetPreferencesRequest(investor_id=name, request_id=str(uuid4()), preferences=wanted)
    )
    await served.world.heard(served.parts)

    answer = await served.wallet.ListRecommendations(listing(name, 1))

    shown = [item.fund_code for item in answer.proposal.issued.items]
    refused = {each.code: list(each.fund_codes) for each in answer.proposal.issued.refused}
    assert refused["INVESTOR_EXCLUDED"] == ["000003"]
    assert len({"000002", "000003", "000008"} & set(shown)) <= 2
