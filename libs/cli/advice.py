"""`hefu advice`: look at a proposal and why it is so, and compare strategies on history."""

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
import uvloop
from rich.table import Table

from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.cli.advice_asking import ask
from libs.cli.advice_feeding import feed
from libs.cli.advice_rankers import (
    address_of,
    card,
    compare,
    promote,
    train,
    value_logged,
)
from libs.cli.advice_showing import draw, print_proposal
from libs.cli.connections import RUN_DIR
from libs.cli.terminal import console, refuse
from libs.client.errors import HefuError
from libs.client.recommendations import RecommendationsClient
from libs.grpc_client import open_channel

T = TypeVar("T")
_WHOLE = 10_000
_MILLION = 1_000_000
_OUT = Path("build/advice")

app = typer.Typer(help="Advice: proposals and why, strategies on history.", no_args_is_help=True)
app.command()(feed)
app.command()(ask)
app.command()(train)
app.command()(card)
app.command()(promote)


@app.command()
def show(
    proposal: Annotated[str, typer.Argument(help="The proposal's id.")],
    png: Annotated[Path | None, typer.Option(help="Draw it into this file, too.")] = None,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    language: Annotated[str, typer.Option(help="Of the reasons: en or zh.")] = "en",
) -> None:
    """Show a proposal: its funds, their reasons, what was refused, and what it rests on."""
    try:
        id_ = str(UUID(proposal))
    except ValueError:
        refuse(f"proposal: {proposal!r} is not a UUID")

    async def ask(client: RecommendationsClient) -> pb.GetProposalResponse:
        return await client.get(id_, with_history=png is not None)

    found = _asked(run_dir, ask)
    print_proposal(found.proposal, language)
    if png is not None:
        draw(found, png)
        console.print(f"drawn: {png}")


def _asked(run_dir: Path, ask: Callable[[RecommendationsClient], Awaitable[T]]) -> T:
    address = address_of(run_dir)

    async def work() -> T:
        async with open_channel(address, run_dir / "identities" / "operator") as channel:
            return await ask(RecommendationsClient(channel))

    try:
        return uvloop.run(work())
    except HefuError as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(1) from None


@app.command()
def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for the table and the picture.")] = _OUT,
    fit: Annotated[int, typer.Option(help="Sessions fitted on.", min=260)] = 756,
    hold: Annotated[int, typer.Option(help="Sessions held.", min=1)] = 21,
    *,
    rankers: Annotated[
        bool, typer.Option("--rankers", help="Compare rankings of fund lists instead.")
    ] = False,
    dates: Annotated[int, typer.Option(help="Test dates of the rankings.", min=2)] = 9,
    askers: Annotated[int, typer.Option(help="Investors asked at each.", min=1)] = 400,
    themed: Annotated[
        float, typer.Option(help="How much the simulated buyers keep to themes.", min=0.0)
    ] = 0.0,
    logged: Annotated[
        str, typer.Option(help="Value this version, in the shadow, from the live log instead.")
    ] = "",
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
) -> None:
    """Walk strategies and baselines over real prices, net of fees, and say who wins."""
    if logged:
        value_logged(logged, run_dir)
        return
    if rankers:
        compare(dates, askers, themed, out)
        return
    # A process of its own: the command line imports no service, and optimisers are heavy.
    command = [sys.executable, "-m", "services.recommendations.evaluate"]
    told = ["--out", str(out), "--fit", str(fit), "--hold", str(hold)]
    done = subprocess.run([*command, *told], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)
    _print_evaluation(json.loads((out / "evaluation.json").read_text()))
    console.print(f"saved: {out / 'evaluation.json'}, {out / 'evaluation.png'}")


_COLUMNS = ("mean", "deviation", "sharpe", "max_drawdown", "turnover", "fees", "worst_month")


def _print_evaluation(found: Mapping[str, Any]) -> None:
    for told in found["portfolios"]:
        table = Table(
            *("strategy", *_COLUMNS, "beside equal weight [95 %]"),
            title=f"{told['name']}, {told['first_day']} to {told['last_day']}, net of fees",
        )
        for name, row in told["rows"].items():
            interval = f"{row['interval_low']:+.2%} {row['interval_high']:+.2%}"
            table.add_row(
                name,
                *(_cell(column, row[column]) for column in _COLUMNS),
                f"{row['beside_equal_weight']:+.2%} [{interval}]",
            )
        console.print(table)
        for verdict in told["verdicts"]:
            console.print(f"  {verdict}")
    published = Table("published", "mean", "deviation", "sharpe", "max_drawdown")
    for name, row in found["published"].items():
        columns = ("mean", "deviation", "sharpe", "max_drawdown")
        published.add_row(name, *(_cell(column, row[column]) for column in columns))
    console.print(published)
    for note in found["notes"]:
        console.print(f"[dim]{note}[/]")


def _cell(column: str, value: float) -> str:
    return f"{value:.3f}" if column in ("sharpe", "turnover") else f"{value:.2%}"
