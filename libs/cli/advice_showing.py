"""A proposal as a person reads it: its funds and why, what it rests on, and its picture."""

from collections.abc import Iterator
from pathlib import Path

import typer
from rich.table import Table

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.type.v1.suitability_pb2 import InvestorClass, RiskLevel
from libs.cli.terminal import console
from libs.money import major

_WHOLE = 10_000
_MILLION = 1_000_000
_LIST = "list"
_KINDS = {
    events_pb2.PURPOSE_UNSPECIFIED: "Portfolio",
    events_pb2.PURPOSE_PORTFOLIO: "Portfolio",
    events_pb2.PURPOSE_REBALANCE: "Rebalance",
    events_pb2.PURPOSE_PLAN_TOP_UP: "Top-up",
}


def print_proposal(proposal: pb.Proposal, language: str = "en") -> None:
    """Its funds as a table, then in sentences why each is there."""
    issued = proposal.issued
    status = pb.ProposalStatus.Name(proposal.status).removeprefix("PROPOSAL_STATUS_").lower()
    cause = f" ({proposal.cause})" if proposal.cause else ""
    console.print(f"[bold]{_title(issued)}[/]: {status}{cause}")
    console.print(f"proposal {issued.proposal_id}", highlight=False)
    console.print(_table(issued))
    texts = {text.fund_code: text for text in proposal.texts}
    for item in issued.items:
        text = texts.get(item.fund_code)
        words = "" if text is None else (text.text_zh if language == "zh" else text.text_en)
        console.print(f"{item.fund_code}: {words}", highlight=False)
    for line in (*_rests_on(issued), *_came_of_it(proposal)):
        console.print(line, highlight=False)


def _title(issued: events_pb2.RecommendationIssued) -> str:
    found = InvestorClass.Name(issued.suitability.investor_class).removeprefix("INVESTOR_CLASS_")
    strategy = issued.strategy.replace("_", " ")
    kind = (
        f"Funds for {issued.investor_id}, ranked by {issued.strategy_version.partition(':')[0]}"
        if issued.strategy == _LIST
        else f"{_KINDS[issued.purpose]} for {issued.investor_id}, {strategy}"
    )
    return f"{kind}, class {found}"


def _table(issued: events_pb2.RecommendationIssued) -> Table:
    is_list = issued.strategy == _LIST
    is_held = any(item.weight_before for item in issued.items)
    before = ("held now",) if is_held else ()
    columns = ("score",) if is_list else (*before, "weight", "amount", "share of risk")
    table = Table("fund", "level", *columns, "cost a year")
    for item in issued.items:
        numbers = (
            (f"{item.score_millionths / _MILLION:.2f}",)
            if is_list
            else (
                *((_percent(item.weight_before * _MILLION // _WHOLE),) if is_held else ()),
                _percent(item.weight * _MILLION // _WHOLE),
                _amount(issued, item.amount_minor),
                _percent(item.risk_contribution_millionths),
            )
        )
        table.add_row(
            f"{item.fund_code} {item.fund_name}",
            RiskLevel.Name(item.level).removeprefix("RISK_LEVEL_"),
            *numbers,
            _percent(item.yearly_fee_millionths),
        )
    return table


def _rests_on(issued: events_pb2.RecommendationIssued) -> Iterator[str]:
    if issued.expected.volatility_millionths:
        expected = issued.expected
        before = expected.volatility_before_millionths
        was = f" (as held now {_percent(before)})" if before else ""
        yield (
            f"expected a year: return {_percent(expected.return_millionths)}, volatility "
            f"{_percent(expected.volatility_millionths)}{was}, cost "
            f"{_percent(expected.yearly_fee_millionths)}; worst fall in the history "
            f"{_percent(expected.drawdown_millionths)}, over {issued.history_days} days"
        )
    if issued.HasField("runner_up"):
        reason = issued.runner_up.reason
        told = ", ".join(f"{each.name} {each.value}" for each in reason.evidence)
        yield f"next would have been {issued.runner_up.fund_code}: {reason.code} ({told})"
    for bound in issued.binding:
        yield (
            f"at its limit: {bound.name}, {_percent(bound.limit_millionths)} "
            f"(a unit more would bring {bound.dual_millionths / _MILLION:.4f})"
        )
    if issued.fallbacks:
        yield f"given up: {', '.join(issued.fallbacks)}"
    for refused in issued.refused:
        count = len(refused.fund_codes)
        yield f"not shown, {refused.code}: {count} {'fund' if count == 1 else 'funds'}"


def _came_of_it(proposal: pb.Proposal) -> Iterator[str]:
    for order in proposal.orders:
        yield f"{order.fund_code}: {order.refusal_reason or 'ordered'}, order {order.order_id}"
    for outcome in proposal.outcomes:
        yield (
            f"followed, {outcome.days} days later: {_percent(outcome.return_millionths)}, equal "
            f"weights {_percent(outcome.equal_weight_return_millionths)}"
        )


def draw(found: pb.GetProposalResponse, file: Path) -> None:
    """The picture of a portfolio. Ends the command where there is nothing to draw."""
    from libs.pictures import Shown, draw_proposal  # noqa: PLC0415 - late: it is slow to import

    issued = found.proposal.issued
    items = [item for item in issued.items if item.weight]
    if not items:
        console.print("[red]a list has no weights to draw[/]")
        raise typer.Exit(1)
    shown = Shown(
        _title(issued),
        (
            f"Proposal {issued.proposal_id}. What was is no promise of what will be: returns, "
            "volatility and falls are those of the history shown."
        ),
        [f"{item.fund_name}  {item.fund_code}" for item in items],
        [item.weight / _WHOLE for item in items],
        [item.risk_contribution_millionths / _MILLION for item in items],
        list(_figures(issued)),
        [point.date for point in found.history],
        [point.growth_millionths / _MILLION for point in found.history],
        [point.equal_weight_growth_millionths / _MILLION for point in found.history],
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    draw_proposal(shown, file)


def _figures(issued: events_pb2.RecommendationIssued) -> Iterator[tuple[str, str]]:
    expected = issued.expected
    if issued.as_of_date:
        yield "as of", issued.as_of_date
    if issued.amount.minor_units:
        currency = issued.amount.currency_code
        yield "to invest", f"{_amount(issued, issued.amount.minor_units)} {currency}"
    yield "expected return a year", _percent(expected.return_millionths)
    yield "volatility a year", _percent(expected.volatility_millionths)
    if expected.volatility_before_millionths:
        yield "volatility as held now", _percent(expected.volatility_before_millionths)
    yield "worst fall in the history", _percent(expected.drawdown_millionths)
    yield "costs a year", _percent(expected.yearly_fee_millionths)
    yield "days of history", str(issued.history_days)


def _amount(issued: events_pb2.RecommendationIssued, minor: int) -> str:
    currency = issued.amount.currency_code
    if not currency:
        return f"{minor / 100:,.2f}"
    whole, dot, rest = major(minor, currency).partition(".")
    return f"{int(whole):,}{dot}{rest}" if whole != "-0" else f"-0{dot}{rest}"


def _percent(millionths: int) -> str:
    return f"{millionths / 10_000:.2f} %"
