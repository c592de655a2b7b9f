"""Stories of funds in the catalogue: terms, prices that are corrected and never overwritten."""

from dataclasses import replace
from datetime import date

import pytest

from libs.fund_arithmetic import FeeBand, FeeMethod, FundType, HoldingBand
from services.funds.domain.fund import (
    ApproveNavCorrection,
    ChangeStatus,
    Command,
    CorrectNav,
    DeclareDividend,
    Dividend,
    DividendDeclared,
    Event,
    Listed,
    Nav,
    NavCorrected,
    NavCorrectionApproved,
    NavCorrectionProposed,
    NavCorrectionRefused,
    NavPublished,
    ProposeNavCorrection,
    Publish,
    Published,
    PublishNav,
    Reason,
    RefuseNavCorrection,
    StatusChanged,
    fund,
)
from services.funds.domain.product import Dealing, FeeTable, FundStatus, RegisterModel
from services.funds.domain.two_operators import Reason as Decided
from tests.scenario import Scenario
from tests.services.funds.domain.stories import FUND

story = Scenario(fund)
LISTED = Published(FUND, 1, "olga")
DAY = date(2026, 3, 2)
NAV = Nav(DAY, 1_0025, 1_2025)
OTHER = replace(NAV, nav=1_0026)
PRICED: list[Event] = [LISTED, NavPublished(NAV, "07/1")]
PROPOSED = NavCorrectionProposed("p1", NAV, OTHER, "typing", "olga")
PROPOSE = ProposeNavCorrection("p1", OTHER, "typing", "olga")
APPROVED: list[Event] = [
    NavCorrectionApproved("p1", "petr"),
    NavCorrected(NAV, OTHER, "typing", "operator:olga"),
]
REFUSED = NavCorrectionRefused("p1", "petr", "the fund says no")
DIVIDEND = Dividend("d1", date(2026, 3, 9), date(2026, 3, 10), date(2026, 3, 12), 350)


def table(day: date, rate: int, **changes: object) -> FeeTable:
    plain = FeeTable(day, FeeMethod.OUTSIDE, (FeeBand(0, rate),))
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("history", "command", "events"),
    [
        ([], Publish(FUND, "olga"), [LISTED]),
        (
            [LISTED],
            Publish(replace(FUND, name="New"), "petr"),
            [Published(replace(FUND, name="New"), 2, "petr")],
        ),
        ([LISTED], PublishNav(NAV, "07/1"), [NavPublished(NAV, "07/1")]),
        (
            [LISTED, NavPublished(NAV, "07/1")],
            CorrectNav(OTHER, "typing", "07/2"),
            [NavCorrected(NAV, OTHER, "typing", "07/2")],
        ),
        (PRICED, PROPOSE, [PROPOSED]),
        ([*PRICED, PROPOSED], ApproveNavCorrection("p1", "petr"), APPROVED),
        (
            [*PRICED, PROPOSED],
            RefuseNavCorrection("p1", "petr", "the fund says no"),
            [REFUSED],
        ),
        (
            [LISTED],
            ChangeStatus("r1", FundStatus.CLOSED, "wound up"),
            [StatusChanged(FundStatus.CLOSED, "wound up", "r1")],
        ),
        ([LISTED], DeclareDividend(DIVIDEND, "06/1"), [DividendDeclared(DIVIDEND, "06/1")]),
    ],
)
def test_what_is_published_is_recorded_once(
    history: list[Event], command: Command, events: list[Event]
) -> None:
    story.given(history).when(command).then(events)


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([], PublishNav(NAV, "x"), Reason.UNKNOWN_FUND),
        ([], ChangeStatus("r1", FundStatus.OPEN, ""), Reason.UNKNOWN_FUND),
        ([], Publish(replace(FUND, fee_tables=()), "o"), Reason.FIELD_INVALID),
        ([], Publish(replace(FUND, dealing=Dealing((), "UTC")), "o"), Reason.FIELD_INVALID),
        ([], Publish(replace(FUND, gate=1_000_001), "o"), Reason.FIELD_INVALID),
        (
            [],
            Publish(replace(FUND, fee_tables=(table(DAY, 1_000_000),)), "o"),
            Reason.FIELD_INVALID,
        ),
        (
            [],
            Publish(replace(FUND, fee_tables=(table(DAY, 1), table(DAY, 2))), "o"),
            Reason.FIELD_INVALID,
        ),
        (
            [],
            Publish(
                replace(FUND, fee_tables=(table(DAY, 1, redemption=(HoldingBand(5, 1),)),)), "o"
            ),
            Reason.FIELD_INVALID,
        ),
        ([], Publish(replace(FUND, fee_tables=(table(DAY, 8_001),)), "o"), Reason.FEE_ABOVE_CAP),
        ([LISTED], Publish(replace(FUND, currency="USD"), "o"), Reason.FUND_TERMS_FIXED),
        (
            [LISTED],
            Publish(replace(FUND, register_model=RegisterModel.OMNIBUS), "o"),
            Reason.FUND_TERMS_FIXED,
        ),
        ([LISTED], PublishNav(replace(NAV, nav=0), "x"), Reason.NAV_NOT_POSITIVE),
        ([LISTED, NavPublished(NAV, "07/1")], PublishNav(OTHER, "07/2"), Reason.NAV_DIFFERS),
        ([LISTED], CorrectNav(OTHER, "", "x"), Reason.NAV_MISSING),
        ([LISTED], PROPOSE, Reason.NAV_MISSING),
        (PRICED, replace(PROPOSE, nav=NAV), Reason.FIELD_INVALID),
        (PRICED, replace(PROPOSE, nav=replace(NAV, nav=0)), Reason.NAV_NOT_POSITIVE),
        ([*PRICED, PROPOSED], replace(PROPOSE, cause="other"), Decided.PROPOSAL_DIFFERS),
        (PRICED, ApproveNavCorrection("p1", "petr"), Decided.PROPOSAL_NOT_FOUND),
        ([*PRICED, PROPOSED], ApproveNavCorrection("p1", "olga"), Decided.APPROVER_IS_MAKER),
        ([*PRICED, PROPOSED], RefuseNavCorrection("p1", "olga", ""), Decided.APPROVER_IS_MAKER),
        ([*PRICED, PROPOSED, REFUSED], ApproveNavCorrection("p1", "p"), Decided.PROPOSAL_DIFFERS),
        (
            [*PRICED, PROPOSED, *APPROVED],
            RefuseNavCorrection("p1", "petr", ""),
            Decided.PROPOSAL_DIFFERS,
        ),
        (
            [*PRICED, PROPOSED, NavCorrected(NAV, replace(NAV, nav=1), "theirs", "07/2")],
            ApproveNavCorrection("p1", "petr"),
            Reason.NAV_DIFFERS,
        ),
        (
            [LISTED],
            DeclareDividend(replace(DIVIDEND, per_share=0), "x"),
            Reason.FIELD_INVALID,
        ),
        (
            [LISTED],
            DeclareDividend(replace(DIVIDEND, ex_date=date(2026, 3, 8)), "x"),
            Reason.FIELD_INVALID,
        ),
        (
            [LISTED, DividendDeclared(DIVIDEND, "06/1")],
            DeclareDividend(replace(DIVIDEND, per_share=351), "06/2"),
            Reason.DIVIDEND_DIFFERS,
        ),
    ],
)
def test_what_cannot_be_published_is_refused(
    history: list[Event], command: Command, reason: Reason
) -> None:
    story.given(history).when(command).then_rejected(reason)


