"""The life of a fund order: what can happen to it, and where it stands then (funds, section 6).

Money and shares move by steps of ours; where the order stands is said by the registrar. So each
answered part is booked, covered by cash and paid on its own, whatever the order's stage.
"""

from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from typing import TypeAlias

from libs.fund_arithmetic import InvestorKind
from libs.suitability import InvestorClass, RiskLevel
from services.funds.domain.order_terms import (
    DIVIDEND,
    Confirmation,
    FastRedemption,
    RegistrarMovement,
    Subscription,
    Switching,
    Terms,
    asked_shares,
)


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Placed:
    order_id: str
    terms: Terms
    caller: str
    place_us: int
    ta_id: str
    # 申请单编号, unique for ever, 24 characters.
    serial: str
    business_code: str
    # Shares that are to leave; more than asked where the fund takes a small remainder too.
    shares: int = 0
    # The fund limits what one investor buys in a day.
    is_limited: bool = False
    # Until so many hours after funding the investor may withdraw.
    cooling_off_h: int = 0


@dataclass(frozen=True, slots=True)
class SuitabilityPassed:
    """The decision as it was taken, with all it stood on. A seller's class may be unknown."""

    investor_class: InvestorClass | None
    investor_kind: InvestorKind
    risk_level: RiskLevel
    profile_version: str
    fund_version: int
    warning_id: str = ""
    second_confirmation_id: str = ""
    recommendation_id: str = ""


@dataclass(frozen=True, slots=True)
class LimitReserved: ...


@dataclass(frozen=True, slots=True)
class MoneyHeld:
    journal_position: int


@dataclass(frozen=True, slots=True)
class Funded:
    journal_position: int
    fund_us: int


@dataclass(frozen=True, slots=True)
class FundingFailed:
    """The money or the shares are not there, or did not come in time."""

    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class SharesFrozen:
    freeze_us: int


@dataclass(frozen=True, slots=True)
class AdvancePaid:
    """The bank's advance is in the wallet; the redemption is the bank's from now on."""

    advance_id: str
    pay_us: int
    # What the bank is to have back.
    amount_minor: int = 0


@dataclass(frozen=True, slots=True)
class OfferedAgain:
    """What repays the bank's advance was not redeemed: it goes to the registrar once more.

    Each try has a 申请单编号 of its own, by which the registrar answers it.
    """

    serial: str
    number: int
    offer_us: int


@dataclass(frozen=True, slots=True)
class Accepted:
    trade_date: date
    confirm_date: date
    settle_date: date
    accept_us: int
    # It can be cancelled strictly before.
    cut_off_us: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    request_id: str


@dataclass(frozen=True, slots=True)
class Batched:
    file_key: str
    row: int


@dataclass(frozen=True, slots=True)
class Received: ...


@dataclass(frozen=True, slots=True)
class Priced:
    """The price of its trade day is known. Nothing is booked by it."""

    nav_date: date
    nav: int


@dataclass(frozen=True, slots=True)
class Confirmed:
    """`is_booked`: the row agrees with its price, and its shares are in the holding already."""

    confirmation: Confirmation
    is_booked: bool = False


@dataclass(frozen=True, slots=True)
class PartlyConfirmed:
    """A row that leaves something open; `is_booked` as above."""

    confirmation: Confirmation
    is_booked: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a row is not what NAV_T gives: the field, our value and the registrar's."""

    reason: str
    field: str
    ours: int
    theirs: int


@dataclass(frozen=True, slots=True)
class PartAgreed:
    row_id: str


@dataclass(frozen=True, slots=True)
class PartDisputed:
    row_id: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class DifferenceAccepted:
    """The registrar's word is booked as it is, under two pairs of eyes."""

    row_id: str
    proposal_id: str


@dataclass(frozen=True, slots=True)
class PartBooked:
    row_id: str


@dataclass(frozen=True, slots=True)
class PartCovered:
    """The part's cash is with whom it belongs: the registrar was paid, or has paid us."""

    row_id: str
    payment_id: str


@dataclass(frozen=True, slots=True)
class PartPaid:
    """The wallet has the proceeds; of a fast redemption, the bank has its advance back.

    Below 0: what an amended row took off was paid before, and is taken back.
    """

    row_id: str
    amount_minor: int
    journal_position: int


@dataclass(frozen=True, slots=True)
class EntryRefused:
    """What a switch brought buys nothing at the other registrar: it goes to the wallet."""

    row_id: str
    reason: str
    description: str


@dataclass(frozen=True, slots=True)
class WalletSpared:
    """Two operators have agreed that suspense carries what the wallet cannot give back."""

    row_id: str
    proposal_id: str


