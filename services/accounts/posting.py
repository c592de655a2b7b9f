"""Plain transfers, posted in one pass: from the parts of a request to the entry's stored bytes.

Nearly all that the journal does all day is this, so nothing is made on the way that is not stored
or answered. The rules are in `shape.py`, `terms.py`, `transfers.py`, the form of an entry is in
`facts.py`, what it does to the book in `Book.evolve`. Here it is only seen that no rule has
anything to say, or the last one, of bounds, alone, which is asked what; where another might, this
stops, and they decide. Tests hold both against each other. All parts of such an entry are bounded,
so their lengths are looked up.
"""

import struct
from collections.abc import Callable, Sequence
from hashlib import sha256
from zlib import crc32

from libs.wire_bytes import BYTES, SHORT, number, text, varint
from services.accounts.calls import Call
from services.accounts.codec.plain_calls import CREDIT, DEBIT, PlainTransfer
from services.accounts.domain.book import ORDINAL_BITS, Account, Book, Known
from services.accounts.domain.bounds import Move, within_bounds
from services.accounts.domain.journal import TIME_DIGITS, last_time_of
from services.accounts.domain.pages import ENTRIES_MAX, PAGE_BYTES_MAX
from services.accounts.domain.recalling import FACT, ID
from services.accounts.domain.refusals import Refused
from services.accounts.draft import FIELD_BYTES, Draft

# Where nothing comes near it, no balance overflows.
_FAR_FROM_OVERFLOW = 1 << 62
# A named tuple in a third of the time that its own call takes.
_made = tuple.__new__
# Digits of an id that tell its version and variant, as `shape.py` wants them.
_VERSION_AT, _VERSION = 14, "7"
_VARIANT_AT, _VARIANTS = 19, "89ab"
_SIDES = {DEBIT: "1", CREDIT: "2"}
# The name, three texts, a day, five terms of an obligation, three of each leg.
_CHECKS = struct.Struct("<16I")
_NAME_CHECK = crc32(b"transfer")
_NO_CHECKS = (0, 0, 0, 0, 0, 0)
_SIDE_CHECKS = {side: crc32(digit.encode()) for side, digit in _SIDES.items()}


