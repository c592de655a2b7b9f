"""Rankings on the command line: train one, run it in the shadow, promote it, compare them all."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.cli.connections import RUN_DIR, told
from libs.cli.terminal import console, refuse
from libs.client.calls import patiently
from libs.client.recommendations import RecommendationsClient
from libs.failure import StartFailed
from libs.grpc_client import open_channel
from libs.ids import new_id
from libs.supervisor import running_or_none

_MODULE = "services.recommendations.train"
_MILLION = 1_000_000


def _run(arguments: Sequence[str]) -> None:
    # A process of its own: the command line imports no service, and learners are heavy. What it
    # says to a program, on its standard output, is for a person in its files.
    done = subprocess.run(
        [sys.executable, "-m", _MODULE, *arguments], check=False, stdout=subprocess.DEVNULL
    )
    if done.returncode:
        raise typer.Exit(done.returncode)


def train(
    version: Annotated[str, typer.Argument(help="Name and number, like blend@3.")],
    interactions: Annotated[
        Path | None,
        typer.Option(
            help="CSV: investor_id,fund_code,date,investor_class[,amount_minor,currency,theme].",
            exists=True,
        ),
    ] = None,
    simulated: Annotated[
        int, typer.Option(help="Draw so many purchases instead, over real prices.", min=0)
    ] = 0,
    as_of: Annotated[str, typer.Option(help="Known is what came before this date.")] = "",
    artifacts: Annotated[
        Path | None, typer.Option(help="Folder of artifacts; else the running system's.")
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
) -> None:
    """Train a ranking into an artifact with a model card; a running service takes it up.

    Learns from what the service of this run folder heard, from a file, or from a simulated
    population. It serves nobody before it is promoted.
    """
    data = run_dir.absolute() / "data" / "recommendations"
    folder = artifacts or data / "artifacts"
    arguments = ["--version", version, "--artifacts", str(folder), "--as-of", as_of]
    if interactions is not None:
        arguments += ["--interactions", str(interactions)]
    elif simulated:
        arguments += ["--simulated", str(simulated)]
    else:
        rows = data / "recommendations.sqlite"
        if not rows.exists():
            refuse(f"nothing was heard in {run_dir}: name --interactions or --simulated")
        arguments += ["--database", f"sqlite:///{rows}"]
    _run(arguments)
    console.print(f"what it learnt and what it is not good for: hefu advice card {version}")


def card(
    version: Annotated[str, typer.Argument(help="The version whose model card is to be read.")],
    artifacts: Annotated[
        Path | None, typer.Option(help="Folder of artifacts; else the running system's.")
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
) -> None:
    """Show a ranking's model card: what it learnt from, until when, and what it is not good for."""
    folder = artifacts or run_dir.absolute() / "data" / "recommendations" / "artifacts"
    file = folder / Path(version).name / "card.json"
    try:
        told_card = json.loads(file.read_text())
    except (OSError, ValueError):
        refuse(f"no model card of {version} in {folder}")
    for name, value in told_card.items():
        if isinstance(value, list):
            console.print(f"{name}:")
            for each in value:
                console.print(f"  - {each}", highlight=False, soft_wrap=True)
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{key} {each}" for key, each in value.items())  # noqa: PLW2901 - as text
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)


def value_logged(version: str, run_dir: Path) -> None:
    """What a version in the shadow would have earned, from the log of the live one."""
    raise typer.Exit(told(lambda: _value(version, run_dir)))


async def _value(version: str, run_dir: Path) -> int:
    async with open_channel(address_of(run_dir), run_dir / "identities" / "operator") as channel:
        client = RecommendationsClient(channel)
        found = await client.value_shadow(version)
    if not found.lists:
        console.print(
            f"{version} has answered no list in the shadow: `hefu advice promote --shadow`"
        )
        return 1
    title = f"{found.lists:,} lists that {version} answered too, {found.items:,} items shown"
    table = Table("reward of an item", "live", "IPS", "SNIPS", "effective items", title=title)
    for each in found.values:
        rates = (each.live_millionths, each.ips_millionths, each.snips_millionths)
        effective = each.effective_items_millionths / _MILLION
        table.add_row(
            each.reward.lower(), *(f"{rate / _MILLION:.4f}" for rate in rates), f"{effective:,.1f}"
        )
    console.print(table)
    unseen = found.unseen_millionths / _MILLION
    console.print(f"{unseen:.0%} of its items were never shown: of those the log tells nothing")
    return 0


def address_of(run_dir: Path) -> str:
    """Where advice is served in a run folder. Raises `StartFailed`."""
    system = running_or_none(run_dir)
    address = None if system is None else system.addresses.get("recommendations")
    if address is None:
        raise StartFailed(f"no advice runs in {run_dir}: `make up` starts it")
    return address


