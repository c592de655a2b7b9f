"""What happens to an investor, and what it leaves: events, states, and how one follows another."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain.preferences import Preferences

DAY_US = 86_400_000_000
ADVICE = "ADVICE"
CHANGES_MAX = 50
REVIEW_DUE = "REVIEW_DUE"
CHANGE_REPORTED = "CHANGE_REPORTED"


# Terms.
@dataclass(frozen=True, slots=True)
class Scores:
    """Millionths of points, and the class each part gives by itself."""

    capacity_millionths: int
    tolerance_millionths: int
    knowledge_millionths: int
    class_of_total: InvestorClass
    class_of_capacity: InvestorClass
    class_of_tolerance: InvestorClass


# Events.
@dataclass(frozen=True, slots=True)
class Registered:
    investor_id: str
    account_ids: tuple[str, ...]
    caller: str
    registered_us: int


@dataclass(frozen=True, slots=True)
class Submitted:
    request_id: str
    questionnaire_version: str
    sealed_answers: bytes
    answers_digest: str
    scores: Scores
    changed: tuple[str, ...]
    submitted_us: int


@dataclass(frozen=True, slots=True)
class ClassAssigned:
    investor_class: InvestorClass
    caps: tuple[str, ...]
    valid_until_us: int
    questionnaire_version: str
    assigned_us: int


@dataclass(frozen=True, slots=True)
class ClassExpired:
    cause: str
    expired_us: int


@dataclass(frozen=True, slots=True)
class ProfessionalRecognised:
    request_id: str
    evidence: str
    approver: str
    valid_until_us: int
    recognised_us: int


@dataclass(frozen=True, slots=True)
class ProfessionalWithdrawn:
    request_id: str
    withdrawn_us: int


@dataclass(frozen=True, slots=True)
class WarningShown:
    request_id: str
    fund_code: str
    level: RiskLevel
    investor_class: InvestorClass
    shown_us: int


@dataclass(frozen=True, slots=True)
class WarningAcknowledged:
    request_id: str
    fund_code: str
    level: RiskLevel
    investor_class: InvestorClass
    acknowledged_us: int


@dataclass(frozen=True, slots=True)
class ConsentGiven:
    request_id: str
    purpose: str
    given_us: int


@dataclass(frozen=True, slots=True)
class ConsentWithdrawn:
    request_id: str
    purpose: str
    withdrawn_us: int


@dataclass(frozen=True, slots=True)
class PreferencesSet:
    request_id: str
    preferences: Preferences
    set_us: int


@dataclass(frozen=True, slots=True)
class Blocked:
    request_id: str
    cause: str
    actor: str
    blocked_us: int


@dataclass(frozen=True, slots=True)
class Unblocked:
    request_id: str
    actor: str
    unblocked_us: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    request_id: str
    forgotten_us: int


Event: TypeAlias = (
    Registered
    | Submitted
    | ClassAssigned
    | ClassExpired
    | ProfessionalRecognised
    | ProfessionalWithdrawn
    | WarningShown
    | WarningAcknowledged
    | ConsentGiven
    | ConsentWithdrawn
    | PreferencesSet
    | Blocked
    | Unblocked
    | Forgotten
)


# States.
@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody registered under this id."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The class in force until its time, answered with a questionnaire."""

    investor_class: InvestorClass
    caps: tuple[str, ...]
    valid_until_us: int
    questionnaire_version: str


@dataclass(frozen=True, slots=True)
class Change:
    investor_class: InvestorClass | None
    cause: str
    caps: tuple[str, ...]
    changed_us: int


@dataclass(frozen=True, slots=True)
class Investor:
    investor_id: str
    account_ids: tuple[str, ...]
    caller: str
    profile: Profile | None = None
    is_expired: bool = False
    professional_until_us: int = 0
    scores: Scores | None = None
    preferences: Preferences = field(default_factory=Preferences)
    has_consent: bool = False
    blocked_cause: str = ""
    is_forgotten: bool = False
    # What was asked under which id: (kind, terms).
    requests: Mapping[str, tuple[str, object]] = field(default_factory=dict)
    tries_us: tuple[int, ...] = ()
    warned: frozenset[tuple[str, RiskLevel, InvestorClass]] = frozenset()
    acknowledged: frozenset[tuple[str, RiskLevel, InvestorClass]] = frozenset()
    changes: tuple[Change, ...] = ()


