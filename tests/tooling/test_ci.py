"""The CI run fails when any of its parts does, and ends with pytest's closing line."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tooling.test_report_check import REPORT

CLOSING = "======= 12 passed, 3 deselected in 4.56s ======="
DAY = {
    **REPORT,
    "orders_read": 600,
    "tie_out": [{**REPORT["tie_out"][0], "bank": bank} for bank in "ABCDEF"],
}
CHECK = f"@echo '{CLOSING}'; echo 'all is well'"
RUN = "@cp day.json $(REPORT)"


@pytest.fixture
def tree(root: Path, tmp_path: Path) -> Path:
    """A tree whose make targets do what a test says, under the real CI run."""
    shutil.copytree(root / ".ci", tmp_path / ".ci")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "day.json").write_text(json.dumps(DAY))
    return tmp_path


def ci(tree: Path, check: str = CHECK, run: str = RUN) -> tuple[int, list[str]]:
    targets = {"check": check, "run": run, "down": "@touch was-stopped"}
    text = "".join(f"{name}:\n\t{recipe}\n" for name, recipe in targets.items())
    (tree / "Makefile").write_text(text)
    done = subprocess.run([tree / ".ci" / "run"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_all_well_ends_with_the_closing_line(tree: Path) -> None:
    status, told = ci(tree)

    assert status == 0
    assert told[-2:] == ["report: 600 orders, 6 banks, all ties out", CLOSING]


@pytest.mark.parametrize(
    ("check", "run"),
    [
        pytest.param("@false", RUN, id="check fails"),
        pytest.param(f"@echo '{CLOSING}'; exit 3", RUN, id="check fails after the tests"),
        pytest.param("@echo nothing was tested", RUN, id="no closing line"),
        pytest.param(CHECK, "@false", id="the day fails"),
        pytest.param(CHECK, "@true", id="no report"),
        pytest.param(CHECK, "@echo '{}' > $(REPORT)", id="a report that proves nothing"),
    ],
)
def test_any_part_that_fails_fails_the_run(tree: Path, check: str, run: str) -> None:
    assert ci(tree, check, run)[0] != 0


def test_tests_that_failed_still_say_so_last(tree: Path) -> None:
    failed = "======= 1 failed, 11 passed in 4.56s ======="

    status, told = ci(tree, check=f"@echo '{failed}'; exit 1")

    assert status != 0
    assert told[-1] == failed


def test_a_day_that_fails_is_stopped(tree: Path) -> None:
    ci(tree, run="@false")

    assert (tree / "was-stopped").exists()


def test_a_failed_check_plays_no_day(tree: Path) -> None:
    ci(tree, check="@false", run="@touch was-played")

    assert not (tree / "was-played").exists()
