"""One trading day with one registrar: orders out, files in, reconciled, paid.

Files come in any order and more than once; the day's stage is the furthest that all before it has
been reached. What is late or missing is a state that can be seen, never a reason to guess.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum, auto
from types import MappingProxyType
from typing import TypeAlias, assert_never

from libs.decider import Decider, Rejected


class FileType(Enum):
    """The market's types by what is in them; the values are its two digits."""

    ORDERS = "03"
    CONFIRMATIONS = "04"
    BALANCES = "05"
    DIVIDENDS = "06"
    PRICES = "07"


# Prices first: rows are measured by them. Balances last: they are what the rest adds up to.
_IN_ORDER = (FileType.PRICES, FileType.DIVIDENDS, FileType.CONFIRMATIONS, FileType.BALANCES)
EXPECTED = (FileType.PRICES, FileType.CONFIRMATIONS, FileType.BALANCES)


class Purpose(Enum):
    """Which clearing balance of the registrar money passes; the names are storage."""

    SUB = auto()  # we pay for what was confirmed
    RED = auto()  # it pays redemptions
    DIV = auto()  # it pays dividends
    FEE = auto()  # it remits agency fees
    FAST = auto()  # it pays redemptions that repay an advance


@dataclass(frozen=True, slots=True)
class Total:
    purpose: Purpose
    amount_minor: int


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Opened:
    ta_id: str
    trade_date: date
    confirm_date: date


@dataclass(frozen=True, slots=True)
class CutOff:
    """No order of this day can be cancelled or added any more."""

    cut_off_us: int


@dataclass(frozen=True, slots=True)
class OrdersBatched:
    """Written and kept, not sent yet. This file is sent, and never another in its place."""

    file_key: str
    sha256: str
    rows: int
    subscribe_minor: int
    redeem_shares: int


@dataclass(frozen=True, slots=True)
class DeliveryDoubted:
    """Whether the file arrived is not known: ask, or send the same one under the same number."""

    cause: str


@dataclass(frozen=True, slots=True)
class OrdersSent: ...


@dataclass(frozen=True, slots=True)
class Acknowledged: ...


@dataclass(frozen=True, slots=True)
class FileReceived:
    """Whole and accepted; its rows are not applied yet."""

    file_type: FileType
    file_key: str
    rows: int


@dataclass(frozen=True, slots=True)
class FileLate:
    file_type: FileType
    due_us: int


@dataclass(frozen=True, slots=True)
class FileApplied:
    """Every row has had its effect, or its break. `totals` is the cash that these rows move."""

    file_key: str
    booked: int
    rejected: int
    breaks: int
    totals: tuple[Total, ...]


@dataclass(frozen=True, slots=True)
class Reconciled:
    breaks: int


@dataclass(frozen=True, slots=True)
class CashAmended:
    """An amended row moves so much more (or less) than its file said; the newest word counts."""

    # Order and row.
    place: str
    purpose: Purpose
    amount_minor: int


@dataclass(frozen=True, slots=True)
class CashRequested:
    """Below 0: back the other way, for rows that were amended after all was paid."""

    purpose: Purpose
    payment_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class CashDone:
    payment_id: str


@dataclass(frozen=True, slots=True)
class CashFailed:
    payment_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class CashSettled: ...


Event: TypeAlias = (
    Opened
    | CutOff
    | OrdersBatched
    | DeliveryDoubted
    | OrdersSent
    | Acknowledged
    | FileReceived
    | FileLate
    | FileApplied
    | Reconciled
    | CashAmended
    | CashRequested
    | CashDone
    | CashFailed
    | CashSettled
)


# States.
class Stage(Enum):
    OPEN = auto()
    CUT_OFF = auto()
    ORDERS_SENT = auto()
    ACKNOWLEDGED = auto()
    PRICED = auto()
    CONFIRMED = auto()
    RECONCILED = auto()
    CASH_SETTLED = auto()


class CashStage(Enum):
    REQUESTED = auto()
    DONE = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Cash:
    request: CashRequested
    stage: CashStage = CashStage.REQUESTED


