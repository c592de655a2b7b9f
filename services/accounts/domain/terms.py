"""The terms of a command in one canonical form, whose hash decides whether a repeat is one.

The order of the terms is storage: hashes and checks of every entry ever written depend on it. They
are joined by a character that no term may contain (`shape.py` sees to it): no two look alike.

Terms that came later have a layout of their own, named with a `+`: they stand between the name and
the terms that always were, all of them as soon as one is given.
"""

import hashlib
import struct
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from services.accounts.domain.commands import (
    Amount,
    Balancing,
    BeginCrossing,
    BeginSpan,
    CaptureHold,
    CloseAccount,
    Command,
    Computed,
    DecideSpan,
    Drawing,
    EndCrossing,
    EndSpan,
    Exchange,
    FreezeAccount,
    GiveQuote,
    Leg,
    LockPeriod,
    MoveBusinessDate,
    ObligationTerms,
    OpenAccount,
    OpenWindow,
    PlaceHold,
    ReleaseHold,
    ReleasePart,
    ReopenAccount,
    ReservePart,
    Resolved,
    SealWindow,
    SetBounds,
    Template,
    Transfer,
    UnfreezeAccount,
)
from services.accounts.domain.entries import Entry, TransferPosted

SEPARATOR = b"\x1f"
_JOIN = SEPARATOR.decode()
_CHECK_BYTES = 4
_NO_OBLIGATION = ("", "", "", "", "")
_OBLIGATION = ("bank_id", "favour", "amount", "payment_id", "carried_from_window_id")
_OBLIGATION_PATHS = tuple(f"obligation.{name}" for name in _OBLIGATION)
_LEG = ("target", "direction", "amount")
_TRANSFER_PATHS = ("purpose", "correlation_id", "fact_key", "value_date", *_OBLIGATION_PATHS)
_COMPUTED = (
    "legs.up_to",
    "template.version",
    "template.amount",
    "template.sources",
    "template.split",
    "exchange.quote_id",
    "exchange.sold",
    "exchange.bought",
    "exchange.accounts",
)
_NOT_COMPUTED = ("",) * len(_COMPUTED)
_NOTHING_LATER = (None, None)
# No obligation, nothing computed, nothing corrected.
_NOTHING_FILLED_IN = (None, None, None)
_NOT_LATER = ("", "", *_NOT_COMPUTED)
_LATER: dict[str, tuple[str, ...]] = {
    "transfer": ("group", "corrects", "corrects_date", *_COMPUTED),
    "open_account": ("group", "ceiling_minor"),
    "move_business_date": ("closing_date",),
}
_GROUP = ("group",)
_PATHS: dict[str, tuple[str, ...]] = {
    "transfer": _TRANSFER_PATHS,
    "open_account": ("owner", "kind", "currency_code", "ordinal", "correlation_id"),
    "freeze_account": ("account_id", "side", "purpose", "stop_captures"),
    "unfreeze_account": ("freeze_id", "account_id"),
    "close_account": ("account_id",),
    "place_hold": (
        "account_id",
        "amount",
        "destination_account_id",
        "expires_after_s",
        "purpose",
        "correlation_id",
    ),
    "capture_hold": (
        "hold_id",
        "amount",
        "is_final",
        "destination",
        "purpose",
        "correlation_id",
        "fact_key",
        *_OBLIGATION_PATHS,
    ),
    "release_hold": ("hold_id", "amount", "correlation_id"),
    "move_business_date": ("to_date",),
    "open_window": ("bank_id", "currency_code"),
    "seal_window": ("window_id",),
    "close_window": (),
    "reopen_account": ("account_id", "purpose"),
    "set_bounds": ("account_id", "floor_minor", "ceiling_minor", "purpose"),
    "give_quote": (
        "sold_currency_code",
        "bought_currency_code",
        "rate_numerator",
        "rate_denominator",
        "side",
        "given_minor",
        "spread_minor",
        "expires_after_s",
        "correlation_id",
    ),
    "lock_period": ("last_date",),
    "begin_crossing": ("transfer_id", "shard", "far_legs", "value_date", *_OBLIGATION_PATHS),
    # How it ended is no term: whoever ends it a second time hears how it did.
    "end_crossing": ("crossing_id",),
    # Each is said once, under an id derived from the span's: what it is for is all there is to it.
    "reserve_part": ("span_id",),
    "release_part": ("reservation_id",),
    "decide_span": ("span_id",),
    "end_span": ("span_id",),
}


class Digest(NamedTuple):
    """SHA-256 over the terms, and a CRC-32 of each, to name those that differ, where stored."""

    hash: bytes
    checks: bytes


