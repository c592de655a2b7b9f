"""What an auditor may ask: heads, proofs, and the rows as they are. Nothing is decided here."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hefu.accounts.v1 import audit_pb2 as pb
from hefu.accounts.v1 import audit_pb2_grpc
from libs.grpc_server import Binding
from libs.journal_proof import SignedHead
from services.accounts.codec.answers import account_message
from services.accounts.codec.audit import head_message, proof_message
from services.accounts.domain.book import Place
from services.accounts.domain.sharding import page_of, position_of
from services.accounts.heads import Heads
from services.accounts.projections import list_accounts, page_count
from services.accounts.proving import page_entries, page_hashes, prove
from services.accounts.reading import Rows, refused

if TYPE_CHECKING:
    import grpc

    Context: TypeAlias = grpc.aio.ServicerContext[object, object]

PAGE_SIZE_DEFAULT = 1_000


@dataclass(frozen=True, slots=True)
class AuditApi(audit_pb2_grpc.JournalAuditServiceServicer):
    rows: Rows
    # One for each journal, in their order.
    heads: Sequence[Heads]

    def binding(self) -> Binding:
        add = audit_pb2_grpc.add_JournalAuditServiceServicer_to_server
        return Binding(add, self, "hefu.accounts.v1.JournalAuditService")

    async def GetJournalHead(
        self, request: pb.GetJournalHeadRequest, context: "Context"
    ) -> pb.GetJournalHeadResponse:
        heads, newest = self._newest(request.shard, "shard")
        return pb.GetJournalHeadResponse(head=head_message(newest), public_key=heads.public_key)

    async def ProveEntry(
        self, request: pb.ProveEntryRequest, context: "Context"
    ) -> pb.ProveEntryResponse:
        place = Place(request.page_number, request.ordinal)
        shard, number = page_of(place.page_number)
        heads, newest = self._newest(shard, "page_number")
        size = request.pages or newest.head.pages
        if number >= size:
            text = f"the head covers {size} pages: a later one is needed"
            raise refused("ENTRY_NOT_COVERED", "page_number", text)
        proof = await self.rows.read(lambda c: prove(c, place, size), position_of(shard, size - 1))
        if proof is None:
            raise refused("ENTRY_NOT_FOUND", "ordinal", "there is no such entry")
        known: SignedHead | None = newest
        if newest.head.pages != size:
            known = await asyncio.to_thread(lambda: heads.find(size))
        return pb.ProveEntryResponse(
            proof=proof_message(proof), head=None if known is None else head_message(known)
        )

    async def ListPageHashes(
        self, request: pb.ListPageHashesRequest, context: "Context"
    ) -> pb.ListPageHashesResponse:
        size = request.page_size or PAGE_SIZE_DEFAULT
        found = await self.rows.read(lambda c: page_hashes(c, request.from_page, size))
        return pb.ListPageHashesResponse(
            pages=[
                pb.PageHashes(
                    page_number=row.page_number,
                    page_hash=row.page_hash,
                    entries_root=row.entries_root,
                )
                for row in found
            ]
        )

    async def ListPageEntries(
        self, request: pb.ListPageEntriesRequest, context: "Context"
    ) -> pb.ListPageEntriesResponse:
        found = await self.rows.read(lambda c: page_entries(c, request.page_number))
        return pb.ListPageEntriesResponse(entries=found)

    async def ListRowBalances(
        self, request: pb.ListRowBalancesRequest, context: "Context"
    ) -> pb.ListRowBalancesResponse:
        size = request.page_size or PAGE_SIZE_DEFAULT
        found, pages = await self.rows.read(
            lambda c: (
                list_accounts(c, "", 0, request.page_token, size + 1),
                [page_count(c, shard) for shard in range(len(self.heads))],
            ),
            request.min_position,
        )
        return pb.ListRowBalancesResponse(
            accounts=map(account_message, found[:size]),
            next_page_token=found[size - 1].account_id if len(found) > size else "",
            position=pages[0] - 1,
            positions=[position_of(shard, count - 1) for shard, count in enumerate(pages)],
        )

    def _newest(self, shard: int, field: str) -> tuple[Heads, SignedHead]:
        """The heads of a journal, and the newest. Raises `EdgeRefused`."""
        if shard >= len(self.heads):
            raise refused("FIELD_INVALID", field, f"there are {len(self.heads)} journals")
        heads = self.heads[shard]
        if heads.newest is None:
            raise refused("JOURNAL_HEAD_NOT_FOUND", "", "no head was signed yet")
        return heads, heads.newest
