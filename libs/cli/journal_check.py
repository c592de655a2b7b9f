"""The journal checked page by page: its chain, its roots, its heads, its sums; and what differs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError

from hefu.accounts.v1 import events_pb2 as pb
from libs.cli.journal_ledger import Ledger
from libs.journal_pages import PageUnreadable, seal_of, split
from libs.journal_proof import NO_DIGEST, SignedHead, page_leaf
from libs.merkle import Growing

FINDINGS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it was written. Page -1: no page in particular."""

    what: str
    page: int
    text: str
    ordinal: int | None = None
    journal: str = ""

    @property
    def place(self) -> str:
        """`page.ordinal`, as an entry is named."""
        if self.page < 0:
            return ""
        return f"{self.page}" if self.ordinal is None else f"{self.page}.{self.ordinal}"


@dataclass(slots=True)
class Findings:
    """What was found in a journal, the first of it by name, all of it counted."""

    journal: str = ""
    named: list[Finding] = field(default_factory=list)
    count: int = 0

    def add(self, what: str, page: int, text: str, ordinal: int | None = None) -> None:
        """Note one."""
        self.count += 1
        if len(self.named) < FINDINGS_MAX:
            self.named.append(Finding(what, page, text, ordinal, self.journal))


@dataclass(frozen=True, slots=True)
class PageMark:
    """What tells one page from another."""

    number: int
    page_hash: bytes
    entries_root: bytes


class JournalCheck:
    """Takes the stored pages one after the other; `ledger` is then what they come to."""

    def __init__(
        self, journal: str, heads: Sequence[SignedHead], public_key: bytes, findings: Findings
    ) -> None:
        self.journal = journal
        self.findings = findings
        self.ledger = Ledger()
        self.marks: list[PageMark] = []
        self.entries = 0
        self.heads_matched = 0
        self.signed_pages = 0
        self._tree = Growing()
        self._last_hash = bytes(32)
        self._head_differs = False
        self._heads = {head.head.pages: head for head in self._checked(heads, public_key)}

    @property
    def pages(self) -> int:
        """How many were taken."""
        return len(self.marks)

    def _checked(self, heads: Sequence[SignedHead], public_key: bytes) -> Iterator[SignedHead]:
        """The heads that are signed as they should be; each must name the one before."""
        previous = NO_DIGEST
        pages = 0
        for head in heads:
            number = head.head.pages - 1
            if head.head.journal != self.journal or not head.is_signed_by(public_key):
                self.findings.add("HEAD_NOT_SIGNED", number, "a head is not signed by the key")
                continue
            if head.head.previous_digest != previous or head.head.pages <= pages:
                text = "a head does not follow the one before it: heads were removed or reordered"
                self.findings.add("HEAD_MISSING", number, text)
            previous, pages = head.head.digest, head.head.pages
            yield head

    def take(self, stored: bytes) -> None:
        """The next page as the store has it."""
        number = self.pages
        try:
            page, seal = split(stored), seal_of(stored)
        except PageUnreadable as error:
            self.findings.add("PAGE_EDITED", number, f"it cannot be read as a page: {error}")
            self._count(PageMark(number, bytes(32), bytes(32)))
            return
        if not page.is_sealed:
            self.findings.add("PAGE_EDITED", number, "its bytes do not match the hash on it")
        if page.stated_root is not None and page.stated_root != page.entries_root:
            self.findings.add("PAGE_EDITED", number, "its entries do not match the root on it")
        if seal.number != number:
            text = f"here stands a page that calls itself {seal.number}"
            self.findings.add("PAGE_MOVED", number, text)
        if seal.previous_hash != self._last_hash:
            self.findings.add("CHAIN_BROKEN", number, "it does not follow the page before it")
        self._last_hash = seal.page_hash
        for ordinal, data in enumerate(page.entries):
            self._entry(number, ordinal, data)
        self._count(PageMark(number, page.body_hash, page.entries_root))

    def _entry(self, page: int, ordinal: int, data: bytes) -> None:
        self.entries += 1
        try:
            entry = pb.Entry.FromString(data)
        except DecodeError:
            self.findings.add("ENTRY_EDITED", page, "it cannot be read as an entry", ordinal)
            return
        if entry.ordinal != ordinal:
            text = f"here stands an entry that calls itself {entry.ordinal}"
            self.findings.add("ENTRY_MOVED", page, text, ordinal)
        for text in self.ledger.take(entry):
            self.findings.add("SUM_DIFFERS", page, text, ordinal)

    def _count(self, mark: PageMark) -> None:
        self.marks.append(mark)
        self._tree.add(page_leaf(*_leaf_of(mark)))
        head = self._heads.get(self.pages)
        if head is None:
            return
        if head.head.log_root == self._tree.root and head.head.page_hash == mark.page_hash:
            self.heads_matched += 1
            self.signed_pages = self.pages
        elif not self._head_differs:
            self._head_differs = True
            text = (
                f"pages {self.signed_pages} to {mark.number} are not what was signed: "
                f"the head of {self.pages} pages differs"
            )
            self.findings.add("HEAD_DIFFERS", mark.number, text)

    def end(self) -> None:
        """No page follows: whatever was signed must have been there."""
        newest = max(self._heads, default=0)
        if newest > self.pages:
            text = f"{newest} pages were signed, the store has {self.pages}"
            self.findings.add("PAGE_DELETED", self.pages, text)
        if not self._heads and self.pages:
            self.findings.add("HEAD_MISSING", -1, "no signed head was found to hold it against")

    def is_signed(self, marks: Sequence[PageMark]) -> bool:
        """Whether another copy of the journal is the one that the heads were signed for."""
        tree, matched = Growing(), 0
        for mark in marks:
            tree.add(page_leaf(*_leaf_of(mark)))
            head = self._heads.get(tree.size)
            if head is not None:
                if head.head.log_root != tree.root:
                    return False
                matched += 1
        return matched > 0