def name_of(command: Command) -> str:
    """The kind of command, as refusals and terms name it."""
    return canonical(command)[0]


def digest(terms: Sequence[str]) -> Digest:
    return Digest(hash_of(terms), checks_of(terms))


def hash_of(terms: Sequence[str]) -> bytes:
    return hashlib.sha256(_JOIN.join(terms).encode()).digest()


def checks_of(terms: Sequence[str]) -> bytes:
    return struct.pack(f"<{len(terms)}I", *[crc32(term.encode()) for term in terms])


def is_told_by_its_entry(command: Command, group: str = "") -> bool:
    """Whether the entry that posts it tells all its terms, so that checks of them are not stored.

    What the journal filled in (a clearing account, a day, an amount) cannot be told from it again.
    """
    return (
        isinstance(command, Transfer)
        and not (group or command.value_date)
        and command[-3:] == _NOTHING_FILLED_IN
        and not any(leg.bank_id for leg in command.legs)
    )


def checks_behind(entry: Entry) -> bytes:
    """The checks of the terms that an entry came with: stored, or made again from what it tells."""
    fact = entry.fact
    if entry.term_checks or not isinstance(fact, TransferPosted):
        return entry.term_checks
    legs = tuple(Leg(leg[0], "", *leg[1:]) for leg in fact.legs)
    told = Transfer("", legs, fact.purpose, entry.correlation_id, fact.fact_key, "", None)
    return checks_of(canonical(told))


def differing(terms: Sequence[str], stored_checks: bytes) -> tuple[str, ...]:
    """Names of the terms that differ from those of the stored entry with these checks."""
    here, there = _by_path(checks_of(terms)), _by_path(stored_checks)
    if here is None or there is None or here.pop("") != there.pop(""):
        return ("command",)
    found = [path for path in here if path in there and here[path] != there[path]]
    later = [path for path in {**here, **there} if (path in here) != (path in there)]
    # A later term that is not given is as if empty; legs that only one of them has differ as such.
    empty = crc32(b"")
    of_legs = [path for path in later if path.startswith("legs[")]
    found += [path for path in later if path not in of_legs and (here | there)[path] != empty]
    if of_legs:
        found.append("legs")
    # Two texts may share a CRC; the hash has already said that something differs.
    return tuple(found) or ("terms",)


