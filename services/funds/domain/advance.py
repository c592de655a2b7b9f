"""An advance: one fast redemption's money, drawn from a bank at once and repaid days later."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, Rejected


@dataclass(frozen=True, slots=True)
class Terms:
    order_id: str
    # Which facility, and the wallet that is paid.
    bank_id: str
    currency: str
    wallet_account_id: str
    ta_id: str
    amount_minor: int


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Requested:
    advance_id: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class HeadroomReserved: ...


@dataclass(frozen=True, slots=True)
class DrawRequested:
    payment_id: str


@dataclass(frozen=True, slots=True)
class DrawDoubted:
    """The bank has not said: the reservation stays, it is asked, the wallet gets nothing yet."""

    cause: str


@dataclass(frozen=True, slots=True)
class Drawn:
    bank_reference: str


@dataclass(frozen=True, slots=True)
class Refused:
    """By the facility or by the bank: nothing was drawn."""

    reason: str


@dataclass(frozen=True, slots=True)
class Paid:
    """The wallet has it, in one posting with the claim on the registrar."""

    journal_position: int


@dataclass(frozen=True, slots=True)
class ProceedsArrived:
    """What the ordinary redemption brought."""

    amount_minor: int
    payment_id: str


@dataclass(frozen=True, slots=True)
class IncomeOwed:
    """Income of the earmarked shares, which is the bank's; minor units in all."""

    amount_minor: int


@dataclass(frozen=True, slots=True)
class IncomeDue:
    """All that the shares have earned is known: it is collected, and paid on to the bank."""

    amount_minor: int


@dataclass(frozen=True, slots=True)
class IncomeRequested:
    """From the registrar, into what we owe the bank."""

    payment_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class IncomeArrived:
    payment_id: str


@dataclass(frozen=True, slots=True)
class IncomePayRequested:
    """To the bank."""

    payment_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class IncomePaid:
    payment_id: str


@dataclass(frozen=True, slots=True)
class IncomeFailed:
    """A payment of it, from the registrar or to the bank, came to nothing."""

    payment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RepayRequested:
    payment_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class RepayFailed:
    payment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Repaid:
    payment_id: str


@dataclass(frozen=True, slots=True)
class HeadroomReleased: ...


Fact: TypeAlias = (
    HeadroomReserved
    | DrawRequested
    | DrawDoubted
    | Drawn
    | Refused
    | Paid
    | ProceedsArrived
    | IncomeOwed
    | RepayRequested
    | RepayFailed
    | Repaid
    | HeadroomReleased
    | IncomeRequested
    | IncomeArrived
    | IncomePayRequested
    | IncomePaid
    | IncomeFailed
)
Event: TypeAlias = Requested | Fact | IncomeDue


# States.
class Stage(Enum):
    REQUESTED = auto()
    RESERVED = auto()
    DRAWING = auto()
    DRAWN = auto()
    PAID = auto()
    ARRIVED = auto()
    REPAYING = auto()
    REPAID = auto()
    REFUSED = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Begun:
    advance_id: str
    terms: Terms
    stage: Stage = Stage.REQUESTED
    is_reserved: bool = False
    draw_payment_id: str = ""
    is_in_doubt: bool = False
    is_drawn: bool = False
    is_paid: bool = False
    refusal: str = ""
    arrived_minor: int = 0
    arrivals: frozenset[str] = frozenset()
    income_minor: int = 0
    repay: RepayRequested | None = None
    # Repayments that came to nothing: each is asked for anew under another id.
    failed_repays: frozenset[str] = frozenset()
    # What the bank is still to have of the income, and the payments that bring and take it.
    income_due_minor: int = 0
    income_pull_id: str = ""
    is_income_here: bool = False
    income_payout_id: str = ""
    is_income_paid: bool = False
    failed_incomes: frozenset[str] = frozenset()

    @property
    def repay_minor(self) -> int:
        return self.terms.amount_minor


Advance: TypeAlias = Absent | Begun


def evolve(advance: Advance, event: Event) -> Advance:
    if isinstance(advance, Absent):
        if isinstance(event, Requested):
            return Begun(event.advance_id, event.terms)
    elif not isinstance(event, Requested) and may_follow(advance, event):
        return _after(advance, event)
    raise AssertionError(f"{event} cannot follow {advance}")


