"""A page being filled, and the calls that are complete with it."""

from dataclasses import dataclass, field

from services.accounts.calls import Call
from services.accounts.codec.entry_bytes import encode_entry
from services.accounts.domain.book import Book
from services.accounts.domain.commands import Linked
from services.accounts.domain.entries import Entry, WindowClosed, WindowOpened, WindowSealed
from services.accounts.domain.groups import bytes_of
from services.accounts.domain.pages import ENTRIES_MAX, PAGE_BYTES_MAX
from services.accounts.domain.recalling import Once, once_of

# What an entry takes on a page beside its own bytes: tag and length.
FIELD_BYTES = 4
_OF_WINDOWS = (WindowOpened, WindowSealed, WindowClosed)


@dataclass(slots=True)
class Draft:
    """`encoded`: the entries, as they are stored; `once`: what each gives a place to."""

    business_date: str
    encoded: list[bytes] = field(default_factory=list)
    once: list[Once] = field(default_factory=list)
    size: int = 0
    complete: list[Call] = field(default_factory=list)
    # Whether an entry stands in a bank's window, or says something of one.
    is_of_windows: bool = False

    @property
    def is_full(self) -> bool:
        return len(self.encoded) >= ENTRIES_MAX or self.size >= PAGE_BYTES_MAX

    def has_room_for(self, linked: Linked) -> bool:
        """Whether a group fits that may not be parted; on a page of its own it always does."""
        entries, size = len(linked.commands), bytes_of(linked.commands)
        is_within = self.size + size <= PAGE_BYTES_MAX
        return not self.encoded or (is_within and len(self.encoded) + entries <= ENTRIES_MAX)

    def add(self, entry: Entry, book: Book) -> None:
        ordinal = len(self.encoded)
        book.evolve(entry, ordinal)
        if entry.obligation is not None or isinstance(entry.fact, _OF_WINDOWS):
            self.is_of_windows = True
        encoded = encode_entry(entry, ordinal)
        self.encoded.append(encoded)
        self.once += once_of(entry, ordinal)
        self.size += len(encoded) + FIELD_BYTES
