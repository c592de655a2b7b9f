"""A page as the rows it makes: read once, entries kept in their stored bytes."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from hefu.accounts.v1 import events_pb2 as pb
from libs.journal_pages import split
from libs.wire import time_from_wire
from services.accounts.codec.entry_rows import EntryRow, TouchedRow, plain_rows
from services.accounts.domain.kinds import Kind


class PageRow(NamedTuple):
    number: int
    written_us: int
    business_date: str
    entries: int
    page_hash: bytes
    entries_root: bytes


class Opened(NamedTuple):
    account_id: str
    owner: str
    kind: int
    currency: str
    ordinal: int
    ceiling: int | None = None


class Bounds(NamedTuple):
    """None: the kind's own floor; no ceiling."""

    account_id: str
    floor: int | None
    ceiling: int | None


class Closed(NamedTuple):
    account_id: str
    is_closed: bool


class Frozen(NamedTuple):
    account_id: str
    freeze_id: str
    side: int
    purpose: str
    stop_captures: bool


class Unfrozen(NamedTuple):
    account_id: str
    freeze_id: str


Change: TypeAlias = Opened | Bounds | Closed | Frozen | Unfrozen


class PageRows(NamedTuple):
    """What a page makes; `past_day_negatives` are ordinals."""

    page: PageRow
    entries: list[EntryRow]
    touched: list[TouchedRow]
    changes: list[Change]
    past_day_negatives: list[int]


_FACTS = pb.Entry.DESCRIPTOR.oneofs_by_name["fact"].fields
# "transfer_posted" -> "TransferPosted"
_NAMES = {fact.name: fact.message_type.name for fact in _FACTS if fact.message_type}
_NO_LEGS: dict[str, int] = {}


def page_rows(stored: bytes, number_of: Callable[[int], int]) -> PageRows:
    """What a stored page holds. Whether it is damaged was for its reader to find out.

    `number_of`: what the rows call a page of its shard.
    """
    parts = split(stored)
    page = pb.PageWritten.FromString(parts.head)
    number = number_of(page.page_number)
    row = PageRow(
        number,
        time_from_wire(page.written_time),
        page.business_date,
        len(parts.entries),
        parts.stated_hash or b"",
        parts.stated_root or parts.entries_root,
    )
    found = PageRows(row, [], [], [], [])
    for ordinal, data in enumerate(parts.entries):
        plain = plain_rows(data, number, ordinal)
        if plain is None:
            add_entry(found, pb.Entry.FromString(data), ordinal, data)
        else:
            told, one, other = plain
            found.entries.append(told)
            found.touched.extend((one, other))
    return found


def add_entry(found: PageRows, entry: pb.Entry, ordinal: int, data: bytes) -> None:
    """Any entry, by its message."""
    number = found.page.number
    fact = entry.WhichOneof("fact")
    moved = _NO_LEGS
    if fact == "transfer_posted":
        moved = _moved(entry.transfer_posted.legs)
    elif fact == "hold_captured":
        moved = _moved(entry.hold_captured.legs)
    elif fact == "crossing_ended":
        moved = _moved(entry.crossing_ended.legs)
    else:
        change = _change(fact, entry)
        if change is not None:
            found.changes.append(change)
    value_date, business_date = entry.value_date, entry.business_date
    found.entries.append(
        (
            number,
            ordinal,
            entry.correlation_id,
            entry.obligation.window_id if entry.HasField("obligation") else "",
            business_date,
            data,
        )
    )
    for after in entry.balances:
        account_id = after.account_id
        found.touched.append(
            (
                account_id,
                after.account_seq,
                number,
                ordinal,
                value_date,
                business_date,
                moved.get(account_id, 0),
                after.posted_minor,
                after.held_minor,
                after.incoming_minor,
            )
        )
    if entry.is_past_day_negative:
        found.past_day_negatives.append(ordinal)


def _moved(legs: Iterable[pb.PostedLeg]) -> dict[str, int]:
    moved: dict[str, int] = {}
    for leg in legs:
        minor = leg.amount.minor_units
        signed = minor if leg.direction == pb.DIRECTION_CREDIT else -minor
        moved[leg.account_id] = moved.get(leg.account_id, 0) + signed
    return moved


def _change(fact: str | None, entry: pb.Entry) -> Change | None:
    match fact:
        case "account_opened":
            opened = entry.account_opened
            return Opened(
                opened.account_id,
                opened.owner,
                opened.kind,
                opened.currency_code,
                opened.ordinal,
                opened.ceiling_minor if opened.HasField("ceiling_minor") else None,
            )
        case "bounds_set":
            bounds = entry.bounds_set
            return Bounds(
                bounds.account_id,
                bounds.floor_minor if bounds.HasField("floor_minor") else None,
                bounds.ceiling_minor if bounds.HasField("ceiling_minor") else None,
            )
        case "window_opened":
            window = entry.window_opened
            return _clearing(
                window.clearing_account_id, window.bank_id, window.currency_code, window.ordinal
            )
        case "window_sealed":
            sealed = entry.window_sealed
            return _clearing(
                sealed.next_clearing_account_id,
                sealed.bank_id,
                sealed.currency_code,
                sealed.next_ordinal,
            )
        case "account_closed":
            return Closed(entry.account_closed.account_id, is_closed=True)
        case "account_reopened":
            return Closed(entry.account_reopened.account_id, is_closed=False)
        case "window_closed":
            return Closed(entry.window_closed.clearing_account_id, is_closed=True)
        case "account_frozen":
            frozen = entry.account_frozen
            return Frozen(
                frozen.account_id,
                frozen.freeze_id,
                frozen.side,
                frozen.purpose,
                frozen.stop_captures,
            )
        case "account_unfrozen":
            return Unfrozen(entry.account_unfrozen.account_id, entry.account_unfrozen.freeze_id)
        case _:
            return None


def _clearing(account_id: str, bank_id: str, currency: str, ordinal: int) -> Opened:
    return Opened(account_id, f"bank:{bank_id}", int(Kind.CLEARING), currency, ordinal)


class Told(NamedTuple):
    """What an entry tells of itself. `purpose`: what it was for, in the words of who asked."""

    fact: str
    command_id: str
    purpose: str


def told_by(data: bytes) -> Told:
    """The same, from its stored bytes."""
    entry = pb.Entry.FromString(data)
    fact = entry.WhichOneof("fact") or ""
    purpose = str(getattr(getattr(entry, fact), "purpose", "")) if fact else ""
    return Told(_NAMES.get(fact, ""), entry.command_id, purpose)