def may_follow(  # noqa: C901, PLR0911, PLR0912 - a case a fact
    advance: Begun, fact: Fact | IncomeDue
) -> bool:
    """The one table of what follows what."""
    stage = advance.stage
    match fact:
        case HeadroomReserved():
            return stage is Stage.REQUESTED
        case DrawRequested():
            return stage is Stage.RESERVED
        case DrawDoubted():
            return stage is Stage.DRAWING and not advance.is_in_doubt
        case Drawn():
            return stage is Stage.DRAWING
        case Refused():
            return stage in (Stage.REQUESTED, Stage.RESERVED, Stage.DRAWING)
        case Paid():
            return stage is Stage.DRAWN
        case ProceedsArrived(_, payment_id):
            return stage is Stage.PAID and payment_id not in advance.arrivals
        case IncomeOwed(amount):
            # Once the repayment is under way, all of it has been told.
            is_open = stage in (Stage.PAID, Stage.ARRIVED)
            return advance.is_paid and is_open and amount > advance.income_minor
        case RepayRequested(payment_id, amount):
            is_new = payment_id not in advance.failed_repays
            return stage is Stage.ARRIVED and is_new and amount == advance.repay_minor
        case RepayFailed(payment_id) | Repaid(payment_id):
            is_it = advance.repay is not None and advance.repay.payment_id == payment_id
            return stage is Stage.REPAYING and is_it
        case HeadroomReleased():
            return stage in (Stage.REPAID, Stage.REFUSED)
        case IncomeDue(amount):
            return stage is Stage.CLOSED and 0 < amount == advance.income_minor
        case IncomeRequested(payment_id, amount):
            is_free = not advance.income_pull_id and payment_id not in advance.failed_incomes
            return is_free and 0 < amount == advance.income_due_minor
        case IncomeArrived(payment_id):
            return advance.income_pull_id == payment_id and not advance.is_income_here
        case IncomePayRequested(payment_id, amount):
            is_free = not advance.income_payout_id and payment_id not in advance.failed_incomes
            return advance.is_income_here and is_free and amount == advance.income_due_minor
        case IncomePaid(payment_id):
            return advance.income_payout_id == payment_id and not advance.is_income_paid
        case IncomeFailed(payment_id):
            return payment_id in _incomes_under_way(advance)
        case _:
            assert_never(fact)


def _incomes_under_way(advance: Begun) -> frozenset[str]:
    pull = "" if advance.is_income_here else advance.income_pull_id
    payout = "" if advance.is_income_paid else advance.income_payout_id
    return frozenset({pull, payout} - {""})


def _after(  # noqa: C901, PLR0911, PLR0912 - a case a fact
    advance: Begun, event: Fact | IncomeDue
) -> Begun:
    match event:
        case HeadroomReserved():
            return replace(advance, stage=Stage.RESERVED, is_reserved=True)
        case DrawRequested(payment_id):
            return replace(advance, stage=Stage.DRAWING, draw_payment_id=payment_id)
        case DrawDoubted():
            return replace(advance, is_in_doubt=True)
        case Drawn():
            return replace(advance, stage=Stage.DRAWN, is_drawn=True, is_in_doubt=False)
        case Refused(reason):
            stage = Stage.REFUSED if advance.is_reserved else Stage.CLOSED
            return replace(advance, stage=stage, refusal=reason, is_in_doubt=False)
        case Paid():
            return replace(advance, stage=Stage.PAID, is_paid=True)
        case ProceedsArrived(amount, payment_id):
            arrived = advance.arrived_minor + amount
            is_all = arrived >= advance.terms.amount_minor
            return replace(
                advance,
                arrived_minor=arrived,
                arrivals=advance.arrivals | {payment_id},
                stage=Stage.ARRIVED if is_all else Stage.PAID,
            )
        case IncomeOwed(amount):
            return replace(advance, income_minor=amount)
        case RepayRequested():
            return replace(advance, stage=Stage.REPAYING, repay=event)
        case RepayFailed(payment_id):
            failed = advance.failed_repays | {payment_id}
            return replace(advance, stage=Stage.ARRIVED, repay=None, failed_repays=failed)
        case Repaid():
            return replace(advance, stage=Stage.REPAID)
        case HeadroomReleased():
            return replace(advance, stage=Stage.CLOSED)
        case IncomeDue(amount):
            return replace(advance, income_due_minor=amount)
        case IncomeRequested(payment_id):
            return replace(advance, income_pull_id=payment_id)
        case IncomeArrived():
            return replace(advance, is_income_here=True)
        case IncomePayRequested(payment_id):
            return replace(advance, income_payout_id=payment_id)
        case IncomePaid():
            return replace(advance, is_income_paid=True)
        case IncomeFailed(payment_id):
            failed = advance.failed_incomes | {payment_id}
            if payment_id == advance.income_payout_id:
                return replace(advance, income_payout_id="", failed_incomes=failed)
            return replace(advance, income_pull_id="", failed_incomes=failed)
        case _:
            assert_never(event)


# Commands.
class Reason(Enum):
    ADVANCE_NOT_FOUND = auto()
    ADVANCE_STATE = auto()
    IDEMPOTENCY_KEY_REUSED = auto()


