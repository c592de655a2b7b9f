"""Rows that are amended after their money has moved: the difference is collected or paid."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from libs.decider import Rejected
from libs.registrar_files import ConfirmationRow
from services.funds.cash import FEE as FEES
from services.funds.cash import RED, SUB, fee_income, short
from services.funds.domain import ta_day
from services.funds.domain.breaks import BreakType, Repair, Standing
from services.funds.domain.order_lifecycle import Stage
from services.funds.parts import Parts
from tests.services.funds.dealing import (
    DAY,
    FEE,
    NEXT,
    UNITS,
    cut_off,
    day_of,
    held,
    order_of,
    own,
    place,
    sell,
)
from tests.services.funds.scripted import REGISTRAR, Scripted, set_up
from tests.services.funds.test_differences import repair, standing
from tests.services.funds.test_redemption import AFTER, NET, sold
from tests.services.funds.worlds import CURRENCY, TA, WALLET, World, at

SOLD_ON = f"ta_day-{TA}-{NEXT}"
LEFT = UNITS - 100_000


@dataclass
class Dealt:
    """A subscription and a redemption, both settled; what the registrar said of the latter."""

    world: World
    parts: Parts
    registrar: Scripted
    row: ConfirmationRow

    async def amend(self, row: ConfirmationRow, nth: int = 1) -> None:
        """The registrar says something else, the nth time, and two operators agree."""
        await self.registrar.hand_in(self.parts, {"04": [row]})
        await self.world.until_many("fund_break-", "FundBreakFound", nth)
        (found,) = await standing(self.parts)
        assert found.terms.type is BreakType.AMOUNT_DIFF
        await repair(self.parts, found, Repair.AMEND)

    async def cash(self) -> list[int]:
        """What was paid and collected for the redemption's day, below 0 what went back."""
        return [each.request.amount_minor for each in (await day_of(self.parts, NEXT)).cash]


@pytest.fixture
async def dealt() -> AsyncIterator[Dealt]:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await place(world, parts, sell(100_000), 2)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        (order,) = registrar.orders()
        row = sold(registrar, order)
        world.now_us = at("2026-09-29 09:00")
        rows = {"04": [row], "05": [registrar.balance(LEFT)]}
        await registrar.hand_in(parts, {"07": [registrar.price()], **rows})
        await world.until(SOLD_ON, "TaDayReconciled")
        yield Dealt(world, parts, registrar, row)


async def test_more_than_was_paid_is_collected_and_paid_too(dealt: Dealt) -> None:
    world = dealt.world
    world.now_us = at("2026-09-30 09:00")
    await world.until_order(2, "Settled")
    await dealt.amend(dealt.row._replace(confirmed_amount=NET + 50))
    await world.until_many(SOLD_ON, "TaDayCashSettled", 2)
    await world.until_many("fund_order-", "FundOrderSettled", 3)
    assert await dealt.cash() == [NET, 50]
    assert (world.journal.balances[WALLET], world.journal.sums(RED)) == (NET + 50, 0)
    assert (await order_of(dealt.parts, 2)).stage is Stage.AMENDED


async def test_less_than_was_paid_comes_back_from_the_wallet_and_goes_to_the_registrar(
    dealt: Dealt,
) -> None:
    world = dealt.world
    world.now_us = at("2026-09-30 09:00")
    await world.until_order(2, "Settled")
    await dealt.amend(dealt.row._replace(confirmed_amount=NET - 50))
    await world.until_many("fund_order-", "FundOrderSettled", 3)
    assert await dealt.cash() == [NET, -50]
    assert [asked[0] for asked in world.banks.asked.values()] == ["pay", "collect", "pay"]
    assert (world.journal.balances[WALLET], world.journal.sums(RED)) == (NET - 50, 0)
    assert await held(dealt.parts) == (LEFT, 0)
    # And back again, under the same row: what is paid is what the row says last.
    await dealt.amend(dealt.row, 2)
    await world.until_many("fund_order-", "FundOrderSettled", 4)
    assert await dealt.cash() == [NET, -50, 50]
    assert (world.journal.balances[WALLET], world.journal.sums(RED)) == (NET, 0)


async def test_an_amount_amended_before_it_is_due_is_paid_as_it_is(dealt: Dealt) -> None:
    world = dealt.world
    await dealt.amend(dealt.row._replace(confirmed_amount=NET + 50))
    await world.until_many("fund_order-", "FundOrderPartCashTold")
    world.now_us = at("2026-09-30 09:00")
    await world.until_order(2, "Settled")
    assert sum(await dealt.cash()) == NET + 50
    assert (world.journal.balances[WALLET], world.journal.sums(RED)) == (NET + 50, 0)


