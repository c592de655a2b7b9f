"""What came of advice that was followed, by its own weights and by equal ones."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from libs.decider import Rejected
from libs.suitability import RiskLevel
from services.recommendations.domain import proposal as what
from services.recommendations.domain.outcome import GRACE_DAYS, Series, outcome
from tests.services.recommendations.domain.proposals import ISSUED
from tests.services.recommendations.domain.sheets import DAY_US, NOW_US

DAY = NOW_US // DAY_US
BOND = what.Item("000002", "Bond", RiskLevel.R2, weight=7_500, amount_minor=75_000)
MIXED = what.Item("000004", "Mixed", RiskLevel.R3, weight=2_500, amount_minor=25_000)
ADVISED = replace(ISSUED, as_of_us=NOW_US, items=(BOND, MIXED))
TAKEN = tuple(what.AcceptedItem(i.fund_code, i.amount_minor, i.fund_code) for i in (BOND, MIXED))
FOLLOWED = what.Proposal(
    ADVISED, what.Status.ACCEPTED, accepted=what.Accepted("r", TAKEN, "a", NOW_US)
)


def prices(until: int, bond: float = 1.02, mixed: float = 1.10) -> dict[str, Series]:
    """Unmoved before the advice, then at their new value on the last day told."""
    return {
        "000002": Series([DAY - 5, DAY, until], [4.0, 4.0, 4.0 * bond]),
        "000004": Series([DAY - 5, DAY, until], [2.0, 2.0, 2.0 * mixed]),
    }


def test_a_followed_portfolio_is_measured_by_its_weights_beside_equal_ones() -> None:
    found = outcome(FOLLOWED, prices(DAY + 30), DAY + 30, NOW_US + 30 * DAY_US)

    assert found == what.OutcomeMeasured(NOW_US + 30 * DAY_US, 30, 40_000, 60_000)


def test_the_spans_follow_one_another_and_end() -> None:
    measured = FOLLOWED
    for days in (30, 90, 180):
        found = outcome(measured, prices(DAY + days), DAY + days, 0)
        assert found is not None
        assert found.days == days
        measured = what.proposal.fold(measured, [found])  # type: ignore[assignment]

    assert outcome(measured, prices(DAY + 999), DAY + 999, 0) is None


def test_nothing_is_measured_before_its_span_is_over_and_prices_are_there() -> None:
    assert outcome(FOLLOWED, prices(DAY + 29), DAY + 29, 0) is None
    assert outcome(FOLLOWED, prices(DAY + 29), DAY + 30, 0) is None
    assert outcome(FOLLOWED, {}, DAY + 30, 0) is None


def test_what_comes_after_the_span_does_not_count() -> None:
    late = prices(DAY + 31, bond=9.0, mixed=9.0)

    assert outcome(FOLLOWED, late, DAY + 31, 7) == what.OutcomeMeasured(7, 30, 0, 0)


def test_a_fund_that_has_no_price_any_more_stands_at_its_last_one() -> None:
    only = {"000004": prices(DAY + 30)["000004"]}

    assert outcome(FOLLOWED, only, DAY + 29 + GRACE_DAYS, 0) is None
    found = outcome(FOLLOWED, only, DAY + 30 + GRACE_DAYS, 0)
    assert found is not None
    assert (found.return_millionths, found.equal_weight_return_millionths) == (25_000, 50_000)


def test_a_list_counts_by_what_was_bought_of_it() -> None:
    items = tuple(replace(item, weight=0, amount_minor=0) for item in ADVISED.items)
    bought = replace(FOLLOWED.accepted, items=TAKEN[1:])  # type: ignore[type-var]
    listed = replace(FOLLOWED, issued=replace(ADVISED, items=items), accepted=bought)

    found = outcome(listed, prices(DAY + 30), DAY + 30, 0)

    assert found is not None
    assert (found.return_millionths, found.equal_weight_return_millionths) == (100_000, 60_000)


def test_a_span_runs_from_the_business_date_where_the_clock_is_simulated() -> None:
    years_ago = DAY - 4_000
    date_then = (date(1970, 1, 1) + timedelta(days=years_ago)).isoformat()
    played = replace(FOLLOWED, issued=replace(ADVISED, as_of_date=date_then))
    told = {
        code: Series([day - 4_000 for day in series.days], series.values)
        for code, series in prices(DAY + 30).items()
    }

    assert outcome(played, told, years_ago + 29, NOW_US) is None
    found = outcome(played, told, years_ago + 30, NOW_US)

    assert found == what.OutcomeMeasured(NOW_US, 30, 40_000, 60_000)


def test_an_outcome_is_recorded_once_and_only_of_what_was_followed() -> None:
    measured = what.OutcomeMeasured(NOW_US, 30, 1, 2)
    command = what.MeasureOutcome(measured)

    (event,) = what.proposal.decide(command, FOLLOWED)
    again = what.proposal.decide(command, what.proposal.fold(FOLLOWED, [event]))
    with pytest.raises(Rejected) as caught:
        what.proposal.decide(command, what.Proposal(ADVISED))

    assert event == measured
    assert again == []
    assert caught.value.reason is what.Reason.PROPOSAL_STATE
