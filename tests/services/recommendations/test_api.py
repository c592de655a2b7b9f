"""Advice over gRPC: what a wallet back end gets, and what it is refused."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import grpc
import pytest

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.type.v1.money_pb2 import Money
from libs.event_store import StoredEvent
from libs.grpc_errors import reason_of, violations_of
from libs.suitability import InvestorClass
from tests.services.recommendations.conftest import Served, serving
from tests.services.recommendations.worlds import TODAY, WALLET_ACCOUNT, World, proposal_id


def listing(name: str, number: int, **more: object) -> pb.ListRecommendationsRequest:
    return pb.ListRecommendationsRequest(
        investor_id=name,
        proposal_id=proposal_id(number),
        **more,  # type: ignore[arg-type]
    )


def portfolio(name: str, number: int, minor: int, **more: object) -> pb.ProposePortfolioRequest:
    return pb.ProposePortfolioRequest(
        investor_id=name,
        proposal_id=proposal_id(number),
        amount=Money(currency_code="CNY", minor_units=minor),
        **more,  # type: ignore[arg-type]
    )


async def refusal(call: object) -> tuple[str, list[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]
    return reason_of(caught.value), [v.field for v in violations_of(caught.value)]


async def test_a_list_holds_only_what_the_class_may_buy_with_reasons_in_words(
    served: Served,
) -> None:
    name = await served.investor("anna")

    answer = await served.wallet.ListRecommendations(listing(name, 1))

    issued = answer.proposal.issued
    assert issued.items
    assert all(item.level <= 3 for item in issued.items)
    assert {item.fund_code for item in issued.items}.isdisjoint({"000006", "000007"})
    refused = {each.code: list(each.fund_codes) for each in issued.refused}
    assert refused["ABOVE_CLASS"] == ["000006", "000007"]
    assert all("within your class C3" in text.text_en for text in answer.proposal.texts)
    assert all("C3" in text.text_zh for text in answer.proposal.texts)


async def test_a_list_is_stored_before_it_is_answered_and_found_again_by_its_id(
    served: Served,
) -> None:
    name = await served.investor("anna")
    first = await served.wallet.ListRecommendations(listing(name, 1))

    again = await served.wallet.ListRecommendations(listing(name, 1))
    stored = await served.world.names(f"proposal-{proposal_id(1)}")

    assert stored == ["RecommendationIssued"]
    assert again.is_replayed
    assert again.proposal == first.proposal


async def test_an_id_is_used_for_one_question_only(served: Served) -> None:
    name = await served.investor("anna")
    await served.wallet.ListRecommendations(listing(name, 1))

    reason, fields = await refusal(served.wallet.ListRecommendations(listing(name, 1, size=3)))

    assert (reason, fields) == ("IDEMPOTENCY_KEY_REUSED", ["proposal_id"])


async def test_a_portfolio_names_weights_trades_risk_fees_and_the_runner_up(
    served: Served,
) -> None:
    name = await served.investor("anna", InvestorClass.C5)

    answer = await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))

    issued = answer.proposal.issued
    assert sum(item.weight for item in issued.items) == 10_000
    assert sum(item.amount_minor for item in issued.items) == 10_000_000
    assert abs(sum(i.risk_contribution_millionths for i in issued.items) - 1_000_000) < 10
    assert issued.strategy == "risk_parity"
    assert issued.expected.volatility_millionths > 0
    assert issued.expected.mean_level_millionths <= 5_000_000
    assert issued.history_days >= 250
    assert issued.runner_up.fund_code
    assert issued.runner_up.reason.evidence
    assert all(item.reasons for item in issued.items)


async def test_an_accepted_portfolio_becomes_orders_with_its_id(served: Served) -> None:
    name = await served.investor("anna")
    proposed = await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))
    request = pb.AcceptProposalRequest(
        proposal_id=proposal_id(2), request_id=str(uuid4()), account_id=WALLET_ACCOUNT
    )

    await served.wallet.AcceptProposal(request)
    await served.wallet.AcceptProposal(request)
    stream = f"proposal-{proposal_id(2)}"
    wanted = {i.fund_code: i.amount_minor for i in proposed.proposal.issued.items if i.amount_minor}
    await served.world.until(stream, "ProposalOrderLinked", len(wanted))

    orders = served.world.funds.orders.values()
    assert {o.fund_code: o.amount.minor for o in orders if o.amount} == wanted
    assert {order.proposal_id for order in orders} == {proposal_id(2)}


async def test_what_funds_refuse_is_told_with_the_proposal(served: Served) -> None:
    name = await served.investor("anna")
    proposed = await served.wallet.ListRecommendations(listing(name, 1))
    code = proposed.proposal.issued.items[0].fund_code
    served.world.funds.refusals[code] = "HOLDING_LIMIT"

    await served.wallet.AcceptProposal(
        pb.AcceptProposalRequest(
            proposal_id=proposal_id(1),
            request_id=str(uuid4()),
            account_id=WALLET_ACCOUNT,
            items=[pb.ChosenItem(fund_code=code, amount_minor=50_000)],
        )
    )
    await served.world.until(f"proposal-{proposal_id(1)}", "ProposalOrderLinked")
    found = await served.wallet.GetProposal(pb.GetProposalRequest(proposal_id=proposal_id(1)))

    assert [o.refusal_reason for o in found.proposal.orders] == ["HOLDING_LIMIT"]


@pytest.mark.parametrize(
    ("breaking", "cause"),
    [
        ("consent", "CONSENT_WITHDRAWN"),
        ("downgrade", "CLASS_CHANGED"),
        ("change", "CLASS_EXPIRED"),
        ("block", "BLOCKED"),
        ("level", "LEVEL_RAISED"),
        ("closed", "FUND_CLOSED"),
        ("time", "VALIDITY_ENDED"),
    ],
)
async def test_a_proposal_whose_ground_is_gone_expires_and_is_not_accepted(
    served: Served, breaking: str, cause: str
) -> None:
    name = await served.investor("anna")
    proposed = await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))
    highest = max(proposed.proposal.issued.items, key=lambda item: item.level)

    await _break(served, name, breaking, highest.fund_code)
    await served.world.until(f"proposal-{proposal_id(2)}", "ProposalExpired")
    reason, _ = await refusal(
        served.wallet.AcceptProposal(
            pb.AcceptProposalRequest(
                proposal_id=proposal_id(2), request_id=str(uuid4()), account_id=WALLET_ACCOUNT
            )
        )
    )
    found = await served.wallet.GetProposal(pb.GetProposalRequest(proposal_id=proposal_id(2)))

    assert reason == "PROPOSAL_EXPIRED"
    assert found.proposal.cause == cause
    assert served.world.funds.orders == {}


async def test_a_class_heard_of_late_is_not_what_ended_a_proposal(served: Served) -> None:
    """It was over by then: the event that ended it says why."""
    inbox, may_hear = served.parts.inboxes[0], asyncio.Event()
    react = inbox._react  # noqa: SLF001 - slowed down, no more

    async def late(events: Sequence[StoredEvent]) -> None:
        await may_hear.wait()
        await react(events)

    inbox._react = late  # noqa: SLF001 - as above
    name = await served.investor("anna")
    await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))
    await _break(served, name, "change", "")
    await served.parts.advice.own.wait_for(await served.world.store.head())
    may_hear.set()
    await served.world.until(f"proposal-{proposal_id(2)}", "ProposalExpired")

    found = await served.wallet.GetProposal(pb.GetProposalRequest(proposal_id=proposal_id(2)))

    assert found.proposal.cause == "CLASS_EXPIRED"


async def _break(served: Served, name: str, what: str, code: str) -> None:
    request = {"investor_id": name, "request_id": str(uuid4())}
    match what:
        case "consent":
            await served.wallet.WithdrawConsent(pb.WithdrawConsentRequest(**request))
        case "downgrade":
            await served.answer(name, InvestorClass.C2)
        case "change":
            await served.wallet.ReportChange(pb.ReportChangeRequest(**request))
        case "block":
            await served.operator.BlockInvestor(pb.BlockInvestorRequest(**request, cause="court"))
        case "closed":
            body = {"status": "FUND_STATUS_PAUSED_IN", "request_id": "x"}
            await served.world.told.again(code, "FundStatusChanged", body)
        case "level":
            terms = {
                "code": code,
                "name": "n",
                "ta_id": "TA1",
                "currency": "CNY",
                "fund_type": "FUND_TYPE_EQUITY",
                "risk_level": "RISK_LEVEL_R5",
            }
            await served.world.told.again(code, "FundPublished", {"terms": terms, "version": "2"})
        case "time":
            served.world.now_us += 86_400_000_001


async def test_a_downgrade_between_advice_and_acceptance_refuses_even_before_it_is_heard(
    served: Served,
) -> None:
    name = await served.investor("anna")
    await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))
    await served.answer(name, InvestorClass.C1)

    reason, _ = await refusal(
        served.wallet.AcceptProposal(
            pb.AcceptProposalRequest(
                proposal_id=proposal_id(2), request_id=str(uuid4()), account_id=WALLET_ACCOUNT
            )
        )
    )

    assert reason == "PROPOSAL_EXPIRED"
    assert served.world.funds.orders == {}


async def test_who_is_not_known_or_not_answered_or_not_consenting_gets_no_advice(
    served: Served,
) -> None:
    found = [await refusal(served.wallet.ListRecommendations(listing("nobody", 1)))]
    await served.wallet.RegisterInvestor(pb.RegisterInvestorRequest(investor_id="anna"))
    found.append(await refusal(served.wallet.ListRecommendations(listing("anna", 1))))
    await served.answer("anna", InvestorClass.C3)
    found.append(await refusal(served.wallet.ListRecommendations(listing("anna", 1))))
    name = await served.investor("otto")
    served.world.now_us += 366 * 86_400_000_000
    found.append(await refusal(served.wallet.ListRecommendations(listing(name, 1))))

    assert [reason for reason, _ in found] == [
        "INVESTOR_NOT_FOUND",
        "PROFILE_MISSING",
        "NO_CONSENT",
        "PROFILE_EXPIRED",
    ]
    assert await served.world.names(f"proposal-{proposal_id(1)}") == []


async def test_another_wallet_sees_neither_investors_nor_proposals(served: Served) -> None:
    name = await served.investor("anna")
    await served.wallet.ListRecommendations(listing(name, 1))

    investor, _ = await refusal(served.market.GetInvestor(pb.GetInvestorRequest(investor_id=name)))
    proposal, _ = await refusal(
        served.market.GetProposal(pb.GetProposalRequest(proposal_id=proposal_id(1)))
    )
    advice, _ = await refusal(served.market.ListRecommendations(listing(name, 5)))

    assert (investor, proposal, advice) == (
        "INVESTOR_NOT_FOUND",
        "PROPOSAL_NOT_FOUND",
        "INVESTOR_NOT_FOUND",
    )


async def test_amounts_below_every_lot_and_funds_above_the_class_are_refused_by_name(
    served: Served,
) -> None:
    name = await served.investor("anna")

    small = await refusal(served.wallet.ProposePortfolio(portfolio(name, 2, 500)))
    above = await refusal(
        served.wallet.ProposePortfolio(portfolio(name, 3, 10_000_000, fund_codes=["000007"]))
    )
    zero = await refusal(served.wallet.ProposePortfolio(portfolio(name, 4, 0)))
    conflict = await refusal(
        served.wallet.ProposePortfolio(
            portfolio(name, 5, 10_000_000, fund_codes=["000002", "000003"])
        )
    )

    assert small[0] == "NOTHING_ELIGIBLE"
    assert "BELOW_MINIMUM" in small[1]
    assert above == ("NOTHING_ELIGIBLE", ["fund_codes.000007"])
    assert zero == ("AMOUNT_NOT_POSITIVE", ["amount"])
    assert conflict == ("CONSTRAINTS_CONFLICT", ["MANAGER:TA2", "MANAGER:TA3"])


async def test_too_little_history_names_the_fund_and_the_days_missing(served: Served) -> None:
    name = await served.investor("anna")
    await served.world.told.fund("00000A", 1, "NCD", ta_id="TAX")
    await served.world.told.navs("00000A", 3)
    fact = events_pb2.FundFact(instrument="00000A", inception_date="2020-01-01")
    await served.world.heard(served.parts)
    await served.feeds.PublishFundFacts(
        pb.PublishFundFactsRequest(batch_id=proposal_id(99), source="vendor", facts=[fact])
    )
    await served.world.heard(served.parts)

    reason, fields = await refusal(
        served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000, fund_codes=["00000A"]))
    )

    assert reason == "HISTORY_TOO_SHORT"
    assert fields == ["00000A:248"]


async def test_without_its_solver_the_service_falls_back_to_the_floor_and_says_so(
    served: Served,
) -> None:
    name = await served.investor("anna")
    served.world.solver.is_away = True

    answer = await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))

    issued = answer.proposal.issued
    assert list(issued.fallbacks)[-2:] == ["SOLVER_AWAY", "EQUAL_WEIGHT"]
    assert sum(item.weight for item in issued.items) == 10_000
    assert issued.expected.mean_level_millionths <= 2_500_000


async def test_a_forgotten_investor_leaves_numbers_and_no_answers(served: Served) -> None:
    name = await served.investor("anna")
    await served.wallet.ListRecommendations(listing(name, 1))

    await served.wallet.ForgetInvestor(
        pb.ForgetInvestorRequest(investor_id=name, request_id=str(uuid4()))
    )
    found = await served.wallet.GetProposal(pb.GetProposalRequest(proposal_id=proposal_id(1)))
    again, _ = await refusal(served.answer(name, InvestorClass.C3))
    advice, _ = await refusal(served.wallet.ListRecommendations(listing(name, 2)))

    assert found.proposal.issued.items
    assert again == "INVESTOR_FORGOTTEN"
    assert advice == "PROFILE_MISSING"


async def test_funds_are_told_the_class_an_investor_has(served: Served) -> None:
    name = await served.investor("anna")
    async with asyncio.timeout(60):
        await served.world.funds.told.wait()

    found, until, version = served.world.funds.classes[name]

    in_a_year = (TODAY + timedelta(days=365)).isoformat()
    assert (found, until, version) == (InvestorClass.C3, in_a_year, "2026-1")


async def followed(served: Served) -> list[str]:
    """A portfolio that was accepted; its funds."""
    name = await served.investor("anna")
    proposed = await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))
    await served.wallet.AcceptProposal(
        pb.AcceptProposalRequest(
            proposal_id=proposal_id(2), request_id=str(uuid4()), account_id=WALLET_ACCOUNT
        )
    )
    return [item.fund_code for item in proposed.proposal.issued.items if item.weight]


async def priced(served: Served, codes: list[str], day: date) -> None:
    for code in codes:
        nav = {"nav_date": day.isoformat(), "nav": "10000"}
        await served.world.told.again(code, "FundNavPublished", {"nav": nav, "source": "test"})


async def test_with_a_simulated_clock_an_outcome_is_measured_by_business_time(
    run_dir: Path,
) -> None:
    then = date(2015, 3, 31)
    world = World(follows_market=True)
    await world.catalogue(until=then)
    async with serving(world, run_dir) as served:
        held = await followed(served)

        await priced(served, held, then + timedelta(days=30))
        await world.until(f"proposal-{proposal_id(2)}", "ProposalOutcomeMeasured")
        found = await served.wallet.GetProposal(pb.GetProposalRequest(proposal_id=proposal_id(2)))

    assert found.proposal.issued.as_of_date == "2015-03-31"
    assert [outcome.days for outcome in found.proposal.outcomes] == [30]


async def test_what_came_of_a_followed_proposal_is_measured_when_prices_come(
    served: Served,
) -> None:
    held = await followed(served)
    served.world.now_us += 31 * 86_400_000_000
    await priced(served, held, TODAY + timedelta(days=30))

    await served.world.until(f"proposal-{proposal_id(2)}", "ProposalOutcomeMeasured")
    found = await served.wallet.GetProposal(pb.GetProposalRequest(proposal_id=proposal_id(2)))

    (outcome,) = found.proposal.outcomes
    assert outcome.days == 30
    assert outcome.return_millionths != 0


async def rebalanced(served: Served, name: str, *, rate: str) -> pb.ProposePortfolioRequest:
    """All money in one bond fund for forty days; each purchase costs the rate (millionths)."""
    table = {"effective_date": "2020-01-01", "front": [{"rate": rate}], "discount": "1000000"}
    told = served.world.told
    for code, kind in (
        ("000101", "BOND"),
        ("000102", "BOND"),
        ("000103", "BOND"),
        ("000104", "MIXED"),
    ):
        await told.fund(code, 2, kind, fee_tables=[table])
        await told.navs(code, 260)
    day = (TODAY - timedelta(days=40)).isoformat()
    await told.lot(name, "000101", 50_000_000, day)
    order_id = await told.order(name, "000101", 50_000_000, "C3")
    await told.tell(f"fund_order-{order_id}", "funds", [("FundOrderSettled", {})])
    await served.world.heard(served.parts)
    codes = ["000101", "000102", "000103", "000104"]
    return portfolio(name, 3, 0, is_rebalance=True, fund_codes=codes)


async def test_a_rebalance_that_costs_more_than_it_gains_is_not_proposed(served: Served) -> None:
    name = await served.investor("anna", InvestorClass.C4)
    request = await rebalanced(served, name, rate="900000")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.wallet.ProposePortfolio(request)

    assert reason_of(caught.value) == "REBALANCE_FEE_ABOVE_GAIN"
    assert "estimated to gain" in str(caught.value.details())
    assert await served.world.names(f"proposal-{proposal_id(3)}") == []


async def test_a_rebalance_that_gains_more_than_it_costs_is_proposed(served: Served) -> None:
    name = await served.investor("anna", InvestorClass.C4)
    request = await rebalanced(served, name, rate="0")

    answer = await served.wallet.ProposePortfolio(request)

    issued = answer.proposal.issued
    assert issued.purpose == events_pb2.PURPOSE_REBALANCE
    assert sum(item.weight for item in issued.items) == 10_000
    assert min(item.amount_minor for item in issued.items) < 0
