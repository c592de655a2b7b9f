"""How breaks end: by what two operators have agreed on, each end with its name."""

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as pb
from libs.ids import new_id
from services.funds.domain import breaks
from services.funds.domain.breaks import BreakType, Repair
from services.funds.parts import Parts
from tests.services.funds.conftest import Served
from tests.services.funds.dealing import DAY, FEE, UNITS, held, order_of
from tests.services.funds.scripted import Scripted
from tests.services.funds.served import (
    bring_to_market,
    clock,
    deliver,
    reason,
    sent_to_the_registrar,
)
from tests.services.funds.test_differences import ready, repair, standing, unexplained
from tests.services.funds.worlds import TA, WALLET, World


async def end_of(world: World, parts: Parts, found: breaks.Standing) -> str:
    """Wait until the break is closed; the name of its end."""
    await world.until(f"fund_break-{found.terms.break_id}", "FundBreakClosed")
    state = (await parts.aggregates.breaks.load(found.terms.break_id)).state
    assert isinstance(state, breaks.Standing)
    return state.cause.partition(" ")[0]


async def test_a_no_that_no_table_explains_stands_when_two_people_accept_it() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        found = await unexplained(world, parts, registrar)
        await repair(parts, found, Repair.ACCEPT_THEIRS)

        assert await end_of(world, parts, found) == "REFUSAL_STANDS"

        rejected = await order_of(parts)
    assert rejected.stage.name == "REJECTED"
    assert world.journal.balances[WALLET] == 1_000_000


async def test_an_order_that_the_registrar_never_had_is_given_up_and_its_money_goes_back() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        await registrar.hand_in(parts, {"04": [], "05": []})
        await world.until(DAY, "TaDayReconciled")
        (found,) = await standing(parts)
        assert found.terms.type is BreakType.MISSING_AT_TA
        await repair(parts, found, Repair.ACCEPT_THEIRS)

        assert await end_of(world, parts, found) == "ORDER_GIVEN_UP"

        await world.until_order(1, "Returned")
        refusal = (await order_of(parts)).refusal
    assert refusal is not None
    assert refusal.reason == "NOT_AT_REGISTRAR"
    assert world.journal.balances[WALLET] == 1_000_000


async def test_a_repair_that_cannot_be_done_does_nothing_and_another_ends_the_break() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        (order,) = registrar.orders()
        row = registrar.bought(order, UNITS, FEE)
        # More money than was asked for, under a number of its own: nothing of ours can take it.
        more = row._replace(ta_serial_no=f"X{new_id()!s:.10}", confirmed_amount=1_000_100)
        await registrar.hand_in(parts, {"04": [more], "05": []})
        await world.until_many("fund_break-", "FundBreakFound")
        found = next(each for each in await standing(parts) if each.terms.order_id)
        await repair(parts, found, Repair.AMEND)
        await world.until(f"fund_break-{found.terms.break_id}", "FundBreakRepairFailed")
        assert await held(parts) == (0, 0)

        await repair(parts, found, Repair.KEEP_OURS)

        assert await end_of(world, parts, found) == "OURS_STANDS"


async def test_operators_agree_over_the_desk_and_see_how_a_break_ended(served: Served) -> None:
    await bring_to_market(served)
    registrar, order = await sent_to_the_registrar(served)
    await deliver(served, registrar, {"07": [registrar.price()]})
    await clock(served, "2026-09-28 09:00")
    row = registrar.bought(order, 0, 0, return_code="9999", confirmed_amount=0)
    await deliver(served, registrar, {"04": [row], "05": []})
    await served.world.until(DAY, "TaDayReconciled")
    listing = pb.ListFundBreaksRequest(ta_id=TA, min_position=await served.world.store.head())
    (found,) = (await served.operator.ListFundBreaks(listing)).breaks
    assert found.type == events_pb2.BREAK_TYPE_RETURN_CODE_UNKNOWN
    asked = pb.ProposeRepairRequest(break_id=found.break_id, proposal_id=str(new_id()))

    asked.repair = events_pb2.REPAIR_AMEND
    assert await reason(served.operator.ProposeRepair(asked)) == "REPAIR_NOT_POSSIBLE"
    asked.repair = events_pb2.REPAIR_KEEP_OURS
    await served.operator.ProposeRepair(asked)
    refuse = pb.RefuseRepairRequest(break_id=found.break_id, proposal_id=asked.proposal_id)
    assert await reason(served.operator.RefuseRepair(refuse)) == "APPROVER_IS_MAKER"
    refused = await served.checker.RefuseRepair(refuse)
    assert (getattr(refused, "break").proposal_id, getattr(refused, "break").is_closed) == (
        "",
        False,
    )
    asked.repair, asked.proposal_id = events_pb2.REPAIR_ACCEPT_THEIRS, str(new_id())
    await served.operator.ProposeRepair(asked)
    approve = pb.ApproveRepairRequest(break_id=found.break_id, proposal_id=asked.proposal_id)
    assert await reason(served.operator.ApproveRepair(approve)) == "APPROVER_IS_MAKER"
    await served.checker.ApproveRepair(approve)
    await served.world.until(f"fund_break-{found.break_id}", "FundBreakClosed")

    (ended,) = (await served.operator.ListFundBreaks(listing)).breaks
    assert ended.close_cause == f"REFUSAL_STANDS {asked.proposal_id}"
