"""Advice as a wallet back end asks for it: the questionnaire, a portfolio or a list, its orders."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.type.v1.suitability_pb2 import InvestorClass
from libs.cli.advice_rankers import address_of
from libs.cli.advice_showing import print_proposal
from libs.cli.connections import RUN_DIR, told
from libs.cli.terminal import console, refuse
from libs.client.errors import HefuError
from libs.client.recommendations import RecommendationsClient
from libs.grpc_client import open_channel
from libs.ids import named_id
from libs.money import Money, parse_major
from libs.orders import wallet_id

OWNER = "customer:"
# What another process tells is waited for so long.
WITHIN_S = 60.0
_AGAIN_S = 0.2
_NOT_HEARD = frozenset({"CATALOGUE_EMPTY"})
_STRATEGIES = {
    name.removeprefix("STRATEGY_").lower(): value
    for name, value in pb.Strategy.items()
    if value != pb.STRATEGY_UNSPECIFIED
}


def ask(
    investor: Annotated[str, typer.Argument(help="Who is advised, like customer:F000001.")],
    amount: Annotated[
        str, typer.Option(help="What is to be invested, like 50000.00; without, a list of funds.")
    ] = "",
    strategy: Annotated[
        str, typer.Option(help="Like risk_parity; without, the one of the investor's class.")
    ] = "",
    answers: Annotated[
        Path | None,
        typer.Option(help="JSON, option by item; without, the questions come one by one."),
    ] = None,
    currency: Annotated[str, typer.Option(help="Of the amount and the wallet, ISO 4217.")] = "CZK",
    months: Annotated[
        int | None, typer.Option(help="Horizon; without, as it is known.", min=1)
    ] = None,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    rebalance: Annotated[
        bool,
        typer.Option(
            "--rebalance", help="What is held, too; an --amount below zero is to be paid out."
        ),
    ] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Order it at once.")] = False,
) -> None:
    """Advise an investor: the questionnaire where it is due, then funds and why, then orders."""
    if rebalance:
        amount = amount or "0"
    if accept and not amount:
        refuse("--accept: only what has an amount is ordered: name --amount")
    if strategy and strategy not in _STRATEGIES:
        refuse(f"--strategy: {strategy!r} is none of {', '.join(_STRATEGIES)}")
    try:
        money = Money(currency, parse_major(amount, currency)) if amount else None
    except ValueError as error:
        refuse(f"--amount: {error}")
    sheet = None if answers is None else _sheet(answers)
    wallet = str(wallet_id(investor.removeprefix(OWNER), currency))

    async def work() -> int:
        async with open_channel(address_of(run_dir), run_dir / "identities" / "wallet") as channel:
            client = RecommendationsClient(channel)
            known = await client.register(investor, [wallet])
            await _classified(client, known, sheet)
            if not known.has_consent:
                await client.consent(investor)
                console.print(f"consent to advice is recorded in the name of {investor}")
            await _preferred(client, known, currency, months)
            wanted = _STRATEGIES.get(strategy, pb.STRATEGY_UNSPECIFIED)
            found = await _advised(client, investor, money, wanted, is_rebalance=rebalance)
            print_proposal(found)
            if accept:
                await client.accept(found.issued.proposal_id, wallet)
                async with asyncio.timeout(WITHIN_S):
                    _print_orders(found, await client.orders(found.issued.proposal_id))
        return 0

    raise typer.Exit(told(work))


def _sheet(file: Path) -> Mapping[str, str]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        refuse(f"--answers: {error}")
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        refuse(f"--answers: {file} is no JSON object of option by item")
    return found


async def _classified(
    client: RecommendationsClient, known: pb.Investor, sheet: Mapping[str, str] | None
) -> None:
    """The class in force stands, unless a sheet is given; the same sheet counts once."""
    if sheet is None and known.investor_class:
        return
    asked = await client.questionnaire()
    answered = _asked_one_by_one(asked) if sheet is None else sheet
    digest = hashlib.sha256(json.dumps(answered, sort_keys=True).encode()).hexdigest()
    id_ = named_id("questionnaire", known.investor_id, asked.version, digest)
    answer = await client.submit(known.investor_id, asked.version, answered, id_)
    found = InvestorClass.Name(answer.investor.investor_class).removeprefix("INVESTOR_CLASS_")
    held = f", held down by {', '.join(answer.investor.caps)}" if answer.investor.caps else ""
    console.print(f"{known.investor_id} is of class {found}{held}")


async def _preferred(
    client: RecommendationsClient, known: pb.Investor, currency: str, months: int | None
) -> None:
    """What was wanted before stands, but for what is asked for now."""
    wanted = events_pb2.InvestorPreferences()
    wanted.CopyFrom(known.preferences)
    wanted.currency = currency
    wanted.horizon_months = months or wanted.horizon_months
    if wanted != known.preferences:
        await client.prefer(known.investor_id, wanted)


def _asked_one_by_one(asked: pb.GetQuestionnaireResponse) -> Mapping[str, str]:
    found = {}
    for number, item in enumerate(asked.items, 1):
        console.print(f"[bold]{number}/{len(asked.items)} {item.text_en}[/]")
        for n, option in enumerate(item.options, 1):
            console.print(f"  {n} {option.text_en}", highlight=False)
        chosen = 0
        while not 1 <= chosen <= len(item.options):
            chosen = typer.prompt(f"1 to {len(item.options)}", type=int)
        found[item.item] = item.options[chosen - 1].option
    return found


async def _advised(
    client: RecommendationsClient,
    investor: str,
    money: Money | None,
    strategy: "pb.Strategy.ValueType",
    *,
    is_rebalance: bool,
) -> pb.Proposal:
    """A proposal; waits where no fund has been heard of yet."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                if money is None:
                    return await client.recommendations(investor)
                return await client.portfolio(
                    investor, money, strategy=strategy, is_rebalance=is_rebalance
                )
            except HefuError as error:
                if error.reason not in _NOT_HEARD:
                    raise
            await asyncio.sleep(_AGAIN_S)


def _print_orders(proposal: pb.Proposal, orders: Sequence[events_pb2.ProposalOrderLinked]) -> None:
    for order in orders:
        outcome = order.refusal_reason or "ordered"
        console.print(f"  {order.fund_code}: {outcome}, order {order.order_id}", highlight=False)
    waiting = sum(item.amount_minor != 0 for item in proposal.issued.items) - len(orders)
    if waiting > 0:
        console.print(f"  {waiting} purchases are ordered once what is sold has paid")
