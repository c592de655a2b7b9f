"""A fund order: what may be asked of it, what is decided, and its next step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.ids import is_uuid7
from services.funds.domain.expectation import Expected
from services.funds.domain.expectation import differences as differences_from
from services.funds.domain.order_evolving import evolve, may_follow
from services.funds.domain.order_lifecycle import (
    ANSWERED,
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
    OfferedAgain,
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
    may_be_answered,
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
from services.funds.domain.order_steps import (
    Enter,
    PayInvestor,
    TakeBack,
    is_complete,
    is_return_due,
    step_of_part,
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
)

# How long the money may take to be there, in microseconds; after it the order is given up.
FUNDING_MAX_US = 15 * 60 * 1_000_000


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
    step = step_of_part(order, part) if part is not None else None
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
    if _is_known(begun, fact):
        return []
    if isinstance(fact, Refused) and begun.parts and begun.stage not in ANSWERED:
        # What was answered stands; the rest of it will not come.
        return _with_end(begun, [RemainderCancelled(begun.remaining_shares)])
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
            is_given_up = order.refusal is not None or order.is_rest_given_up
            return is_given_up or fact.serial not in ("", order.serial)
        case SharesFrozen():
            return order.is_frozen
        case AdvancePaid(advance_id):
            return order.advance_id == advance_id
        case OfferedAgain(number=number):
            return number <= order.offers
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


order: Decider[Command, Order, Event] = Decider(Absent(), decide, evolve)
