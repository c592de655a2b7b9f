"""What the event store can be told, on top of what every service is told."""

from pathlib import Path
from typing import Final

from pydantic import Field

from libs.settings import ServiceSettings
from services.eventstore.verify import NEWEST_BYTES

_MIB: Final = 1024 * 1024


class Settings(ServiceSettings):
    service: str = "eventstore"
    port: int = Field(default=2113, ge=0, le=65_535)
    tls_cert: Path
    tls_key: Path
    # Who signed the certificates of clients: kept for identity by certificate.
    tls_ca: Path | None = None
    # JSON: [{"name", "salt", "hash", "role"}], see users.py.
    users_file: Path
    # The host that gossip tells to clients which ask for the address by discovery.
    advertised_host: str = "localhost"
    append_limit_bytes: int = Field(default=_MIB, ge=1_024, le=16 * _MIB)
    # Free disk space that is never written to.
    reserve_bytes: int = Field(default=256 * _MIB, ge=0)
    # So many of the newest bytes are proven before the store serves, what is older beside its work;
    # what was never proven is so before, whatever it is.
    proven_first_bytes: int = Field(default=NEWEST_BYTES, ge=0)
