"""What the accounts service can be told."""

from pydantic import Field

from libs.settings import ServiceSettings


class AccountsSettings(ServiceSettings):
    # A snapshot every so many pages: recovery reads at most these and the snapshot.
    snapshot_every_pages: int = Field(default=500, ge=1, le=100_000)
