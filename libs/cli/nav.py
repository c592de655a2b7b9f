"""`hefu nav`: a published price that was wrong; one operator proposes another, a second agrees."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from google.protobuf.json_format import MessageToDict
from rich.markup import escape

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as pb
from hefu.funds.v1.funds_pb2_grpc import FundDayServiceStub
from libs.cli.connections import RUN_DIR, channel_to, told
from libs.cli.fund_report import decimal
from libs.cli.terminal import console
from libs.client.calls import check_shape, patiently
from libs.client.errors import HefuError
from libs.client.funds import FundsClient
from libs.failure import StartFailed
from libs.ids import new_id
from libs.money import major

if TYPE_CHECKING:
    from hefu.funds.v1.funds_pb2_grpc import FundDayServiceAsyncStub

# Orders that are shown one by one.
SHOWN_MAX: Final = 10
app = typer.Typer(
    invoke_without_command=True, help="List corrections of prices that wait, or make one."
)

Code = Annotated[str, typer.Argument(help="The fund.")]
Day = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="The day of the price.")]
Who = Annotated[str, typer.Option("--as", help="Whose identity of the run folder.")]
RunDir = Annotated[Path, typer.Option(help="Where the system keeps its files.")]


@dataclass(frozen=True, slots=True)
class Desk:
    """The fund desk, and the catalogue it works on."""

    calls: "FundDayServiceAsyncStub"
    client: FundsClient

    async def fund(self, code: str) -> pb.Fund:
        """A fund as it stands. Raises `HefuError`."""
        return await self.client.fund(code)

    async def preview(self, code: str, nav: events_pb2.FundNav) -> pb.PreviewNavCorrectionResponse:
        """What the price would touch."""
        request = pb.PreviewNavCorrectionRequest(code=code, nav=nav)
        check_shape(request)
        return await patiently(lambda: self.calls.PreviewNavCorrection(request))


@app.callback()
def nav(
    context: typer.Context,
    run_dir: RunDir = RUN_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List proposed corrections of prices that nobody has decided yet."""
    if context.invoked_subcommand is not None:
        return

    async def work(desk: Desk) -> None:
        is_any = False
        async for fund, proposed in _waiting(desk):
            is_any = True
            if as_json:
                fields = MessageToDict(proposed, preserving_proto_field_name=True)
                console.print_json(json.dumps({"code": fund.terms.code, **fields}), indent=None)
            else:
                console.print(*lines_of(fund, proposed), sep="\n", highlight=False, soft_wrap=True)
        if not is_any and not as_json:
            console.print("[green]✓ no correction waits[/]")

    _at_desk(run_dir, "operator", work)


@app.command()
def correct(
    code: Code,
    day: Day,
    price: Annotated[str, typer.Argument(help="What it ought to be: 1.0030.")],
    reason: Annotated[
        str, typer.Option(help="Why, for whoever decides and whoever reads it later.")
    ],
    who: Who = "operator",
    run_dir: RunDir = RUN_DIR,
    *,
    only_preview: Annotated[
        bool, typer.Option("--preview", help="Show what it would touch, and propose nothing.")
    ] = False,
) -> None:
    """Propose another price for a day, and see what it touches; nothing changes yet."""

    async def work(desk: Desk) -> None:
        fund = await desk.fund(code)
        known = await _published(desk, code, day.date().isoformat())
        corrected = events_pb2.FundNav()
        corrected.CopyFrom(known)
        corrected.nav = units_of(price, fund.terms.nav_scale)
        seen = await desk.preview(code, corrected)
        console.print(
            *lines_of_preview(fund, seen, corrected.nav), sep="\n", highlight=False, soft_wrap=True
        )
        if only_preview:
            return
        request = pb.CorrectNavRequest(
            request_id=str(new_id()), code=code, nav=corrected, cause=reason
        )
        check_shape(request)
        answer = await patiently(lambda: desk.calls.CorrectNav(request))
        console.print(*lines_of(fund, answer.correction), sep="\n", highlight=False, soft_wrap=True)

    _at_desk(run_dir, who, work)


@app.command()
def approve(code: Code, day: Day, who: Who = "checker", run_dir: RunDir = RUN_DIR) -> None:
    """Let the price that another operator has proposed for the day count."""

    async def work(desk: Desk) -> None:
        fund, proposed = await _proposal(desk, code, day.date().isoformat())
        seen = await desk.preview(code, proposed.after)
        request = pb.ApproveNavCorrectionRequest(code=code, proposal_id=proposed.proposal_id)
        answer = await patiently(lambda: desk.calls.ApproveNavCorrection(request))
        told_lines = lines_of_preview(fund, seen, proposed.after.nav)
        told_lines += lines_of(fund, answer.correction)
        console.print(*told_lines, sep="\n", highlight=False, soft_wrap=True)

    _at_desk(run_dir, who, work)


