"""What a command could meet that has left the book, and how it is put back for one page.

An id above its caller's horizon never left: it is decided from memory alone. This is rule 7 of the
ids, drawn tighter: the horizon lies at most 5 minutes after the floor's page time, since an id from
further ahead is refused. Keys without time (facts, business keys, ids made from names) must always
be asked for, unless they are here.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from services.accounts.domain.book import Book, BusinessKey, End, Hold, Known
from services.accounts.domain.commands import (
    CaptureHold,
    Command,
    OpenAccount,
    ReleaseHold,
    Transfer,
)
from services.accounts.domain.entries import (
    AccountOpened,
    Entry,
    HoldCaptured,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    TransferPosted,
    WindowOpened,
    WindowSealed,
)
from services.accounts.domain.kinds import Kind
from services.accounts.domain.terms import SEPARATOR

_JOIN = SEPARATOR.decode()
# Kinds of key; storage.
ID, FACT, HOLD, BUSINESS_KEY = "i", "f", "h", "k"


class Key(NamedTuple):
    """Something that has one place for ever. `scope`: the caller of ids and holds, else empty."""

    kind: str
    scope: str
    name: str


class Found(NamedTuple):
    """Where a key came, and what with: the hash of an id's terms, how a hold ended."""

    place: int
    value: bytes


def asked_of(command: Command, caller: str, horizon: str, book: Book) -> Sequence[Key]:
    """Keys that this command could meet and that may have left: nearly always none."""
    id_ = command[0]
    keys: list[Key] = []
    if id_ <= horizon and not _is_known(caller, id_, book):
        keys.append(Key(ID, caller, id_))
    match command:
        case Transfer(fact_key=fact_key):
            if fact_key and fact_key not in book.facts:
                keys.append(Key(FACT, "", fact_key))
        case CaptureHold(hold_id=hold_id, fact_key=fact_key):
            if fact_key and fact_key not in book.facts:
                keys.append(Key(FACT, "", fact_key))
            if hold_id <= horizon and (caller, hold_id) not in book.holds:
                keys.append(Key(HOLD, caller, hold_id))
        case ReleaseHold(hold_id=hold_id):
            if hold_id <= horizon and (caller, hold_id) not in book.holds:
                keys.append(Key(HOLD, caller, hold_id))
        case OpenAccount(owner=owner, kind=kind, currency=currency, ordinal=ordinal):
            if (owner, kind, currency, ordinal) not in book.business_keys:
                keys.append(business_key(owner, kind, currency, ordinal))
        case _:
            pass
    return keys


def _is_known(caller: str, id_: str, book: Book) -> bool:
    ids = book.ids.get(caller)
    return ids is not None and id_ in ids


def known_in(book: Book, key: Key) -> Found | None:
    """Where a key came, if it is in the book's memory; ended holds are not asked for here."""
    place: int | None
    value = b""
    match key.kind:
        case "i":
            known = book.ids.get(key.scope, {}).get(key.name)
            place, value = (None, b"") if known is None else known
        case "f":
            place = book.facts.get(key.name)
        case _:
            place = book.business_keys.get(_business_key(key))
    return None if place is None else Found(place, value)


def business_key(owner: str, kind: int, currency: str, ordinal: int) -> Key:
    return Key(BUSINESS_KEY, "", _JOIN.join((owner, str(int(kind)), currency, str(ordinal))))


# Kind, scope and name of a key that an entry gives a place to, what comes with it, the entry's
# ordinal. A plain tuple: there is one for each entry.
Once: TypeAlias = tuple[str, str, str, bytes, int]


def once_of(entry: Entry, ordinal: int) -> Iterator[Once]:
    """What happens for the only time with this entry."""
    if entry.command_id:
        yield ID, entry.caller, entry.command_id, entry.terms_hash, ordinal
    match entry.fact:
        case TransferPosted(fact_key=fact_key):
            if fact_key:
                yield FACT, "", fact_key, b"", ordinal
        case HoldCaptured(hold_id=hold_id, fact_key=fact_key, remaining=remaining):
            if fact_key:
                yield FACT, "", fact_key, b"", ordinal
            if remaining == 0:
                yield HOLD, entry.caller, hold_id, b"CAPTURED", ordinal
        case HoldReleased(hold_id, _, remaining):
            if remaining == 0:
                yield HOLD, entry.caller, hold_id, b"RELEASED", ordinal
        case HoldExpired(hold_id, _):
            yield HOLD, entry.caller, hold_id, b"EXPIRED", ordinal
        case AccountOpened(owner=owner, kind=kind, currency=currency, ordinal=number):
            yield *business_key(owner, kind, currency, number), b"", ordinal
        case (
            WindowOpened(bank_id=bank, currency=currency, ordinal=number)
            | WindowSealed(bank_id=bank, currency=currency, next_ordinal=number)
        ):
            yield *business_key(f"bank:{bank}", Kind.CLEARING, currency, number), b"", ordinal
        case _:
            pass


class Recalled(NamedTuple):
    """What the index knows from up to the floor; `holds` are the ended ones among it."""

    floor: int
    found: Mapping[Key, Found]
    holds: Mapping[Key, Hold]


def put_back(book: Book, recalled: Recalled) -> None:
    """What is found stands in the book again, for the page in hand."""
    for key, (place, value) in recalled.found.items():
        match key.kind:
            case "i":
                book.ids.setdefault(key.scope, {})[key.name] = Known(place, value)
            case "f":
                book.facts[key.name] = place
            case "k":
                book.business_keys[_business_key(key)] = place
            case _:
                book.holds[key.scope, key.name] = recalled.holds[key]


def take_away(book: Book, recalled: Recalled) -> None:
    """What was put back leaves again."""
    for key in recalled.found:
        match key.kind:
            case "i":
                del book.ids[key.scope][key.name]
                if not book.ids[key.scope]:
                    del book.ids[key.scope]
            case "f":
                del book.facts[key.name]
            case "k":
                del book.business_keys[_business_key(key)]
            case _:
                del book.holds[key.scope, key.name]


def ended_hold(placed: Entry, end: End) -> Hold:
    """The hold that an entry placed, as it ended."""
    fact = placed.fact
    if not isinstance(fact, HoldPlaced):
        raise AssertionError(f"{placed.command_id} placed no hold")  # noqa: TRY004 - impossible
    return Hold(
        fact.hold_id,
        placed.caller,
        fact.account_id,
        fact.amount.currency,
        0,
        fact.destination,
        fact.deadline_us,
        placed.correlation_id,
        end,
    )


def _business_key(key: Key) -> BusinessKey:
    owner, kind, currency, ordinal = key.name.split(_JOIN)
    return owner, int(kind), currency, int(ordinal)
