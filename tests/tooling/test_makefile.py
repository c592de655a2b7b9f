"""The Makefile lists its own targets, one line each."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

WANTED = {
    *("help", "setup", "protos", "fmt", "lint", "types", "imports", "protolint", "proto-baseline"),
    *("test", "test-full", "bench", "bytecode", "check", "up", "down", "run", "lock", "clean"),
}


@pytest.fixture(scope="module")
def targets(root: Path) -> set[str]:
    return set(re.findall(r"^\.PHONY: (\S+)$", (root / "Makefile").read_text(), re.MULTILINE))


def make(root: Path, *words: str) -> str:
    # What a `make test` around us was told must not reach the make inside.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", *words],  # noqa: S607 - whichever make the reader has
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def test_help_lists_every_target_once(root: Path, targets: set[str]) -> None:
    listed = [line.split()[0] for line in make(root, "help").splitlines()]

    assert sorted(listed) == sorted(targets)


def test_help_fits_a_line_of_a_terminal(root: Path) -> None:
    assert [line for line in make(root, "help").splitlines() if len(line) > 100] == []


def test_nothing_asked_is_help(root: Path) -> None:
    assert make(root) == make(root, "help")


def test_the_promised_targets_are_there(targets: set[str]) -> None:
    assert targets == WANTED


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("", "--fresh --stop --banks ordinary"),
        ("'ORDERS=a b.asc'", "--fresh --stop --orders 'a b.asc' --banks ordinary"),
        ("REPORT=r.json", "--fresh --stop --report r.json --banks ordinary"),
        ("BANKS=hostile KEEP=1", "--fresh --banks hostile"),
        ("PORT_OFFSET=100", "--fresh --stop --banks ordinary --port-offset 100"),
        ("SKIP_INVALID=1", "--fresh --stop --banks ordinary --skip-invalid"),
    ],
)
def test_run_hands_its_variables_to_the_day(root: Path, words: str, options: str) -> None:
    shown = make(root, "-n", "run", *shlex.split(words))
    command = shlex.split(shown[shown.index(".venv/bin/hefu day") :].replace("\\\n", " "))

    assert command == [".venv/bin/hefu", "day", *shlex.split(options)]
