"""Answer sheets, investors and commands for stories."""

from collections.abc import Mapping

from libs.suitability import InvestorClass
from services.recommendations.domain import investor as who
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain.questionnaire_2026 import QUESTIONNAIRE

NOW_US = 1_795_168_800_000_000
DAY_US = 86_400_000_000


def highest() -> dict[str, str]:
    """The option with most points of every item, and nothing that contradicts."""
    found = {i.key: max(i.options, key=lambda o: o.points).key for i in QUESTIONNAIRE.items}
    return found | {"legal_capacity": "full", "horizon": "over_5", "goal": "growth"}


def sheet(**changed: str) -> dict[str, str]:
    return highest() | changed


def submitting(
    answers: Mapping[str, str], request_id: str = "r1", now_us: int = NOW_US
) -> who.Submit:
    digest = str(sorted(answers.items()))
    return who.Submit(request_id, "2026-1", answers, b"sealed", digest, (), now_us)


REGISTERED = life.Registered("anna", ("a1",), "wallet", NOW_US)


def known(found: InvestorClass, **more: object) -> life.Investor:
    """An investor of a class with consent, as stored."""
    profile = life.Profile(found, (), NOW_US + 365 * DAY_US, "2026-1")
    base = life.Investor("anna", (), "wallet", profile=profile, has_consent=True)
    for name, value in more.items():
        object.__setattr__(base, name, value)
    return base
