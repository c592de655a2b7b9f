"""A key of its own for each person: what is sealed with it is gone once the key is destroyed.

AES-256-GCM with the subject as associated data; the keys lie in a database of their own, never in
one that can be rebuilt, and never in the event store.
"""

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, Connection, LargeBinary, MetaData, Table, Text, select

from libs.read_model import Database, Put, apply

KEY_BYTES = 32
NONCE_BYTES = 12
# The first byte of what is sealed says how.
_VERSION = b"\x01"

metadata = MetaData()
_keys = Table(
    "subject_keys",
    metadata,
    Column("subject", Text, primary_key=True),
    # Null: destroyed, for ever.
    Column("key", LargeBinary),
)


class KeyDestroyed(Exception):
    """The subject was forgotten: what was sealed can never be read again."""


class SealBroken(Exception):
    """The bytes are not what was sealed for this subject."""


class SubjectKeys:
    """Seals, opens and destroys. Keys are made when first needed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def prepare(self) -> None:
        """Make the table. Await it before anything else."""
        await self._database.write(metadata.create_all)

    async def seal(self, subject: str, plain: bytes) -> bytes:
        """Encrypt for a subject. Raises `KeyDestroyed`."""
        key = await self._key(subject)
        nonce = os.urandom(NONCE_BYTES)
        return _VERSION + nonce + AESGCM(key).encrypt(nonce, plain, subject.encode())

    async def open(self, subject: str, sealed: bytes) -> bytes:
        """Decrypt. Raises `KeyDestroyed`, `SealBroken`."""
        key = await self._key(subject)
        if sealed[:1] != _VERSION:
            raise SealBroken(f"sealed in a way {sealed[:1]!r} that is not known")
        nonce, text = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return AESGCM(key).decrypt(nonce, text, subject.encode())
        except InvalidTag as error:
            raise SealBroken("changed, or of another subject") from error

    async def digest(self, subject: str, data: bytes) -> str:
        """HMAC-SHA-256 with the subject's key: tells equal from different and nothing else."""
        key = await self._key(subject)
        return hmac.new(key, data, hashlib.sha256).hexdigest()

    async def destroy(self, subject: str) -> None:
        """Forget the key for ever; again is harmless."""
        row = {"subject": subject, "key": None}
        await self._database.write(lambda connection: apply(connection, [Put(_keys, row)]))

    async def _key(self, subject: str) -> bytes:
        found = await self._database.read(lambda connection: _find(connection, subject))
        if found is None:
            found = await self._database.write(lambda connection: _make(connection, subject))
        key = found[0]
        if key is None:
            raise KeyDestroyed(subject)
        return key


def _find(connection: Connection, subject: str) -> tuple[bytes | None] | None:
    row = connection.execute(select(_keys.c.key).where(_keys.c.subject == subject)).first()
    return None if row is None else (row.key,)


def _make(connection: Connection, subject: str) -> tuple[bytes | None]:
    # Looked at again: the one writer decides which of two callers was first.
    found = _find(connection, subject)
    if found is not None:
        return found
    key = os.urandom(KEY_BYTES)
    apply(connection, [Put(_keys, {"subject": subject, "key": key})])
    return (key,)
