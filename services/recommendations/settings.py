"""What the recommendations service can be told, beside what every service can."""

from typing import Literal

from pydantic import Field

from libs.settings import ServiceSettings


class RecommendationsSettings(ServiceSettings):
    # Funds, host:port.
    funds: str = ""
    # Database of people's keys; empty: a file of its own in `data_dir`. Never one that is rebuilt.
    keys_database: str = ""
    # `market`: today is the newest day any fund has a price of, for runs on historic prices.
    today: Literal["real", "market"] = "real"
    solve_within_s: float = Field(default=20.0, gt=0, le=600)

    @property
    def keys_url(self) -> str:
        return self.keys_database or f"sqlite:///{self.data_dir}/keys.sqlite"
