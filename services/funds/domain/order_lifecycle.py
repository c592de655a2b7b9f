"""The life of a fund order: what can happen to it, and what follows what (funds, section 6).

Money and shares move by steps of ours; where the order stands is said by the registrar. So each
answered part is booked, covered by cash and paid on its own, whatever the order's stage.
"""

from dataclasses import dataclass, replace
from datetime import date
from enum import Enum, auto
from typing import TypeAlias, assert_never

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


def evolve(order: Order, event: Event) -> Order:
    if isinstance(order, Absent):
        if isinstance(event, Placed):
            return Begun(event, ready_us=event.place_us)
    elif may_follow(order, event):
        return _after(order, event)
    raise AssertionError(f"{event} cannot follow {order}")


def may_follow(  # noqa: C901, PLR0911, PLR0912 - a case an event
    order: Begun, event: Event
) -> bool:
    """Whether this can be the next fact of the order; the one table of what follows what."""
    stage, kind = order.stage, order.terms.kind
    match event:
        case SuitabilityPassed():
            return stage is Stage.DRAFT
        case LimitReserved():
            return stage is Stage.SUITABILITY_PASSED and not order.is_reserved
        case MoneyHeld():
            is_buying = isinstance(kind, Subscription)
            return stage is Stage.SUITABILITY_PASSED and is_buying and not order.is_held
        case Funded():
            # A switch's money is with us already: nothing was held.
            is_there = order.is_held or bool(order.terms.switch_id)
            return stage is Stage.SUITABILITY_PASSED and is_there
        case FundingFailed():
            return stage in (Stage.SUITABILITY_PASSED, Stage.SHARES_FROZEN) and not order.advance_id
        case SharesFrozen():
            return stage is Stage.SUITABILITY_PASSED and asked_shares(kind) > 0
        case AdvancePaid():
            is_fast = isinstance(kind, FastRedemption)
            return stage is Stage.SHARES_FROZEN and is_fast and not order.advance_id
        case OfferedAgain(number=number):
            return is_offer_due(order) and number == order.offers + 1
        case Accepted():
            return is_ready(order)
        case Cancelled():
            return stage in (Stage.ACCEPTED, Stage.FUNDED) and not order.advance_id
        case Batched():
            return stage is Stage.ACCEPTED
        case Received():
            return stage is Stage.BATCHED
        case Priced():
            # Another price of the day is a correction.
            return order.price != event and stage in OPEN_AT_REGISTRAR | ANSWERED
        case Confirmed() | PartlyConfirmed():
            return may_be_answered(order) and order.part(event.confirmation.row_id) is None
        case PartAgreed(row_id) | PartDisputed(row_id):
            return _is_at(order, row_id, PartStage.RECORDED)
        case DifferenceAccepted(row_id):
            return _is_at(order, row_id, PartStage.DISPUTED)
        case PartBooked(row_id):
            return _is_at(order, row_id, PartStage.AGREED, PartStage.AMENDED)
        case (
            PartCovered(row_id)
            | PartPaid(row_id)
            | EntryRefused(row_id)
            | WalletSpared(row_id)
            | PartCashTold(row_id)
        ):
            part = order.part(row_id)
            return part is not None and _money_may_follow(order, part, event)
        case RemainderRolledOver():
            return stage is Stage.PARTIALLY_CONFIRMED and order.remaining_shares > 0
        case RemainderCancelled():
            return _has_open_rest(order)
        case Refused():
            return stage in BEFORE_REGISTRAR | OPEN_AT_REGISTRAR and not order.parts
        case Returned():
            is_due = stage is Stage.AMENDED or order.returned is None
            return stage in DROPPED | ANSWERED and is_due and not is_offer_due(order)
        case Settled():
            return stage in (Stage.CONFIRMED, Stage.AMENDED) and not order.is_settled
        case ConfirmationAmended(before):
            part = order.part(before.row_id)
            is_same = event.after.row_id == before.row_id
            return part is not None and part.confirmation == before and is_same
        case Placed():
            return False
        case _:
            assert_never(event)


