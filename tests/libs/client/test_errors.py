"""What a caller is told."""

import grpc
import pytest

from hefu.accounts.v1 import accounts_pb2
from libs.client.calls import check_shape, patiently
from libs.client.errors import HefuError, Unanswered, error_of
from libs.decider import FieldViolation
from libs.transient import is_transient


def failed(code: grpc.StatusCode, details: str = "why") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)


def test_a_refusal_names_its_reason_and_its_fields() -> None:
    error = HefuError("AMOUNT_NOT_POSITIVE", "no", [FieldViolation("terms.amount", "is 0")])
    assert str(error) == "AMOUNT_NOT_POSITIVE: no: terms.amount: is 0"


@pytest.mark.parametrize(
    ("code", "is_known"),
    [
        (grpc.StatusCode.UNAVAILABLE, False),
        (grpc.StatusCode.DEADLINE_EXCEEDED, False),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, False),
        (grpc.StatusCode.ABORTED, False),
        (grpc.StatusCode.CANCELLED, False),
        (grpc.StatusCode.NOT_FOUND, True),
        (grpc.StatusCode.PERMISSION_DENIED, True),
    ],
)
def test_what_says_nothing_of_the_outcome_is_unanswered(
    code: grpc.StatusCode, *, is_known: bool
) -> None:
    error = error_of(failed(code))
    assert isinstance(error, Unanswered) is not is_known
    assert is_transient(error) is not is_known
    assert error.reason == code.name


def test_the_reason_is_told_once() -> None:
    error = error_of(failed(grpc.StatusCode.NOT_FOUND, "NOT_FOUND: there is no such fund"))
    assert str(error) == "NOT_FOUND: there is no such fund"
    assert error.description == "there is no such fund"
    assert str(error_of(failed(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"))) == "NOT_FOUND"


async def test_what_cannot_be_mended_by_repeating_is_not_repeated() -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise failed(grpc.StatusCode.NOT_FOUND)

    with pytest.raises(HefuError):
        await patiently(call)
    assert calls == 1


def test_a_message_is_checked_before_it_is_sent() -> None:
    with pytest.raises(HefuError) as refused:
        check_shape(accounts_pb2.GetAccountRequest(account_id="x"), "request")
    assert refused.value.reason == "FIELD_INVALID"
    assert [each.field for each in refused.value.violations] == ["request.account_id"]
