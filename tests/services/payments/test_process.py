"""Payments driven to their ends by a process that dies, with answers that are lost."""

import pytest

from libs.decider import Cause
from libs.replay import replay
from services.payments.domain.payment import Cancel, ReserveRefund
from services.payments.domain.terms import Kind
from tests.services.payments.asking import PAYOUT, SALE, TOP_UP, TRANSFER, ask
from tests.services.payments.worlds import (
    FEES,
    IN_TRANSIT_IN,
    IN_TRANSIT_OUT,
    MERCHANT,
    NEXT_WINDOW,
    OTHER,
    WALLET,
    World,
    kinds,
    payment_id,
)


async def test_a_transfer_moves_the_money_once() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, TRANSFER)
        assert await world.until(id_, "Completed") == ["Requested", "Completed"]
    assert (world.journal.balances[WALLET], world.journal.balances[OTHER]) == (0, 10_000)


async def test_a_sale_is_split_between_merchant_and_fee() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, SALE)
        await world.until(id_, "Completed")
    assert (world.journal.balances[MERCHANT], world.journal.balances[FEES]) == (9_850, 150)
    assert world.journal.fees_opened == {"CZK"}


async def test_too_little_money_fails_the_payment_with_the_journals_reason() -> None:
    world = World()
    async with world.payments() as parts:
        id_ = await ask(world, parts, TRANSFER)
        assert await world.until(id_, "Failed") == ["Requested", "Failed"]
        state = (await parts.streams.load(id_)).state
    assert "BALANCE_TOO_LOW" in str(state)


async def test_a_payout_is_held_enters_the_window_and_is_paid_and_settled() -> None:
    world = World()
    world.journal.balances[WALLET] = 12_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "EnteredWindow")
        await world.banks.decided(id_, "DONE", bank_reference="B1")
        await world.banks.settled(id_)
        names = await world.until(id_, "Settled")
    assert names == ["Requested", "FundsHeld", "EnteredWindow", "Paid", "Settled"]
    assert world.journal.available(WALLET) == 2_000
    assert world.journal.balances["clearing:CD"] == 10_000


async def test_a_refused_payout_is_back_in_the_wallet() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "EnteredWindow")
        await world.banks.decided(id_, "REFUSED", reason="AC01")
        names = await world.until(id_, "Failed")
    assert names[-2:] == ["RefusedByBank", "Failed"]
    assert world.journal.balances[WALLET] == 10_000
    assert world.journal.balances[IN_TRANSIT_OUT] == -10_000


async def test_a_top_up_credits_the_wallet_only_after_the_bank_has_confirmed() -> None:
    world = World()
    async with world.payments() as parts:
        id_ = await ask(world, parts, TOP_UP)
        await world.until(id_, "PullRequested")
        assert world.journal.balances[WALLET] == 0
        await world.banks.decided(id_, "DONE", bank_reference="B1")
        names = await world.until(id_, "Completed")
    assert names == ["Requested", "PullRequested", "PullConfirmed", "Completed"]
    assert world.journal.balances[WALLET] == 10_000
    assert world.journal.balances[IN_TRANSIT_IN] == -10_000


async def test_a_refused_top_up_posts_nothing() -> None:
    world = World()
    async with world.payments() as parts:
        id_ = await ask(world, parts, TOP_UP)
        await world.until(id_, "PullRequested")
        await world.banks.decided(id_, "REFUSED", reason="AM04")
        await world.until(id_, "Failed")
    assert world.journal.asked == []


async def test_no_bank_is_asked_for_a_wallet_that_is_not_there() -> None:
    world = World()
    world.journal.open_accounts.discard(WALLET)
    async with world.payments() as parts:
        id_ = await ask(world, parts, TOP_UP)
        assert await world.until(id_, "Failed") == ["Requested", "Failed"]
    assert world.banks.pulls == {}


async def test_the_banks_word_is_taken_before_our_own_record_of_asking() -> None:
    world = World()
    world.banks.is_away = True
    async with world.payments() as parts:
        id_ = await ask(world, parts, TOP_UP)
        await world.banks.decided(id_, "DONE")
        names = await world.until(id_, "Completed")
    assert names == ["Requested", "PullConfirmed", "Completed"]


