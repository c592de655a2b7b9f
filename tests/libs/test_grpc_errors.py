"""Every reason has its code, and the ledger's own table is copied right."""

import importlib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import grpc
import pytest

from libs.decider import Contended
from libs.event_store import Denied, OutcomeUnknown, StoreUnavailable, TooLarge
from libs.grpc_errors import REASONS, Refused, status_of, to_error
from libs.projection import Behind

CODE = grpc.StatusCode
# The ledger's refusals and the codes that callers rely on.
LEDGER = {
    "ID_MALFORMED": CODE.INVALID_ARGUMENT,
    "FIELD_NOT_ALLOWED": CODE.INVALID_ARGUMENT,
    "LEG_COUNT": CODE.INVALID_ARGUMENT,
    "AMOUNT_NOT_POSITIVE": CODE.INVALID_ARGUMENT,
    "AMOUNT_OUT_OF_RANGE": CODE.OUT_OF_RANGE,
    "CURRENCY_UNKNOWN": CODE.INVALID_ARGUMENT,
    "CURRENCY_SCALE": CODE.INVALID_ARGUMENT,
    "SAME_ACCOUNT_BOTH_SIDES": CODE.INVALID_ARGUMENT,
    "SPLIT_INVALID": CODE.INVALID_ARGUMENT,
    "LEGS_NOT_BALANCED": CODE.INVALID_ARGUMENT,
    "DATE_MALFORMED": CODE.INVALID_ARGUMENT,
    "GROUP_OPEN": CODE.INVALID_ARGUMENT,
    "GROUP_TOO_LARGE": CODE.INVALID_ARGUMENT,
    "GROUP_SPANS_SHARDS": CODE.FAILED_PRECONDITION,
    "QUEUE_FULL": CODE.RESOURCE_EXHAUSTED,
    "NOT_WRITER": CODE.UNAVAILABLE,
    "STORE_UNAVAILABLE": CODE.UNAVAILABLE,
    "ID_INDEX_BEHIND": CODE.UNAVAILABLE,
    "IDEMPOTENCY_KEY_REUSED": CODE.ALREADY_EXISTS,
    "ID_FROM_FUTURE": CODE.FAILED_PRECONDITION,
    "LINKED_FAILED": CODE.ABORTED,
    "ACCOUNT_NOT_FOUND": CODE.NOT_FOUND,
    "ACCOUNT_CURRENCY_DIFFERS": CODE.FAILED_PRECONDITION,
    "ROUTE_NOT_ALLOWED": CODE.FAILED_PRECONDITION,
    "ACCOUNT_CLOSED": CODE.FAILED_PRECONDITION,
    "ACCOUNT_FROZEN_DEBIT": CODE.FAILED_PRECONDITION,
    "ACCOUNT_FROZEN_CREDIT": CODE.FAILED_PRECONDITION,
    "PERIOD_LOCKED": CODE.FAILED_PRECONDITION,
    "VALUE_DATE_TOO_OLD": CODE.FAILED_PRECONDITION,
    "VALUE_DATE_IN_FUTURE": CODE.FAILED_PRECONDITION,
    "HOLD_NOT_FOUND": CODE.NOT_FOUND,
    "HOLD_TERMS_DIFFER": CODE.FAILED_PRECONDITION,
    "HOLD_EXPIRED": CODE.FAILED_PRECONDITION,
    "HOLD_CAPTURED": CODE.FAILED_PRECONDITION,
    "HOLD_RELEASED": CODE.FAILED_PRECONDITION,
    "CAPTURE_EXCEEDS_HOLD": CODE.FAILED_PRECONDITION,
    "RELEASE_EXCEEDS_HOLD": CODE.FAILED_PRECONDITION,
    "QUOTE_NOT_FOUND": CODE.FAILED_PRECONDITION,
    "QUOTE_USED": CODE.FAILED_PRECONDITION,
    "QUOTE_EXPIRED": CODE.FAILED_PRECONDITION,
    "QUOTE_TERMS_DIFFER": CODE.FAILED_PRECONDITION,
    "FACT_ALREADY_POSTED": CODE.ALREADY_EXISTS,
    "NOTHING_TO_MOVE": CODE.FAILED_PRECONDITION,
    "BALANCE_TOO_LOW": CODE.FAILED_PRECONDITION,
    "BALANCE_TOO_HIGH": CODE.FAILED_PRECONDITION,
    "BALANCE_OVERFLOW": CODE.OUT_OF_RANGE,
    "IDEMPOTENCY_IN_PROGRESS": CODE.ABORTED,
}
REST = [
    "ACCOUNT_KEY_TAKEN",
    "FREEZE_NOT_FOUND",
    "ACCOUNT_HAS_HOLDS",
    "ACCOUNT_NOT_EMPTY",
    "PAYMENT_NOT_FOUND",
    "PAYMENT_STATE",
    "OUTCOME_UNKNOWN",
    "CANCEL_TOO_LATE",
    "LIMIT_DENIED",
    "RISK_DENIED",
    "APPROVER_IS_MAKER",
    "APPROVAL_TERMS_DIFFER",
    "APPROVAL_EXPIRED",
    "APPROVAL_USED",
    "ORIGINAL_NOT_COMPLETED",
    "REFUND_OF_REFUND",
    "REFUND_TOO_LATE",
    "REFUND_EXCEEDS_ORIGINAL",
    "MERCHANT_BALANCE_TOO_LOW",
    "BATCH_TOTALS_DIFFER",
    "SCHEDULE_INVALID",
    "SCHEDULE_ENDED",
]


def _reasons(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted(root.glob("services/*/domain/*.py")):
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        for found in vars(importlib.import_module(name)).values():
            is_reason = isinstance(found, type) and issubclass(found, Enum)
            if is_reason and found.__name__.endswith("Reason") and found.__module__ == name:
                yield from ((name, member.name) for member in found)


def test_every_reason_of_every_service_has_a_code(root: Path) -> None:
    found = list(_reasons(root))

    assert found
    assert [(where, reason) for where, reason in found if reason not in REASONS] == []


@pytest.mark.parametrize(("reason", "code"), LEDGER.items())
def test_the_ledgers_refusals_have_their_codes(reason: str, code: grpc.StatusCode) -> None:
    assert REASONS[reason] is code


def test_account_and_payment_refusals_are_listed() -> None:
    assert [reason for reason in REST if reason not in REASONS] == []


def test_no_reason_is_internal_or_ok() -> None:
    assert not {CODE.OK, CODE.INTERNAL, CODE.UNKNOWN} & set(REASONS.values())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Contended("x"), "CONTENDED"),
        (OutcomeUnknown("x"), "STORE_UNAVAILABLE"),
        (StoreUnavailable("x"), "STORE_UNAVAILABLE"),
        (TooLarge("x"), "TOO_LARGE"),
        (TimeoutError(), "DEADLINE_PASSED"),
        (Behind("payments", 1, 2), "READ_MODEL_BEHIND"),
        (Refused("READ_MODEL_UNKNOWN"), "READ_MODEL_UNKNOWN"),
    ],
)
def test_what_a_caller_can_act_on_has_a_reason(error: Exception, reason: str) -> None:
    found = to_error(error)

    assert found is not None
    assert found.reason == reason
    assert status_of(found).code == REASONS[reason].value[0]


@pytest.mark.parametrize("error", [KeyError("x"), Denied("x"), AssertionError()])
def test_what_a_caller_can_do_nothing_about_has_none(error: Exception) -> None:
    assert to_error(error) is None
