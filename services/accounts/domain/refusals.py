"""Why a command is refused, and whether the refusal is recorded."""

from enum import Enum, auto
from typing import NamedTuple


class Reason(Enum):
    """Names of the refusal table, in its order."""

    ID_MALFORMED = auto()
    FIELD_NOT_ALLOWED = auto()
    LEG_COUNT = auto()
    AMOUNT_NOT_POSITIVE = auto()
    AMOUNT_OUT_OF_RANGE = auto()
    CURRENCY_UNKNOWN = auto()
    SAME_ACCOUNT_BOTH_SIDES = auto()
    SPLIT_INVALID = auto()
    LEGS_NOT_BALANCED = auto()
    DATE_MALFORMED = auto()
    GROUP_OPEN = auto()
    GROUP_TOO_LARGE = auto()
    GROUP_SPANS_SHARDS = auto()
    QUEUE_FULL = auto()
    STORE_UNAVAILABLE = auto()
    ID_INDEX_BEHIND = auto()
    READ_MODEL_BEHIND = auto()
    PAGE_TOKEN_INVALID = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    ID_FROM_FUTURE = auto()
    WINDOW_NOT_OPEN = auto()
    LINKED_FAILED = auto()
    ACCOUNT_KEY_TAKEN = auto()
    ACCOUNT_NOT_FOUND = auto()
    ACCOUNT_CURRENCY_DIFFERS = auto()
    ROUTE_NOT_ALLOWED = auto()
    ACCOUNT_CLOSED = auto()
    ACCOUNT_FROZEN_DEBIT = auto()
    ACCOUNT_FROZEN_CREDIT = auto()
    FREEZE_NOT_FOUND = auto()
    ACCOUNT_HAS_HOLDS = auto()
    ACCOUNT_NOT_EMPTY = auto()
    ACCOUNT_OPEN = auto()
    PERIOD_LOCKED = auto()
    VALUE_DATE_TOO_OLD = auto()
    VALUE_DATE_IN_FUTURE = auto()
    HOLD_NOT_FOUND = auto()
    HOLD_TERMS_DIFFER = auto()
    HOLD_EXPIRED = auto()
    HOLD_CAPTURED = auto()
    HOLD_RELEASED = auto()
    CAPTURE_EXCEEDS_HOLD = auto()
    RELEASE_EXCEEDS_HOLD = auto()
    QUOTE_NOT_FOUND = auto()
    QUOTE_USED = auto()
    QUOTE_EXPIRED = auto()
    QUOTE_TERMS_DIFFER = auto()
    FACT_ALREADY_POSTED = auto()
    NOTHING_TO_MOVE = auto()
    BALANCE_TOO_LOW = auto()
    BALANCE_TOO_HIGH = auto()
    BALANCE_OVERFLOW = auto()
    BUSINESS_DATE_PAST = auto()
    BUSINESS_DATE_DIFFERS = auto()
    PERIOD_NOT_ENDED = auto()
    WINDOW_NOT_FOUND = auto()
    WINDOW_NOT_SEALED = auto()
    WINDOW_NOT_EMPTY = auto()


# Shape and transient: the id stays free. Everything else that a command meets is recorded.
UNRECORDED = frozenset(
    {
        Reason.ID_MALFORMED,
        Reason.FIELD_NOT_ALLOWED,
        Reason.LEG_COUNT,
        Reason.AMOUNT_NOT_POSITIVE,
        Reason.AMOUNT_OUT_OF_RANGE,
        Reason.CURRENCY_UNKNOWN,
        Reason.SAME_ACCOUNT_BOTH_SIDES,
        Reason.SPLIT_INVALID,
        Reason.LEGS_NOT_BALANCED,
        Reason.DATE_MALFORMED,
        Reason.GROUP_OPEN,
        Reason.GROUP_TOO_LARGE,
        Reason.GROUP_SPANS_SHARDS,
        Reason.QUEUE_FULL,
        Reason.STORE_UNAVAILABLE,
        Reason.ID_INDEX_BEHIND,
        Reason.IDEMPOTENCY_KEY_REUSED,
        Reason.ID_FROM_FUTURE,
        Reason.WINDOW_NOT_OPEN,
    }
)


class Refusal(NamedTuple):
    """A refusal as answered: `reason` is a member's name, `fields` are those at fault."""

    reason: str
    fields: tuple[str, ...]
    description: str


class Refused(Exception):
    """A rule says no."""

    def __init__(self, reason: Reason, field: str = "", description: str = "") -> None:
        super().__init__(f"{reason.name}: {field}: {description}")
        self.reason = reason
        self.field = field
        self.description = description

    @property
    def refusal(self) -> Refusal:
        return Refusal(self.reason.name, (self.field,) if self.field else (), self.description)
