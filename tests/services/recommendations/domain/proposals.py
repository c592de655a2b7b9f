"""A recommendation with every field filled, for stories and stored bytes."""

from libs.money import Money
from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain.proposal import (
    AcceptedItem,
    Bound,
    Candidate,
    Expected,
    Issued,
    Item,
    Positions,
    Purpose,
    Reasoned,
    Snapshot,
)
from tests.services.recommendations.domain.sheets import DAY_US, NOW_US

ID = "019a9000-0000-7000-8000-000000000001"
REASONED = Reasoned("FITS_RISK_BAND", (("class", "C3"), ("level", "R2")))
BOND = Item("000002", "Bond", RiskLevel.R2, 6_000, 60_000, 5, 990_000, 400_000, 3, (REASONED,), 100)
MIXED = Item("000004", "Mixed", RiskLevel.R3, 4_000, 40_000, 4, 990_000, 600_000, 9, (REASONED,))
ISSUED = Issued(
    proposal_id=ID,
    investor_id="anna",
    purpose=Purpose.PORTFOLIO,
    as_of_us=NOW_US,
    positions=Positions(300, 200, 100),
    candidates=(Candidate("000002", 5, (("popularity", 7), ("co_purchase", 8))),),
    refused=(("ABOVE_CLASS", ("000006", "000007")),),
    items=(BOND, MIXED),
    strategy="risk_parity",
    strategy_version="risk_parity",
    constraint_set="2026-1",
    fallbacks=("THEME",),
    feature_hash="ab" * 32,
    features=(("amounts_faded", 5_000_000), ("plans", 0)),
    suitability=Snapshot(InvestorClass.C3, RiskLevel.R3, "2026-1", NOW_US + DAY_US, 4),
    seed=42,
    valid_until_us=NOW_US + DAY_US,
    amount=Money("CNY", 100_000),
    binding=(Bound("FUND:000002", 300_000, 17),),
    expected=Expected(50_000, 80_000, 90_000, 1_000, 100_000, 120_000, 2_400_000),
    runner_up=("000009", Reasoned("FUNDS_MAX", (("funds_max", "8"),))),
    item_hash="cd" * 32,
    terms_digest="ef" * 32,
    caller="wallet",
    history_days=300,
    filled_funds=("000008",),
)
ORDERS = {"000002": "o-bond", "000004": "o-mixed"}
ACCEPTED_ITEMS = (
    AcceptedItem("000002", 60_000, "o-bond"),
    AcceptedItem("000004", 40_000, "o-mixed"),
)