def _leaf_of(mark: PageMark) -> tuple[int, bytes, bytes]:
    return mark.number, mark.page_hash, mark.entries_root


@dataclass(frozen=True, slots=True)
class Pairing:
    """How two lists of pages lie beside each other: ours by number, the other copy's by number."""

    deleted: list[int]
    inserted: list[int]
    edited: list[tuple[int, int]]
    moved: list[tuple[int, int]]


def pair(ours: Sequence[bytes], others: Sequence[bytes]) -> Pairing:
    """Lay two lists of keys beside each other: what is only in one, what stands elsewhere."""
    start = 0
    shortest = min(len(ours), len(others))
    while start < shortest and ours[start] == others[start]:
        start += 1
    end = 0
    while end < shortest - start and ours[-1 - end] == others[-1 - end]:
        end += 1
    mine, theirs = ours[start : len(ours) - end], others[start : len(others) - end]
    found = Pairing([], [], [], [])
    matcher = SequenceMatcher(None, theirs, mine, autojunk=False)
    for tag, their_from, their_to, my_from, my_to in matcher.get_opcodes():
        if tag == "equal":
            continue
        both = min(their_to - their_from, my_to - my_from) if tag == "replace" else 0
        found.edited.extend((start + my_from + n, start + their_from + n) for n in range(both))
        found.deleted.extend(range(start + their_from + both, start + their_to))
        found.inserted.extend(range(start + my_from + both, start + my_to))
    return _with_moves(found, ours, others)


def _with_moves(found: Pairing, ours: Sequence[bytes], others: Sequence[bytes]) -> Pairing:
    """The same key on both sides, at two places, was moved: neither deleted nor edited."""
    lost = {others[n]: n for n in found.deleted} | {others[n]: n for _, n in found.edited}
    moved = [
        (n, lost[ours[n]])
        for n in [*found.inserted, *(n for n, _ in found.edited)]
        if ours[n] in lost
    ]
    gone, come = {n for _, n in moved}, {n for n, _ in moved}
    edited = [(n, m) for n, m in found.edited if n not in come and m not in gone]
    left_over = [(n, m) for n, m in found.edited if (n in come) != (m in gone)]
    return Pairing(
        sorted(
            [n for n in found.deleted if n not in gone] + [m for n, m in left_over if n in come]
        ),
        sorted(
            [n for n in found.inserted if n not in come] + [n for n, m in left_over if m in gone]
        ),
        edited,
        sorted(moved),
    )


def compare_entries(
    page: int, ours: Sequence[bytes], others: Sequence[bytes], findings: Findings
) -> None:
    """Name what differs between a page's entries and another copy of them."""
    mine, theirs = [_plain(each) for each in ours], [_plain(each) for each in others]
    found = pair([key for key, _ in mine], [key for key, _ in theirs])
    for ordinal, was in found.moved:
        findings.add("ENTRY_MOVED", page, f"it stood at {page}.{was}", ordinal)
    for ordinal, was in found.edited:
        text = differing(mine[ordinal][1], theirs[was][1])
        findings.add("ENTRY_EDITED", page, text, ordinal)
    for was in found.deleted:
        findings.add("ENTRY_DELETED", page, f"it was {_told(theirs[was][1])}", was)
    for ordinal in found.inserted:
        findings.add("ENTRY_INSERTED", page, f"it is {_told(mine[ordinal][1])}", ordinal)


def _plain(data: bytes) -> tuple[bytes, Mapping[str, str]]:
    """An entry without its ordinal, which a deletion before it changes; its fields by path."""
    try:
        entry = pb.Entry.FromString(data)
    except DecodeError:
        return data, {"bytes": data.hex()}
    entry.ClearField("ordinal")
    fields = MessageToDict(entry, preserving_proto_field_name=True)
    return entry.SerializeToString(deterministic=True), dict(_flat("", fields))


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(f"{path}.{name}" if path else name, inner)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _flat(f"{path}[{n}]", inner)
    else:
        yield path, str(value)


def differing(ours: Mapping[str, str], other: Mapping[str, str]) -> str:
    """The fields that differ: here, and in the other copy."""
    names = [name for name in {**other, **ours} if ours.get(name) != other.get(name)]
    return "; ".join(
        f"{name} is {ours.get(name, 'absent')}, was {other.get(name, 'absent')}" for name in names
    )


def _told(fields: Mapping[str, str]) -> str:
    names = ("command_id", "correlation_id")
    facts = Counter(name.partition(".")[0] for name in fields if "." in name)
    facts.pop("obligation", None)
    known = [f"{name} {fields[name]}" for name in names if name in fields]
    kind = next((name for name in facts if not name.startswith("balances")), "an entry")
    return ", ".join([kind, *known])
