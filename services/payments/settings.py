"""What the payments service can be told, beside what every service can."""

from pydantic import Field

from libs.settings import ServiceSettings


class PaymentsSettings(ServiceSettings):
    # Payments worked on at once, and how often those at rest are looked at again (seconds).
    steps_at_once: int = Field(default=512, ge=1, le=10_000)
    watch_every_s: float = Field(default=2.0, gt=0, le=3_600)
