"""Is a write welcome: expected versions and repeats, decided before anything is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from services.eventstore.model import (
    ANY,
    EXISTS,
    NO_STREAM,
    SOFT_DELETED,
    TOMBSTONED,
    NewEvent,
    StreamState,
)


@dataclass(frozen=True, slots=True)
class Fresh:
    """Nothing speaks against it."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """The events are there already, by their ids; this is where their last one stands.

    `differing` counts those of another type or other data: answered as repeats all the same,
    because that is what the servers do for which we stand in.
    """

    position: int
    revision: int
    differing: int


@dataclass(frozen=True, slots=True)
class Wrong:
    """The stream is not as expected; `actual` is its revision or a mark."""

    actual: int


Verdict: TypeAlias = Fresh | Repeat | Wrong


@dataclass(frozen=True, slots=True)
class Known:
    """A stored event, as far as repeats are concerned."""

    event_id: bytes
    type: str
    data: bytes | None
    position: int
    revision: int


@dataclass(frozen=True, slots=True)
class History:
    """How to look back: the event with an id in a stream, or up to n events from a revision on."""

    by_id: Callable[[StreamState, bytes], Known | None]
    onwards: Callable[[StreamState, int, int], Sequence[Known]]


FRESH = Fresh()


def judge(
    state: StreamState, expected: int, events: Sequence[NewEvent], history: History
) -> Verdict:
    """Judge the events meant for one stream; no events at all make it a pure check."""
    if state.is_tombstoned:
        return Wrong(TOMBSTONED)
    if expected == EXISTS:
        if state.is_deleted:
            return Wrong(SOFT_DELETED)
        if state.last < 0 and state.metadata is None:
            return Wrong(NO_STREAM)
    if expected in (ANY, EXISTS):
        return _judge_by_id(state, events, history)
    if expected == state.last or (expected == NO_STREAM and state.is_deleted):
        return FRESH
    if events and expected < state.last:
        return _judge_by_revision(state, expected, events, history)
    return Wrong(state.last)


def _judge_by_id(state: StreamState, events: Sequence[NewEvent], history: History) -> Verdict:
    if not events or state.last < 0:
        return FRESH
    stored: list[Known] = []
    for event in events:
        known = history.by_id(state, event.event_id)
        if known is None:
            return Wrong(state.last) if stored else FRESH
        stored.append(known)
    return _repeat(stored, events)


def _judge_by_revision(
    state: StreamState, expected: int, events: Sequence[NewEvent], history: History
) -> Verdict:
    stored = history.onwards(state, expected + 1, len(events))
    if [known.event_id for known in stored] != [event.event_id for event in events]:
        return Wrong(state.last)
    return _repeat(stored, events)


def _repeat(stored: Sequence[Known], events: Sequence[NewEvent]) -> Repeat:
    differing = sum(
        (known.type, known.data) != (event.type, event.data)
        for known, event in zip(stored, events, strict=True)
    )
    return Repeat(stored[-1].position, stored[-1].revision, differing)
