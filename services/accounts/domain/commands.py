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
    """`ceiling`: of the customer's tier, in minor units."""

    account_id: str
    owner: str
    kind: int
    currency: str
    ordinal: int
    correlation_id: str
    ceiling: int | None = None


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


class ReopenAccount(NamedTuple):
    request_id: str
    account_id: str
    purpose: str


class SetBounds(NamedTuple):
    """In minor units. No floor: the kind's own; no ceiling: none."""

    request_id: str
    account_id: str
    floor: int | None
    ceiling: int | None
    purpose: str


class Balancing(NamedTuple):
    """The amount is the most that moves; `keep` stays above the floor of the account of `leg`."""

    leg: int
    keep: int


class Source(NamedTuple):
    """`at_most` None: all it has."""

    account_id: str
    at_most: int | None


class Part(NamedTuple):
    """One of: a fixed amount, a share of the whole, the rest."""

    account_id: str
    fixed: int | None = None
    share: int | None = None
    is_rest: bool = False


class Template(NamedTuple):
    """Sources debited in their order, and how the amount is split; a version names the rules."""

    version: int
    amount: Amount
    sources: tuple[Source, ...]
    whole: int
    parts: tuple[Part, ...]


class Exchange(NamedTuple):
    """What the customer agreed to, and the accounts it goes through."""

    quote_id: str
    sold: Amount
    bought: Amount
    seller: str
    buyer: str
    sold_position: str
    bought_position: str
    spread_account: str


class Drawing(NamedTuple):
    """Some of a template's sources, each debited as far as it can, into an account in transit.

    `first`: the place of the first of them among the template's sources.
    """

    amount: Amount
    sources: tuple[Source, ...]
    first: int
    transit: str


class Resolved(NamedTuple):
    """The legs say what moves: by which rule it was computed, and what rounding left over where."""

    rule: str
    parts: tuple[tuple[str, int, int], ...]


class Correction(NamedTuple):
    """The entry put right, as "page.ordinal", and the day it belongs to, as a note."""

    entry: str
    day: str


# What a caller may ask for; the rest is said by the router of shards only.
Asked: TypeAlias = Balancing | Template | Exchange
Computed: TypeAlias = Asked | Drawing | Resolved


class Transfer(NamedTuple):
    """`computed`: amounts that state decides; a template or an exchange comes without legs."""

    transfer_id: str
    legs: tuple[Leg, ...]
    purpose: str
    correlation_id: str
    fact_key: str
    value_date: str
    obligation: ObligationTerms | None
    computed: Computed | None = None
    corrects: Correction | None = None


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


class GiveQuote(NamedTuple):
    """`numerator` / `denominator`: units bought for a unit sold, in major units."""

    quote_id: str
    sold_currency: str
    bought_currency: str
    numerator: int
    denominator: int
    side: int
    given: int
    spread: int
    expires_after_s: int
    correlation_id: str


class MoveBusinessDate(NamedTuple):
    """`closing_date`: the day that is closed, where the caller names it."""

    request_id: str
    to_date: str
    closing_date: str = ""


class LockPeriod(NamedTuple):
    request_id: str
    last_date: str


class OpenWindow(NamedTuple):
    window_id: str
    bank_id: str
    currency: str


class SealWindow(NamedTuple):
    next_window_id: str
    window_id: str


class CloseWindow(NamedTuple):
    window_id: str


class BeginCrossing(NamedTuple):
    """The intent behind a transfer between shards; only the router of shards says it."""

    crossing_id: str
    transfer_id: str
    shard: int
    far_legs: tuple[Leg, ...]
    obligation: ObligationTerms | None
    purpose: str
    value_date: str
    kinds: tuple[int, ...]
    near_account_ids: tuple[str, ...]


class EndCrossing(NamedTuple):
    """The far half stands, or was refused: then the legs of the near half go back."""

    request_id: str
    crossing_id: str
    reason: str = ""
    field: str = ""
    description: str = ""
    legs: tuple[Leg, ...] = ()


class Home(NamedTuple):
    """The shard on which an account was looked for."""

    account_id: str
    shard: int


class BeginSpan(NamedTuple):
    """The intent behind a transfer over any shards, as it was asked for.

    Members of a group share a span. `received`: what the buyer of an exchange gets.
    """

    transfer_id: str
    span_id: str
    transfer: Transfer
    homes: tuple[Home, ...]
    kinds: tuple[int, ...]
    backdate_days: int
    ahead_days: int
    received: int = 0


class ReservePart(NamedTuple):
    """What the span does on one shard: tried in its order, and the means for it set aside."""

    reservation_id: str
    span_id: str
    moves: tuple[Transfer, ...]


class ReleasePart(NamedTuple):
    """What was set aside is free again: for the transfers that follow on this page, or for all."""

    request_id: str
    reservation_id: str


class DecideSpan(NamedTuple):
    """What becomes of the span: posted, or refused for a reason that its `at`-th transfer met."""

    request_id: str
    span_id: str
    reason: str = ""
    field: str = ""
    description: str = ""
    at: int = 0


class EndSpan(NamedTuple):
    """Every shard has done what was decided."""

    request_id: str
    span_id: str


SpanCommand: TypeAlias = BeginSpan | ReservePart | ReleasePart | DecideSpan | EndSpan
WindowCommand: TypeAlias = OpenWindow | SealWindow | CloseWindow
Command: TypeAlias = (
    OpenAccount
    | FreezeAccount
    | UnfreezeAccount
    | CloseAccount
    | ReopenAccount
    | SetBounds
    | Transfer
    | PlaceHold
    | CaptureHold
    | ReleaseHold
    | GiveQuote
    | MoveBusinessDate
    | LockPeriod
    | BeginCrossing
    | EndCrossing
    | SpanCommand
    | WindowCommand
)


class Linked(NamedTuple):
    """A run of commands of one call of which all are posted, on one page, or none.

    `is_open`: the last of them is linked too, and to nothing.
    """

    commands: tuple[Command, ...]
    is_open: bool = False


# What a call asks for, one after the other.
Item: TypeAlias = Command | Linked
