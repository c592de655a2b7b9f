"""A regular plan 定投: an instalment on each due date, skipped or suspended by rule."""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from enum import Enum, auto
from types import MappingProxyType
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.ids import derived_id, is_uuid7
from libs.money import Money
from libs.trading_calendar import Calendar, session_from
from services.funds.domain import fund as funds
from services.funds.domain import order_terms
from services.funds.domain.investor import Investor
from services.funds.domain.order_placing import check_suitability
from services.funds.domain.product import FundStatus

MAX_FAIL = 3
_DAY = timedelta(days=1)
_WEEK, _FORTNIGHT = 7, 14
_LAST_WEEKDAY, _LAST_MONTH_DAY, _LAST_MONTH = 7, 31, 12


class Frequency(Enum):
    """The names are storage."""

    DAY = auto()  # each session
    WEEK = auto()
    BIWEEK = auto()
    MONTH = auto()


@dataclass(frozen=True, slots=True)
class Terms:
    investor_id: str
    wallet_account_id: str
    fund_code: str
    amount: Money
    frequency: Frequency
    # Of the week, 1 for Monday; of the month, clamped to its end; 0 for DAY.
    send_day: int
    begin_date: date
    end_date: date | None = None
    max_fail: int = MAX_FAIL
    recommendation_id: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """An instalment's nominal day, which names it, and the session on which it is placed."""

    due_date: date
    session: date


