"""A bank message as evidence: the exact bytes, kept before anything is decided on them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, Rejected


# Events.
@dataclass(frozen=True, slots=True)
class Sent:
    bank_id: str
    message_id: str
    message_type: str
    body: bytes
    sha256: bytes
    signature: bytes
    payment_ids: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    bank_id: str
    message_id: str
    message_type: str
    body: bytes
    sha256: bytes
    signature: bytes
    payment_ids: tuple[str, ...] = ()
    quarantine_reason: str = ""
    is_repeat: bool = False
    summary: str = ""
    account_number: str = ""
    statement_number: int = 0
    page: int = 0
    is_last_page: bool = False


Event: TypeAlias = Sent | Received


# States.
@dataclass(frozen=True, slots=True)
class Absent: ...


@dataclass(frozen=True, slots=True)
class Kept:
    first: Sent | Received
    repeats: int = 0


Evidence: TypeAlias = Absent | Kept


def evolve(evidence: Evidence, event: Event) -> Evidence:
    match evidence, event:
        case Absent(), _:
            # The bytes stay in the store: a state in memory needs their hash only.
            return Kept(replace(event, body=b""))
        case Kept(first, repeats), Received(is_repeat=True):
            return Kept(first, repeats + 1)
    raise AssertionError(f"{event} cannot follow {evidence}")


class Reason(Enum):
    MESSAGE_ID_REUSED = auto()


@dataclass(frozen=True, slots=True)
class KeepSent:
    message: Sent


@dataclass(frozen=True, slots=True)
class KeepReceived:
    message: Received


Command: TypeAlias = KeepSent | KeepReceived


def decide(command: Command, evidence: Evidence) -> Sequence[Event]:
    match command:
        case KeepSent(message):
            return _sent(message, evidence)
        case KeepReceived(message):
            return _received(message, evidence)
        case _:
            assert_never(command)


def _sent(message: Sent, evidence: Evidence) -> Sequence[Event]:
    if isinstance(evidence, Absent):
        return [message]
    if evidence.first.sha256 == message.sha256 and isinstance(evidence.first, Sent):
        return []
    raise Rejected(Reason.MESSAGE_ID_REUSED, "other bytes were kept under this message id")


def _received(message: Received, evidence: Evidence) -> Sequence[Event]:
    if isinstance(evidence, Absent):
        return [message]
    if evidence.first.sha256 == message.sha256 and isinstance(evidence.first, Received):
        # The bytes stand in the first event; a repeat is counted without them.
        return [replace(message, body=b"", is_repeat=True)]
    raise Rejected(Reason.MESSAGE_ID_REUSED, "other bytes were received under this message id")


evidence: Decider[Command, Evidence, Event] = Decider(Absent(), decide, evolve)
