"""Stories of an investor: answers, class, review, consent, warnings, being forgotten."""

import pytest

from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain import investor as who
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain.investor import Reason, investor
from services.recommendations.domain.preferences import Preferences
from tests.scenario import Scenario
from tests.services.recommendations.domain.sheets import (
    DAY_US,
    NOW_US,
    REGISTERED,
    sheet,
    submitting,
)

STORY = Scenario(investor, [REGISTERED])
YEAR_US = 365 * DAY_US


def answered(found: InvestorClass = InvestorClass.C3, at_us: int = NOW_US) -> life.ClassAssigned:
    return life.ClassAssigned(found, (), at_us + YEAR_US, "2026-1", at_us)


def tried(request_id: str, at_us: int = NOW_US) -> life.Submitted:
    scores = life.Scores(0, 0, 0, *(3 * [InvestorClass.C3]))
    return life.Submitted(request_id, "2026-1", b"s", "d", scores, (), at_us)


def test_a_sheet_assigns_a_class_for_a_year() -> None:
    command = submitting(sheet())

    events = investor.decide(command, STORY.given().state)

    assert isinstance(events[0], life.Submitted)
    assert events[1] == life.ClassAssigned(InvestorClass.C5, (), NOW_US + YEAR_US, "2026-1", NOW_US)
    STORY.when(command).then(list(events))


def test_nobody_answers_before_being_registered() -> None:
    Scenario(investor).when(submitting(sheet())).then_rejected(Reason.INVESTOR_NOT_FOUND)


def test_a_partial_sheet_leaves_nothing() -> None:
    answers = sheet()
    del answers["reserve"]

    STORY.when(submitting(answers)).then_rejected(Reason.ANSWERS_INCOMPLETE, "answers.reserve")


def test_a_contradicting_sheet_is_asked_again() -> None:
    STORY.when(submitting(sheet(goal="keep"))).then_rejected(
        Reason.ANSWERS_CONTRADICT, "answers.goal"
    )


def test_a_third_try_in_a_day_is_refused_and_allowed_the_next_day() -> None:
    story = STORY.given([tried("r1"), answered(), tried("r2"), answered()])

    story.when(submitting(sheet(), "r3", NOW_US + 1)).then_rejected(Reason.RETAKE_LIMIT)
    decided = investor.decide(submitting(sheet(), "r3", NOW_US + DAY_US), story.state)

    assert len(decided) == 2


def test_an_id_is_used_for_one_sheet() -> None:
    events = investor.decide(submitting(sheet()), STORY.given().state)

    STORY.given(events).when(submitting(sheet(years="none"))).then_rejected(
        Reason.IDEMPOTENCY_KEY_REUSED, "request_id"
    )


def test_an_unknown_version_is_refused() -> None:
    command = who.Submit("r", "1999-1", sheet(), b"", "d", (), NOW_US)

    STORY.when(command).then_rejected(Reason.QUESTIONNAIRE_UNKNOWN, "version")


def test_the_class_ends_after_a_year_and_not_before() -> None:
    story = STORY.given([tried("r1"), answered()])
    early = who.EndClass(life.REVIEW_DUE, NOW_US + YEAR_US - 1)
    due = who.EndClass(life.REVIEW_DUE, NOW_US + YEAR_US)

    story.when(early).then_nothing()
    after = story.when(due).then([life.ClassExpired(life.REVIEW_DUE, NOW_US + YEAR_US)])

    assert isinstance(after, life.Investor)
    assert life.class_at(after, NOW_US) is None


def test_the_class_is_over_by_the_clock_even_before_anybody_looks() -> None:
    state = STORY.given([tried("r1"), answered()]).state
    assert isinstance(state, life.Investor)

    assert life.class_at(state, NOW_US + YEAR_US - 1) is InvestorClass.C3
    assert life.class_at(state, NOW_US + YEAR_US) is None


