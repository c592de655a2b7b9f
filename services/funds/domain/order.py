"""A fund order: what may be asked of it, what is decided, and its next step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.ids import is_uuid7
from services.funds.domain.expectation import Expected
from services.funds.domain.expectation import differences as differences_from
from services.funds.domain.order_lifecycle import (
    ANSWERED,
    DROPPED,
    Absent,
    Accepted,
    AdvancePaid,
    Batched,
    Begun,
    Cancelled,
    ConfirmationAmended,
    Confirmed,
    DifferenceAccepted,
    EntryRefused,
    Event,
    Fact,
    Funded,
    FundingFailed,
    LimitReserved,
    MoneyHeld,
    Order,
    Part,
    PartAgreed,
    PartBooked,
    PartCashTold,
    PartCovered,
    PartDisputed,
    PartlyConfirmed,
    PartPaid,
    PartStage,
    Placed,
    Priced,
    Received,
    Refused,
    RemainderCancelled,
    RemainderRolledOver,
    Returned,
    Settled,
    SharesFrozen,
    Stage,
    WalletSpared,
    brings_cash,
    evolve,
    may_be_answered,
    may_follow,
    pays_in,
)
from services.funds.domain.order_placing import (
    Reason,
    Setting,
    as_placed,
    check_shape,
    check_time,
    place,
    violation,
)
from services.funds.domain.order_terms import (
    FORCED_DECREASE,
    FORCED_INCREASE,
    Confirmation,
    DividendModeChange,
    FastRedemption,
    RegistrarMovement,
    Subscription,
    Switching,
    Terms,
    confirmed_as,
    differences,
    target_of,
)

# How long the money may take to be there, in microseconds; after it the order is given up.
FUNDING_MAX_US = 15 * 60 * 1_000_000
_HOUR_US = 3_600_000_000


# Commands.
@dataclass(frozen=True, slots=True)
class Place:
    """`place_us` is the funds' time. Where that is simulated, ids go by `real_us`, the world's."""

    order_id: str
    terms: Terms
    caller: str
    place_us: int
    serial: str
    setting: Setting
    real_us: int = 0


@dataclass(frozen=True, slots=True)
class Cancel:
    request_id: str
    caller: str
    now_us: int


@dataclass(frozen=True, slots=True)
class GiveUpFunding:
    """Time has passed and the money is not there."""

    now_us: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """A row of the registrar; `expected` is what its price gives, where the price is known.

    `is_booked`: before the events are recorded, whoever asks books the row's shares where they say
    so (`says_booked`); so one record says all of it. A row that does not agree is never booked.
    """

    confirmation: Confirmation
    expected: Expected | None
    is_booked: bool = False


@dataclass(frozen=True, slots=True)
class BeginByRegistrar:
    """A confirm-only row: the order begins with its answer."""

    order_id: str
    terms: Terms
    ta_id: str
    serial: str
    place_us: int
    confirmation: Confirmation
    expected: Expected | None


@dataclass(frozen=True, slots=True)
class JudgePart:
    """Measure a row that came before its price."""

    row_id: str
    expected: Expected


@dataclass(frozen=True, slots=True)
class AcceptDifference:
    row_id: str
    proposal_id: str


@dataclass(frozen=True, slots=True)
class Amend:
    """The registrar's row says something else now, and two operators agree."""

    confirmation: Confirmation
    proposal_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """A fact, of a step of ours or heard."""

    fact: Fact


Command: TypeAlias = (
    Place
    | Cancel
    | GiveUpFunding
    | Confirm
    | BeginByRegistrar
    | JudgePart
    | AcceptDifference
    | Amend
    | Record
)


def decide(command: Command, order: Order) -> Sequence[Event]:
    match command:
        case Place():
            return _place(command, order)
        case Cancel():
            return _cancel(command, order)
        case GiveUpFunding(now_us):
            return _give_up(now_us, order)
        case Confirm():
            return _confirm_and_end(command, order)
        case BeginByRegistrar():
            return _begin_by_registrar(command, order)
        case JudgePart(row_id, expected):
            return _judge(row_id, expected, order)
        case AcceptDifference():
            return _accept_difference(command, order)
        case Amend():
            return _amend(command, order)
        case Record(fact):
            return _record(fact, order)
        case _:
            assert_never(command)