@dataclass(frozen=True, slots=True)
class Request:
    advance_id: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class Record:
    fact: Fact


Command: TypeAlias = Request | Record


def decide(command: Command, advance: Advance) -> Sequence[Event]:
    match command, advance:
        case Request(advance_id, terms), Absent():
            return [Requested(advance_id, terms)]
        case Request(_, terms), Begun():
            if advance.terms == terms:
                return []
            raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the id was used with other terms")
        case Record(), Absent():
            raise Rejected(Reason.ADVANCE_NOT_FOUND)
        case Record(fact), Begun():
            return _record(fact, advance)
    raise AssertionError(f"{command} cannot be decided")


def _record(fact: Fact, advance: Begun) -> Sequence[Event]:
    if may_follow(advance, fact):
        is_earned = isinstance(fact, HeadroomReleased) and advance.income_minor > 0
        return [fact, IncomeDue(advance.income_minor)] if is_earned else [fact]
    if _is_known(fact, advance):
        return []
    told = f"{type(fact).__name__} at {advance.stage.name}"
    raise Rejected(Reason.ADVANCE_STATE, told)


def _is_known(  # noqa: C901, PLR0911, PLR0912 - a case a fact
    fact: Fact, advance: Begun
) -> bool:
    stage = advance.stage
    match fact:
        case HeadroomReserved():
            return advance.is_reserved
        case DrawRequested(payment_id):
            return advance.draw_payment_id == payment_id
        case DrawDoubted():
            return advance.is_in_doubt or advance.is_drawn or bool(advance.refusal)
        case Drawn():
            return advance.is_drawn
        case Refused():
            return bool(advance.refusal)
        case Paid():
            return advance.is_paid
        case ProceedsArrived(_, payment_id):
            return payment_id in advance.arrivals
        case IncomeOwed(amount):
            return advance.is_paid and amount <= advance.income_minor
        case RepayRequested(payment_id):
            is_it = advance.repay is not None and advance.repay.payment_id == payment_id
            return is_it or payment_id in advance.failed_repays
        case RepayFailed(payment_id):
            return payment_id in advance.failed_repays
        case Repaid(payment_id):
            is_it = advance.repay is not None and advance.repay.payment_id == payment_id
            return is_it and stage in (Stage.REPAID, Stage.CLOSED)
        case HeadroomReleased():
            return stage is Stage.CLOSED
        case IncomeRequested(payment_id):
            return payment_id in {advance.income_pull_id, *advance.failed_incomes}
        case IncomeArrived(payment_id):
            return advance.is_income_here and payment_id == advance.income_pull_id
        case IncomePayRequested(payment_id):
            return payment_id in {advance.income_payout_id, *advance.failed_incomes}
        case IncomePaid(payment_id):
            return advance.is_income_paid and payment_id == advance.income_payout_id
        case IncomeFailed(payment_id):
            return payment_id in advance.failed_incomes
        case _:
            assert_never(fact)


class Action(Enum):
    RESERVE_HEADROOM = auto()
    REQUEST_DRAW = auto()
    # Asked again while in doubt; only DONE pays.
    AWAIT_DRAW = auto()
    PAY_WALLET = auto()
    REPAY = auto()
    AWAIT_REPAY = auto()
    RELEASE_HEADROOM = auto()
    # What earmarked shares have earned: from the registrar, then to the bank.
    REQUEST_INCOME = auto()
    AWAIT_INCOME = auto()
    PAY_INCOME = auto()
    AWAIT_INCOME_PAID = auto()


def next_step(advance: Advance) -> Action | None:
    if isinstance(advance, Absent):
        return None
    return {
        Stage.REQUESTED: Action.RESERVE_HEADROOM,
        Stage.RESERVED: Action.REQUEST_DRAW,
        Stage.DRAWING: Action.AWAIT_DRAW,
        Stage.DRAWN: Action.PAY_WALLET,
        # Until the registrar pays, a weekend long.
        Stage.PAID: None,
        Stage.ARRIVED: Action.REPAY,
        Stage.REPAYING: Action.AWAIT_REPAY,
        Stage.REPAID: Action.RELEASE_HEADROOM,
        Stage.REFUSED: Action.RELEASE_HEADROOM,
        Stage.CLOSED: _income_step(advance),
    }[advance.stage]


def _income_step(advance: Begun) -> Action | None:
    if not advance.income_due_minor or advance.is_income_paid:
        return None
    if advance.is_income_here:
        return Action.AWAIT_INCOME_PAID if advance.income_payout_id else Action.PAY_INCOME
    return Action.AWAIT_INCOME if advance.income_pull_id else Action.REQUEST_INCOME


advance: Decider[Command, Advance, Event] = Decider(Absent(), decide, evolve)
