"""What a system is to run: banks and registrars, their ports; who was there stays in place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.failure import StartFailed
from libs.identity import BANK_PREFIX, REGISTRAR_PREFIX
from libs.ports import free_ports
from libs.run_folder import Bank, Plan, Registrar
from libs.topology import METRICS_PORT_ADDED, Topology

_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class BankSpec:
    """A sample bank to run. Without a number our account there gets one from the bank's id."""

    bank_id: str
    currency: str = "CZK"
    account_number: str = ""


@dataclass(frozen=True, slots=True)
class RegistrarSpec:
    """A sample registrar to run, and where it banks; without a number it gets one from its id."""

    registrar_id: str
    bank_id: str
    currency: str = "CZK"
    account_number: str = ""


def make_plan(  # noqa: PLR0913 - each is a choice of who starts it
    topology: Topology,
    known: Sequence[Bank],
    banks: Sequence[BankSpec],
    manners: str = "ordinary",
    port_offset: int | None = 0,
    seed: str = "hefu",
    *,
    known_registrars: Sequence[Registrar] = (),
    registrars: Sequence[RegistrarSpec] = (),
) -> Plan:
    """The plan for those that are known and those asked for. `port_offset` None: free ports."""
    specs = _specs(known, banks)
    registered = _registrar_specs(known_registrars, registrars)
    processes = {
        "bank": [f"{BANK_PREFIX}{spec.bank_id}" for spec in specs],
        "registrar": [f"{REGISTRAR_PREFIX}{spec.registrar_id}" for spec in registered],
    }
    ports, metrics_ports = _ports(topology, processes, port_offset)
    return Plan(
        port_offset or 0,
        ports,
        metrics_ports,
        _banks(specs, ports, manners),
        seed,
        str(topology.file),
        _registrars(registered, ports),
    )


def _specs(known: Sequence[Bank], banks: Sequence[BankSpec]) -> list[BankSpec]:
    # A bank that has books in this folder goes on existing, at its place: its address is among the
    # terms that we and it agreed on. Those that join come after, in the order of their ids.
    here = {bank.bank_id for bank in known}
    stay = [BankSpec(bank.bank_id, bank.currency, bank.account_number) for bank in known]
    join = {bank.bank_id: bank for bank in banks if bank.bank_id not in here}
    return stay + [join[bank_id] for bank_id in sorted(join)]


def _registrar_specs(
    known: Sequence[Registrar], registrars: Sequence[RegistrarSpec]
) -> list[RegistrarSpec]:
    # As banks: who has books here stays.
    stay = [
        RegistrarSpec(each.registrar_id, each.bank_id, each.currency, each.account_number)
        for each in known
    ]
    here = {each.registrar_id for each in known}
    join = {each.registrar_id: each for each in registrars if each.registrar_id not in here}
    return stay + [join[registrar_id] for registrar_id in sorted(join)]


def _ports(
    topology: Topology, processes: Mapping[str, Sequence[str]], port_offset: int | None
) -> tuple[dict[str, int], dict[str, int]]:
    wanted: dict[str, int] = {}
    paged: list[str] = []
    for listed in topology.services:
        names = processes[listed.per] if listed.per else [listed.name]
        wanted |= {name: listed.port + place for place, name in enumerate(names)}
        wanted |= {f"{listed.name}/{name}": port for name, port in listed.extra_ports.items()}
        paged += names if listed.page else []
    if port_offset is None:
        free = free_ports(len(wanted) + len(paged))
        ports = dict(zip(wanted, free, strict=False))
        return ports, dict(zip(paged, free[len(wanted) :], strict=True))
    ports = {name: port + port_offset for name, port in wanted.items()}
    if max(ports.values()) > _PORT_MAX:
        most = _PORT_MAX - max(wanted.values())
        raise StartFailed(f"the port offset {port_offset} is too large: at most {most}")
    # Where there is no room above, a process goes without its page.
    pages = {name: ports[name] + METRICS_PORT_ADDED for name in paged}
    return ports, {name: page for name, page in pages.items() if page <= _PORT_MAX}


def _banks(specs: Sequence[BankSpec], ports: Mapping[str, int], manners: str) -> tuple[Bank, ...]:
    return tuple(
        Bank(
            spec.bank_id,
            f"localhost:{ports[f'{BANK_PREFIX}{spec.bank_id}']}",
            spec.account_number or f"HEFU{spec.bank_id}{spec.currency}0001",
            spec.currency,
            manners,
            ordinal,
        )
        for ordinal, spec in enumerate(specs)
        if f"{BANK_PREFIX}{spec.bank_id}" in ports
    )


def _registrars(specs: Sequence[RegistrarSpec], ports: Mapping[str, int]) -> tuple[Registrar, ...]:
    return tuple(
        Registrar(
            spec.registrar_id,
            f"localhost:{ports[f'{REGISTRAR_PREFIX}{spec.registrar_id}']}",
            spec.bank_id,
            spec.account_number or f"TA{spec.registrar_id}{spec.currency}0001",
            spec.currency,
            ordinal,
        )
        for ordinal, spec in enumerate(specs)
        if f"{REGISTRAR_PREFIX}{spec.registrar_id}" in ports
    )
