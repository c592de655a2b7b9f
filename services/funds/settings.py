"""What the funds service can be told, beside what every service can."""

from typing import Literal

from pydantic import Field, model_validator

from libs.settings import ServiceSettings


class FundsSettings(ServiceSettings):
    # The port that registrars call, over mutual TLS.
    registrar_link_port: int = Field(default=11_056, ge=0, le=65_535)
    # Our code in the registrars' files (销售人代码).
    distributor_code: str = Field(default="HEFU", pattern=r"^[A-Z0-9]{1,9}$")
    # simulated: an operator moves the clock, so that a year can be replayed. Never in production.
    clock: Literal["real", "simulated"] = "real"
    production: bool = False
    # Orders worked on at once, and how often those at rest are looked at again (seconds).
    steps_at_once: int = Field(default=512, ge=1, le=10_000)
    watch_every_s: float = Field(default=2.0, gt=0, le=3_600)

    @model_validator(mode="after")
    def _keeps_time_in_production(self) -> "FundsSettings":
        if self.production and self.clock != "real":
            raise ValueError("clock: in production it is real")
        return self
