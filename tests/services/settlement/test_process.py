"""Settlements driven to their ends beside a bank of many manners, by a process that may die."""

from pathlib import Path

import pytest

from libs.grpc_errors import to_error
from services.settlement.correspondence import SetAside
from services.settlement.domain import bank_transfer
from services.settlement.domain.settlement import Stage
from services.settlement.domain.status import Outcome
from services.settlement.reactions import pull_id_of
from tests.services.settlement.fake_bank import FakeBank
from tests.services.settlement.worlds import World, payment_id, world

PAYOUTS = tuple(range(101, 111))


async def a_day(here: World, *, pulls: tuple[int, ...] = (1, 2, 3)) -> str:
    await here.pull(*pulls)
    await here.order_payouts(*PAYOUTS)
    return await here.cut()


async def ends(here: World, settlement_id: str) -> None:
    await here.until_stage(settlement_id, Stage.CONFIRMED)
    await here.deliver(*here.bank.end_day(pages=2))
    await here.until_stage(settlement_id, Stage.FINAL)

    async def is_told() -> bool:
        return (await here.state_of(settlement_id)).is_told

    await here.until(is_told)
    assert all(count == 1 for count in here.bank.executions.values())
    assert here.mirror == here.bank.statements_issued[-1].closing.minor


async def in_doubt(here: World, transfer_ids: tuple[str, ...]) -> bank_transfer.Live | None:
    """A transfer with an item in doubt: any of a settlement's may have met the manner."""
    for transfer_id in transfer_ids:
        found = (await here.parts.aggregates.transfers.load(transfer_id)).state
        if isinstance(found, bank_transfer.Live) and found.those(Outcome.UNKNOWN):
            return found
    return None