@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Begun:
    opened: Opened
    cut_off: CutOff | None = None
    batch: OrdersBatched | None = None
    is_sent: bool = False
    is_in_doubt: bool = False
    is_acknowledged: bool = False
    received: tuple[FileReceived, ...] = ()
    applied: Mapping[str, FileApplied] = field(default_factory=lambda: MappingProxyType({}))
    late: tuple[FileLate, ...] = ()
    reconciled: Reconciled | None = None
    # Files that had been applied when it was reconciled.
    reconciled_files: int = 0
    cash: tuple[Cash, ...] = ()
    amended: Mapping[str, CashAmended] = field(default_factory=lambda: MappingProxyType({}))
    is_settled: bool = False

    @property
    def stage(self) -> Stage:
        if self.is_settled:
            return Stage.CASH_SETTLED
        if self.is_reconciled:
            return Stage.RECONCILED
        has_prices = self.has_applied(FileType.PRICES)
        if self.is_acknowledged and has_prices and self.has_applied(FileType.CONFIRMATIONS):
            return Stage.CONFIRMED
        if self.is_acknowledged and has_prices:
            return Stage.PRICED
        if self.is_acknowledged:
            return Stage.ACKNOWLEDGED
        if self.is_sent:
            return Stage.ORDERS_SENT
        return Stage.OPEN if self.cut_off is None else Stage.CUT_OFF

    @property
    def is_reconciled(self) -> bool:
        return self.reconciled is not None and self.reconciled_files == len(self.applied)

    @property
    def unapplied(self) -> Sequence[FileReceived]:
        """Files whose rows are to be applied, in the order in which they are.

        What overtakes the prices is kept until they are there: rows are measured by them, and
        balances are what the rows add up to.
        """
        has_prices = any(each.file_type is FileType.PRICES for each in self.received)
        left = [each for each in self.received if has_prices and each.file_key not in self.applied]
        return sorted(left, key=lambda each: _IN_ORDER.index(each.file_type))

    def has_applied(self, type_: FileType) -> bool:
        """Whether such a file came and none of them waits."""
        keys = [each.file_key for each in self.received if each.file_type is type_]
        return bool(keys) and all(key in self.applied for key in keys)

    def missing(self) -> Sequence[FileType]:
        """Files that every day has, and this one has not yet."""
        there = {each.file_type for each in self.received}
        return [type_ for type_ in EXPECTED if type_ not in there]

    def total(self, purpose: Purpose) -> int:
        """Minor units that the confirmed rows move, as they were amended."""
        totals = (total for file in self.applied.values() for total in file.totals)
        first = sum(total.amount_minor for total in totals if total.purpose is purpose)
        later = (each for each in self.amended.values() if each.purpose is purpose)
        return first + sum(each.amount_minor for each in later)

    def requested(self, purpose: Purpose) -> int:
        """Minor units that payments are under way for, or done."""
        return sum(
            each.request.amount_minor
            for each in self.cash
            if each.request.purpose is purpose and each.stage is not CashStage.FAILED
        )

    def is_even(self, purpose: Purpose) -> bool:
        """Whether all that is confirmed has been paid, and nothing is on its way."""
        mine = [each for each in self.cash if each.request.purpose is purpose]
        is_still = all(each.stage is not CashStage.REQUESTED for each in mine)
        return is_still and self.requested(purpose) == self.total(purpose)

    def payment(self, payment_id: str) -> Cash | None:
        return next((each for each in self.cash if each.request.payment_id == payment_id), None)


TaDay: TypeAlias = Absent | Begun


def evolve(day: TaDay, event: Event) -> TaDay:
    if isinstance(day, Absent):
        if isinstance(event, Opened):
            return Begun(event)
    elif not isinstance(event, Opened):
        return _after(day, event)
    raise AssertionError(f"{event} cannot follow {day}")


def _after(day: Begun, event: Event) -> Begun:  # noqa: C901, PLR0911, PLR0912 - a case an event
    match event:
        case CutOff():
            return replace(day, cut_off=event)
        case OrdersBatched():
            return replace(day, batch=event)
        case DeliveryDoubted():
            return replace(day, is_in_doubt=True)
        case OrdersSent():
            return replace(day, is_sent=True)
        case Acknowledged():
            return replace(day, is_sent=True, is_acknowledged=True, is_in_doubt=False)
        case FileReceived():
            late = tuple(each for each in day.late if each.file_type is not event.file_type)
            return replace(day, received=(*day.received, event), late=late, is_settled=False)
        case FileLate():
            return replace(day, late=(*day.late, event))
        case FileApplied(file_key):
            applied = MappingProxyType({**day.applied, file_key: event})
            return replace(day, applied=applied, is_settled=False)
        case Reconciled():
            return replace(day, reconciled=event, reconciled_files=len(day.applied))
        case CashAmended(place):
            amended = MappingProxyType({**day.amended, place: event})
            return replace(day, amended=amended, is_settled=False)
        case CashRequested():
            return replace(day, cash=(*day.cash, Cash(event)))
        case CashDone(payment_id):
            return _with_cash(day, payment_id, CashStage.DONE)
        case CashFailed(payment_id):
            return _with_cash(day, payment_id, CashStage.FAILED)
        case CashSettled():
            return replace(day, is_settled=True)
        case Opened():
            raise AssertionError("a day is opened once")
        case _:
            assert_never(event)


