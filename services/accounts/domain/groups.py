"""Linked groups: commands of which all are posted, on one page and in order, or none.

Each sees the effect of those before it, on a trial book; the book itself changes only when all have
passed. A repeat must be the same group, so each member's terms hold a digest of them all.
"""

import hashlib
from collections.abc import Sequence

from services.accounts.domain.book import Book
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import BeginSpan, Command, Linked, Template, Transfer
from services.accounts.domain.entries import CommandRefused, Entry
from services.accounts.domain.journal import (
    Decision,
    Repeated,
    decide,
    known_of,
    not_from_future,
    refusal_entry,
)
from services.accounts.domain.pages import PAGE_BYTES_MAX
from services.accounts.domain.refusals import Reason, Refusal, Refused
from services.accounts.domain.shape import check
from services.accounts.domain.terms import SEPARATOR, canonical, digest
from services.accounts.domain.trial import trial_of

GROUP_MAX = 500
# No entry takes more stored bytes than this and its texts.
_ENTRY_BYTES = 640
_LEG_BYTES = 176
_HOME_BYTES = 48
_LEGS_LEAST = 2


def decide_linked(linked: Linked, caller: Caller, book: Book, ordinal: int) -> list[Decision]:
    """A decision for each; `ordinal` is where the first entry would stand on the page."""
    commands = linked.commands
    fault = _shape_fault(linked)
    if fault is not None:
        return none_recorded(commands, *fault)
    group = group_of(commands)
    known = _seen_before(commands, group, caller, book)
    if known is not None:
        return known
    for n, command in enumerate(commands):
        try:
            not_from_future(command, book)
        except Refused as refused:
            return none_recorded(commands, n, refused.refusal)
    entries: list[Entry] = []
    trial = trial_of(book)
    for n, command in enumerate(commands):
        match decide(command, caller, trial, group):
            case Refusal() as refusal:
                return none_recorded(commands, n, refusal)
            case Entry(CommandRefused(reason)) as first:
                others = f"item {n + 1} of the group: {reason}"
                entries = _refused(commands, others, group, caller, book)
                entries[n] = first._replace(group_id=commands[0][0])
                return list(entries)
            case Entry() as entry:
                entries.append(entry._replace(group_id=commands[0][0]))
                trial.evolve(entries[n], ordinal + n)
            case other:
                raise AssertionError(f"{command} is of no kind that a group may hold: {other}")
    return list(entries)


def group_of(commands: Sequence[Command]) -> str:
    """What tells a group from every other: its members' ids and terms, in their order."""
    members = hashlib.sha256()
    for command in commands:
        members.update(command[0].encode() + SEPARATOR + digest(canonical(command)).hash)
    return members.hexdigest()


def bytes_of(commands: Sequence[Command]) -> int:
    """At most so many bytes the entries of these commands take on a page."""
    return sum(_bytes_of(command) for command in commands)


def _bytes_of(command: Command) -> int:
    if isinstance(command, BeginSpan):
        return _bytes_of(command.transfer) + len(command.homes) * _HOME_BYTES
    texts = sum(len(term.encode()) for term in command if isinstance(term, str))
    legs = _LEGS_LEAST
    if isinstance(command, Transfer):
        legs = max(legs, len(command.legs))
        if isinstance(command.computed, Template):
            legs = len(command.computed.sources) + len(command.computed.parts)
    return _ENTRY_BYTES + texts + legs * _LEG_BYTES


def _shape_fault(linked: Linked) -> tuple[int, Refusal] | None:
    """Rows 1 to 11: the first item at fault, and why."""
    commands = linked.commands
    for n, command in enumerate(commands):
        try:
            check(command)
        except Refused as refused:
            return n, refused.refusal
    ids = [command[0] for command in commands]
    for n, id_ in enumerate(ids):
        if id_ in ids[:n]:
            field = type(commands[n])._fields[0]
            text = "the id stands in the group twice"
            return n, Refusal(Reason.FIELD_NOT_ALLOWED.name, (field,), text)
    if linked.is_open:
        text = "the last item of a request is linked to none"
        return len(commands) - 1, Refusal(Reason.GROUP_OPEN.name, ("is_linked",), text)
    if len(commands) > GROUP_MAX:
        text = f"at most {GROUP_MAX} items"
        return GROUP_MAX, Refusal(Reason.GROUP_TOO_LARGE.name, ("is_linked",), text)
    if bytes_of(commands) > PAGE_BYTES_MAX:
        text = "more than one page can hold"
        return len(commands) - 1, Refusal(Reason.GROUP_TOO_LARGE.name, ("is_linked",), text)
    return None


def _seen_before(
    commands: Sequence[Command], group: str, caller: Caller, book: Book
) -> list[Decision] | None:
    """Rows 15 and 16, if any of the ids has been used."""
    seen = [known_of(command[0], caller, book) for command in commands]
    if not any(seen):
        return None
    decisions: list[Decision] = []
    for command, known in zip(commands, seen, strict=True):
        terms = canonical(command, group)
        if known is None:
            decisions.append(_linked_failed("another item's id has been used before"))
        elif known.terms_hash == digest(terms).hash:
            decisions.append(Repeated(known.place))
        else:
            decisions.append(Repeated(known.place, tuple(terms)))
    return decisions


def none_recorded(commands: Sequence[Command], at: int, refusal: Refusal) -> list[Decision]:
    """One item's refusal, with which none of its group is recorded."""
    other = _linked_failed(f"item {at + 1} of the group: {refusal.reason}")
    decisions: list[Decision] = [other] * len(commands)
    decisions[at] = refusal
    return decisions


def _linked_failed(text: str) -> Refusal:
    return Refusal(Reason.LINKED_FAILED.name, (), text)


def _refused(
    commands: Sequence[Command], text: str, group: str, caller: Caller, book: Book
) -> list[Entry]:
    failed = Refused(Reason.LINKED_FAILED, "", text)
    return [
        refusal_entry(failed, command, canonical(command, group), caller, book)._replace(
            group_id=commands[0][0]
        )
        for command in commands
    ]