@app.command()
def refuse(
    code: Code,
    day: Day,
    note: Annotated[str, typer.Option(help="Why not.")] = "",
    who: Who = "checker",
    run_dir: RunDir = RUN_DIR,
) -> None:
    """Say no to the price that another operator has proposed for the day."""

    async def work(desk: Desk) -> None:
        fund, proposed = await _proposal(desk, code, day.date().isoformat())
        request = pb.RefuseNavCorrectionRequest(
            code=code, proposal_id=proposed.proposal_id, note=note
        )
        answer = await patiently(lambda: desk.calls.RefuseNavCorrection(request))
        console.print(*lines_of(fund, answer.correction), sep="\n", highlight=False, soft_wrap=True)

    _at_desk(run_dir, who, work)


def units_of(price: str, scale: int) -> int:
    """A price as it is written, at the fund's scale. Raises `HefuError`."""
    try:
        units = Decimal(price).scaleb(scale)
        whole = int(units)
    except (InvalidOperation, OverflowError, ValueError):
        raise HefuError("FIELD_INVALID", f"{price!r} is no price") from None
    if units != whole:
        raise HefuError("FIELD_INVALID", f"{price} has more than {scale} decimals")
    return whole


def lines_of(fund: pb.Fund, proposed: pb.NavCorrection) -> list[str]:
    """A proposed correction as a person reads it, and what is to be done."""
    code, day, scale = fund.terms.code, proposed.before.nav_date, fund.terms.nav_scale
    prices = f"{decimal(proposed.before.nav, scale)} → {decimal(proposed.after.nav, scale)}"
    head = f"[bold]{code}[/] {day}  {prices}  {escape(proposed.maker)}: {escape(proposed.cause)}"
    if proposed.is_approved:
        return [head, "    [green]approved: the corrected price counts[/]"]
    if proposed.is_refused:
        return [head, "    [yellow]refused: the published price stands[/]"]
    return [head, f"    another operator: hefu nav approve {code} {day}, or refuse {code} {day}"]


def lines_of_preview(fund: pb.Fund, seen: pb.PreviewNavCorrectionResponse, price: int) -> list[str]:
    """What a corrected price touches, as a person reads it."""
    terms, before = fund.terms, seen.nav.nav
    scale, currency = terms.nav_scale, terms.currency
    prices = f"{decimal(before.nav, scale)} → {decimal(price, scale)}"
    lines = [
        f"{terms.code} of {before.nav_date}: {prices} would touch",
        f"    {seen.booked_orders} orders answered at it, which the registrar amends",
        f"    {seen.waiting_orders} orders not answered yet, which are measured by the new one",
    ]
    lines += [_order(each, terms) for each in seen.first_orders[:SHOWN_MAX]]
    left = seen.booked_orders + seen.waiting_orders - SHOWN_MAX
    lines += [f"      and {left} more"] if left > 0 else []
    worth = f"{major(seen.value_before_minor, currency)} {currency}"
    if seen.value_after_minor == seen.value_before_minor:
        change = f"{worth}, as before: a later price counts"
    else:
        change = f"{worth} → {major(seen.value_after_minor, currency)} {currency}"
    shares = decimal(seen.shares, terms.share_scale)
    return [*lines, f"    holdings: {shares} shares of {seen.holders} investors, worth {change}"]


def _order(order: pb.FundOrder, terms: events_pb2.FundTerms) -> str:
    kind = order.terms.WhichOneof("kind") or ""
    state = pb.FundOrderState.Name(order.state).removeprefix("FUND_ORDER_STATE_")
    what = f"{decimal(order.confirmed_shares, terms.share_scale)} shares"
    money = f"{major(order.confirmed_minor, terms.currency)} {terms.currency}"
    return f"      {order.order_id}  {kind} {state}  {what}, {money}  {order.terms.investor_id}"


async def _published(desk: Desk, code: str, day: str) -> events_pb2.FundNav:
    wanted = datetime.fromisoformat(day).date()
    async for price in desk.client.navs(code, wanted, wanted):
        return price.nav
    raise HefuError("NAV_MISSING", f"nothing is published for {code} on {day}")


async def _waiting(desk: Desk) -> AsyncIterator[tuple[pb.Fund, pb.NavCorrection]]:
    async for fund in desk.client.funds():
        for proposed in fund.nav_corrections:
            if not proposed.is_approved and not proposed.is_refused:
                yield fund, proposed


async def _proposal(desk: Desk, code: str, day: str) -> tuple[pb.Fund, pb.NavCorrection]:
    """The one that waits, and of several the newest: whoever decides has seen it listed."""
    fund = await desk.fund(code)
    found = [
        each
        for each in fund.nav_corrections
        if each.before.nav_date == day and not each.is_approved and not each.is_refused
    ]
    if not found:
        raise HefuError("PROPOSAL_NOT_FOUND", f"no correction of {code} on {day} waits: hefu nav")
    return fund, found[-1]


def _at_desk(run_dir: Path, who: str, act: Callable[[Desk], Awaitable[None]]) -> None:
    async def work() -> int:
        async with _desk(run_dir, who) as desk:
            await act(desk)
        return 0

    raise typer.Exit(told(work))


@asynccontextmanager
async def _desk(run_dir: Path, who: str) -> AsyncIterator[Desk]:
    async with channel_to(run_dir, "funds", who) as channel:
        if channel is None:
            raise StartFailed(f"no funds run in {run_dir}: `make up` starts them")
        client = FundsClient(channel)
        try:
            yield Desk(FundDayServiceStub(channel), client)
        finally:
            await client.close()