def _with_cash(day: Begun, payment_id: str, stage: CashStage) -> Begun:
    cash = tuple(
        replace(each, stage=stage) if each.request.payment_id == payment_id else each
        for each in day.cash
    )
    return replace(day, cash=cash)


# Commands.
class Reason(Enum):
    TA_DAY_NOT_FOUND = auto()
    BEFORE_CUT_OFF = auto()
    TA_DAY_STATE = auto()
    BATCH_DIFFERS = auto()
    CONTRADICTS_RECORD = auto()


@dataclass(frozen=True, slots=True)
class Open:
    ta_id: str
    trade_date: date
    confirm_date: date


@dataclass(frozen=True, slots=True)
class RunCutOff:
    """`cut_off_us` is the latest of the registrar's funds."""

    now_us: int
    cut_off_us: int


@dataclass(frozen=True, slots=True)
class ReceiveFile:
    file_type: FileType
    file_key: str
    rows: int


@dataclass(frozen=True, slots=True)
class Watch:
    """Look for files that are late; `due` tells when each type is."""

    now_us: int
    due: tuple[tuple[FileType, int], ...]


Fact: TypeAlias = (
    OrdersBatched
    | DeliveryDoubted
    | OrdersSent
    | Acknowledged
    | FileApplied
    | Reconciled
    | CashAmended
    | CashRequested
    | CashDone
    | CashFailed
)


@dataclass(frozen=True, slots=True)
class Record:
    """A fact, of a step of ours or heard."""

    fact: Fact


Command: TypeAlias = Open | RunCutOff | ReceiveFile | Watch | Record


def decide(command: Command, day: TaDay) -> Sequence[Event]:
    if isinstance(command, Open):
        if isinstance(day, Begun):
            return []
        return [Opened(command.ta_id, command.trade_date, command.confirm_date)]
    if isinstance(day, Absent):
        raise Rejected(Reason.TA_DAY_NOT_FOUND)
    match command:
        case RunCutOff(now_us, cut_off_us):
            return _cut_off(now_us, cut_off_us, day)
        case ReceiveFile():
            return _receive(command, day)
        case Watch(now_us, due):
            return _watch(now_us, dict(due), day)
        case Record(fact):
            return _record(fact, day)
        case _:
            assert_never(command)


def _cut_off(now_us: int, cut_off_us: int, day: Begun) -> Sequence[Event]:
    if day.cut_off is not None:
        return []
    if now_us < cut_off_us:
        raise Rejected(Reason.BEFORE_CUT_OFF, "orders of this day may still come")
    return [CutOff(cut_off_us)]


def _receive(command: ReceiveFile, day: Begun) -> Sequence[Event]:
    known = next((each for each in day.received if each.file_key == command.file_key), None)
    received = FileReceived(command.file_type, command.file_key, command.rows)
    if known is not None:
        if known == received:
            return []
        raise Rejected(Reason.CONTRADICTS_RECORD, "the file was received as something else")
    if command.file_type is FileType.ORDERS:
        raise Rejected(Reason.CONTRADICTS_RECORD, "orders are ours to send")
    # A registrar that answers orders has them, whatever became of its acknowledgement.
    answers = command.file_type is FileType.CONFIRMATIONS and command.rows > 0
    is_told = answers and day.batch is not None and not day.is_acknowledged
    return [Acknowledged(), received] if is_told else [received]


def _watch(now_us: int, due: Mapping[FileType, int], day: Begun) -> Sequence[Event]:
    told = {each.file_type for each in day.late}
    return [
        FileLate(type_, due[type_])
        for type_ in day.missing()
        if type_ in due and now_us >= due[type_] and type_ not in told
    ]


