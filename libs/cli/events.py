"""`hefu events`: the streams of the store, and one stream decoded."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from libs.cli.books import CATEGORIES
from libs.cli.connections import RUN_DIR, Connections, connected
from libs.cli.decoding import decoded, name_of, one_line, when
from libs.cli.terminal import console
from libs.event_store import StoredEvent

app = typer.Typer(no_args_is_help=True, help="List the streams of the store, or show one decoded.")


@dataclass(slots=True)
class _Seen:
    events: int
    newest: StoredEvent


@app.command("list")
def list_streams(
    prefix: Annotated[str, typer.Option(help="Only streams whose names begin so.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List streams with their number of events, newest first."""

    async def work(link: Connections) -> None:
        seen: dict[str, _Seen] = {}
        prefixes: Sequence[str] = (prefix,) if prefix else CATEGORIES
        with console.status("reading the store"):
            async for event in link.store.read_all(prefixes):
                found = seen.setdefault(event.stream, _Seen(0, event))
                found.events += 1
                found.newest = event
        newest = sorted(seen.items(), key=lambda item: -item[1].newest.position)[:limit]
        if as_json:
            for stream, found in newest:
                row = {"stream": stream, "events": found.events, "position": found.newest.position}
                console.print_json(json.dumps(row), indent=None)
            return
        table = Table("stream", "events", "newest event", "at (UTC)", "position")
        for stream, found in newest:
            last = found.newest
            table.add_row(
                stream,
                f"{found.events:,}",
                name_of(last.type),
                when(last.recorded_us),
                str(last.position),
            )
        console.print(table)
        console.print(f"{len(newest):,} of {len(seen):,} streams")

    connected(run_dir, work)


@app.command()
def show(
    stream: Annotated[str, typer.Argument(help="For example payment-<id> or journal-0.")],
    after: Annotated[int, typer.Option(min=-1, help="Only events after this revision.")] = -1,
    limit: Annotated[int, typer.Option(min=1, help="At most so many events.")] = 1000,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Show the events of a stream, decoded."""

    async def work(link: Connections) -> int:
        shown = 0
        async for event in link.store.read(stream, after + 1):
            if as_json:
                console.print_json(json.dumps(_as_json(event)), indent=None)
            else:
                _print(event)
            shown += 1
            if shown == limit:
                break
        if not shown:
            console.print(f"[red]there is no stream {stream}, or nothing after revision {after}[/]")
            return 1
        return 0

    connected(run_dir, work)


def _as_json(event: StoredEvent) -> dict[str, object]:
    return {
        "stream": event.stream,
        "revision": event.revision,
        "position": event.position,
        "type": event.type,
        "recorded_us": event.recorded_us,
        "data": decoded(event),
        "metadata": dict(event.metadata),
    }


def _print(event: StoredEvent) -> None:
    told = f"[bold]{event.revision:>5}[/]  {when(event.recorded_us)}  "
    console.print(f"{told}[cyan]{name_of(event.type)}[/]", highlight=False)
    content = decoded(event)
    entries = content.get("entries") if not event.is_json else None
    if isinstance(entries, list):
        head = {key: value for key, value in content.items() if key != "entries"}
        console.print(f"       {one_line(head)}", highlight=False, markup=False)
        for entry in entries:
            console.print(f"         · {one_line(entry)}", highlight=False, markup=False)
        return
    console.print(f"       {one_line(content)}", highlight=False, markup=False)
