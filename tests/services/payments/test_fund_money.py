"""Money of funds through payments: only funds may name their accounts."""

import pytest

from libs.decider import Cause
from libs.ids import account_id_of
from libs.money import Money
from services.payments.__main__ import Payments
from services.payments.domain.payment import Request
from services.payments.domain.terms import Kind, Payout, Terms, TopUp, WalletTransfer
from tests.services.payments.worlds import WALLET, World, payment_id

CLEARING = str(account_id_of("ta:TA01", "FUND_CLEARING", "CZK"))
TO_REGISTRAR = Payout(CLEARING, "CD", "123456", "TA01")
FROM_REGISTRAR = TopUp(CLEARING, "CD", "123456")


def world_with_fund_money() -> World:
    world = World()
    world.journal.open_accounts.add(CLEARING)
    world.journal.fund_accounts.add(CLEARING)
    world.journal.balances[CLEARING] = 10_000
    return world


async def ask_as(caller: str, world: World, parts: Payments, kind: Kind) -> str:
    id_ = payment_id(1)
    request = Request(id_, Terms(Money("CZK", 10_000), kind), caller, world.now_us // 1_000)
    await parts.streams.transact(id_, request, Cause(f"{id_}/REQUEST"))
    parts.driver.wake(id_)
    return id_


async def test_funds_pay_a_registrar_through_its_banks_window() -> None:
    world = world_with_fund_money()
    async with world.payments() as parts:
        id_ = await ask_as("funds", world, parts, TO_REGISTRAR)
        await world.until(id_, "EnteredWindow")
    assert world.journal.balances[CLEARING] == 0
    assert world.journal.balances["clearing:CD"] == 10_000


async def test_funds_collect_from_a_registrar_as_a_wallet_is_topped_up() -> None:
    world = world_with_fund_money()
    async with world.payments() as parts:
        id_ = await ask_as("funds", world, parts, FROM_REGISTRAR)
        await world.until(id_, "PullRequested")
        await world.banks.decided(id_, "DONE", bank_reference="B1")
        await world.until(id_, "Completed")
    assert world.journal.balances[CLEARING] == 20_000


@pytest.mark.parametrize(
    "kind",
    [TO_REGISTRAR, FROM_REGISTRAR, WalletTransfer(CLEARING, WALLET)],
    ids=["payout", "top-up", "transfer"],
)
async def test_nobody_else_moves_the_money_of_funds(kind: Kind) -> None:
    world = world_with_fund_money()
    async with world.payments() as parts:
        id_ = await ask_as("wallet", world, parts, kind)
        assert await world.until(id_, "Failed") == ["Requested", "Failed"]
        state = (await parts.streams.load(id_)).state
    assert "ROUTE_NOT_ALLOWED" in str(state)
    assert world.journal.balances[CLEARING] == 10_000