def _record(fact: Fact, day: Begun) -> Sequence[Event]:
    if isinstance(fact, OrdersBatched) and day.batch is not None and day.batch != fact:
        raise Rejected(Reason.BATCH_DIFFERS, "another batch stands: that one is sent again")
    if _is_known(fact, day):
        return []
    if not _may_follow(fact, day):
        raise Rejected(Reason.TA_DAY_STATE, f"{type(fact).__name__} at {day.stage.name}")
    after = _after(day, fact)
    is_end = after.stage is Stage.RECONCILED and _is_paid(after)
    return [fact, CashSettled()] if is_end else [fact]


def _is_known(fact: Fact, day: Begun) -> bool:
    match fact:
        case OrdersBatched():
            return day.batch == fact
        case DeliveryDoubted():
            return day.is_in_doubt or day.is_acknowledged
        case OrdersSent():
            return day.is_sent
        case Acknowledged():
            return day.is_acknowledged
        case FileApplied(file_key):
            return file_key in day.applied
        case Reconciled():
            return day.is_reconciled
        case CashAmended(place):
            return day.amended.get(place) == fact
        case CashRequested(_, payment_id):
            return day.payment(payment_id) is not None
        case CashDone(payment_id):
            return _cash_is(day, payment_id, CashStage.DONE)
        case CashFailed(payment_id):
            return _cash_is(day, payment_id, CashStage.FAILED)
        case _:
            assert_never(fact)


def _cash_is(day: Begun, payment_id: str, stage: CashStage) -> bool:
    known = day.payment(payment_id)
    return known is not None and known.stage is stage


def _may_follow(fact: Fact, day: Begun) -> bool:
    match fact:
        case OrdersBatched():
            return day.cut_off is not None
        case DeliveryDoubted() | OrdersSent() | Acknowledged():
            return day.batch is not None
        case FileApplied(file_key):
            return any(each.file_key == file_key for each in day.received)
        case Reconciled():
            return is_complete(day)
        case CashRequested(purpose, _, amount):
            owed = day.total(purpose) - day.requested(purpose)
            return 0 < amount <= owed or owed <= amount < 0
        case CashAmended():
            return bool(day.applied)
        case CashDone(payment_id) | CashFailed(payment_id):
            return _cash_is(day, payment_id, CashStage.REQUESTED)
        case _:
            assert_never(fact)


def is_complete(day: Begun) -> bool:
    """Whether every file of the day is there and applied."""
    return day.is_acknowledged and not day.missing() and not day.unapplied


def _is_paid(day: Begun) -> bool:
    return all(day.is_even(purpose) for purpose in Purpose)


class Action(Enum):
    BATCH_ORDERS = auto()
    SEND_ORDERS = auto()
    # The delivery is in doubt: ask for its receipt, and where it is absent send the same file.
    ASK_FOR_RECEIPT = auto()
    RECONCILE = auto()


@dataclass(frozen=True, slots=True)
class ApplyFile:
    file_type: FileType
    file_key: str


@dataclass(frozen=True, slots=True)
class MoveCash:
    """Pay the registrar (SUB), or collect from it; wait until the day on which it is due.

    Below 0 it is the other way round.
    """

    purpose: Purpose
    amount_minor: int
    # How many payments of this purpose there were: it keys the next one's id.
    ordinal: int


Step: TypeAlias = Action | ApplyFile | MoveCash


def next_step(day: TaDay) -> Step | None:
    if isinstance(day, Absent) or day.cut_off is None:
        return None
    if day.batch is None:
        return Action.BATCH_ORDERS
    if day.unapplied:
        first = day.unapplied[0]
        return ApplyFile(first.file_type, first.file_key)
    if not day.is_acknowledged:
        return Action.ASK_FOR_RECEIPT if day.is_in_doubt else Action.SEND_ORDERS
    if is_complete(day) and not day.is_reconciled:
        return Action.RECONCILE
    return _cash_step(day) if day.is_reconciled else None


def _cash_step(day: Begun) -> Step | None:
    for purpose in Purpose:
        owed = day.total(purpose) - day.requested(purpose)
        if owed:
            before = [each for each in day.cash if each.request.purpose is purpose]
            return MoveCash(purpose, owed, len(before))
    return None


ta_day: Decider[Command, TaDay, Event] = Decider(Absent(), decide, evolve)
