"""The lock pins every package by hash and names no index."""

import re
import tomllib
from pathlib import Path

import pytest

PIN = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; [^\\]*)? \\$", re.MULTILINE)


@pytest.fixture(scope="module")
def lock(root: Path) -> str:
    return (root / "requirements.lock").read_text()


def names_declared(root: Path) -> set[str]:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    return {re.split(r"[\[=<>!~ ]", line, maxsplit=1)[0].lower() for line in declared}


@pytest.mark.parametrize("address", ["://", "--index", "--extra-index", "--find-links"])
def test_the_lock_names_no_place_to_fetch_from(lock: str, address: str) -> None:
    assert address not in lock


def test_every_pin_has_a_hash(lock: str) -> None:
    entries = re.split(r"\n(?=\S)", lock.strip())
    without = [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]

    assert without == []


def test_every_line_of_the_lock_is_a_pin_a_hash_or_a_comment(lock: str) -> None:
    strange = [
        line
        for line in lock.splitlines()
        if not PIN.match(line + "\n") and not re.match(r"    (--hash=sha256:[0-9a-f]{64}|#)", line)
    ]

    assert strange == []


def test_every_package_we_name_is_pinned(lock: str, root: Path) -> None:
    pinned = {name for name, _ in PIN.findall(lock)}

    assert names_declared(root) - pinned == set()


def test_exact_versions_in_the_project_are_those_of_the_lock(lock: str, root: Path) -> None:
    pinned = dict(PIN.findall(lock))
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    exact = dict(re.sub(r"\[.*\]", "", line).split("==") for line in declared if "==" in line)

    assert {name: pinned[name] for name in exact} == exact
