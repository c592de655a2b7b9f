"""Whoever changes the store's file is found, and what was changed is named: page and ordinal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hefu.accounts.v1 import events_pb2
from libs.cli.auditing import Audit
from libs.cli.journal_check import Finding, PageMark
from libs.event_store import NewEvent
from libs.ids import named_id
from libs.journal_pages import seal_of, split
from libs.journal_proof import NO_DIGEST, Head, SignedHead, page_leaf
from libs.kurrent_store import KurrentStore
from libs.merkle import Growing
from libs.signing import Signer
from services.accounts.codec.pages import PAGE_TYPE
from tests.servers import EventStoreServer, identities
from tests.services.accounts.histories import history
from tests.services.accounts.stored import stored_pages
from tests.services.accounts.tampering import Change, chained, edited, rewrite

# Heads were signed when there were so many pages.
SIGNED_AT = (4, 9, 14)
PAGE = 6


def _amount(page: events_pb2.PageWritten) -> None:
    entry = next(each for each in page.entries if each.HasField("transfer_posted"))
    for leg in entry.transfer_posted.legs:
        leg.amount.minor_units += 1_000_000


def _amount_and_balances(page: events_pb2.PageWritten) -> None:
    """As a careful thief would: the legs, and the balances right after them."""
    entry = next(each for each in page.entries if each.HasField("transfer_posted"))
    payee = entry.transfer_posted.legs[1].account_id
    entry.transfer_posted.legs[1].amount.minor_units += 500
    entry.transfer_posted.legs[0].amount.minor_units += 500
    for after in entry.balances:
        after.posted_minor += 500 if after.account_id == payee else -500


def _delete(page: events_pb2.PageWritten) -> None:
    del page.entries[2]


def _swap(page: events_pb2.PageWritten) -> None:
    first, second = events_pb2.Entry(), events_pb2.Entry()
    first.CopyFrom(page.entries[1])
    second.CopyFrom(page.entries[2])
    page.entries[1].CopyFrom(second)
    page.entries[2].CopyFrom(first)


def _insert(page: events_pb2.PageWritten) -> None:
    forged = events_pb2.Entry()
    forged.CopyFrom(page.entries[1])
    forged.command_id = "01a0c450-6c00-7000-8000-00000000beef"
    rest = [events_pb2.Entry.FromString(e.SerializeToString()) for e in page.entries[2:]]
    del page.entries[2:]
    page.entries.append(forged)
    page.entries.extend(rest)


def _note(page: events_pb2.PageWritten) -> None:
    page.entries[1].correlation_id = "somebody-else"


def _on_page(change: Callable[[events_pb2.PageWritten], None]) -> Change:
    return lambda pages: [*pages[:PAGE], edited(pages[PAGE], change), *pages[PAGE + 1 :]]


def _made_anew(change: Callable[[events_pb2.PageWritten], None]) -> Change:
    """And every hash after it made again, so that the chain holds."""
    return lambda pages: chained(_on_page(change)(pages))


def _without_page(pages: list[bytes]) -> list[bytes]:
    return pages[:PAGE] + pages[PAGE + 1 :]


def _pages_swapped(pages: list[bytes]) -> list[bytes]:
    return [*pages[:PAGE], pages[PAGE + 1], pages[PAGE], *pages[PAGE + 2 :]]


def _time(page: events_pb2.PageWritten) -> None:
    page.written_time.seconds -= 3_600


# What is done to the store, and what must be found: a kind and its place.
CASES: dict[str, tuple[Change, set[tuple[str, str]]]] = {
    "untouched": (lambda pages: pages, set()),
    "edit": (
        _on_page(_amount),
        {("PAGE_EDITED", "6"), ("SUM_DIFFERS", "6.0"), ("ENTRY_EDITED", "6.0")},
    ),
    "note": (_on_page(_note), {("PAGE_EDITED", "6"), ("ENTRY_EDITED", "6.1")}),
    "delete": (_on_page(_delete), {("PAGE_EDITED", "6"), ("ENTRY_DELETED", "6.2")}),
    "insert": (_on_page(_insert), {("PAGE_EDITED", "6"), ("ENTRY_INSERTED", "6.2")}),
    "reorder": (_on_page(_swap), {("PAGE_EDITED", "6"), ("ENTRY_MOVED", "6.2")}),
    "edit-anew": (_made_anew(_amount_and_balances), {("ENTRY_EDITED", "6.0")}),
    "note-anew": (_made_anew(_note), {("ENTRY_EDITED", "6.1")}),
    "delete-anew": (_made_anew(_delete), {("ENTRY_DELETED", "6.2")}),
    "insert-anew": (_made_anew(_insert), {("ENTRY_INSERTED", "6.2")}),
    "reorder-anew": (_made_anew(_swap), {("ENTRY_MOVED", "6.1")}),
    "time-anew": (_made_anew(_time), {("PAGE_EDITED", "6")}),
    "page-gone": (_without_page, {("CHAIN_BROKEN", "6"), ("PAGE_DELETED", "6")}),
    "page-gone-anew": (lambda pages: chained(_without_page(pages)), {("PAGE_DELETED", "6")}),
    "pages-swapped": (_pages_swapped, {("CHAIN_BROKEN", "6"), ("PAGE_MOVED", "6")}),
    "pages-swapped-anew": (lambda pages: chained(_pages_swapped(pages)), {("PAGE_MOVED", "6")}),
    "last-pages-gone": (lambda pages: pages[:10], {("PAGE_DELETED", "10")}),
}
PAGES = stored_pages(history(seed=5, pages=14, per_page=4, per_day=5).desk)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    folder = identities(tmp_path_factory.mktemp("tamper-identities"))
    return Signer(folder / "accounts" / "signing.key")


@pytest.fixture(scope="module")
def tampered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStoreServer]:
    """One store, a journal for each case, changed while the store was stopped."""
    run = tmp_path_factory.mktemp("tampered")
    server = EventStoreServer(run / "store", identities(run) / "eventstore")
    server.start()
    try:
        asyncio.run(_fill(server.uri))
        server.stop()
        changes = {f"journal-{name}": change for name, (change, _) in CASES.items()}
        rewrite(run / "store" / "data", changes)
        server.start()
        yield server
    finally:
        server.stop()


async def _fill(uri: str) -> None:
    async with KurrentStore.open(uri) as store:
        for name in CASES:
            for number, data in enumerate(PAGES):
                id_ = named_id(name, str(number))
                event = NewEvent(id_, PAGE_TYPE, data, {}, is_json=False)
                await store.append(f"journal-{name}", [event], number - 1)


def _marks(pages: Sequence[bytes]) -> list[PageMark]:
    return [
        PageMark(number, seal_of(page).page_hash, split(page).entries_root)
        for number, page in enumerate(pages)
    ]


def _heads(journal: str, signer: Signer) -> list[SignedHead]:
    tree, made, previous = Growing(), [], NO_DIGEST
    for mark in _marks(PAGES):
        tree.add(page_leaf(mark.number, mark.page_hash, mark.entries_root))
        if tree.size in SIGNED_AT:
            head = Head(journal, tree.size, mark.page_hash, tree.root, 1, 2, previous)
            made.append(SignedHead.of(head, signer, tree.parts))
            previous = head.digest
    return made


async def _row_entries(number: int) -> Sequence[bytes]:
    return split(PAGES[number]).entries


@asynccontextmanager
async def _audited(
    server: EventStoreServer,
    journal: str,
    heads: list[SignedHead],
    signer: Signer,
    *,
    with_rows: bool = True,
) -> AsyncIterator[Audit]:
    async with KurrentStore.open(server.uri) as store:
        audit = Audit(store, journal, heads, signer.public_key, lambda _: None)
        await audit.read()
        if with_rows:
            await audit.compare_pages(_marks(PAGES), _row_entries)
        audit.check.end()
        yield audit


def _places(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    return {(found.what, found.place) for found in findings}


@pytest.mark.parametrize("name", CASES)
async def test_what_was_changed_is_found_and_named(
    name: str, tampered: EventStoreServer, signer: Signer
) -> None:
    journal, expected = f"journal-{name}", CASES[name][1]

    async with _audited(tampered, journal, _heads(journal, signer), signer) as audit:
        found = _places(audit.findings.named)

    assert expected <= found, audit.findings.named
    assert (audit.findings.count == 0) == (not expected)
    if expected:
        assert audit.report().rows_are_signed
        assert {what for what, _ in found} & {"HEAD_DIFFERS", "PAGE_DELETED"}
        # The head before the change still holds: nothing before it was touched.
        assert audit.report().signed_pages == max(
            n for n in SIGNED_AT if n <= (10 if "last" in name else 6)
        )


@pytest.mark.parametrize("name", [name for name in CASES if name.endswith("anew")])
async def test_hashes_made_anew_pass_for_the_chain_and_not_for_the_head(
    name: str, tampered: EventStoreServer, signer: Signer
) -> None:
    """Without the read model the head still says between which pages it was."""
    journal = f"journal-{name}"

    async with _audited(
        tampered, journal, _heads(journal, signer), signer, with_rows=False
    ) as audit:
        found = _places(audit.findings.named)
        text = next(f.text for f in audit.findings.named if f.what == "HEAD_DIFFERS")

    assert ("HEAD_DIFFERS", "8") in found
    assert "pages 4 to 8" in text
    assert not {"CHAIN_BROKEN", "PAGE_EDITED"} & {what for what, _ in found}


async def test_a_field_that_was_edited_is_told_with_what_it_was(
    tampered: EventStoreServer, signer: Signer
) -> None:
    journal = "journal-note-anew"

    async with _audited(tampered, journal, _heads(journal, signer), signer) as audit:
        texts = [found.text for found in audit.findings.named if found.what == "ENTRY_EDITED"]

    assert texts == ["correlation_id is somebody-else, was absent"]


async def test_heads_that_were_removed_edited_or_not_ours_are_noticed(
    tampered: EventStoreServer, signer: Signer, tmp_path: Path
) -> None:
    journal = "journal-untouched"
    heads = _heads(journal, signer)
    stranger = Signer(identities(tmp_path) / "accounts" / "signing.key")

    async def whats(held: list[SignedHead], by: Signer = signer) -> list[str]:
        async with _audited(tampered, journal, held, by) as audit:
            return [found.what for found in audit.findings.named]

    assert await whats(heads) == []
    assert await whats([heads[0], heads[2]]) == ["HEAD_MISSING"]
    assert await whats([]) == ["HEAD_MISSING"]
    assert set(await whats(heads, stranger)) == {"HEAD_NOT_SIGNED", "HEAD_MISSING"}
    forged = SignedHead(heads[2].head, signer.public_key, heads[1].signature)
    assert await whats([*heads[:2], forged]) == ["HEAD_NOT_SIGNED"]
