"""Units that leave: redeemed, switched, given back, gated, and taken out by the registrar."""

from datetime import date
from typing import Any

from libs.registrar_files import ConfirmationRow, OrderRow
from services.funds.cash import RED
from services.funds.domain.order_terms import Switching
from services.funds.serials import trading_account_of
from tests.services.funds.dealing import (
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
from tests.services.funds.scripted import FUND, OTHER_FUND, Scripted, set_up, terms
from tests.services.funds.worlds import INVESTOR, TA, WALLET, World, at, order_id

# 1,000.00 units at 1.0025 are 1,002.50; held one day they pay 1.5 %: 15.04.
NET, LEAVING_FEE = 98_746, 1_504
AFTER = date(2026, 9, 29)


async def test_units_are_frozen_then_paid_out_when_the_registrar_has_paid() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await place(world, parts, sell(100_000), 2)
        assert await held(parts) == (UNITS, 100_000)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        row = sold(registrar, order)
        rows = {"04": [row], "05": [registrar.balance(UNITS - 100_000)]}
        world.now_us = at("2026-09-29 09:00")
        await registrar.hand_in(parts, rows)
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayReconciled")
        assert await held(parts) == (UNITS - 100_000, 0)
        assert world.journal.balances[WALLET] == 0
        world.now_us = at("2026-09-30 09:00")
        names = await world.until_order(2, "Settled")
    assert names[-3:] == ["PartCovered", "PartPaid", "Settled"]
    assert world.journal.balances[WALLET] == NET
    assert world.journal.sums(RED) == 0


async def test_an_order_for_more_than_is_free_is_refused_and_freezes_nothing() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await place(world, parts, sell(900_000), 2)
        await place(world, parts, sell(89_589), 3)
        assert await held(parts) == (UNITS, UNITS)


async def test_a_cancelled_redemption_frees_its_units() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await place(world, parts, sell(100_000), 2)
        await parts.placing.cancel(order_id(2), order_id(98), "wallet")
        await world.until_order(2, "Returned")
        assert await held(parts) == (UNITS, 0)


async def test_a_switch_leaves_one_fund_and_enters_another_in_one_order() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts, terms(), terms(OTHER_FUND))
        await own(world, parts, registrar)
        await place(world, parts, Switching(FUND, OTHER_FUND, 100_000), 2)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        (order,) = registrar.orders()
        prices = [registrar.price(), registrar.price(13_000, OTHER_FUND)]
        await registrar.hand_in(parts, {"07": prices})
        # 987.46 are converted at 1.3000, and both funds take the same fee in front: none again.
        entered = 75_958
        row = sold(registrar, order, code_of_target_fund=OTHER_FUND, target_nav=13_000)
        row = row._replace(cfm_vol_of_target_fund=entered)
        balances = [
            registrar.balance(UNITS - 100_000),
            registrar.balance(entered, code=OTHER_FUND),
        ]
        world.now_us = at("2026-09-29 09:00")
        await registrar.hand_in(parts, {"04": [row], "05": balances})
        await world.until_order(2, "Settled")
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayCashSettled")
        assert await held(parts) == (UNITS - 100_000, 0)
        assert await held(parts, OTHER_FUND) == (entered, 0)
        assert (await day_of(parts, NEXT)).reconciled is not None
    assert len(world.banks.asked) == 1  # what was bought on the first day: a switch moves none


async def test_what_a_large_redemption_defers_goes_on_to_the_next_day() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await place(world, parts, sell(200_000), 2)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        half = sold(registrar, order, confirmed_vol=100_000, business_finish_flag="0")
        world.now_us = at("2026-09-29 09:00")
        rows = {"04": [half], "05": [registrar.balance(UNITS - 100_000)]}
        await registrar.hand_in(parts, rows)
        await world.until_order(2, "RemainderRolledOver")
        assert (await order_of(parts, 2)).remaining_shares == 100_000
        assert await held(parts) == (UNITS - 100_000, 100_000)
        await cut_off(world, parts, AFTER)
        assert registrar.orders() == []
        registrar.begin(AFTER, date(2026, 9, 30))
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        rest = sold(registrar, order, ta_serial_no="R2", application_vol=100_000)
        rest = rest._replace(confirmed_vol=100_000)
        world.now_us = at("2026-10-08 09:00")
        rows = {"04": [rest], "05": [registrar.balance(UNITS - 200_000)]}
        await registrar.hand_in(parts, rows)
        await world.until_order(2, "Settled")
        assert await held(parts) == (UNITS - 200_000, 0)
    assert world.journal.balances[WALLET] == 2 * NET
    assert world.journal.sums(RED) == 0


async def test_the_registrar_redeems_by_itself_and_the_wallet_is_paid() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await own(world, parts, registrar)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        forced = registrar.forced(trading_account_of(INVESTOR), 100_000, 100_250)
        world.now_us = at("2026-09-29 09:00")
        rows = {"04": [forced], "05": [registrar.balance(UNITS - 100_000)]}
        await registrar.hand_in(parts, rows)
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayReconciled")
        assert await held(parts) == (UNITS - 100_000, 0)
        world.now_us = at("2026-09-30 09:00")
        await world.until(f"ta_day-{TA}-{NEXT}", "TaDayCashSettled")
    assert world.journal.balances[WALLET] == 100_250
    assert world.journal.sums(RED) == 0


def sold(registrar: Scripted, order: OrderRow, **more: Any) -> ConfirmationRow:  # noqa: ANN401 - fields of the row
    return registrar.sold(order, NET, LEAVING_FEE, **more)
