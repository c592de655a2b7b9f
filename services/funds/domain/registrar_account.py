"""An investor's account at a registrar: asked for in file 01, answered in file 02."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, Rejected


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Requested:
    ta_id: str
    investor_id: str
    trading_account_id: str
    # Of the request in 01, and the day whose file it stands in.
    serial: str
    trade_date: date


@dataclass(frozen=True, slots=True)
class Confirmed:
    serial: str
    # The registrar's own number of the account.
    ta_account_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Not opened; the next order asks again."""

    serial: str
    return_code: str
    description: str


Event: TypeAlias = Requested | Confirmed | Refused


# States.
class Stage(Enum):
    REQUESTED = auto()
    CONFIRMED = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Asked:
    requested: Requested
    stage: Stage = Stage.REQUESTED
    ta_account_id: str = ""
    refusal: Refused | None = None


RegistrarAccount: TypeAlias = Absent | Asked


def evolve(account: RegistrarAccount, event: Event) -> RegistrarAccount:
    match account, event:
        case Absent(), Requested():
            return Asked(event)
        case Asked(stage=Stage.REFUSED), Requested():
            return Asked(event)
        case Asked(stage=Stage.REQUESTED | Stage.REFUSED), Confirmed(_, ta_account_id):
            return replace(account, stage=Stage.CONFIRMED, ta_account_id=ta_account_id)
        case Asked(stage=Stage.REQUESTED), Refused():
            return replace(account, stage=Stage.REFUSED, refusal=event)
    raise AssertionError(f"{event} cannot follow {account}")


# Commands.
class Reason(Enum):
    ACCOUNT_REQUEST_UNKNOWN = auto()
    CONTRADICTS_RECORD = auto()


@dataclass(frozen=True, slots=True)
class Request:
    """With the orders of a day; once for each day at the most."""

    requested: Requested


@dataclass(frozen=True, slots=True)
class Answer:
    """A row of 02."""

    answer: Confirmed | Refused


Command: TypeAlias = Request | Answer


def decide(command: Command, account: RegistrarAccount) -> Sequence[Event]:
    match command:
        case Request(requested):
            is_again = isinstance(account, Asked) and (
                account.stage is not Stage.REFUSED
                or requested.trade_date <= account.requested.trade_date
            )
            return [] if is_again else [requested]
        case Answer(answer):
            return _answer(answer, account)
        case _:
            assert_never(command)


def _answer(answer: Confirmed | Refused, account: RegistrarAccount) -> Sequence[Event]:
    if isinstance(account, Absent) or account.requested.serial != answer.serial:
        raise Rejected(Reason.ACCOUNT_REQUEST_UNKNOWN, "no request of ours has this number")
    match account.stage, answer:
        case Stage.REQUESTED, _:
            return [answer]
        case Stage.CONFIRMED, Confirmed(_, ta_account_id):
            if ta_account_id == account.ta_account_id:
                return []
        case Stage.REFUSED, Refused():
            return []
        case Stage.REFUSED, Confirmed():
            # The registrar has thought better of it.
            return [answer]
    raise Rejected(Reason.CONTRADICTS_RECORD, f"the account is {account.stage.name}")


def is_waited_for(account: RegistrarAccount, trade_date: date) -> bool:
    """Whether an order of a day waits: its account was asked for on an earlier day, in vain yet.

    Asked for on the order's own day, the request and the order travel together.
    """
    if isinstance(account, Absent) or account.stage is not Stage.REQUESTED:
        return False
    return account.requested.trade_date < trade_date


registrar_account: Decider[Command, RegistrarAccount, Event] = Decider(Absent(), decide, evolve)
