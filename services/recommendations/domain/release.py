"""A slot of advice: which version serves it, and which runs in its shadow."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias

from libs.decider import Decider, FieldViolation, Rejected


class Slot(Enum):
    RANKER = "RANKER"
    STRATEGY = "STRATEGY"


# Events.
@dataclass(frozen=True, slots=True)
class Promoted:
    request_id: str
    version: str
    artifact_hash: str
    actor: str
    promoted_us: int


@dataclass(frozen=True, slots=True)
class ShadowSet:
    request_id: str
    version: str
    artifact_hash: str
    actor: str
    set_us: int


Event: TypeAlias = Promoted | ShadowSet


# States.
@dataclass(frozen=True, slots=True)
class Release:
    """Empty: what the code starts with."""

    version: str = ""
    artifact_hash: str = ""
    shadow_version: str = ""
    shadow_artifact_hash: str = ""
    requests: frozenset[str] = frozenset()


def evolve(state: Release, event: Event) -> Release:
    requests = state.requests | {event.request_id}
    match event:
        case Promoted(version=version, artifact_hash=artifact_hash):
            served = replace(state, version=version, artifact_hash=artifact_hash, requests=requests)
            if (version, artifact_hash) != (state.shadow_version, state.shadow_artifact_hash):
                return served
            # What serves need not answer in its own shadow.
            return replace(served, shadow_version="", shadow_artifact_hash="")
        case ShadowSet(version=version, artifact_hash=artifact_hash):
            return replace(
                state,
                shadow_version=version,
                shadow_artifact_hash=artifact_hash,
                requests=requests,
            )


# Commands.
class Reason(Enum):
    VERSION_NOT_LOADED = auto()


@dataclass(frozen=True, slots=True)
class Promote:
    """`loaded`: what could be put there now, version and artifact hash."""

    request_id: str
    version: str
    loaded: Collection[tuple[str, str]]
    actor: str
    now_us: int


@dataclass(frozen=True, slots=True)
class SetShadow:
    request_id: str
    # Empty: none any more.
    version: str
    loaded: Collection[tuple[str, str]]
    actor: str
    now_us: int


Command: TypeAlias = Promote | SetShadow


def decide(command: Command, state: Release) -> Sequence[Event]:
    if command.request_id in state.requests:
        return []
    found = dict(command.loaded)
    if command.version not in found and (command.version or isinstance(command, Promote)):
        raise Rejected(
            Reason.VERSION_NOT_LOADED,
            ", ".join(sorted(found)),
            [FieldViolation("version", "is not loaded, or its artifact is broken")],
        )
    artifact_hash = found.get(command.version, "")
    if isinstance(command, Promote):
        if command.version == state.version and artifact_hash == state.artifact_hash:
            return []
        return [
            Promoted(
                command.request_id, command.version, artifact_hash, command.actor, command.now_us
            )
        ]
    if command.version == state.shadow_version and artifact_hash == state.shadow_artifact_hash:
        return []
    return [
        ShadowSet(command.request_id, command.version, artifact_hash, command.actor, command.now_us)
    ]


release: Decider[Command, Release, Event] = Decider(Release(), decide, evolve)
