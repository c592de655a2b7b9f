"""What the journal records: entries, each one fact with the balances after it."""

from typing import NamedTuple, TypeAlias

from services.accounts.domain.commands import Amount, Home, Leg, ObligationTerms, Transfer


class BalanceAfter(NamedTuple):
    """An account's figures after an entry, on its normal side, in minor units."""

    account_id: str
    account_seq: int
    posted: int
    held: int
    incoming: int


class Obligation(NamedTuple):
    """A movement between us and a bank, in the window that is open where the entry stands."""

    bank_id: str
    window_id: str
    favour: int
    currency: str
    minor: int
    payment_id: str
    carried_from: str


class PostedLeg(NamedTuple):
    account_id: str
    direction: int
    currency: str
    minor: int


class AccountOpened(NamedTuple):
    account_id: str
    owner: str
    kind: int
    currency: str
    ordinal: int
    ceiling: int | None = None


class AccountFrozen(NamedTuple):
    freeze_id: str
    account_id: str
    side: int
    purpose: str
    stop_captures: bool


class AccountUnfrozen(NamedTuple):
    freeze_id: str
    account_id: str


class AccountClosed(NamedTuple):
    account_id: str


class AccountReopened(NamedTuple):
    account_id: str
    purpose: str


class BoundsSet(NamedTuple):
    account_id: str
    floor: int | None
    ceiling: int | None
    purpose: str


class RoundingPart(NamedTuple):
    """What rounding left over on one account, as a fraction of a minor unit."""

    account_id: str
    numerator: int
    denominator: int


class Rounding(NamedTuple):
    """The rule by which amounts were computed, and where what it left over went."""

    rule: str
    parts: tuple[RoundingPart, ...]


class TransferPosted(NamedTuple):
    """`quote_id`: the quote that an exchange used up."""

    legs: tuple[PostedLeg, ...]
    purpose: str
    fact_key: str
    corrects: str = ""
    corrects_date: str = ""
    rounding: Rounding | None = None
    quote_id: str = ""


class HoldPlaced(NamedTuple):
    """`deadline_us` 0: never expires."""

    hold_id: str
    account_id: str
    amount: Amount
    destination: str
    deadline_us: int
    purpose: str


class HoldCaptured(NamedTuple):
    hold_id: str
    legs: tuple[PostedLeg, ...]
    amount: Amount
    released: int
    remaining: int
    purpose: str
    fact_key: str


class HoldReleased(NamedTuple):
    hold_id: str
    amount: Amount
    remaining: int


class HoldExpired(NamedTuple):
    hold_id: str
    amount: Amount


class QuoteGiven(NamedTuple):
    quote_id: str
    sold: Amount
    bought: Amount
    numerator: int
    denominator: int
    side: int
    spread: int
    expires_us: int


class CommandRefused(NamedTuple):
    """`command` says what kind of command it was: "transfer"."""

    reason: str
    field: str
    description: str
    command: str


class WindowOpened(NamedTuple):
    window_id: str
    bank_id: str
    currency: str
    clearing_account_id: str
    ordinal: int


class WindowSealed(NamedTuple):
    window_id: str
    bank_id: str
    currency: str
    next_window_id: str
    next_clearing_account_id: str
    legs: int
    sum_ours: int
    sum_bank: int
    next_ordinal: int


class WindowClosed(NamedTuple):
    window_id: str
    clearing_account_id: str


class BusinessDateMoved(NamedTuple):
    from_date: str
    to_date: str


class PeriodLocked(NamedTuple):
    last_date: str


class CrossingBegun(NamedTuple):
    """A transfer between shards whose near half is posted, under `transfer_id` on this page."""

    crossing_id: str
    transfer_id: str
    shard: int
    far_legs: tuple[Leg, ...]
    obligation: ObligationTerms | None
    purpose: str
    value_date: str
    kinds: tuple[int, ...]
    near_account_ids: tuple[str, ...]


class CrossingEnded(NamedTuple):
    """The far half stands; or was refused, and the amount is back."""

    crossing_id: str
    reason: str
    field: str
    description: str
    legs: tuple[PostedLeg, ...]


class SpanBegun(NamedTuple):
    """A transfer over several shards as it was asked for, before anything has moved."""

    span_id: str
    transfer: Transfer
    homes: tuple[Home, ...]
    kinds: tuple[int, ...]
    backdate_days: int
    ahead_days: int
    received: int


class SetAside(NamedTuple):
    """Means of one account, in minor units, on its normal side."""

    account_id: str
    held: int
    incoming: int


class PartReserved(NamedTuple):
    """`legs`: what is to move on this shard, with its amounts as resolved here."""

    reservation_id: str
    span_id: str
    legs: tuple[PostedLeg, ...]
    means: tuple[SetAside, ...]


class PartReleased(NamedTuple):
    reservation_id: str
    span_id: str


class SpanDecided(NamedTuple):
    """No reason: what the deciding shard does stands on this page, and the others follow."""

    span_id: str
    reason: str
    field: str
    description: str
    at: int


class SpanEnded(NamedTuple):
    """As it was decided; now every shard has done it."""

    span_id: str
    reason: str
    field: str
    description: str
    at: int


Fact: TypeAlias = (
    TransferPosted
    | HoldPlaced
    | HoldCaptured
    | HoldReleased
    | HoldExpired
    | CommandRefused
    | AccountOpened
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
    | WindowOpened
    | WindowSealed
    | WindowClosed
    | BusinessDateMoved
    | AccountReopened
    | BoundsSet
    | QuoteGiven
    | PeriodLocked
    | CrossingBegun
    | CrossingEnded
    | SpanBegun
    | PartReserved
    | PartReleased
    | SpanDecided
    | SpanEnded
)


class Entry(NamedTuple):
    """One thing that happened. `command_id` is empty for what the journal writes by itself.

    `group_id`: the first command of its linked group. `is_past_day_negative`: dated back, it leaves
    an account below its floor at the end of an earlier day.
    """

    fact: Fact
    command_id: str
    caller: str
    correlation_id: str
    terms_hash: bytes
    term_checks: bytes
    value_date: str
    business_date: str
    obligation: Obligation | None
    balances: tuple[BalanceAfter, ...]
    group_id: str = ""
    is_past_day_negative: bool = False


class Page(NamedTuple):
    """One link of the chain, read back; `page_hash` is over the stored bytes."""

    number: int
    previous_hash: bytes
    written_us: int
    business_date: str
    entries: tuple[Entry, ...]
    page_hash: bytes
