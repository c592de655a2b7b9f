"""A registrar (TA) as we know it: where it is, how it is paid, how its files are written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias

from libs.decider import Decider, FieldViolation, Rejected


@dataclass(frozen=True, slots=True)
class Registrar:
    ta_id: str
    name: str
    # host:port of its RegistrarService.
    address: str
    # Its settlement bank, and its collection account there: what is paid to and pulled from.
    bank_id: str
    bank_account: str
    currency_code: str
    # The record layout its files are written in.
    profile: str
    # We keep the agency fee back (S4 pays less), or the registrar remits it.
    nets_agency_fee: bool = False


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class Registered:
    registrar: Registrar
    actor: str


Event: TypeAlias = Registered
Known: TypeAlias = Registered | None


def evolve(known: Known, event: Event) -> Known:
    if known is not None and known.registrar.ta_id != event.registrar.ta_id:
        raise AssertionError(f"{event} cannot follow {known}")
    return event


class Reason(Enum):
    REGISTRAR_TERMS_FIXED = auto()


@dataclass(frozen=True, slots=True)
class Register:
    registrar: Registrar
    actor: str


Command: TypeAlias = Register


def decide(command: Command, known: Known) -> Sequence[Event]:
    if known is None:
        return [Registered(command.registrar, command.actor)]
    if known.registrar == command.registrar:
        return []
    # Where it listens and how it writes may change; where the money goes is another registrar.
    moved = replace(
        command.registrar,
        name=known.registrar.name,
        address=known.registrar.address,
        profile=known.registrar.profile,
    )
    if moved != known.registrar:
        fixed = ("bank_id", "bank_account", "currency_code", "nets_agency_fee")
        found = [
            FieldViolation(f"registrar.{name}", f"was {getattr(known.registrar, name)!r}")
            for name in fixed
            if getattr(known.registrar, name) != getattr(command.registrar, name)
        ]
        raise Rejected(Reason.REGISTRAR_TERMS_FIXED, "how it is paid cannot change", found)
    return [Registered(command.registrar, command.actor)]


_nobody: Known = None
registrar: Decider[Command, Known, Event] = Decider(_nobody, decide, evolve)