def next_due(terms: Terms, after: date | None, calendars: Sequence[Calendar]) -> Due | None:
    """The first instalment after a day, or of all; none past the end. Raises `CalendarUnknown`.

    A due date that is no session moves to the next one.
    """
    day = terms.begin_date if after is None else max(terms.begin_date, after + _DAY)
    match terms.frequency:
        case Frequency.DAY:
            due = session_from(day, calendars)
        case Frequency.WEEK:
            due = _on_weekday(day, terms.send_day)
        case Frequency.BIWEEK:
            first = _on_weekday(terms.begin_date, terms.send_day)
            fortnights = -((first - day).days // _FORTNIGHT)
            due = first + timedelta(days=_FORTNIGHT * max(0, fortnights))
        case Frequency.MONTH:
            due = _in_month(day.year, day.month, terms.send_day)
            if due < day:
                year, month = (
                    (day.year + 1, 1) if day.month == _LAST_MONTH else (day.year, day.month + 1)
                )
                due = _in_month(year, month, terms.send_day)
        case _:
            assert_never(terms.frequency)
    if terms.end_date is not None and due > terms.end_date:
        return None
    return Due(due, session_from(due, calendars))


def _on_weekday(day: date, weekday: int) -> date:
    return day + timedelta(days=(weekday - day.isoweekday()) % _WEEK)


def _in_month(year: int, month: int, send_day: int) -> date:
    return date(year, month, min(send_day, monthrange(year, month)[1]))


def order_id_of(plan_id: str, due_date: date) -> str:
    """The order of an instalment: run again, it is the same order."""
    return str(derived_id(plan_id, "installment", due_date.toordinal()))


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Created:
    plan_id: str
    terms: Terms
    caller: str
    create_us: int


@dataclass(frozen=True, slots=True)
class Changed:
    terms: Terms
    request_id: str


@dataclass(frozen=True, slots=True)
class InstallmentIssued:
    due_date: date
    order_id: str


@dataclass(frozen=True, slots=True)
class InstallmentPlaced:
    """The order has its money: failures in a row begin anew."""

    due_date: date


@dataclass(frozen=True, slots=True)
class InstallmentSkipped:
    due_date: date
    reason: str


@dataclass(frozen=True, slots=True)
class Suspended:
    reason: str
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Resumed:
    request_id: str
    # Instalments due before this day are not made up for.
    from_date: date


@dataclass(frozen=True, slots=True)
class Stopped:
    request_id: str


Event: TypeAlias = (
    Created
    | Changed
    | InstallmentIssued
    | InstallmentPlaced
    | InstallmentSkipped
    | Suspended
    | Resumed
    | Stopped
)


# States.
class Stage(Enum):
    ACTIVE = auto()
    SUSPENDED = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Begun:
    plan_id: str
    terms: Terms
    caller: str
    stage: Stage = Stage.ACTIVE
    reason: str = ""
    # No instalment due up to and on this day is issued any more.
    done_until: date | None = None
    # Orders whose outcome is not known yet, by due date.
    pending: Mapping[date, str] = field(default_factory=lambda: MappingProxyType({}))
    failures: int = 0
    requests: frozenset[str] = frozenset()


Plan: TypeAlias = Absent | Begun


def evolve(plan: Plan, event: Event) -> Plan:
    match plan, event:
        case Absent(), Created(plan_id, terms, caller):
            return Begun(plan_id, terms, caller)
        case Begun(), Created():
            pass
        case Begun(), _:
            return _after(plan, event)
    raise AssertionError(f"{event} cannot follow {plan}")


def _after(plan: Begun, event: Event) -> Begun:
    match event:
        case Changed(terms, request_id):
            return replace(plan, terms=terms, requests=plan.requests | {request_id})
        case InstallmentIssued(due_date, order_id):
            issued = MappingProxyType({**plan.pending, due_date: order_id})
            return replace(plan, pending=issued, done_until=due_date)
        case InstallmentPlaced(due_date):
            return replace(plan, pending=_without(plan, due_date), failures=0)
        case InstallmentSkipped(due_date):
            pending = _without(plan, due_date)
            done = max(due_date, plan.done_until or due_date)
            return replace(plan, pending=pending, failures=plan.failures + 1, done_until=done)
        case Suspended(reason, request_id):
            requests = plan.requests | {request_id}
            return replace(plan, stage=Stage.SUSPENDED, reason=reason, requests=requests)
        case Resumed(request_id, from_date):
            eve = from_date - _DAY
            return replace(
                plan,
                stage=Stage.ACTIVE,
                reason="",
                failures=0,
                done_until=max(eve, plan.done_until or eve),
                requests=plan.requests | {request_id},
            )
        case Stopped(request_id):
            return replace(plan, stage=Stage.STOPPED, requests=plan.requests | {request_id})
        case Created():
            raise AssertionError("a plan is created once")
        case _:
            assert_never(event)


def _without(plan: Begun, due_date: date) -> Mapping[date, str]:
    return MappingProxyType({day: id_ for day, id_ in plan.pending.items() if day != due_date})


# Commands.
class Reason(Enum):
    ID_MALFORMED = auto()
    AMOUNT_NOT_POSITIVE = auto()
    PLAN_SCHEDULE_INVALID = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    UNKNOWN_FUND = auto()
    CURRENCY_DIFFERS = auto()
    FUND_CLOSED = auto()
    BELOW_MINIMUM = auto()
    PLAN_NOT_FOUND = auto()
    PLAN_STATE = auto()
    INSTALLMENT_NOT_DUE = auto()


@dataclass(frozen=True, slots=True)
class Setting:
    fund: funds.Fund
    investor: Investor
    today: date


@dataclass(frozen=True, slots=True)
class Create:
    plan_id: str
    terms: Terms
    caller: str
    create_us: int
    setting: Setting


@dataclass(frozen=True, slots=True)
class Change:
    request_id: str
    terms: Terms
    caller: str
    setting: Setting


@dataclass(frozen=True, slots=True)
class Suspend:
    request_id: str
    caller: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resume:
    request_id: str
    caller: str
    today: date


@dataclass(frozen=True, slots=True)
class Stop:
    request_id: str
    caller: str


@dataclass(frozen=True, slots=True)
class Issue:
    """The instalment that `next_due` gives, once its session has come."""

    due: Due
    today: date


@dataclass(frozen=True, slots=True)
class RecordPlaced:
    due_date: date


@dataclass(frozen=True, slots=True)
class RecordFailed:
    """The order was refused, or its money was not there; the reason is the order's."""

    due_date: date
    reason: str


Command: TypeAlias = Create | Change | Suspend | Resume | Stop | Issue | RecordPlaced | RecordFailed


def decide(command: Command, plan: Plan) -> Sequence[Event]:
    if isinstance(command, Create):
        return _create(command, plan)
    if isinstance(plan, Absent):
        raise Rejected(Reason.PLAN_NOT_FOUND)
    match command:
        case Change() | Suspend() | Resume() | Stop():
            return _asked(command, plan)
        case Issue(due, today):
            return _issue(due, today, plan)
        case RecordPlaced(due_date):
            return [InstallmentPlaced(due_date)] if due_date in plan.pending else []
        case RecordFailed(due_date, reason):
            return _failed(due_date, reason, plan)
        case _:
            assert_never(command)


def _create(command: Create, plan: Plan) -> Sequence[Event]:
    if not is_uuid7(command.plan_id):
        raise _violation(Reason.ID_MALFORMED, "plan_id", "not a UUIDv7 in canonical form")
    if isinstance(plan, Begun):
        is_same = plan.caller == command.caller
        if is_same and plan.terms == command.terms:
            return []
        found = _differences(command.terms, plan.terms) if is_same else ()
        raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the id is taken", found)
    _check(command.terms, command.setting)
    return [Created(command.plan_id, command.terms, command.caller, command.create_us)]


def _differences(asked: Terms, before: Terms) -> tuple[FieldViolation, ...]:
    return tuple(
        FieldViolation(f"terms.{each.name}", f"was {getattr(before, each.name)}")
        for each in fields(Terms)
        if getattr(asked, each.name) != getattr(before, each.name)
    )


def _check(terms: Terms, setting: Setting) -> None:
    if terms.amount.minor <= 0:
        raise _violation(Reason.AMOUNT_NOT_POSITIVE, "terms.amount.minor_units", "must be above 0")
    _check_schedule(terms)
    if isinstance(setting.fund, funds.Absent):
        raise _violation(Reason.UNKNOWN_FUND, "terms.fund_code", "no such fund")
    fund = setting.fund
    if terms.amount.currency != fund.terms.currency:
        told = f"the fund is in {fund.terms.currency}"
        raise _violation(Reason.CURRENCY_DIFFERS, "terms.amount.currency_code", told)
    if fund.status in (FundStatus.CLOSED, FundStatus.RAISING):
        raise Rejected(Reason.FUND_CLOSED, f"the fund is {fund.status.name}")
    if terms.amount.minor < fund.terms.limits.top_up_minor:
        told = f"at least {fund.terms.limits.top_up_minor}"
        raise _violation(Reason.BELOW_MINIMUM, "terms.amount.minor_units", told)
    # A plan never rests on a warning, so what would need one is refused from the beginning.
    check_suitability(order_of(terms, "plan", setting.today), fund, setting.investor, setting.today)


def _check_schedule(terms: Terms) -> None:
    last = {
        Frequency.DAY: 0,
        Frequency.WEEK: _LAST_WEEKDAY,
        Frequency.BIWEEK: _LAST_WEEKDAY,
        Frequency.MONTH: _LAST_MONTH_DAY,
    }[terms.frequency]
    if not min(1, last) <= terms.send_day <= last:
        told = f"not between {min(1, last)} and {last}"
        raise _violation(Reason.PLAN_SCHEDULE_INVALID, "terms.send_day", told)
    if terms.end_date is not None and terms.end_date < terms.begin_date:
        told = "is before the plan begins"
        raise _violation(Reason.PLAN_SCHEDULE_INVALID, "terms.end_date", told)
    if terms.max_fail < 1:
        raise _violation(Reason.PLAN_SCHEDULE_INVALID, "terms.max_fail", "at least 1")


def order_of(terms: Terms, plan_id: str, due_date: date) -> order_terms.Terms:
    """What an instalment asks for."""
    return order_terms.Terms(
        terms.investor_id,
        terms.wallet_account_id,
        order_terms.Subscription(terms.fund_code, terms.amount),
        recommendation_id=terms.recommendation_id,
        plan_id=plan_id,
        plan_due_date=due_date,
    )


def _asked(command: Change | Suspend | Resume | Stop, plan: Begun) -> Sequence[Event]:
    if not is_uuid7(command.request_id):
        raise _violation(Reason.ID_MALFORMED, "request_id", "not a UUIDv7 in canonical form")
    if plan.caller != command.caller:
        raise Rejected(Reason.PLAN_NOT_FOUND)
    if command.request_id in plan.requests:
        return []
    if plan.stage is Stage.STOPPED:
        if isinstance(command, Stop):
            return []
        raise Rejected(Reason.PLAN_STATE, "the plan has been stopped")
    match command:
        case Change(request_id, terms, _, setting):
            _check_change(terms, plan)
            _check(terms, setting)
            return [] if terms == plan.terms else [Changed(terms, request_id)]
        case Suspend(request_id, _, reason):
            is_done = plan.stage is Stage.SUSPENDED
            return [] if is_done else [Suspended(reason, request_id)]
        case Resume(request_id, _, today):
            return [] if plan.stage is Stage.ACTIVE else [Resumed(request_id, today)]
        case Stop(request_id):
            return [Stopped(request_id)]
        case _:
            assert_never(command)


def _check_change(terms: Terms, plan: Begun) -> None:
    fixed = ("investor_id", "wallet_account_id", "fund_code", "recommendation_id")
    found = [each for each in _differences(terms, plan.terms) if each.field[6:] in fixed]
    if found:
        raise Rejected(Reason.PLAN_STATE, "that is another plan", found)


def _issue(due: Due, today: date, plan: Begun) -> Sequence[Event]:
    if plan.done_until is not None and due.due_date <= plan.done_until:
        return []
    if plan.stage is not Stage.ACTIVE:
        raise Rejected(Reason.PLAN_STATE, f"the plan is {plan.stage.name}")
    if due.session > today:
        raise Rejected(Reason.INSTALLMENT_NOT_DUE, f"it is placed on {due.session}")
    return [InstallmentIssued(due.due_date, order_id_of(plan.plan_id, due.due_date))]


def _failed(due_date: date, reason: str, plan: Begun) -> Sequence[Event]:
    if due_date not in plan.pending:
        return []
    skipped = InstallmentSkipped(due_date, reason)
    if plan.stage is not Stage.ACTIVE:
        return [skipped]
    if reason.startswith("SUITABILITY"):
        return [skipped, Suspended(reason)]
    is_last = plan.failures + 1 >= plan.terms.max_fail
    return [skipped, Suspended("TOO_MANY_FAILURES")] if is_last else [skipped]


def _violation(reason: Reason, path: str, told: str) -> Rejected:
    return Rejected(reason, f"{path}: {told}", [FieldViolation(path, told)])


@dataclass(frozen=True, slots=True)
class PlaceInstallment:
    """Place the order, and tell what became of its money."""

    due_date: date
    order_id: str


Step: TypeAlias = PlaceInstallment


def next_step(plan: Plan) -> Step | None:
    if isinstance(plan, Absent) or not plan.pending:
        return None
    first = min(plan.pending)
    return PlaceInstallment(first, plan.pending[first])


plan: Decider[Command, Plan, Event] = Decider(Absent(), decide, evolve)
