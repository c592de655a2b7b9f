"""Entries that the journal writes all day, straight to their stored bytes.

`facts.py` says the form, by way of protobuf's messages: a message of ten parts costs more than all
that the journal decides. A test holds both against each other, byte by byte.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from libs.wire_bytes import message, number, text, varint
from services.accounts.codec.facts import entry_to_wire
from services.accounts.domain.commands import Amount
from services.accounts.domain.entries import (
    BalanceAfter,
    CommandRefused,
    Entry,
    HoldCaptured,
    HoldPlaced,
    HoldReleased,
    Obligation,
    PostedLeg,
    TransferPosted,
)

_MICRO: Final = 1_000_000
_NANOS: Final = 1_000


def encode_entry(entry: Entry, ordinal: int) -> bytes:
    """An entry's stored bytes."""
    (
        fact,
        command_id,
        caller,
        correlation_id,
        terms_hash,
        term_checks,
        value_date,
        business_date,
        obligation,
        balances,
        group_id,
        is_past_day_negative,
    ) = entry
    fact_bytes = _FACTS.get(type(fact))
    encoded = None if fact_bytes is None else fact_bytes(fact)
    if encoded is None:
        return entry_to_wire(entry, ordinal).SerializeToString(deterministic=True)
    parts = [
        number(b"\x08", ordinal),
        text(b"\x12", command_id),
        text(b"\x1a", caller),
        text(b"\x22", correlation_id),
        message(b"\x2a", terms_hash) if terms_hash else b"",
        text(b"\x32", value_date),
        text(b"\x3a", business_date),
        b"" if obligation is None else message(b"\x42", _obligation(obligation)),
        *[message(b"\x4a", balance_bytes(balance)) for balance in balances],
        message(b"\x52", term_checks) if term_checks else b"",
        text(b"\x5a", group_id),
        b"\x60\x01" if is_past_day_negative else b"",
        encoded,
    ]
    return b"".join(parts)


def balance_bytes(balance: BalanceAfter) -> bytes:
    """A balance, as it stands in entries and in answers."""
    account_id, seq, posted, held, incoming = balance
    found = text(b"\x0a", account_id) + number(b"\x10", seq)
    if posted:
        found += b"\x18" + varint(posted)
    if held:
        found += b"\x20" + varint(held)
    return found + b"\x28" + varint(incoming) if incoming else found


def _obligation(obligation: Obligation) -> bytes:
    bank_id, window_id, favour, currency, minor, payment_id, carried_from = obligation
    return b"".join(
        (
            text(b"\x0a", bank_id),
            text(b"\x12", window_id),
            number(b"\x18", favour),
            message(b"\x22", _money(currency, minor)),
            text(b"\x2a", payment_id),
            text(b"\x32", carried_from),
        )
    )


def _money(currency: str, minor: int) -> bytes:
    return text(b"\x0a", currency) + number(b"\x10", minor)


def _amount(tag: bytes, amount: Amount) -> bytes:
    return message(tag, _money(*amount))


def _legs(tag: bytes, legs: tuple[PostedLeg, ...]) -> bytes:
    found = []
    for account_id, direction, currency, minor in legs:
        money = _money(currency, minor)
        leg = text(b"\x0a", account_id) + number(b"\x10", direction) + message(b"\x1a", money)
        found.append(message(tag, leg))
    return b"".join(found)


def _transfer(fact: TransferPosted) -> bytes | None:
    legs, purpose, fact_key, corrects, corrects_date, rounding, quote_id = fact
    if rounding is not None or quote_id:
        return None
    body = _legs(b"\x0a", legs) + text(b"\x12", purpose) + text(b"\x1a", fact_key)
    if corrects:
        body += text(b"\x22", corrects) + text(b"\x2a", corrects_date)
    return message(b"\xc2\x01", body)


def _placed(fact: HoldPlaced) -> bytes:
    hold_id, account_id, amount, destination, deadline_us, purpose = fact
    body = text(b"\x0a", hold_id) + text(b"\x12", account_id) + _amount(b"\x1a", amount)
    body += text(b"\x22", destination)
    if deadline_us:
        seconds, micros = divmod(deadline_us, _MICRO)
        body += message(b"\x2a", number(b"\x08", seconds) + number(b"\x10", micros * _NANOS))
    return message(b"\xca\x01", body + text(b"\x32", purpose))


def _captured(fact: HoldCaptured) -> bytes:
    hold_id, legs, amount, released, remaining, purpose, fact_key = fact
    body = (
        text(b"\x0a", hold_id),
        _legs(b"\x12", legs),
        _amount(b"\x1a", amount),
        number(b"\x20", released),
        number(b"\x28", remaining),
        text(b"\x32", purpose),
        text(b"\x3a", fact_key),
    )
    return message(b"\xd2\x01", b"".join(body))


def _released(fact: HoldReleased) -> bytes:
    hold_id, amount, remaining = fact
    body = text(b"\x0a", hold_id) + _amount(b"\x12", amount) + number(b"\x18", remaining)
    return message(b"\xda\x01", body)


def _refused(fact: CommandRefused) -> bytes:
    reason, field, description, command = fact
    body = text(b"\x0a", reason) + text(b"\x12", field)
    return message(b"\xea\x01", body + text(b"\x1a", description) + text(b"\x22", command))


_FACTS: Final[Mapping[type, Callable[[Any], bytes | None]]] = {
    TransferPosted: _transfer,
    HoldPlaced: _placed,
    HoldCaptured: _captured,
    HoldReleased: _released,
    CommandRefused: _refused,
}
