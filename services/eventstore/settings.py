"""What the event store can be told, read once from the environment."""

from pathlib import Path
from typing import Final

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_MIB: Final = 1024 * 1024


class Settings(BaseSettings):
    """Environment variables with the prefix HEFU_; a bad one stops the start."""

    model_config = SettingsConfigDict(env_prefix="HEFU_", frozen=True)

    port: int = Field(default=2113, ge=0, le=65_535)
    data_dir: Path
    tls_cert: Path
    tls_key: Path
    tls_ca: Path | None = None
    users_file: Path
    advertised_host: str = "localhost"
    append_limit_bytes: int = Field(default=_MIB, ge=1_024, le=16 * _MIB)
    reserve_bytes: int = Field(default=256 * _MIB, ge=0)
