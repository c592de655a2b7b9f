"""A bank's facility for fast redemptions: what is drawn of it never exceeds its limit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected


@dataclass(frozen=True, slots=True)
class Terms:
    bank_id: str
    currency: str
    # The bank's account that advances come from and go back to.
    bank_account: str
    limit_minor: int


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Opened:
    terms: Terms
    actor: str


@dataclass(frozen=True, slots=True)
class LimitChanged:
    limit_minor: int
    actor: str


@dataclass(frozen=True, slots=True)
class Closed:
    actor: str


@dataclass(frozen=True, slots=True)
class Reserved:
    advance_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Released:
    """Never drawn, or repaid."""

    advance_id: str


Event: TypeAlias = Opened | LimitChanged | Closed | Reserved | Released


# States.
@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Open:
    terms: Terms
    is_closed: bool = False
    # Minor units by advance; 0 for one that is over, which is never reserved again.
    advances: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    used_minor: int = 0

    @property
    def headroom_minor(self) -> int:
        return self.terms.limit_minor - self.used_minor


Facility: TypeAlias = Absent | Open


def evolve(facility: Facility, event: Event) -> Facility:
    match facility, event:
        case Absent(), Opened(terms):
            return Open(terms)
        case Open(), LimitChanged(limit):
            return replace(facility, terms=replace(facility.terms, limit_minor=limit))
        case Open(), Closed():
            return replace(facility, is_closed=True)
        case Open(), Reserved(advance_id, amount):
            used = facility.used_minor + amount
            return replace(facility, advances=_with(facility, advance_id, amount), used_minor=used)
        case Open(), Released(advance_id):
            used = facility.used_minor - facility.advances[advance_id]
            return replace(facility, advances=_with(facility, advance_id, 0), used_minor=used)
    raise AssertionError(f"{event} cannot follow {facility}")


def _with(facility: Open, advance_id: str, amount: int) -> Mapping[str, int]:
    return MappingProxyType({**facility.advances, advance_id: amount})


# Commands.
class Reason(Enum):
    AMOUNT_NOT_POSITIVE = auto()
    FACILITY_NOT_FOUND = auto()
    FACILITY_TERMS_FIXED = auto()
    FACILITY_CLOSED = auto()
    FACILITY_EXHAUSTED = auto()
    FACILITY_DRAWN = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    ADVANCE_NOT_FOUND = auto()


@dataclass(frozen=True, slots=True)
class OpenFacility:
    """Opens it, or changes its limit."""

    terms: Terms
    actor: str


@dataclass(frozen=True, slots=True)
class CloseFacility:
    actor: str


@dataclass(frozen=True, slots=True)
class Reserve:
    advance_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Release:
    advance_id: str


Command: TypeAlias = OpenFacility | CloseFacility | Reserve | Release


def decide(command: Command, facility: Facility) -> Sequence[Event]:
    if isinstance(command, OpenFacility):
        return _open(command, facility)
    if isinstance(facility, Absent):
        raise Rejected(Reason.FACILITY_NOT_FOUND)
    match command:
        case CloseFacility(actor):
            return [] if facility.is_closed else [Closed(actor)]
        case Reserve():
            return _reserve(command, facility)
        case Release(advance_id):
            if advance_id not in facility.advances:
                raise Rejected(Reason.ADVANCE_NOT_FOUND, "nothing was reserved for it")
            return [Released(advance_id)] if facility.advances[advance_id] else []
        case _:
            assert_never(command)


def _open(command: OpenFacility, facility: Facility) -> Sequence[Event]:
    terms = command.terms
    if terms.limit_minor <= 0:
        raise _violation(Reason.AMOUNT_NOT_POSITIVE, "limit_minor", "must be above 0")
    if isinstance(facility, Absent):
        return [Opened(terms, command.actor)]
    if replace(terms, limit_minor=facility.terms.limit_minor) != facility.terms:
        raise Rejected(Reason.FACILITY_TERMS_FIXED, "only its limit can change")
    if facility.is_closed:
        raise Rejected(Reason.FACILITY_CLOSED)
    if terms.limit_minor == facility.terms.limit_minor:
        return []
    if terms.limit_minor < facility.used_minor:
        told = f"{facility.used_minor} are drawn"
        raise _violation(Reason.FACILITY_DRAWN, "limit_minor", told)
    return [LimitChanged(terms.limit_minor, command.actor)]


def _reserve(command: Reserve, facility: Open) -> Sequence[Event]:
    if command.amount_minor <= 0:
        raise _violation(Reason.AMOUNT_NOT_POSITIVE, "amount_minor", "must be above 0")
    known = facility.advances.get(command.advance_id)
    if known is not None:
        if known == command.amount_minor:
            return []
        raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the advance is over, or of another amount")
    if facility.is_closed:
        raise Rejected(Reason.FACILITY_CLOSED)
    if command.amount_minor > facility.headroom_minor:
        raise Rejected(Reason.FACILITY_EXHAUSTED, f"{facility.headroom_minor} are left")
    return [Reserved(command.advance_id, command.amount_minor)]


def _violation(reason: Reason, path: str, told: str) -> Rejected:
    return Rejected(reason, f"{path}: {told}", [FieldViolation(path, told)])


facility: Decider[Command, Facility, Event] = Decider(Absent(), decide, evolve)
