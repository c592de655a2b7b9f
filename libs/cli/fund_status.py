"""`hefu funds`: where each registrar's days stand, and whether units and cash tie out right now."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from rich.table import Table
from rich.text import Text

from hefu.funds.v1 import funds_pb2 as pb
from hefu.funds.v1.funds_pb2_grpc import FundDayServiceStub
from libs.cli.connections import RUN_DIR, channel_to, told
from libs.cli.fund_report import decimal, table
from libs.cli.terminal import EXIT_FAILED, console
from libs.client.calls import patiently
from libs.client.funds import FundsClient
from libs.failure import StartFailed

if TYPE_CHECKING:
    from hefu.funds.v1.funds_pb2_grpc import FundDayServiceAsyncStub

DAYS: Final = 5
_PAGE: Final = 1_000
_LAST: Final = pb.TA_DAY_STATE_CASH_SETTLED


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known right now."""

    days: Sequence[pb.TaDay]
    set_aside: Sequence[pb.TaFile]
    tie_out: pb.GetFundTieOutResponse
    open_breaks: int
    # Decimals of each fund's shares.
    scales: Mapping[str, int]

    def shares(self, code: str, value: int) -> str:
        """Shares of a fund as text."""
        return decimal(value, self.scales[code])


def funds(
    days: Annotated[int, typer.Option(min=1, help="So many of each registrar's last days.")] = DAYS,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show where the fund days stand; an exit 1 where something waits for a person."""

    async def work() -> int:
        async with channel_to(run_dir, "funds") as channel:
            if channel is None:
                raise StartFailed(f"no funds run in {run_dir}: `make up` starts them")
            found = await _standing(channel, days)
        troubles = troubles_of(found)
        if as_json:
            console.print_json(json.dumps(_as_json(found, troubles)), indent=None)
            return EXIT_FAILED if troubles else 0
        console.print(_days(found.days), _units(found))
        for trouble in troubles:
            console.print(f"[bold red]✗ {trouble}[/]", highlight=False)
        if not troubles:
            console.print("[green]✓ nothing waits for a person, and all ties out[/]")
        return EXIT_FAILED if troubles else 0

    raise typer.Exit(told(work))


async def _standing(channel: grpc.aio.Channel, days: int) -> Standing:
    desk: FundDayServiceAsyncStub = FundDayServiceStub(channel)
    client = FundsClient(channel)
    listed = await patiently(lambda: desk.ListTaDays(pb.ListTaDaysRequest()))
    last: dict[str, list[pb.TaDay]] = {}
    for day in sorted(listed.ta_days, key=lambda each: each.trade_date):
        last.setdefault(day.ta_id, []).append(day)
    apart = pb.ListTaFilesRequest(state=pb.TA_FILE_STATE_QUARANTINED, page_size=_PAGE)
    breaks = pb.ListFundBreaksRequest(open_only=True, page_size=_PAGE)
    return Standing(
        [day for ta_id in sorted(last) for day in last[ta_id][-days:]],
        (await patiently(lambda: desk.ListTaFiles(apart))).files,
        await patiently(lambda: desk.GetFundTieOut(pb.GetFundTieOutRequest())),
        len((await patiently(lambda: desk.ListFundBreaks(breaks))).breaks),
        {fund.terms.code: fund.terms.share_scale async for fund in client.funds()},
    )


def troubles_of(found: Standing) -> list[str]:
    """What a person should look at, each in one line."""
    told = [
        f"{day.ta_id} {day.trade_date}: "
        + (f"late: {', '.join(day.late_files)}" if day.late_files else "a delivery is in doubt")
        for day in found.days
        if day.late_files or day.is_in_doubt
    ]
    told += [
        f"{units.fund_code}: ours {found.shares(units.fund_code, units.holdings_shares)}, "
        f"the registrar's {found.shares(units.fund_code, units.registrar_shares)}"
        for units in found.tie_out.units
        if not units.ties_out
    ]
    told += [
        f"{cash.ta_id} {cash.purpose}: {cash.balance_minor:,} minor units, "
        f"and {cash.expected_minor:,} are on their way"
        for cash in found.tie_out.cash
        if not cash.ties_out
    ]
    if found.open_breaks:
        told.append(f"{found.open_breaks:,} breaks are open: hefu breaks")
    return told


def _days(days: Sequence[pb.TaDay]) -> Table:
    names = ("TA", "trade date", "stands", "orders", "booked", "refused", "waits for")
    grid = table("Fund days", ("TA", "trade date", "stands", "waits for"), names)
    for day in days:
        waits = "" if day.state == _LAST else day.waiting_for.lower().replace("_", " ")
        grid.add_row(
            day.ta_id,
            day.trade_date,
            _state(day.state),
            f"{day.orders:,}",
            f"{day.booked:,}",
            f"{day.rejected:,}",
            waits,
        )
    return grid


def _state(state: pb.TaDayState.ValueType) -> Text:
    name = pb.TaDayState.Name(state).removeprefix("TA_DAY_STATE_").lower().replace("_", " ")
    style = "green" if state == _LAST else "yellow"
    return Text("●" * state + "○" * (_LAST - state) + f" {name}", style=style)


def _units(found: Standing) -> Table:
    names = ("fund", "holders", "units", "the registrar's", "of")
    grid = table("Units, ours beside the registrar's", ("fund", "of"), names)
    for line in found.tie_out.units:
        theirs = found.shares(line.fund_code, line.registrar_shares)
        grid.add_row(
            line.fund_code,
            f"{line.holders:,}",
            found.shares(line.fund_code, line.holdings_shares),
            Text(theirs, style="green" if line.ties_out else "bold red"),
            line.balance_date,
        )
    return grid


def _as_json(found: Standing, troubles: Sequence[str]) -> dict[str, object]:
    def plain(messages: Sequence[pb.TaDay] | Sequence[pb.TaFile]) -> list[object]:
        return [MessageToDict(each, preserving_proto_field_name=True) for each in messages]

    return {
        "days": plain(found.days),
        "set_aside": plain(found.set_aside),
        "tie_out": MessageToDict(found.tie_out, preserving_proto_field_name=True),
        "open_breaks": found.open_breaks,
        "troubles": list(troubles),
    }
