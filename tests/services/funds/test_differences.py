"""Files and rows that are not what they should be: kept apart, named, repaired by two people."""

import pytest

from libs.decider import Cause, Rejected
from libs.ids import new_id
from libs.registrar_files import File, Package, build_index
from services.funds.cash import SUB
from services.funds.domain import breaks
from services.funds.domain.breaks import BreakType, Repair
from services.funds.domain.order_lifecycle import PartStage
from services.funds.parts import Parts
from services.funds.queries import breaks_page
from tests.services.funds.dealing import DAY, FEE, UNITS, cut_off, held, order_of, place
from tests.services.funds.scripted import PROFILE, REGISTRAR, Scripted, set_up
from tests.services.funds.worlds import OTHER, TA, WALLET, World, at


async def standing(parts: Parts) -> list[breaks.Standing]:
    """Breaks that stand."""
    await parts.projection.wait_for(await parts.fund_days.store.head())
    rows = await parts.database.read(lambda c: breaks_page(c, "", 0, 100, open_only=True))
    found = [(await parts.aggregates.breaks.load(row.break_id)).state for row in rows]
    return [each for each in found if isinstance(each, breaks.Standing)]


async def repair(parts: Parts, found: breaks.Standing, how: Repair) -> None:
    """One operator proposes, another approves."""
    break_id, proposal_id = found.terms.break_id, str(new_id())
    streams, cause = parts.aggregates.breaks, Cause(proposal_id)
    propose = breaks.ProposeRepair(proposal_id, how, "as agreed by telephone", "maker")
    await streams.transact(break_id, propose, cause)
    with pytest.raises(Rejected, match="APPROVER_IS_MAKER"):
        await streams.transact(break_id, breaks.ApproveRepair(proposal_id, "maker"), cause)
    approve = breaks.ApproveRepair(proposal_id, "checker")
    await streams.transact(break_id, approve, Cause(f"{proposal_id}/2"))


async def ready(world: World, parts: Parts, registrar: Scripted) -> None:
    """An order with the registrar, and the day's price known; the morning after."""
    await set_up(parts)
    await place(world, parts)
    await cut_off(world, parts)
    await registrar.hand_in(parts, {"07": [registrar.price()]})
    world.now_us = at("2026-09-28 09:00")


async def test_units_that_are_not_the_formulas_are_not_booked_until_two_people_say_so() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        (order,) = registrar.orders()
        row = registrar.bought(order, UNITS + 100, FEE)
        await registrar.hand_in(parts, {"04": [row], "05": [registrar.balance(UNITS + 100)]})
        await world.until(DAY, "TaDayReconciled")
        assert await held(parts) == (0, 0)
        by_row = [each for each in await standing(parts) if each.terms.order_id]
        assert [each.terms.type for each in by_row] == [BreakType.SHARE_DIFF]
        assert by_row[0].terms.ours == f"shares={UNITS}"
        await repair(parts, by_row[0], Repair.ACCEPT_THEIRS)
        await world.until_order(1, "PartBooked")
        assert await held(parts) == (UNITS + 100, 0)


async def test_a_corrected_price_after_booking_is_booked_again_by_two_people() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        (order,) = registrar.orders()
        row = registrar.bought(order, UNITS, FEE)
        await registrar.hand_in(parts, {"04": [row], "05": [registrar.balance(UNITS)]})
        await world.until_order(1, "Settled")
        # 9,920.63 at 1.0030 instead of 1.0025.
        right = 989_096
        amendment = row._replace(nav=10_030, confirmed_vol=right)
        rows = {"04": [amendment], "05": [registrar.balance(right)]}
        await registrar.hand_in(parts, {"07": [registrar.price(10_030)], **rows})
        await world.until_many(DAY, "TaDayFileApplied", 6)
        assert await held(parts) == (UNITS, 0)
        found = {each.terms.type: each for each in await standing(parts)}
        assert set(found) == {BreakType.AMOUNT_DIFF, BreakType.SHARE_DIFF}
        differs = found[BreakType.AMOUNT_DIFF]
        assert "CONFIRMATION_DIFFERS" in differs.terms.description
        await repair(parts, differs, Repair.AMEND)
        await repair(parts, found[BreakType.SHARE_DIFF], Repair.KEEP_OURS)
        await world.until_many("fund_break-", "FundBreakClosed", 2)
        await world.until_order(1, "PartBooked")
        assert await held(parts) == (right, 0)
        amended = await order_of(parts)
        # The registrar has told its balances twice: the later word takes the earlier's place.
        await parts.projection.wait_for(await world.store.head())
        (units,) = await parts.tying_out.units(TA)
        assert (units.registered, units.ties_out) == (right, True)
    assert amended.stage.name == "AMENDED"
    assert amended.parts[0].stage is PartStage.BOOKED
    assert (world.journal.sums(SUB), world.journal.balances[WALLET]) == (0, 0)


