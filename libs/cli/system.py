"""`hefu up`, `down` and `status`: the system on this machine."""

import asyncio
import json
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import grpc
import typer
from rich.table import Table

from hefu.operations.v1 import operations_pb2 as operations
from hefu.operations.v1.operations_pb2_grpc import OperationsServiceStub
from libs.cli.terminal import console, counting
from libs.grpc_client import open_channel
from libs.supervisor import (
    BankSpec,
    ProcessState,
    RegistrarSpec,
    Running,
    System,
    running_or_none,
    start,
    stop_what_runs,
)

RUN_DIR = Path(".run")
# The banks of the project's own orders file.
BANKS = ("AB", "DE", "IJ", "MN", "SR", "WX")
# The registrar of the sample funds.
REGISTRAR = "HFTA"
EXIT_NOT_RUNNING = 3
_ASK_S = 2.0
_SERVICES = ("accounts", "payments", "settlement", "funds")
_COLOURS = {"up": "green", "starting": "yellow", "waiting": "yellow"}


RunDir = Annotated[Path, typer.Option(help="Where the system keeps its files.")]


def up(
    port_offset: Annotated[
        int,
        typer.Option(min=0, envvar="HEFU_PORT_OFFSET", help="Added to every port."),
    ] = 0,
    bank: Annotated[
        list[str] | None, typer.Option(help="A sample bank to run (again for more).")
    ] = None,
    manners: Annotated[
        str, typer.Option(help="Of the banks: clean, ordinary, hostile.")
    ] = "ordinary",
    currency: Annotated[str, typer.Option(help="Of our accounts there, ISO 4217.")] = "CZK",
    run_dir: RunDir = RUN_DIR,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start from empty books.")] = False,
    foreground: Annotated[
        bool, typer.Option("--foreground", help="Stay, and stop it all on Ctrl-C.")
    ] = False,
) -> None:
    """Start the system in the background and wait until every process serves."""
    banks = [BankSpec(bank_id, currency) for bank_id in sorted(set(bank or BANKS))]
    registrars = [RegistrarSpec(REGISTRAR, banks[0].bank_id, currency)]

    async def work() -> None:
        began_s = time.monotonic()
        with counting(transient=True) as progress:
            bar = progress.add_task("starting", total=None)
            system = await start(
                run_dir,
                banks=banks,
                manners=manners,
                port_offset=port_offset,
                fresh=fresh,
                progress=lambda ready, total, _: progress.update(bar, completed=ready, total=total),
                registrars=registrars,
            )
        count = len(system.running.processes)
        what = "was up already" if system.is_attached else "is up"
        console.print(
            f"the system {what}: {count} processes, {time.monotonic() - began_s:.1f} s. "
            "`hefu status` shows them, `hefu down` stops them.",
            highlight=False,
        )
        if foreground:
            await _stay(system)

    asyncio.run(work())


def down(run_dir: RunDir = RUN_DIR) -> None:
    """Stop the system. What it knows stays."""
    if asyncio.run(stop_what_runs(run_dir)):
        console.print("the system is stopped", highlight=False)
    else:
        console.print(f"nothing runs in {run_dir}", highlight=False)


def status(
    run_dir: RunDir = RUN_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show each process: its port, its health, how far behind it is, how often it was restarted."""
    found = running_or_none(run_dir)
    if found is None:
        if as_json:
            typer.echo(json.dumps({"is_running": False, "processes": []}))
        else:
            console.print(f"nothing runs in {run_dir}: `hefu up` starts it", highlight=False)
        raise typer.Exit(EXIT_NOT_RUNNING)
    followers = asyncio.run(_ask_all(run_dir, found))
    if as_json:
        processes = [
            {**asdict(process), "followers": _plain(followers.get(process.name))}
            for process in found.processes
        ]
        told = {"is_running": True, "pid": found.pid, "port_offset": found.port_offset}
        typer.echo(json.dumps({**told, "processes": processes}))
    else:
        _show(found, followers)
    raise typer.Exit(0 if found.is_up else 1)


Followers = list[operations.Follower]


async def _ask_all(run_dir: Path, found: Running) -> dict[str, Followers | None]:
    names = [name for name in _SERVICES if name in found.addresses]
    answers = await asyncio.gather(*(_ask(run_dir, found.addresses[name]) for name in names))
    return dict(zip(names, answers, strict=True))


async def _ask(run_dir: Path, address: str) -> Followers | None:
    async with open_channel(address, run_dir / "identities" / "operator") as channel:
        try:
            answer = await OperationsServiceStub(channel).GetStatus(
                operations.GetStatusRequest(), timeout=_ASK_S
            )
        except grpc.aio.AioRpcError:
            return None
    return list(answer.followers)


def _show(found: Running, followers: dict[str, Followers | None]) -> None:
    table = Table("process", "pid", "port", "health", "up for", "restarts", "behind")
    for process in found.processes:
        colour = _COLOURS.get(process.state, "red")
        table.add_row(
            process.name,
            str(process.pid),
            str(process.port),
            f"[{colour}]{process.state}[/]",
            _age(process),
            str(process.restarts),
            _behind(process, followers),
        )
    console.print(table)


def _age(process: ProcessState) -> str:
    seconds = int(time.time() - process.started_s)
    minutes, hours = seconds // 60, seconds // 3_600
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min {seconds % 60} s"


def _behind(process: ProcessState, followers: dict[str, Followers | None]) -> str:
    if process.name not in followers:
        return ""
    found = followers[process.name]
    if found is None:
        return "[red]does not answer[/]"
    parked = sum(follower.parked_streams for follower in found)
    late = [f.name for f in found if not f.is_caught_up]
    told = f"[yellow]{', '.join(late)}[/]" if late else "[green]nothing[/]"
    return f"{told}, [red]{parked} parked[/]" if parked else told


def _plain(found: Followers | None) -> list[dict[str, object]] | None:
    if found is None:
        return None
    return [
        {
            "name": follower.name,
            "position": follower.position,
            "head_position": follower.head_position,
            "is_caught_up": follower.is_caught_up,
            "parked_streams": follower.parked_streams,
        }
        for follower in found
    ]


async def _stay(system: System) -> None:
    console.print("Ctrl-C stops it", highlight=False)
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    waits = [asyncio.create_task(told.wait()), asyncio.create_task(system.wait_until_stopped())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    await system.stop()
