"""A whole system of real processes, on free ports, in its own run folder; and days played on it."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from libs.cli.connections import Connections, connect
from libs.supervisor import BankSpec, System, start

BANKS = ("AB", "DE", "IJ", "MN")
HEADER = '"order_id";"account_id";"bank_to";"account_to";"amount";"k_symbol"'
DAY_S = 240.0


def order_lines(count: int, seed: int, banks: Sequence[str] = BANKS) -> list[str]:
    """Orders of a third as many accounts, the same for the same seed."""
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    lines = [HEADER]
    for number in range(count):
        account = 700_000 + seed * 1_000 + draw.randrange(max(1, count // 3))
        hundredths = draw.randint(100, 900_000)
        payee = draw.randint(10_000_000, 99_999_999)
        lines.append(
            f'{seed * 10_000 + number + 1};{account};"{draw.choice(banks)}";"{payee}";'
            f'{hundredths // 100}.{hundredths % 100:02};"SIPO"'
        )
    return lines


def write_orders(folder: Path, count: int, seed: int, banks: Sequence[str] = BANKS) -> Path:
    """An orders file in a folder."""
    file = folder / f"orders-{seed}.asc"
    file.write_text("\n".join(order_lines(count, seed, banks)) + "\n")
    return file


@dataclass(slots=True)
class Told:
    """What a command answered."""

    code: int
    output: str


@dataclass(slots=True)
class World:
    """A running system and the commands an operator would type."""

    system: System
    folder: Path

    async def hefu(self, *arguments: str) -> Told:
        """Run a command of the command line as its own process."""
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("hefu")),
            *arguments,
            "--run-dir",
            str(self.system.run_dir),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), DAY_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return Told(process.returncode or 0, output.decode())

    async def day(self, orders: Path, *arguments: str) -> tuple[Told, dict[str, Any]]:
        """Play a day; its report too, empty where there is none."""
        report = self.folder / f"{orders.stem}-report.json"
        report.unlink(missing_ok=True)
        told = ("day", "--no-funds", "--orders", str(orders), "--report", str(report))
        found = await self.hefu(*told, *arguments)
        return found, json.loads(report.read_text()) if report.exists() else {}

    def connect(self) -> Any:  # noqa: ANN401 - an asynchronous context manager of Connections
        """Stubs of every service."""
        return connect(self.system.run_dir, self.system.running)


async def started(folder: Path, manners: str, banks: Sequence[str] = BANKS) -> World:
    """A fresh system."""
    specs = [BankSpec(bank) for bank in banks]
    system = await start(folder / "run", banks=specs, manners=manners, port_offset=None, fresh=True)
    return World(system, folder)


def assert_ties_out(told: Told, report: dict[str, Any], orders: int) -> None:
    """The day ended well and every order has exactly one fate."""
    assert told.code == 0, told.output
    fates = ("payments_settled", "payments_refused", "payments_carried")
    assert sum(report[fate] for fate in fates) == report["orders_read"] == orders
    assert report["journal_sum_minor"] == "0"
    assert all(line["difference_minor"] == "0" for line in report["tie_out"])
    assert all(line["state"] == "FINAL" for line in report["settlements"])
    owed = sum(int(report[f"{part}_minor"]) for part in ("liabilities", "in_transit", "suspense"))
    assert owed == int(report["bank_assets_minor"])


@pytest.fixture
async def clean_world(tmp_path: Path) -> AsyncIterator[World]:
    """A fresh system with well-mannered banks."""
    world = await started(tmp_path, "clean")
    yield world
    await world.system.stop()


__all__ = ["Connections"]
