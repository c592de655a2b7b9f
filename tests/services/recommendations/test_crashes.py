"""A process that dies at the worst moment: what was written is found, and nothing is done twice."""

import asyncio
from uuid import uuid4

from libs.decider import Cause
from libs.event_store import Appended, NewEvent
from libs.memory_store import MemoryStore
from libs.money import Money
from libs.suitability import InvestorClass
from services.recommendations.__main__ import Recommendations
from services.recommendations.asking import AskedList, AskedPortfolio
from services.recommendations.domain import investor as who
from services.recommendations.domain import proposal as what
from tests.services.recommendations.domain.sheets import submitting
from tests.services.recommendations.worlds import (
    WALLET_ACCOUNT,
    World,
    answers_for,
    proposal_id,
)


class DyingStore(MemoryStore):
    """Stores what it is given, and then never answers an append to one kind of stream."""

    def __init__(self) -> None:
        super().__init__()
        self.deaf_to = ""
        self.was_cut = asyncio.Event()

    async def append(self, stream: str, events: "list[NewEvent]", expected: int) -> Appended:  # type: ignore[override]
        done = await super().append(stream, events, expected)
        if self.deaf_to and stream.startswith(self.deaf_to):
            self.was_cut.set()
            await asyncio.Event().wait()
        return done


async def investor(parts: Recommendations, world: World, name: str) -> None:
    commands: list[who.Command] = [
        who.Register(name, (WALLET_ACCOUNT,), "wallet", world.now_us),
        submitting(answers_for(InvestorClass.C3), str(uuid4()), world.now_us),
        who.SetConsent(str(uuid4()), is_given=True, now_us=world.now_us),
    ]
    for command in commands:
        await parts.advice.investors.transact(name, command, Cause(str(uuid4())))


async def test_a_crash_between_log_and_reply_leaves_a_proposal_that_a_retry_finds() -> None:
    store = DyingStore()
    world = World(store=store)
    await world.catalogue()
    asked = AskedList(proposal_id(1), "anna", "wallet")
    async with world.service() as parts:
        await investor(parts, world, "anna")
        store.deaf_to = "proposal-"
        asking = asyncio.create_task(parts.advice.list_funds(asked))
        await store.was_cut.wait()
        asking.cancel()
    store.deaf_to = ""
    stored = await world.names(f"proposal-{proposal_id(1)}")

    async with world.service() as parts:
        again = await parts.advice.list_funds(asked)

    assert stored == ["RecommendationIssued"]
    assert again.events == ()
    assert isinstance(again.state, what.Proposal)
    assert await world.names(f"proposal-{proposal_id(1)}") == ["RecommendationIssued"]


async def test_orders_of_an_accepted_proposal_are_placed_by_the_next_process() -> None:
    world = World()
    await world.catalogue()
    world.funds.is_away = True
    asked = AskedPortfolio(proposal_id(2), "anna", "wallet", Money("CNY", 10_000_000))
    async with world.service() as parts:
        await investor(parts, world, "anna")
        done = await parts.portfolios.propose(asked)
        assert isinstance(done.state, what.Proposal)
        items = [item for item in done.state.issued.items if item.amount_minor]
        ids = {item.fund_code: str(uuid4()) for item in items}
        command = what.Accept("r1", (), ids, WALLET_ACCOUNT, world.now_us)
        await parts.advice.proposals.transact(proposal_id(2), command, Cause("r1"))
    assert world.funds.orders == {}

    world.funds.is_away = False
    stream = f"proposal-{proposal_id(2)}"
    async with world.service():
        await world.until(stream, "ProposalOrderLinked", len(items))

    assert {order.order_id for order in world.funds.orders.values()} == set(ids.values())


async def test_a_key_is_destroyed_by_the_next_process_where_one_died_after_the_event() -> None:
    world = World()
    await world.catalogue(days=5)
    async with world.service() as parts:
        await investor(parts, world, "anna")
        await parts.keys.seal("anna", b"answers")
        command = who.Forget(str(uuid4()), world.now_us)
        await parts.advice.investors.transact("anna", command, Cause("f"))

    async with world.service() as parts:
        async with asyncio.timeout(20):
            while await _has_key(parts):
                await world.heard(parts)


async def _has_key(parts: Recommendations) -> bool:
    from libs.subject_keys import KeyDestroyed  # noqa: PLC0415 - beside its only use

    try:
        await parts.keys.digest("anna", b"")
    except KeyDestroyed:
        return False
    return True
