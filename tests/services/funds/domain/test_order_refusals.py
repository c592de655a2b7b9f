"""What is refused of fund orders, and in which order: nothing is ever recorded of it."""

from dataclasses import replace
from datetime import date

import pytest

from libs.money import MINOR_MAX, Money
from libs.suitability import InvestorClass, RiskLevel
from services.funds.domain import fund as funds
from services.funds.domain.holding import FreezeShares, ReserveFast, ReservePurchase, holding
from services.funds.domain.investor import Investor, SecondConfirmed, WarningAcknowledged
from services.funds.domain.order import Amend, Cancel, Command, Confirm, Record, order
from services.funds.domain.order_lifecycle import (
    Batched,
    Cancelled,
    Confirmed,
    Event,
    PartBooked,
    PartCovered,
    Placed,
    Priced,
    Refused,
)
from services.funds.domain.order_placing import Reason, Setting
from services.funds.domain.order_terms import (
    FastRedemption,
    Kind,
    Redemption,
    Subscription,
    Switching,
    Terms,
)
from services.funds.domain.product import FundStatus, Limits, RegisterModel
from tests.scenario import Scenario
from tests.services.funds.domain.stories import (
    ABROAD,
    BATCHED,
    BUY,
    CALLER,
    CROSS,
    CUT_OFF_US,
    DIVIDEND,
    FAST,
    FUND,
    MODE,
    MONEY,
    NAV,
    NEXT_T,
    ORDER_ID,
    PLACE_US,
    PROFILE,
    REQUEST_ID,
    SELL,
    SWITCH,
    TARGET,
    TODAY,
    T,
    accepted,
    held,
    listed,
    place,
    placed,
    row,
    sent,
    setting,
    terms,
)

story = Scenario(order)
UNKNOWN = funds.Absent()


def of_class(class_: InvestorClass) -> Investor:
    return Investor(replace(PROFILE, investor_class=class_))


def fund(status: FundStatus = FundStatus.OPEN, **changes: object) -> funds.Listed:
    return listed(replace(FUND, **changes), status)  # type: ignore[arg-type]


def limited(**limits: object) -> funds.Listed:
    return fund(limits=Limits(**limits))  # type: ignore[arg-type]


def bought(minor: int) -> Subscription:
    return Subscription("000001", Money("CNY", minor))


def sold(shares: int) -> Redemption:
    return Redemption("000001", shares)


FROZEN = held()
FROZEN = holding.fold(FROZEN, list(holding.decide(FreezeShares("other", 1_500_00, TODAY), FROZEN)))
BUSY = held()
BUSY = holding.fold(
    BUSY, list(holding.decide(ReservePurchase("other", T, 15_000_00, 20_000_00), BUSY))
)
FAST_USED = held(20_000_00)
FAST_USED = holding.fold(
    FAST_USED,
    list(holding.decide(ReserveFast("other", 6_000_00, 6_000_00, TODAY, 10_000_00), FAST_USED)),
)


RICH, USED = setting(listed(MONEY), held(20_000_00)), setting(listed(MONEY), FAST_USED)


