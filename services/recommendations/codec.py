"""Events of advice as stored bytes and as messages: one walk over the classes, either way.

Stored is protobuf JSON with the proto's field names. A test proves that protobuf reads every event
of ours and writes the same.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import fields
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, Generic, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from libs.money import Money
from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain import feed, investor, proposal, release
from services.recommendations.domain.proposal import Purpose

_PACKAGE: Final = "hefu.recommendations.v1."
# The stored names of events: contract, whatever the classes are called.
_INVESTOR: Final[dict[type, str]] = {
    investor.Registered: "InvestorRegistered",
    investor.Submitted: "QuestionnaireSubmitted",
    investor.ClassAssigned: "ClassAssigned",
    investor.ClassExpired: "ClassExpired",
    investor.ProfessionalRecognised: "ProfessionalRecognised",
    investor.ProfessionalWithdrawn: "ProfessionalWithdrawn",
    investor.WarningShown: "WarningShown",
    investor.WarningAcknowledged: "WarningAcknowledged",
    investor.ConsentGiven: "ConsentGiven",
    investor.ConsentWithdrawn: "ConsentWithdrawn",
    investor.PreferencesSet: "PreferencesSet",
    investor.Blocked: "InvestorBlocked",
    investor.Unblocked: "InvestorUnblocked",
    investor.Forgotten: "InvestorForgotten",
}
_PROPOSAL: Final[dict[type, str]] = {
    proposal.Issued: "RecommendationIssued",
    proposal.ShadowAnswered: "ShadowAnswered",
    proposal.Shown: "ProposalShown",
    proposal.ItemOpened: "ProposalItemOpened",
    proposal.Accepted: "ProposalAccepted",
    proposal.Dismissed: "ProposalDismissed",
    proposal.Expired: "ProposalExpired",
    proposal.OrderLinked: "ProposalOrderLinked",
    proposal.OutcomeMeasured: "ProposalOutcomeMeasured",
}
_FEED: Final[dict[type, str]] = {
    feed.PricesTaken: "FeedPricesTaken",
    feed.ScoresTaken: "FeedFactorScoresTaken",
    feed.ViewsTaken: "FeedViewsTaken",
    feed.FactsTaken: "FeedFundFactsTaken",
}
_RELEASE: Final[dict[type, str]] = {
    release.Promoted: "ReleaseVersionPromoted",
    release.ShadowSet: "ReleaseShadowSet",
}
_NAMES: Final = {**_INVESTOR, **_PROPOSAL, **_FEED, **_RELEASE}
_CLASSES: Final = {_PACKAGE + name: type_ for type_, name in _NAMES.items()}
_PREFIXES: Final[Mapping[type[Enum], str]] = {
    InvestorClass: "INVESTOR_CLASS_",
    RiskLevel: "RISK_LEVEL_",
    Purpose: "PURPOSE_",
    feed.Doubt: "QUARANTINE_REASON_",
}
# 32-bit numbers stay numbers in JSON; all others are text.
_SHORT: Final = frozenset(
    {
        *("weight", "weight_before", "horizon_months", "ordinal"),
        *("needed_within_year", "needed_within_three_years"),
    }
)
# Pairs are messages of two fields.
_PAIRS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("Reasoned", "evidence"): ("name", "value"),
    ("Candidate", "sources"): ("source", "score_millionths"),
    ("Issued", "refused"): ("code", "fund_codes"),
    ("Issued", "features"): ("name", "value_millionths"),
}
_SINGLES: Final[Mapping[tuple[str, str], str]] = {("Submitted", "changed"): "item"}
_POSITIONS: Final = ("own", "funds", "payments")

E = TypeVar("E")


class UnknownEvent(Exception):
    """An event of ours that this version does not know: it must be taught to read it first."""


class AdviceCodec(Generic[E]):
    """Events and their stored bytes."""

    def encode(self, event: E) -> tuple[str, bytes]:
        return _PACKAGE + _NAMES[type(event)], orjson.dumps(_out(event, is_json=True))

    def decode(self, event_type: str, data: bytes) -> E:
        type_ = _CLASSES.get(event_type)
        if type_ is None:
            raise UnknownEvent(event_type)
        return cast("E", _in(type_, orjson.loads(data)))


investor_codec: Final = AdviceCodec[investor.Event]()
proposal_codec: Final = AdviceCodec[proposal.Event]()
feed_codec: Final = AdviceCodec[feed.Event]()
release_codec: Final = AdviceCodec[release.Event]()
any_codec: Final = AdviceCodec[object]()


def as_message(value: object) -> dict[str, Any]:
    """The fields of a message: pass them to its constructor."""
    return _out(value, is_json=False)


@cache
def _hints(type_: Any) -> tuple[tuple[str, Any], ...]:  # noqa: ANN401 - a dataclass
    hints = get_type_hints(type_)
    return tuple((each.name, hints[each.name]) for each in fields(type_))


def _out(value: object, *, is_json: bool) -> dict[str, Any]:
    body: dict[str, Any] = {}
    type_: Any = type(value)
    for name, _ in _hints(type_):
        each = getattr(value, name)
        if isinstance(each, proposal.Positions):
            for part in _POSITIONS:
                _put(body, f"{part}_position", getattr(each, part), is_json=is_json)
        elif name == "runner_up" and each is not None:
            code, reason = each
            body[name] = {"fund_code": code, "reason": _out(reason, is_json=is_json)}
        elif pair := _PAIRS.get((type_.__name__, name)):
            found = [_pair(pair, both, is_json=is_json) for both in each]
            if found:
                body[name] = found
        elif single := _SINGLES.get((type_.__name__, name)):
            if each:
                body[name] = [{single: one} for one in each]
        else:
            _put(body, name, each, is_json=is_json)
    return body


def _pair(names: tuple[str, str], both: tuple[Any, Any], *, is_json: bool) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for name, value in zip(names, both, strict=True):
        _put(body, name, value, is_json=is_json)
    return body


def _put(body: dict[str, Any], name: str, value: Any, *, is_json: bool) -> None:  # noqa: ANN401 - any field
    # Protobuf JSON: what is at its default is left out, and 64-bit integers are text.
    if isinstance(value, str | bool):
        if value:
            body[name] = value
    elif isinstance(value, Enum):
        body[name] = _PREFIXES[type(value)] + value.name
    elif isinstance(value, int):
        if value:
            body[name] = str(value) if is_json and name not in _SHORT else value
    elif isinstance(value, tuple):
        if value:
            is_plain = isinstance(value[0], str)
            body[name] = value if is_plain else [_message(e, is_json=is_json) for e in value]
    elif isinstance(value, bytes):
        if value:
            body[name] = base64.b64encode(value).decode() if is_json else value
    elif value is not None:
        body[name] = _message(value, is_json=is_json)


def _message(value: object, *, is_json: bool) -> dict[str, Any]:
    if isinstance(value, Money):
        minor: dict[str, Any] = {"currency_code": value.currency}
        _put(minor, "minor_units", value.minor, is_json=is_json)
        return minor
    return _out(value, is_json=is_json)


def _in(type_: Any, body: Mapping[str, Any]) -> object:  # noqa: ANN401 - a dataclass
    if type_ is Money:
        return Money(body.get("currency_code", ""), int(body.get("minor_units", 0)))
    found: dict[str, Any] = {}
    for name, hint in _hints(type_):
        if hint is proposal.Positions:
            parts = (int(body.get(f"{part}_position", 0)) for part in _POSITIONS)
            found[name] = proposal.Positions(*parts)
        elif name == "runner_up":
            told = body.get(name)
            found[name] = told and (
                told["fund_code"],
                _in(proposal.Reasoned, told.get("reason", {})),
            )
        elif pair := _PAIRS.get((type_.__name__, name)):
            kinds = get_args(get_args(hint)[0])
            found[name] = tuple(
                tuple(_read(kind, each, key) for kind, key in zip(kinds, pair, strict=True))
                for each in body.get(name, ())
            )
        elif single := _SINGLES.get((type_.__name__, name)):
            found[name] = tuple(each[single] for each in body.get(name, ()))
        else:
            found[name] = _read(hint, body, name)
    return type_(**found)


def _read(hint: Any, body: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - of the type hinted
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        inner = next(each for each in get_args(hint) if each is not NoneType)
        return _read(inner, body, name) if name in body else None
    if origin is tuple:
        kind = get_args(hint)[0]
        values = body.get(name, ())
        return tuple(values) if kind is str else tuple(_in(kind, each) for each in values)
    if hint in _SCALARS:
        return _SCALARS[hint](body.get(name))
    if issubclass(hint, Enum):
        prefix = _PREFIXES[hint]
        return hint[str(body[name]).removeprefix(prefix)]
    return _in(hint, body.get(name, {}))


_SCALARS: Final[Mapping[type, Callable[[Any], Any]]] = {
    str: lambda value: value or "",
    int: lambda value: int(value or 0),
    bool: bool,
    bytes: lambda value: base64.b64decode(value or ""),
}
