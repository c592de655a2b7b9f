"""What we hear of others: the little we need of the journal's pages and of payouts' payees."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import orjson

from hefu.accounts.v1 import events_pb2 as journal
from libs.bus import Message
from libs.event_store import StoredEvent
from libs.hearing import headings_of
from libs.money import Money
from services.settlement.domain.statement import Favour

_FAVOURS = {journal.FAVOUR_OURS: Favour.OURS, journal.FAVOUR_BANK: Favour.BANK}
# Facts of ours that say: this movement stands on the bank's side of the journal.
MIRROR, BOOKED = "mirror", "booked"
_BANK_SIDE = (f"/{MIRROR}", f"/{BOOKED}")
_BANK_SIDE_BYTES = tuple(side.encode() for side in _BANK_SIDE)
# What the journal writes beside a page none of whose entries is in a window, or of one.
_WINDOWS, _NONE = "windows", "none"
_WINDOWS_NONE = f'"{_WINDOWS}":"{_NONE}"'.encode()


@dataclass(frozen=True, slots=True)
class Movement:
    payment_id: str
    window_id: str
    bank_id: str
    favour: Favour
    amount: Money
    carried_from: str


@dataclass(frozen=True, slots=True)
class Seal:
    window_id: str
    bank_id: str
    currency: str
    next_window_id: str
    legs: int
    sum_ours_minor: int
    sum_bank_minor: int


@dataclass(frozen=True, slots=True)
class Window:
    window_id: str
    bank_id: str
    currency: str


@dataclass(frozen=True, slots=True)
class OnBankSide:
    """The mirror followed this payment."""

    payment_id: str


Fact: TypeAlias = Movement | Seal | Window | OnBankSide


@dataclass(frozen=True, slots=True)
class Page:
    number: int
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Payee:
    payment_id: str
    bank_id: str
    bank_account: str
    name: str


def page_of(stored: StoredEvent) -> Page | None:
    """The page, where the event is one."""
    if not stored.type.endswith(".PageWritten"):
        return None
    if stored.metadata.get(_WINDOWS) == _NONE and not any(
        side in stored.data for side in _BANK_SIDE_BYTES
    ):
        # Most pages: none of it is read. A page's number is its revision.
        return Page(stored.revision, ())
    page = journal.PageWritten.FromString(stored.data)
    return Page(page.page_number, tuple(_facts(page)))


def may_hold_movements(message: Message) -> bool:
    """Whether a page is worth reading for them: it says where it holds none."""
    return _WINDOWS_NONE not in headings_of(message).metadata


def _facts(page: journal.PageWritten) -> Iterator[Fact]:
    for entry in page.entries:
        fact = entry.WhichOneof("fact")
        if fact == "transfer_posted" and entry.transfer_posted.fact_key.endswith(_BANK_SIDE):
            yield OnBankSide(entry.transfer_posted.fact_key.rpartition("/")[0])
        elif fact == "window_sealed":
            sealed = entry.window_sealed
            yield Seal(
                sealed.window_id,
                sealed.bank_id,
                sealed.currency_code,
                sealed.next_window_id,
                sealed.legs,
                sealed.sum_ours_minor,
                sealed.sum_bank_minor,
            )
            yield Window(sealed.next_window_id, sealed.bank_id, sealed.currency_code)
        elif fact == "window_opened":
            opened = entry.window_opened
            yield Window(opened.window_id, opened.bank_id, opened.currency_code)
        if fact != "command_refused" and entry.HasField("obligation"):
            yield _movement(entry.obligation)


def _movement(obligation: journal.Obligation) -> Movement:
    return Movement(
        obligation.payment_id,
        obligation.window_id,
        obligation.bank_id,
        _FAVOURS[obligation.favour],
        Money(obligation.amount.currency_code, obligation.amount.minor_units),
        obligation.carried_from_window_id,
    )


def may_be_payout(data: bytes) -> bool:
    """Whether it is worth reading: most payments have no payee at a bank."""
    return b'"payout"' in data


def payee_of(stored: StoredEvent) -> Payee | None:
    """Where a payout goes; None for every other event."""
    if not stored.type.endswith(".PaymentRequested"):
        return None
    requested = orjson.loads(stored.data)
    payout = requested.get("terms", {}).get("payout")
    if payout is None:
        return None
    return Payee(
        requested["payment_id"],
        payout["bank_id"],
        payout["bank_account"],
        payout.get("payee_name", ""),
    )
