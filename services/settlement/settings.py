"""What the settlement service is told."""

from pydantic import Field

from libs.settings import ServiceSettings


class SettlementSettings(ServiceSettings):
    """The common fields, the port that banks call, and how much is done at once."""

    bank_link_port: int = Field(default=50_054, ge=0, le=65_535)
    # Transfers looked at together: pulls that are due at the same time share messages.
    transfers_at_once: int = Field(default=2_048, ge=1, le=16_384)
    watch_every_s: float = Field(default=2.0, gt=0)
