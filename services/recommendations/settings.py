"""What the recommendations service can be told, beside what every service can."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from libs.settings import ServiceSettings


class RecommendationsSettings(ServiceSettings):
    # Funds, host:port.
    funds: str = ""
    # Database of people's keys; empty: a file of its own in `data_dir`. Never one that is rebuilt.
    keys_database: str = ""
    # simulated: the funds' clock is moved by an operator, so today is the newest day of prices.
    clock: Literal["real", "simulated"] = "real"
    production: bool = False
    solve_within_s: float = Field(default=20.0, gt=0, le=600)
    # Folder of trained rankings; empty: `artifacts` in `data_dir`. What is put there is taken up.
    artifacts: str = ""

    @model_validator(mode="after")
    def _keeps_time_in_production(self) -> "RecommendationsSettings":
        if self.production and self.clock != "real":
            raise ValueError("clock: in production it is real")
        return self

    @property
    def artifacts_dir(self) -> Path:
        return Path(self.artifacts) if self.artifacts else self.data_dir / "artifacts"

    @property
    def keys_url(self) -> str:
        return self.keys_database or f"sqlite:///{self.data_dir}/keys.sqlite"
