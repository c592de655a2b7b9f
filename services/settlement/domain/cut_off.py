"""A cut-off: the windows open at one moment, each to be sealed and given to a settlement."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected


@dataclass(frozen=True, slots=True)
class WindowOfBank:
    bank_id: str
    window_id: str


# Events.
@dataclass(frozen=True, slots=True)
class Requested:
    request_id: str
    windows: tuple[WindowOfBank, ...]
    value_date: str


@dataclass(frozen=True, slots=True)
class Completed:
    settlement_ids: tuple[str, ...]


Event: TypeAlias = Requested | Completed


# States.
@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Sealing:
    terms: Requested


@dataclass(frozen=True, slots=True)
class Closed:
    terms: Requested
    settlement_ids: tuple[str, ...]


CutOff: TypeAlias = Absent | Sealing | Closed


def evolve(cut_off: CutOff, event: Event) -> CutOff:
    match cut_off, event:
        case Absent(), Requested():
            return Sealing(event)
        case Sealing(terms), Completed(settlement_ids):
            return Closed(terms, settlement_ids)
    raise AssertionError(f"{event} cannot follow {cut_off}")


class Reason(Enum):
    IDEMPOTENCY_KEY_REUSED = auto()
    STATE_CHANGE_NOT_ALLOWED = auto()


@dataclass(frozen=True, slots=True)
class Request:
    """`asked_bank_ids` are the banks the caller named; none: all of them."""

    terms: Requested
    asked_bank_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Complete:
    settlement_ids: tuple[str, ...]


Command: TypeAlias = Request | Complete


def decide(command: Command, cut_off: CutOff) -> Sequence[Event]:
    match command:
        case Request(terms, asked):
            return _request(terms, asked, cut_off)
        case Complete(settlement_ids):
            return _complete(settlement_ids, cut_off)
        case _:
            assert_never(command)


def _request(terms: Requested, asked: tuple[str, ...], cut_off: CutOff) -> Sequence[Event]:
    if isinstance(cut_off, Absent):
        return [terms]
    # The windows are what was open then, so only what the caller said is compared.
    differing = []
    if cut_off.terms.value_date != terms.value_date:
        differing.append(FieldViolation("value_date", f"was {cut_off.terms.value_date}"))
    if asked and set(asked) != {window.bank_id for window in cut_off.terms.windows}:
        differing.append(FieldViolation("bank_ids", "were others"))
    if differing:
        raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the request had other terms", differing)
    return []


def _complete(settlement_ids: tuple[str, ...], cut_off: CutOff) -> Sequence[Event]:
    match cut_off:
        case Sealing():
            return [Completed(settlement_ids)]
        case Closed(_, known) if known == settlement_ids:
            return []
        case _:
            raise Rejected(Reason.STATE_CHANGE_NOT_ALLOWED, "there is nothing to complete")


class Step(Enum):
    SEAL_WINDOWS = auto()


def next_step(cut_off: CutOff) -> Step | None:
    return Step.SEAL_WINDOWS if isinstance(cut_off, Sealing) else None


cut_off: Decider[Command, CutOff, Event] = Decider(Absent(), decide, evolve)
