"""Transfers over any shards, driven: what `spanning.py` says is next is done, up to an end.

Every step has an id derived from the span's, so all of it may run again: after a kill, for a
repeat. What is decided stands on the deciding shard before anything of it is done elsewhere.
"""

import asyncio
import re
from collections.abc import Sequence
from weakref import WeakValueDictionary

from libs.ids import derived_id
from services.accounts.crossings import DAYS_ANY, LATER, SYSTEM, TRANSIT, open_transit, placed
from services.accounts.domain.answers import Answer
from services.accounts.domain.book import place_of
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    Command,
    DecideSpan,
    EndSpan,
    Exchange,
    Linked,
    ReleasePart,
    ReservePart,
    Template,
)
from services.accounts.domain.entries import Entry, PartReserved, SpanBegun, SpanEnded
from services.accounts.domain.kinds import Kind
from services.accounts.domain.recalling import FACT, Key
from services.accounts.domain.refusals import Reason, Refusal, Refused
from services.accounts.domain.sharding import position_of
from services.accounts.domain.spanned import Posted, answers_of, as_known
from services.accounts.domain.spanning import (
    Ask,
    Fault,
    Intent,
    Move,
    Posting,
    Span,
    Wanted,
    next_step,
)
from services.accounts.placing import Places
from services.accounts.writer import Writer

_MOVE = re.compile(r"moves\[(\d+)]\.(.*)", re.DOTALL)


