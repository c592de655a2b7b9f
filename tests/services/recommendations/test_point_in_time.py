"""Features rebuilt from the log are, to the byte, those that a stored proposal rests on."""

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.projection import Projection
from libs.read_model import Database
from libs.suitability import InvestorClass
from services.recommendations import known_facts, known_funds
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain import proposal as what
from services.recommendations.domain.facts import shares_of
from services.recommendations.domain.features import (
    digest,
    fund_features,
    investor_features,
    of_set,
    pair_features,
)
from services.recommendations.domain.together import moves_by_currency, together
from services.recommendations.rows import funds, own, payments
from tests.services.recommendations.conftest import Served
from tests.services.recommendations.test_api import listing, portfolio
from tests.services.recommendations.worlds import TODAY, WALLET_ACCOUNT, World, proposal_id


async def rebuilt(world: World, issued: what.Issued) -> str:
    """The digest of the features, from nothing but the log and what the proposal says of itself."""
    database = Database.open("sqlite://")
    try:
        for model in (own.model, funds.model, payments.model):
            projection = Projection(model, database, world.store)
            await projection.prepare()
            stored = [event async for event in world.store.read_all(model.prefixes)]
            for event in stored:
                writes = list(model.project(event))
                await database.write(lambda c, w=writes: _apply(c, w))  # type: ignore[misc]
        upto = known_facts.Upto(
            issued.positions.own,
            issued.positions.funds,
            issued.positions.payments,
            issued.as_of_us,
            issued.feature_set,
            issued.positions.feeds,
        )
        return await database.read(lambda c: _digest(c, issued, upto))
    finally:
        database.close()


def _apply(connection: object, writes: list[object]) -> None:
    from libs.writes import apply  # noqa: PLC0415 - beside its only use

    apply(connection, writes)  # type: ignore[arg-type]


