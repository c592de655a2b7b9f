"""One call, sent again with the same ids until it is answered or patience ends."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
import stamina
from google.protobuf.message import Message

from libs.client.errors import HefuError, Unanswered, error_of, is_transient
from libs.decider import FieldViolation
from libs.validation import shape_violations

T = TypeVar("T")

# Attempts are bounded by time alone: a service may need a while to come back.
ATTEMPTS_MAX: Final = 1_000
PATIENCE_S: Final = 30.0
WAIT_FIRST_S: Final = 0.05
WAIT_MAX_S: Final = 2.0


async def patiently(call: Callable[[], Awaitable[T]], patience_s: float = PATIENCE_S) -> T:
    """The call's answer. Raises `HefuError`, or `Unanswered` after `patience_s` without one."""
    begun_s = time.monotonic()
    try:
        try:
            return await call()
        except Exception as error:
            left_s = patience_s - (time.monotonic() - begun_s)
            if not is_transient(error) or left_s <= WAIT_FIRST_S:
                raise
        # Made ready for more tries only where they are needed: it takes a sixth of a call's time.
        await asyncio.sleep(WAIT_FIRST_S * random.uniform(1, 2))  # noqa: S311 - jitter
        async for attempt in stamina.retry_context(
            on=is_transient,
            attempts=ATTEMPTS_MAX,
            timeout=left_s,
            wait_initial=WAIT_FIRST_S,
            wait_max=WAIT_MAX_S,
            wait_jitter=WAIT_FIRST_S,
        ):
            with attempt:
                return await call()
    except grpc.aio.AioRpcError as error:
        raise error_of(error) from error
    raise Unanswered("UNAVAILABLE", "not sent: there was no patience")


def check_shape(message: Message, field: str = "") -> None:
    """Raise `HefuError` where the message breaks its proto's rules; nothing is sent then."""
    found = shape_violations(message)
    if found:
        at = f"{field}." if field else ""
        mended = [FieldViolation(f"{at}{v.field}", v.description) for v in found]
        raise HefuError("FIELD_INVALID", "", mended)
