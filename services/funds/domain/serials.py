"""申请单编号 AppSheetSerialNo: the 24 characters by which a registrar knows an order.

An id of 128 bits does not fit 24 characters of base 32, which hold 120. So a serial is made of the
id's first 120 bits, and a unique, stored map is what tells the order: two ids alike in all but
their last eight bits are told apart by a second attempt, and never by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias
from uuid import UUID

from libs.decider import Decider, Rejected
from libs.ids import derived_id

WIDTH = 24
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"  # base32hex, RFC 4648 section 7
_BITS_A_DIGIT, _BITS_LEFT_OUT = 5, 8
ATTEMPTS_MAX = 4


# Event. How it is stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Assigned:
    """The stream is named by the serial: the first order to take it has it for ever."""

    order_id: str


Event: TypeAlias = Assigned
Serial: TypeAlias = Assigned | None


class Reason(Enum):
    SERIAL_TAKEN = auto()


@dataclass(frozen=True, slots=True)
class Assign:
    order_id: str


Command: TypeAlias = Assign


def serial_of(order_id: str, attempt: int = 0) -> str:
    """The serial an order tries to take; with each attempt another."""
    origin = UUID(order_id)
    number = origin.int >> _BITS_LEFT_OUT
    if attempt:
        number = derived_id(origin, "serial", attempt).int & (1 << WIDTH * _BITS_A_DIGIT) - 1
    digits = (number >> shift & 31 for shift in range((WIDTH - 1) * _BITS_A_DIGIT, -1, -5))
    return "".join(_DIGITS[digit] for digit in digits)


def evolve(serial: Serial, event: Event) -> Serial:
    if serial is None:
        return event
    raise AssertionError(f"{event} cannot follow {serial}")


def decide(command: Command, serial: Serial) -> Sequence[Event]:
    if serial is None:
        return [Assigned(command.order_id)]
    if serial.order_id == command.order_id:
        return []
    raise Rejected(Reason.SERIAL_TAKEN, "another order has this number: take the next attempt")


_nobody: Serial = None
serials: Decider[Command, Serial, Event] = Decider(_nobody, decide, evolve)