State: TypeAlias = Unknown | Investor


def class_at(investor: Investor, now_us: int) -> InvestorClass | None:
    """The class in force; None: no profile, or one that is over."""
    if now_us < investor.professional_until_us:
        return InvestorClass.PROFESSIONAL
    profile = investor.profile
    if profile is None or investor.is_expired or now_us >= profile.valid_until_us:
        return None
    return profile.investor_class


def valid_until_us(investor: Investor) -> int:
    """When the class in force ends."""
    profile = investor.profile
    own = 0 if profile is None or investor.is_expired else profile.valid_until_us
    return investor.professional_until_us or own


def evolve(state: State, event: Event) -> State:
    if isinstance(state, Unknown):
        if isinstance(event, Registered):
            return Investor(event.investor_id, event.account_ids, event.caller)
        raise AssertionError(f"{event} cannot come before the investor")
    known = _asked(state, event)
    match event:
        case Registered(account_ids=account_ids):
            return replace(known, account_ids=account_ids)
        case Submitted():
            tries = (*(t for t in known.tries_us if t > event.submitted_us - DAY_US),)
            return replace(known, scores=event.scores, tries_us=(*tries, event.submitted_us))
        case ConsentGiven():
            return replace(known, has_consent=True)
        case ConsentWithdrawn():
            return replace(known, has_consent=False)
        case PreferencesSet(preferences=preferences):
            return replace(known, preferences=preferences)
        case Blocked(cause=cause):
            return replace(known, blocked_cause=cause)
        case Unblocked():
            return replace(known, blocked_cause="")
        case Forgotten():
            return replace(known, is_forgotten=True, has_consent=False)
        case WarningShown() | WarningAcknowledged():
            return _warned(known, event)
        case _:
            return _class_changed(known, event)


def _warned(known: Investor, event: WarningShown | WarningAcknowledged) -> Investor:
    of = (event.fund_code, event.level, event.investor_class)
    if isinstance(event, WarningShown):
        return replace(known, warned=known.warned | {of})
    return replace(known, acknowledged=known.acknowledged | {of})


def _class_changed(
    known: Investor,
    event: ClassAssigned | ClassExpired | ProfessionalRecognised | ProfessionalWithdrawn,
) -> Investor:
    match event:
        case ClassAssigned(found, caps, until_us, version, at_us):
            profile = Profile(found, caps, until_us, version)
            known = replace(known, profile=profile, is_expired=False)
            change = Change(found, "ANSWERED", caps, at_us)
        case ClassExpired(cause, at_us):
            known = replace(known, is_expired=True)
            change = Change(None, cause, (), at_us)
        case ProfessionalRecognised(valid_until_us=until_us, recognised_us=at_us):
            known = replace(known, professional_until_us=until_us)
            change = Change(InvestorClass.PROFESSIONAL, "PROFESSIONAL_RECOGNISED", (), at_us)
        case ProfessionalWithdrawn(withdrawn_us=at_us):
            known = replace(known, professional_until_us=0)
            change = Change(class_at(known, at_us), "PROFESSIONAL_WITHDRAWN", (), at_us)
    return replace(known, changes=(*known.changes, change)[-CHANGES_MAX:])


def _asked(known: Investor, event: Event) -> Investor:
    request_id = getattr(event, "request_id", "")
    if not request_id:
        return known
    return replace(known, requests={**known.requests, request_id: _terms_of(event)})


def _terms_of(event: Event) -> tuple[str, object]:
    match event:
        case Submitted(questionnaire_version=version, answers_digest=digest):
            return "submit", (version, digest)
        case PreferencesSet(preferences=preferences):
            return "preferences", preferences
        case WarningShown(fund_code=code) | WarningAcknowledged(fund_code=code):
            return type(event).__name__, code
        case ProfessionalRecognised(evidence=evidence):
            return "professional", evidence
        case Blocked(cause=cause):
            return "block", cause
        case _:
            return type(event).__name__, ()
