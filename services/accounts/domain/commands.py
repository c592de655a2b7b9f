"""What the journal can be asked for; the first field of each is its id, the idempotency key.

Named tuples: the journal decides tens of thousands of them a second.
"""

from typing import NamedTuple, TypeAlias


class Leg(NamedTuple):
    """One side of a transfer: an account, or the clearing account of a bank's open window."""

    account_id: str
    bank_id: str
    direction: int
    currency: str
    minor: int


class ObligationTerms(NamedTuple):
    """Puts the entry into the bank's open window as a movement between us and the bank."""

    bank_id: str
    favour: int
    currency: str
    minor: int
    payment_id: str
    carried_from: str


class Amount(NamedTuple):
    currency: str
    minor: int


class OpenAccount(NamedTuple):
    account_id: str
    owner: str
    kind: int
    currency: str
    ordinal: int
    correlation_id: str


class FreezeAccount(NamedTuple):
    freeze_id: str
    account_id: str
    side: int
    purpose: str
    stop_captures: bool


class UnfreezeAccount(NamedTuple):
    request_id: str
    freeze_id: str
    account_id: str


class CloseAccount(NamedTuple):
    request_id: str
    account_id: str


class Transfer(NamedTuple):
    transfer_id: str
    legs: tuple[Leg, ...]
    purpose: str
    correlation_id: str
    fact_key: str
    value_date: str
    obligation: ObligationTerms | None


class PlaceHold(NamedTuple):
    hold_id: str
    account_id: str
    amount: Amount
    destination: str
    expires_after_s: int
    purpose: str
    correlation_id: str


class CaptureHold(NamedTuple):
    """No amount: all that remains. No destination: the hold's."""

    capture_id: str
    hold_id: str
    amount: Amount | None
    is_final: bool
    account_id: str
    bank_id: str
    purpose: str
    correlation_id: str
    fact_key: str
    obligation: ObligationTerms | None


class ReleaseHold(NamedTuple):
    release_id: str
    hold_id: str
    amount: Amount | None
    correlation_id: str


class MoveBusinessDate(NamedTuple):
    request_id: str
    to_date: str


class OpenWindow(NamedTuple):
    window_id: str
    bank_id: str
    currency: str


class SealWindow(NamedTuple):
    next_window_id: str
    window_id: str


class CloseWindow(NamedTuple):
    window_id: str


WindowCommand: TypeAlias = OpenWindow | SealWindow | CloseWindow
Command: TypeAlias = (
    OpenAccount
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | Transfer
    | PlaceHold
    | CaptureHold
    | ReleaseHold
    | MoveBusinessDate
    | WindowCommand
)
