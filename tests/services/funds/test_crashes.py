"""Funds processes that die: at every stage another one goes on, and nothing is done twice."""

import pytest

from services.funds.cash import SUB, fee_income
from tests.services.funds.dealing import BUY, DAY, FEE, UNITS, cut_off, held, place
from tests.services.funds.scripted import REGISTRAR, Scripted, T, set_up
from tests.services.funds.worlds import CURRENCY, TA, WALLET, World, at


async def test_with_a_new_process_at_every_stage_the_day_comes_to_its_end() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts, BUY, until="Placed")
    async with world.funds():
        await world.until_order(1, "Accepted")
    async with world.funds() as parts:
        world.now_us = at("2026-09-24 15:00")
        await parts.fund_days.cut_off(TA, T, "operator")
    async with world.funds():
        await world.until(DAY, "TaDayAcknowledged")
    (order,) = registrar.orders()
    prices = registrar.package({"07": [registrar.price()]})
    rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
    answers = registrar.package(rows)
    for package in (prices, answers, answers):
        async with world.funds() as parts:
            await parts.intake.take(REGISTRAR, package)
    world.now_us = at("2026-09-28 09:00")
    world.banks.is_prompt = False
    async with world.funds():
        await world.banks.until_asked("pay")
    (payment_id,) = world.banks.asked
    world.banks.carry(payment_id)
    async with world.funds() as parts:
        await world.until(DAY, "TaDayCashSettled")
        await world.until_order(1, "Settled")
        assert await held(parts) == (UNITS, 0)
    assert (world.journal.sums(SUB), world.journal.balances[WALLET]) == (0, 0)
    assert world.journal.balances[fee_income(CURRENCY).account_id] == FEE
    assert len(world.banks.asked) == 1
    assert len(world.link.sent) == 1


@pytest.mark.parametrize("answer", [0, 1])
async def test_an_answer_of_the_journal_that_is_lost_moves_no_money_twice(answer: int) -> None:
    world = World()
    Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        world.journal.cut_after = answer
        await place(world, parts)
        await cut_off(world, parts)
    assert (world.journal.balances[WALLET], world.journal.sums(SUB)) == (0, 1_000_000)
    assert world.journal.held == {}
