"""A switch between registrars: units leave the one, and its money buys units of the other."""

from datetime import date

from libs.suitability import InvestorClass
from services.funds.cash import RED, SUB
from services.funds.domain import order_lifecycle as life
from services.funds.domain.order_terms import Switching, entry_id
from services.funds.domain.ta_day import Purpose
from services.funds.parts import Parts
from tests.services.funds.dealing import NEXT, UNITS, cut_off, held, order_of, own, place
from tests.services.funds.scripted import FUND, OTHER_FUND, Scripted, classify, set_up, terms
from tests.services.funds.worlds import INVESTOR, OTHER_TA, TA, WALLET, World, at, order_id

# 1,000.00 units at 1.0025 are 1,002.50; held one day they pay 1.5 %: 15.04.
NET, LEAVING_FEE = 98_746, 1_504
# 987.46 at 0.8 % and 1.0025: net 979.62, fee 7.84, units 977.18.
ENTERED, ENTRY_FEE = 97_718, 784
CONFIRMED, ENTRY_DAY, ENTRY_CONFIRMED = date(2026, 9, 29), date(2026, 9, 30), date(2026, 10, 8)
ACROSS = Switching(FUND, OTHER_FUND, 100_000)


async def redeemed(world: World, parts: Parts, registrar: Scripted) -> None:
    """Units are held, switched, and taken out by the registrar; its money has not come yet."""
    await set_up(parts, terms(), terms(OTHER_FUND, ta_id=OTHER_TA))
    await own(world, parts, registrar)
    await place(world, parts, ACROSS, 2)
    await cut_off(world, parts, NEXT)
    registrar.begin(NEXT, CONFIRMED)
    (order,) = registrar.orders()
    assert order.business_code == "024"
    await registrar.hand_in(parts, {"07": [registrar.price()]})
    world.now_us = at("2026-09-29 09:00")
    row = registrar.sold(order, NET, LEAVING_FEE)
    rows = {"04": [row], "05": [registrar.balance(UNITS - 100_000)]}
    await registrar.hand_in(parts, rows)
    await world.until(f"ta_day-{TA}-{NEXT}", "TaDayReconciled")


async def entry_of(world: World, parts: Parts, until: str) -> life.Begun:
    """The purchase that the switch pays for, where it has come to an event."""
    (part,) = (await order_of(parts, 2)).parts
    found = entry_id(order_id(2), part.row_id)
    await world.until(f"fund_order-{found}", f"FundOrder{until}")
    state = (await parts.aggregates.orders.load(found)).state
    assert isinstance(state, life.Begun)
    return state


async def test_the_money_of_the_one_registrar_buys_at_the_other() -> None:
    world = World()
    registrar, other = Scripted(world), Scripted(world, OTHER_TA)
    async with world.funds() as parts:
        await redeemed(world, parts, registrar)
        world.now_us = at("2026-09-30 09:00")
        entry = await entry_of(world, parts, "Accepted")
        await world.until_order(2, "Settled")
        assert (entry.placed.ta_id, entry.trade_date) == (OTHER_TA, ENTRY_DAY)
        assert entry.terms.switch_id == order_id(2)
        assert world.journal.sums(RED) == 0
        assert world.journal.sums(SUB, OTHER_TA) == NET
        await parts.projection.wait_for(await world.store.head(), 10.0)
        assert (await parts.tying_out.cash(OTHER_TA))[Purpose.SUB] == NET

        await cut_off(world, parts, ENTRY_DAY, OTHER_TA)
        other.begin(ENTRY_DAY, ENTRY_CONFIRMED)
        (order,) = other.orders()
        await other.hand_in(parts, {"07": [other.price(code=OTHER_FUND)]})
        world.now_us = at("2026-10-08 09:00")
        rows = {
            "04": [other.bought(order, ENTERED, ENTRY_FEE)],
            "05": [other.balance(ENTERED, code=OTHER_FUND)],
        }
        await other.hand_in(parts, rows)
        await entry_of(world, parts, "Settled")
        assert await held(parts, OTHER_FUND) == (ENTERED, 0)
        assert await held(parts) == (UNITS - 100_000, 0)
    assert world.journal.balances[WALLET] == 0
    assert [world.journal.sums(each, ta) for each in (SUB, RED) for ta in (TA, OTHER_TA)] == [0] * 4


async def test_what_cannot_be_bought_any_more_goes_to_the_wallet() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await redeemed(world, parts, registrar)
        await classify(parts, INVESTOR, InvestorClass.C1)
        world.now_us = at("2026-09-30 09:00")
        names = await world.until_order(2, "Settled")
        order = await order_of(parts, 2)
    assert names[-4:] == ["PartCovered", "EntryRefused", "PartPaid", "Settled"]
    (part,) = order.parts
    assert part.entry_refusal is not None
    assert part.entry_refusal.reason == "SUITABILITY_WARNING_NEEDED"
    assert world.journal.balances[WALLET] == NET
    assert world.journal.sums(RED) == 0


async def test_what_the_other_registrar_refuses_goes_to_the_wallet() -> None:
    world = World()
    registrar, other = Scripted(world), Scripted(world, OTHER_TA)
    async with world.funds() as parts:
        await redeemed(world, parts, registrar)
        world.now_us = at("2026-09-30 09:00")
        await entry_of(world, parts, "Accepted")
        await cut_off(world, parts, ENTRY_DAY, OTHER_TA)
        other.begin(ENTRY_DAY, ENTRY_CONFIRMED)
        (order,) = other.orders()
        await other.hand_in(parts, {"07": [other.price(code=OTHER_FUND)]})
        world.now_us = at("2026-10-08 09:00")
        no = other.bought(order, 0, 0, return_code="0003", confirmed_amount=0)
        await other.hand_in(parts, {"04": [no], "05": []})
        await entry_of(world, parts, "Returned")
    assert world.journal.balances[WALLET] == NET
    assert world.journal.sums(SUB, OTHER_TA) == 0


async def test_what_the_first_registrar_refuses_leaves_all_as_it_was() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts, terms(), terms(OTHER_FUND, ta_id=OTHER_TA))
        await own(world, parts, registrar)
        await place(world, parts, ACROSS, 2)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, CONFIRMED)
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        world.now_us = at("2026-09-29 09:00")
        no = registrar.sold(order, 0, 0, return_code="0005", confirmed_vol=0)
        await registrar.hand_in(parts, {"04": [no], "05": [registrar.balance(UNITS)]})
        await world.until_order(2, "Returned")
        assert await held(parts) == (UNITS, 0)
    assert world.journal.balances[WALLET] == 0


async def test_a_purchase_is_placed_and_paid_for_once_whenever_we_die() -> None:
    for cut_after in range(2):
        world = World()
        registrar = Scripted(world)
        async with world.funds() as parts:
            await redeemed(world, parts, registrar)
            world.journal.cut_after = cut_after
            world.now_us = at("2026-09-30 09:00")
            await entry_of(world, parts, "Placed")
        async with world.funds() as parts:
            entry = await entry_of(world, parts, "Accepted")
            await world.until_order(2, "Settled")
        assert entry.is_funded
        assert world.journal.sums(RED) == 0
        assert world.journal.sums(SUB, OTHER_TA) == NET