async def test_a_clean_day_ends_final_and_the_mirror_is_the_closing_balance(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        settlement_id = await a_day(here)

        await ends(here, settlement_id)

        state = await here.state_of(settlement_id)
        assert state.confirmed is not None
        assert (state.confirmed.confirmed_legs, state.confirmed.refused_legs) == (13, 0)
        assert state.settled == {payment_id(n) for n in (1, 2, 3, *PAYOUTS)}
        assert here.in_transit_out == 0
        assert await here.breaks() == []
        (window_id,) = state.terms.window_ids
        assert here.journal.windows[window_id].is_closed


async def test_a_lost_reply_is_resolved_by_inquiry_and_executed_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.pull(1)
        here.bank.manners = ["LOST_REPLY"]
        await here.order_payouts(*PAYOUTS)
        settlement_id = await here.cut()
        state = await here.until_stage(settlement_id, Stage.INSTRUCTED)

        async def is_in_doubt() -> bool:
            return await in_doubt(here, state.transfer_ids) is not None

        await here.until(is_in_doubt)
        doubted = await in_doubt(here, state.transfer_ids)
        assert doubted is not None

        here.now_us += 3_000_000  # the first inquiry is due
        await ends(here, settlement_id)

        done = await here.state_of(settlement_id)
        assert done.confirmed is not None
        assert done.confirmed.in_doubt_resolved == len(doubted.items)


async def test_a_lost_order_is_sent_again_after_it_was_twice_not_found(tmp_path: Path) -> None:
    async with world(tmp_path, "LOST_ORDER") as here:
        await here.pull(1, credit=False)
        transfer_id = pull_id_of(payment_id(1))
        await here.until_outcome(transfer_id, payment_id(1), "UNKNOWN")

        async def is_paid() -> bool:
            here.now_us += 200_000  # the bank's clock and ours go on between two looks
            return await here.outcome(transfer_id, payment_id(1)) == "DONE"

        await here.until(is_paid)
        assert len(here.bank.submissions) >= 3, "sent, and asked twice before it was sent again"
        assert sum(here.bank.executions.values()) == 1


async def test_a_refused_connection_is_no_doubt_and_the_same_bytes_leave_later(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, "REFUSE_CONNECTION") as here:
        await here.pull(1, credit=False)
        transfer_id = pull_id_of(payment_id(1))

        async def was_not_sent() -> bool:
            state = (await here.parts.aggregates.transfers.load(transfer_id)).state
            if not isinstance(state, bank_transfer.Live):
                return False
            return state.phase is bank_transfer.Phase.NOT_SENT

        await here.until(was_not_sent)
        here.now_us += 2_000_000
        await here.until_outcome(transfer_id, payment_id(1))

        state = (await here.parts.aggregates.transfers.load(transfer_id)).state
        assert isinstance(state, bank_transfer.Live)
        assert state.attempt == 2
        assert not state.items[payment_id(1)].was_doubted


async def test_refused_payees_are_refused_and_the_rest_settles(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.bank.refused = {"PAYEE103", "PAYEE107"}
        settlement_id = await a_day(here)

        await ends(here, settlement_id)

        state = await here.state_of(settlement_id)
        assert state.confirmed is not None
        assert state.confirmed.refused_legs == 2
        assert payment_id(103) not in state.settled
        assert here.in_transit_out == -(10_103 + 10_107)  # payments gives it back


async def test_a_disputed_leg_is_carried_and_settles_in_the_next_window(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.pull(1)
        here.bank.manners = ["ROOT_DIFFERS"]
        await here.order_payouts(*PAYOUTS)
        first = await here.cut()
        await ends(here, first)
        state = await here.state_of(first)
        assert state.round == 2
        assert len(state.carried) == 1

        second = await here.cut(2)
        await ends(here, second)

        assert (await here.state_of(second)).settled == state.carried
        assert await here.breaks() == []


async def test_a_lying_bank_proves_nothing_and_people_must_look(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.pull(1)
        here.bank.manners = ["ROOT_DIFFERS", "LYING_NODE"]
        await here.order_payouts(*PAYOUTS)
        settlement_id = await here.cut()

        async def is_stuck() -> bool:
            return "AGREEMENT_STUCK" in await here.breaks()

        await here.until(is_stuck)
        state = await here.state_of(settlement_id)
        assert state.stage is Stage.PROPOSED
        assert state.carried == frozenset()


@pytest.mark.parametrize("manner", ["HALF", "BAD_SIGNATURE", "FOREIGN"])
async def test_an_answer_that_does_not_say_all_of_it_leaves_the_rest_in_doubt(
    tmp_path: Path, manner: str
) -> None:
    async with world(tmp_path) as here:
        await here.pull(1)
        here.bank.manners = [manner]
        await here.order_payouts(*PAYOUTS)
        settlement_id = await here.cut()
        state = await here.until_stage(settlement_id, Stage.INSTRUCTED)

        async def is_in_doubt() -> bool:
            return await in_doubt(here, state.transfer_ids) is not None

        await here.until(is_in_doubt)
        here.now_us += 3_000_000
        await ends(here, settlement_id)


async def test_a_late_confirmation_closes_what_was_pending(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.pull(1)
        here.bank.manners = ["LATE"]
        await here.order_payouts(*PAYOUTS)
        settlement_id = await here.cut()

        async def is_late() -> bool:
            return bool(here.bank.late)

        await here.until(is_late)
        assert await here.deliver(here.bank.sign(here.bank.late[0])) == [False]

        await ends(here, settlement_id)


async def test_a_confirmation_delivered_again_is_counted_and_posts_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        settlement_id = await a_day(here)
        await here.until_stage(settlement_id, Stage.CONFIRMED)
        mirror, notice = here.mirror, here.bank.notice()

        assert await here.deliver(notice, notice, notice) == [False, True, True]

        assert here.mirror == mirror
        await ends(here, settlement_id)


async def test_a_message_about_another_banks_transfer_is_refused(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.pull(1)
        stranger = FakeBank("XX", here.bank.signer, here.bank.wallet_key)
        report = stranger.sign(
            stranger._report("m", "pain.008.001.09", [])  # noqa: SLF001 - the bank's own words
        )
        with pytest.raises(SetAside):
            await here.deliver(
                type(report)(report.message_type, report.body, bytes(64), report.key_id)
            )
        foreign = here.bank._report(  # noqa: SLF001 - as above
            "m", "pain.008.001.09", [here.bank.outcomes.popitem()[1]]
        )
        unknown = foreign.transactions[0]
        foreign = type(foreign)(
            foreign.message_id,
            foreign.created_ms,
            foreign.original_message_id,
            foreign.original_message_type,
            transactions=(type(unknown)(unknown.uetr, "a" * 32, "ACSC"),),
        )
        with pytest.raises(SetAside) as caught:
            await here.deliver(here.bank.sign(foreign))
        refused = to_error(caught.value)
        assert refused is not None
        assert refused.reason == "FOREIGN_REFERENCE"


async def test_a_line_nobody_knows_goes_to_suspense_and_opens_a_break(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        settlement_id = await a_day(here)
        await here.until_stage(settlement_id, Stage.CONFIRMED)
        line = here.bank.lines[0]
        strange = type(line)(
            line.amount, "C", line.booking_date, line.value_date, "X1", None, "NOTPROVIDED"
        )
        here.bank.lines.append(strange)

        await here.deliver(*here.bank.end_day())
        await here.until_stage(settlement_id, Stage.FINAL)

        assert await here.breaks() == ["ONLY_AT_BANK"]
        assert here.mirror == here.bank.statements_issued[-1].closing.minor


async def test_a_statement_that_does_not_add_up_is_set_aside_whole(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        settlement_id = await a_day(here)
        await here.until_stage(settlement_id, Stage.CONFIRMED)
        lines = list(here.bank.lines)
        here.bank.end_day(lines[:-1])
        page = here.bank.statements_issued.pop()
        wrong = type(page)(
            **{name: getattr(page, name) for name in page.__slots__}
            | {"entries": tuple(lines), "message_id": "ab" * 16}
        )
        await here.deliver(here.bank.sign(wrong))

        async def is_set_aside() -> bool:
            return await here.breaks() == ["STATEMENT_TOTALS"]

        await here.until(is_set_aside)
        assert (await here.state_of(settlement_id)).stage is Stage.CONFIRMED

        here.bank.lines = lines
        await ends(here, settlement_id)
        assert await here.breaks() == []


# Each place is a day played to its end: some of them here, all with the long tests.
_OFTEN, _SELDOM = range(3, 60, 16), [n for n in range(3, 60, 4) if (n - 3) % 16]


@pytest.mark.parametrize(
    "appends", [*_OFTEN, *(pytest.param(n, marks=pytest.mark.full) for n in _SELDOM)]
)
async def test_killed_after_any_append_it_goes_on_with_the_same_ids(
    tmp_path: Path, appends: int
) -> None:
    async with world(tmp_path) as here:
        await here.pull(1, 2)
        await here.order_payouts(*PAYOUTS)
        before = here.parts.rows.position
        settlement_id = await here.cut()

        async def has_appended() -> bool:
            done = [e async for e in here.store.read_all(("",), before)]
            return len(done) >= appends or any("PaymentsSettled" in e.type for e in done)

        async def is_near() -> bool:
            state = (await here.parts.aggregates.settlements.load(settlement_id)).state
            at_rest = getattr(state, "stage", None) is Stage.CONFIRMED
            return at_rest or await has_appended()

        await here.until(is_near)
        await here.stop()
        here.now_us += 3_000_000
        await here.start()

        async def is_confirmed() -> bool:
            here.now_us += 500_000  # inquiries and resends come due
            state = (await here.parts.aggregates.settlements.load(settlement_id)).state
            stage = getattr(state, "stage", None)
            return stage is not None and stage.value >= Stage.CONFIRMED.value

        await here.until(is_confirmed)
        await ends(here, settlement_id)
