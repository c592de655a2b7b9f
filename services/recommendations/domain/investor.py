"""An investor: questionnaire, class, preferences, consent, warnings; what advice stands on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.suitability import RiskLevel, Suitability, suitability
from services.recommendations.domain.investor_lifecycle import (
    ADVICE,
    DAY_US,
    REVIEW_DUE,
    Blocked,
    ClassAssigned,
    ClassExpired,
    ConsentGiven,
    ConsentWithdrawn,
    Event,
    Forgotten,
    Investor,
    PreferencesSet,
    ProfessionalRecognised,
    ProfessionalWithdrawn,
    Registered,
    Scores,
    State,
    Submitted,
    Unblocked,
    Unknown,
    WarningAcknowledged,
    WarningShown,
    class_at,
    evolve,
)
from services.recommendations.domain.preferences import Preferences, wrong_in
from services.recommendations.domain.questionnaire import (
    Assessment,
    assess,
    contradictions,
    mistakes,
)
from services.recommendations.domain.questionnaire_2026 import QUESTIONNAIRE, QUESTIONNAIRES


# Commands.
class Reason(Enum):
    INVESTOR_NOT_FOUND = auto()
    INVESTOR_FORGOTTEN = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    QUESTIONNAIRE_UNKNOWN = auto()
    QUESTIONNAIRE_OUTDATED = auto()
    ANSWERS_INCOMPLETE = auto()
    ANSWERS_CONTRADICT = auto()
    RETAKE_LIMIT = auto()
    PREFERENCES_INVALID = auto()
    PROFILE_MISSING = auto()
    WARNING_NOT_NEEDED = auto()
    WARNING_NOT_SHOWN = auto()
    CLASS_MAY_NEVER_BUY = auto()


@dataclass(frozen=True, slots=True)
class Register:
    investor_id: str
    account_ids: tuple[str, ...]
    caller: str
    now_us: int


@dataclass(frozen=True, slots=True)
class Submit:
    """A whole sheet; `sealed`, `digest` and `changed` are made with the investor's own key."""

    request_id: str
    version: str
    answers: Mapping[str, str]
    sealed: bytes
    digest: str
    changed: tuple[str, ...]
    now_us: int


@dataclass(frozen=True, slots=True)
class SetPreferences:
    request_id: str
    preferences: Preferences
    now_us: int


@dataclass(frozen=True, slots=True)
class SetConsent:
    request_id: str
    is_given: bool
    now_us: int


@dataclass(frozen=True, slots=True)
class EndClass:
    """The review is due (then only once the time is over), or a change was reported."""

    cause: str
    now_us: int


@dataclass(frozen=True, slots=True)
class RecogniseProfessional:
    request_id: str
    evidence: str
    approver: str
    now_us: int


@dataclass(frozen=True, slots=True)
class WithdrawProfessional:
    request_id: str
    now_us: int


@dataclass(frozen=True, slots=True)
class SetBlock:
    request_id: str
    # Empty: unblock.
    cause: str
    actor: str
    now_us: int


@dataclass(frozen=True, slots=True)
class ShowWarning:
    request_id: str
    fund_code: str
    level: RiskLevel
    now_us: int


@dataclass(frozen=True, slots=True)
class AcknowledgeWarning:
    request_id: str
    fund_code: str
    level: RiskLevel
    now_us: int


@dataclass(frozen=True, slots=True)
class Forget:
    request_id: str
    now_us: int


Command: TypeAlias = (
    Register
    | Submit
    | SetPreferences
    | SetConsent
    | EndClass
    | RecogniseProfessional
    | WithdrawProfessional
    | SetBlock
    | ShowWarning
    | AcknowledgeWarning
    | Forget
)


def decide(command: Command, state: State) -> Sequence[Event]:
    if isinstance(command, Register):
        return _register(command, state)
    if isinstance(state, Unknown):
        raise Rejected(Reason.INVESTOR_NOT_FOUND)
    if _is_repeat(command, state):
        return []
    if isinstance(command, Forget):
        return [] if state.is_forgotten else [Forgotten(command.request_id, command.now_us)]
    if state.is_forgotten:
        raise Rejected(Reason.INVESTOR_FORGOTTEN, "asked to be forgotten")
    return _decide(command, state)


def _decide(command: Command, investor: Investor) -> Sequence[Event]:
    match command:
        case Submit():
            return _submit(command, investor)
        case SetPreferences(request_id, preferences, now_us):
            if wrong := wrong_in(preferences):
                raise Rejected(Reason.PREFERENCES_INVALID, "", wrong)
            return [PreferencesSet(request_id, preferences, now_us)]
        case SetConsent():
            return _set_consent(command, investor)
        case EndClass():
            return _end_class(command, investor)
        case RecogniseProfessional(request_id, evidence, approver, now_us):
            until_us = now_us + QUESTIONNAIRE.valid_days * DAY_US
            return [ProfessionalRecognised(request_id, evidence, approver, until_us, now_us)]
        case WithdrawProfessional(request_id, now_us):
            is_one = investor.professional_until_us > 0
            return [ProfessionalWithdrawn(request_id, now_us)] if is_one else []
        case SetBlock():
            return _set_block(command, investor)
        case ShowWarning() | AcknowledgeWarning():
            return _warn(command, investor)
        case Register() | Forget():
            raise AssertionError("decided before")
        case _:
            assert_never(command)


