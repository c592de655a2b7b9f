"""Fund days on real processes: they tie out, whatever the registrar does and whatever is killed."""

import asyncio
import json
import random
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as funds
from hefu.registrar.v1 import sample_registrar_pb2 as registrar
from libs.cli.system import REGISTRAR
from libs.client.fund_terms import redeem_fast, subscribe
from libs.money import Money
from tests.e2e.conftest import World
from tests.e2e.fund_world import (
    BANKS,
    CURRENCY,
    MONEY_FUND,
    WAIT_S,
    FundWorld,
    open_fund_world,
    started,
)

pytestmark = pytest.mark.timeout(2400)
DOCUMENT = Path(__file__).parents[2] / "docs" / "wallet.md"
WALLET_S = 120.0
VICTIMS = ("funds", f"registrar-{REGISTRAR}", "accounts", "payments", "settlement", "eventstore")


@dataclass(frozen=True, slots=True)
class Wallet:
    """The code of the document, running."""

    process: asyncio.subprocess.Process
    output: asyncio.StreamReader

    async def lines_until(self, beginning: str) -> list[str]:
        """What it prints before a line that begins so."""
        found: list[str] = []
        async with asyncio.timeout(WALLET_S):
            while line := (await self.output.readline()).decode():
                if line.startswith(beginning):
                    return found
                found.append(line)
        raise AssertionError("".join(found))

    async def lines(self) -> list[str]:
        """What it prints until it ends well."""
        async with asyncio.timeout(WALLET_S):
            text = (await self.output.read()).decode()
            assert await self.process.wait() == 0, text
        return text.splitlines()


