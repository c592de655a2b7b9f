"""From the list and the plan to what is started: arguments, environment, how to ask for health."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from libs.failure import StartFailed
from libs.grpc_settings import grpc_settings
from libs.run_folder import Bank, Plan, Registrar, event_store_uri
from libs.topology import TILT_FILE, Listed, Topology

_PREFIX = "HEFU_"
# Of our own variables, these are handed on from who starts the system.
_HANDED_ON = ("HEFU_LOG_LEVEL", "HEFU_OTLP_ENDPOINT", "HEFU_SHARDS", "HEFU_HEAD_EVERY_S")
# And `HEFU_DATABASES=postgresql://user@host/{service}` gives each service a database of its own.


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to be run. `stage`: processes of a higher one are stopped earlier."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    port: int
    metrics_port: int
    health: Literal["grpc", "http"]
    stage: int
    # A folder which the process made and cannot live without: it is restarted when this is gone.
    needs_folder: Path | None = None


def launches(run_dir: Path, topology: Topology, plan: Plan) -> list[Launch]:
    """Everything to run, in the order of the list. Raises `StartFailed`."""
    stages = _stages(topology)
    found = []
    for listed in topology.services:
        for name, played in _instances(listed, plan):
            environment = _environment(run_dir, listed, plan, name)
            if isinstance(played, Bank):
                environment |= _bank_environment(run_dir, plan, played)
            elif isinstance(played, Registrar):
                environment |= _registrar_environment(plan, played)
            found.append(
                Launch(
                    name,
                    _argv(run_dir, listed),
                    environment,
                    plan.ports[name],
                    plan.metrics_ports.get(name, 0),
                    listed.health,
                    stages[listed.name],
                    run_dir / "data" / name / "jetstream" if listed.command else None,
                )
            )
    return found


def _instances(listed: Listed, plan: Plan) -> Iterator[tuple[str, Bank | Registrar | None]]:
    match listed.per:
        case "bank":
            yield from ((bank.process, bank) for bank in plan.banks)
        case "registrar":
            yield from ((registrar.process, registrar) for registrar in plan.registrars)
        case _:
            yield listed.name, None


def _stages(topology: Topology) -> dict[str, int]:
    stages: dict[str, int] = {}
    for listed in topology.services:
        stages[listed.name] = 1 + max((stages[need] for need in listed.needs), default=-1)
    return stages


def _argv(run_dir: Path, listed: Listed) -> tuple[str, ...]:
    if listed.module:
        return (sys.executable, "-m", listed.module)
    beside = Path(sys.executable).parent / listed.command
    binary = str(beside) if beside.exists() else shutil.which(listed.command)
    if binary is None:
        raise StartFailed(f"{listed.command} is missing: `make setup` installs it")
    return (binary, "-c", str(run_dir / "nats.conf"))


def _environment(run_dir: Path, listed: Listed, plan: Plan, name: str) -> dict[str, str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(_PREFIX)}
    identity, data = run_dir / "identities" / name, run_dir / "data" / name
    ours = {
        "SERVICE": name,
        "RUN_DIR": str(run_dir),
        "PORT": str(plan.ports[name]),
        "METRICS_PORT": str(plan.metrics_ports.get(name, 0)),
        "DATA_DIR": str(data),
        "IDENTITY_DIR": str(identity),
        "TOKEN_KEY": str(run_dir / "authority" / "token.pub"),
    }
    if "eventstore" in listed.needs:
        ours["EVENT_STORE"] = event_store_uri(run_dir, name, plan.addresses["eventstore"])
        ours["BUS"] = f"tls://{plan.addresses['nats']}"
        databases = os.environ.get(f"{_PREFIX}DATABASES", "")
        if databases:
            ours["DATABASE"] = databases.replace("{service}", listed.name)
    if listed.name == "eventstore":
        ours["TLS_CERT"] = str(identity / "cert.pem")
        ours["TLS_KEY"] = str(identity / "key.pem")
        ours["TLS_CA"] = str(identity / "ca.pem")
        ours["USERS_FILE"] = str(run_dir / "eventstore" / "users.json")
    if listed.name in ("funds", "recommendations"):
        # One machine is no production: an operator may move the funds' clock, and advice follows.
        ours["CLOCK"] = "simulated"
    for peer in listed.peers:
        ours[peer.upper()] = plan.addresses[peer]
    for port in listed.extra_ports:
        ours[f"{port.upper()}_PORT"] = str(plan.ports[f"{name}/{port}"])
    handed_on = {k: os.environ[k] for k in _HANDED_ON if k in os.environ}
    return {
        **inherited,
        **{f"{_PREFIX}{k}": v for k, v in ours.items()},
        **handed_on,
        **grpc_settings(),
    }


def _bank_environment(run_dir: Path, plan: Plan, bank: Bank) -> dict[str, str]:
    return {
        "HEFU_BANK_ID": bank.bank_id,
        "HEFU_BANK_ORDINAL": str(bank.ordinal),
        "HEFU_BANK_COUNT": str(len(plan.banks)),
        "HEFU_MANNERS": bank.manners,
        "HEFU_SEED": plan.seed,
        "HEFU_ACCOUNT_NUMBER": bank.account_number,
        "HEFU_CURRENCY": bank.currency,
        "HEFU_BANK_LINK": plan.addresses["settlement/bank_link"],
        "HEFU_WALLET_KEY": str(run_dir / "identities" / "settlement" / "signing.pub"),
        # Accounts that the bank surely keeps: those of the registrars that bank there.
        "HEFU_CUSTOMERS": ",".join(
            registrar.account_number
            for registrar in plan.registrars
            if registrar.bank_id == bank.bank_id
        ),
    }


def _registrar_environment(plan: Plan, registrar: Registrar) -> dict[str, str]:
    return {
        "HEFU_REGISTRAR_ID": registrar.registrar_id,
        "HEFU_SEED": plan.seed,
        "HEFU_CURRENCY": registrar.currency,
        "HEFU_REGISTRAR_LINK": plan.addresses.get("funds/registrar_link", ""),
    }


def working_folder() -> Path:
    """Where processes are started: the repository."""
    return TILT_FILE.parent