class Spans:
    """Drives them. One task at a time is at work on each."""

    def __init__(self, writers: Sequence[Writer], places: Places) -> None:
        self._writers = writers
        self._places = places
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def span(self, caller: Caller, span: Span) -> list[Answer]:
        """All of it, from the intent on; once more where it has been before. Raises `Refused`."""
        first = span.begins[0]
        item = Linked(span.begins, span.is_open) if span.is_linked else first
        async with self._lock(first.span_id):
            answers = await self._writers[span.shard].submit(caller, [item])
            return await self._ended(span.shard, caller.name, answers)

    async def resume(self) -> None:
        """Bring everything that is open to its end, as far as the shards answer."""
        for shard, writer in enumerate(self._writers):
            for span_id in await writer.read(lambda book: list(book.spans)):
                await self._resume(shard, span_id)

    async def finish_those_with(self, keys: Sequence[Key]) -> bool:
        """Whether any that is open may yet post one of these facts; then it has come to its end."""
        facts = {key.name for key in keys if key.kind == FACT}
        found = False
        for shard, writer in enumerate(self._writers):
            for span_id, span in list(writer.book.spans.items()) if facts else ():
                if not facts.isdisjoint(span.fact_keys):
                    found = True
                    await self._resume(shard, span_id)
        return found

    async def told_of(self, shard: int, caller: str, answers: Sequence[Answer]) -> list[Answer]:
        """The answers of a shard, with what has become of intents among them."""
        begun = [each.entry.fact for each in answers if each.entry is not None]
        ids = {fact.span_id for fact in begun if isinstance(fact, SpanBegun)}
        if not ids:
            return [placed(each, shard) for each in answers]
        async with self._lock(min(ids)):
            return await self._ended(shard, caller, answers)

    def _lock(self, span_id: str) -> asyncio.Lock:
        return self._locks.setdefault(span_id, asyncio.Lock())

    async def _resume(self, shard: int, span_id: str) -> None:
        writer = self._writers[shard]
        async with self._lock(span_id):
            span = await writer.read(lambda book: book.spans.get(span_id))
            if span is not None:
                entries = [await writer.entry_at(span.place + n) for n in range(span.members)]
                await self._finish(_intent(shard, span.caller, entries), is_replayed=True)

    async def _ended(self, shard: int, caller: str, answers: Sequence[Answer]) -> list[Answer]:
        entries = [each.entry for each in answers if each.entry is not None]
        if not all(isinstance(entry.fact, SpanBegun) for entry in entries) or len(entries) < len(
            answers
        ):
            return [placed(each, shard) for each in answers]
        intent = _intent(shard, caller, entries)
        return await self._finish(intent, is_replayed=answers[0].is_replayed)

    async def _finish(self, intent: Intent, *, is_replayed: bool) -> list[Answer]:
        writer, span_id = self._writers[intent.shard], intent.span_id
        span = await writer.read(lambda book: book.spans.get(span_id))
        posted: list[Posted] = []
        if span is not None:
            decided = span.decided
            if decided is None or not decided.reason:
                outcome = await self._forward(intent, is_decided=decided is not None)
                if isinstance(outcome, Fault):
                    await self._refuse(intent, outcome)
                else:
                    posted = outcome
            await self._let_go(span_id)
        end = EndSpan(_step_id(span_id, "end"), span_id)
        (ended,) = await writer.submit(SYSTEM, [end])
        _pass_by(ended.refusal)
        if ended.entry is None or not isinstance(ended.entry.fact, SpanEnded):
            raise AssertionError(f"span {span_id} does not end: {ended.refusal}")
        fact = ended.entry.fact
        if span is None and not fact.reason:
            again = await self._forward(intent, is_decided=True)
            posted = [] if isinstance(again, Fault) else again
        position = position_of(intent.shard, ended.position)
        return answers_of(intent, fact, posted, position, is_replayed=is_replayed)

    async def _forward(self, intent: Intent, *, is_decided: bool) -> list[Posted] | Fault:
        """Set aside, decide, do: as far as a fault. Raises `Refused` for what passes by itself."""
        for shard in {intent.shard, *intent.homes.values()}:
            for currency in _currencies(intent):
                await open_transit(self._writers[shard], shard, currency)
        told: dict[str, PartReserved | Fault] = {}
        step = next_step(intent, told)
        while isinstance(step, Wanted):
            found = await asyncio.gather(*(self._set_aside(intent, ask) for ask in step.asks))
            told |= {ask.name: each for ask, each in zip(step.asks, found, strict=True)}
            step = next_step(intent, told)
        if isinstance(step, Fault):
            return step
        fault = None if is_decided else await self._taken(intent)
        own = fault or await self._decide(intent, step.own)
        if isinstance(own, Fault):
            return own
        others = await asyncio.gather(*(self._do(intent, each) for each in step.others))
        return [*own, *(each for some in others for each in some)]

    async def _set_aside(self, intent: Intent, ask: Ask) -> PartReserved | Fault:
        moves = tuple(move.transfer for move in ask.moves)
        command = ReservePart(_reservation_id(intent, ask.name), intent.span_id, moves)
        # Quotes are the caller's own; elsewhere nobody but us may use an id of ours up.
        name = intent.caller if ask.shard == intent.shard else SYSTEM.name
        rights = _rights(intent, name)
        (answer,) = await self._writers[ask.shard].submit(rights, [command])
        if answer.refusal is not None:
            return _fault(answer.refusal, ask.moves)
        if answer.entry is None or not isinstance(answer.entry.fact, PartReserved):
            raise AssertionError(f"{command.reservation_id} set nothing aside: {answer}")
        return answer.entry.fact

    async def _taken(self, intent: Intent) -> Fault | None:
        """The first of the span's facts that is posted already, on whatever shard."""
        for at, begun in enumerate(intent.begun):
            key = Key(FACT, "", begun.transfer.fact_key)
            owners = await self._places.owners([key]) if key.name else {}
            if key in owners:
                shard, found = owners[key]
                page, ordinal = place_of(found.place)
                text = f"page {position_of(shard, page)}, entry {ordinal}"
                refusal = Refusal(Reason.FACT_ALREADY_POSTED.name, ("fact_key",), text)
                return Fault(at, refusal)
        return None

    async def _decide(self, intent: Intent, own: Posting) -> list[Posted] | Fault:
        """The deciding shard's part, by the caller's own rights: posted, it is the decision."""
        decide = DecideSpan(_step_id(intent.span_id, "decide"), intent.span_id)
        rights = _rights(intent, intent.caller)
        answers = await self._post(rights, intent, own, (decide,))
        refused = [each.refusal for each in answers]
        if not any(refused):
            return _posted(own, answers)
        at = next(
            n
            for n, each in enumerate(refused)
            if each is not None and each.reason != Reason.LINKED_FAILED.name
        )
        refusal, before = refused[at], len(answers) - len(own.moves)
        if refusal is None:
            raise AssertionError("a group is refused for a reason")
        _pass_by(refusal)
        if at < before:
            return Fault(0, refusal)
        move = own.moves[at - before]
        return Fault(move.at, as_known(refusal, move.fields))

    async def _do(self, intent: Intent, posting: Posting) -> list[Posted]:
        """What is decided cannot be refused any more: its means are set aside."""
        kinds = _rights(intent, SYSTEM.name).posts_to
        rights = Caller(
            SYSTEM.name, kinds, backdate_days=DAYS_ANY, ahead_days=DAYS_ANY, completes=True
        )
        answers = await self._post(rights, intent, posting, ())
        for each in answers:
            if each.refusal is not None:
                _pass_by(each.refusal)
                raise AssertionError(f"what is decided was refused: {each.refusal}")
        return _posted(posting, answers)

    async def _post(
        self, rights: Caller, intent: Intent, posting: Posting, first: tuple[Command, ...]
    ) -> Sequence[Answer]:
        ids = [_reservation_id(intent, name) for name in posting.names]
        releases = (ReleasePart(_step_id(each, "release"), each) for each in ids)
        transfers = (move.transfer for move in posting.moves)
        group = Linked((*first, *releases, *transfers))
        return await self._writers[posting.shard].submit(rights, [group])

    async def _refuse(self, intent: Intent, fault: Fault) -> None:
        reason, fields, description = fault.refusal
        command = DecideSpan(
            _step_id(intent.span_id, "refuse"),
            intent.span_id,
            reason,
            ", ".join(fields),
            description,
            fault.at,
        )
        (answer,) = await self._writers[intent.shard].submit(SYSTEM, [command])
        if answer.refusal is not None:
            _pass_by(answer.refusal)
            raise AssertionError(f"a span that is not decided cannot be refused: {answer.refusal}")

    async def _let_go(self, span_id: str) -> None:
        """What is still set aside for it anywhere is free again."""
        for writer in self._writers:
            ids = await writer.read(
                lambda book: [n for n, each in book.reserved.items() if each.span_id == span_id]
            )
            releases = [ReleasePart(_step_id(each, "release"), each) for each in ids]
            if releases:
                for each in await writer.submit(SYSTEM, releases):
                    _pass_by(each.refusal)


