"""Transfers as nearly all of them are, decided in one pass: two accounts, one amount, now.

The rules are in `shape.py`, `terms.py`, `transfers.py`. Here it is only seen that none of them has
anything to say; where one might, this says nothing and they decide. A test asks both.
"""

import struct
from hashlib import sha256
from zlib import crc32

from libs.money import MINOR_MAX
from services.accounts.domain.book import Book
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import Transfer
from services.accounts.domain.entries import BalanceAfter, Entry, PostedLeg, TransferPosted
from services.accounts.domain.fields import CONTROL
from services.accounts.domain.kinds import Direction
from services.accounts.domain.legs import is_currency
from services.accounts.domain.shape import UUID7

# On first use the time inside an id may lie this far after page time.
ID_AHEAD_MAX_MS = 5 * 60 * 1_000
_MILLI = 1_000
_DEBIT, _CREDIT = int(Direction.DEBIT), int(Direction.CREDIT)
# Where nothing comes near it, no balance overflows.
_FAR_FROM_OVERFLOW = 1 << 62
# The name, four texts, five terms of an obligation, three of each leg.
_CHECKS = struct.Struct("<16I")
_NAME = crc32(b"transfer")
_SIDES = {side: crc32(str(side).encode()) for side in (_DEBIT, _CREDIT)}


def plain_transfer(  # noqa: C901 - one pass: each reason to say nothing in its place
    command: Transfer, caller: Caller, book: Book
) -> Entry | None:
    """The entry that posts it; None: it is not plain, or a rule may refuse it."""
    id_, legs, purpose, correlation_id, fact_key, value_date, obligation, computed, corrects = (
        command
    )
    if obligation is not None or computed is not None or corrects is not None:
        return None
    if len(legs) != 2 or value_date:  # noqa: PLR2004 - two sides
        return None
    (first, first_bank, first_side, currency, minor), (second, second_bank, side, code, other) = (
        legs
    )
    if (
        minor != other
        or currency != code
        or first == second
        or first_bank
        or second_bank
        or first_side + side != _DEBIT + _CREDIT
        or first_side not in _SIDES
        or not 0 < minor <= MINOR_MAX
        or UUID7.fullmatch(id_) is None
        or not is_currency(currency)
    ):
        return None
    if (purpose or correlation_id or fact_key) and (
        CONTROL.search(f"{purpose}{correlation_id}{fact_key}") or fact_key in book.facts
    ):
        return None
    ids = book.ids.get(caller.name)
    if ids is not None and id_ in ids:
        return None
    if int(id_[:8] + id_[9:13], 16) > book.page_us // _MILLI + ID_AHEAD_MAX_MS:
        return None
    balances = []
    today = book.business_date
    for account_id, direction in ((first, first_side), (second, side)):
        account = book.accounts.get(account_id)
        if (
            account is None
            or account.is_barred
            or account.currency != currency
            or account.kind not in caller.posts_to
        ):
            return None
        delta = account.sign * (minor if direction == _CREDIT else -minor)
        posted, held, incoming = account.posted + delta, account.held, account.incoming
        if not -_FAR_FROM_OVERFLOW < posted < _FAR_FROM_OVERFLOW:
            return None
        if delta < 0:
            if account.floor is not None and posted - held < account.floor:
                return None
        elif account.ceiling is not None and posted + incoming > account.ceiling:
            return None
        balances.append(BalanceAfter(account_id, account.seq + 1, posted, held, incoming))
    money = f"{minor} {currency}"
    texts = f"transfer\x1f{purpose}\x1f{correlation_id}\x1f{fact_key}\x1f\x1f\x1f\x1f\x1f\x1f"
    terms = f"{texts}\x1f{first}\x1f{first_side}\x1f{money}\x1f{second}\x1f{side}\x1f{money}"
    amount = crc32(money.encode())
    checks = _CHECKS.pack(
        _NAME,
        crc32(purpose.encode()) if purpose else 0,
        crc32(correlation_id.encode()) if correlation_id else 0,
        crc32(fact_key.encode()) if fact_key else 0,
        *(0, 0, 0, 0, 0, 0),
        crc32(first.encode()),
        _SIDES[first_side],
        amount,
        crc32(second.encode()),
        _SIDES[side],
        amount,
    )
    posted_legs = (
        PostedLeg(first, first_side, currency, minor),
        PostedLeg(second, side, currency, minor),
    )
    return Entry(
        TransferPosted(posted_legs, purpose, fact_key),
        id_,
        caller.name,
        correlation_id,
        sha256(terms.encode()).digest(),
        checks,
        today,
        today,
        None,
        tuple(balances),
    )
