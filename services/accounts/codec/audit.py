"""Heads and proofs as messages."""

from hefu.accounts.v1 import audit_pb2 as pb
from libs.journal_proof import Proof, SignedHead
from libs.wire import time_to_wire


def head_message(signed: SignedHead) -> pb.SignedJournalHead:
    head = signed.head
    return pb.SignedJournalHead(
        journal=head.journal,
        pages=head.pages,
        page_hash=head.page_hash,
        log_root=head.log_root,
        written_time=time_to_wire(head.written_us),
        sign_time=time_to_wire(head.signed_us),
        previous_digest=head.previous_digest,
        key_id=signed.key_id,
        signature=signed.signature,
    )


def proof_message(proof: Proof) -> pb.EntryProof:
    return pb.EntryProof(
        journal=proof.journal,
        page_number=proof.page_number,
        ordinal=proof.ordinal,
        entry=proof.entry,
        page_entries=proof.page_entries,
        entry_path=proof.entry_path,
        page_hash=proof.page_hash,
        pages=proof.pages,
        page_path=proof.page_path,
    )