def _money_may_follow(
    order: Begun,
    part: Part,
    event: PartCovered | PartPaid | EntryRefused | WalletSpared | PartCashTold,
) -> bool:
    match event:
        case PartCovered():
            return not part.is_covered
        case PartPaid(_, amount):
            return (part.is_covered or amount < 0) and not pays_in(order)
        case EntryRefused():
            return part.is_covered and not part.paid_minor
        case WalletSpared():
            return part.paid_minor > part.confirmation.amount_minor
        case PartCashTold(_, amended, agency):
            return (part.told_minor, part.agency_told_minor) != (amended, agency)
        case _:
            assert_never(event)


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


def _has_open_rest(order: Begun) -> bool:
    if order.offer is None or not order.parts:
        return order.stage in (Stage.PARTIALLY_CONFIRMED, Stage.ROLLED_OVER)
    # A rest that was offered again may end before the registrar has it.
    return order.stage in BEFORE_REGISTRAR | OPEN_AT_REGISTRAR


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


def _is_at(order: Begun, row_id: str, *stages: PartStage) -> bool:
    part = order.part(row_id)
    return part is not None and part.stage in stages


def _after(  # noqa: C901, PLR0911, PLR0912 - a case an event
    order: Begun, event: Event
) -> Begun:
    match event:
        case SuitabilityPassed():
            return replace(order, stage=Stage.SUITABILITY_PASSED, suitability=event)
        case LimitReserved():
            return replace(order, is_reserved=True)
        case MoneyHeld():
            return replace(order, is_held=True)
        case Funded(_, fund_us):
            return replace(order, stage=Stage.FUNDED, is_funded=True, ready_us=fund_us)
        case FundingFailed() | Refused():
            return replace(order, stage=Stage.REJECTED, refusal=event)
        case SharesFrozen(freeze_us):
            return replace(order, stage=Stage.SHARES_FROZEN, is_frozen=True, ready_us=freeze_us)
        case AdvancePaid(advance_id, pay_us, amount):
            return replace(order, advance_id=advance_id, ready_us=pay_us, advance_minor=amount)
        case OfferedAgain():
            return _offered(order, event)
        case Accepted(trade_date):
            return replace(order, stage=Stage.ACCEPTED, accepted=event, trade_date=trade_date)
        case Cancelled():
            return replace(order, stage=Stage.CANCELLED, cancelled=event)
        case Batched():
            return replace(order, stage=Stage.BATCHED, batch=event)
        case Received():
            return replace(order, stage=Stage.TA_RECEIVED)
        case Priced():
            is_moved = order.stage in (Stage.BATCHED, Stage.TA_RECEIVED)
            return replace(order, price=event, stage=Stage.PRICED if is_moved else order.stage)
        case Confirmed():
            parts = (*order.parts, _answered(event))
            return replace(order, stage=Stage.CONFIRMED, parts=parts, is_day_over=False)
        case PartlyConfirmed(confirmation):
            return replace(
                order,
                stage=Stage.PARTIALLY_CONFIRMED,
                parts=(*order.parts, _answered(event)),
                is_day_over=confirmation.is_final or confirmation.rolls_over,
            )
        case PartAgreed(row_id) | DifferenceAccepted(row_id):
            return _with(order, row_id, stage=PartStage.AGREED)
        case PartDisputed(row_id, found):
            return _with(order, row_id, stage=PartStage.DISPUTED, differences=found)
        case PartBooked(row_id):
            return _with(order, row_id, stage=PartStage.BOOKED, booked_as=None)
        case PartCovered() | PartPaid() | EntryRefused() | WalletSpared() | PartCashTold():
            return _after_money(order, event)
        case RemainderRolledOver(trade_date):
            return replace(
                order,
                stage=Stage.ROLLED_OVER,
                trade_date=trade_date,
                price=None,
                is_day_over=False,
            )
        case RemainderCancelled():
            return replace(order, stage=Stage.CONFIRMED, is_day_over=False, is_rest_given_up=True)
        case Returned():
            before = order.returned or Returned(0, 0)
            amount = before.amount_minor + event.amount_minor
            return replace(order, returned=Returned(amount, before.shares + event.shares))
        case Settled():
            is_amended = order.stage is Stage.AMENDED
            return replace(
                order, stage=order.stage if is_amended else Stage.SETTLED, is_settled=True
            )
        case ConfirmationAmended():
            return _amended(order, event)
        case Placed():
            raise AssertionError("an order is placed once")
        case _:
            assert_never(event)


