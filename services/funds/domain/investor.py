"""An investor as funds know one: the class they were told, the warnings that were acknowledged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.fund_arithmetic import InvestorKind
from libs.suitability import InvestorClass, RiskLevel


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class ClassRecorded:
    investor_class: InvestorClass
    kind: InvestorKind
    valid_until: date
    profile_version: str
    actor: str


@dataclass(frozen=True, slots=True)
class WarningAcknowledged:
    warning_id: str
    fund_code: str
    investor_class: InvestorClass
    risk_level: RiskLevel
    # Of the words that were shown.
    text_sha256: str
    acknowledge_us: int


@dataclass(frozen=True, slots=True)
class SecondConfirmed:
    confirmation_id: str
    fund_code: str
    # The warning it insists upon; empty where only the product asks.
    warning_id: str
    confirm_us: int


Event: TypeAlias = ClassRecorded | WarningAcknowledged | SecondConfirmed


# State.
@dataclass(frozen=True, slots=True)
class Investor:
    """Nobody knows a class until one is recorded."""

    profile: ClassRecorded | None = None
    warnings: tuple[WarningAcknowledged, ...] = ()
    confirmations: tuple[SecondConfirmed, ...] = ()

    @property
    def kind(self) -> InvestorKind:
        return self.profile.kind if self.profile is not None else InvestorKind.PERSON

    def warning(self, warning_id: str) -> WarningAcknowledged | None:
        return next((each for each in self.warnings if each.warning_id == warning_id), None)

    def confirmation(self, confirmation_id: str) -> SecondConfirmed | None:
        found = (each for each in self.confirmations if each.confirmation_id == confirmation_id)
        return next(found, None)


def evolve(investor: Investor, event: Event) -> Investor:
    match event:
        case ClassRecorded():
            return replace(investor, profile=event)
        case WarningAcknowledged():
            return replace(investor, warnings=(*investor.warnings, event))
        case SecondConfirmed():
            return replace(investor, confirmations=(*investor.confirmations, event))
        case _:
            assert_never(event)


# Commands.
class Reason(Enum):
    FIELD_REQUIRED = auto()
    INVESTOR_NOT_IDENTIFIED = auto()
    SUITABILITY_CLASS_CHANGED = auto()
    WARNING_UNKNOWN = auto()
    IDEMPOTENCY_KEY_REUSED = auto()


@dataclass(frozen=True, slots=True)
class RecordClass:
    profile: ClassRecorded


@dataclass(frozen=True, slots=True)
class AcknowledgeWarning:
    warning: WarningAcknowledged


@dataclass(frozen=True, slots=True)
class ConfirmAgain:
    confirmation: SecondConfirmed


Command: TypeAlias = RecordClass | AcknowledgeWarning | ConfirmAgain


def decide(command: Command, investor: Investor) -> Sequence[Event]:
    match command:
        case RecordClass(profile):
            return [] if profile == investor.profile else [profile]
        case AcknowledgeWarning(warning):
            return _acknowledge(warning, investor)
        case ConfirmAgain(confirmation):
            return _confirm(confirmation, investor)
        case _:
            assert_never(command)


def _acknowledge(warning: WarningAcknowledged, investor: Investor) -> Sequence[Event]:
    _check_id(warning.warning_id, "warning_id")
    known = investor.warning(warning.warning_id)
    if known is not None:
        # A repeat comes later: its own time is not a term of it.
        return _same(replace(warning, acknowledge_us=known.acknowledge_us) == known)
    if investor.profile is None:
        raise Rejected(Reason.INVESTOR_NOT_IDENTIFIED, "no class is known of this investor")
    if investor.profile.investor_class is not warning.investor_class:
        told = f"the class is {investor.profile.investor_class.name} now"
        raise Rejected(Reason.SUITABILITY_CLASS_CHANGED, told)
    return [warning]


def _confirm(confirmation: SecondConfirmed, investor: Investor) -> Sequence[Event]:
    _check_id(confirmation.confirmation_id, "confirmation_id")
    known = investor.confirmation(confirmation.confirmation_id)
    if known is not None:
        return _same(replace(confirmation, confirm_us=known.confirm_us) == known)
    if confirmation.warning_id:
        warning = investor.warning(confirmation.warning_id)
        if warning is None or warning.fund_code != confirmation.fund_code:
            path = "warning_id"
            told = "no such warning was acknowledged for this fund"
            raise Rejected(Reason.WARNING_UNKNOWN, told, [FieldViolation(path, told)])
    return [confirmation]


def _check_id(id_: str, path: str) -> None:
    if not id_:
        raise Rejected(Reason.FIELD_REQUIRED, path, [FieldViolation(path, "must be given")])


def _same(is_same: bool) -> Sequence[Event]:  # noqa: FBT001 - the answer itself
    if is_same:
        return []
    raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the id was used with other terms")


investor: Decider[Command, Investor, Event] = Decider(Investor(), decide, evolve)
