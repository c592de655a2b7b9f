"""Aggregates as deciders, and `Streams`: the one loop that reads, folds, decides and appends."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, Protocol, TypeVar
from uuid import UUID, uuid5

import stamina

from libs.event_store import (
    NO_STREAM,
    Appended,
    Busy,
    EventStore,
    NewEvent,
    OutcomeUnknown,
    WrongVersion,
)

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")

ATTEMPTS_MAX = 10
UNKNOWN_ATTEMPTS_MAX = 60
CACHED_MAX = 20_000
_EVENT_IDS = UUID("a2a3c1c0-6f7b-5f0a-9a5e-3d1b8f6f2c11")


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request, and what is wrong with it."""

    field: str
    description: str


class Rejected(Exception):
    """The caller's mistake; nothing is recorded. `reason` is a member of an aggregate's `Reason`."""

    def __init__(
        self, reason: Enum, description: str = "", violations: Sequence[FieldViolation] = ()
    ) -> None:
        super().__init__(f"{reason.name}: {description}" if description else reason.name)
        self.reason = reason
        self.description = description
        self.violations = tuple(violations)


class Contended(Exception):
    """The stream was changed by others on each of `ATTEMPTS_MAX` tries."""


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, S, E]):
    """An aggregate: `decide(command, state)` gives events, `evolve(state, event)` the next state."""

    initial: S
    decide: Callable[[C, S], Sequence[E]]
    evolve: Callable[[S, E], S]

    def fold(self, state: S, events: Sequence[E]) -> S:
        """The state after more events."""
        for event in events:
            state = self.evolve(state, event)
        return state


class Codec(Protocol[E]):
    """Events as they are stored: full message name and JSON bytes."""

    def encode(self, event: E) -> tuple[str, bytes]:
        """Stored type and bytes."""
        ...

    def decode(self, event_type: str, data: bytes) -> E:
        """The event, lifted to its newest version."""
        ...


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is recorded. `command_id` keys the append: the same command appends the same events."""

    command_id: str
    correlation_id: str = ""
    causation_id: str = ""
    actor: str = ""


# Trace headers of the work in hand (W3C), written into the metadata of every event; telemetry sets it.
trace_headers: ContextVar[Mapping[str, str]] = ContextVar("trace_headers", default={})


@dataclass(frozen=True, slots=True)
class Transacted(Generic[S, E]):
    """The state reached, what was recorded now (nothing for a repeat), and the position known for it."""

    state: S
    events: Sequence[E]
    position: int
    revision: int


@dataclass(slots=True)
class _Known(Generic[S]):
    state: S
    revision: int
    position: int


@dataclass
class Streams(Generic[C, S, E]):
    """All aggregates of one category. Recent states are kept in memory; the store's revision check keeps them honest."""

    store: EventStore
    category: str
    decider: Decider[C, S, E]
    codec: Codec[E]
    _known: OrderedDict[str, _Known[S]] = field(default_factory=OrderedDict, repr=False)

    def stream(self, id_: str) -> str:
        """Name of one aggregate's stream."""
        return f"{self.category}-{id_}"

    async def load(self, id_: str) -> Transacted[S, E]:
        """The aggregate as it stands (revision -1: there is none)."""
        known = self._known.get(id_) or await self._read(id_)
        return Transacted(known.state, (), known.position, known.revision)

    async def transact(
        self, id_: str, command: C, cause: Cause, *, is_new: bool = False
    ) -> Transacted[S, E]:
        """Read, fold, decide, append at exactly the revision read; decide again where others were faster.

        `is_new` skips the first read: most ids of a creating command were never seen. Raises `Rejected`,
        `Contended`, and `AppendFailed` where the store does not come back.
        """
        known = self._known.get(id_)
        if known is None and is_new:
            known = _Known(self.decider.initial, NO_STREAM, 0)
        for _ in range(ATTEMPTS_MAX):
            known = known or await self._read(id_)
            events = tuple(self.decider.decide(command, known.state))
            if not events:
                if known.revision == NO_STREAM and is_new:
                    known = await self._read(id_)
                return Transacted(known.state, (), known.position, known.revision)
            try:
                done = await self._append(id_, events, known.revision, cause)
            except WrongVersion:
                self._known.pop(id_, None)
                known = None
                continue
            state = self.decider.fold(known.state, events)
            self._keep(id_, _Known(state, done.revision, done.position))
            return Transacted(state, events, done.position, done.revision)
        message = f"{self.stream(id_)} was changed by others {ATTEMPTS_MAX} times"
        raise Contended(message)

    async def _append(self, id_: str, events: Sequence[E], expected: int, cause: Cause) -> Appended:
        stream = self.stream(id_)
        new = tuple(self._new_event(stream, n, event, cause) for n, event in enumerate(events))
        async for attempt in stamina.retry_context(
            on=(OutcomeUnknown, Busy), attempts=UNKNOWN_ATTEMPTS_MAX, timeout=None, wait_max=2.0
        ):
            with attempt:
                return await self.store.append(stream, new, expected)
        raise AssertionError("the retry ends by returning or raising")

    def _new_event(self, stream: str, ordinal: int, event: E, cause: Cause) -> NewEvent:
        type_, data = self.codec.encode(event)
        # The store compares ids only; the digest makes other data under the same command another event.
        digest = hashlib.sha256(data).hexdigest()
        id_ = uuid5(_EVENT_IDS, f"{stream}\x00{cause.command_id}\x00{ordinal}\x00{type_}\x00{digest}")
        metadata = {
            "correlation_id": cause.correlation_id,
            "causation_id": cause.causation_id,
            "command_id": cause.command_id,
            "actor": cause.actor,
            **trace_headers.get(),
        }
        return NewEvent(id_, type_, data, {k: v for k, v in metadata.items() if v})

    async def _read(self, id_: str) -> _Known[S]:
        known = _Known(self.decider.initial, NO_STREAM, 0)
        async for stored in self.store.read(self.stream(id_)):
            known.state = self.decider.evolve(
                known.state, self.codec.decode(stored.type, stored.data)
            )
            known.revision, known.position = stored.revision, stored.position
        if known.revision != NO_STREAM:
            self._keep(id_, known)
        return known

    def _keep(self, id_: str, known: _Known[S]) -> None:
        held = self._known.get(id_)
        if held is not None and held.revision > known.revision:
            return
        self._known[id_] = known
        self._known.move_to_end(id_)
        if len(self._known) > CACHED_MAX:
            self._known.popitem(last=False)
