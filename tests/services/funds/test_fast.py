"""Money paid out at once from a bank's advance, and how the bank comes by it again."""

from datetime import date, timedelta

from hefu.funds.v1 import funds_pb2 as pb
from libs.registrar_files import OrderRow
from services.funds.api.messages import order_view
from services.funds.cash import FAST, short
from services.funds.clients.payments import Fate
from services.funds.domain.breaks import BreakType, Repair
from services.funds.domain.order_lifecycle import OFFERS_MAX
from services.funds.domain.order_terms import FastRedemption
from services.funds.domain.ta_day import Purpose
from services.funds.parts import Parts
from tests.services.funds.dealing import NEXT, cut_off, held, order_of, place
from tests.services.funds.purse import ADVANCED, AFTER, income, own_money
from tests.services.funds.scripted import CONFIRM, FUND, Scripted
from tests.services.funds.test_differences import repair, standing
from tests.services.funds.worlds import CURRENCY, TA, WALLET, World, at, order_id

# Trade days after the units are there, each with its confirm date.
DAYS = (NEXT, AFTER, date(2026, 9, 30), date(2026, 10, 8), date(2026, 10, 9), date(2026, 10, 12))


async def test_money_is_in_the_wallet_at_once_and_the_redemption_repays_the_bank() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_money(world, parts, registrar)
        await place(world, parts, FastRedemption(FUND, 600_000), 2)
        assert world.journal.balances[WALLET] == 600_000
        assert world.journal.balances[ADVANCED] == 600_000
        assert world.journal.sums(FAST) == -600_000
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [income(CONFIRM, 0)]})
        row = registrar.sold(order, 600_000, 0, nav=10_000)
        world.now_us = at("2026-09-30 09:00")
        await registrar.hand_in(parts, {"04": [row], "05": [registrar.balance(400_000)]})
        await world.until_order(2, "Settled")
        await world.until_many("advance-", "AdvanceHeadroomReleased")
        assert await held(parts) == (400_000, 0)
    assert world.journal.balances[WALLET] == 600_000
    assert (world.journal.balances[ADVANCED], world.journal.sums(FAST)) == (0, 0)


async def test_what_the_advanced_shares_earn_meanwhile_is_collected_for_the_bank() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_money(world, parts, registrar)
        await place(world, parts, FastRedemption(FUND, 600_000), 2)
        await cut_off(world, parts, NEXT)
        registrar.begin(NEXT, AFTER)
        (order,) = registrar.orders()
        assert order.take_income_flag == "1"
        # 6,000.00 / 10,000 * 0.9582 = 0.5749 is the bank's, 0.57 of it in whole cents.
        await registrar.hand_in(parts, {"07": [income(CONFIRM, 9_582)]})
        row = registrar.sold(order, 600_000, 0, nav=10_000)
        world.now_us = at("2026-09-30 09:00")
        await registrar.hand_in(parts, {"04": [row], "05": [registrar.balance(400_038)]})
        await world.until_order(2, "Settled")
        await world.until_many("advance-", "AdvanceIncomePaid")
        # Of the 4,000.00 that stay, 0.3832: 0.38 is credited, 0.0032 stays.
        assert await held(parts) == (400_038, 0)
    paid = [(way, bank.number, amount.minor) for way, _, bank, amount in world.banks.asked.values()]
    assert ("collect", "TA0001", 57) in paid
    assert ("pay", "CD00ADVANCE", 57) in paid
    assert ("pay", "CD00ADVANCE", 600_000) in paid
    assert (world.journal.balances[ADVANCED], world.journal.sums(FAST)) == (0, 0)


async def test_above_the_days_limit_nothing_is_advanced() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_money(world, parts, registrar)
        await place(world, parts, FastRedemption(FUND, 600_000), 2)
        await place(world, parts, FastRedemption(FUND, 400_000), 3)
        assert world.journal.balances[WALLET] == 1_000_000


async def test_while_the_bank_has_not_said_the_wallet_gets_nothing_and_a_no_frees_all() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_money(world, parts, registrar)
        world.banks.is_prompt = False
        await place(world, parts, FastRedemption(FUND, 600_000), 2, until="SharesFrozen")
        await world.until_many("advance-", "AdvanceDrawRequested")
        assert (world.journal.balances[WALLET], await held(parts)) == (0, (1_000_000, 600_000))
        await world.banks.until_asked("collect")
        (draw,) = [key for key, asked in world.banks.asked.items() if asked[0] == "collect"]
        world.banks.carry(draw, Fate.FAILED)
        await world.until_order(2, "Returned")
        assert (world.journal.balances[WALLET], await held(parts)) == (0, (1_000_000, 0))


