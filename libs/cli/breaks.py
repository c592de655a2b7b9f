"""`hefu breaks`: what does not match with banks and registrars; one mends it, another agrees."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer
from google.protobuf.json_format import MessageToDict
from rich.markup import escape

from hefu.funds.v1 import events_pb2
from hefu.funds.v1 import funds_pb2 as funds
from hefu.settlement.v1 import settlement_pb2 as settlement
from hefu.settlement.v1.settlement_pb2_grpc import SettlementServiceStub
from libs.cli.connections import RUN_DIR, channel_to, fund_desk, told
from libs.cli.terminal import EXIT_FAILED, console
from libs.client.calls import check_shape, patiently
from libs.client.errors import HefuError
from libs.failure import StartFailed
from libs.ids import new_id
from libs.money import major

if TYPE_CHECKING:
    from hefu.funds.v1.funds_pb2_grpc import FundDayServiceAsyncStub
    from hefu.settlement.v1.settlement_pb2_grpc import SettlementServiceAsyncStub

PAGE: Final = 1_000
Desk: TypeAlias = "FundDayServiceAsyncStub"
Break: TypeAlias = funds.FundBreak | settlement.Break
Answer: TypeAlias = (
    funds.ProposeRepairResponse | funds.ApproveRepairResponse | funds.RefuseRepairResponse
)
app = typer.Typer(
    invoke_without_command=True, help="List breaks with banks and registrars, or end one."
)


class Ending(Enum):
    """How a fund break may end."""

    ACCEPT_THEIRS = "accept-theirs"
    AMEND = "amend"
    KEEP_OURS = "keep-ours"
    POST = "post"


# Money that is missing: it comes by itself, or suspense carries it.
_CARRIED: Final = (events_pb2.BREAK_TYPE_WALLET_SHORT, events_pb2.BREAK_TYPE_ADVANCE_UNPAID)
BreakId = Annotated[str, typer.Argument(help="The break's id, as listed.")]
Note = Annotated[str, typer.Option(help="Why, for whoever reads it later.")]
Maker = Annotated[str, typer.Option("--as", help="Whose identity of the run folder.")]
RunDir = Annotated[Path, typer.Option(help="Where the system keeps its files.")]


@app.callback()
def breaks(
    context: typer.Context,
    run_dir: RunDir = RUN_DIR,
    *,
    every: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List what does not match, oldest first; an exit 1 where something is open."""
    if context.invoked_subcommand is not None:
        return

    async def work() -> int:
        found: list[Break] = [each async for each in _of_banks(run_dir)]
        found += [each async for each in _of_funds(run_dir, is_open_only=not every)]
        shown = [each for each in found if every or not is_ended(each)]
        for each in shown:
            if as_json:
                fields = MessageToDict(each, preserving_proto_field_name=True)
                console.print_json(json.dumps(fields), indent=None)
            else:
                console.print(*lines_of(each), sep="\n", highlight=False, soft_wrap=True)
        if not shown and not as_json:
            console.print("[green]✓ nothing is open[/]")
        return EXIT_FAILED if any(not is_ended(each) for each in shown) else 0

    raise typer.Exit(told(work))


@app.command()
def propose(
    break_id: BreakId,
    ending: Annotated[Ending, typer.Argument(help="How it is to end.")],
    note: Note = "",
    who: Maker = "operator",
    run_dir: RunDir = RUN_DIR,
) -> None:
    """Propose how a break with a registrar ends; somebody else approves it."""
    request = funds.ProposeRepairRequest(
        break_id=break_id,
        proposal_id=str(new_id()),
        repair=events_pb2.Repair.Value(f"REPAIR_{ending.name}"),
        note=note,
    )

    async def act(desk: Desk) -> funds.FundBreak:
        check_shape(request)
        return _break(await patiently(lambda: desk.ProposeRepair(request)))

    _done(run_dir, who, act)


@app.command()
def approve(break_id: BreakId, who: Maker = "checker", run_dir: RunDir = RUN_DIR) -> None:
    """Approve what another operator has proposed; it is carried out."""

    async def act(desk: Desk) -> funds.FundBreak:
        proposal = await _proposal(desk, break_id)
        request = funds.ApproveRepairRequest(break_id=break_id, proposal_id=proposal)
        return _break(await patiently(lambda: desk.ApproveRepair(request)))

    _done(run_dir, who, act)


@app.command()
def refuse(
    break_id: BreakId, note: Note = "", who: Maker = "checker", run_dir: RunDir = RUN_DIR
) -> None:
    """Say no to what another operator has proposed; something else may be proposed."""

    async def act(desk: Desk) -> funds.FundBreak:
        proposal = await _proposal(desk, break_id)
        request = funds.RefuseRepairRequest(break_id=break_id, proposal_id=proposal, note=note)
        return _break(await patiently(lambda: desk.RefuseRepair(request)))

    _done(run_dir, who, act)


