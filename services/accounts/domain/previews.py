"""What would become of commands, on a trial book: the same decisions, and nothing is written."""

from collections.abc import Sequence
from typing import NamedTuple

from services.accounts.domain.book import Book
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Item, Linked
from services.accounts.domain.entries import Entry
from services.accounts.domain.groups import decide_linked
from services.accounts.domain.journal import Decision, decide, expiries
from services.accounts.domain.trial import due_by, trial_of


class Preview(NamedTuple):
    """Decisions in the order of the commands, and the book and page as they would be."""

    decisions: tuple[Decision, ...]
    book: Book
    entries: tuple[Entry, ...]


def preview(items: Sequence[Item], caller: Caller, book: Book, now_us: int) -> Preview:
    """As the next page would have it, were it begun now for these alone."""
    page_us = max(book.page_us, now_us)
    trial = trial_of(book)
    trial.deadlines = due_by(book, page_us)
    trial.begin_page(book.page_number + 1, page_us)
    entries: list[Entry] = []
    decisions: list[Decision] = []

    def take(decision: Decision) -> None:
        if isinstance(decision, Entry):
            trial.evolve(decision, len(entries))
            entries.append(decision)

    while (expiry := expiries(trial)) is not None:
        take(expiry)
    for item in items:
        if isinstance(item, Linked):
            decided = decide_linked(item, caller, trial, len(entries))
        else:
            decided = [decide(item, caller, trial)]
        for decision in decided:
            take(decision)
        decisions += decided
    return Preview(tuple(decisions), trial, tuple(entries))