async def sent_on(world: World, parts: Parts, registrar: Scripted, nth: int) -> OrderRow:
    """The nth day closes, and is priced; the one order that went to the registrar."""
    day, confirm = DAYS[nth : nth + 2]
    await world.until_order(2, "Accepted")
    await cut_off(world, parts, day)
    registrar.begin(day, confirm)
    (order,) = registrar.orders()
    before = DAYS[nth - 1] if nth else day - timedelta(days=1)
    gone = [before + timedelta(days=n) for n in range(1, (day - before).days + 1)]
    await registrar.hand_in(parts, {"07": [income(each, 0) for each in gone]})
    world.now_us = at(f"{confirm} 09:00")
    return order


async def answered(
    parts: Parts, registrar: Scripted, order: OrderRow, redeemed: int, left: int
) -> None:
    """So many units are redeemed, and so many are left; of none it is a no."""
    more = {} if redeemed else {"return_code": "0005"}
    row = registrar.sold(order, redeemed, 0, confirmed_vol=redeemed, nav=10_000, **more)
    await registrar.hand_in(parts, {"04": [row], "05": [registrar.balance(left)]})


async def owed(world: World, parts: Parts) -> tuple[int, int]:
    """What the books say that the registrar owes for it, and what the orders say."""
    await parts.projection.wait_for(await world.store.head())
    return world.journal.sums(FAST), (await parts.tying_out.cash(TA))[Purpose.FAST]


async def test_what_the_registrar_will_not_redeem_is_offered_again_until_the_bank_is_repaid() -> (
    None
):
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_money(world, parts, registrar)
        await place(world, parts, FastRedemption(FUND, 600_000), 2)
        first = await sent_on(world, parts, registrar, 0)
        world.now_us = at(f"{NEXT} 14:30")
        await answered(parts, registrar, first, 0, 1_000_000)
        await world.until_order(2, "Refused")
        # Until the next trading day: the wallet is not told of an end that is none.
        shown = order_view(await order_of(parts, 2))
        assert shown.state == pb.FUND_ORDER_STATE_SHARES_FROZEN
        assert shown.reason == "REDEMPTION_SUSPENDED"
        world.now_us = at(f"{AFTER} 09:00")
        await world.until_order(2, "OfferedAgain")
        (found,) = await standing(parts)
        assert (found.terms.type, found.terms.ours) == (BreakType.ADVANCE_UNPAID, "600000")
        assert await owed(world, parts) == (-600_000, -600_000)
        await until_accepted(world, 2)

        second = await sent_on(world, parts, registrar, 1)
        assert second.application_vol == 600_000
        assert second.app_sheet_serial_no != first.app_sheet_serial_no
        # Four of six thousand, and no more of them: the rest goes once more.
        await answered(parts, registrar, second, 400_000, 600_000)
        await until_accepted(world, 3)
        third = await sent_on(world, parts, registrar, 2)
        assert third.application_vol == 200_000
        await world.until_order(2, "PartPaid")
        assert await owed(world, parts) == (-200_000, -200_000)
        await answered(parts, registrar, third, 200_000, 400_000)
        world.now_us = at("2026-10-09 09:00")
        await world.until_order(2, "Settled")
        await world.until_many("advance-", "AdvanceHeadroomReleased")
        assert await standing(parts) == []
        assert await held(parts) == (400_000, 0)
        assert await owed(world, parts) == (0, 0)
        assert (await order_of(parts, 2)).offers == 2
    repaid = [amount.minor for way, *_, amount in world.banks.asked.values() if way == "pay"]
    assert repaid == [1_000_000, 600_000]
    assert (world.journal.balances[WALLET], world.journal.balances[ADVANCED]) == (600_000, 0)


async def until_accepted(world: World, times: int) -> None:
    """Wait until the second order has had so many trade days."""
    await world.until_many(f"fund_order-{order_id(2)}", "FundOrderAccepted", times)


async def test_after_the_last_try_operators_let_suspense_repay_the_bank_and_never_before() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await own_money(world, parts, registrar)
        await place(world, parts, FastRedemption(FUND, 600_000), 2)
        for nth in range(OFFERS_MAX + 1):
            await until_accepted(world, nth + 1)
            order = await sent_on(world, parts, registrar, nth)
            if nth == 1:
                (found,) = await standing(parts)
                await repair(parts, found, Repair.POST)
                await world.until_many("fund_break-", "FundBreakRepairFailed")
            await answered(parts, registrar, order, 0, 1_000_000)
        await world.until_order(2, "Returned")

        # The money and the shares are not both the investor's.
        assert await held(parts) == (1_000_000, 600_000)
        (found,) = await standing(parts)
        assert found.terms.type is BreakType.ADVANCE_UNPAID
        assert world.journal.sums(FAST) == -600_000
        await repair(parts, found, Repair.POST)
        await world.until_many("advance-", "AdvanceHeadroomReleased")
        await world.until_many("fund_break-", "FundBreakClosed")
        assert await owed(world, parts) == (0, 0)
        assert await held(parts) == (1_000_000, 600_000)
    suspense = world.journal.balances[short(TA, CURRENCY).account_id]
    assert (suspense, world.journal.balances[ADVANCED]) == (-600_000, 0)
    assert world.journal.balances[WALLET] == 600_000
