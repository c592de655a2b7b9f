"""The folder of a running system: identities, users of the store, configuration, plan, version."""

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from libs.auth import OPERATORS
from libs.failure import StartFailed
from libs.identity import BANK_PREFIX, REGISTRAR_PREFIX, Identity
from libs.nats_config import render
from libs.passwords import hash_password
from libs.topology import Topology

# Changes when what is kept in the folder can no longer be read by older or newer code.
LAYOUT_VERSION = "1"
CLIENTS = (*OPERATORS, "wallet")
# Kept by a fresh start: who everybody is.
_IDENTITY = frozenset({"version", "authority", "identities", "eventstore"})
_WRITER = "writer"
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Bank:
    """A sample bank of this system; `ordinal` is its place among the sorted bank ids."""

    bank_id: str
    address: str
    account_number: str
    currency: str
    manners: str
    ordinal: int

    @property
    def process(self) -> str:
        """The bank's process and identity."""
        return f"{BANK_PREFIX}{self.bank_id}"


@dataclass(frozen=True, slots=True)
class Registrar:
    """A sample registrar of this system, and its own account at one of the banks."""

    registrar_id: str
    address: str
    bank_id: str
    account_number: str
    currency: str
    ordinal: int

    @property
    def process(self) -> str:
        """The registrar's process and identity."""
        return f"{REGISTRAR_PREFIX}{self.registrar_id}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What the supervisor is to run: ports by process (`settlement/bank_link`: a further one)."""

    port_offset: int
    ports: Mapping[str, int]
    metrics_ports: Mapping[str, int]
    banks: tuple[Bank, ...]
    seed: str
    tilt_file: str
    registrars: tuple[Registrar, ...] = ()

    @property
    def addresses(self) -> dict[str, str]:
        """host:port of each process."""
        return {name: f"localhost:{port}" for name, port in self.ports.items()}

    @property
    def outside(self) -> tuple[str, ...]:
        """Processes that play others: banks and registrars."""
        registrars = [registrar.process for registrar in self.registrars]
        return (*(bank.process for bank in self.banks), *registrars)


def prepare(run_dir: Path, topology: Topology, plan: Plan) -> None:
    """Make everything that the processes find in the folder. Raises `StartFailed`."""
    from libs.authority import establish  # noqa: PLC0415 - late: who only reads the folder is quicker

    services = [listed for listed in topology.services if not listed.per]
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        check_version(run_dir)
        (run_dir / "version").write_text(LAYOUT_VERSION)
        identities = [Identity(listed.name, signs=listed.signs) for listed in services]
        identities += [Identity(name) for name in CLIENTS]
        identities += [Identity(bank.process, signs=True) for bank in plan.banks]
        identities += [Identity(registrar.process) for registrar in plan.registrars]
        establish(run_dir, identities)
        speaking = tuple(listed.name for listed in services if listed.module and listed.needs)
        _write_users(run_dir / "eventstore", speaking)
        (run_dir / "logs").mkdir(exist_ok=True)
        for name in [*(listed.name for listed in services), *plan.outside]:
            (run_dir / "data" / name).mkdir(parents=True, exist_ok=True)
        config = render(
            port=plan.ports["nats"],
            page_port=plan.metrics_ports["nats"],
            identity_dir=run_dir / "identities" / "nats",
            store_dir=run_dir / "data" / "nats",
            services=speaking,
        )
        write_whole(run_dir / "nats.conf", config)
        write_whole(run_dir / "banks.json", json.dumps([asdict(bank) for bank in plan.banks]))
        registrars = json.dumps([asdict(registrar) for registrar in plan.registrars])
        write_whole(run_dir / "registrars.json", registrars)
        write_whole(run_dir / "plan.json", json.dumps(asdict(plan)))
    except OSError as error:
        raise StartFailed(f"{run_dir} cannot be written: {error.strerror}") from error


def read_plan(run_dir: Path) -> Plan | None:
    """The plan last written; None where there is none or it cannot be read."""
    try:
        found = json.loads((run_dir / "plan.json").read_text())
        banks = tuple(Bank(**bank) for bank in found["banks"])
        registrars = tuple(Registrar(**each) for each in found.get("registrars", ()))
        return Plan(**{**found, "banks": banks, "registrars": registrars})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_version(run_dir: Path) -> None:
    """Raises `StartFailed` where the folder was made by another version."""
    try:
        found = (run_dir / "version").read_text().strip()
    except FileNotFoundError:
        return
    if found != LAYOUT_VERSION:
        raise StartFailed(
            f"{run_dir} was made by another version (layout {found[:20]!r}, this one is "
            f"{LAYOUT_VERSION!r}): `make clean` removes it, or start with --fresh"
        )


def empty(run_dir: Path) -> None:
    """Forget everything but who everybody is; all of it where the folder is of another version."""
    try:
        check_version(run_dir)
        kept = _IDENTITY
    except StartFailed:
        kept = frozenset()
    for entry in run_dir.iterdir() if run_dir.exists() else ():
        if entry.name in kept:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def event_store_uri(run_dir: Path, name: str, address: str | None = None) -> str:
    """The store's connection string for an identity of ours. Raises `StartFailed`."""
    try:
        passwords = json.loads((run_dir / "eventstore" / "passwords.json").read_text())
        password = passwords[name]
    except (OSError, ValueError, KeyError) as error:
        raise StartFailed(f"{run_dir} has no password of {name}: `hefu up` makes one") from error
    if address is None:
        plan = read_plan(run_dir)
        if plan is None:
            raise StartFailed(f"{run_dir} has no plan: `hefu up` makes one")
        address = plan.addresses["eventstore"]
    authority = quote(str((run_dir / "authority" / "ca.pem").resolve()))
    return f"kdb://{name}:{password}@{address}?Tls=true&TlsCaFile={authority}"


def write_whole(file: Path, text: str) -> None:
    """Write a file of our own so that a reader meets the old one or the new one, never a half."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
    beside.replace(file)


def _write_users(folder: Path, services: Sequence[str]) -> None:
    roles = {**dict.fromkeys(services, _WRITER), "operator": "operator"}
    users_file, passwords_file = folder / "users.json", folder / "passwords.json"
    try:
        known = {user["name"]: user["role"] for user in json.loads(users_file.read_text())}
        if known == roles and json.loads(passwords_file.read_text()).keys() == roles.keys():
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass  # missing or damaged: made anew
    folder.mkdir(exist_ok=True)
    passwords = {name: secrets.token_hex(24) for name in roles}
    users = []
    for name, role in roles.items():
        salt = secrets.token_hex(16)
        hashed = hash_password(passwords[name], salt)
        users.append({"name": name, "salt": salt, "hash": hashed, "role": role})
    write_whole(passwords_file, json.dumps(passwords))
    write_whole(users_file, json.dumps(users))
