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
from hefu.type.v1.suitability_pb2 import InvestorClass, RiskLevel
from libs.cli.advice_rankers import card, compare, promote, train, value_logged
from libs.cli.connections import RUN_DIR
from libs.cli.terminal import console, refuse
from libs.client.errors import HefuError
from libs.client.recommendations import RecommendationsClient
from libs.failure import StartFailed
from libs.grpc_client import open_channel
from libs.supervisor import running

T = TypeVar("T")
_WHOLE = 10_000
_MILLION = 1_000_000
_OUT = Path("build/advice")

app = typer.Typer(help="Advice: proposals and why, strategies on history.", no_args_is_help=True)
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
    _print_proposal(found.proposal, language)
    if png is not None:
        _draw(found, png)
        console.print(f"drawn: {png}")


def _asked(run_dir: Path, ask: Callable[[RecommendationsClient], Awaitable[T]]) -> T:
    system = running(run_dir)
    address = system.addresses.get("recommendations")
    if address is None:
        raise StartFailed(f"no advice runs in {run_dir}: `make up` starts it")

    async def work() -> T:
        async with open_channel(address, run_dir / "identities" / "operator") as channel:
            return await ask(RecommendationsClient(channel))

    try:
        return uvloop.run(work())
    except HefuError as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(1) from None


def _print_proposal(proposal: pb.Proposal, language: str) -> None:
    issued = proposal.issued
    found = InvestorClass.Name(issued.suitability.investor_class)
    status = pb.ProposalStatus.Name(proposal.status).removeprefix("PROPOSAL_STATUS_")
    console.print(
        f"[bold]{issued.proposal_id}[/] {issued.strategy} ({issued.strategy_version}) for "
        f"{issued.investor_id}, class {found.removeprefix('INVESTOR_CLASS_')}: {status} "
        f"{proposal.cause}"
    )
    texts = {text.fund_code: text for text in proposal.texts}
    table = Table("fund", "level", "weight", "amount", "risk", "fee/year", "why")
    for item in issued.items:
        text = texts.get(item.fund_code)
        words = "" if text is None else (text.text_zh if language == "zh" else text.text_en)
        table.add_row(
            f"{item.fund_code} {item.fund_name}",
            RiskLevel.Name(item.level).removeprefix("RISK_LEVEL_"),
            f"{item.weight / 100:.2f}%" if item.weight else "",
            f"{item.amount_minor / 100:,.2f}" if item.amount_minor else "",
            _percent(item.risk_contribution_millionths) if item.weight else "",
            _percent(item.yearly_fee_millionths),
            words,
        )
    console.print(table)
    if issued.HasField("runner_up"):
        reason = issued.runner_up.reason
        told = ", ".join(f"{each.name} {each.value}" for each in reason.evidence)
        console.print(f"next would have been {issued.runner_up.fund_code}: {reason.code} ({told})")
    if issued.expected.volatility_millionths:
        expected = issued.expected
        console.print(
            f"expected a year: return {_percent(expected.return_millionths)}, volatility "
            f"{_percent(expected.volatility_millionths)}, fees "
            f"{_percent(expected.yearly_fee_millionths)}; worst fall in the history "
            f"{_percent(expected.drawdown_millionths)} over {issued.history_days} days"
        )
    for bound in issued.binding:
        console.print(f"at its limit: {bound.name} (dual {bound.dual_millionths / _MILLION:.6f})")
    if issued.fallbacks:
        console.print(f"given up: {', '.join(issued.fallbacks)}")
    for outcome in proposal.outcomes:
        console.print(
            f"followed, {outcome.days} days later: {_percent(outcome.return_millionths)}, equal "
            f"weights {_percent(outcome.equal_weight_return_millionths)}"
        )
    for refused in issued.refused:
        console.print(f"refused {len(refused.fund_codes)}: {refused.code}")


def _draw(found: pb.GetProposalResponse, file: Path) -> None:
    from libs.pictures import Shown, draw_proposal  # noqa: PLC0415 - late: it is slow to import

    issued = found.proposal.issued
    items = [item for item in issued.items if item.weight]
    if not items:
        console.print("[red]a list has no weights to draw[/]")
        raise typer.Exit(1)
    shown = Shown(
        f"{issued.strategy} for {issued.investor_id}",
        [f"{item.fund_code} {item.fund_name}"[:28] for item in items],
        [item.weight / _WHOLE for item in items],
        [item.risk_contribution_millionths / _MILLION for item in items],
        [point.date for point in found.history],
        [point.growth_millionths / _MILLION for point in found.history],
        [point.equal_weight_growth_millionths / _MILLION for point in found.history],
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_proposal(shown, file)


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
        compare(dates, askers, out)
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


def _percent(millionths: int) -> str:
    return f"{millionths / 10_000:.2f}%"