@dataclass(frozen=True, slots=True)
class PartCashTold:
    """The registrar's day knows by how much the row's money is not what its file said first.

    `agency_minor`: by how much our part of its fee is not.
    """

    row_id: str
    amended_minor: int
    agency_minor: int = 0


@dataclass(frozen=True, slots=True)
class RemainderRolledOver:
    trade_date: date
    shares: int


@dataclass(frozen=True, slots=True)
class RemainderCancelled:
    shares: int


@dataclass(frozen=True, slots=True)
class Refused:
    """The registrar will not do it, or we cannot send it."""

    reason: str
    description: str
    # The registrar's own.
    return_code: str = ""
    # Which try was refused; empty: whichever is under way.
    serial: str = ""


@dataclass(frozen=True, slots=True)
class Returned:
    """The wallet has its money back, the shares are free again, the day's limit too."""

    amount_minor: int
    shares: int


@dataclass(frozen=True, slots=True)
class Settled: ...


@dataclass(frozen=True, slots=True)
class ConfirmationAmended:
    """What was booked is to be reversed and booked again; never edited."""

    before: Confirmation
    after: Confirmation
    proposal_id: str


Fact: TypeAlias = (
    LimitReserved
    | MoneyHeld
    | Funded
    | FundingFailed
    | SharesFrozen
    | AdvancePaid
    | OfferedAgain
    | Accepted
    | Batched
    | Received
    | Priced
    | PartBooked
    | PartCovered
    | PartPaid
    | EntryRefused
    | WalletSpared
    | PartCashTold
    | RemainderRolledOver
    | Refused
    | Returned
)
Event: TypeAlias = (
    Placed
    | SuitabilityPassed
    | Fact
    | Cancelled
    | Confirmed
    | PartlyConfirmed
    | PartAgreed
    | PartDisputed
    | DifferenceAccepted
    | RemainderCancelled
    | Settled
    | ConfirmationAmended
)


# States.
class Stage(Enum):
    """The states of section 6; the names are told to callers."""

    DRAFT = auto()
    SUITABILITY_PASSED = auto()
    FUNDED = auto()
    SHARES_FROZEN = auto()
    ACCEPTED = auto()
    BATCHED = auto()
    TA_RECEIVED = auto()
    PRICED = auto()
    PARTIALLY_CONFIRMED = auto()
    ROLLED_OVER = auto()
    CONFIRMED = auto()
    SETTLED = auto()
    AMENDED = auto()
    CANCELLED = auto()
    REJECTED = auto()


# With the registrar, and not answered to the end.
OPEN_AT_REGISTRAR = frozenset(
    {
        Stage.BATCHED,
        Stage.TA_RECEIVED,
        Stage.PRICED,
        Stage.PARTIALLY_CONFIRMED,
        Stage.ROLLED_OVER,
    }
)
ANSWERED = frozenset({Stage.CONFIRMED, Stage.SETTLED, Stage.AMENDED})
BEFORE_REGISTRAR = frozenset(
    {Stage.SUITABILITY_PASSED, Stage.FUNDED, Stage.SHARES_FROZEN, Stage.ACCEPTED}
)
DROPPED = frozenset({Stage.CANCELLED, Stage.REJECTED})
# How often what repays an advance is offered again before operators decide.
OFFERS_MAX = 3


class PartStage(Enum):
    """What of a part's shares is done."""

    RECORDED = auto()  # not measured yet: the price may still be missing
    DISPUTED = auto()  # not what the price gives: nothing is booked
    AGREED = auto()
    BOOKED = auto()
    AMENDED = auto()  # booked as it was; to be reversed and booked as it is


@dataclass(frozen=True, slots=True)
class Part:
    """One answered row, and what became of it."""

    confirmation: Confirmation
    # The row's, and an amended row's still: it is asked for more often than anything else.
    row_id: str
    stage: PartStage = PartStage.RECORDED
    differences: tuple[Difference, ...] = ()
    # What is booked now, where that is not what the row says any more.
    booked_as: Confirmation | None = None
    proposal_id: str = ""
    payment_id: str = ""
    paid_minor: int = 0
    # What the registrar's payments have brought for it, or ours have taken there.
    carried_minor: int = 0
    # By how much amendments have changed its money since its file was applied, and what of that
    # the registrar's day knows.
    is_cash_amended: bool = False
    amended_minor: int = 0
    told_minor: int = 0
    # The same of our part of its fee; and what of that has gone into our fees, or out of them.
    agency_amended_minor: int = 0
    agency_told_minor: int = 0
    agency_kept_minor: int = 0
    # Why the order that it was to pay for is none.
    entry_refusal: EntryRefused | None = None
    # What was paid too much is not asked of the wallet any more.
    is_spared: bool = False

    @property
    def is_covered(self) -> bool:
        return bool(self.payment_id)

    @property
    def is_told(self) -> bool:
        """Whether the registrar's day knows all that amendments have changed."""
        now = self.amended_minor, self.agency_amended_minor
        return now == (self.told_minor, self.agency_told_minor)


