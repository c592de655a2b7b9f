"""Aggregates as deciders, and `Streams`: the one loop that reads, folds, decides and appends."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from types import MappingProxyType
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

import stamina

from libs.event_store import (
    NO_STREAM,
    Appended,
    AppendFailed,
    Busy,
    EventStore,
    NewEvent,
    OutcomeUnknown,
    WrongVersion,
)
from libs.ids import id_beside, is_uuid7, named_in, new_id

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")

ATTEMPTS_MAX = 10
UNKNOWN_ATTEMPTS_MAX = 60
CACHED_MAX = 20_000
_EVENT_IDS = UUID("a2a3c1c0-6f7b-5f0a-9a5e-3d1b8f6f2c11")
# Together unlike those of any other attempt, here or in another process.
_LIFE = new_id()
_guesses = count()


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A field of the request, and what is wrong with it."""

    field: str
    description: str


class Rejected(Exception):
    """The caller's mistake; nothing is recorded. `reason` is a member of a `Reason`."""

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
    """An aggregate: `decide(command, state)` gives events, `evolve(state, event)` the state."""

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
class Origin(Generic[S]):
    """The state that the event at a revision left, so that none before it need be read."""

    state: S
    revision: int
    event_id: str


class Cause(NamedTuple):
    """Why something is recorded. `command_id` keys it: the same command, the same events."""

    command_id: str
    correlation_id: str = ""
    causation_id: str = ""
    actor: str = ""


# Trace headers of the work in hand (W3C), written into every event's metadata; telemetry sets it.
trace_headers: ContextVar[Mapping[str, str]] = ContextVar(
    "trace_headers",
    default=MappingProxyType({}),
)


class Transacted(NamedTuple, Generic[S, E]):
    """The state reached, what was recorded now (nothing for a repeat), and its position."""

    state: S
    events: Sequence[E]
    position: int
    revision: int


class _Known(NamedTuple, Generic[S]):
    state: S
    revision: int
    position: int


