"""Limits of one scope: what payments of an account, a customer, a merchant or a tenant may come to.

A payment reserves before any money moves; the reservation is confirmed with what was moved, or
released. It counts in the business day in which it was made, whenever it is confirmed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import Enum, auto
from types import MappingProxyType
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.money import MINOR_MAX, CurrencyUnknown, exponent

LIMITS_MAX = 100
ROLLING_MS = 24 * 60 * 60 * 1_000
# What ended so long ago counts nowhere: the longest span is a month.
KEPT_DAYS = 40
KEPT_MS = KEPT_DAYS * ROLLING_MS
TIMED_OUT = "TIMED_OUT"


# Terms. The names are storage.
class Span(Enum):
    SINGLE = auto()
    DAY = auto()
    MONTH = auto()
    ROLLING_24H = auto()


class Mode(Enum):
    OFF = auto()
    ADVISORY = auto()
    ENFORCE = auto()


class Posture(Enum):
    """What is done while the state of the limit is not known."""

    OPEN = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class Limit:
    """`kind` "": of every kind of payment. Amounts in minor units; None: without end."""

    name: str
    kind: str
    currency: str
    span: Span
    amount_max: int | None
    count_max: int | None
    mode: Mode
    posture: Posture
    restore_on_refund: bool = False


# Events.
@dataclass(frozen=True, slots=True)
class LimitsSet:
    """`accounts`: those whose payments are counted here, where the scope is not an account."""

    limits: tuple[Limit, ...]
    accounts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reserved:
    """`exceeded`: names of advisory limits that it goes beyond."""

    payment_id: str
    kind: str
    currency: str
    minor: int
    business_date: str
    at_ms: int
    exceeded: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """`limit` said no; so much was left of it, -1 where it has no such bound."""

    payment_id: str
    limit: str
    left_minor: int
    left_count: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Confirmed:
    payment_id: str
    minor: int


@dataclass(frozen=True, slots=True)
class Released:
    payment_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class Restored:
    payment_id: str
    refund_id: str
    minor: int


Event: TypeAlias = LimitsSet | Reserved | Denied | Confirmed | Released | Restored


# States.
class Stage(Enum):
    RESERVED = auto()
    CONFIRMED = auto()
    RELEASED = auto()


@dataclass(frozen=True, slots=True)
class Reservation:
    """`minor`: what counts: reserved, and then what was confirmed."""

    made: Reserved
    minor: int
    stage: Stage = Stage.RESERVED
    cause: str = ""
    restored: tuple[tuple[str, int], ...] = ()

    @property
    def restored_minor(self) -> int:
        return sum(minor for _, minor in self.restored)


@dataclass(frozen=True, slots=True)
class DayKind:
    """What confirmed payments of one day are added up by."""

    business_date: str
    kind: str
    currency: str


@dataclass(frozen=True, slots=True)
class Total:
    """Confirmed payments that no rolling span has in it any more."""

    minor: int
    count: int


@dataclass(frozen=True, slots=True)
class Scope:
    """Reservations one by one as long as any of them may change; older ones added up by day."""

    limits: tuple[Limit, ...] = ()
    accounts: tuple[str, ...] = ()
    reservations: Mapping[str, Reservation] = field(default_factory=lambda: MappingProxyType({}))
    denied: Mapping[str, Denied] = field(default_factory=lambda: MappingProxyType({}))
    totals: Mapping[DayKind, Total] = field(default_factory=lambda: MappingProxyType({}))


def evolve(scope: Scope, event: Event) -> Scope:
    match event:
        case LimitsSet(limits, accounts):
            return replace(scope, limits=limits, accounts=accounts)
        case Reserved():
            return _reserved(scope, event)
        case Denied():
            kept_denied = {
                id_: each
                for id_, each in scope.denied.items()
                if each.at_ms > event.at_ms - ROLLING_MS
            }
            kept_denied[event.payment_id] = event
            return replace(scope, denied=MappingProxyType(kept_denied))
        case Confirmed(payment_id, minor):
            return _changed(scope, payment_id, stage=Stage.CONFIRMED, minor=minor)
        case Released(payment_id, cause):
            return _changed(scope, payment_id, stage=Stage.RELEASED, cause=cause)
        case Restored(payment_id, refund_id, minor):
            before = scope.reservations[payment_id].restored
            return _changed(scope, payment_id, restored=(*before, (refund_id, minor)))
        case _:
            assert_never(event)


def _reserved(scope: Scope, event: Reserved) -> Scope:
    """With it, all that has ended long enough before is let go or added up."""
    earliest = date.fromisoformat(event.business_date) - timedelta(days=KEPT_DAYS)
    is_restored = any(limit.restore_on_refund for limit in scope.limits)
    kept: dict[str, Reservation] = {}
    totals = {
        key: total
        for key, total in scope.totals.items()
        if key.business_date >= earliest.isoformat()
    }
    for id_, each in scope.reservations.items():
        age_ms = event.at_ms - each.made.at_ms
        if each.stage is Stage.RESERVED or age_ms < ROLLING_MS:
            kept[id_] = each
        elif age_ms >= KEPT_MS or (each.stage is Stage.RELEASED and each.cause != TIMED_OUT):
            continue
        elif is_restored or each.restored or each.stage is Stage.RELEASED:
            # A refund may still give some of it back, or what was forgotten turn up.
            kept[id_] = each
        else:
            made = each.made
            key = DayKind(made.business_date, made.kind, made.currency)
            before = totals.get(key, Total(0, 0))
            totals[key] = Total(before.minor + each.minor, before.count + (each.minor > 0))
    kept[event.payment_id] = Reservation(event, event.minor)
    return replace(scope, reservations=MappingProxyType(kept), totals=MappingProxyType(totals))


def _changed(scope: Scope, payment_id: str, **changes: object) -> Scope:
    changed = replace(scope.reservations[payment_id], **changes)  # type: ignore[arg-type]
    return replace(
        scope, reservations=MappingProxyType({**scope.reservations, payment_id: changed})
    )


# Commands.
class Reason(Enum):
    FIELD_NOT_ALLOWED = auto()
    AMOUNT_NOT_POSITIVE = auto()
    AMOUNT_OUT_OF_RANGE = auto()
    CURRENCY_UNKNOWN = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    RESERVATION_NOT_FOUND = auto()
    RESERVATION_RELEASED = auto()
    RESERVATION_CONFIRMED = auto()
    CONFIRM_EXCEEDS_RESERVED = auto()


@dataclass(frozen=True, slots=True)
class SetLimits:
    limits: tuple[Limit, ...]
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reserve:
    payment_id: str
    kind: str
    currency: str
    minor: int
    business_date: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Confirm:
    payment_id: str
    minor: int


@dataclass(frozen=True, slots=True)
class Release:
    payment_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class Restore:
    payment_id: str
    refund_id: str
    minor: int


Command: TypeAlias = SetLimits | Reserve | Confirm | Release | Restore


def decide(command: Command, scope: Scope) -> Sequence[Event]:
    match command:
        case SetLimits():
            return _set(command, scope)
        case Reserve():
            return _reserve(command, scope)
        case Confirm():
            return _confirm(command, scope)
        case Release():
            return _release(command, scope)
        case Restore():
            return _restore(command, scope)
        case _:
            assert_never(command)


def _set(command: SetLimits, scope: Scope) -> Sequence[Event]:
    if len(command.limits) > LIMITS_MAX:
        raise _violation(Reason.FIELD_NOT_ALLOWED, "limits", f"at most {LIMITS_MAX}")
    names = [limit.name for limit in command.limits]
    for n, limit in enumerate(command.limits):
        _check(limit, f"limits[{n}]")
        if names.index(limit.name) != n:
            raise _violation(Reason.FIELD_NOT_ALLOWED, f"limits[{n}].name", "stands there twice")
    if (command.limits, command.accounts) == (scope.limits, scope.accounts):
        return []
    return [LimitsSet(command.limits, command.accounts)]


def _check(limit: Limit, path: str) -> None:
    try:
        exponent(limit.currency)
    except CurrencyUnknown as error:
        field_ = f"{path}.currency_code"
        raise _violation(Reason.CURRENCY_UNKNOWN, field_, str(error)) from error
    for name, most in (("amount_max_minor", limit.amount_max), ("count_max", limit.count_max)):
        if most is not None and not 0 <= most <= MINOR_MAX:
            raise _violation(Reason.AMOUNT_OUT_OF_RANGE, f"{path}.{name}", f"0 to {MINOR_MAX}")
    if limit.amount_max is None and limit.count_max is None:
        text = "an amount, a count or both"
        raise _violation(Reason.FIELD_NOT_ALLOWED, f"{path}.amount_max_minor", text)
    if limit.span is Span.SINGLE and limit.count_max is not None:
        raise _violation(Reason.FIELD_NOT_ALLOWED, f"{path}.count_max", "a single one is one")


def _violation(reason: Reason, path: str, text: str) -> Rejected:
    return Rejected(reason, f"{path}: {text}", [FieldViolation(path, text)])


def _reserve(command: Reserve, scope: Scope) -> Sequence[Event]:
    known = scope.reservations.get(command.payment_id)
    if known is not None:
        made = known.made
        before = (made.kind, made.currency, made.minor)
        if before != (command.kind, command.currency, command.minor):
            raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "reserved with other terms")
        if known.stage is not Stage.RELEASED or known.cause != TIMED_OUT:
            return []
    if command.payment_id in scope.denied:
        return []
    if command.minor <= 0:
        raise _violation(Reason.AMOUNT_NOT_POSITIVE, "amount", "must be above 0")
    exceeded: list[str] = []
    applies = False
    for limit in scope.limits:
        if not applies_to(limit, command.kind, command.currency):
            continue
        applies = True
        left_minor, left_count = left_of(limit, scope, command.business_date, command.at_ms)
        is_beyond = (left_minor is not None and command.minor > left_minor) or left_count == 0
        if not is_beyond:
            continue
        if limit.mode is Mode.ENFORCE:
            return [
                Denied(
                    command.payment_id,
                    limit.name,
                    -1 if left_minor is None else left_minor,
                    -1 if left_count is None else left_count,
                    command.at_ms,
                )
            ]
        exceeded.append(limit.name)
    if not applies:
        return []
    return [
        Reserved(
            command.payment_id,
            command.kind,
            command.currency,
            command.minor,
            command.business_date,
            command.at_ms,
            tuple(exceeded),
        )
    ]


def applies_to(limit: Limit, kind: str, currency: str) -> bool:
    """Whether a payment counts towards a limit that is not off."""
    is_of_kind = limit.kind in ("", kind)
    return limit.mode is not Mode.OFF and is_of_kind and limit.currency == currency


def left_of(
    limit: Limit, scope: Scope, business_date: str, now_ms: int
) -> tuple[int | None, int | None]:
    """What is left of a limit, in minor units and in payments; None: it has no such bound."""
    minor = count = 0
    if limit.span is not Span.SINGLE:
        for each in scope.reservations.values():
            if each.stage is Stage.RELEASED or not _counts(limit, each, business_date, now_ms):
                continue
            restored = each.restored_minor if limit.restore_on_refund else 0
            minor += each.minor - restored
            count += each.minor > restored
        for key, total in scope.totals.items():
            if _adds_to(limit, key, business_date):
                minor += total.minor
                count += total.count
    return (
        None if limit.amount_max is None else max(0, limit.amount_max - minor),
        None if limit.count_max is None else max(0, limit.count_max - count),
    )


def _counts(limit: Limit, each: Reservation, business_date: str, now_ms: int) -> bool:
    made = each.made
    if limit.span is Span.ROLLING_24H:
        is_of_kind = limit.kind in ("", made.kind) and limit.currency == made.currency
        return is_of_kind and made.at_ms > now_ms - ROLLING_MS
    key = DayKind(made.business_date, made.kind, made.currency)
    return _adds_to(limit, key, business_date)


def _adds_to(limit: Limit, key: DayKind, business_date: str) -> bool:
    """Whether payments of such a day and kind count in the limit's span of days."""
    if limit.kind not in ("", key.kind) or limit.currency != key.currency:
        return False
    match limit.span:
        case Span.SINGLE | Span.ROLLING_24H:
            return False
        case Span.DAY:
            return key.business_date == business_date
        case Span.MONTH:
            month = len("2026-09")
            return key.business_date[:month] == business_date[:month]
        case _:
            assert_never(limit.span)


