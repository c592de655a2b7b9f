"""A system started in the background: killed processes come back, and it stops without a rest."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from libs.failure import StartFailed
from libs.ports import free_ports, is_free
from libs.supervisor import (
    RESTARTS_BEFORE_UP_MAX,
    Running,
    System,
    running,
    running_or_none,
    start,
)
from libs.topology import TILT_FILE

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def tilt_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bus and the store: real, and quick to start."""
    listed = yaml.safe_load(TILT_FILE.read_text())["services"]
    file = tmp_path_factory.mktemp("listed") / "tilt.yaml"
    file.write_text(yaml.safe_dump({"services": listed[:2]}))
    return file


def _listed(tmp_path: Path, **changed: object) -> Path:
    listed = yaml.safe_load(TILT_FILE.read_text())["services"][0]
    file = tmp_path / "tilt.yaml"
    file.write_text(yaml.safe_dump({"services": [{**listed, **changed}]}))
    return file


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, tilt_file: Path) -> Iterator[System]:
    """One for all tests that leave it as they found it: up."""
    run_dir = tmp_path_factory.mktemp("run")
    started = asyncio.run(start(run_dir, banks=[], port_offset=None, tilt_file=tilt_file))
    yield started
    asyncio.run(started.stop())


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_so():  # noqa: ASYNC110 - another process writes what is looked at
            await asyncio.sleep(0.05)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_it_runs_is_found_and_stops_without_a_rest(tmp_path: Path, tilt_file: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    system = await start(
        tmp_path / "run",
        banks=[],
        port_offset=None,
        tilt_file=tilt_file,
        progress=lambda *told: seen.append(told),
    )
    found = running(tmp_path / "run")
    await system.stop()

    assert sorted(name for _, _, name in seen) == ["eventstore", "nats"]
    assert seen[-1][:2] == (2, 2)
    assert found.is_up
    assert running_or_none(tmp_path / "run") is None
    assert not any(_is_alive(process.pid) for process in found.processes)
    assert all(is_free(process.port) for process in found.processes)


async def test_a_killed_process_comes_back(system: System) -> None:
    before = system.running.process("eventstore")

    await system.kill("eventstore")
    await _until(lambda: system.running.process("eventstore").pid != before.pid)
    await system.wait_until_up()

    now = system.running.process("eventstore")
    assert (now.restarts, now.exit_code) == (before.restarts + 1, -signal.SIGKILL)
    assert now.port == before.port


async def test_a_bus_that_lost_its_folder_comes_back(system: System) -> None:
    folder = system.run_dir / "data" / "nats" / "jetstream"
    # The watch has to have seen it first.
    await _until(lambda: folder.is_dir() and system.running.process("nats").state == "up")
    await asyncio.to_thread(_remove, folder)
    await _until(folder.is_dir)
    await system.wait_until_up()

    assert system.running.is_up


def _remove(folder: Path) -> None:
    for entry in sorted(folder.rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    folder.rmdir()


async def test_one_process_is_restarted_in_an_orderly_way(system: System) -> None:
    await system.restart("eventstore")

    assert system.running.process("eventstore").exit_code == 0
    assert system.running.is_up


async def test_started_again_it_is_joined(system: System, tilt_file: Path) -> None:
    again = await start(system.run_dir, banks=[], port_offset=None, tilt_file=tilt_file)

    assert again.is_attached
    assert again.running.pid == system.running.pid


@pytest.mark.full
async def test_a_system_that_was_killed_often_is_joined_while_it_comes_back(
    tmp_path: Path, tilt_file: Path
) -> None:
    system = await start(tmp_path / "run", banks=[], port_offset=None, tilt_file=tilt_file)
    try:
        for _ in range(RESTARTS_BEFORE_UP_MAX):
            await _kill_and_await_another(system, "nats")
            await system.wait_until_up()
        await _kill_and_await_another(system, "nats")
        again = await start(tmp_path / "run", banks=[], port_offset=None, tilt_file=tilt_file)

        assert again.is_attached
        assert again.running.is_up
    finally:
        await system.stop()


async def _kill_and_await_another(system: System, name: str) -> None:
    before = system.running.process(name)
    await system.kill(name)
    await _until(lambda: system.running.process(name).restarts > before.restarts)


async def test_nothing_outlives_a_killed_supervisor(tmp_path: Path, tilt_file: Path) -> None:
    system = await start(tmp_path / "run", banks=[], port_offset=None, tilt_file=tilt_file)
    before = system.running
    os.kill(before.pid, signal.SIGKILL)
    await _until(lambda: not any(_is_alive(process.pid) for process in before.processes))
    assert system.supervisor is not None
    system.supervisor.wait(10)

    assert running_or_none(tmp_path / "run") is None
    again = await start(tmp_path / "run", banks=[], port_offset=None, tilt_file=tilt_file)
    assert again.running.is_up
    await again.stop()


async def test_two_systems_run_side_by_side(tmp_path: Path, tilt_file: Path) -> None:
    async def one(name: str) -> Running:
        system = await start(tmp_path / name, banks=[], port_offset=None, tilt_file=tilt_file)
        found = system.running
        await system.stop()
        return found

    first, second = await asyncio.gather(one("first"), one("second"))

    assert not {p.port for p in first.processes} & {p.port for p in second.processes}


async def test_a_port_in_use_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    said = rf"port {port} \(nats\) is in use.*PORT_OFFSET"
    with socket.create_server(("localhost", port)), pytest.raises(StartFailed, match=said):
        await start(tmp_path / "run", banks=[], tilt_file=_listed(tmp_path, port=port))


async def test_a_missing_binary_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    file = _listed(tmp_path, command="no-such-binary")

    with pytest.raises(StartFailed, match="no-such-binary is missing: `make setup`"):
        await start(tmp_path / "run", banks=[], port_offset=None, tilt_file=file)


async def test_a_process_that_cannot_start_is_told_with_its_reason(tmp_path: Path) -> None:
    listed = yaml.safe_load(TILT_FILE.read_text())["services"][:2]
    listed[1]["module"] = "services.no_such_service"
    file = tmp_path / "tilt.yaml"
    file.write_text(yaml.safe_dump({"services": listed}))

    with pytest.raises(StartFailed, match=r"eventstore does not start: .*no_such_service"):
        await start(tmp_path / "run", banks=[], port_offset=None, tilt_file=file)

    assert running_or_none(tmp_path / "run") is None


async def test_a_folder_of_another_version_is_not_touched(tmp_path: Path, tilt_file: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "version").write_text("0")

    with pytest.raises(StartFailed, match="another version"):
        await start(tmp_path / "run", banks=[], port_offset=None, tilt_file=tilt_file)


def test_where_nothing_runs_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="nothing runs"):
        running(tmp_path)
