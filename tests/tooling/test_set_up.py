"""Set-up says in one line what a machine lacks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def bare(root: Path, tmp_path: Path) -> Path:
    """Copy set-up to where nothing is set up yet."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(root / ".ci" / "setup.py", tmp_path / ".ci")
    shutil.copy(root / "requirements.lock", tmp_path)
    return tmp_path


def set_up(bare: Path, prelude: str) -> subprocess.CompletedProcess[str]:
    script = f"import runpy, sys\n{prelude}\nrunpy.run_path('.ci/setup.py', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", script], cwd=bare, capture_output=True, text=True, check=False
    )


def test_a_machine_without_venv_is_told_what_to_install(bare: Path) -> None:
    # Debian's python3 without python3-venv is just this: the standard library lacks ensurepip.
    done = set_up(bare, "sys.modules['ensurepip'] = None")

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "setup: python3 has no venv; install it: apt install python3-venv"
    ]


def test_an_old_python_is_told_its_own_version(bare: Path) -> None:
    done = set_up(bare, "sys.version_info = (3, 9, 2)")

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "setup: python3 is 3.9, and 3.11 or newer is needed (PYTHON= names another)"
    ]


def test_nothing_is_made_before_the_machine_is_fit(bare: Path) -> None:
    set_up(bare, "sys.modules['ensurepip'] = None")

    assert not (bare / ".venv").exists()