@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Begun:
    placed: Placed
    suitability: SuitabilityPassed | None = None
    stage: Stage = Stage.DRAFT
    is_reserved: bool = False
    is_held: bool = False
    is_funded: bool = False
    is_frozen: bool = False
    # When the money or the shares were there: what the trade day is fixed from.
    ready_us: int = 0
    advance_id: str = ""
    advance_minor: int = 0
    # The newest try after the first to repay the advance.
    offer: OfferedAgain | None = None
    accepted: Accepted | None = None
    # The day whose price counts now: it moves when a remainder rolls over.
    trade_date: date | None = None
    batch: Batched | None = None
    price: Priced | None = None
    parts: tuple[Part, ...] = ()
    # The day's last row has come and something is left.
    is_day_over: bool = False
    # What no row has answered will not come.
    is_rest_given_up: bool = False
    cancelled: Cancelled | None = None
    refusal: Refused | FundingFailed | None = None
    returned: Returned | None = None
    is_settled: bool = False

    @property
    def terms(self) -> Terms:
        return self.placed.terms

    @property
    def serial(self) -> str:
        """The number by which the registrar knows it now."""
        return self.placed.serial if self.offer is None else self.offer.serial

    @property
    def offers(self) -> int:
        """How often it was offered again."""
        return 0 if self.offer is None else self.offer.number

    @property
    def confirmed_shares(self) -> int:
        return sum(part.confirmation.shares for part in self.parts)

    @property
    def confirmed_minor(self) -> int:
        return sum(part.confirmation.amount_minor for part in self.parts)

    @property
    def remaining_shares(self) -> int:
        """Shares asked for that no row has answered yet."""
        return max(0, self.placed.shares - self.confirmed_shares)

    def part(self, row_id: str) -> Part | None:
        for part in self.parts:
            if part.row_id == row_id:
                return part
        return None


Order: TypeAlias = Absent | Begun


def is_ready(order: Begun) -> bool:
    """Whether nothing but its trade day is missing."""
    match order.terms.kind, order.stage:
        case Subscription(), Stage.FUNDED:
            return True
        case FastRedemption(), Stage.SHARES_FROZEN:
            return bool(order.advance_id)
        case _, Stage.SHARES_FROZEN:
            return True
        case kind, Stage.SUITABILITY_PASSED:
            return not isinstance(kind, Subscription) and asked_shares(kind) == 0
        case _:
            return False


def is_offer_due(order: Begun) -> bool:
    """Whether what the registrar would not redeem is to be offered again.

    The wallet has had its money: only that redemption repays the bank, and until operators are
    asked to decide it is tried again.
    """
    is_left = order.stage is Stage.REJECTED or (order.is_rest_given_up and order.stage in ANSWERED)
    is_open = is_left and order.returned is None and not order.is_settled
    is_owed = bool(order.advance_id) and order.remaining_shares > 0
    return is_owed and is_open and order.offers < OFFERS_MAX


def tried(order: Begun, step: str) -> str:
    """A step's name, which tells that of a later try from that of the first."""
    return f"{step}/{order.offers}" if order.offers else step


def may_be_answered(order: Begun) -> bool:
    """Whether a row of the registrar can be about it now."""
    if isinstance(order.terms.kind, RegistrarMovement):
        return order.stage is Stage.DRAFT
    return order.stage in OPEN_AT_REGISTRAR


def pays_in(order: Begun) -> bool:
    """Whether the investor's money goes to the registrar."""
    return isinstance(order.terms.kind, Subscription)


def brings_cash(order: Begun, part: Part) -> bool:
    """Whether the registrar's money comes for this part."""
    row = part.confirmation
    return not pays_in(order) and not is_kept(order, row) and row.amount_minor > 0


def is_kept(order: Begun, row: Confirmation) -> bool:
    """Whether the row's money stays with the registrar, as other shares."""
    kind = order.terms.kind
    return isinstance(kind, Switching) or (
        isinstance(kind, RegistrarMovement) and kind.business_code == DIVIDEND and row.shares > 0
    )
