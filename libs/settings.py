"""What a process is told: environment variables `HEFU_*`, read once, checked, and frozen."""

import sys
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SettingsT = TypeVar("SettingsT", bound="ServiceSettings")

EXIT_MISCONFIGURED = 78  # sysexits.h, EX_CONFIG
_PREFIX = "HEFU_"


class ServiceSettings(BaseSettings):
    """The fields every service has. A service adds its own in a subclass."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="ignore")

    service: str = Field(pattern=r"^[a-z][A-Za-z0-9-]{0,39}$")
    run_dir: Path = Path(".run")
    # What the server listens on; a pod listens on all its interfaces, one machine on itself only.
    host: str = "localhost"
    port: int = Field(ge=0, le=65_535)
    # Page for Prometheus, on loopback; 0: none.
    metrics_port: int = Field(default=0, ge=0, le=65_535)
    event_store: str = ""
    bus: str = "tls://localhost:4222"
    # SQLAlchemy URL; empty: an SQLite file in `data_dir`.
    database: str = ""
    data_dir: Path = Path()
    identity_dir: Path = Path()
    token_key: Path = Path()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # Where traces and metrics are sent; empty: nowhere.
    otlp_endpoint: str = ""
    accounts: str = ""
    payments: str = ""
    settlement: str = ""

    @model_validator(mode="before")
    @classmethod
    def _fill_paths(cls, values: dict[str, object]) -> dict[str, object]:
        service, run_dir = str(values.get("service", "")), Path(str(values.get("run_dir", ".run")))
        data_dir = values.get("data_dir") or run_dir / "data" / service
        return {
            **values,
            "data_dir": data_dir,
            "identity_dir": values.get("identity_dir") or run_dir / "identities" / service,
            "token_key": values.get("token_key") or run_dir / "authority" / "token.pub",
            "database": values.get("database") or f"sqlite:///{data_dir}/{service}.sqlite",
        }


def load(settings_type: type[SettingsT]) -> SettingsT:
    """The settings of this process. Wrong ones: one line for each mistake, and exit 78."""
    try:
        return settings_type.model_validate({})
    except ValidationError as error:
        _leave(error)


def _leave(error: ValidationError) -> NoReturn:
    for mistake in error.errors(include_url=False, include_input=False):
        name = _PREFIX + "_".join(str(part) for part in mistake["loc"]).upper()
        sys.stderr.write(f"hefu: {name}: {mistake['msg']}\n")
    raise SystemExit(EXIT_MISCONFIGURED)
