"""Signed heads, kept outside the store: what is signed, across restarts, and what they prove."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import grpc
import pytest

from hefu.accounts.v1 import accounts_pb2, audit_pb2, events_pb2
from libs.grpc_errors import reason_of
from libs.journal_pages import PageUnreadable, seal_of, split
from libs.journal_proof import Head, Malformed, NotProven, Proof, SignedHead, page_leaf
from libs.memory_store import MemoryStore
from libs.merkle import Growing
from libs.signing import Signer
from services.accounts.codec.pages import JOURNAL
from services.accounts.heads import Heads, read_heads
from tests.services.accounts.conftest import HEAD_EVERY_S, Served
from tests.services.accounts.desk import START_US, Desk, new_ids
from tests.services.accounts.histories import history
from tests.services.accounts.journals import Now
from tests.services.accounts.stored import store_pages, stored_pages

_IDS = new_ids()


@pytest.fixture
def signer(run_dir: Path) -> Signer:
    return Signer(run_dir / "identities" / "accounts" / "signing.key")


@asynccontextmanager
async def _signing(store: MemoryStore, folder: Path, signer: Signer) -> AsyncIterator[Heads]:
    heads = Heads(store, JOURNAL, folder, signer, Now(), HEAD_EVERY_S)
    running = asyncio.create_task(heads.run())
    try:
        yield heads
    finally:
        running.cancel()
        await asyncio.wait([running])


def _log_root(pages: list[bytes]) -> bytes:
    tree = Growing()
    for number, page in enumerate(pages):
        tree.add(page_leaf(number, seal_of(page).page_hash, split(page).entries_root))
    return tree.root


async def test_a_head_says_what_all_pages_hold(tmp_path: Path, signer: Signer) -> None:
    store, desk = MemoryStore(), history(1, 5, 3).desk
    await store_pages(desk, store)
    stored = stored_pages(desk)

    async with _signing(store, tmp_path, signer) as heads:
        signed = await heads.signed(len(stored))

    assert signed.is_signed_by(signer.public_key)
    assert signed.head.journal == JOURNAL
    assert signed.head.pages == len(stored)
    assert signed.head.page_hash == seal_of(stored[-1]).page_hash
    assert signed.head.log_root == _log_root(stored)
    assert signed.head.written_us == desk.times[-1]
    assert list(read_heads(tmp_path / f"{JOURNAL}.jsonl")) == [signed]


async def test_heads_go_on_after_a_restart_each_naming_the_one_before(
    tmp_path: Path, signer: Signer
) -> None:
    desk = Desk()
    for _ in range(3):
        desk.account()
        store = MemoryStore()
        await store_pages(desk, store)
        async with _signing(store, tmp_path, signer) as heads:
            await heads.signed(len(desk.pages))
        desk.turn_page(1)

    signed = list(read_heads(tmp_path / f"{JOURNAL}.jsonl"))
    assert [each.head.pages for each in signed] == [1, 2, 3]
    assert signed[-1].head.log_root == _log_root(stored_pages(desk)[:3])
    for before, after in pairwise(signed):
        assert after.head.previous_digest == before.head.digest


async def test_a_line_cut_short_by_a_crash_is_written_anew(tmp_path: Path, signer: Signer) -> None:
    store, desk = MemoryStore(), history(1, 3, 2).desk
    await store_pages(desk, store)
    async with _signing(store, tmp_path, signer) as heads:
        whole = await heads.signed(len(desk.pages))
    file = tmp_path / f"{JOURNAL}.jsonl"
    line = file.read_text()
    file.write_text(line[:-40])

    async with _signing(store, tmp_path, signer) as heads:
        again = await heads.signed(len(desk.pages))

    assert list(read_heads(file)) == [again]
    assert again.head.log_root == whole.head.log_root


async def test_a_journal_that_was_changed_is_not_signed_again(
    tmp_path: Path, signer: Signer
) -> None:
    store, desk = MemoryStore(), Desk()
    desk.account()
    await store_pages(desk, store)
    async with _signing(store, tmp_path, signer) as heads:
        await heads.signed(1)
    other, rewritten = MemoryStore(), Desk()
    rewritten.account()
    rewritten.account()
    rewritten.turn_page(1)
    rewritten.account()
    await store_pages(rewritten, other)

    heads = Heads(other, JOURNAL, tmp_path, signer, Now(), HEAD_EVERY_S)
    running = asyncio.create_task(heads.run())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4 * HEAD_EVERY_S):
            await heads.signed(2)
    running.cancel()
    await asyncio.wait([running])

    assert len(list(read_heads(tmp_path / f"{JOURNAL}.jsonl"))) == 1


def test_a_head_reads_back_and_nothing_else_does(signer: Signer) -> None:
    tree = Growing()
    tree.add(bytes(32))
    head = Head(JOURNAL, 1, bytes(32), tree.root, START_US, START_US + 1)
    signed = SignedHead.of(head, signer, tree.parts)
    fields = json.loads(signed.to_line())

    assert SignedHead.from_line(signed.to_line()) == signed
    assert signed.tree().root == head.log_root
    for name, value in (("pages", "1"), ("pages", -1), ("page_hash", "zz"), ("journal", "é")):
        with pytest.raises(Malformed):
            SignedHead.from_line(json.dumps({**fields, name: value}))
    for name in fields:
        with pytest.raises(Malformed):
            SignedHead.from_line(json.dumps({k: v for k, v in fields.items() if k != name}))
    for text in ("", "[]", "{"):
        with pytest.raises(Malformed):
            SignedHead.from_line(text)
    with pytest.raises(Malformed):
        SignedHead.from_line(json.dumps({**fields, "parts": ["11" * 32]})).tree()
    assert not SignedHead.from_line(json.dumps({**fields, "pages": 2})).is_signed_by(
        signer.public_key
    )


def test_the_bytes_that_are_signed_are_these_for_ever() -> None:
    """Heads are kept by others for years: this layout is a contract."""
    leaf = page_leaf(258, bytes(range(32)), bytes(range(32, 64)))
    head = Head(JOURNAL, 259, bytes(range(32)), leaf, 1_790_000_000_000_000, 1, bytes([7] * 32))

    assert leaf.hex() == "fe5b6f684193427f298d9c0837e237d70ab7fb6cb13303b25b15bd12b2df7ce3"
    assert head.encode().startswith(b"HEFU-JOURNAL-HEAD-1\x09journal-0" + (259).to_bytes(8, "big"))
    assert head.digest.hex() == "e806ad13bbc52827e4c4f874c772c159d96c30f4f1d3665079e4b631c0b1e224"


def test_a_page_is_taken_apart_as_it_was_put_together() -> None:
    desk = history(3, 4, 5).desk
    for number, stored in enumerate(stored_pages(desk)):
        page, message = split(stored), events_pb2.PageWritten.FromString(stored)
        seal = seal_of(stored)

        assert page.is_sealed
        assert page.stated_root == page.entries_root == message.entries_root == seal.entries_root
        assert [events_pb2.Entry.FromString(each) for each in page.entries] == list(message.entries)
        assert (seal.number, seal.written_us) == (number, desk.times[number])
        assert seal.previous_hash == message.previous_hash


def test_what_is_no_page_is_not_taken_apart(root: Path) -> None:
    stored = (root / "tests" / "golden" / "accounts" / "page_v1_0.binpb").read_bytes()

    assert seal_of(stored).entries_root == split(stored).entries_root
    for wrong in (b"", b"\x0d" + stored, stored[:40], b"\x2a\xff" + stored[-34:]):
        with pytest.raises(PageUnreadable):
            seal_of(wrong)


async def _money_moves(served: Served, count: int) -> None:
    for _ in range(count):
        opening = accounts_pb2.Opening(
            account_id=next(_IDS),
            owner=f"o:{next(_IDS)}",
            kind=events_pb2.ACCOUNT_KIND_MERCHANT,
            currency_code="CZK",
        )
        await served.operator.OpenAccount(accounts_pb2.OpenAccountRequest(opening=opening))


def _proof(message: audit_pb2.EntryProof) -> Proof:
    return Proof(
        message.journal,
        message.page_number,
        message.ordinal,
        message.entry,
        message.page_entries,
        tuple(message.entry_path),
        message.page_hash,
        message.pages,
        tuple(message.page_path),
    )


async def test_every_entry_is_proven_to_who_holds_an_old_head(
    served: Served, signer: Signer
) -> None:
    await _money_moves(served, 5)
    old = await served.heads.signed(5)
    await _money_moves(served, 20)
    await served.heads.signed(old.head.pages + 1)

    for page_number in range(old.head.pages):
        answer = await served.audit.ProveEntry(
            audit_pb2.ProveEntryRequest(page_number=page_number, pages=old.head.pages)
        )
        proof = Proof.from_text(_proof(answer.proof).to_text())
        proof.check(old, signer.public_key)
        assert events_pb2.Entry.FromString(proof.entry).HasField("account_opened")
        assert answer.head.signature == old.signature
        assert len(proof.to_text()) < 4_000


async def test_nothing_else_passes_for_the_entry(served: Served, signer: Signer) -> None:
    await _money_moves(served, 9)
    head = await served.heads.signed(9)
    answer = await served.audit.ProveEntry(
        audit_pb2.ProveEntryRequest(page_number=4, pages=head.head.pages)
    )
    fields = json.loads(_proof(answer.proof).to_text())
    changed = {
        "entry": fields["entry"][:-2] + "00",
        "ordinal": 1,
        "page_number": 5,
        "page_entries": 2,
        "page_hash": "00" * 32,
        "pages": head.head.pages + 1,
        "journal": "journal-1",
        "page_path": fields["page_path"][1:],
    }

    for name, value in changed.items():
        with pytest.raises(NotProven):
            Proof.from_text(json.dumps({**fields, name: value})).check(head, signer.public_key)
    with pytest.raises(NotProven):
        Proof.from_text(json.dumps(fields)).check(head, bytes(32))


async def test_what_cannot_be_proven_is_refused(served: Served) -> None:
    async def refusal(**request: int) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await served.audit.ProveEntry(audit_pb2.ProveEntryRequest(**request))
        return reason_of(caught.value)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.audit.GetJournalHead(audit_pb2.GetJournalHeadRequest())
    assert reason_of(caught.value) == "JOURNAL_HEAD_NOT_FOUND"
    await _money_moves(served, 2)
    await served.heads.signed(2)

    assert await refusal(page_number=2, pages=2) == "ENTRY_NOT_COVERED"
    assert await refusal(page_number=1, ordinal=1) == "ENTRY_NOT_FOUND"
    newest = await served.audit.GetJournalHead(audit_pb2.GetJournalHeadRequest())
    assert newest.public_key == served.heads.public_key
