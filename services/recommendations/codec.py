"""Events of advice as stored bytes and as messages: one walk over the classes, either way.

Stored is protobuf JSON with the proto's field names. A test proves that protobuf reads every event
of ours and writes the same.
"""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, lru_cache, partial
from types import NoneType, UnionType
from typing import (
    Any,
    Final,
    Generic,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import orjson

from libs.money import Money
from libs.suitability import InvestorClass, RiskLevel
from services.recommendations.domain import feed, proposal, release
from services.recommendations.domain import investor_lifecycle as investor
from services.recommendations.domain.proposal import Purpose
from services.recommendations.packing import (
    refused_from_json,
    refused_to_json,
    refused_to_message,
)

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
PREFIXES: Final[Mapping[type[Enum], str]] = {
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
PAIRS: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("Reasoned", "evidence"): ("name", "value"),
    ("Candidate", "sources"): ("source", "score_millionths"),
    ("Issued", "features"): ("name", "value_millionths"),
}
_REASONS_KEPT: Final = 4_096
_SINGLES: Final[Mapping[tuple[str, str], str]] = {("Submitted", "changed"): "item"}
POSITIONS: Final = ("own", "funds", "payments", "feeds")

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
def hints_of(type_: Any) -> tuple[tuple[str, Any], ...]:  # noqa: ANN401 - a dataclass, or a named tuple
    """Fields of a class in their order, each with its type."""
    hints = get_type_hints(type_)
    names = [each.name for each in fields(type_)] if is_dataclass(type_) else type_._fields
    return tuple((name, hints[name]) for name in names)


def _out(value: object, *, is_json: bool) -> dict[str, Any]:
    type_: Any = type(value)
    return _way(type_, is_json)(value)


# What stands in the stored form for a field's value; None: it is left out.
_Write: TypeAlias = Callable[[Any], Any]


@cache
def _way(type_: Any, is_json: bool) -> Callable[[Any], dict[str, Any]]:  # noqa: ANN401, FBT001 - a dataclass; a key of the cache
    """How a class is written. Its source is put together, as `dataclasses` does it.

    Protobuf JSON: what is at its default is left out, and 64-bit integers are text.
    """
    scope: dict[str, Any] = {}
    lines = ["def write(value):", "    body = {}"]
    for key, path, write in _writers(type_, is_json=is_json):
        if write in (_told, _as_text):
            told = "it" if write is _told else "str(it)"
            lines.append(f"    if it := value.{path}: body[{key!r}] = {told}")
            continue
        scope[f"_{key}"] = write
        lines.append(f"    if (it := _{key}(value.{path})) is not None: body[{key!r}] = it")
    lines.append("    return body")
    exec("\n".join(lines), scope)  # noqa: S102 - of our own classes' names alone
    found: Callable[[Any], dict[str, Any]] = scope["write"]
    return found


def _writers(type_: Any, *, is_json: bool) -> Iterator[tuple[str, str, _Write]]:  # noqa: ANN401 - a dataclass
    """Name, place and form of each field."""
    for name, hint in hints_of(type_):
        if hint is proposal.Positions:
            for part in POSITIONS:
                write = _writer(int, f"{part}_position", is_json=is_json)
                yield f"{part}_position", f"{name}.{part}", write
        elif name == "runner_up":
            yield name, name, _runner_up(is_json=is_json)
        elif (type_.__name__, name) == ("Issued", "refused"):
            yield name, name, refused_to_json if is_json else refused_to_message
        elif pair := PAIRS.get((type_.__name__, name)):
            yield name, name, _pairs(pair, hint, is_json=is_json)
        elif single := _SINGLES.get((type_.__name__, name)):
            yield name, name, partial(_singles, single)
        else:
            yield name, name, _writer(hint, name, is_json=is_json)


def _writer(hint: Any, name: str, *, is_json: bool) -> _Write:  # noqa: ANN401 - of the type hinted
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        inner = next(each for each in get_args(hint) if each is not NoneType)
        write = _writer(inner, name, is_json=is_json)
        return lambda value: None if value is None else write(value)
    if origin is tuple:
        kind = get_args(hint)[0]
        if kind is str:
            return _told
        one: _Write = partial(_out, is_json=is_json)
        if kind is proposal.Reasoned:
            one = lru_cache(_REASONS_KEPT)(one)  # mostly the very same for many investors
        return lambda values: [one(each) for each in values] or None
    if hint is int and is_json and name not in _SHORT:
        return _as_text
    if hint in (str, bool, int):
        return _told
    if hint is bytes:
        return lambda value: (base64.b64encode(value).decode() if is_json else value) or None
    if hint is Money:
        return lambda value: _money(value, is_json=is_json)
    if issubclass(hint, Enum):
        return {member: PREFIXES[hint] + member.name for member in hint}.__getitem__
    return partial(_out, is_json=is_json)


def _told(value: Any) -> Any:  # noqa: ANN401 - text, a number, a tuple of texts
    return value or None


def _as_text(value: int) -> str | None:
    return str(value) if value else None


def _pairs(names: tuple[str, str], hint: Any, *, is_json: bool) -> _Write:  # noqa: ANN401 - of the field
    (one, other), (one_hint, other_hint) = names, get_args(get_args(hint)[0])
    left = _writer(one_hint, one, is_json=is_json)
    right = _writer(other_hint, other, is_json=is_json)

    def whole(this: Any, that: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
        body = {one: left(this), other: right(that)}
        return {name: value for name, value in body.items() if value is not None}

    def write(pairs: Sequence[tuple[Any, Any]]) -> list[dict[str, Any]] | None:
        if right is _as_text:
            told = [{one: a, other: str(b)} if a and b else whole(a, b) for a, b in pairs]
        else:
            told = [{one: a, other: b} if a and b else whole(a, b) for a, b in pairs]
        return told or None

    return write


def _singles(name: str, values: Sequence[str]) -> list[dict[str, str]] | None:
    return [{name: value} for value in values] or None


def _runner_up(*, is_json: bool) -> _Write:
    def write(value: tuple[str, object] | None) -> dict[str, Any] | None:
        if value is None:
            return None
        return {"fund_code": value[0], "reason": _out(value[1], is_json=is_json)}

    return write


def _money(value: Money, *, is_json: bool) -> dict[str, Any]:
    minor = _writer(int, "minor_units", is_json=is_json)(value.minor)
    body = {"currency_code": value.currency}
    return body if minor is None else {**body, "minor_units": minor}


def _in(type_: Any, body: Mapping[str, Any]) -> object:  # noqa: ANN401 - a dataclass
    if type_ is Money:
        return Money(body.get("currency_code", ""), int(body.get("minor_units", 0)))
    found: dict[str, Any] = {}
    for name, hint in hints_of(type_):
        if hint is proposal.Positions:
            parts = (int(body.get(f"{part}_position", 0)) for part in POSITIONS)
            found[name] = proposal.Positions(*parts)
        elif name == "runner_up":
            told = body.get(name)
            found[name] = told and (
                told["fund_code"],
                _in(proposal.Reasoned, told.get("reason", {})),
            )
        elif (type_.__name__, name) == ("Issued", "refused"):
            found[name] = tuple(map(refused_from_json, body.get(name, ())))
        elif pair := PAIRS.get((type_.__name__, name)):
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
        prefix = PREFIXES[hint]
        return hint[str(body[name]).removeprefix(prefix)]
    return _in(hint, body.get(name, {}))


_SCALARS: Final[Mapping[type, Callable[[Any], Any]]] = {
    str: lambda value: value or "",
    int: lambda value: int(value or 0),
    bool: bool,
    bytes: lambda value: base64.b64decode(value or ""),
}
