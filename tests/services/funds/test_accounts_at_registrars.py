"""A registrar that opens accounts: asked in 01 beside the first orders, heard of in 02."""

from dataclasses import replace

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as pb
from libs.decider import Cause
from libs.money import Money
from libs.registrar_files import AccountConfirmation, AccountRequest, Received, read_package
from services.funds.api.messages import to_wire
from services.funds.domain import registrar as registrars
from services.funds.domain.breaks import BreakType
from services.funds.domain.order_terms import Subscription, Terms
from services.funds.parts import Parts
from services.funds.serials import trading_account_of
from tests.services.funds.conftest import Served
from tests.services.funds.dealing import BUY, DAY, FEE, NEXT, UNITS, cut_off, held, order_of, place
from tests.services.funds.scripted import CONFIRM, PROFILE, REGISTRAR, Scripted, T, set_up
from tests.services.funds.served import bring_to_market, deliver, sent_to_the_registrar
from tests.services.funds.test_differences import standing
from tests.services.funds.worlds import CURRENCY, INVESTOR, TA, WALLET, World, at, order_id

OPENING = replace(REGISTRAR, profile="ofd21accounts")
LATER = Subscription(BUY.fund_code, Money(CURRENCY, 500_000))


async def begin(parts: Parts) -> None:
    await set_up(parts)
    register = registrars.Register(OPENING, "operator")
    await parts.aggregates.registrars.transact(TA, register, Cause("opens accounts"))


def requests(world: World) -> list[AccountRequest]:
    """Rows of 01 in the newest package that we sent."""
    read = read_package(world.link.sent[-1], PROFILE, Received())
    return [row for each in read for row in each.rows if isinstance(row, AccountRequest)]


async def asked_for(world: World, parts: Parts) -> AccountRequest:
    """The first order has been sent, and the account that it needs asked for."""
    await begin(parts)
    await place(world, parts)
    await cut_off(world, parts)
    (request,) = requests(world)
    return request


def answered(request: AccountRequest, code: str = "0000") -> AccountConfirmation:
    return AccountConfirmation(
        request.app_sheet_serial_no,
        f"A{request.app_sheet_serial_no[-10:]}",
        "101",
        request.transaction_account_id,
        T,
        CONFIRM,
        "000000000001" if code == "0000" else "",
        return_code=code,
        error_detail="" if code == "0000" else "no such person",
    )


async def test_an_account_is_asked_for_with_the_first_order_and_never_again() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        request = await asked_for(world, parts)
        assert request.transaction_account_id == trading_account_of(INVESTOR)
        assert [file.file_type for file in world.link.sent[-1].files] == ["01", "03"]
        (order,) = registrar.orders()
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        world.now_us = at("2026-09-28 09:00")
        rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
        await registrar.hand_in(parts, {"02": [answered(request)], **rows})
        await world.until_order(1, "Settled")

        await place(world, parts, LATER, 2)
        await cut_off(world, parts, NEXT)
        assert requests(world) == []
        assert len(registrar.orders()) == 1


async def test_an_order_of_a_later_day_waits_until_the_account_is_answered_for() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        request = await asked_for(world, parts)
        world.now_us = at("2026-09-28 09:00")
        await place(world, parts, LATER, 2, until="Funded")
        parts.orders.wake(order_id(2))
        await parts.orders.settle()
        assert (await order_of(parts, 2)).stage.name == "FUNDED"

        await registrar.hand_in(parts, {"02": [answered(request)]})

        await world.until_order(2, "Accepted")
        assert (await order_of(parts, 2)).trade_date == NEXT


