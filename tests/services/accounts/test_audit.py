"""An audit of a running service: its pages, its writer, its rows, and the lists a reader pages."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import grpc
import pytest
from sqlalchemy import delete, update

from hefu.accounts.v1 import accounts_pb2 as pb
from hefu.accounts.v1 import audit_pb2, events_pb2
from hefu.type.v1.money_pb2 import Money
from libs.cli.auditing import Audit, Verdict
from libs.cli.auditing_live import LiveAudit
from libs.event_store import NewEvent
from libs.grpc_errors import reason_of
from libs.journal_proof import Proof, SignedHead
from services.accounts.codec.pages import JOURNAL, journal_of
from services.accounts.domain.sharding import hashed
from services.accounts.heads import read_heads
from services.accounts.projections import accounts
from tests.services.accounts.conftest import Served
from tests.services.accounts.desk import TODAY, new_ids

_IDS = new_ids()
_WALLET, _FEES = events_pb2.ACCOUNT_KIND_CUSTOMER_WALLET, events_pb2.ACCOUNT_KIND_FEE_INCOME


def _id() -> str:
    return next(_IDS)


async def _open(
    served: Served, kind: events_pb2.AccountKind.ValueType = _WALLET, shard: int | None = None
) -> str:
    account_id = _id()
    while shard is not None and hashed(account_id, len(served.all_heads)) != shard:
        account_id = _id()
    opening = pb.Opening(
        account_id=account_id, owner=f"o:{account_id}", kind=kind, currency_code="CZK"
    )
    await served.operator.OpenAccount(pb.OpenAccountRequest(opening=opening))
    return account_id


def _transfer(payer: str, payee: str, minor: int, payment: str = "") -> pb.Transfer:
    money = Money(currency_code="CZK", minor_units=minor)
    return pb.Transfer(
        transfer_id=_id(),
        legs=[
            pb.Leg(account_id=payer, direction=events_pb2.DIRECTION_DEBIT, amount=money),
            pb.Leg(account_id=payee, direction=events_pb2.DIRECTION_CREDIT, amount=money),
        ],
        correlation_id=payment,
    )


async def _post(served: Served, *transfers: pb.Transfer) -> None:
    await served.payments.PostTransfers(pb.PostTransfersRequest(transfers=transfers))


async def _business(served: Served) -> tuple[str, str]:
    """Money moves, some of it is held, some is refused."""
    fees, wallet, other = await _open(served, _FEES), await _open(served), await _open(served)
    await _post(served, _transfer(fees, wallet, 10_000), _transfer(wallet, other, 99_999))
    hold_id = _id()
    placement = pb.HoldPlacement(
        hold_id=hold_id,
        account_id=wallet,
        amount=Money(currency_code="CZK", minor_units=700),
        destination_account_id=other,
    )
    await served.payments.PlaceHold(pb.PlaceHoldRequest(placement=placement))
    capture = pb.HoldCapture(
        capture_id=_id(), hold_id=hold_id, amount=Money(currency_code="CZK", minor_units=300)
    )
    await served.payments.CaptureHold(pb.CaptureHoldRequest(capture=capture))
    await _post(served, *(_transfer(wallet, other, n) for n in range(1, 9)))
    return wallet, other


def _heads(served: Served) -> list[SignedHead]:
    return list(read_heads(served.heads_dir / f"{JOURNAL}.jsonl"))


async def _audited(served: Served, heads: Sequence[SignedHead] | None = None) -> Verdict:
    held = _heads(served) if heads is None else heads
    audit = Audit(served.store, JOURNAL, held, served.heads.public_key, lambda _: None)
    await audit.read()
    live = LiveAudit([audit])
    await live.hold_against_writers(served.operator)
    await live.hold_against_rows(served.audit)
    audit.check.end()
    return live.verdict()


async def test_books_that_are_right_are_proven(served: Served) -> None:
    await _business(served)
    await served.heads.signed(served.writer.position + 1)

    verdict = await _audited(served)
    (report,) = verdict.reports

    assert verdict.is_proven, verdict.findings.named
    assert report.pages == report.signed_pages == served.writer.position + 1
    assert report.accounts == verdict.with_writer == verdict.with_rows == 3
    assert report.heads_matched == report.heads > 0


async def test_books_are_proven_while_posting_goes_on(served: Served) -> None:
    wallet, other = await _business(served)
    await served.heads.signed(1)
    is_over = asyncio.Event()

    async def post() -> int:
        posted = 0
        while not is_over.is_set():
            await _post(served, _transfer(other, wallet, 1))
            posted += 1
        return posted

    posting = asyncio.create_task(post())
    reports = [await _audited(served) for _ in range(5)]
    is_over.set()

    assert await posting > 0
    assert [report.findings.named for report in reports] == [[]] * 5
    assert reports[-1].reports[0].pages > reports[0].reports[0].pages


async def _shards_audited(served: Served) -> Verdict:
    audits = [
        Audit(
            served.store,
            journal_of(shard),
            list(read_heads(served.heads_dir / f"{journal_of(shard)}.jsonl")),
            served.heads.public_key,
            lambda _: None,
        )
        for shard in range(len(served.all_heads))
    ]
    for each in audits:
        await each.read()
    live = LiveAudit(audits)
    await live.hold_against_writers(served.operator)
    await live.hold_against_rows(served.audit)
    for each in audits:
        each.check.end()
    return live.verdict()


async def test_books_in_several_journals_are_proven_together(served_by_shards: Served) -> None:
    served = served_by_shards
    fees = await _open(served, _FEES)
    wallets = [await _open(served, shard=n % len(served.all_heads)) for n in range(6)]
    await _post(served, *(_transfer(fees, wallet, 1_000) for wallet in wallets))
    is_over = asyncio.Event()

    async def post() -> None:
        while not is_over.is_set():
            await _post(served, *(_transfer(a, b, 1) for a, b in pairwise(wallets)))

    posting = asyncio.create_task(post())
    for heads in served.all_heads:
        await heads.signed(1)
    busy = await _shards_audited(served)
    is_over.set()
    await posting
    for heads, report in zip(served.all_heads, busy.reports, strict=True):
        await heads.signed(report.pages)
    quiet = await _shards_audited(served)

    assert busy.findings.named == []
    assert quiet.is_proven, quiet.findings.named
    assert len(quiet.reports) == len(served.all_heads)
    assert quiet.moving == 0
    assert quiet.with_writer == quiet.with_rows == sum(each.accounts for each in quiet.reports)
    assert all(each.heads_matched == each.heads > 0 for each in quiet.reports)


async def test_an_entry_of_any_journal_is_proven_to_its_own_head(served_by_shards: Served) -> None:
    served = served_by_shards
    for shard, heads in enumerate(served.all_heads):
        await _open(served, shard=shard)
        signed = await heads.signed(1)
        answer = await served.audit.ProveEntry(
            audit_pb2.ProveEntryRequest(page_number=shard << 40, pages=signed.head.pages)
        )
        message = answer.proof
        proof = Proof(
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
        proof.check(signed, served.heads.public_key)
        assert proof.journal == journal_of(shard)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await served.audit.GetJournalHead(audit_pb2.GetJournalHeadRequest(shard=9))
    assert reason_of(caught.value) == "FIELD_INVALID"


async def test_a_balance_that_only_the_rows_have_is_named(served: Served) -> None:
    wallet, other = await _business(served)
    await served.heads.signed(1)
    # Rows still being written would be written over what is changed below.
    assert (await _audited(served)).findings.named == []
    for change in (
        update(accounts).where(accounts.c.account_id == wallet).values(posted_minor=1),
        delete(accounts).where(accounts.c.account_id == other),
    ):
        await served.database.write(lambda c, change=change: c.execute(change))  # type: ignore[misc]

    found = (await _audited(served)).findings.named

    assert {each.what for each in found} == {"ROWS_DIFFER"}
    assert any(wallet in each.text and "posted is 1" in each.text for each in found)
    assert any(other in each.text for each in found)


async def test_a_store_that_lost_its_last_pages_is_noticed(served: Served) -> None:
    await _business(served)
    await served.heads.signed(served.writer.position + 1)
    # As a store restored from an old backup would be: the writer and the head know better.
    shorter = type(served.store)()
    async for event in served.store.read(JOURNAL):
        if event.revision < 2:
            new = NewEvent(event.id, event.type, event.data, {}, is_json=False)
            await shorter.append(JOURNAL, [new], event.revision - 1)
    audit = Audit(shorter, JOURNAL, _heads(served), served.heads.public_key, lambda _: None)

    await audit.read()
    live = LiveAudit([audit])
    await live.hold_against_writers(served.operator)
    audit.check.end()

    whats = {found.what for found in live.verdict().findings.named}
    assert "PAGE_DELETED" in whats
    assert "WRITER_DIFFERS" in whats


async def _listed(served: Served, size: int, **wanted: str) -> list[tuple[int, int]]:
    """All pages of a list, with something posted between each."""
    places: list[tuple[int, int]] = []
    request = pb.ListEntriesRequest(page_size=size, **wanted)  # type: ignore[arg-type]
    while True:
        answer = await served.operator.ListEntries(request)
        places += [(each.page_number, each.entry.ordinal) for each in answer.entries]
        await _open(served)
        request.page_token = answer.next_page_token
        if not request.page_token:
            return places


async def test_lists_go_on_page_by_page_while_posting_goes_on(served: Served) -> None:
    wallet, other = await _business(served)
    request = pb.ListEntriesRequest(account_id=wallet, page_size=1_000)
    request.min_position = served.writer.position
    whole = (await served.operator.ListEntries(request)).entries
    expected = [(each.page_number, each.entry.ordinal) for each in whole]

    assert await _listed(served, 2, account_id=wallet) == expected
    # A list of everything never ends where something is posted for each page of one: three do.
    places = await _listed(served, 3)
    assert places == sorted(set(places))
    assert places[:5] == [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1)]
    assert await _listed(served, 2, account_id=other, to_date="2026-01-01") == []


async def test_entries_are_found_by_payment_and_by_day(served: Served) -> None:
    wallet, other = await _business(served)
    payment = _id()
    await _post(served, _transfer(wallet, other, 5, payment))
    next_day = "2026-09-22"
    await served.operator.MoveBusinessDate(
        pb.MoveBusinessDateRequest(request_id=_id(), to_date=next_day)
    )
    await _post(served, _transfer(wallet, other, 6, payment))
    position = served.writer.position

    async def found(**wanted: str) -> list[tuple[str, str]]:
        request = pb.ListEntriesRequest(min_position=position, **wanted)  # type: ignore[arg-type]
        answer = await served.operator.ListEntries(request)
        return [(each.entry.correlation_id, each.entry.business_date) for each in answer.entries]

    assert await found(correlation_id=payment) == [(payment, TODAY), (payment, next_day)]
    assert await found(correlation_id=payment, from_date=next_day) == [(payment, next_day)]
    assert await found(correlation_id=payment, account_id=other, to_date=TODAY) == [
        (payment, TODAY)
    ]
    assert await found(account_id=wallet, from_date=next_day) == [(payment, next_day)]
    assert await found(from_date="2026-10-01") == []
    assert len(await found(to_date=TODAY)) + len(await found(from_date=next_day)) == len(
        await found()
    )


async def test_a_watcher_goes_on_from_any_position_and_checks_every_balance(
    served: Served,
) -> None:
    wallet, _ = await _business(served)
    last = served.writer.position

    async def watched(first: int, *watching: str) -> list[pb.WatchJournalResponse]:
        heard: list[pb.WatchJournalResponse] = []
        request = pb.WatchJournalRequest(from_page=first, account_ids=watching)
        call = served.operator.WatchJournal(request)
        async for answer in call:
            heard.append(answer)
            if answer.position >= last:
                call.cancel()
                break
        return heard

    whole = await watched(0)
    for first in range(last + 1):
        assert await watched(first) == whole[first:]
    balance = {"seq": 0, "posted": 0}
    for answer in await watched(0, wallet):
        for entry in answer.page.entries:
            (after,) = [each for each in entry.balances if each.account_id == wallet]
            moved = sum(
                leg.amount.minor_units * (1 if leg.direction == events_pb2.DIRECTION_CREDIT else -1)
                for leg in [*entry.transfer_posted.legs, *entry.hold_captured.legs]
                if leg.account_id == wallet
            )
            assert after.account_seq == balance["seq"] + 1
            assert after.posted_minor == balance["posted"] + moved
            balance = {"seq": after.account_seq, "posted": after.posted_minor}
    assert balance["posted"] > 0
    quiet = await watched(0, _id())
    assert [answer.HasField("page") for answer in quiet] == [False]