def _place(command: Place, order: Order) -> Sequence[Event]:
    check_shape(command.order_id, command.terms)
    command = replace(command, terms=as_placed(command.terms, command.setting))
    if isinstance(order, Begun):
        if order.placed.caller != command.caller:
            # Of another caller's order nothing is told, not even in which fields it differs.
            raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the id is taken")
        found = differences(command.terms, order.terms)
        if found:
            told = "the id was used with other terms"
            raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, told, found)
        return []
    check_time(command.order_id, max(command.place_us, command.real_us))
    placed = Placed(
        command.order_id, command.terms, command.caller, command.place_us, "", command.serial, ""
    )
    return place(placed, command.setting)


def _cancel(command: Cancel, order: Order) -> Sequence[Event]:
    if not is_uuid7(command.request_id):
        raise violation(Reason.ID_MALFORMED, "request_id", "not a UUIDv7 in canonical form")
    if isinstance(order, Absent) or order.placed.caller != command.caller:
        raise Rejected(Reason.ORDER_NOT_FOUND)
    if order.cancelled is not None:
        return []
    if order.stage in ANSWERED:
        raise Rejected(Reason.ALREADY_CONFIRMED, "the registrar has confirmed it")
    if order.advance_id or order.stage is Stage.REJECTED:
        raise Rejected(Reason.ORDER_STATE, f"the order is {order.stage.name}")
    is_cooling_off = order.placed.cooling_off_h > 0 and order.stage is Stage.FUNDED
    if is_cooling_off:
        return [Cancelled(command.request_id)]
    if order.accepted is None:
        raise Rejected(Reason.ORDER_STATE, "its money or shares are being set aside")
    if order.stage is not Stage.ACCEPTED or command.now_us >= order.accepted.cut_off_us:
        raise Rejected(Reason.CUTOFF_PASSED, f"its trade day is {order.accepted.trade_date}")
    return [Cancelled(command.request_id)]


def _give_up(now_us: int, order: Order) -> Sequence[Event]:
    begun = _begun(order)
    is_waiting = begun.stage is Stage.SUITABILITY_PASSED and not isinstance(
        begun.terms.kind, DividendModeChange
    )
    if not is_waiting or now_us < begun.placed.place_us + FUNDING_MAX_US:
        return []
    return [FundingFailed("FUNDING_TIMED_OUT", "the money or the shares were not there in time")]


def _begun(order: Order) -> Begun:
    if isinstance(order, Absent):
        raise Rejected(Reason.ORDER_NOT_FOUND)
    return order


def _begin_by_registrar(command: BeginByRegistrar, order: Order) -> Sequence[Event]:
    if not isinstance(command.terms.kind, RegistrarMovement):
        raise violation(Reason.FIELD_NOT_ALLOWED, "terms.kind", "an investor begins it")
    answer = Confirm(command.confirmation, command.expected)
    if isinstance(order, Begun):
        return _confirm(answer, order)
    placed = Placed(
        command.order_id,
        command.terms,
        f"registrar:{command.ta_id}",
        command.place_us,
        command.ta_id,
        command.serial,
        command.terms.kind.business_code,
    )
    begun = evolve(order, placed)
    return [placed, *_confirm(answer, begun)]


def says_booked(events: Sequence[Event]) -> bool:
    """Whether the row's shares are to be in the holding before these events are recorded."""
    return any(isinstance(e, Confirmed | PartlyConfirmed) and e.is_booked for e in events)


def _confirm_and_end(command: Confirm, order: Order) -> Sequence[Event]:
    events = _confirm(command, order)
    row = command.confirmation
    # Money that the row moves is nowhere yet: the order is not at its end.
    moves_cash = row.amount_minor and not (
        isinstance(order, Begun) and isinstance(order.terms.kind, Switching)
    )
    return events if moves_cash or not events else _with_end(_begun(order), events)


def _confirm(command: Confirm, order: Order) -> Sequence[Event]:
    confirmation = command.confirmation
    if isinstance(order, Absent):
        raise Rejected(Reason.UNKNOWN_ORDER, "no order of ours has this number")
    known = order.part(confirmation.row_id)
    if known is not None:
        if known.confirmation == confirmation:
            return []
        told = "the row was answered with other content; that is an amendment"
        raise Rejected(Reason.CONFIRMATION_DIFFERS, told)
    if order.stage in ANSWERED:
        raise Rejected(Reason.ALREADY_CONFIRMED, "all of it was answered by other rows")
    if not may_be_answered(order):
        raise Rejected(Reason.ORDER_STATE, f"the order is {order.stage.name}")
    events: list[Event] = []
    if _is_next_day(confirmation, order):
        # The registrar has gone on to the next day before we have.
        rolled = RemainderRolledOver(confirmation.trade_date, order.remaining_shares)
        events, order = [rolled], _begun(evolve(order, rolled))
    _check_row(confirmation, order)
    judged = _judged(command, order)
    is_booked = command.is_booked and isinstance(judged, PartAgreed)
    events += _answered(confirmation, order, is_booked=is_booked)
    if judged is not None and not is_booked:
        events.append(judged)
    return events