async def test_a_payment_paid_before_its_entry_is_recorded_still_learns_its_window() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "FundsHeld")
        world.journal.cut_after = 0
        await world.banks.decided(id_, "DONE")
        names = await world.until(id_, "EnteredWindow")
    assert sorted(names) == ["EnteredWindow", "FundsHeld", "Paid", "Requested"]
    assert world.journal.balances["clearing:CD"] == 10_000


async def test_a_doubted_payment_is_neither_failed_nor_paid_until_the_bank_says() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "EnteredWindow")
        await world.banks.doubted(id_)
        names = await world.until(id_, "Doubted")
        await world.banks.decided(id_, "UNKNOWN")
        await world.banks.decided(id_, "DONE")
        names = await world.until(id_, "Paid")
    assert names[-2:] == ["Doubted", "Paid"]


async def test_a_carried_payment_stands_in_the_next_window() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "EnteredWindow")
        await world.banks.carried(id_)
        await world.until(id_, "Carried")
        state = (await parts.streams.load(id_)).state
    assert getattr(state, "window_id", "") == NEXT_WINDOW


async def test_a_payout_that_the_journal_will_never_let_out_gives_its_hold_back() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    world.journal.captures_are_stopped = True
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "Failed")
    assert kinds(world.journal.asked) == ["Hold", "Capture", "Release"]
    assert world.journal.available(WALLET) == 10_000


@pytest.mark.parametrize(
    ("kind", "lost"),
    [(TRANSFER, 0), (SALE, 0), (PAYOUT, 0), (PAYOUT, 1)],
    ids=["transfer", "sale", "hold", "capture"],
)
async def test_a_process_killed_after_any_step_goes_on_where_it_was(kind: Kind, lost: int) -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    world.journal.cut_after = lost
    async with world.payments() as parts:
        id_ = await ask(world, parts, kind)
        await world.journal.was_cut.wait()
    assert len(await world.events(id_)) == lost + 1
    async with world.payments():
        await world.until(id_, "EnteredWindow" if kind is PAYOUT else "Completed")
    assert world.journal.available(WALLET) == 0
    posted = [minor for minor in world.journal.balances.values() if minor > 0]
    assert sum(posted) == 10_000


@pytest.mark.parametrize("outcome", ["DONE", "REFUSED"])
async def test_a_bank_word_heard_while_we_were_dead_is_heard_at_the_next_start(
    outcome: str,
) -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "EnteredWindow")
    await world.banks.decided(id_, outcome)
    async with world.payments():
        await world.until(id_, "Paid" if outcome == "DONE" else "Failed")
    assert world.journal.balances[WALLET] == (0 if outcome == "DONE" else 10_000)


async def test_an_answer_lost_while_giving_back_gives_back_once() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "EnteredWindow")
        world.journal.cut_after = 0
        await world.banks.decided(id_, "REFUSED", reason="AC01")
        await world.until(id_, "RefusedByBank")
    async with world.payments():
        await world.until(id_, "Failed")
    assert world.journal.balances[WALLET] == 10_000


async def test_a_journal_that_is_away_fails_nothing() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    world.journal.is_away = True
    async with world.payments() as parts:
        id_ = await ask(world, parts, TRANSFER)
        await parts.driver.settle()
        assert await world.events(id_) == ["Requested"]
        world.journal.is_away = False
        assert await world.until(id_, "Completed") == ["Requested", "Completed"]


async def test_money_that_cannot_be_credited_waits_and_is_credited_once_it_can() -> None:
    world = World()
    async with world.payments() as parts:
        id_ = await ask(world, parts, TOP_UP)
        await world.until(id_, "PullRequested")
        world.journal.open_accounts.discard(WALLET)
        await world.banks.decided(id_, "DONE")
        await world.until(id_, "Stuck")
        world.journal.open_accounts.add(WALLET)
    async with world.payments() as parts:
        await parts.projection.wait_for(await world.store.head())
        await parts.driver.settle()
        assert "Completed" not in await world.events(id_)
        world.now_us += 61_000_000
        parts.driver.wake(id_)
        names = await world.until(id_, "Completed")
    assert names[-2:] == ["Stuck", "Completed"]
    assert world.journal.balances[WALLET] == 10_000