@pytest.mark.parametrize(
    ("type_", "rate", "is_above"),
    [
        (FundType.EQUITY, 8_000, False),
        (FundType.MIXED, 5_001, True),
        (FundType.INDEX, 3_001, True),
        (FundType.BOND, 3_000, False),
        (FundType.MONEY_MARKET, 9_000, False),
    ],
)
def test_fees_keep_to_the_caps_that_are_in_force_on_their_first_day(
    type_: FundType, rate: int, *, is_above: bool
) -> None:
    def publish(day: date) -> Publish:
        return Publish(replace(FUND, fund_type=type_, fee_tables=(table(day, rate),)), "olga")

    story.when(publish(date(2025, 12, 31))).then(
        [Published(publish(date(2025, 12, 31)).terms, 1, "olga")]
    )
    if is_above:
        story.when(publish(date(2026, 1, 1))).then_rejected(Reason.FEE_ABOVE_CAP)
    else:
        story.when(publish(date(2026, 1, 1))).then(
            [Published(publish(date(2026, 1, 1)).terms, 1, "olga")]
        )


def test_a_table_of_older_rules_stays_where_a_new_one_joins_it() -> None:
    older = replace(FUND, fee_tables=(table(date(2020, 1, 1), 15_000),))
    both = replace(older, fee_tables=(*older.fee_tables, table(date(2026, 1, 1), 8_000)))

    story.given([Published(older, 1, "o")]).when(Publish(both, "o")).then([Published(both, 2, "o")])
    assert both.fees_on(date(2025, 12, 31)).front[0].rate == 15_000
    assert both.fees_on(date(2026, 1, 1)).front[0].rate == 8_000
    assert both.fees_on(date(2019, 1, 1)).front[0].rate == 15_000


def test_prices_are_found_by_their_day_in_whatever_order_they_came() -> None:
    days = [date(2026, 3, day) for day in (4, 2, 5, 3)]
    history: list[Event] = [LISTED, *(NavPublished(Nav(day, day.day), "x") for day in days)]

    state = story.given(history).state

    assert isinstance(state, Listed)
    assert [nav.nav for nav in state.navs] == [2, 3, 4, 5]
    assert state.nav_on(date(2026, 3, 3)) == Nav(date(2026, 3, 3), 3)
    assert state.nav_on(date(2026, 3, 6)) is None
    assert state.latest_nav == Nav(date(2026, 3, 5), 5)


def test_a_correction_is_counted_and_the_price_before_it_is_kept_in_history() -> None:
    history: list[Event] = [LISTED, NavPublished(NAV, "a"), NavCorrected(NAV, OTHER, "typing", "b")]

    state = story.given(history).state

    assert isinstance(state, Listed)
    assert state.nav_on(DAY) == OTHER
    assert state.corrections == (DAY,)