def test_a_reported_change_ends_the_class_at_once() -> None:
    story = STORY.given([tried("r1"), answered()])

    story.when(who.EndClass(life.CHANGE_REPORTED, NOW_US)).then(
        [life.ClassExpired(life.CHANGE_REPORTED, NOW_US)]
    )


def test_a_professional_keeps_the_answered_class_underneath() -> None:
    recognised = life.ProfessionalRecognised("p", "file 7", "olga", NOW_US + YEAR_US, NOW_US)
    story = STORY.given([tried("r1"), answered(), recognised])
    assert isinstance(story.state, life.Investor)
    assert life.class_at(story.state, NOW_US) is InvestorClass.PROFESSIONAL

    after = story.when(who.WithdrawProfessional("w", NOW_US)).then(
        [life.ProfessionalWithdrawn("w", NOW_US)]
    )

    assert isinstance(after, life.Investor)
    assert life.class_at(after, NOW_US) is InvestorClass.C3


def test_a_warning_is_read_before_it_is_confirmed() -> None:
    story = STORY.given([tried("r1"), answered()])
    show = who.ShowWarning("w1", "000006", RiskLevel.R4, NOW_US)
    confirm = who.AcknowledgeWarning("w2", "000006", RiskLevel.R4, NOW_US)

    story.when(confirm).then_rejected(Reason.WARNING_NOT_SHOWN)
    shown = life.WarningShown("w1", "000006", RiskLevel.R4, InvestorClass.C3, NOW_US)
    story.when(show).then([shown])

    STORY.given([tried("r1"), answered(), shown]).when(confirm).then(
        [life.WarningAcknowledged("w2", "000006", RiskLevel.R4, InvestorClass.C3, NOW_US)]
    )


@pytest.mark.parametrize(
    ("found", "level", "reason"),
    [
        (InvestorClass.C1_MINIMUM, RiskLevel.R2, Reason.CLASS_MAY_NEVER_BUY),
        (InvestorClass.C3, RiskLevel.R3, Reason.WARNING_NOT_NEEDED),
    ],
)
def test_some_warnings_are_never_given(
    found: InvestorClass, level: RiskLevel, reason: Reason
) -> None:
    story = STORY.given([tried("r1"), answered(found)])

    story.when(who.ShowWarning("w1", "000006", level, NOW_US)).then_rejected(reason)


def test_consent_is_given_and_withdrawn_once() -> None:
    given = life.ConsentGiven("c1", life.ADVICE, NOW_US)
    STORY.when(who.SetConsent("c1", is_given=True, now_us=NOW_US)).then([given])
    STORY.given([given]).when(who.SetConsent("c2", is_given=True, now_us=NOW_US)).then_nothing()
    STORY.given([given]).when(who.SetConsent("c3", is_given=False, now_us=NOW_US)).then(
        [life.ConsentWithdrawn("c3", life.ADVICE, NOW_US)]
    )


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Preferences(horizon_months=0), "preferences.horizon_months"),
        (Preferences(currency="yuan"), "preferences.currency"),
        (Preferences(goal="RICHES"), "preferences.goal"),
        (Preferences(target_minor=-1), "preferences.target_minor"),
        (
            Preferences(needed_within_year=6_000, needed_within_three_years=5_000),
            "preferences.needed_within_year",
        ),
        (
            Preferences(wanted_themes=("x",), excluded_themes=("x",)),
            "preferences.wanted_themes",
        ),
    ],
)
def test_preferences_that_make_no_sense_are_refused_by_field(
    wanted: Preferences, field: str
) -> None:
    STORY.when(who.SetPreferences("p", wanted, NOW_US)).then_rejected(
        Reason.PREFERENCES_INVALID, field
    )


def test_who_is_forgotten_answers_nothing_more() -> None:
    forgotten = life.Forgotten("f", NOW_US)
    story = STORY.given([tried("r1"), answered(), forgotten])

    story.when(who.Forget("f2", NOW_US)).then_nothing()
    story.when(submitting(sheet(), "r9")).then_rejected(Reason.INVESTOR_FORGOTTEN)
    assert isinstance(story.state, life.Investor)
    assert not story.state.has_consent
