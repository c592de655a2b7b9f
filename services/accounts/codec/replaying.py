"""Pages as recovery needs them, transfers without their legs; and single entries of old pages.

The balances after a transfer say what it did; a journal of ten million is read in half the time.
"""

import sys
from collections.abc import Sequence

from hefu.accounts.v1 import events_pb2 as pb
from libs.wire import time_from_wire
from services.accounts.codec.facts import entry_from_wire
from services.accounts.domain.entries import BalanceAfter, Entry, Page, TransferPosted
from services.accounts.domain.pages import verified_hash


def decode_for_replay(stored: bytes) -> Page:
    """A page, proven against its own hash. Raises `PageDamaged`."""
    page_hash = verified_hash(stored)
    message = pb.PageWritten.FromString(stored)
    return Page(
        message.page_number,
        message.previous_hash,
        time_from_wire(message.written_time),
        message.business_date,
        tuple([_entry(entry) for entry in message.entries]),
        page_hash,
    )


class StoredPage:
    """A page proven against its hash, whose entries are read one by one as they are asked for."""

    def __init__(self, stored: bytes) -> None:
        """Raises `PageDamaged`."""
        verified_hash(stored)
        self._entries = pb.PageWritten.FromString(stored).entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, ordinal: int) -> Entry:
        return entry_from_wire(self._entries[ordinal])


class WrittenPage:
    """A page by its entries' stored bytes, of which few are ever read again."""

    def __init__(self, encoded: Sequence[bytes]) -> None:
        self._encoded = encoded

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, ordinal: int) -> Entry:
        return entry_from_wire(pb.Entry.FromString(self._encoded[ordinal]))


def _entry(message: pb.Entry) -> Entry:
    if message.WhichOneof("fact") != "transfer_posted" or message.HasField("obligation"):
        return entry_from_wire(message)
    posted = message.transfer_posted
    return Entry(
        TransferPosted((), "", posted.fact_key, quote_id=posted.quote_id),
        message.command_id,
        sys.intern(message.caller),
        "",
        message.terms_hash,
        b"",
        message.value_date,
        # An account keeps its day: a million need not have one each.
        sys.intern(message.business_date),
        None,
        tuple(
            [
                BalanceAfter(
                    b.account_id, b.account_seq, b.posted_minor, b.held_minor, b.incoming_minor
                )
                for b in message.balances
            ]
        ),
    )
