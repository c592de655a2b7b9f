"""What is refused, and for which of several reasons: rows in order of precedence."""

from collections.abc import Sequence

import pytest

from libs.money import Money
from services.payments.domain.lifecycle import (
    Cancelled,
    CancelRequested,
    Event,
    Failed,
    RefundCompleted,
    RefundReserved,
)
from services.payments.domain.payment import (
    Cancel,
    Command,
    CompleteRefund,
    GiveUpRefund,
    HearDone,
    HearRefused,
    Reason,
    Record,
    ReserveRefund,
)
from services.payments.domain.terms import MerchantPayment, Payout, Refund, WalletTransfer
from tests.services.payments.domain.stories import (
    AT_MS,
    CALLER,
    CARRIED,
    COMPLETED,
    CONFIRMED,
    CREDITED,
    DOUBTED,
    ENTERED,
    FUTURE_ID,
    HELD,
    ID,
    MERCHANT,
    PAID,
    PAYOUT,
    PULL,
    REFUND,
    REFUND_ID,
    REFUSED,
    REQUEST_ID,
    SALE,
    SETTLED,
    TOP_UP,
    TRANSFER,
    WALLET,
    request,
    requested,
    story,
    terms,
)

OTHER_PAYOUT = Payout(WALLET, "AB", "124", "Jan")


@pytest.mark.parametrize(
    ("history", "command", "reason", "fields"),
    [
        ([], request(terms(PAYOUT, 0), "no-uuid"), Reason.ID_MALFORMED, ["payment_id"]),
        ([], request(terms(PAYOUT), ID.upper()), Reason.ID_MALFORMED, ["payment_id"]),
        (
            [],
            request(terms(PAYOUT, 0, currency="XXX")),
            Reason.AMOUNT_NOT_POSITIVE,
            ["terms.amount.minor_units"],
        ),
        ([], request(terms(PAYOUT, -1)), Reason.AMOUNT_NOT_POSITIVE, ["terms.amount.minor_units"]),
        (
            [],
            request(terms(PAYOUT, 10**18)),
            Reason.AMOUNT_OUT_OF_RANGE,
            ["terms.amount.minor_units"],
        ),
        (
            [],
            request(terms(WalletTransfer(WALLET, WALLET), currency="XXX")),
            Reason.CURRENCY_UNKNOWN,
            ["terms.amount.currency_code"],
        ),
        (
            [],
            request(terms(WalletTransfer(WALLET, WALLET))),
            Reason.SAME_ACCOUNT_BOTH_SIDES,
            ["terms.transfer.payee_account_id"],
        ),
        (
            [],
            request(terms(MerchantPayment(WALLET, WALLET, 10_001))),
            Reason.SAME_ACCOUNT_BOTH_SIDES,
            ["terms.merchant_payment.merchant_account_id"],
        ),
        (
            [],
            request(terms(MerchantPayment(WALLET, MERCHANT, 10_001))),
            Reason.SPLIT_INVALID,
            ["terms.merchant_payment.fee_minor"],
        ),
        (
            [],
            request(terms(Refund(ID))),
            Reason.REFUND_OF_REFUND,
            ["terms.refund.original_payment_id"],
        ),
        (
            [requested(PAYOUT)],
            request(terms(PAYOUT), caller="another"),
            Reason.IDEMPOTENCY_KEY_REUSED,
            [],
        ),
        (
            [requested(PAYOUT)],
            request(terms(PAYOUT, 9_999)),
            Reason.IDEMPOTENCY_KEY_REUSED,
            ["terms.amount.minor_units"],
        ),
        (
            [requested(PAYOUT)],
            request(terms(OTHER_PAYOUT, 1, "hello", "EUR")),
            Reason.IDEMPOTENCY_KEY_REUSED,
            [
                "terms.amount.currency_code",
                "terms.amount.minor_units",
                "terms.payout.bank_id",
                "terms.payout.bank_account",
                "terms.payout.payee_name",
                "terms.note",
            ],
        ),
        (
            [requested(PAYOUT)],
            request(terms(TRANSFER)),
            Reason.IDEMPOTENCY_KEY_REUSED,
            ["terms.kind"],
        ),
        ([], request(terms(PAYOUT), FUTURE_ID), Reason.ID_FROM_FUTURE, []),
    ],
)
def test_a_request_is_refused_for_the_first_reason(
    history: Sequence[Event], command: Command, reason: Reason, fields: Sequence[str]
) -> None:
    rejected = story.given(history).when(command).then_rejected(reason)
    assert [each.field for each in rejected.violations] == list(fields)


