"""`hefu up`, `down` and `status` say what is so, and what to do where it is not."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from libs.cli.app import app, main
from libs.cli.system import EXIT_NOT_RUNNING

RUNNER = CliRunner()


def test_every_command_is_there() -> None:
    said = RUNNER.invoke(app, ["--help"]).output

    commands = "up down day status events trace replay statement audit"
    for command in commands.split():
        assert f" {command} " in said


def test_status_of_nothing_says_how_to_start_it(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["status", "--run-dir", str(tmp_path)])

    assert result.exit_code == EXIT_NOT_RUNNING
    # A long path moves the end of the line.
    assert "hefu up" in " ".join(result.output.split())


def test_status_of_nothing_is_json_too(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["status", "--json", "--run-dir", str(tmp_path)])

    assert json.loads(result.output) == {"is_running": False, "processes": []}


def test_down_where_nothing_runs_is_no_failure(tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["down", "--run-dir", str(tmp_path)])

    assert result.exit_code == 0
    assert "nothing runs" in result.output


def test_what_cannot_start_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "version").write_text("0")
    monkeypatch.setattr("sys.argv", ["hefu", "up", "--run-dir", str(tmp_path)])

    with pytest.raises(SystemExit) as left:
        main()

    said = capsys.readouterr().err.splitlines()
    assert left.value.code == 1
    assert len(said) == 1
    assert said[0].startswith("hefu: ")
    assert "make clean" in said[0]
