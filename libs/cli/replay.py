"""`hefu replay`: rebuilds a read model from the events, compares, swaps it in if asked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer
from rich.table import Table

from hefu.operations.v1 import operations_pb2 as operations
from libs.cli.connections import RUN_DIR, Connections, connected
from libs.cli.terminal import console, sharing
from libs.event_store import StoreUnavailable

if TYPE_CHECKING:
    from hefu.operations.v1.operations_pb2_grpc import OperationsServiceAsyncStub

_HOURS_S = 6 * 3600.0

Found: TypeAlias = "dict[str, tuple[OperationsServiceAsyncStub, operations.ReadModel]]"


def replay(
    read_model: Annotated[
        str, typer.Argument(help="Name of a read model; 'all' for every one; empty to list them.")
    ] = "",
    to: Annotated[int, typer.Option(min=0, help="Up to this position; 0: the live one's.")] = 0,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    swap: Annotated[bool, typer.Option("--swap", help="Put the rebuilt one in place.")] = False,
) -> None:
    """Rebuild a read model from the first event into a shadow and compare it with the live one."""

    async def work(link: Connections) -> int:
        found = await _read_models(link)
        if not read_model:
            _list(found)
            return 0
        wanted = list(found) if read_model == "all" else [read_model]
        different = 0
        for name in wanted:
            if name not in found:
                console.print(f"[red]there is no read model {name!r}; `hefu replay` lists them[/]")
                return 2
            different += await _replay(found[name][0], name, to, swap=swap)
        return 1 if different else 0

    connected(run_dir, work)


async def _read_models(link: Connections) -> Found:
    found: Found = {}
    for stub in link.operations.values():
        answer = await stub.ListReadModels(operations.ListReadModelsRequest())
        for model in answer.read_models:
            found[model.name] = (stub, model)
    return found


def _list(found: Found) -> None:
    table = Table("read model", "position", "tables")
    for name, (_, model) in sorted(found.items()):
        table.add_row(name, f"{model.position:,}", ", ".join(model.tables))
    console.print(table)


async def _replay(stub: "OperationsServiceAsyncStub", name: str, to: int, *, swap: bool) -> int:
    request = operations.ReplayReadModelRequest(name=name, to_position=to, swap=swap)
    last = operations.ReplayReadModelResponse()
    with sharing() as progress:
        bar = progress.add_task(f"replaying {name}", total=None)
        async for answer in stub.ReplayReadModel(request, timeout=_HOURS_S):
            last = answer
            progress.update(bar, total=answer.to_position or 1, completed=answer.position)
        progress.update(bar, total=1, completed=1)
    if not last.is_done:
        raise StoreUnavailable(f"replaying {name} ended at {last.position} without a result")
    told = f"{last.events:,} events, {last.rows_compared:,} rows compared"
    if last.rows_different == 0:
        swapped = ", swapped in" if last.is_swapped else ""
        console.print(f"[green]✓ {name}: the same, row for row[/] ({told}{swapped})")
        return 0
    console.print(f"[red]✗ {name}: {last.rows_different:,} rows differ[/] ({told})")
    for row in last.differences:
        columns_told = f" in {', '.join(row.columns)}" if row.columns else ""
        console.print(f"  {row.table} {row.key}: {row.kind}{columns_told}", highlight=False)
    if last.is_swapped:
        console.print("  the rebuilt one was swapped in")
    return 1