@pytest.mark.parametrize(
    ("kind", "within", "reason"),
    [
        # The request by itself.
        (bought(0), setting(UNKNOWN), Reason.AMOUNT_NOT_POSITIVE),
        (bought(MINOR_MAX + 1), setting(UNKNOWN), Reason.AMOUNT_OUT_OF_RANGE),
        (sold(0), setting(UNKNOWN), Reason.SHARES_NOT_POSITIVE),
        (sold(MINOR_MAX + 1), setting(UNKNOWN), Reason.AMOUNT_OUT_OF_RANGE),
        (Switching("000001", "000001", 5), setting(UNKNOWN), Reason.SWITCH_NOT_ALLOWED),
        (DIVIDEND, setting(UNKNOWN), Reason.FIELD_NOT_ALLOWED),
        # The fund.
        (BUY, setting(UNKNOWN), Reason.UNKNOWN_FUND),
        (
            Subscription("000001", Money("USD", 1)),
            setting(fund(FundStatus.CLOSED)),
            Reason.CURRENCY_DIFFERS,
        ),
        (BUY, setting(fund(FundStatus.CLOSED)), Reason.FUND_CLOSED),
        (SELL, setting(fund(FundStatus.CLOSED)), Reason.FUND_CLOSED),
        (SELL, setting(fund(FundStatus.RAISING)), Reason.FUND_CLOSED),
        (MODE, setting(fund(FundStatus.CLOSED)), Reason.FUND_CLOSED),
        (BUY, setting(fund(FundStatus.PAUSED_IN)), Reason.SUBSCRIPTION_SUSPENDED),
        (SELL, setting(fund(FundStatus.PAUSED_OUT)), Reason.REDEMPTION_SUSPENDED),
        (SWITCH, setting(fund(FundStatus.PAUSED_OUT)), Reason.REDEMPTION_SUSPENDED),
        (SWITCH, setting(target=UNKNOWN), Reason.UNKNOWN_FUND),
        (
            SWITCH,
            setting(target=listed(replace(ABROAD, currency="USD"))),
            Reason.SWITCH_NOT_ALLOWED,
        ),
        (CROSS, setting(), Reason.SWITCH_NOT_ALLOWED),
        (CROSS, setting(target=UNKNOWN), Reason.UNKNOWN_FUND),
        (
            SWITCH,
            setting(target=listed(ABROAD, FundStatus.PAUSED_IN)),
            Reason.SUBSCRIPTION_SUSPENDED,
        ),
        (replace(CROSS, target_code="000001"), setting(), Reason.SWITCH_NOT_ALLOWED),
        (
            MODE,
            setting(listed(replace(FUND, register_model=RegisterModel.OMNIBUS))),
            Reason.MODE_IS_NOMINEES,
        ),
        (
            SWITCH,
            setting(target=listed(replace(TARGET, is_switch_allowed=False))),
            Reason.SWITCH_NOT_ALLOWED,
        ),
        (
            SWITCH,
            setting(target=listed(TARGET, FundStatus.PAUSED_IN)),
            Reason.SUBSCRIPTION_SUSPENDED,
        ),
        (SWITCH, setting(target=listed(TARGET, FundStatus.CLOSED)), Reason.FUND_CLOSED),
        (FAST, setting(listed(replace(MONEY, advancing_bank_id=""))), Reason.FAST_NOT_OFFERED),
        (FastRedemption("000001", 5), setting(), Reason.FAST_NOT_OFFERED),
        # The days.
        (BUY, setting(investor=Investor(), trade_date=None), Reason.CALENDAR_UNKNOWN),
        (SELL, setting(trade_date=None), Reason.CALENDAR_UNKNOWN),
        # The investor.
        (
            BUY,
            setting(limited(first_minor=MINOR_MAX), investor=Investor()),
            Reason.INVESTOR_NOT_IDENTIFIED,
        ),
        (
            BUY,
            setting(investor=Investor(replace(PROFILE, valid_until=date(2025, 10, 21)))),
            Reason.SUITABILITY_PROFILE_EXPIRED,
        ),
        (BUY, setting(investor=of_class(InvestorClass.C1_MINIMUM)), Reason.SUITABILITY_NEVER),
        (SWITCH, setting(investor=of_class(InvestorClass.C1_MINIMUM)), Reason.SUITABILITY_NEVER),
        (BUY, setting(investor=of_class(InvestorClass.C2)), Reason.SUITABILITY_WARNING_NEEDED),
        (BUY, setting(fund(asks_second_confirmation=True)), Reason.SECOND_CONFIRMATION_NEEDED),
        # Amounts and shares.
        (bought(99), setting(), Reason.BELOW_MINIMUM),
        (bought(100), setting(), None),
        (BUY, setting(limited(daily_minor=9_999_99)), Reason.ABOVE_MAXIMUM),
        (BUY, setting(limited(daily_minor=20_000_00), BUSY), Reason.ABOVE_MAXIMUM),
        (BUY, setting(limited(holding_shares=11_975_05)), Reason.HOLDING_CAP),
        (BUY, setting(limited(holding_shares=11_975_06)), None),
        (sold(9_99), setting(), Reason.BELOW_MINIMUM_REDEMPTION),
        (sold(2_000_01), setting(), Reason.SHARES_NOT_FREE),
        (sold(500_01), setting(holding_=FROZEN), Reason.SHARES_NOT_FREE),
        (sold(100_00), setting(limited(lock_days=365)), Reason.LOCKED_IN),
        (sold(1_950_01), setting(), Reason.REMAINDER_TOO_SMALL),
        (sold(1_950_00), setting(), None),
        (
            FastRedemption("000003", 10_000_01),
            RICH,
            Reason.FAST_LIMIT,
        ),
        (FastRedemption("000003", 4_000_01), USED, Reason.FAST_LIMIT),
        (FastRedemption("000003", 4_000_00), USED, None),
        # Selling is never refused for suitability.
        (SELL, setting(investor=Investor()), None),
        (SELL, setting(investor=of_class(InvestorClass.C1_MINIMUM)), None),
    ],
)
def test_placing_is_refused_for_the_first_reason_there_is(
    kind: Kind, within: Setting, reason: Reason | None
) -> None:
    when = story.when(place(terms(kind), within))

    if reason is None:
        when.then(placed(kind, within))
    else:
        when.then_rejected(reason)