def _intent(shard: int, caller: str, entries: Sequence[Entry]) -> Intent:
    begun = tuple(entry.fact for entry in entries if isinstance(entry.fact, SpanBegun))
    return Intent(shard, caller, begun)


def _step_id(parent: str, step: str) -> str:
    return str(derived_id(parent, step))


def _reservation_id(intent: Intent, name: str) -> str:
    return _step_id(intent.span_id, f"reserve/{name}")


def _rights(intent: Intent, name: str) -> Caller:
    """Those that the caller had when it asked."""
    begun = intent.begun[0]
    kinds = frozenset(map(Kind, begun.kinds)) | TRANSIT
    return Caller(name, kinds, backdate_days=begun.backdate_days, ahead_days=begun.ahead_days)


def _currencies(intent: Intent) -> set[str]:
    found: set[str] = set()
    for begun in intent.begun:
        found |= {leg.currency for leg in begun.transfer.legs}
        match begun.transfer.computed:
            case Template(amount=amount):
                found.add(amount.currency)
            case Exchange(sold=sold, bought=bought):
                found |= {sold.currency, bought.currency}
            case _:
                pass
    return found


def _posted(posting: Posting, answers: Sequence[Answer]) -> list[Posted]:
    entries = [each.entry for each in answers[len(answers) - len(posting.moves) :]]
    return [
        Posted(posting.shard, move, entry)
        for move, entry in zip(posting.moves, entries, strict=True)
        if entry is not None
    ]


def _pass_by(refusal: Refusal | None) -> None:
    """Raise what passes by itself: the span stays open, the same call goes on with it."""
    if refusal is not None and refusal.reason in LATER:
        raise Refused(Reason[refusal.reason], "", refusal.description)


def _fault(refusal: Refusal, moves: Sequence[Move]) -> Fault:
    """A shard's refusal as one of a transfer of the span."""
    _pass_by(refusal)
    found = _MOVE.fullmatch(refusal.fields[0]) if refusal.fields else None
    if found is None:
        return Fault(0, refusal)
    move = moves[int(found[1])]
    fields = (found[2],) if found[2] else ()
    return Fault(move.at, as_known(refusal._replace(fields=fields), move.fields))
