"""Entries that the journal writes all day, straight to their stored bytes.

`facts.py` says the form, by way of protobuf's messages: a message of ten parts costs more than all
that the journal decides. A test holds both against each other, byte by byte.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from libs.wire_bytes import BYTES, data, message, number, text, varint
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
# Sizes of what a plain transfer holds.
_TWO: Final = 2
_UUID: Final = 36
_CODE: Final = 3
_DATE: Final = 10
_HASH: Final = 32
_CHECKS: Final = 64


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
    is_whole = not (correlation_id or obligation or group_id or is_past_day_negative)
    if is_whole and isinstance(fact, TransferPosted) and len(balances) == _TWO:
        legs = _two_legs(fact)
        dates = value_date + business_date
        if (
            legs
            and len(term_checks) == _CHECKS
            and len(terms_hash) == _HASH
            and len(command_id) == _UUID
            and len(value_date) == len(business_date) == _DATE
            and caller
            and f"{command_id}{dates}{caller}".isascii()
        ):
            first, second = map(balance_text, balances)
            return (
                f"\x08{varint(ordinal)}\x12${command_id}\x1a{varint(len(caller))}{caller}"
                f"*\x20{terms_hash.decode(BYTES)}2\n{value_date}:\n{business_date}"
                f"J{varint(len(first))}{first}J{varint(len(second))}{second}"
                f"R@{term_checks.decode(BYTES)}\xc2\x01{varint(len(legs))}{legs}"
            )[0 if ordinal else 2 :].encode(BYTES)
    of_fact = _FACTS.get(type(fact))
    told = None if of_fact is None else of_fact(fact)
    if told is None:
        return entry_to_wire(entry, ordinal).SerializeToString(deterministic=True)
    in_window = "" if obligation is None else message("\x42", _obligation(obligation))
    of_balances = "".join([message("\x4a", balance_text(balance)) for balance in balances])
    in_group = text("\x5a", group_id) if group_id else ""
    past = "\x60\x01" if is_past_day_negative else ""
    return "".join(
        (
            number("\x08", ordinal),
            text("\x12", command_id),
            text("\x1a", caller),
            text("\x22", correlation_id),
            data("\x2a", terms_hash),
            text("\x32", value_date),
            text("\x3a", business_date),
            in_window,
            of_balances,
            data("\x52", term_checks),
            in_group,
            past,
            told,
        )
    ).encode(BYTES)


def balance_text(balance: BalanceAfter) -> str:
    """A balance, as it stands in entries and in answers; in characters of one byte."""
    account_id, seq, posted, held, incoming = balance
    found = text("\n", account_id)
    if seq:
        found += "\x10" + varint(seq)
    if posted:
        found += "\x18" + varint(posted)
    if held:
        found += "\x20" + varint(held)
    return f"{found}\x28{varint(incoming)}" if incoming else found


def _obligation(obligation: Obligation) -> str:
    bank_id, window_id, favour, currency, minor, payment_id, carried_from = obligation
    in_favour = number("\x18", favour) + message("\x22", _money(currency, minor))
    carried = text("\x32", carried_from)
    bank = text("\n", bank_id) + text("\x12", window_id)
    return bank + in_favour + text("\x2a", payment_id) + carried


def _money(currency: str, minor: int) -> str:
    return text("\n", currency) + number("\x10", minor)


def _amount(tag: str, amount: Amount) -> str:
    return message(tag, _money(*amount))


def _legs(tag: str, legs: tuple[PostedLeg, ...]) -> str:
    found = ""
    for account_id, direction, currency, minor in legs:
        money = _money(currency, minor)
        at = text("\n", account_id) + number("\x10", direction)
        leg = f"{at}\x1a{varint(len(money))}{money}"
        found += f"{tag}{varint(len(leg))}{leg}"
    return found


def _two_legs(fact: TransferPosted) -> str:
    """The body of a transfer of one amount between two accounts, and nothing else; or nothing."""
    legs = fact.legs
    if len(legs) != _TWO or any(fact[1:]):
        return ""
    (first, side, currency, minor), (second, other_side, code, other) = legs
    if minor != other or currency != code or minor <= 0 or not (side and other_side):
        return ""
    ids = first + second
    if not len(first) == len(second) == _UUID or len(currency) != _CODE or not ids.isascii():
        return ""
    amount = varint(minor)
    money = f"\x1a{varint(len(amount) + 6)}\n\x03{currency}\x10{amount}"
    length = varint(len(money) + _UUID + 4)
    return (
        f"\n{length}\n${first}\x10{varint(side)}{money}"
        f"\n{length}\n${second}\x10{varint(other_side)}{money}"
    )


def _transfer(fact: TransferPosted) -> str | None:
    legs, purpose, fact_key, corrects, corrects_date, rounding, quote_id = fact
    if rounding is not None or quote_id:
        return None
    body = _legs("\n", legs)
    if purpose or fact_key or corrects:
        body += text("\x12", purpose) + text("\x1a", fact_key)
    if corrects:
        body += text("\x22", corrects) + text("\x2a", corrects_date)
    return message("\xc2\x01", body)


def _placed(fact: HoldPlaced) -> str:
    hold_id, account_id, amount, destination, deadline_us, purpose = fact
    body = text("\n", hold_id) + text("\x12", account_id) + _amount("\x1a", amount)
    body += text("\x22", destination)
    if deadline_us:
        seconds, micros = divmod(deadline_us, _MICRO)
        body += message("\x2a", number("\x08", seconds) + number("\x10", micros * _NANOS))
    return message("\xca\x01", body + text("\x32", purpose))


def _captured(fact: HoldCaptured) -> str:
    hold_id, legs, amount, released, remaining, purpose, fact_key = fact
    body = text("\n", hold_id) + _legs("\x12", legs) + _amount("\x1a", amount)
    body += number("\x20", released) + number("\x28", remaining)
    return message("\xd2\x01", body + text("\x32", purpose) + text("\x3a", fact_key))


def _released(fact: HoldReleased) -> str:
    hold_id, amount, remaining = fact
    body = text("\n", hold_id) + _amount("\x12", amount) + number("\x18", remaining)
    return message("\xda\x01", body)


def _refused(fact: CommandRefused) -> str:
    reason, field, description, command = fact
    body = text("\n", reason) + text("\x12", field)
    return message("\xea\x01", body + text("\x1a", description) + text("\x22", command))


_FACTS: Final[Mapping[type, Callable[[Any], str | None]]] = {
    TransferPosted: _transfer,
    HoldPlaced: _placed,
    HoldCaptured: _captured,
    HoldReleased: _released,
    CommandRefused: _refused,
}