def test_another_callers_terms_are_not_told() -> None:
    asked = request(terms(PAYOUT, 1), caller="another")
    rejected = (
        story.given([requested(PAYOUT)]).when(asked).then_rejected(Reason.IDEMPOTENCY_KEY_REUSED)
    )
    assert "10000" not in str(rejected)


@pytest.mark.parametrize(
    ("history", "caller", "reason"),
    [
        ([], CALLER, Reason.PAYMENT_NOT_FOUND),
        ([requested(PAYOUT)], "another", Reason.PAYMENT_NOT_FOUND),
        ([requested(PAYOUT), HELD, ENTERED, PAID], CALLER, Reason.PAYMENT_STATE),
        ([requested(TRANSFER), Failed("A", "")], CALLER, Reason.PAYMENT_STATE),
        ([requested(PAYOUT), HELD, ENTERED, DOUBTED], CALLER, Reason.OUTCOME_UNKNOWN),
        ([requested(PAYOUT), HELD, ENTERED], CALLER, Reason.CANCEL_TOO_LATE),
        ([requested(PAYOUT), HELD, CARRIED], CALLER, Reason.CANCEL_TOO_LATE),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED], CALLER, Reason.CANCEL_TOO_LATE),
        ([requested(TOP_UP)], CALLER, Reason.CANCEL_TOO_LATE),
        ([requested(TRANSFER)], CALLER, Reason.CANCEL_TOO_LATE),
    ],
)
def test_a_cancel_is_refused(history: Sequence[Event], caller: str, reason: Reason) -> None:
    story.given(history).when(Cancel(REQUEST_ID, caller)).then_rejected(reason)


def test_a_cancel_needs_an_id_of_its_own() -> None:
    cancel = Cancel("1", CALLER)
    story.given([requested(PAYOUT)]).when(cancel).then_rejected(Reason.ID_MALFORMED, "request_id")


def _refund(
    minor: int | None = 1_000,
    id_: str = REFUND_ID,
    caller: str = CALLER,
    currency: str = "CZK",
    note: str = "",
) -> ReserveRefund:
    amount = None if minor is None else Money(currency, minor)
    return ReserveRefund(id_, amount, note, caller, AT_MS)


SOLD: list[Event] = [requested(SALE), COMPLETED]
PART = RefundReserved(REFUND_ID, 1_000, 985, 15, "", AT_MS, is_rest=False)
REST = RefundReserved(REFUND_ID, 10_000, 9_850, 150, "", AT_MS, is_rest=True)