async def test_balances_in_several_files_are_one_word_and_no_account_is_missed() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        (order,) = registrar.orders()
        contents = {
            "04": [registrar.bought(order, UNITS, FEE)],
            "05": [registrar.balance(UNITS), registrar.balance(0, OTHER)],
        }
        await parts.intake.take(REGISTRAR, registrar.package(contents, rows_per_file=1))
        await world.until(DAY, "TaDayReconciled")
        assert await standing(parts) == []
        await parts.projection.wait_for(await world.store.head())
        (units,) = await parts.tying_out.units(TA)
        assert units.ties_out


async def test_a_confirmation_of_an_order_that_nobody_sent_books_nothing() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        (order,) = registrar.orders()
        unknown = registrar.bought(order, UNITS, FEE, app_sheet_serial_no="9" * 24)
        rows = [registrar.bought(order, UNITS, FEE), unknown._replace(ta_serial_no="S9")]
        await registrar.hand_in(parts, {"04": rows, "05": [registrar.balance(UNITS)]})
        await world.until(DAY, "TaDayReconciled")
        found = await standing(parts)
        assert [each.terms.type for each in found] == [BreakType.MISSING_HERE]
        assert await held(parts) == (UNITS, 0)


async def test_an_order_that_is_not_answered_is_missing_at_the_registrar() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        await registrar.hand_in(parts, {"04": [], "05": []})
        await world.until(DAY, "TaDayReconciled")
        found = await standing(parts)
    assert [each.terms.type for each in found] == [BreakType.MISSING_AT_TA]


async def unexplained(world: World, parts: Parts, registrar: Scripted) -> breaks.Standing:
    """The registrar says no, under a code that no table has; the break that it makes."""
    await ready(world, parts, registrar)
    (order,) = registrar.orders()
    row = registrar.bought(order, 0, 0, return_code="9999", confirmed_amount=0)
    await registrar.hand_in(parts, {"04": [row], "05": []})
    await world.until_order(1, "Returned")
    await world.until(DAY, "TaDayReconciled")
    (found,) = await standing(parts)
    return found


async def test_a_code_that_no_table_explains_is_a_rejected_order_and_a_break() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        found = await unexplained(world, parts, registrar)
    assert found.terms.type is BreakType.RETURN_CODE_UNKNOWN
    assert world.journal.balances[WALLET] == 1_000_000


def spoiled(package: Package, old: bytes, new: bytes, *, is_told: bool) -> Package:
    """The package with other bytes in its first file; where `is_told`, its index knows them."""
    first, *others = package.files
    body = first.body.replace(old, new, 1)
    assert body != first.body
    files = (File(first.file_type, first.batch, first.name, body), *others)
    index = build_index(package.key, [(each, 1) for each in files], PROFILE)
    return Package(package.key, index if is_told else package.index, files)


async def test_a_package_whose_bytes_are_not_those_of_its_index_is_not_taken() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        (order,) = registrar.orders()
        rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
        good = registrar.package(rows)
        bad = spoiled(good, b"00000001", b"00000002", is_told=False)
        (told,) = await parts.intake.take(REGISTRAR, bad)
        assert told.faults[0].reason.value == "HASH"
        assert await held(parts) == (0, 0)
        await parts.intake.take(REGISTRAR, good)
        await world.until_order(1, "Settled")