def _judged(command: Confirm, order: Begun) -> PartAgreed | PartDisputed | None:
    """What the price says of the row; None while it is missing."""
    row = command.confirmation
    if not _has_price(order):
        return PartAgreed(row.row_id)
    return None if command.expected is None else _measured(row, command.expected)


def _has_price(order: Begun) -> bool:
    """Whether a price says what a row ought to be."""
    match order.terms.kind:
        case DividendModeChange():
            return False
        case RegistrarMovement(business_code=code):
            return code not in (FORCED_INCREASE, FORCED_DECREASE)
        case _:
            return True


def _check_row(row: Confirmation, order: Begun) -> None:
    kind = order.terms.kind
    target = kind.target_code if isinstance(kind, Switching) else ""
    wanted = (
        ("fund_code", kind.fund_code, row.fund_code),
        ("target_code", target, row.target_code),
        ("business_code", confirmed_as(order.placed.business_code), row.business_code),
        ("trade_date", order.trade_date or row.trade_date, row.trade_date),
    )
    found = [
        FieldViolation(name, f"{theirs} is not {ours}")
        for name, ours, theirs in wanted
        if ours != theirs
    ]
    if found:
        told = "; ".join(f"{each.field}: {each.description}" for each in found)
        raise Rejected(Reason.CONFIRMATION_DIFFERS, told, found)
    if min(row.shares, row.amount_minor, row.fee_minor, row.target_shares, row.refund_minor) < 0:
        raise violation(Reason.CONFIRMATION_DIFFERS, "shares", "is below zero")
    if isinstance(kind, Subscription):
        left = kind.amount.minor - order.confirmed_minor
        if row.amount_minor > left:
            told = f"{left} minor units were asked for"
            raise violation(Reason.CONFIRMED_ABOVE_ASKED, "amount_minor", told)
    elif order.placed.shares and row.shares > order.remaining_shares:
        told = f"{order.remaining_shares} shares were asked for"
        raise violation(Reason.CONFIRMED_ABOVE_ASKED, "shares", told)


def _is_next_day(row: Confirmation, order: Begun) -> bool:
    is_later = order.trade_date is not None and row.trade_date > order.trade_date
    is_open = order.stage is Stage.PARTIALLY_CONFIRMED and order.is_day_over
    return is_later and is_open and order.remaining_shares > 0


def _answered(row: Confirmation, order: Begun, *, is_booked: bool) -> Sequence[Event]:
    left = order.remaining_shares - row.shares if order.placed.shares else 0
    if not row.is_final:
        return [PartlyConfirmed(row, is_booked)]
    if left <= 0:
        return [Confirmed(row, is_booked)]
    # The last row says less than was asked for: whatever we asked for, no other will come.
    return [PartlyConfirmed(row, is_booked), RemainderCancelled(left)]


def _measured(row: Confirmation, expected: Expected) -> PartAgreed | PartDisputed:
    found = differences_from(row, expected)
    return PartDisputed(row.row_id, found) if found else PartAgreed(row.row_id)


def _part(row_id: str, order: Order) -> Part:
    part = _begun(order).part(row_id)
    if part is None:
        raise Rejected(Reason.ROW_UNKNOWN, f"no row {row_id} was recorded")
    return part


def _judge(row_id: str, expected: Expected, order: Order) -> Sequence[Event]:
    part = _part(row_id, order)
    if part.stage is not PartStage.RECORDED:
        return []
    return [_measured(part.confirmation, expected)]


def _accept_difference(command: AcceptDifference, order: Order) -> Sequence[Event]:
    part = _part(command.row_id, order)
    if part.stage is PartStage.DISPUTED:
        return [DifferenceAccepted(command.row_id, command.proposal_id)]
    if part.stage is PartStage.RECORDED:
        raise Rejected(Reason.ORDER_STATE, "the row was not measured yet")
    return []


def _amend(command: Amend, order: Order) -> Sequence[Event]:
    part = _part(command.confirmation.row_id, order)
    if part.confirmation == command.confirmation:
        return []
    amended = ConfirmationAmended(part.confirmation, command.confirmation, command.proposal_id)
    _check_amended(amended, _begun(order))
    return [amended]