async def short_by(dealt: Dealt, minor: int) -> Standing:
    """The wallet has spent all when less is confirmed; the break that says so."""
    world = dealt.world
    world.now_us = at("2026-09-30 09:00")
    await world.until_order(2, "Settled")
    world.journal.balances[WALLET] -= NET
    await dealt.amend(dealt.row._replace(confirmed_amount=NET - minor))
    await world.until_many("fund_break-", "FundBreakFound", 2)
    (found,) = [each for each in await standing(dealt.parts) if not each.approval]
    assert found.terms.type is BreakType.WALLET_SHORT
    assert (found.terms.ours, found.terms.theirs) == (str(NET), str(NET - minor))
    return found


async def test_a_wallet_without_the_money_is_a_break_and_the_registrar_is_not_paid(
    dealt: Dealt,
) -> None:
    found = await short_by(dealt, 50)
    assert await dealt.cash() == [NET]
    assert (await order_of(dealt.parts, 2)).parts[0].paid_minor == NET
    with pytest.raises(Rejected):
        await repair(dealt.parts, found, Repair.KEEP_OURS)


async def test_it_ends_when_the_wallet_has_the_money(dealt: Dealt) -> None:
    found = await short_by(dealt, 50)
    dealt.world.journal.balances[WALLET] += 50
    dealt.world.journal.forget_refusals()
    await dealt.world.until_many("fund_order-", "FundOrderSettled", 3)
    state = (await dealt.parts.aggregates.breaks.load(found.terms.break_id)).state
    assert isinstance(state, Standing)
    assert state.cause == "it was given back"
    assert (dealt.world.journal.balances[WALLET], dealt.world.journal.sums(RED)) == (0, 0)


async def test_two_operators_let_suspense_carry_it(dealt: Dealt) -> None:
    found = await short_by(dealt, 50)
    await repair(dealt.parts, found, Repair.POST)
    await dealt.world.until_many("fund_order-", "FundOrderSettled", 3)
    balances = dealt.world.journal.balances
    assert await dealt.cash() == [NET, -50]
    assert balances[short(TA, CURRENCY).account_id] == -50
    assert (balances[WALLET], dealt.world.journal.sums(RED)) == (0, 0)


async def test_what_a_purchase_does_not_take_any_more_comes_back_before_the_wallet_has_it() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        await cut_off(world, parts)
        (order,) = registrar.orders()
        row = registrar.bought(order, UNITS, FEE)
        world.now_us = at("2026-09-28 09:00")
        rows = {"04": [row], "05": [registrar.balance(UNITS)]}
        await registrar.hand_in(parts, {"07": [registrar.price()], **rows})
        await world.until(DAY, "TaDayCashSettled")
        world.banks.is_prompt = False
        less = row._replace(confirmed_amount=900_000, confirmed_vol=890_623, refund_amount=100_000)
        await Dealt(world, parts, registrar, row).amend(less)
        await world.banks.until_asked("collect")
        assert world.journal.balances[WALLET] == 0
        (owed,) = [key for key, asked in world.banks.asked.items() if asked[0] == "collect"]
        world.banks.carry(owed)
        await world.until_order(1, "Returned")
        await world.until_many("fund_order-", "FundOrderSettled", 2)
        day = await day_of(parts)
    assert [each.request.amount_minor for each in day.cash][-1] == -100_000
    assert day.is_even(ta_day.Purpose.SUB)
    assert (world.journal.balances[WALLET], world.journal.sums(SUB)) == (100_000, 0)


# Half of the fee is ours: it was all of it, and is so much less or more now.
@pytest.mark.parametrize("nets", [True, False])
@pytest.mark.parametrize("more", [-3_000, 500])
async def test_our_part_of_an_amended_fee_follows_the_amendment(*, nets: bool, more: int) -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts, registrar=replace(REGISTRAR, nets_agency_fee=nets))
        await place(world, parts)
        await cut_off(world, parts)
        (order,) = registrar.orders()
        row = registrar.bought(order, UNITS, FEE)
        world.now_us = at("2026-09-28 09:00")
        rows = {"04": [row], "05": [registrar.balance(UNITS)]}
        await registrar.hand_in(parts, {"07": [registrar.price()], **rows})
        await world.until(DAY, "TaDayCashSettled")
        await world.until_order(1, "Settled")
        income = fee_income(CURRENCY).account_id
        assert world.journal.balances[income] == FEE
        dealt = Dealt(world, parts, registrar, row)
        for nth, ours in enumerate((FEE + more, FEE), 1):
            await dealt.amend(row._replace(agency_fee=ours), nth)
            await world.until_many("fund_order-", "FundOrderSettled", nth + 1)
            assert world.journal.balances[income] == ours
            assert (world.journal.sums(SUB), world.journal.sums(FEES)) == (0, 0)
            await parts.projection.wait_for(await world.store.head(), 10.0)
            assert not any((await parts.tying_out.cash(TA)).values())
        asked = [each.request for each in (await day_of(parts)).cash]
        told = [(each.purpose.name, each.amount_minor) for each in asked]
    paid = 10_000_00 - FEE if nets else 10_000_00
    after = [("SUB", -more), ("SUB", more)] if nets else [("FEE", more), ("FEE", -more)]
    assert told == [("SUB", paid), *([] if nets else [("FEE", FEE)]), *after]