async def test_a_file_with_a_wrong_count_is_kept_apart_whole() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        (order,) = registrar.orders()
        rows = {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
        count = b"\r\n00000001\r\n"
        bad = spoiled(registrar.package(rows), count, count.replace(b"1", b"2"), is_told=True)
        receipts = await parts.intake.take(REGISTRAR, bad)
        assert [each.is_taken for each in receipts] == [False, True]
        assert receipts[0].faults[0].reason.value == "COUNT"
        assert await held(parts) == (0, 0)
        found = await standing(parts)
        assert [each.terms.type for each in found] == [BreakType.FILE_QUARANTINED]
        # Its number is used up: the right file comes as the next batch.
        row = registrar.bought(order, UNITS, FEE)
        await registrar.hand_in(parts, {"04": [row]})
        await world.until_order(1, "Settled")
        assert await held(parts) == (UNITS, 0)


async def test_the_same_package_again_changes_nothing_and_another_under_its_number_stops() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await ready(world, parts, registrar)
        (order,) = registrar.orders()
        first = registrar.package(
            {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
        )
        await parts.intake.take(REGISTRAR, first)
        await world.until_order(1, "Settled")
        again = await parts.intake.take(REGISTRAR, first)
        assert [each.is_repeat for each in again] == [True, True]
        assert await held(parts) == (UNITS, 0)
        registrar.number, registrar.batches = 1, {"07": 1}
        other = registrar.package({"04": [], "05": []})
        (told,) = await parts.intake.take(REGISTRAR, other)
        assert told.faults[0].reason.value == "OTHER_CONTENT"
        assert await held(parts) == (UNITS, 0)


async def test_a_package_out_of_turn_is_taken_when_the_one_before_it_has_come() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        await cut_off(world, parts)
        (order,) = registrar.orders()
        prices = registrar.package({"07": [registrar.price()]})
        answers = registrar.package(
            {"04": [registrar.bought(order, UNITS, FEE)], "05": [registrar.balance(UNITS)]}
        )
        world.now_us = at("2026-09-28 09:00")
        (early,) = await parts.intake.take(REGISTRAR, answers)
        assert early.faults[0].reason.value == "GAP"
        await parts.intake.take(REGISTRAR, prices)
        await parts.intake.take(REGISTRAR, answers)
        await world.until_order(1, "Settled")
        assert await standing(parts) == []


async def test_confirmations_that_overtake_the_prices_wait_to_be_measured() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        await cut_off(world, parts)
        (order,) = registrar.orders()
        world.now_us = at("2026-09-28 09:00")
        row = registrar.bought(order, UNITS, FEE)
        await registrar.hand_in(parts, {"04": [row]})
        await world.until(DAY, "TaDayFileReceived")
        assert await held(parts) == (0, 0)
        await registrar.hand_in(parts, {"07": [registrar.price()]})
        await world.until_order(1, "Confirmed")
        assert await held(parts) == (UNITS, 0)


async def test_a_receipt_that_is_lost_is_asked_for_and_nothing_is_sent_twice() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        world.link.lose_receipts = 1
        await cut_off(world, parts)
        names = await world.events(DAY)
    assert names[-2:] == ["TaDayDeliveryDoubted", "TaDayAcknowledged"]
    assert len(world.link.sent) == 1
    assert len(registrar.orders()) == 1


async def test_a_registrar_that_is_away_gets_the_same_file_when_it_is_back() -> None:
    world = World()
    registrar = Scripted(world)
    async with world.funds() as parts:
        await set_up(parts)
        await place(world, parts)
        world.link.is_away = True
        world.now_us = at("2026-09-24 15:00")
        await parts.fund_days.cut_off("HFTA", registrar.trade_date, "operator")
        await world.until(DAY, "TaDayOrdersBatched")
    world.link.is_away = False
    async with world.funds() as parts:
        await world.until(DAY, "TaDayAcknowledged")
    assert len(world.link.sent) == 1
