"""A bank partner: who it is, what it can do, and whether its accounts stand in the journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected

INQUIRY_AFTER_S = (60, 600, 3_600)
BATCH_MAX = 1


@dataclass(frozen=True, slots=True)
class Capability:
    """What a bank can do. An absent value means the most cautious behaviour."""

    inquiry_after_s: tuple[int, ...] = ()
    final_status: tuple[str, ...] = ()
    refusal_is_final: bool = False
    batch_max: int = 0
    credit_line_minor: int = 0
    dedupe_horizon_s: int = 0

    @property
    def schedule_s(self) -> tuple[int, ...]:
        """Seconds after a doubt at which we ask."""
        return self.inquiry_after_s or INQUIRY_AFTER_S

    @property
    def batch_size(self) -> int:
        """Largest number of transactions in one message."""
        return max(self.batch_max, BATCH_MAX)


# Events.
@dataclass(frozen=True, slots=True)
class Registered:
    bank_id: str
    legal_name: str
    address: str
    link_identity: str
    public_key: bytes
    key_id: str
    account_number: str
    currency_code: str
    capability: Capability


@dataclass(frozen=True, slots=True)
class Opened:
    window_id: str
    mirror_account_id: str


Event: TypeAlias = Registered | Opened


# States.
@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Known:
    terms: Registered


@dataclass(frozen=True, slots=True)
class Open:
    terms: Registered
    window_id: str
    mirror_account_id: str


Partner: TypeAlias = Absent | Known | Open


def evolve(partner: Partner, event: Event) -> Partner:
    match partner, event:
        case Absent(), Registered():
            return Known(event)
        case Known(terms), Opened(window_id, mirror_account_id):
            return Open(terms, window_id, mirror_account_id)
    raise AssertionError(f"{event} cannot follow {partner}")


class Reason(Enum):
    PARTNER_TERMS_DIFFER = auto()
    PARTNER_NOT_FOUND = auto()
    PARTNER_NOT_OPEN = auto()


@dataclass(frozen=True, slots=True)
class Register:
    terms: Registered


@dataclass(frozen=True, slots=True)
class RecordOpening:
    window_id: str
    mirror_account_id: str


Command: TypeAlias = Register | RecordOpening


def decide(command: Command, partner: Partner) -> Sequence[Event]:
    match command:
        case Register(terms):
            return _register(terms, partner)
        case RecordOpening(window_id, mirror_account_id):
            return _open(window_id, mirror_account_id, partner)
        case _:
            assert_never(command)


def _register(terms: Registered, partner: Partner) -> Sequence[Event]:
    if isinstance(partner, Absent):
        return [terms]
    if partner.terms == terms:
        return []
    differing = [
        FieldViolation(f"partner.{name}", "differs from what is registered")
        for name in Registered.__slots__
        if getattr(terms, name) != getattr(partner.terms, name)
    ]
    raise Rejected(Reason.PARTNER_TERMS_DIFFER, "the bank is registered otherwise", differing)


def _open(window_id: str, mirror_account_id: str, partner: Partner) -> Sequence[Event]:
    match partner:
        case Absent():
            raise Rejected(Reason.PARTNER_NOT_FOUND)
        case Known():
            return [Opened(window_id, mirror_account_id)]
        case Open():
            return []
        case _:
            assert_never(partner)


class Step(Enum):
    OPEN_ACCOUNTS = auto()


def next_step(partner: Partner) -> Step | None:
    return Step.OPEN_ACCOUNTS if isinstance(partner, Known) else None


partner: Decider[Command, Partner, Event] = Decider(Absent(), decide, evolve)