def post(  # noqa: C901, PLR0912, PLR0915 - one pass, each reason to stop in its place
    call: Call,
    transfers: Sequence[PlainTransfer],
    book: Book,
    draft: Draft,
    keep: Callable[[Account], None] | None,
) -> int:
    """Post the call's transfers from where it is, as far as all is plain and the page has room.

    How many that were; the items of their answer are with what the call has decided. `keep` sees an
    account before it changes.
    """
    caller, results = call.caller, call.decided
    accounts, facts, posts_to = book.accounts, book.facts, caller.posts_to
    ids = book.ids.get(caller.name, {})
    today, last_time = book.business_date, last_time_of(book)
    encoded, once = draft.encoded, draft.once
    first_ordinal = ordinal = len(encoded)
    place = book.page_number << ORDINAL_BITS | ordinal
    size, name = draft.size, caller.name
    # What is the same for all: who asked, on what day, where it stands.
    asked = text("\x1a", name)
    dated = f"{text('2', today)}{text(':', today)}"
    position = number("\x10", book.page_number)
    for n in range(call.at, call.ready):
        transfer_id, first, side, second, amount, texts = transfers[n]
        one, other = accounts.get(first), accounts.get(second)
        if (
            one is None
            or other is None
            or one is other
            or one.is_barred
            or other.is_barred
            or one.currency != amount.currency
            or other.currency != amount.currency
            or one.kind not in posts_to
            or other.kind not in posts_to
            or transfer_id in ids
            or transfer_id[:TIME_DIGITS] > last_time
            or transfer_id[_VERSION_AT] != _VERSION
            or transfer_id[_VARIANT_AT] not in _VARIANTS
            or ordinal >= ENTRIES_MAX
            or size >= PAGE_BYTES_MAX
        ):
            break
        minor = amount.minor if side == CREDIT else -amount.minor
        moved, other_moved = one.sign * minor, -other.sign * minor
        posted, other_posted = one.posted + moved, other.posted + other_moved
        if (
            not -_FAR_FROM_OVERFLOW < posted < _FAR_FROM_OVERFLOW
            or not -_FAR_FROM_OVERFLOW < other_posted < _FAR_FROM_OVERFLOW
        ):
            break
        refused = None
        if (
            (one.floor is not None and posted - one.held < one.floor)
            if moved < 0
            else (one.ceiling is not None and posted + one.incoming > one.ceiling)
        ) or (
            (other.floor is not None and other_posted - other.held < other.floor)
            if other_moved < 0
            else (other.ceiling is not None and other_posted + other.incoming > other.ceiling)
        ):
            refused = _out_of_bounds(one, posted, other, other_posted)
            if refused is None:
                break
        other_side = CREDIT if side == DEBIT else DEBIT
        legs = (
            f"\n{amount.leg}\n${first}\x10{side}{amount.posted}"
            f"\n{amount.leg}\n${second}\x10{other_side}{amount.posted}"
        )
        terms = f"{first}\x1f{_SIDES[side]}\x1f{amount.money}\x1f{second}\x1f{_SIDES[other_side]}"
        if texts is None:
            correlated = ""
            terms = f"transfer\x1f\x1f\x1f\x1f\x1f\x1f\x1f\x1f\x1f\x1f{terms}\x1f{amount.money}"
        else:
            purpose, correlation_id, fact_key = texts
            if fact_key and fact_key in facts:
                break
            correlated = text('"', correlation_id)
            legs = f"{legs}{text(chr(0x12), purpose)}{text(chr(0x1A), fact_key)}"
            terms = (
                f"transfer\x1f{purpose}\x1f{correlation_id}\x1f{fact_key}\x1f\x1f\x1f\x1f\x1f\x1f"
                f"\x1f{terms}\x1f{amount.money}"
            )
        terms_hash = sha256(terms.encode()).digest()
        ids[transfer_id] = _made(Known, (place, terms_hash))
        once.append((ID, name, transfer_id, terms_hash, ordinal))
        head = (
            f"{number(chr(8), ordinal)}\x12${transfer_id}{asked}{correlated}"
            f"*\x20{terms_hash.decode(BYTES)}{dated}"
        )
        if refused is None:
            if texts is not None and texts.fact_key:
                facts[texts.fact_key] = place
                once.append((FACT, "", texts.fact_key, b"", ordinal))
            if keep is not None:
                keep(one)
                keep(other)
            if one.day != today:
                book.end_day_of(one, today)
            if other.day != today:
                book.end_day_of(other, today)
            one.posted, other.posted = posted, other_posted
            one.seq += 1
            other.seq += 1
            balance = f"\n${first}\x10{varint(one.seq)}{_figures(one)}"
            other_balance = f"\n${second}\x10{varint(other.seq)}{_figures(other)}"
            balance = f"{SHORT[len(balance)]}{balance}"
            other_balance = f"{SHORT[len(other_balance)]}{other_balance}"
            entry = f"{head}J{balance}J{other_balance}\xc2\x01{SHORT[len(legs)]}{legs}"
            result = f"\n${transfer_id}{position}2{balance}2{other_balance}"
        else:
            told = text("\n", refused.reason.name) + text("\x12", refused.field)
            told += text("\x1a", refused.description)
            fact = f'{told}"\x08transfer'
            entry = f"{head}R@{_checks(transfers[n])}\xea\x01{SHORT[len(fact)]}{fact}"
            result = f'\n${transfer_id}{position}"{SHORT[len(told)]}{told}'
        encoded.append(entry.encode(BYTES))
        size += len(entry) + FIELD_BYTES
        ordinal += 1
        place += 1
        results.append(f"\n{SHORT[len(result)]}{result}")
    count = ordinal - first_ordinal
    if count:
        book.ids[name] = ids
        call.at += count
        call.page_number = book.page_number
        draft.size = size
    return count


def _figures(account: Account) -> str:
    """What stands on it; in minor units, as a balance tells it."""
    found = f"\x18{varint(account.posted)}" if account.posted else ""
    if account.held:
        found += f"\x20{varint(account.held)}"
    return f"{found}\x28{varint(account.incoming)}" if account.incoming else found


def _out_of_bounds(one: Account, posted: int, other: Account, other_posted: int) -> Refused | None:
    """Which bound it is, as the rules say it; None: they have to look at all of it."""
    moves = [
        Move("legs[0].account_id", one, posted, one.held, one.incoming),
        Move("legs[1].account_id", other, other_posted, other.held, other.incoming),
    ]
    try:
        within_bounds(moves)
    except Refused as refused:
        return refused
    return None


def _checks(transfer: PlainTransfer) -> str:
    """The checks of its terms, which a refusal does not tell: see `terms.py`."""
    _, first, side, second, amount, texts = transfer
    purpose, correlation_id, fact_key = texts or ("", "", "")
    money = crc32(amount.money.encode())
    return _CHECKS.pack(
        _NAME_CHECK,
        crc32(purpose.encode()),
        crc32(correlation_id.encode()),
        crc32(fact_key.encode()),
        *_NO_CHECKS,
        crc32(first.encode()),
        _SIDE_CHECKS[side],
        money,
        crc32(second.encode()),
        _SIDE_CHECKS[CREDIT if side == DEBIT else DEBIT],
        money,
    ).decode(BYTES)
