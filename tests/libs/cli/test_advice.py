"""`hefu advice` without a system: what is refused at once, and a proposal as a person reads it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.type.v1.money_pb2 import Money
from hefu.type.v1.suitability_pb2 import InvestorClass, RiskLevel
from libs.cli.advice import app
from libs.cli.advice_showing import draw, print_proposal

PROPOSAL = "019a9000-0000-7000-8000-000000000001"


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, words)
    return done.exit_code, " ".join(done.output.split())


def portfolio() -> pb.Proposal:
    items = [
        events_pb2.AdvisedItem(
            fund_code=code,
            fund_name=name,
            level=RiskLevel.RISK_LEVEL_R2,
            weight=weight,
            amount_minor=weight * 100,
            risk_contribution_millionths=risk,
        )
        for code, name, weight, risk in (
            ("000002", "Bonds", 7_000, 400_000),
            ("000004", "Mixed", 3_000, 600_000),
        )
    ]
    issued = events_pb2.RecommendationIssued(
        proposal_id=PROPOSAL,
        investor_id="anna",
        strategy="risk_parity",
        items=items,
        amount=Money(currency_code="CZK", minor_units=1_000_000),
        as_of_date="2015-01-08",
        history_days=300,
        suitability=events_pb2.SuitabilitySnapshot(investor_class=InvestorClass.INVESTOR_CLASS_C3),
        expected=events_pb2.ExpectedFigures(volatility_millionths=73_900),
        binding=[events_pb2.BindingConstraint(name="FUND:000002", limit_millionths=700_000)],
        refused=[events_pb2.RefusedFunds(code="ABOVE_CLASS", fund_codes=["000007"])],
    )
    text = pb.ItemText(fund_code="000002", text_en="It is calm.", text_zh="它很稳。")
    return pb.Proposal(issued=issued, status=pb.PROPOSAL_STATUS_ISSUED, texts=[text])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--accept",), "--accept: only what has an amount is ordered"),
        (("--amount", "4 000"), "--amount:"),
        (("--amount", "10.001"), "--amount:"),
        (("--amount", "100", "--strategy", "luck"), "--strategy: 'luck' is none of"),
        (("--answers", "nowhere.json"), "--answers:"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_the_option(words: tuple[str, ...], told: str) -> None:
    code, output = run("ask", "customer:F000001", *words)

    assert code == 2
    assert told in output


def test_a_sheet_that_is_no_option_by_item_is_refused(tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.json"
    sheet.write_text("[1]")

    code, output = run("ask", "customer:F000001", "--answers", str(sheet))

    assert code == 2
    assert "no JSON object of option by item" in output


def test_a_portfolio_is_told_with_its_reasons_limits_and_what_is_not_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_proposal(portfolio())

    told = " ".join(capsys.readouterr().out.split())
    assert "Portfolio for anna, risk parity, class C3: issued" in told
    assert "000002: It is calm." in told
    assert "7,000.00" in told
    assert "at its limit: FUND:000002, 70.00 %" in told
    assert "not shown, ABOVE_CLASS: 1 fund" in told


def test_a_portfolio_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "new" / "p.png"
    history = [
        pb.HistoryPoint(
            date=f"2015-01-{day:02d}",
            growth_millionths=1_000_000 + 1_000 * (day % 3),
            equal_weight_growth_millionths=1_000_000,
        )
        for day in range(1, 29)
    ]

    draw(pb.GetProposalResponse(proposal=portfolio(), history=history), file)

    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_model_card_is_read_as_sentences(tmp_path: Path) -> None:
    folder = tmp_path / "blend@1"
    folder.mkdir()
    card = {"purpose": "ranks", "limits": ["knows prices alone"], "weights": {"popularity": 1.0}}
    (folder / "card.json").write_text(json.dumps(card))

    code, output = run("card", "blend@1", "--artifacts", str(tmp_path))

    assert code == 0
    assert output == "purpose: ranks limits: - knows prices alone weights: popularity 1.0"
