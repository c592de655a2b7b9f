"""Many payments, lost answers and killed processes, drawn from a seed: the books come out."""

import asyncio
from random import Random

import pytest

from services.payments.__main__ import Payments
from services.payments.domain.lifecycle import Begun, Stage
from services.payments.domain.payment import next_step
from services.payments.domain.terms import Kind, Payout, TopUp
from services.payments.postings import Capture, Posted
from tests.services.payments.asking import PAYOUT, SALE, TOP_UP, TRANSFER, ask
from tests.services.payments.worlds import (
    FEES,
    IN_TRANSIT_IN,
    IN_TRANSIT_OUT,
    MERCHANT,
    OTHER,
    WALLET,
    World,
)

PAYMENTS = 24
LIVES = 4
FUNDS = 150_000
MINOR = 10_000
KINDS: tuple[Kind, ...] = (PAYOUT, PAYOUT, TOP_UP, TRANSFER, SALE)


async def live(world: World, random: Random, asked: dict[str, Kind], parts: Payments) -> None:
    """One life of the process: payments are asked for, answers are lost, the bank decides some."""
    for number in range(len(asked) + 1, len(asked) + 1 + PAYMENTS // LIVES):
        kind = random.choice(KINDS)
        asked[await ask(world, parts, kind, MINOR, number)] = kind
        if random.random() < 0.5:
            world.journal.cut_after = random.randrange(4)
        if random.random() < 0.3:
            world.banks.cut_after = 0
    for _ in range(random.randrange(40)):
        await asyncio.sleep(0)
    await bank_decides(world, random, asked, share=0.5)
    for _ in range(random.randrange(200)):
        await asyncio.sleep(0)


async def bank_decides(
    world: World, random: Random, asked: dict[str, Kind], *, share: float
) -> None:
    """The bank's word on some of what it has, one outcome for each payment; some are told twice."""
    for id_ in with_bank(world, asked):
        if random.random() < share:
            if random.random() < 0.3:
                await world.banks.doubted(id_)
            for _ in range(random.choice((1, 1, 2))):
                await decide(world, id_)


async def decide(world: World, id_: str) -> None:
    outcome = "REFUSED" if int(id_[-2:], 16) % 3 == 0 else "DONE"
    await world.banks.decided(id_, outcome, reason="AC01", bank_reference="B")


def with_bank(world: World, asked: dict[str, Kind]) -> list[str]:
    captured = {
        posting.payment_id
        for posting, outcome in world.journal.outcomes.values()
        if isinstance(posting, Capture) and isinstance(outcome, Posted)
    }
    return [id_ for id_ in asked if id_ in captured or id_ in world.banks.pulls]


async def at_rest(world: World, parts: Payments, asked: dict[str, Kind]) -> dict[str, Begun]:
    """Every payment, once each has its outcome and nothing left to do."""
    states: dict[str, Begun] = {}
    for id_ in asked:
        async for _ in world.store.follow((f"payment-{id_}",)):
            state = (await parts.streams.load(id_)).state
            if isinstance(state, Begun) and state.is_outcome_known and next_step(state) is None:
                states[id_] = state
                break
    return states


@pytest.mark.parametrize("seed", range(12))
async def test_the_books_come_out_whatever_dies(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - a story told again, not a secret
    world = World()
    world.journal.balances[WALLET] = FUNDS
    asked: dict[str, Kind] = {}
    for _ in range(LIVES):
        async with world.payments() as parts:
            await live(world, random, asked, parts)
    async with asyncio.timeout(60), world.payments() as parts:
        deciding = asyncio.create_task(_tell_all(world, asked))
        states = await at_rest(world, parts, asked)
        deciding.cancel()
    assert parts.driver.parked == {}
    _check_books(world, states)


async def _tell_all(world: World, asked: dict[str, Kind]) -> None:
    told: set[str] = set()
    async for _ in world.store.follow(("payment-",)):
        for id_ in with_bank(world, asked):
            if id_ not in told:
                told.add(id_)
                await decide(world, id_)


def _check_books(world: World, states: dict[str, Begun]) -> None:
    assert len(states) == PAYMENTS
    done = [state for state in states.values() if state.stage is Stage.SUCCEEDED]
    by_kind = {kind: sum(s.terms.kind == kind for s in done) for kind in KINDS}
    back = sum(s.refusal is not None for s in states.values() if isinstance(s.terms.kind, Payout))
    balances = world.journal.balances
    spent = by_kind[PAYOUT] + by_kind[TRANSFER] + by_kind[SALE]
    assert balances[WALLET] == FUNDS + (by_kind[TOP_UP] - spent) * MINOR
    assert balances[OTHER] == by_kind[TRANSFER] * MINOR
    assert balances[MERCHANT] == by_kind[SALE] * (MINOR - 150)
    assert balances[FEES] == by_kind[SALE] * 150
    assert balances[IN_TRANSIT_IN] == -by_kind[TOP_UP] * MINOR
    assert balances[IN_TRANSIT_OUT] == -back * MINOR
    assert balances["clearing:CD"] == (by_kind[PAYOUT] + back) * MINOR
    assert world.journal.held == {}
    failed_pulls = [
        s for s in states.values() if isinstance(s.terms.kind, TopUp) and s.stage is Stage.FAILED
    ]
    assert all(s.failure and s.failure.reason == "AC01" for s in failed_pulls)
