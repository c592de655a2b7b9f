"""What can follow what in a fund order's life, and what each event makes of it."""

from typing import assert_never

from libs.replacing import replace
from services.funds.domain.order_lifecycle import (
    ANSWERED,
    BEFORE_REGISTRAR,
    DROPPED,
    OPEN_AT_REGISTRAR,
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
    SuitabilityPassed,
    WalletSpared,
    is_kept,
    is_offer_due,
    is_ready,
    may_be_answered,
    pays_in,
)
from services.funds.domain.order_terms import FastRedemption, Subscription, asked_shares


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


def _is_at(order: Begun, row_id: str, *stages: PartStage) -> bool:
    part = order.part(row_id)
    return part is not None and part.stage in stages


def _has_open_rest(order: Begun) -> bool:
    if order.offer is None or not order.parts:
        return order.stage in (Stage.PARTIALLY_CONFIRMED, Stage.ROLLED_OVER)
    # A rest that was offered again may end before the registrar has it.
    return order.stage in BEFORE_REGISTRAR | OPEN_AT_REGISTRAR


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
    has_cash = (more != 0 and not is_kept(order, event.after)) or agency != 0
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
        replace(part, **changes) if part.row_id == row_id else part for part in order.parts
    )
    return replace(order, parts=parts)