def _digest(connection: object, issued: what.Issued, upto: known_facts.Upto) -> str:
    c = connection
    facts = known_facts.facts_of(c, issued.investor_id, upto)  # type: ignore[arg-type]
    codes = {fact.fund_code for fact in facts if fact.fund_code}
    known = known_funds.priced(c, codes, upto)  # type: ignore[arg-type]
    prices = {code: each.price for code, each in known.items()}
    levels = {code: each.level for code, each in known.items()}
    currencies = {code: each.currency for code, each in known.items()}
    shares = shares_of(facts)
    values = {code: count * prices.get(code, 0) // 10_000 for code, count in shares.items()}
    were_held = {fact.fund_code for fact in facts if fact.kind == "SHARES"}
    wanted = {*were_held, *(item.fund_code for item in issued.items)}
    at = (upto.funds, upto.feeds)
    moved = known_funds.moves_of(c, dict.fromkeys(wanted, at), upto.at_us)  # type: ignore[arg-type]
    own_moves = {code: moved[code] for code in were_held}
    about = investor_features(facts, upto.at_us, prices, levels, own_moves, currencies)
    subjects = {"investor": about}
    held = moves_by_currency(values, currencies, moved)
    shown = known_funds.priced(c, [item.fund_code for item in issued.items], upto)  # type: ignore[arg-type]
    for item in issued.items:
        code = item.fund_code
        subjects[f"fund:{code}"] = fund_features(
            known_funds.fund_facts(c, code, *at, issued.feature_set),  # type: ignore[arg-type]
            upto.at_us,
        )
        own = held.get(shown[code].currency)
        alike = None if own is None else together(own, moved[code]).correlation
        subjects[f"pair:{code}"] = pair_features(facts, upto.at_us, code, alike)
    told = {name: of_set(each, issued.feature_set) for name, each in subjects.items()}
    return digest(told)


async def issued(served: Served, number: int) -> what.Issued:
    state = (await served.parts.advice.proposals.load(proposal_id(number))).state
    assert isinstance(state, what.Proposal)
    return state.issued


async def themed(served: Served, number: int, theme: str) -> None:
    facts = [events_pb2.FundFact(instrument="000002", theme=theme)]
    batch = pb.PublishFundFactsRequest(batch_id=proposal_id(number), source="vendor", facts=facts)
    assert (await served.feeds.PublishFundFacts(batch)).taken == 1
    await served.world.heard(served.parts)


async def _told_before(served: Served, name: str) -> None:
    world, told = served.world, served.world.told
    await told.order(name, "000002", 500_000, "C3")
    await told.lot(name, "000002", 480_000)
    await told.lot(name, "000004", 90_000)
    await told.top_up(WALLET_ACCOUNT, 1_000_000)
    terms = {"investor_id": name, "fund_code": "000002"}
    begun = ("PlanCreated", {"plan_id": "p1", "terms": terms})
    await told.tell("plan-p1", "funds", [begun, ("PlanSuspended", {}), ("PlanResumed", {})])
    day = TODAY.isoformat()
    await themed(served, 60, "green")
    # The newest price comes after the purchase: flows and size count up to it.
    await told.again("000002", "FundNavPublished", {"nav": {"nav_date": day, "nav": "10000"}})
    await world.heard(served.parts)


async def _told_after(served: Served, name: str) -> None:
    """Recorded after both proposals, some of it about days before them."""
    world, told = served.world, served.world.told
    await themed(served, 61, "red")
    await told.order(name, "000004", 700_000, "C3")
    await told.lot(name, "000002", 10_000, day="2026-09-01")
    await told.top_up(WALLET_ACCOUNT, 5)
    await told.tell("plan-p1", "funds", [("PlanStopped", {})])
    corrected = {
        "before": {"nav_date": TODAY.isoformat(), "nav": "10000"},
        "after": {"nav_date": TODAY.isoformat(), "nav": "20000"},
    }
    for code in ("000002", "000004", "000005"):
        await told.again(code, "FundNavCorrected", corrected)
    await world.heard(served.parts)
    await served.answer(name, InvestorClass.C4)


async def test_rebuilt_features_equal_the_stored_ones_and_later_events_change_none(
    served: Served,
) -> None:
    world = served.world
    name = await served.investor("anna")
    await _told_before(served, name)
    again = await served.parts.advice.known(name)
    assert again.moves["CNY"].days, "the funds that are held moved together"
    of_fund = (await served.parts.shelf.features_of(["000002"], served.parts.shelf.catalogue))[
        "000002"
    ]
    await served.wallet.ListRecommendations(listing(name, 1))
    await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))

    await _told_after(served, name)

    for number in (1, 2):
        stored = await issued(served, number)
        assert await rebuilt(world, stored) == stored.feature_hash
    features = dict((await issued(served, 1)).features)
    assert features["cash_in_30d:CNY"] == 1_000_000 * 1_000_000
    assert features["amounts_faded:CNY"] > 0
    assert features["funds_held"] == 2_000_000
    assert features["plans"] == 1_000_000
    assert features["amounts_faded_theme:green:CNY"] == features["amounts_faded_r2:CNY"]
    assert features["orders_faded_theme:green"] == features["orders_faded_r2"] > 0
    assert features["holding:000002"] + features["holding:000004"] in (999_999, 1_000_000)
    assert of_fund["net_flow_5d"] == 500_000 * 1_000_000
    assert of_fund["size_minor"] > 0
    assert of_fund["fee"] == 150 + 5_000
    again = await served.parts.advice.known(name)
    assert again.features["plans"] == 0
    assert again.features["amounts_faded_theme:red:CNY"] > 0
    assert again.features["amounts_faded_theme:MIXED:CNY"] > 0, "no feed told the theme of 000004"
    assert "amounts_faded_theme:green:CNY" not in again.features


async def test_the_same_question_on_the_same_log_gives_the_same_items_in_another_process(
    served: Served,
) -> None:
    name = await served.investor("anna")
    await served.wallet.ListRecommendations(listing(name, 1))
    await served.wallet.ProposePortfolio(portfolio(name, 2, 10_000_000))
    first = [await issued(served, number) for number in (1, 2)]

    async with served.world.service() as again:
        state = (await again.advice.investors.load(name)).state
        assert isinstance(state, life.Investor)
        about = await again.advice.known(name)
        assert about.features == dict(first[0].features)
        found = [
            (await again.advice.proposals.load(proposal_id(number))).state for number in (1, 2)
        ]

    assert [state.issued.item_hash for state in found if isinstance(state, what.Proposal)] == [
        each.item_hash for each in first
    ]
