"""A batch of a feed: taken once and whole; what cannot be believed is set apart with its reason."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, InvalidOperation
from enum import Enum, auto
from typing import TypeAlias

from libs.decider import Decider, FieldViolation, Rejected

INDEX_PREFIX = "IDX:"
# A day's move above this is no price of a fund before somebody has looked at it.
JUMP_MAX = Decimal("0.30")
PRICE_LEAST, PRICE_MOST = Decimal("0.000001"), Decimal(1_000_000_000_000)
SCORE_MAX = Decimal(10)
RETURN_MAX = Decimal(1)
LEGS_MAX = 20


# Terms.
class Doubt(Enum):
    """Why an item was set apart; the names are storage."""

    NOT_A_NUMBER = auto()
    NOT_POSITIVE = auto()
    JUMP = auto()
    FROM_FUTURE = auto()
    OUT_OF_RANGE = auto()
    REPEATED = auto()
    INSTRUMENT_UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Quarantined:
    ordinal: int
    instrument: str
    value: str
    reason: Doubt
    description: str


@dataclass(frozen=True, slots=True)
class Price:
    instrument: str
    date: str
    price: str


@dataclass(frozen=True, slots=True)
class Score:
    instrument: str
    date: str
    factor: str
    score: str


@dataclass(frozen=True, slots=True)
class Leg:
    instrument: str
    weight: str


@dataclass(frozen=True, slots=True)
class View:
    view_id: str
    legs: tuple[Leg, ...]
    yearly_return: str
    confidence: str
    valid_until_date: str


@dataclass(frozen=True, slots=True)
class FundFact:
    instrument: str
    manager: str = ""
    theme: str = ""
    family: str = ""
    inception_date: str = ""
    yearly_fee_millionths: int = 0


Entry: TypeAlias = Price | Score | View | FundFact


# Events: one for each kind of feed.
@dataclass(frozen=True, slots=True)
class PricesTaken:
    batch_id: str
    source: str
    prices: tuple[Price, ...]
    quarantined: tuple[Quarantined, ...]
    digest: str
    taken_us: int


@dataclass(frozen=True, slots=True)
class ScoresTaken:
    batch_id: str
    source: str
    scores: tuple[Score, ...]
    quarantined: tuple[Quarantined, ...]
    digest: str
    taken_us: int


@dataclass(frozen=True, slots=True)
class ViewsTaken:
    batch_id: str
    source: str
    views: tuple[View, ...]
    quarantined: tuple[Quarantined, ...]
    digest: str
    taken_us: int


@dataclass(frozen=True, slots=True)
class FactsTaken:
    batch_id: str
    source: str
    facts: tuple[FundFact, ...]
    quarantined: tuple[Quarantined, ...]
    digest: str
    taken_us: int


Event: TypeAlias = PricesTaken | ScoresTaken | ViewsTaken | FactsTaken


# States.
@dataclass(frozen=True, slots=True)
class Batch:
    taken: Event | None = None


def evolve(state: Batch, event: Event) -> Batch:
    if state.taken is not None:
        raise AssertionError("a batch is taken once")
    return Batch(event)


# Commands.
class Reason(Enum):
    IDEMPOTENCY_KEY_REUSED = auto()


@dataclass(frozen=True, slots=True)
class Publish:
    """`last` holds the newest price before this batch, by instrument; `is_known` names funds."""

    batch_id: str
    source: str
    kind: type[Entry]
    entries: tuple[Entry, ...]
    digest: str
    is_known: Callable[[str], bool]
    today: str
    now_us: int
    last: Mapping[str, str] = field(default_factory=dict)


def decide(command: Publish, state: Batch) -> Sequence[Event]:
    if state.taken is not None:
        if (state.taken.digest, state.taken.source) == (command.digest, command.source):
            return []
        raise Rejected(
            Reason.IDEMPOTENCY_KEY_REUSED,
            "the id was used with other content",
            [FieldViolation("batch_id", "was used for another batch")],
        )
    taken: list[Entry] = []
    apart: list[Quarantined] = []
    for ordinal, entry, doubt in _judged(command):
        if doubt is None:
            taken.append(entry)
        else:
            apart.append(Quarantined(ordinal, _name(entry), _value(entry), *doubt))
    event: Event = _EVENTS[command.kind](
        command.batch_id,
        command.source,
        tuple(taken),
        tuple(apart),
        command.digest,
        command.now_us,
    )
    return [event]


_EVENTS: Mapping[type[Entry], Callable[..., Event]] = {
    Price: PricesTaken,
    Score: ScoresTaken,
    View: ViewsTaken,
    FundFact: FactsTaken,
}
Doubted: TypeAlias = tuple[Doubt, str]


def _judged(command: Publish) -> Iterator[tuple[int, Entry, Doubted | None]]:
    last = dict(command.last)
    seen: set[tuple[str, ...]] = set()
    # Prices are judged in the order of their dates, each beside the one before.
    order = sorted(range(len(command.entries)), key=lambda n: (_date(command.entries[n]), n))
    for ordinal in order:
        entry = command.entries[ordinal]
        key = _key(entry)
        doubt: Doubted | None = None
        if key in seen:
            doubt = Doubt.REPEATED, "is in this batch already"
        elif not command.is_known(_name(entry)) and not _name(entry).startswith(INDEX_PREFIX):
            doubt = Doubt.INSTRUMENT_UNKNOWN, "is no fund of the catalogue, and no index"
        else:
            doubt = _doubt(entry, command, last)
        if doubt is None:
            seen.add(key)
            if isinstance(entry, Price):
                last[entry.instrument] = entry.price
        yield ordinal, entry, doubt


def _name(entry: Entry) -> str:
    if isinstance(entry, View):
        return entry.legs[0].instrument if entry.legs else ""
    return entry.instrument


def _value(entry: Entry) -> str:
    match entry:
        case Price(price=value) | Score(score=value) | View(yearly_return=value):
            return value
        case FundFact(inception_date=value):
            return value


def _date(entry: Entry) -> str:
    return entry.date if isinstance(entry, Price | Score) else ""


def _key(entry: Entry) -> tuple[str, ...]:
    match entry:
        case Price(instrument, day, _):
            return instrument, day
        case Score(instrument, day, factor, _):
            return instrument, day, factor
        case View(view_id=view_id):
            return (view_id,)
        case FundFact(instrument=instrument):
            return (instrument,)


def _doubt(entry: Entry, command: Publish, last: Mapping[str, str]) -> Doubted | None:
    match entry:
        case Price():
            return _doubt_price(entry, command.today, last.get(entry.instrument))
        case Score():
            return _doubt_day(entry.date, command.today) or _doubt_number(
                entry.score, -SCORE_MAX, SCORE_MAX
            )
        case View():
            return _doubt_view(entry, command)
        case FundFact():
            if entry.inception_date and (doubt := _doubt_day(entry.inception_date, command.today)):
                return doubt
            is_fee = 0 <= entry.yearly_fee_millionths < 1_000_000  # noqa: PLR2004 - a share
            return None if is_fee else (Doubt.OUT_OF_RANGE, "the yearly fee is no share")


def _doubt_price(entry: Price, today: str, last: str | None) -> Doubted | None:
    if doubt := _doubt_day(entry.date, today):
        return doubt
    price = number(entry.price)
    if price is None:
        return Doubt.NOT_A_NUMBER, "is no finite decimal number"
    if price <= 0:
        return Doubt.NOT_POSITIVE, "a price is above zero"
    if not PRICE_LEAST <= price <= PRICE_MOST:
        return Doubt.OUT_OF_RANGE, f"not from {PRICE_LEAST} to {PRICE_MOST}"
    before = None if last is None else number(last)
    if before and abs(price / before - 1) > JUMP_MAX:
        return Doubt.JUMP, f"{before} before: more than {JUMP_MAX:.0%} away"
    return None


def _doubt_view(entry: View, command: Publish) -> Doubted | None:
    if not 1 <= len(entry.legs) <= LEGS_MAX:
        return Doubt.OUT_OF_RANGE, f"a view has 1 to {LEGS_MAX} legs"
    for leg in entry.legs:
        if not command.is_known(leg.instrument):
            return Doubt.INSTRUMENT_UNKNOWN, f"{leg.instrument} is no fund of the catalogue"
        if doubt := _doubt_number(leg.weight, -SCORE_MAX, SCORE_MAX):
            return doubt
        if number(leg.weight) == 0:
            return Doubt.OUT_OF_RANGE, "a leg has a weight"
    if not _day(entry.valid_until_date) or entry.valid_until_date < command.today:
        return Doubt.OUT_OF_RANGE, "is over already, or its date is none"
    return _doubt_number(entry.yearly_return, -RETURN_MAX, RETURN_MAX) or _doubt_number(
        entry.confidence, Decimal(0), Decimal(1)
    )


def _doubt_day(day: str, today: str) -> Doubted | None:
    if not _day(day):
        return Doubt.OUT_OF_RANGE, "is no date"
    return (Doubt.FROM_FUTURE, f"after {today}") if day > today else None


def _doubt_number(text: str, low: Decimal, high: Decimal) -> Doubted | None:
    value = number(text)
    if value is None:
        return Doubt.NOT_A_NUMBER, "is no finite decimal number"
    return None if low <= value <= high else (Doubt.OUT_OF_RANGE, f"not from {low} to {high}")


def number(text: str) -> Decimal | None:
    """A finite decimal number of at most thirty characters."""
    try:
        value = Decimal(text) if len(text) <= 30 else None  # noqa: PLR2004 - longer is no number
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None


def _day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


feed: Decider[Publish, Batch, Event] = Decider(Batch(), decide, evolve)
