"""What a sample bank is told."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from libs.settings import ServiceSettings


class Settings(ServiceSettings):
    service: str = Field(pattern=r"^bank-[A-Z0-9]{1,12}$")
    bank_id: str = Field(pattern=r"^[A-Z0-9]{1,12}$")
    # The place of the bank among those of this system, from 0, and how many there are.
    bank_ordinal: int = Field(default=0, ge=0)
    bank_count: int = Field(default=4, ge=1)
    manners: Literal["clean", "ordinary", "hostile"] = "ordinary"
    seed: str = "hefu"
    # The wallet's account here.
    account_number: str = Field(pattern=r"^[A-Z0-9]{1,34}$")
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    # How far the wallet may overdraw it, in minor units.
    credit_line_minor: int = Field(default=10**12, ge=0)
    # host:port of the wallet's bank link.
    bank_link: str
    # The wallet's public key, 64 hex digits.
    wallet_key: Path
    # Accounts that are surely here, whatever the manners; separated by commas.
    customers: str = Field(default="", pattern=r"^([A-Z0-9]{1,34}(,[A-Z0-9]{1,34})*)?$")