def promote(
    version: Annotated[str, typer.Argument(help="The version to serve; house@1 is always there.")],
    *,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Answer in the shadow of the live one instead.")
    ] = False,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
) -> None:
    """Let a ranking serve from the next question on, or run in the shadow of the one that does."""
    raise typer.Exit(told(lambda: _promote(version, run_dir, is_shadow=shadow)))


async def _promote(version: str, run_dir: Path, *, is_shadow: bool) -> int:
    request_id = str(new_id())
    async with open_channel(address_of(run_dir), run_dir / "identities" / "operator") as channel:
        client = RecommendationsClient(channel)
        if is_shadow:
            shadow = pb.SetShadowRequest(
                slot=pb.SLOT_RANKER, version=version, request_id=request_id
            )
            found = (await patiently(lambda: client.stub.SetShadow(shadow))).release
        else:
            request = pb.PromoteVersionRequest(
                slot=pb.SLOT_RANKER, version=version, request_id=request_id
            )
            found = (await patiently(lambda: client.stub.PromoteVersion(request))).release
    console.print(
        f"serves {found.version or 'house@1'}; in its shadow {found.shadow_version or '-'}"
    )
    if found.shadowed:
        overlap = found.overlap_millionths / _MILLION
        console.print(f"answered both {found.shadowed:,} times, {overlap:.0%} of items in common")
    return 0


def compare(dates: int, askers: int, themed: float, out: Path) -> None:
    """Evaluate all rankings on a simulated population, and print the table."""
    asked = ["--dates", str(dates), "--askers", str(askers), "--themed", str(themed)]
    _run(["--evaluate", *asked, "--out", str(out)])
    _print(json.loads((out / "rankers.json").read_text()))
    console.print(f"saved: {out / 'rankers.json'}")


def _print(found: Mapping[str, Any]) -> None:
    population = found["population"]
    table = Table(
        *("ranking", "nDCG@10", "recall@10", "MAP@10", "coverage", "monthly ROI@10"),
        title=(
            f"{population['purchases']:,} purchases of {population['investors']:,} investors, "
            f"{population['funds']} funds, {len(found['dates'])} dates; {population['note']}"
        ),
    )
    for name, row in found["rows"].items():
        table.add_row(
            name,
            f"{row['ndcg']:.4f} ± {row['ndcg_deviation']:.4f}",
            f"{row['recall']:.4f}",
            f"{row['map']:.4f}",
            f"{row['coverage']:.0%}",
            f"{row['roi']:+.4f} ± {row['roi_deviation']:.4f}",
        )
    console.print(table)
    console.print(
        f"all funds: monthly ROI {found['market_roi']:+.4f}; unsuitable items shown: "
        f"{found['violations']}; the blend was tuned on {', '.join(found['tuned_on'])}"
    )
    _print_besides(found)
    published = Table("FAR-Trans, published", "nDCG@10", "monthly ROI@10")
    for name, (ndcg, roi) in found["published"].items():
        published.add_row(name, f"{ndcg:.4f}", f"{roi:.4f}")
    console.print(published)
    for verdict in found["verdicts"]:
        console.print(f"  {verdict}")


def _print_besides(found: Mapping[str, Any]) -> None:
    """How new a list is, what following it does to a portfolio, and for whom it is good."""
    table = Table(
        *("ranking", "novelty", "Δ volatility", "Δ Sharpe", "Δ drawdown"),
        title="a fifth of the portfolio put into the list, less the portfolio as it was",
    )
    for name, row in found["rows"].items():
        table.add_row(
            name,
            f"{row['novelty']:.2f}",
            f"{row['delta_volatility']:+.2%}",
            f"{row['delta_sharpe']:+.3f}",
            f"{row['delta_drawdown']:+.2%}",
        )
    console.print(table)
    for grouping in sorted({name for each in found["groups"].values() for name in each}):
        _print_groups(grouping, {n: each[grouping] for n, each in found["groups"].items()})


def _print_groups(grouping: str, found: Mapping[str, Any]) -> None:
    """For whom the lists are good, and the gap from the best group to the worst."""
    table = Table(f"nDCG@10 by {grouping}", *found)
    for each in sorted({name for group in found.values() for name in group["ndcg"]}):
        values = (group["ndcg"].get(each) for group in found.values())
        table.add_row(each, *("" if value is None else f"{value:.3f}" for value in values))
    table.add_row("gap", *(f"{group['gap']:.3f}" for group in found.values()))
    console.print(table)
