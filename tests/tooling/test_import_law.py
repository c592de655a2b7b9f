"""The import law is a law: each contract, broken on purpose, is seen to fail."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
LAW: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
CONTRACTS: list[dict[str, Any]] = LAW["contracts"]


def crimes(contract: dict[str, Any]) -> list[tuple[str, str]]:
    """List what breaks a contract: the file that does it, and the module it must not import."""
    match contract["type"], contract["id"]:
        case "protected", _:
            return [("libs/intruder.py", name) for name in contract["protected_modules"]]
        case "forbidden", "pure-domain":
            return [
                ("services/payments/domain/intruder.py", name)
                for name in contract["forbidden_modules"]
            ]
        case "forbidden", _:
            return [("libs/intruder.py", "services.payments.domain.payment")]
        case "independence", _:
            return [("services/payments/intruder.py", "services.accounts.domain")]
    raise AssertionError(f"{contract['id']} is of a type nobody knows how to break")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what the law is about to where it may be broken."""
    folder = tmp_path_factory.mktemp("law")
    for name in ("libs", "services"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def judge(copy: Path, contract: str) -> tuple[int, str]:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--contract", contract],
        cwd=copy,
        env={
            **os.environ,
            "PYTHONPATH": f"{copy}{os.pathsep}{copy / 'libs' / 'gen'}",
            # A contract's name is told on one line, however long.
            "COLUMNS": "400",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.full
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each["id"])
def test_a_broken_contract_fails_and_names_who_broke_it(
    copy: Path, contract: dict[str, Any]
) -> None:
    for place, imported in crimes(contract):
        intruder = copy / place
        intruder.parent.mkdir(parents=True, exist_ok=True)
        intruder.write_text(f"import {imported}\n")

        status, told = judge(copy, contract["id"])
        intruder.unlink()

        assert status == 1, told
        assert f"{contract['name']} BROKEN" in told
        assert place.removesuffix(".py").replace("/", ".") in told


@pytest.mark.full
@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda each: each["id"])
def test_the_copy_keeps_the_law_until_it_is_broken(copy: Path, contract: dict[str, Any]) -> None:
    status, told = judge(copy, contract["id"])

    assert status == 0, told
    assert f"{contract['name']} KEPT" in told


def test_every_contract_has_a_name_of_its_own() -> None:
    names = [each["id"] for each in CONTRACTS]

    assert sorted(set(names)) == sorted(names)


def test_no_file_of_ours_is_beside_the_law() -> None:
    # A folder without __init__.py below one that has it is silently left out of the graph.
    graph = grimp.build_graph(*LAW["root_packages"], cache_dir=None)
    files = [
        path.relative_to(ROOT).with_suffix("")
        for package in ("libs", "services")
        for path in (ROOT / package).rglob("*.py")
        if (ROOT / "libs" / "gen") not in path.parents and path.name != "__init__.py"
    ]

    assert sorted({".".join(file.parts) for file in files} - graph.modules) == []
