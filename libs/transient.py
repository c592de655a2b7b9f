"""Which failures pass by themselves: the same call may be made again, with the same ids."""

from libs.bus import BusUnavailable, Fenced
from libs.event_store import Busy, OutcomeUnknown, StoreUnavailable

# Names of the gRPC status codes that say nothing against the request itself.
_CODES = frozenset(
    {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED", "ABORTED"}
)


class Unavailable(Exception):
    """Something we depend on does not answer; nothing is known to have been done."""


_KNOWN = (
    Unavailable,
    StoreUnavailable,
    OutcomeUnknown,
    Busy,
    BusUnavailable,
    Fenced,
    TimeoutError,
    ConnectionError,
)


def is_transient(error: BaseException) -> bool:
    """Whether trying again later may succeed. Knows our ports' failures, and a call's status code.

    The code is read through `code()` without importing a client: any error of any RPC library that
    names its status so is understood.
    """
    if isinstance(error, BaseExceptionGroup):
        return all(is_transient(each) for each in error.exceptions)
    if isinstance(error, _KNOWN):
        return True
    code = getattr(error, "code", None)
    return callable(code) and getattr(code(), "name", "") in _CODES
