"""Settings come from the environment; wrong ones stop the start with one line each."""

from pathlib import Path

import pytest
from pydantic import Field

from libs.settings import EXIT_MISCONFIGURED, ServiceSettings, load


class _Settings(ServiceSettings):
    bank_link_port: int = Field(gt=0)


@pytest.fixture(autouse=True)
def _whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEFU_SERVICE", "settlement")
    monkeypatch.setenv("HEFU_PORT", "11053")
    monkeypatch.setenv("HEFU_BANK_LINK_PORT", "11054")
    monkeypatch.setenv("HEFU_RUN_DIR", "/somewhere/.run")


def test_what_is_not_told_follows_from_the_run_folder_and_the_name() -> None:
    settings = load(_Settings)

    assert settings.bank_link_port == 11054
    assert settings.data_dir == Path("/somewhere/.run/data/settlement")
    assert settings.identity_dir == Path("/somewhere/.run/identities/settlement")
    assert settings.token_key == Path("/somewhere/.run/authority/token.pub")
    assert settings.database == "sqlite:////somewhere/.run/data/settlement/settlement.sqlite"


def test_what_is_told_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEFU_DATABASE", "postgresql+psycopg://db/hefu")

    assert load(_Settings).database == "postgresql+psycopg://db/hefu"


def test_a_bank_may_be_a_service() -> None:
    assert ServiceSettings(service="bank-CD", port=1).service == "bank-CD"


def test_each_mistake_is_one_line_that_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEFU_PORT", "many")
    monkeypatch.delenv("HEFU_BANK_LINK_PORT")

    with pytest.raises(SystemExit) as left:
        load(_Settings)

    lines = capsys.readouterr().err.splitlines()
    assert left.value.code == EXIT_MISCONFIGURED
    assert [line.split(":")[1].strip() for line in lines] == ["HEFU_PORT", "HEFU_BANK_LINK_PORT"]


def test_a_setting_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(_Settings).port = 1