async def test_without_an_account_orders_are_refused_by_name_and_all_money_goes_back() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        request = await asked_for(world, parts)
        (order,) = registrar.orders()
        world.now_us = at("2026-09-28 09:00")
        await place(world, parts, LATER, 2, until="Funded")

        no = registrar.bought(order, 0, 0, return_code="0001", confirmed_amount=0)
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        await registrar.hand_in(parts, {"02": [answered(request, "0001")], "04": [no], "05": []})

        for number in (1, 2):
            await world.until_order(number, "Returned")
            refusal = (await order_of(parts, number)).refusal
            assert refusal is not None
            assert (refusal.reason, refusal.description) == ("ACCOUNT_REFUSED", "no such person")
        await world.until(DAY, "TaDayReconciled")
        assert await standing(parts) == []
        assert world.journal.balances[WALLET] == 1_500_000
        assert await held(parts) == (0, 0)
        # Who has put it right may ask again.
        await place(world, parts, LATER, 3)
        await cut_off(world, parts, NEXT)
        (again,) = requests(world)
        assert again.app_sheet_serial_no != request.app_sheet_serial_no


async def test_an_answer_to_a_request_that_nobody_made_is_a_break() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        request = await asked_for(world, parts)
        strange = answered(request)._replace(app_sheet_serial_no="HA0")
        await registrar.hand_in(parts, {"02": [strange]})
        (found,) = await standing(parts)
    assert found.terms.type is BreakType.MISSING_HERE
    assert "ACCOUNT_REQUEST_UNKNOWN" in found.terms.description


async def test_a_package_sent_again_by_a_new_process_is_the_same_with_its_accounts() -> None:
    world = World()
    Scripted(world)
    async with world.funds() as parts:
        await begin(parts)
        await place(world, parts)
        world.link.is_away = True
        world.now_us = at("2026-09-24 15:00")
        await parts.fund_days.cut_off(TA, T, "operator")
        await world.until(DAY, "TaDayOrdersBatched")
    world.link.is_away = False
    async with world.funds():
        await world.until(DAY, "TaDayAcknowledged")
    assert [file.file_type for file in world.link.sent[-1].files] == ["01", "03"]


async def test_a_registrar_whose_orders_open_accounts_is_asked_for_none() -> None:
    world = World()
    Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await parts.placing.place(order_id(1), Terms(INVESTOR, WALLET, BUY), "wallet")
        await cut_off(world, parts)
        assert requests(world) == []


async def test_a_wallet_back_end_sees_how_an_investors_account_stands(served: Served) -> None:
    await bring_to_market(served)
    opening = to_wire(OPENING, events_pb2.Registrar())
    await served.operator.RegisterRegistrar(pb.RegisterRegistrarRequest(registrar=opening))
    registrar, _ = await sent_to_the_registrar(served)
    asked = pb.GetInvestorRequest(investor_id=INVESTOR)

    (before,) = (await served.wallet.stub.GetInvestor(asked)).investor.registrar_accounts
    await deliver(served, registrar, {"02": [answered(requests(served.world)[0])]})
    (after,) = (await served.wallet.stub.GetInvestor(asked)).investor.registrar_accounts

    assert (before.ta_id, before.state) == (TA, "REQUESTED")
    assert (after.state, after.ta_account_id) == ("CONFIRMED", "000000000001")


async def test_an_answer_about_accounts_that_is_not_here_on_its_day_is_late_until_it_comes() -> (
    None
):
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        request = await asked_for(world, parts)
        (order,) = registrar.orders()
        rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
        await registrar.hand_in(parts, {"07": [registrar.price()], **rows})
        world.now_us = at("2026-09-28 14:59")
        await world.until(DAY, "TaDayCashSettled")
        assert await standing(parts) == []

        world.now_us = at("2026-09-28 15:00")
        await world.until_many("fund_break-", "FundBreakFound")
        (found,) = await standing(parts)
        assert found.terms.type is BreakType.LATE
        assert (found.terms.ours, found.terms.description) == (
            "1 accounts asked for",
            "file 02 was due by 2026-09-28",
        )

        await registrar.hand_in(parts, {"02": [answered(request)]})
        await world.until_many("fund_break-", "FundBreakClosed")
        assert await standing(parts) == []