def _offered(order: Begun, event: OfferedAgain) -> Begun:
    """As before its first trade day; what was answered and booked of it stays."""
    return replace(
        order,
        stage=Stage.SHARES_FROZEN,
        offer=event,
        ready_us=event.offer_us,
        accepted=None,
        batch=None,
        price=None,
        is_day_over=False,
        is_rest_given_up=False,
        refusal=None,
    )


def _after_money(
    order: Begun, event: PartCovered | PartPaid | EntryRefused | WalletSpared | PartCashTold
) -> Begun:
    part = order.part(event.row_id)
    if part is None:
        raise AssertionError("what is paid was confirmed")
    match event:
        case PartCovered(row_id, payment_id):
            carried = part.confirmation.amount_minor
            return _with(
                order,
                row_id,
                payment_id=payment_id,
                carried_minor=carried,
                agency_kept_minor=part.agency_told_minor,
            )
        case PartPaid(row_id, amount):
            return _with(order, row_id, paid_minor=part.paid_minor + amount, is_spared=False)
        case EntryRefused(row_id):
            return _with(order, row_id, entry_refusal=event)
        case WalletSpared(row_id):
            return _with(order, row_id, is_spared=True)
        case PartCashTold(row_id, amended, agency):
            # Less is given out of our fees at once; more is there when it has come.
            kept = min(part.agency_kept_minor, agency)
            return _with(
                order,
                row_id,
                told_minor=amended,
                agency_told_minor=agency,
                agency_kept_minor=kept,
            )
        case _:
            assert_never(event)


def _answered(event: Confirmed | PartlyConfirmed) -> Part:
    row = event.confirmation
    return Part(row, row.row_id, PartStage.BOOKED if event.is_booked else PartStage.RECORDED)


def _amended(order: Begun, event: ConfirmationAmended) -> Begun:
    part = order.part(event.before.row_id)
    if part is None:
        raise AssertionError("what is amended was confirmed")
    is_booked = part.stage in (PartStage.BOOKED, PartStage.AMENDED)
    more = event.after.amount_minor - event.before.amount_minor
    agency = event.after.agency_fee_minor - event.before.agency_fee_minor
    agency = agency if pays_in(order) else 0
    has_cash = (more != 0 and not _is_kept(order, event.after)) or agency != 0
    after = replace(
        part,
        confirmation=event.after,
        stage=PartStage.AMENDED if is_booked else PartStage.AGREED,
        differences=(),
        booked_as=(part.booked_as or event.before) if is_booked else None,
        proposal_id=event.proposal_id,
        # Other money than what came before has not come, or gone back, yet.
        payment_id="" if has_cash else part.payment_id,
        is_cash_amended=part.is_cash_amended or has_cash,
        amended_minor=part.amended_minor + (more if has_cash else 0),
        agency_amended_minor=part.agency_amended_minor + agency,
    )
    parts = tuple(after if each is part else each for each in order.parts)
    stage = Stage.AMENDED if order.stage in ANSWERED else order.stage
    return replace(order, parts=parts, stage=stage, is_settled=False)


def _with(order: Begun, row_id: str, **changes: object) -> Begun:
    parts = tuple(
        replace(part, **changes) if part.row_id == row_id else part  # type: ignore[arg-type]
        for part in order.parts
    )
    return replace(order, parts=parts)


def pays_in(order: Begun) -> bool:
    """Whether the investor's money goes to the registrar."""
    return isinstance(order.terms.kind, Subscription)


def brings_cash(order: Begun, part: Part) -> bool:
    """Whether the registrar's money comes for this part."""
    row = part.confirmation
    return not pays_in(order) and not _is_kept(order, row) and row.amount_minor > 0


def _is_kept(order: Begun, row: Confirmation) -> bool:
    """Whether the row's money stays with the registrar, as other shares."""
    kind = order.terms.kind
    return isinstance(kind, Switching) or (
        isinstance(kind, RegistrarMovement) and kind.business_code == DIVIDEND and row.shares > 0
    )