@dataclass(slots=True)
class _Turn:
    """One at a time on one aggregate; counted, so that it goes when nobody waits."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Asked(NamedTuple, Generic[C]):
    """A command on one aggregate, among others that are recorded with it."""

    id_: str
    command: C
    cause: Cause
    is_new: bool = False


class Decided(NamedTuple, Generic[S, E]):
    """What was decided of one among many: its place among those asked, and on which state."""

    number: int
    state: S
    events: Sequence[E]


class _Attempt(NamedTuple, Generic[S, E]):
    """Events decided on what is known, still to be appended."""

    known: _Known[S]
    events: Sequence[E]
    new: Sequence[NewEvent]


@dataclass
class Streams(Generic[C, S, E]):
    """All aggregates of one category.

    Recent states are kept in memory; the store's revision check keeps them honest. In one process,
    commands on one aggregate take turns; of several processes the slower one decides again.
    """

    store: EventStore
    category: str
    decider: Decider[C, S, E]
    codec: Codec[E]
    # States that are kept in memory.
    cached_max: int = CACHED_MAX
    # Where the long streams of this category need not be read from their beginning.
    origin_of: Callable[[str], Awaitable[Origin[S] | None]] | None = field(default=None, repr=False)
    _known: OrderedDict[str, _Known[S]] = field(default_factory=OrderedDict, repr=False)
    _turns: dict[str, _Turn] = field(default_factory=dict, repr=False)
    _working: set[asyncio.Task[Transacted[S, E]]] = field(default_factory=set, repr=False)

    def stream(self, id_: str) -> str:
        """Name of one aggregate's stream."""
        return f"{self.category}-{id_}"

    async def load(self, id_: str) -> Transacted[S, E]:
        """The aggregate as it stands (revision -1: there is none). Raises `StoreUnavailable`."""
        known = self._known.get(id_) or await self._read(id_)
        return Transacted(known.state, (), known.position, known.revision)

    async def transact(
        self, id_: str, command: C, cause: Cause, *, is_new: bool = False
    ) -> Transacted[S, E]:
        """Read, fold, decide, append at exactly the revision read; where others were faster, again.

        `is_new` skips the first read: most ids of a creating command were never seen. A caller that
        is cancelled changes nothing: the work goes on to its end. Raises `Rejected`, `Contended`,
        `StoreUnavailable`, and `AppendFailed` where the store does not come back.
        """
        working = asyncio.create_task(self._in_turn(id_, command, cause, is_new=is_new))
        self._working.add(working)
        working.add_done_callback(self._worked)
        return await asyncio.shield(working)

    async def record(
        self,
        id_: str,
        command: C,
        cause: Cause,
        *,
        is_new: bool = False,
        first: Callable[[S, Sequence[E]], Awaitable[None]] | None = None,
    ) -> Transacted[S, E]:
        """The same for work that nobody waits for and only our end cancels: it costs no task.

        Cancelled in the middle, it is recorded or not, as after a crash. What the events say is
        done already, `first` does: it is told the state and the events before they are appended,
        again where they are decided again, so it must bear repeating.
        """
        return await self._in_turn(id_, command, cause, is_new=is_new, first=first)

    async def record_each(
        self,
        asked: Sequence[Asked[C]],
        *,
        first: Callable[[Sequence[Decided[S, E]]], Awaitable[Mapping[int, Exception]]]
        | None = None,
    ) -> Sequence[Transacted[S, E] | Exception]:
        """What `record` would answer or raise of each, by itself; appended together where possible.

        `first` is told of many, and answers by number what hinders which: those are not recorded.
        Cancelled in the middle, each is recorded or not, as after a crash.
        """
        done: dict[int, Transacted[S, E] | Exception] = {}
        attempts: dict[int, _Attempt[S, E]] = {}
        turns: dict[str, _Turn] = {}
        try:
            for n, one in enumerate(asked):
                # Whoever is at work on it goes first, and what is not known is read first.
                known = None if one.id_ in self._turns else self._known.get(one.id_)
                if known is None and (one.id_ in self._turns or not one.is_new):
                    continue
                found = self._first(one, known)
                if isinstance(found, _Attempt):
                    turns[one.id_] = self._turns[one.id_] = _Turn(waiting=1)
                    await turns[one.id_].lock.acquire()
                    attempts[n] = found
                elif found is not None:
                    done[n] = found
            if attempts and first is not None:
                hindered = await first(_decided(attempts))
                done |= hindered
                attempts = {n: each for n, each in attempts.items() if n not in hindered}
            if attempts:
                done |= await self._append_attempts(asked, attempts)
        finally:
            for id_, turn in turns.items():
                turn.lock.release()
                turn.waiting -= 1
                if not turn.waiting:
                    del self._turns[id_]
        alone = [n for n in range(len(asked)) if n not in done]
        # Where others were faster with the first event, it is not new.
        answers = await asyncio.gather(
            *(
                self._alone(n, asked[n], first, is_new=asked[n].is_new and n not in attempts)
                for n in alone
            )
        )
        done |= zip(alone, answers, strict=True)
        return [done[n] for n in range(len(asked))]

    def _first(
        self, one: Asked[C], known: _Known[S] | None
    ) -> _Attempt[S, E] | Transacted[S, E] | Exception | None:
        """Decided on what is known; None: only what is stored can tell."""
        at = known or _Known(self.decider.initial, NO_STREAM, 0)
        try:
            events = tuple(self.decider.decide(one.command, at.state))
        except Rejected as rejected:
            return rejected if known is not None else None
        if events:
            new = self._new(one.id_, events, one.cause, is_guess=known is None)
            return _Attempt(at, events, new)
        return None if known is None else Transacted(at.state, (), at.position, at.revision)

    async def _append_attempts(
        self, asked: Sequence[Asked[C]], attempts: Mapping[int, _Attempt[S, E]]
    ) -> dict[int, Transacted[S, E] | Exception]:
        """What became of each, but of those where others were faster."""
        appends = {
            n: (self.stream(asked[n].id_), attempt.new, attempt.known.revision)
            for n, attempt in attempts.items()
        }
        done: dict[int, Transacted[S, E] | Exception] = {}
        try:
            answers = dict(
                zip(appends, await self.store.append_each(list(appends.values())), strict=True)
            )
            for n, answer in answers.items():
                if isinstance(answer, OutcomeUnknown | Busy):
                    answers[n] = await self._until_known(*appends[n])
        except BaseException:
            for n in attempts:  # they may be stored or not: the next one reads
                self._known.pop(asked[n].id_, None)
            raise
        for n, answer in answers.items():
            id_, attempt = asked[n].id_, attempts[n]
            if isinstance(answer, AppendFailed):
                self._known.pop(id_, None)
                if not isinstance(answer, WrongVersion):
                    done[n] = answer
                continue
            state = self.decider.fold(attempt.known.state, attempt.events)
            self._keep(id_, _Known(state, answer.revision, answer.position))
            done[n] = Transacted(state, attempt.events, answer.position, answer.revision)
        return done

    async def _alone(
        self,
        number: int,
        one: Asked[C],
        first: Callable[[Sequence[Decided[S, E]]], Awaitable[Mapping[int, Exception]]] | None,
        *,
        is_new: bool,
    ) -> Transacted[S, E] | Exception:
        async def told(state: S, events: Sequence[E]) -> None:
            if first is not None:
                hindered = await first([Decided(number, state, events)])
                if number in hindered:
                    raise hindered[number]

        try:
            return await self.record(one.id_, one.command, one.cause, is_new=is_new, first=told)
        except Exception as error:  # noqa: BLE001 - the answer of this one among many
            return error

    def known(self, id_: str) -> S | None:
        """The state, where it is in memory."""
        known = self._known.get(id_)
        return None if known is None else known.state

    def _worked(self, working: asyncio.Task[Transacted[S, E]]) -> None:
        self._working.discard(working)
        if not working.cancelled():
            working.exception()  # looked at, also where the caller has gone

    async def _in_turn(
        self,
        id_: str,
        command: C,
        cause: Cause,
        *,
        is_new: bool,
        first: Callable[[S, Sequence[E]], Awaitable[None]] | None = None,
    ) -> Transacted[S, E]:
        turn = self._turns.setdefault(id_, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                return await self._transact(id_, command, cause, is_new=is_new, first=first)
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._turns[id_]

    async def _transact(
        self,
        id_: str,
        command: C,
        cause: Cause,
        *,
        is_new: bool,
        first: Callable[[S, Sequence[E]], Awaitable[None]] | None,
    ) -> Transacted[S, E]:
        known = self._known.get(id_)
        is_guess = known is None and is_new
        if is_guess:
            known = _Known(self.decider.initial, NO_STREAM, 0)
        for _ in range(ATTEMPTS_MAX):
            known = known or await self._read(id_)
            try:
                events = tuple(self.decider.decide(command, known.state))
            except Rejected:
                if not is_guess:
                    raise
                events = ()
            if not events and is_guess:  # only what is there can tell
                known, is_guess = None, False
                continue
            if not events:
                return Transacted(known.state, (), known.position, known.revision)
            if first is not None:
                await first(known.state, events)
            try:
                done = await self._append(id_, events, known.revision, cause, is_guess=is_guess)
            except WrongVersion:
                self._known.pop(id_, None)
                known, is_guess = None, False
                continue
            except BaseException:
                # It may be stored or not: the next one reads.
                self._known.pop(id_, None)
                raise
            state = self.decider.fold(known.state, events)
            self._keep(id_, _Known(state, done.revision, done.position))
            return Transacted(state, events, done.position, done.revision)
        message = f"{self.stream(id_)} was changed by others {ATTEMPTS_MAX} times"
        raise Contended(message)

    async def _append(
        self, id_: str, events: Sequence[E], expected: int, cause: Cause, *, is_guess: bool
    ) -> Appended:
        stream, new = self.stream(id_), self._new(id_, events, cause, is_guess=is_guess)
        try:
            return await self.store.append(stream, new, expected)
        except (OutcomeUnknown, Busy):
            done = await self._until_known(stream, new, expected)
        if isinstance(done, AppendFailed):
            raise done
        return done

    def _new(
        self, id_: str, events: Sequence[E], cause: Cause, *, is_guess: bool
    ) -> Sequence[NewEvent]:
        stream = self.stream(id_)
        # The store would answer an append of an earlier life as it did then, and what followed it
        # would not be seen. Where nothing was read, ids of this attempt alone make that a conflict.
        key = f"{cause.command_id}\x00{_LIFE}{next(_guesses)}" if is_guess else cause.command_id
        metadata = _metadata(cause)
        return tuple(
            NewEvent(_event_id(stream, key, n, type_, data), type_, data, metadata)
            for n, (type_, data) in enumerate(map(self.codec.encode, events))
        )

    async def _until_known(
        self, stream: str, new: Sequence[NewEvent], expected: int
    ) -> Appended | AppendFailed:
        """The very same append again, until it is known."""
        try:
            async for attempt in stamina.retry_context(
                on=(OutcomeUnknown, Busy), attempts=UNKNOWN_ATTEMPTS_MAX, timeout=None, wait_max=2.0
            ):
                with attempt:
                    return await self.store.append(stream, new, expected)
        except AppendFailed as failed:
            return failed
        raise AssertionError("the retry ends by returning or raising")

    async def _read(self, id_: str) -> _Known[S]:
        known = _Known(self.decider.initial, NO_STREAM, 0)
        origin = None if self.origin_of is None else await self.origin_of(id_)
        if origin is not None:
            at = await self.store.read_one(self.stream(id_), origin.revision)
            # Of another history, it is of no use.
            if at is not None and str(at.id) == origin.event_id:
                known = _Known(origin.state, origin.revision, at.position)
        async for stored in self.store.read(self.stream(id_), known.revision + 1):
            event = self.codec.decode(stored.type, stored.data)
            state = self.decider.evolve(known.state, event)
            known = _Known(state, stored.revision, stored.position)
        return known if known.revision == NO_STREAM else self._keep(id_, known)

    def _keep(self, id_: str, known: _Known[S]) -> _Known[S]:
        """Keep it, unless a newer one is kept; answers the newer."""
        held = self._known.get(id_)
        if held is not None and held.revision > known.revision:
            return held
        self._known[id_] = known
        self._known.move_to_end(id_)
        if len(self._known) > self.cached_max:
            self._known.popitem(last=False)
        return known


def _decided(attempts: Mapping[int, _Attempt[S, E]]) -> Sequence[Decided[S, E]]:
    return [Decided(n, each.known.state, each.events) for n, each in attempts.items()]


def _event_id(stream: str, key: str, ordinal: int, type_: str, data: bytes) -> UUID:
    # The store compares ids only; the data makes other data under the same command another event.
    of_stream = stream.partition("-")[2]
    if is_uuid7(of_stream):
        return id_beside(
            of_stream, f"{stream}\x00{key}\x00{ordinal}\x00{type_}\x00".encode() + data
        )
    digest = hashlib.sha256(data).hexdigest()
    return named_in(_EVENT_IDS, f"{stream}\x00{key}\x00{ordinal}\x00{type_}\x00{digest}")


def _metadata(cause: Cause) -> Mapping[str, str]:
    """One for all events of an append, which nobody changes."""
    metadata = {
        "correlation_id": cause.correlation_id,
        "causation_id": cause.causation_id,
        "command_id": cause.command_id,
        "actor": cause.actor,
        **trace_headers.get(),
    }
    return {key: value for key, value in metadata.items() if value}