@asynccontextmanager
async def _wallet(run_dir: Path) -> AsyncIterator[Wallet]:
    block = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert block is not None
    source = block[1].replace('".run"', repr(str(run_dir)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", source, stdout=PIPE, stderr=STDOUT
    )
    assert process.stdout is not None
    try:
        yield Wallet(process, process.stdout)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[FundWorld]:
    system = await started(tmp_path)
    try:
        async with open_fund_world(system) as found:
            yield found
    finally:
        await system.stop()


async def test_fund_days_tie_out_and_a_wallet_buys_between_them_as_it_is_told_to(
    tmp_path: Path,
) -> None:
    system = await started(tmp_path, "ordinary")
    try:
        hefu = World(system, tmp_path)
        report = tmp_path / "report.json"
        first = await hefu.hefu(
            "fund-day", "--from", "2015-01-05", "--to", "2015-01-05",
            "--investors", "20", "--banks", "ordinary",
        )  # fmt: skip
        assert first.code == 0, first.output
        async with _wallet(system.run_dir) as wallet:
            proposed = await wallet.lines_until("ordered")
            second = await hefu.hefu("fund-day", "--investors", "20", "--report", str(report))
            assert second.code == 0, second.output
            told = await wallet.lines()
        found = json.loads(report.read_text())
    finally:
        await system.stop()

    assert all("of the portfolio" in line for line in proposed)
    orders, statement = told[: len(proposed)], told[len(proposed) :]
    units = {(code, shares) for code, _, shares, _ in (line.split() for line in orders)}
    assert len(units) == len(proposed) >= 1
    assert units <= {(code, shares) for _, code, _, shares, _ in map(str.split, statement)}
    assert found["problems"] == []
    assert found["is_settled"]
    # The two, and the quiet sessions until the last redemption is paid.
    assert set(found["days_by_state"]) == {"CASH_SETTLED"}
    assert {"SUBSCRIBE", "REDEEM"} <= set(found["kinds"])
    assert sum(found["kinds"].values()) <= sum(found["states"].values())
    assert all(line["holdings_units"] == line["registrar_units"] for line in found["funds"])
    assert all(line["balance_minor"] == 0 for line in found["cash"])


@pytest.mark.full
async def test_every_script_of_the_registrar_ends_right_or_as_a_break_that_two_repair(
    world: FundWorld,
) -> None:
    await world.day()
    for fault in (
        "DUPLICATE_FILE",
        "PARTIAL_CONFIRMATION",
        "LOST_RECEIPT",
        "PRICES_AFTER_CONFIRMATIONS",
        "REJECTED_ORDER",
    ):
        session = await world.faulty(fault)
        await world.reconciled(session)
        await world.ties_out()

    await _late_file(world)
    await _spoiled_file(world, "WRONG_COUNT")
    await _spoiled_file(world, "WRONG_TOTAL")
    await _unknown_code(world)
    await _unknown_order(world)
    await _missing_order(world)
    await _wrong_units(world)
    await _wrong_price(world)
    await _corrected_price(world)


@pytest.mark.full
async def test_what_repays_an_advance_is_offered_again_where_the_registrar_refused_it(
    world: FundWorld,
) -> None:
    investor = world.investors[0]
    owner, wallet = investor.owner, investor.wallet(CURRENCY)
    (bought,) = await world.quiet(subscribe(owner, wallet, MONEY_FUND, Money(CURRENCY, 1_000_000)))
    await world.until_order(bought, funds.FUND_ORDER_STATE_SETTLED)

    (fast,) = await world.quiet(
        redeem_fast(owner, wallet, MONEY_FUND, 600_000), fault="REJECTED_ORDER"
    )
    (found,) = await world.standing()
    assert (found.order_id, found.ours) == (fast, "600000")
    assert found.type == events_pb2.BREAK_TYPE_ADVANCE_UNPAID
    await world.ties_out()

    for _ in range(3):
        await world.quiet()
    settled = await world.until_order(fast, funds.FUND_ORDER_STATE_SETTLED)
    assert (settled.offers, settled.confirmed_minor) == (1, 600_000)
    async with asyncio.timeout(WAIT_S):
        while await world.standing():
            await world.play.settle()
            await asyncio.sleep(0.1)  # other processes work; there is no event to wait for
    await world.ties_out()


@pytest.mark.full
async def test_a_price_corrected_after_booking_ends_with_units_and_cash_even(
    world: FundWorld,
) -> None:
    for _ in range(3):
        await world.day()
    await _corrected_price(world)
    for _ in range(3):
        await world.day()
    await world.ties_out()


async def _late_file(world: FundWorld) -> None:
    session = await world.faulty("LATE_FILE")
    await world.play.reached(session.day, funds.TA_DAY_STATE_PRICED)
    await world.registrar.ReleaseFiles(registrar.ReleaseFilesRequest())
    await world.reconciled(session)
    await world.ties_out()


async def _spoiled_file(world: FundWorld, fault: str) -> None:
    """It is set aside whole, the right one is taken, and two see to the break."""
    session = await world.faulty(fault)
    await world.reconciled(session)
    for found in await world.until_breaks("FILE_QUARANTINED"):
        await world.repair(found, "KEEP_OURS")
    await world.until_breaks()
    await world.ties_out()


async def _unknown_code(world: FundWorld) -> None:
    session = await world.faulty("UNKNOWN_RETURN_CODE")
    await world.reconciled(session)
    first, *others = await world.until_breaks("RETURN_CODE_UNKNOWN")
    await _repaired_at_a_terminal(world, first.break_id)
    for found in others:
        await world.repair(found, "KEEP_OURS")
    await world.until_breaks()
    await world.ties_out()


async def _repaired_at_a_terminal(world: FundWorld, break_id: str) -> None:
    """As two operators do it, who type commands."""
    hefu = World(world.system, world.system.run_dir)
    listed = await hefu.hefu("breaks")
    assert (listed.code, break_id in listed.output) == (1, True), listed.output
    early = await hefu.hefu("breaks", "approve", break_id)
    assert "PROPOSAL" in early.output, early.output
    await hefu.hefu("breaks", "propose", break_id, "keep-ours", "--note", "they corrected it")
    alone = await hefu.hefu("breaks", "approve", break_id, "--as", "operator")
    assert "APPROVER_IS_MAKER" in alone.output, alone.output
    approved = await hefu.hefu("breaks", "approve", break_id)
    assert approved.code == 0, approved.output


async def _unknown_order(world: FundWorld) -> None:
    session = await world.faulty("UNKNOWN_ORDER")
    await world.reconciled(session)
    for found in await world.until_breaks("MISSING_HERE"):
        await world.repair(found, "KEEP_OURS")
    await world.until_breaks()
    await world.ties_out()


async def _missing_order(world: FundWorld) -> None:
    """The registrar's balances have it, so the shares differ until its row arrives."""
    session = await world.faulty("MISSING_ORDER")
    await world.reconciled(session)
    await world.until_breaks("MISSING_AT_TA", "SHARE_DIFF")
    await world.corrected(session)
    for found in await world.until_breaks("SHARE_DIFF"):
        await world.repair(found, "KEEP_OURS")
    await world.until_breaks()
    await world.ties_out()


async def _wrong_units(world: FundWorld) -> None:
    session = await world.faulty("WRONG_UNITS")
    await world.reconciled(session)
    assert await world.some_breaks()
    await world.corrected(session)
    await _repaired(world)
    await world.ties_out()


async def _wrong_price(world: FundWorld) -> None:
    session = await world.faulty("WRONG_PRICE")
    await world.reconciled(session)
    assert await world.some_breaks()
    await world.corrected(session)
    await _repaired(world)
    await world.ties_out()


async def _corrected_price(world: FundWorld) -> None:
    """After all was booked: units and money are put right, order by order, by two people."""
    session = await world.day()
    code = await world.price_corrected(session)
    # What was switched into it is a break of the fund that was left, and may come sooner.
    await world.some_breaks(code)
    await _repaired(world)
    await world.ties_out()


async def _repaired(world: FundWorld) -> None:
    """Two operators see to every break, whatever it is, until all is even and none is left."""
    async with asyncio.timeout(120):
        while True:
            for each in await world.breaks():
                if not each.proposal_id:
                    await world.repair(each, _repair_of(each))
            if await world.is_even() and not await world.breaks():
                return
            await asyncio.sleep(0.2)  # another process works; there is no event to wait for


def _repair_of(found: funds.FundBreak) -> str:
    if "#" in found.theirs:
        # It points at a row that came later: what was booked is reversed and booked as it says.
        return "AMEND"
    is_price = found.type == events_pb2.BREAK_TYPE_NAV_DIFF and found.order_id
    # With the price put right, the registrar's row is what we compute ourselves.
    return "ACCEPT_THEIRS" if is_price else "KEEP_OURS"


@pytest.mark.full
async def test_fund_days_tie_out_whatever_is_killed_at_twenty_instants(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")  # noqa: T201 - a failing run is repeated by it
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    system = await started(tmp_path, "ordinary")
    victims = (*VICTIMS, f"bank-{BANKS[0]}")
    try:
        async with open_fund_world(system) as world:
            for number in range(20):
                victim, after_s = draw.choice(victims), draw.uniform(0.2, 3.0)
                print(number, victim, f"{after_s:.1f} s")  # noqa: T201 - as above
                playing = asyncio.create_task(world.day())
                # An instant of the day, drawn by the test: there is no event to wait for.
                await asyncio.wait({playing}, timeout=after_s)
                await system.kill(victim)
                await playing
                await system.wait_until_up()
                await world.ties_out()
    finally:
        await system.stop()
