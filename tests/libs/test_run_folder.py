"""The run folder: of one version, kept across starts, emptied on demand."""

import json
import stat
from pathlib import Path

import pytest

from libs.failure import StartFailed
from libs.passwords import is_password
from libs.run_folder import Plan, check_version, empty, event_store_uri, prepare, read_plan
from libs.topology import load_topology

PORTS = {one.name: one.port for one in load_topology().services}
PORTS |= {f"{one.name}/{n}": 1 for one in load_topology().services for n in one.extra_ports}
PLAN = Plan(0, PORTS, PORTS, (), "seed", "tilt.yaml")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    prepare(tmp_path, load_topology(), PLAN)
    return tmp_path


def test_the_plan_reads_back(run_dir: Path) -> None:
    assert read_plan(run_dir) == PLAN


def test_a_damaged_plan_is_no_plan(run_dir: Path) -> None:
    (run_dir / "plan.json").write_text("{")

    assert read_plan(run_dir) is None


def test_users_have_random_passwords_that_stay(run_dir: Path) -> None:
    passwords = json.loads((run_dir / "eventstore" / "passwords.json").read_text())
    users = json.loads((run_dir / "eventstore" / "users.json").read_text())
    prepare(run_dir, load_topology(), PLAN)

    roles = {user["name"]: user["role"] for user in users}
    assert roles == {
        "accounts": "writer",
        "payments": "writer",
        "settlement": "writer",
        "operator": "operator",
        "funds": "writer",
        "recommendations": "writer",
    }
    assert all(is_password(passwords[u["name"]], u["salt"], u["hash"]) for u in users)
    assert json.loads((run_dir / "eventstore" / "passwords.json").read_text()) == passwords
    assert event_store_uri(run_dir, "operator") == (
        f"kdb://operator:{passwords['operator']}@localhost:2113"
        f"?Tls=true&TlsCaFile={run_dir / 'authority' / 'ca.pem'}"
    )


def test_files_with_secrets_are_their_owners(run_dir: Path) -> None:
    files = [*(run_dir / "eventstore").iterdir(), run_dir / "plan.json"]

    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_folder_of_another_version_is_one_line_with_a_way_out(run_dir: Path) -> None:
    (run_dir / "version").write_text("0")

    with pytest.raises(StartFailed, match=r"another version.*make clean"):
        check_version(run_dir)
    with pytest.raises(StartFailed, match="another version"):
        prepare(run_dir, load_topology(), PLAN)


def test_emptied_it_still_knows_who_everybody_is(run_dir: Path) -> None:
    key = (run_dir / "authority" / "ca.key").read_bytes()
    (run_dir / "data" / "accounts" / "books").write_text("old")

    empty(run_dir)

    assert (run_dir / "authority" / "ca.key").read_bytes() == key
    assert not (run_dir / "data").exists()


def test_emptied_after_another_version_nothing_is_left(run_dir: Path) -> None:
    (run_dir / "version").write_text("0")

    empty(run_dir)

    assert list(run_dir.iterdir()) == []


def test_without_a_password_the_store_has_no_address(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="hefu up"):
        event_store_uri(tmp_path, "operator")
