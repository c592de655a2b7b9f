"""Prices that operators correct: over the contract, and as they type it at a terminal."""

import asyncio
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as pb
from libs.cli import nav
from libs.client.errors import HefuError
from libs.ids import new_id
from libs.supervisor_process import LOCK_FILE, STATE_FILE
from tests.services.funds.conftest import Served
from tests.services.funds.scripted import FUND, NAV, T
from tests.services.funds.served import bought, bring_to_market, reason, sent_to_the_registrar
from tests.services.funds.worlds import order_id


async def test_a_price_is_corrected_by_hand_only_by_two_operators(served: Served) -> None:
    await bring_to_market(served)
    published = events_pb2.FundNav(nav_date=T.isoformat(), nav=10_025)
    await served.operator.PublishNav(pb.PublishNavRequest(code=FUND, nav=published))
    right = events_pb2.FundNav(nav_date=T.isoformat(), nav=10_030)
    proposal_id = str(new_id())
    correct = pb.CorrectNavRequest(request_id=proposal_id, code=FUND, nav=right, cause="typing")

    proposed = await served.operator.CorrectNav(correct)
    assert (proposed.nav.nav.nav, proposed.correction.maker) == (10_025, "operator")
    approve = pb.ApproveNavCorrectionRequest(code=FUND, proposal_id=proposal_id)
    own = served.operator.ApproveNavCorrection(approve)
    assert await reason(own) == "APPROVER_IS_MAKER"
    shown = (await served.wallet.stub.GetFund(pb.GetFundRequest(code=FUND))).fund
    assert [each.is_approved for each in shown.nav_corrections] == [False]

    approved = await served.checker.ApproveNavCorrection(approve)
    assert (approved.nav.nav.nav, approved.nav.corrections) == (10_030, 1)
    again = await served.checker.ApproveNavCorrection(approve)
    assert again.position == approved.position


async def the_price(served: Served) -> pb.PublishedNav:
    """As all that was told so far leaves it, by whomever."""
    served.wallet.position = await served.world.store.head()
    (price,) = [each async for each in served.wallet.navs(FUND, T, T)]
    return price


async def test_a_correction_that_is_refused_changes_no_price(served: Served) -> None:
    await bring_to_market(served)
    published = events_pb2.FundNav(nav_date=T.isoformat(), nav=10_025)
    await served.operator.PublishNav(pb.PublishNavRequest(code=FUND, nav=published))
    right = events_pb2.FundNav(nav_date=T.isoformat(), nav=10_030)
    correct = pb.CorrectNavRequest(request_id=order_id(9), code=FUND, nav=right, cause="typing")
    await served.operator.CorrectNav(correct)
    refuse = pb.RefuseNavCorrectionRequest(code=FUND, proposal_id=order_id(9), note="no")

    refused = await served.checker.RefuseNavCorrection(refuse)

    assert (refused.correction.is_refused, refused.correction.is_approved) == (True, False)
    approve = pb.ApproveNavCorrectionRequest(code=FUND, proposal_id=order_id(9))
    assert await reason(served.checker.ApproveNavCorrection(approve)) == "PROPOSAL_DIFFERS"
    price = await the_price(served)
    assert price.nav.nav == 10_025


def at(nav: int) -> events_pb2.FundNav:
    return events_pb2.FundNav(nav_date=T.isoformat(), nav=nav)


async def test_before_it_is_proposed_it_is_seen_what_another_price_touches(
    served: Served,
) -> None:
    await bring_to_market(served)
    await bought(served)

    request = pb.PreviewNavCorrectionRequest(code=FUND, nav=at(10_030))
    seen = await served.operator.PreviewNavCorrection(request)

    assert (seen.booked_orders, seen.waiting_orders) == (1, 0)
    assert [each.order_id for each in seen.first_orders] == [order_id(1)]
    assert (seen.holders, seen.shares) == (1, 989_589)
    # 9,895.89 units at 1.0025, and at 1.0030.
    assert (seen.value_before_minor, seen.value_after_minor) == (992_063, 992_558)
    assert seen.nav.nav.nav == NAV


async def test_an_order_that_is_not_answered_yet_waits_for_the_price(served: Served) -> None:
    await bring_to_market(served)
    await sent_to_the_registrar(served)
    await served.operator.PublishNav(pb.PublishNavRequest(code=FUND, nav=at(NAV)))

    request = pb.PreviewNavCorrectionRequest(code=FUND, nav=at(10_030))
    seen = await served.operator.PreviewNavCorrection(request)

    assert (seen.booked_orders, seen.waiting_orders, seen.holders) == (0, 1, 0)


async def test_a_day_without_a_price_has_none_to_correct(served: Served) -> None:
    await bring_to_market(served)
    request = pb.PreviewNavCorrectionRequest(code=FUND, nav=at(10_030))
    assert await reason(served.operator.PreviewNavCorrection(request)) == "NAV_MISSING"
    unknown = pb.PreviewNavCorrectionRequest(code="NOSUCH", nav=at(10_030))
    assert await reason(served.operator.PreviewNavCorrection(unknown)) == "UNKNOWN_FUND"


@pytest.fixture
def terminal(served: Served, run_dir: Path) -> Iterator[Path]:
    """The run folder of a system of which the funds alone are up."""
    state = {
        "pid": 0,
        "state": "up",
        "port_offset": 0,
        "addresses": {"funds": f"localhost:{served.port}"},
        "banks": [],
        "processes": [],
    }
    (run_dir / STATE_FILE).write_text(json.dumps(state))
    with (run_dir / LOCK_FILE).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield run_dir


@dataclass(frozen=True)
class Told:
    exit_code: int
    output: str


async def typed(run_dir: Path, *words: str) -> Told:
    """What `hefu nav ...` answers; in a thread, for the command has a loop of its own."""
    said = [*words[:1], "--run-dir", str(run_dir), *words[1:]]
    result = await asyncio.to_thread(lambda: CliRunner().invoke(nav.app, said))
    return Told(result.exit_code, result.output)


async def test_two_operators_correct_a_price_at_a_terminal(served: Served, terminal: Path) -> None:
    await bring_to_market(served)
    await bought(served)
    day = T.isoformat()
    wrong = ("correct", FUND, day, "1.0030", "--reason", "typing")

    only_seen = await typed(terminal, *wrong, "--preview")
    assert "1 orders answered at it" in only_seen.output, only_seen.output
    assert "no correction waits" in (await typed(terminal)).output
    proposed = await typed(terminal, *wrong)
    assert f"hefu nav approve {FUND} {day}" in proposed.output, proposed.output
    assert "1.0025 → 1.0030" in (await typed(terminal)).output
    alone = await typed(terminal, "approve", FUND, day, "--as", "operator")
    assert (alone.exit_code, "APPROVER_IS_MAKER" in alone.output) == (1, True), alone.output
    approved = await typed(terminal, "approve", FUND, day)
    assert approved.exit_code == 0, approved.output
    again = await typed(terminal, "refuse", FUND, day)
    assert "PROPOSAL_NOT_FOUND" in again.output, again.output
    price = await the_price(served)
    assert (price.nav.nav, price.corrections) == (10_030, 1)


@pytest.mark.parametrize("price", ["1.00251", "dear", "NaN", "Infinity"])
def test_a_price_that_the_fund_cannot_have_is_refused_where_it_is_typed(price: str) -> None:
    with pytest.raises(HefuError, match="FIELD_INVALID"):
        nav.units_of(price, 4)
    assert nav.units_of("1.003", 4) == 10_030
