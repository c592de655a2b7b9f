"""What a command is answered: the entry that stands for it, or why there is none."""

from typing import NamedTuple

from services.accounts.domain.entries import CommandRefused, Entry
from services.accounts.domain.refusals import Refusal


class Answer(NamedTuple):
    """`position` is the page the outcome stands on; `entry` is None where nothing was recorded."""

    position: int
    is_replayed: bool
    entry: Entry | None = None
    refusal: Refusal | None = None


def answer_of(entry: Entry, position: int, *, is_replayed: bool) -> Answer:
    """The answer that an entry stands for, now and for every repeat."""
    fact = entry.fact
    if not isinstance(fact, CommandRefused):
        return Answer(position, is_replayed, entry)
    fields = (fact.field,) if fact.field else ()
    return Answer(position, is_replayed, entry, Refusal(fact.reason, fields, fact.description))
