"""What an order waits for from us: what is owed to whom, and the next step."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from services.funds.domain.order_lifecycle import (
    ANSWERED,
    DROPPED,
    Absent,
    Begun,
    FundingFailed,
    Order,
    Part,
    PartStage,
    Returned,
    Stage,
    brings_cash,
    is_offer_due,
    pays_in,
)
from services.funds.domain.order_terms import (
    DividendModeChange,
    FastRedemption,
    Subscription,
    target_of,
)

_HOUR_US = 3_600_000_000


class Action(Enum):
    RESERVE_LIMIT = auto()
    PLACE_HOLD = auto()
    CAPTURE = auto()
    # Of a purchase that a switch pays for: the money is with us, and is the other registrar's now.
    CARRY_OVER = auto()
    FREEZE_SHARES = auto()
    PAY_ADVANCE = auto()
    ACCEPT = auto()
    ROLL_OVER = auto()
    # What repays a bank's advance was refused: the next trading day it is tried again.
    OFFER_AGAIN = auto()
    # Money, shares and the day's limit, whatever of it was set aside.
    GIVE_BACK = auto()


@dataclass(frozen=True, slots=True)
class Judge:
    """Measure a row by the price of its day; wait where that is missing."""

    row_id: str


@dataclass(frozen=True, slots=True)
class BookShares:
    row_id: str


@dataclass(frozen=True, slots=True)
class PayInvestor:
    """Proceeds to the wallet; of a fast redemption, the advance back to the bank."""

    row_id: str


@dataclass(frozen=True, slots=True)
class Enter:
    """Buy the other registrar's fund with what this part of a switch has brought."""

    row_id: str


@dataclass(frozen=True, slots=True)
class TakeBack:
    """An amended row pays less than the wallet has had: the rest comes back from it."""

    row_id: str


@dataclass(frozen=True, slots=True)
class TellDay:
    """Let the registrar's day pay or collect by how much an amended row's money differs."""

    row_id: str


@dataclass(frozen=True, slots=True)
class SeeCash:
    """See whether the day's money is even with the registrar, the difference included."""

    row_id: str


Step: TypeAlias = Action | Judge | BookShares | PayInvestor | Enter | TakeBack | TellDay | SeeCash


def next_step(order: Order) -> Step | None:
    if isinstance(order, Absent):
        return None
    for part in order.parts:
        step = step_of_part(order, part)
        if step is not None:
            return step
    if order.stage is Stage.PARTIALLY_CONFIRMED and order.is_day_over and order.remaining_shares:
        return Action.ROLL_OVER
    if is_offer_due(order):
        return Action.OFFER_AGAIN
    if is_return_due(order):
        return Action.GIVE_BACK
    return _step_of_beginning(order)


def step_of_part(order: Begun, part: Part) -> Step | None:
    match part.stage:
        case PartStage.RECORDED:
            return Judge(part.row_id)
        case PartStage.AGREED | PartStage.AMENDED:
            return BookShares(part.row_id)
        case PartStage.DISPUTED:
            return None
        case PartStage.BOOKED:
            return _cash_step(order, part)
        case _:
            assert_never(part.stage)


def _cash_step(order: Begun, part: Part) -> Step | None:
    owes = part.confirmation.amount_minor - part.paid_minor
    if owes < 0:
        return TakeBack(part.row_id)
    if not part.is_told:
        return TellDay(part.row_id)
    if part.is_cash_amended and not part.is_covered:
        return SeeCash(part.row_id)
    is_owed = brings_cash(order, part) and part.is_covered
    if not is_owed or owes == 0:
        return None
    # What an amendment brings more, after the purchase, is the wallet's.
    enters = target_of(order.terms.kind) and part.entry_refusal is None and not part.paid_minor
    return Enter(part.row_id) if enters else PayInvestor(part.row_id)


def _step_of_beginning(order: Begun) -> Step | None:
    match order.terms.kind, order.stage:
        case Subscription(), Stage.SUITABILITY_PASSED:
            if order.placed.is_limited and not order.is_reserved:
                return Action.RESERVE_LIMIT
            if order.terms.switch_id:
                return Action.CARRY_OVER
            return Action.CAPTURE if order.is_held else Action.PLACE_HOLD
        case DividendModeChange(), Stage.SUITABILITY_PASSED:
            return Action.ACCEPT
        case _, Stage.SUITABILITY_PASSED:
            return Action.FREEZE_SHARES
        case FastRedemption(), Stage.SHARES_FROZEN if not order.advance_id:
            return Action.PAY_ADVANCE
        case _, (Stage.FUNDED | Stage.SHARES_FROZEN):
            return Action.ACCEPT
        case _:
            return None


def accept_from_us(order: Begun) -> int:
    """The instant its trade day is fixed from: of money or shares, after any cooling-off."""
    return order.ready_us + order.placed.cooling_off_h * _HOUR_US


def is_complete(order: Begun) -> bool:
    """Whether shares and cash of every part are where they belong."""
    if order.stage not in (Stage.CONFIRMED, Stage.AMENDED):
        return False
    if is_offer_due(order) or is_return_due(order):
        return False
    return all(part.stage is PartStage.BOOKED and _is_paid(order, part) for part in order.parts)


def _is_paid(order: Begun, part: Part) -> bool:
    if part.is_cash_amended and not (part.is_covered and part.is_told):
        return False
    if pays_in(order):
        return part.is_covered or part.confirmation.amount_minor == 0
    if not brings_cash(order, part):
        return part.paid_minor == 0
    return part.is_covered and part.paid_minor == part.confirmation.amount_minor


def is_return_due(order: Begun) -> bool:
    """Whether money, shares or the day's limit are still to be given back."""
    if order.stage in DROPPED:
        if order.returned is not None:
            return False
        # Of funding that failed it is not known whether a hold was placed: releasing finds out.
        may_hold = isinstance(order.terms.kind, Subscription) and isinstance(
            order.refusal, FundingFailed
        )
        is_aside = order.is_held or order.is_funded or order.is_frozen
        return is_aside or order.is_reserved or may_hold
    # What an amended row does not take any more is with the registrar until it has paid it back.
    if pays_in(order) and any(part.is_cash_amended and not part.is_covered for part in order.parts):
        return False
    if _is_unpaid_to_tell(order):
        return True
    owed = return_of(order)
    return order.stage in ANSWERED and (owed.amount_minor > 0 or owed.shares > 0)


def _is_unpaid_to_tell(order: Begun) -> bool:
    """Whether all is answered, and repays less than the bank has advanced: operators are told."""
    is_open = order.stage in ANSWERED and order.returned is None and not order.is_settled
    is_less = order.remaining_shares > 0 or order.confirmed_minor < order.advance_minor
    is_booked = all(part.stage is PartStage.BOOKED for part in order.parts)
    is_over = bool(order.advance_id) and is_booked and not is_offer_due(order)
    return is_open and is_less and is_over


def return_of(order: Begun) -> Returned:
    """What is given back: all of what was dropped, or what no row has taken; once for ever."""
    kind, before = order.terms.kind, order.returned or Returned(0, 0)
    if isinstance(kind, Subscription):
        taken = before.amount_minor + (0 if order.stage in DROPPED else order.confirmed_minor)
        return Returned(max(0, kind.amount.minor - taken) if order.is_funded else 0, 0)
    if order.advance_id:
        # They were paid for at once: the investor does not have them beside the money.
        return Returned(0, 0)
    is_all = order.stage in DROPPED
    shares = (order.placed.shares if is_all else order.remaining_shares) - before.shares
    return Returned(0, max(0, shares) if order.is_frozen else 0)