def test_a_first_purchase_has_a_minimum_of_its_own() -> None:
    empty = holding.initial

    story.when(place(terms(bought(999)), setting(holding_=empty))).then_rejected(
        Reason.BELOW_MINIMUM, "terms.kind.amount.minor_units"
    )
    story.when(place(terms(bought(999)), setting())).then(placed(bought(999)))


def test_a_small_remainder_goes_too_where_the_fund_takes_it() -> None:
    takes = limited(remaining_shares=50_00, sells_remainder=True)

    begun, _ = placed(sold(1_990_00), setting(takes))

    assert getattr(begun, "shares", 0) == 2_000_00
    # What is frozen for another order cannot go with it.
    takes = limited(remaining_shares=1_600_00, sells_remainder=True)
    story.when(place(terms(sold(480_00)), setting(takes, FROZEN))).then_rejected(
        Reason.REMAINDER_TOO_SMALL
    )


WARNING = WarningAcknowledged("w1", "000001", InvestorClass.C2, RiskLevel.R3, "0" * 64, 5)
SECOND = SecondConfirmed("s1", "000001", "w1", 6)
WARNED = replace(of_class(InvestorClass.C2), warnings=(WARNING,), confirmations=(SECOND,))


def test_a_warning_and_a_second_confirmation_open_the_way_and_are_kept() -> None:
    asked = terms(BUY, warning_id="w1", second_confirmation_id="s1")

    _, passed = order.decide(place(asked, setting(investor=WARNED)), order.initial)

    assert getattr(passed, "warning_id", "") == "w1"
    assert getattr(passed, "second_confirmation_id", "") == "s1"


@pytest.mark.parametrize(
    ("changes", "investor", "reason"),
    [
        ({}, WARNED, Reason.SUITABILITY_WARNING_NEEDED),
        ({"warning_id": "w2"}, WARNED, Reason.SUITABILITY_WARNING_NEEDED),
        (
            {"warning_id": "w1"},
            replace(WARNED, warnings=(replace(WARNING, fund_code="000009"),)),
            Reason.SUITABILITY_WARNING_NEEDED,
        ),
        (
            {"warning_id": "w1"},
            replace(WARNED, warnings=(replace(WARNING, risk_level=RiskLevel.R2),)),
            Reason.SUITABILITY_WARNING_NEEDED,
        ),
        (
            {"warning_id": "w1"},
            replace(WARNED, warnings=(replace(WARNING, investor_class=InvestorClass.C1),)),
            Reason.SUITABILITY_WARNING_NEEDED,
        ),
        ({"warning_id": "w1"}, WARNED, Reason.SECOND_CONFIRMATION_NEEDED),
        (
            {"warning_id": "w1", "second_confirmation_id": "s1"},
            replace(WARNED, confirmations=(replace(SECOND, warning_id=""),)),
            Reason.SECOND_CONFIRMATION_NEEDED,
        ),
        (
            {"warning_id": "w1", "second_confirmation_id": "s1", "recommendation_id": "r1"},
            WARNED,
            Reason.SUITABILITY_NOT_OWN_INITIATIVE,
        ),
        (
            {"warning_id": "w1", "second_confirmation_id": "s1", "plan_id": "p1"},
            WARNED,
            Reason.SUITABILITY_NOT_OWN_INITIATIVE,
        ),
    ],
)
def test_above_the_class_nothing_is_bought_without_a_warning_of_just_this(
    changes: dict[str, str], investor: Investor, reason: Reason
) -> None:
    asked = terms(BUY, **changes)

    story.when(place(asked, setting(investor=investor))).then_rejected(reason)