def _confirm(command: Confirm, scope: Scope) -> Sequence[Event]:
    known = scope.reservations.get(command.payment_id)
    if known is None:
        raise Rejected(Reason.RESERVATION_NOT_FOUND)
    if command.minor > known.made.minor:
        text = f"{known.made.minor} were reserved"
        raise Rejected(Reason.CONFIRM_EXCEEDS_RESERVED, text)
    if known.stage is Stage.CONFIRMED:
        if known.minor != command.minor:
            raise Rejected(Reason.RESERVATION_CONFIRMED, f"with {known.minor}")
        return []
    # One that was taken for forgotten, and was not: what has moved counts.
    if known.stage is Stage.RELEASED and known.cause != TIMED_OUT:
        raise Rejected(Reason.RESERVATION_RELEASED)
    return [Confirmed(command.payment_id, command.minor)]


def _release(command: Release, scope: Scope) -> Sequence[Event]:
    known = scope.reservations.get(command.payment_id)
    if known is None or known.stage is Stage.RELEASED:
        return []
    if known.stage is Stage.CONFIRMED:
        raise Rejected(Reason.RESERVATION_CONFIRMED, "what has moved is not given back here")
    return [Released(command.payment_id, command.cause)]


def _restore(command: Restore, scope: Scope) -> Sequence[Event]:
    known = scope.reservations.get(command.payment_id)
    if known is None or known.stage is not Stage.CONFIRMED:
        return []
    if any(refund_id == command.refund_id for refund_id, _ in known.restored):
        return []
    minor = min(command.minor, known.minor - known.restored_minor)
    return [Restored(command.payment_id, command.refund_id, minor)] if minor > 0 else []


limits: Decider[Command, Scope, Event] = Decider(Scope(), decide, evolve)