def _check_amended(amended: ConfirmationAmended, order: Begun) -> None:
    kind, before, after = order.terms.kind, amended.before, amended.after
    if isinstance(kind, FastRedemption) and before.amount_minor != after.amount_minor:
        raise Rejected(Reason.ORDER_STATE, "a bank's advance is repaid by what was confirmed")
    part = order.part(before.row_id)
    step = _step_of_part(order, part) if part is not None else None
    is_returning = isinstance(kind, Subscription) and is_return_due(order)
    if isinstance(step, PayInvestor | Enter | TakeBack) or is_returning:
        # Whether that has been posted is not known here: a moment later it is.
        raise Rejected(Reason.ORDER_STATE, "its money is moving right now: propose it again")
    if isinstance(kind, Subscription):
        returned = order.returned.amount_minor if order.returned is not None else 0
        left = kind.amount.minor - order.confirmed_minor + before.amount_minor - returned
        if after.amount_minor > left:
            told = f"{left} minor units are left of what was asked for"
            raise violation(Reason.CONFIRMED_ABOVE_ASKED, "amount_minor", told)


def _record(fact: Fact, order: Order) -> Sequence[Event]:
    begun = _begun(order)
    if isinstance(fact, Refused) and begun.parts and begun.stage not in ANSWERED:
        # What was answered stands; the rest of it will not come.
        return _with_end(begun, [RemainderCancelled(begun.remaining_shares)])
    if _is_known(begun, fact):
        return []
    if not may_follow(begun, fact):
        told = f"{type(fact).__name__} at {begun.stage.name}"
        raise Rejected(Reason.CONTRADICTS_RECORD, told)
    return _with_end(begun, [fact])


def _with_end(order: Begun, events: Sequence[Event]) -> Sequence[Event]:
    """With the end of the order, where nothing is left to do after these events."""
    after: Order = order
    for event in events:
        after = evolve(after, event)
    is_end = isinstance(after, Begun) and not after.is_settled and is_complete(after)
    return [*events, Settled()] if is_end else events


def is_complete(order: Begun) -> bool:
    """Whether shares and cash of every part are where they belong."""
    if order.stage not in (Stage.CONFIRMED, Stage.AMENDED) or is_return_due(order):
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
    owed = return_of(order)
    return order.stage in ANSWERED and (owed.amount_minor > 0 or owed.shares > 0)


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


def _is_known(order: Begun, fact: Fact) -> bool:  # noqa: C901, PLR0911, PLR0912 - a case a fact
    """Whether the fact is a repeat, or too late to matter."""
    match fact:
        case LimitReserved():
            return order.is_reserved
        case MoneyHeld():
            return order.is_held
        case Funded():
            return order.is_funded
        case FundingFailed():
            return order.refusal is not None
        case Refused():
            # Of an answered order only the rest that was given up can be meant.
            return order.refusal is not None or order.is_rest_given_up
        case SharesFrozen():
            return order.is_frozen
        case AdvancePaid(advance_id):
            return order.advance_id == advance_id
        case Accepted():
            return order.accepted is not None
        case Batched():
            return order.batch == fact
        case Received():
            return order.batch is not None and order.stage is not Stage.BATCHED
        case Priced():
            return order.price == fact
        case PartBooked(row_id):
            part = order.part(row_id)
            return part is not None and part.stage is PartStage.BOOKED
        case PartCovered(row_id, payment_id):
            part = order.part(row_id)
            return part is not None and part.payment_id == payment_id
        case PartPaid(row_id, amount):
            part = order.part(row_id)
            if part is None:
                return False
            owed, paid = part.confirmation.amount_minor, part.paid_minor
            return paid <= owed if amount < 0 else paid >= owed > 0
        case EntryRefused(row_id):
            part = order.part(row_id)
            return part is not None and part.entry_refusal is not None
        case WalletSpared(row_id):
            part = order.part(row_id)
            if part is None:
                return False
            # Too late to matter: the wallet has given it back in the meantime.
            return part.is_spared or part.paid_minor <= part.confirmation.amount_minor
        case PartCashTold(row_id, amended, agency):
            part = order.part(row_id)
            told = (part.told_minor, part.agency_told_minor) if part is not None else None
            return told == (amended, agency)
        case RemainderRolledOver(trade_date):
            return order.trade_date == trade_date and bool(order.parts)
        case Returned():
            return order.returned is not None and not is_return_due(order)
        case _:
            assert_never(fact)


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
        step = _step_of_part(order, part)
        if step is not None:
            return step
    if order.stage is Stage.PARTIALLY_CONFIRMED and order.is_day_over and order.remaining_shares:
        return Action.ROLL_OVER
    if is_return_due(order):
        return Action.GIVE_BACK
    return _step_of_beginning(order)


def _step_of_part(order: Begun, part: Part) -> Step | None:
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


order: Decider[Command, Order, Event] = Decider(Absent(), decide, evolve)