def test_a_switch_is_measured_by_the_fund_that_is_entered() -> None:
    risky = listed(replace(TARGET, risk_level=RiskLevel.R5))
    calm = listed(TARGET)

    story.when(place(terms(SWITCH), setting(target=risky))).then_rejected(
        Reason.SUITABILITY_WARNING_NEEDED
    )
    within = setting(fund(risk_level=RiskLevel.R5), target=calm)
    story.when(place(terms(SWITCH), within)).then(placed(SWITCH, within))


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        (terms(bought(1)), ("terms.kind.amount",)),
        (terms(SELL), ("terms.kind",)),
        (terms(BUY, wallet_account_id=ORDER_ID), ("terms.wallet_account_id",)),
        (
            terms(Subscription("000009", Money("CNY", 10_000_00)), warning_id="w"),
            ("terms.warning_id", "terms.kind.fund_code"),
        ),
    ],
)
def test_an_id_has_one_outcome_for_ever(asked: Terms, fields: tuple[str, ...]) -> None:
    refusal = story.given(placed(BUY)).when(place(asked))

    refusal.then_rejected(Reason.IDEMPOTENCY_KEY_REUSED, *fields)


def test_another_callers_order_is_not_told_about() -> None:
    command = replace(place(terms(BUY)), caller="somebody")

    refusal = story.given(placed(BUY)).when(command).then_rejected(Reason.IDEMPOTENCY_KEY_REUSED)

    assert refusal.violations == ()


def test_ids_are_looked_at() -> None:
    story.when(replace(place(terms(BUY)), order_id="x")).then_rejected(
        Reason.ID_MALFORMED, "order_id"
    )
    early = replace(place(terms(BUY)), place_us=PLACE_US - 301_000_000)
    story.when(early).then_rejected(Reason.ID_FROM_FUTURE)


def test_an_id_is_as_old_as_the_world_says_where_the_funds_time_is_simulated() -> None:
    years_ago = PLACE_US - 10 * 365 * 86_400_000_000
    asked = replace(place(terms(BUY)), place_us=years_ago)

    assert story.when(replace(asked, real_us=PLACE_US)).then(
        [
            replace(event, place_us=years_ago) if isinstance(event, Placed) else event
            for event in placed(BUY)
        ]
    )
    story.when(replace(asked, real_us=PLACE_US - 301_000_000)).then_rejected(Reason.ID_FROM_FUTURE)


ANSWER = row(BUY)
DIFFERS = Reason.CONFIRMATION_DIFFERS