def _register(command: Register, state: State) -> Sequence[Event]:
    account_ids = tuple(sorted(set(command.account_ids)))
    if isinstance(state, Investor) and set(state.account_ids) == set(account_ids):
        return []
    return [Registered(command.investor_id, account_ids, command.caller, command.now_us)]


def _is_repeat(command: Command, investor: Investor) -> bool:
    request_id = getattr(command, "request_id", "")
    if request_id not in investor.requests:
        return False
    if investor.requests[request_id] == _asked_by(command):
        return True
    raise Rejected(
        Reason.IDEMPOTENCY_KEY_REUSED,
        "the id was used with other terms",
        [FieldViolation("request_id", "was used for another request")],
    )


def _asked_by(command: Command) -> tuple[str, object]:
    match command:
        case Submit(version=version, digest=digest):
            return "submit", (version, digest)
        case SetPreferences(preferences=preferences):
            return "preferences", preferences
        case SetConsent(is_given=is_given):
            return ("ConsentGiven" if is_given else "ConsentWithdrawn"), ()
        case RecogniseProfessional(evidence=evidence):
            return "professional", evidence
        case SetBlock(cause=cause):
            return ("block", cause) if cause else ("Unblocked", ())
        case ShowWarning(fund_code=code):
            return "WarningShown", code
        case AcknowledgeWarning(fund_code=code):
            return "WarningAcknowledged", code
        case WithdrawProfessional():
            return "ProfessionalWithdrawn", ()
        case Forget():
            return "Forgotten", ()
        case _:
            return "", ()


def _submit(command: Submit, investor: Investor) -> Sequence[Event]:
    asked = QUESTIONNAIRES.get(command.version)
    if asked is None:
        raise Rejected(
            Reason.QUESTIONNAIRE_UNKNOWN, "", [FieldViolation("version", "there is none such")]
        )
    if asked.version != QUESTIONNAIRE.version:
        raise Rejected(Reason.QUESTIONNAIRE_OUTDATED, f"{QUESTIONNAIRE.version} is in force")
    if wrong := mistakes(asked, command.answers):
        raise Rejected(Reason.ANSWERS_INCOMPLETE, "a sheet is taken whole", wrong)
    if pairs := contradictions(asked, command.answers):
        raise Rejected(Reason.ANSWERS_CONTRADICT, "please answer these again", pairs)
    recent = [at for at in investor.tries_us if at > command.now_us - DAY_US]
    if len(recent) >= asked.tries_per_day:
        raise Rejected(Reason.RETAKE_LIMIT, f"{asked.tries_per_day} tries in 24 hours")
    found = assess(asked, command.answers)
    until_us = command.now_us + asked.valid_days * DAY_US
    return [
        Submitted(
            command.request_id,
            asked.version,
            command.sealed,
            command.digest,
            _scores(found),
            command.changed,
            command.now_us,
        ),
        ClassAssigned(found.investor_class, found.caps, until_us, asked.version, command.now_us),
    ]


def _scores(found: Assessment) -> Scores:
    return Scores(
        found.capacity * 1_000_000,
        found.tolerance * 1_000_000,
        found.knowledge * 1_000_000,
        found.class_of_total,
        found.class_of_capacity,
        found.class_of_tolerance,
    )


def _set_consent(command: SetConsent, investor: Investor) -> Sequence[Event]:
    if command.is_given == investor.has_consent:
        return []
    if command.is_given:
        return [ConsentGiven(command.request_id, ADVICE, command.now_us)]
    return [ConsentWithdrawn(command.request_id, ADVICE, command.now_us)]


def _end_class(command: EndClass, investor: Investor) -> Sequence[Event]:
    profile = investor.profile
    if profile is None or investor.is_expired:
        return []
    if command.cause == REVIEW_DUE and command.now_us < profile.valid_until_us:
        return []
    return [ClassExpired(command.cause, command.now_us)]


def _set_block(command: SetBlock, investor: Investor) -> Sequence[Event]:
    if command.cause == investor.blocked_cause:
        return []
    if command.cause:
        return [Blocked(command.request_id, command.cause, command.actor, command.now_us)]
    return [Unblocked(command.request_id, command.actor, command.now_us)]


def _warn(command: ShowWarning | AcknowledgeWarning, investor: Investor) -> Sequence[Event]:
    found = class_at(investor, command.now_us)
    if found is None:
        raise Rejected(Reason.PROFILE_MISSING, "without a class there is nothing to confirm")
    cell = suitability(found, command.level)
    if cell is Suitability.NEVER:
        raise Rejected(Reason.CLASS_MAY_NEVER_BUY, f"{found.name} may never buy it")
    if cell is Suitability.BUY:
        raise Rejected(Reason.WARNING_NOT_NEEDED, "the fund is within the class")
    of = (command.fund_code, command.level, found)
    if isinstance(command, ShowWarning):
        return [WarningShown(command.request_id, *of, command.now_us)]
    if of not in investor.warned:
        raise Rejected(Reason.WARNING_NOT_SHOWN, "it must be read before it is confirmed")
    return [WarningAcknowledged(command.request_id, *of, command.now_us)]


investor: Decider[Command, State, Event] = Decider(Unknown(), decide, evolve)