def is_ended(found: Break) -> bool:
    """Whether it needs nobody any more."""
    return found.is_cleared if isinstance(found, settlement.Break) else found.is_closed


def lines_of(found: Break) -> list[str]:
    """A break as a person reads it: what and where; the two sides; what is to be done."""
    if isinstance(found, settlement.Break):
        return _with_bank(found)
    kind = events_pb2.BreakType.Name(found.type).removeprefix("BREAK_TYPE_")
    order = f"order {found.order_id}" if found.order_id else ""
    head = _head(found.break_id, kind, found.ta_id, found.trade_date, found.fund_code, order)
    sides = f"ours {found.ours or 'nothing'}, theirs {found.theirs or 'nothing'}"
    return [head, f"    {escape(f'{sides}: {found.description}')}", f"    {_next(found)}"]


def _with_bank(found: settlement.Break) -> list[str]:
    amount, payment = "", f"payment {found.payment_id}" if found.payment_id else ""
    if found.HasField("amount"):
        currency = found.amount.currency_code
        amount = f"{major(found.amount.minor_units, currency)} {currency}"
    head = _head(found.break_id, found.type, found.bank_id, amount, payment)
    lines = [head, f"    {escape(found.description)}"]
    return [*lines, "    [green]it has cleared[/]"] if found.is_cleared else lines


def _head(break_id: str, kind: str, *where: str) -> str:
    place = escape(" ".join(part for part in where if part))
    return f"[bold]{break_id}[/]  [cyan]{kind}[/]  {place}"


def _next(found: funds.FundBreak) -> str:
    if found.is_closed:
        return f"[green]ended: {escape(found.close_cause)}[/]"
    if found.proposal_id:
        repair = _ending(found.proposed_repair)
        return f"[yellow]{found.maker} proposes {repair}[/]: hefu breaks approve {found.break_id}"
    possible = [Ending.POST] if found.type in _CARRIED else Ending
    endings = "|".join(ending.value for ending in possible)
    return f"hefu breaks propose {found.break_id} {endings} --note WHY"


def _ending(repair: events_pb2.Repair.ValueType) -> str:
    return Ending[events_pb2.Repair.Name(repair).removeprefix("REPAIR_")].value


def _break(answer: Answer) -> funds.FundBreak:
    # A word of the language, so it cannot be written as a name.
    found: funds.FundBreak = getattr(answer, "break")
    return found


def _done(run_dir: Path, who: str, act: Callable[[Desk], Awaitable[funds.FundBreak]]) -> None:
    async def work() -> int:
        async with fund_desk(run_dir, who) as desk:
            if desk is None:
                raise StartFailed(f"no funds run in {run_dir}: `make up` starts them")
            console.print(*lines_of(await act(desk)), sep="\n", highlight=False, soft_wrap=True)
        return 0

    raise typer.Exit(told(work))


async def _proposal(desk: Desk, break_id: str) -> str:
    """The proposal that stands, whatever it is called: who says yes or no has seen it listed."""
    async for found in _all(desk, is_open_only=True):
        if found.break_id == break_id and found.proposal_id:
            return found.proposal_id
        if found.break_id == break_id:
            raise HefuError("PROPOSAL_NOT_FOUND", "nothing is proposed: hefu breaks propose")
    raise HefuError("BREAK_NOT_FOUND", f"no break {break_id} is open: hefu breaks --all")


async def _of_funds(run_dir: Path, *, is_open_only: bool) -> AsyncIterator[funds.FundBreak]:
    async with fund_desk(run_dir) as desk:
        if desk is not None:
            async for found in _all(desk, is_open_only=is_open_only):
                yield found


async def _all(desk: Desk, *, is_open_only: bool) -> AsyncIterator[funds.FundBreak]:
    request = funds.ListFundBreaksRequest(open_only=is_open_only, page_size=PAGE)
    while True:
        page = await patiently(lambda: desk.ListFundBreaks(request))
        for found in page.breaks:
            yield found
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def _of_banks(run_dir: Path) -> AsyncIterator[settlement.Break]:
    request = settlement.ListBreaksRequest(page_size=PAGE)
    async with channel_to(run_dir, "settlement") as channel:
        if channel is None:
            return
        stub: SettlementServiceAsyncStub = SettlementServiceStub(channel)
        while True:
            page = await patiently(lambda: stub.ListBreaks(request))
            for found in page.breaks:
                yield found
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