def _by_path(checks: bytes) -> dict[str, int] | None:
    """Checks by the paths of their terms, the command's own under ""; None: an unknown layout."""
    name, *values = struct.unpack(f"<{len(checks) // _CHECK_BYTES}I", checks)
    command, paths = _LAYOUTS.get(name, ("", ()))
    if not command:
        return None
    legs = range((len(values) - len(paths)) // len(_LEG)) if command == "transfer" else ()
    named = [*paths, *(f"legs[{n}].{part}" for n in legs for part in _LEG)]
    return {"": crc32(command.encode()), **dict(zip(named, values, strict=False))}


def canonical(command: Command, group: str = "") -> list[str]:
    """All fields that decide the effect, without the id, behind the command's name."""
    if type(command) is Transfer and command[-2:] == _NOTHING_LATER and not group:
        return _transfer(command)
    if isinstance(command, BeginSpan):
        # It is what the caller asked for, wherever that is done.
        return canonical(command.transfer, group)
    plain, later = _plain(command), _later(command)
    if not group and not any(later):
        return plain
    first = [group] if _is_groupable(plain[0]) else []
    return [f"{plain[0]}+", *first, *later, *plain[1:]]


def _is_groupable(name: str) -> bool:
    return _LATER.get(name, _GROUP)[0] == "group"


def _later(command: Command) -> tuple[str, ...]:
    """Terms that came later, without the group; in the order of `_LATER`."""
    match command:
        case Transfer():
            if command.computed is None and command.corrects is None:
                return _NOT_LATER
            corrects = command.corrects or ("", "")
            return (*corrects, *_computed(command.computed))
        case OpenAccount():
            return (_minor(command.ceiling),)
        case MoveBusinessDate():
            return (command.closing_date,)
        case _:
            return ()


def _plain(command: Command) -> list[str]:  # noqa: C901, PLR0911, PLR0912 - one case each
    match command:
        case Transfer():
            return _transfer(command)
        case PlaceHold():
            return [
                "place_hold",
                command.account_id,
                _amount(command.amount),
                command.destination,
                str(command.expires_after_s),
                command.purpose,
                command.correlation_id,
            ]
        case CaptureHold():
            return _capture(command)
        case ReleaseHold(_, hold_id, amount, correlation_id):
            return ["release_hold", hold_id, _amount(amount), correlation_id]
        case OpenAccount(_, owner, kind, currency, ordinal, correlation_id, _):
            return [
                "open_account",
                owner,
                str(int(kind)),
                currency,
                str(ordinal),
                correlation_id,
            ]
        case FreezeAccount(_, account_id, side, purpose, stop_captures):
            stops = "1" if stop_captures else "0"
            return ["freeze_account", account_id, str(int(side)), purpose, stops]
        case UnfreezeAccount(_, freeze_id, account_id):
            return ["unfreeze_account", freeze_id, account_id]
        case CloseAccount(_, account_id):
            return ["close_account", account_id]
        case MoveBusinessDate(_, to_date, _):
            return ["move_business_date", to_date]
        case ReopenAccount(_, account_id, purpose):
            return ["reopen_account", account_id, purpose]
        case SetBounds(_, account_id, floor, ceiling, purpose):
            return ["set_bounds", account_id, _minor(floor), _minor(ceiling), purpose]
        case GiveQuote():
            return ["give_quote", *map(str, command[1:])]
        case LockPeriod(_, last_date):
            return ["lock_period", last_date]
        case BeginCrossing(_, transfer_id, shard, far_legs, obligation, _, value_date, _, _):
            legs = ",".join(" ".join(map(str, leg)) for leg in far_legs)
            far = ["begin_crossing", transfer_id, str(shard), legs, value_date]
            return [*far, *_obligation(obligation)]
        case EndCrossing(_, crossing_id):
            return ["end_crossing", crossing_id]
        case ReservePart(_, span_id):
            return ["reserve_part", span_id]
        case ReleasePart(_, reservation_id):
            return ["release_part", reservation_id]
        case DecideSpan(_, span_id):
            return ["decide_span", span_id]
        case EndSpan(_, span_id):
            return ["end_span", span_id]
        case OpenWindow(_, bank_id, currency):
            return ["open_window", bank_id, currency]
        case SealWindow(_, window_id):
            return ["seal_window", window_id]
        case _:
            return ["close_window"]


def _transfer(command: Transfer) -> list[str]:
    terms = [
        "transfer",
        command.purpose,
        command.correlation_id,
        command.fact_key,
        command.value_date,
        *_obligation(command.obligation),
    ]
    for account_id, bank_id, direction, currency, minor in command.legs:
        terms += (account_id or f"clearing:{bank_id}", str(int(direction)), f"{minor} {currency}")
    return terms


def _capture(command: CaptureHold) -> list[str]:
    destination = f"clearing:{command.bank_id}" if command.bank_id else command.account_id
    return [
        "capture_hold",
        command.hold_id,
        _amount(command.amount),
        "1" if command.is_final else "0",
        destination,
        command.purpose,
        command.correlation_id,
        command.fact_key,
        *_obligation(command.obligation),
    ]


def _computed(computed: Computed | None) -> Sequence[str]:
    """In the order of `_COMPUTED`."""
    match computed:
        case None | Drawing() | Resolved():
            return _NOT_COMPUTED
        case Balancing(leg, keep):
            return (f"{leg} {keep}", *_NOT_COMPUTED[1:])
        case Template(version, amount, sources, whole, parts):
            drawn = [f"{source.account_id} {_minor(source.at_most)}" for source in sources]
            split = [
                f"{part.account_id} {_minor(part.fixed)} {_minor(part.share)} {part.is_rest}"
                for part in parts
            ]
            into = f"{whole}:{','.join(split)}"
            template = (str(version), _amount(amount), ",".join(drawn), into)
            return ("", *template, *_NOT_COMPUTED[5:])
        case Exchange():
            accounts = ",".join(computed[3:])
            agreed = (_amount(computed.sold), _amount(computed.bought))
            return (*_NOT_COMPUTED[:5], computed.quote_id, *agreed, accounts)


def _minor(minor: int | None) -> str:
    return "" if minor is None else str(minor)


def _amount(amount: Amount | None) -> str:
    return "" if amount is None else f"{amount.minor} {amount.currency}"


def _obligation(terms: ObligationTerms | None) -> tuple[str, ...]:
    if terms is None:
        return _NO_OBLIGATION
    return (
        terms.bank_id,
        str(int(terms.favour)),
        f"{terms.minor} {terms.currency}",
        terms.payment_id,
        terms.carried_from,
    )


def _layouts() -> dict[int, tuple[str, tuple[str, ...]]]:
    """Both layouts of every command, by the check of the name they begin with."""
    found: dict[int, tuple[str, tuple[str, ...]]] = {}
    for name, paths in _PATHS.items():
        found[crc32(name.encode())] = (name, paths)
        found[crc32(f"{name}+".encode())] = (name, (*_LATER.get(name, _GROUP), *paths))
    return found


_LAYOUTS = _layouts()