@pytest.mark.parametrize(
    ("history", "command", "reason", "fields"),
    [
        (SOLD, _refund(0, "x"), Reason.ID_MALFORMED, ["refund_id"]),
        (SOLD, _refund(0), Reason.AMOUNT_NOT_POSITIVE, ["amount.minor_units"]),
        (SOLD, _refund(1, currency="QQQ"), Reason.CURRENCY_UNKNOWN, ["amount.currency_code"]),
        ([], _refund(), Reason.PAYMENT_NOT_FOUND, []),
        (SOLD, _refund(caller="another"), Reason.PAYMENT_NOT_FOUND, []),
        (
            [*SOLD, PART],
            _refund(2_000, note="n"),
            Reason.IDEMPOTENCY_KEY_REUSED,
            ["amount.minor_units", "note"],
        ),
        ([*SOLD, PART], _refund(None), Reason.IDEMPOTENCY_KEY_REUSED, ["amount"]),
        ([*SOLD, REST], _refund(10_000), Reason.IDEMPOTENCY_KEY_REUSED, ["amount"]),
        (
            [*SOLD, PART],
            _refund(1_000, currency="EUR"),
            Reason.IDEMPOTENCY_KEY_REUSED,
            ["amount.currency_code"],
        ),
        (SOLD, _refund(id_=FUTURE_ID), Reason.ID_FROM_FUTURE, []),
        ([requested(REFUND), COMPLETED], _refund(), Reason.REFUND_OF_REFUND, []),
        ([requested(PAYOUT), HELD, ENTERED, PAID], _refund(), Reason.REFUND_NOT_ALLOWED, []),
        ([requested(TOP_UP), CONFIRMED, CREDITED], _refund(), Reason.REFUND_NOT_ALLOWED, []),
        ([requested(SALE)], _refund(), Reason.ORIGINAL_NOT_COMPLETED, []),
        ([requested(SALE), Failed("A", "")], _refund(), Reason.ORIGINAL_NOT_COMPLETED, []),
        (
            SOLD,
            _refund(1, currency="EUR"),
            Reason.ACCOUNT_CURRENCY_DIFFERS,
            ["amount.currency_code"],
        ),
        (SOLD, _refund(10_001), Reason.REFUND_EXCEEDS_ORIGINAL, []),
        ([*SOLD, PART], _refund(9_001, REQUEST_ID), Reason.REFUND_EXCEEDS_ORIGINAL, []),
        ([*SOLD, REST], _refund(None, REQUEST_ID), Reason.REFUND_EXCEEDS_ORIGINAL, []),
    ],
)
def test_a_refund_is_refused_for_the_first_reason(
    history: Sequence[Event], command: Command, reason: Reason, fields: Sequence[str]
) -> None:
    rejected = story.given(history).when(command).then_rejected(reason)
    assert [each.field for each in rejected.violations] == list(fields)


@pytest.mark.parametrize(
    ("history", "command"),
    [
        ([requested(PAYOUT)], HearDone("B1")),
        ([requested(PAYOUT)], Record(ENTERED)),
        ([requested(PAYOUT), HELD, ENTERED, PAID], HearRefused("AC01")),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED], HearDone("B1")),
        ([requested(PAYOUT), HELD, ENTERED, REFUSED, Failed("AC01", "")], HearDone("B1")),
        ([requested(PAYOUT), Failed("A", "")], Record(HELD)),
        ([requested(PAYOUT), HELD, ENTERED, PAID, SETTLED], Record(CARRIED)),
        ([requested(PAYOUT), HELD, CancelRequested("r"), Cancelled()], Record(ENTERED)),
        ([requested(TOP_UP), PULL, Failed("AC01", "")], HearDone("B1")),
        ([requested(TOP_UP), PULL, CONFIRMED], HearRefused("AC01")),
        ([requested(TOP_UP), PULL], Record(SETTLED)),
        ([requested(TRANSFER)], HearDone("B1")),
        ([requested(TRANSFER), COMPLETED], Record(Failed("A", ""))),
        (SOLD, CompleteRefund(REFUND_ID)),
        ([*SOLD, PART, RefundCompleted(REFUND_ID, 1_000)], GiveUpRefund(REFUND_ID, "A")),
    ],
)
def test_a_fact_that_contradicts_the_record_is_refused(
    history: Sequence[Event], command: Command
) -> None:
    story.given(history).when(command).then_rejected(Reason.CONTRADICTS_RECORD)


def test_a_fact_about_no_payment_is_refused() -> None:
    story.given([]).when(Record(SETTLED)).then_rejected(Reason.PAYMENT_NOT_FOUND)
