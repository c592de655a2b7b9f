"""Stories of regular plans: due dates, instalments once each, skips and suspensions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import pytest

from libs.ids import is_uuid7
from libs.money import Money
from libs.suitability import InvestorClass, RiskLevel
from libs.trading_calendar import Calendar, CalendarUnknown, load_calendar
from services.funds.domain import fund as funds
from services.funds.domain import order_placing
from services.funds.domain.investor import Investor
from services.funds.domain.plan import (
    Begun,
    Change,
    Changed,
    Command,
    Create,
    Created,
    Due,
    Event,
    Frequency,
    InstallmentIssued,
    InstallmentPlaced,
    InstallmentSkipped,
    Issue,
    PlaceInstallment,
    Reason,
    RecordFailed,
    RecordPlaced,
    Resume,
    Resumed,
    Setting,
    Stage,
    Stop,
    Stopped,
    Suspend,
    Suspended,
    Terms,
    next_due,
    next_step,
    order_id_of,
    order_of,
    plan,
)
from services.funds.domain.product import FundStatus
from tests.scenario import Scenario
from tests.services.funds.domain.stories import (
    CALLER,
    FUND,
    INVESTOR,
    INVESTOR_ID,
    ORDER_ID,
    PLACE_US,
    PROFILE,
    REQUEST_ID,
    TODAY,
    WALLET,
    listed,
)

story = Scenario(plan)
PLAN_ID = ORDER_ID
TERMS = Terms(
    INVESTOR_ID, WALLET, "000001", Money("CNY", 500_00), Frequency.MONTH, 31, date(2025, 11, 1)
)
WITHIN = Setting(listed(), INVESTOR, TODAY)
CREATE = Create(PLAN_ID, TERMS, CALLER, PLACE_US, WITHIN)
CREATED = Created(PLAN_ID, TERMS, CALLER, PLACE_US)
D1, D2, D3, D4 = (date(2025, 11, 30), date(2025, 12, 31), date(2026, 1, 31), date(2026, 2, 28))


@pytest.fixture(scope="module")
def xshg() -> Calendar:
    return load_calendar("XSHG")


def dues(terms: Terms, calendar: Calendar, count: int) -> Sequence[tuple[str, str]]:
    found, after = [], None
    for _ in range(count):
        due = next_due(terms, after, [calendar])
        if due is None:
            break
        found.append((due.due_date.isoformat(), due.session.isoformat()))
        after = due.due_date
    return found


def test_month_days_clamp_to_the_end_and_move_to_the_next_session(xshg: Calendar) -> None:
    assert dues(TERMS, xshg, 4) == [
        ("2025-11-30", "2025-12-01"),
        ("2025-12-31", "2025-12-31"),
        ("2026-01-31", "2026-02-02"),
        ("2026-02-28", "2026-03-02"),
    ]


def test_a_plan_that_begins_after_this_months_day_waits_for_the_next(xshg: Calendar) -> None:
    late = replace(TERMS, send_day=5, begin_date=date(2025, 12, 6))

    assert dues(late, xshg, 1) == [("2026-01-05", "2026-01-05")]


def test_weeks_and_fortnights_keep_their_weekday(xshg: Calendar) -> None:
    weekly = replace(TERMS, frequency=Frequency.WEEK, send_day=3, begin_date=date(2025, 9, 25))
    fortnightly = replace(weekly, frequency=Frequency.BIWEEK)

    # 1 October begins a holiday that ends after the 8th.
    assert dues(weekly, xshg, 3) == [
        ("2025-10-01", "2025-10-09"),
        ("2025-10-08", "2025-10-09"),
        ("2025-10-15", "2025-10-15"),
    ]
    assert [day for day, _ in dues(fortnightly, xshg, 3)] == [
        "2025-10-01",
        "2025-10-15",
        "2025-10-29",
    ]


def test_a_daily_plan_has_one_instalment_a_session(xshg: Calendar) -> None:
    daily = replace(TERMS, frequency=Frequency.DAY, send_day=0, begin_date=date(2025, 9, 29))

    assert [session for _, session in dues(daily, xshg, 3)] == [
        "2025-09-29",
        "2025-09-30",
        "2025-10-09",
    ]


def test_a_plan_ends_and_never_guesses_past_the_calendar(xshg: Calendar) -> None:
    ending = replace(TERMS, end_date=date(2025, 12, 31))

    assert len(dues(ending, xshg, 9)) == 2
    with pytest.raises(CalendarUnknown):
        next_due(TERMS, date(2026, 12, 31), [xshg])


ISSUED = InstallmentIssued(D1, order_id_of(PLAN_ID, D1))
DUE = Due(D1, date(2025, 12, 1))


def skipped(*days: date, reason: str = "BALANCE_TOO_LOW") -> list[Event]:
    return [
        event
        for day in days
        for event in (
            InstallmentIssued(day, order_id_of(PLAN_ID, day)),
            InstallmentSkipped(day, reason),
        )
    ]


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], CREATE, [CREATED]),
        ([CREATED], Issue(DUE, date(2025, 12, 1)), [ISSUED]),
        ([CREATED, ISSUED], RecordPlaced(D1), [InstallmentPlaced(D1)]),
        (
            [CREATED, ISSUED],
            RecordFailed(D1, "BALANCE_TOO_LOW"),
            [InstallmentSkipped(D1, "BALANCE_TOO_LOW")],
        ),
        (
            [CREATED, ISSUED],
            RecordFailed(D1, "SUITABILITY_NOT_OWN_INITIATIVE"),
            [
                InstallmentSkipped(D1, "SUITABILITY_NOT_OWN_INITIATIVE"),
                Suspended("SUITABILITY_NOT_OWN_INITIATIVE"),
            ],
        ),
        (
            [CREATED, *skipped(D1, D2), InstallmentIssued(D3, order_id_of(PLAN_ID, D3))],
            RecordFailed(D3, "BALANCE_TOO_LOW"),
            [InstallmentSkipped(D3, "BALANCE_TOO_LOW"), Suspended("TOO_MANY_FAILURES")],
        ),
        (
            [CREATED],
            Change(REQUEST_ID, replace(TERMS, send_day=5), CALLER, WITHIN),
            [Changed(replace(TERMS, send_day=5), REQUEST_ID)],
        ),
        ([CREATED], Suspend(REQUEST_ID, CALLER, "holiday"), [Suspended("holiday", REQUEST_ID)]),
        (
            [CREATED, Suspended("TOO_MANY_FAILURES")],
            Resume(REQUEST_ID, CALLER, TODAY),
            [Resumed(REQUEST_ID, TODAY)],
        ),
        ([CREATED], Stop(REQUEST_ID, CALLER), [Stopped(REQUEST_ID)]),
    ],
)
def test_what_happens_to_a_plan_is_recorded_once(
    history: list[Event], command: Command, events: list[Event]
) -> None:
    story.given(history).when(command).then(events)


def plain(**changes: object) -> Create:
    return replace(CREATE, terms=replace(TERMS, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([], replace(CREATE, plan_id="x"), Reason.ID_MALFORMED),
        ([], plain(amount=Money("CNY", 0)), Reason.AMOUNT_NOT_POSITIVE),
        ([], plain(send_day=0), Reason.PLAN_SCHEDULE_INVALID),
        ([], plain(send_day=32), Reason.PLAN_SCHEDULE_INVALID),
        ([], plain(frequency=Frequency.WEEK, send_day=8), Reason.PLAN_SCHEDULE_INVALID),
        ([], plain(frequency=Frequency.DAY), Reason.PLAN_SCHEDULE_INVALID),
        ([], plain(end_date=date(2025, 10, 31)), Reason.PLAN_SCHEDULE_INVALID),
        ([], plain(max_fail=0), Reason.PLAN_SCHEDULE_INVALID),
        ([], replace(CREATE, setting=replace(WITHIN, fund=funds.Absent())), Reason.UNKNOWN_FUND),
        ([], plain(amount=Money("USD", 500_00)), Reason.CURRENCY_DIFFERS),
        (
            [],
            replace(CREATE, setting=replace(WITHIN, fund=listed(status=FundStatus.CLOSED))),
            Reason.FUND_CLOSED,
        ),
        ([], plain(amount=Money("CNY", 99)), Reason.BELOW_MINIMUM),
        (
            [],
            replace(CREATE, setting=replace(WITHIN, investor=Investor())),
            order_placing.Reason.INVESTOR_NOT_IDENTIFIED,
        ),
        (
            [],
            replace(
                CREATE,
                setting=replace(WITHIN, fund=listed(replace(FUND, risk_level=RiskLevel.R4))),
            ),
            order_placing.Reason.SUITABILITY_NOT_OWN_INITIATIVE,
        ),
        (
            [],
            replace(
                CREATE,
                setting=replace(
                    WITHIN,
                    investor=Investor(replace(PROFILE, investor_class=InvestorClass.C1_MINIMUM)),
                ),
            ),
            order_placing.Reason.SUITABILITY_NEVER,
        ),
        ([CREATED], plain(send_day=5), Reason.IDEMPOTENCY_KEY_REUSED),
        ([CREATED], replace(CREATE, caller="somebody"), Reason.IDEMPOTENCY_KEY_REUSED),
        ([], Stop(REQUEST_ID, CALLER), Reason.PLAN_NOT_FOUND),
        ([CREATED], Stop(REQUEST_ID, "somebody"), Reason.PLAN_NOT_FOUND),
        ([CREATED], Stop("x", CALLER), Reason.ID_MALFORMED),
        ([CREATED, Stopped("r")], Resume(REQUEST_ID, CALLER, TODAY), Reason.PLAN_STATE),
        (
            [CREATED],
            Change(REQUEST_ID, replace(TERMS, fund_code="000002"), CALLER, WITHIN),
            Reason.PLAN_STATE,
        ),
        ([CREATED], Issue(DUE, date(2025, 11, 30)), Reason.INSTALLMENT_NOT_DUE),
        ([CREATED, Suspended("x")], Issue(DUE, date(2025, 12, 1)), Reason.PLAN_STATE),
        ([CREATED, Stopped("r")], Issue(DUE, date(2025, 12, 1)), Reason.PLAN_STATE),
    ],
)
def test_what_a_plan_cannot_be_is_refused(
    history: list[Event], command: Command, reason: Reason | order_placing.Reason
) -> None:
    story.given(history).when(command).then_rejected(reason)


def test_a_due_date_is_one_order_for_ever() -> None:
    order_id = order_id_of(PLAN_ID, D1)

    assert is_uuid7(order_id)
    assert order_id == order_id_of(PLAN_ID, D1) != order_id_of(PLAN_ID, D2)
    asked = order_of(TERMS, PLAN_ID, D1)
    assert (asked.plan_id, asked.plan_due_date) == (PLAN_ID, D1)
    story.given([CREATED, ISSUED, InstallmentPlaced(D1)]).when(
        Issue(DUE, date(2025, 12, 1))
    ).then_nothing()


def test_an_instalment_is_placed_until_its_outcome_is_known() -> None:
    assert next_step(story.given([CREATED]).state) is None
    issued = story.given([CREATED, ISSUED]).state
    assert next_step(issued) == PlaceInstallment(D1, ISSUED.order_id)
    assert next_step(story.given([CREATED, ISSUED, InstallmentPlaced(D1)]).state) is None


def test_failures_in_a_row_begin_anew_after_a_success() -> None:
    bought: list[Event] = [InstallmentIssued(D3, order_id_of(PLAN_ID, D3)), InstallmentPlaced(D3)]
    last = InstallmentIssued(D4, order_id_of(PLAN_ID, D4))

    story.given([CREATED, *skipped(D1, D2), *bought, last]).when(
        RecordFailed(D4, "BALANCE_TOO_LOW")
    ).then([InstallmentSkipped(D4, "BALANCE_TOO_LOW")])


def test_what_fell_due_while_suspended_is_not_made_up_for(xshg: Calendar) -> None:
    state = story.given([CREATED, Suspended("x"), Resumed(REQUEST_ID, date(2026, 1, 10))]).state

    assert isinstance(state, Begun)
    assert state.stage is Stage.ACTIVE
    due = next_due(state.terms, state.done_until, [xshg])
    assert due is not None
    assert due.due_date == D3