@pytest.mark.parametrize(
    ("history", "command", "reason"),
    [
        ([], Cancel("x", CALLER, 0), Reason.ID_MALFORMED),
        ([], Cancel(REQUEST_ID, CALLER, 0), Reason.ORDER_NOT_FOUND),
        (accepted(BUY), Cancel(REQUEST_ID, "somebody", 0), Reason.ORDER_NOT_FOUND),
        (placed(BUY), Cancel(REQUEST_ID, CALLER, 0), Reason.ORDER_STATE),
        (accepted(FAST), Cancel(REQUEST_ID, CALLER, 0), Reason.ORDER_STATE),
        (accepted(BUY), Cancel(REQUEST_ID, CALLER, CUT_OFF_US), Reason.CUTOFF_PASSED),
        ([*accepted(BUY), BATCHED], Cancel(REQUEST_ID, CALLER, 0), Reason.CUTOFF_PASSED),
        ([*sent(BUY), Confirmed(ANSWER)], Cancel(REQUEST_ID, CALLER, 0), Reason.ALREADY_CONFIRMED),
        ([*sent(BUY), Refused("A", "")], Cancel(REQUEST_ID, CALLER, 0), Reason.ORDER_STATE),
        ([], Confirm(ANSWER, None), Reason.UNKNOWN_ORDER),
        (
            [*sent(BUY), Confirmed(ANSWER)],
            Confirm(replace(ANSWER, shares=1), None),
            DIFFERS,
        ),
        (
            [*sent(BUY), Confirmed(ANSWER)],
            Confirm(replace(ANSWER, ta_serial="TA2"), None),
            Reason.ALREADY_CONFIRMED,
        ),
        (accepted(BUY), Confirm(ANSWER, None), Reason.ORDER_STATE),
        ([*accepted(BUY), Cancelled(REQUEST_ID)], Confirm(ANSWER, None), Reason.ORDER_STATE),
        (sent(BUY), Confirm(replace(ANSWER, fund_code="9"), None), DIFFERS),
        (
            sent(BUY),
            Confirm(replace(ANSWER, business_code="124"), None),
            DIFFERS,
        ),
        (sent(BUY), Confirm(replace(ANSWER, trade_date=NEXT_T), None), DIFFERS),
        (sent(BUY), Confirm(replace(ANSWER, target_code="9"), None), DIFFERS),
        (sent(BUY), Confirm(replace(ANSWER, fee_minor=-1), None), DIFFERS),
        (
            sent(BUY),
            Confirm(replace(ANSWER, amount_minor=10_000_01), None),
            Reason.CONFIRMED_ABOVE_ASKED,
        ),
        (sent(SELL), Confirm(row(SELL, shares=1_000_01), None), Reason.CONFIRMED_ABOVE_ASKED),
        (sent(BUY), Amend(ANSWER, "p"), Reason.ROW_UNKNOWN),
        (
            [*sent(BUY), Confirmed(ANSWER, is_booked=True)],
            Amend(replace(ANSWER, amount_minor=10_000_01), "p"),
            Reason.CONFIRMED_ABOVE_ASKED,
        ),
        (
            [*sent(FAST), Confirmed(row(FAST), is_booked=True)],
            Amend(replace(row(FAST), amount_minor=1), "p"),
            Reason.ORDER_STATE,
        ),
        # Whether the wallet has been paid is not known before it is recorded.
        (
            [
                *sent(SELL),
                Confirmed(row(SELL), is_booked=True),
                PartCovered(row(SELL).row_id, "pull-1"),
            ],
            Amend(replace(row(SELL), amount_minor=1), "p"),
            Reason.ORDER_STATE,
        ),
        ([], Record(BATCHED), Reason.ORDER_NOT_FOUND),
        (placed(BUY), Record(BATCHED), Reason.CONTRADICTS_RECORD),
        ([*accepted(BUY), BATCHED], Record(Batched("other", 1)), Reason.CONTRADICTS_RECORD),
        ([*accepted(BUY), Cancelled(REQUEST_ID)], Record(BATCHED), Reason.CONTRADICTS_RECORD),
        (sent(BUY), Record(PartBooked("nobody")), Reason.CONTRADICTS_RECORD),
        (
            [*sent(BUY), Confirmed(ANSWER)],
            Record(PartBooked(ANSWER.row_id)),
            Reason.CONTRADICTS_RECORD,
        ),
        (accepted(BUY), Record(Priced(T, NAV)), Reason.CONTRADICTS_RECORD),
    ],
)
def test_the_rest_of_its_life_refuses_too(
    history: list[Event], command: Command, reason: Reason
) -> None:
    story.given(history).when(command).then_rejected(reason)


def test_a_cancelled_order_is_cancelled_once() -> None:
    history = [*accepted(BUY), Cancelled(REQUEST_ID)]

    story.given(history).when(Cancel(REQUEST_ID, CALLER, CUT_OFF_US + 1)).then_nothing()


def test_a_buyer_may_withdraw_while_cooling_off() -> None:
    within = setting(fund(cooling_off_h=24))
    history = [*placed(BUY, within), *accepted(BUY)[2:4]]

    story.given(history).when(Cancel(REQUEST_ID, CALLER, PLACE_US)).then([Cancelled(REQUEST_ID)])