async def test_a_payout_waits_until_its_bank_has_a_window() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    world.journal.windows.clear()
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "FundsHeld")
        await parts.driver.settle()
        assert await world.events(id_) == ["Requested", "FundsHeld"]
        world.journal.windows["CD"] = NEXT_WINDOW
        await world.until(id_, "EnteredWindow")
    assert world.journal.available(WALLET) == 0


async def test_a_cancel_that_comes_after_the_capture_does_not_cancel() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    world.journal.cut_after = 1
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.journal.was_cut.wait()
        # Captured, and the answer was lost: our record still says that it is only held.
        await parts.streams.transact(id_, Cancel(payment_id(9), "wallet"), Cause("cancel"))
        parts.driver.wake(id_)
        names = await world.until(id_, "EnteredWindow")
    assert names == ["Requested", "FundsHeld", "CancelRequested", "EnteredWindow"]
    assert world.journal.balances["clearing:CD"] == 10_000


async def test_a_refund_reserved_before_a_crash_is_begun_and_ended_after_it() -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, TRANSFER)
        await world.until(id_, "Completed")
        reserve = ReserveRefund(payment_id(2), None, "sorry", "wallet", world.now_us // 1_000)
        await parts.streams.transact(id_, reserve, Cause("reserve"))
    async with world.payments() as parts:
        await world.until(id_, "RefundCompleted")
        assert await world.until(payment_id(2), "Completed") == ["Requested", "Completed"]
    assert world.journal.balances[WALLET] == 10_000


@pytest.mark.parametrize("minor", [10_000, 0], ids=["completed", "given up"])
async def test_a_refund_whose_answer_was_lost_ends_once_in_both_streams(minor: int) -> None:
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, TRANSFER)
        await world.until(id_, "Completed")
        world.journal.balances[OTHER] = minor
        world.journal.cut_after = 0
        reserve = ReserveRefund(payment_id(2), None, "sorry", "wallet", world.now_us // 1_000)
        await parts.streams.transact(id_, reserve, Cause("reserve"))
        parts.driver.wake(id_)
        await world.journal.was_cut.wait()
    async with world.payments():
        await world.until(payment_id(2), "Completed" if minor else "Failed")
        names = await world.until(id_, "RefundCompleted" if minor else "RefundGivenUp")
    assert names[-2] == "RefundReserved"
    assert world.journal.balances[WALLET] == minor


async def test_the_same_fact_heard_twice_records_nothing_and_a_contradiction_changes_nothing() -> (
    None
):
    world = World()
    world.journal.balances[WALLET] = 10_000
    async with world.payments() as parts:
        id_ = await ask(world, parts, PAYOUT)
        await world.until(id_, "EnteredWindow")
        await world.banks.decided(id_, "DONE")
        await world.banks.decided(id_, "DONE")
        await world.banks.decided(id_, "REFUSED", reason="AC01")
        await world.banks.decided(payment_id(99), "DONE")
        await world.banks.settled(id_)
        names = await world.until(id_, "Settled")
    assert names == ["Requested", "FundsHeld", "EnteredWindow", "Paid", "Settled"]
    assert parts.inbox.parked == 0


async def test_the_read_model_made_again_from_history_is_the_live_one() -> None:
    world = World()
    world.journal.balances[WALLET] = 25_000
    every: tuple[Kind, ...] = (PAYOUT, TOP_UP, TRANSFER, SALE)
    async with world.payments() as parts:
        ids = [await ask(world, parts, kind, number=n) for n, kind in enumerate(every, 1)]
        await world.until(ids[0], "EnteredWindow")
        await world.banks.decided(ids[0], "REFUSED", reason="AC01")
        await world.until(ids[0], "Failed")
        await parts.driver.settle()
        head = await world.store.head()
        await parts.projection.wait_for(head)
        again = replay(
            parts.projection.model, parts.database, world.store, to_position=head, swap=False
        )
        last = [progress async for progress in again][-1]
    assert (last.is_compared, last.rows_compared, last.rows_different) == (True, 4, 0)
