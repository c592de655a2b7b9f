"""Who may come in: the users file, read once, and passwords checked slowly but remembered."""

import asyncio
import base64
import binascii
import hashlib
import json
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from libs.passwords import hash_password, is_password
from services.eventstore.model import StoreError

__all__ = ["Role", "User", "Users", "hash_password"]

_REMEMBERED_MAX: Final = 256
_CHECKS_WAITING_MAX: Final = 32


class Role(IntEnum):
    """What a user may do; each role may do all that the ones before it may."""

    READER = 1
    WRITER = 2
    OPERATOR = 3


@dataclass(frozen=True, slots=True)
class User:
    """A line of the users file."""

    name: str
    salt: str
    hash: str
    role: Role


class Users:
    """Checks Basic credentials; the costly check is made once for each and then remembered."""

    def __init__(self, users: list[User]) -> None:
        self._by_name = {user.name: user for user in users}
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, User] = OrderedDict()
        self._waiting = 0
        # scrypt holds 16 MiB and a core while it runs: one at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        # An unknown name costs as much time as a wrong password.
        self._nobody = User("", secrets.token_hex(16), "0" * 64, Role.READER)

    def remembered(self, header: bytes) -> User | None:
        """The user of an authorization header that was found good before."""
        return self._known.get(self._digest(header))

    @property
    def is_busy(self) -> bool:
        """Too many checks are waiting already."""
        return self._waiting >= _CHECKS_WAITING_MAX

    async def check(self, header: bytes) -> User | None:
        """The user of an authorization header, or None when it is not good."""
        credentials = _credentials(header)
        if credentials is None:
            return None
        name, password = credentials
        user = self._by_name.get(name, self._nobody)
        self._waiting += 1
        try:
            is_good = await asyncio.get_running_loop().run_in_executor(
                self._thread, is_password, password, user.salt, user.hash
            )
        finally:
            self._waiting -= 1
        if not is_good or user is self._nobody:
            return None
        self._known[self._digest(header)] = user
        if len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)
        return user

    def close(self) -> None:
        """Stop the checking thread."""
        self._thread.shutdown()

    def _digest(self, header: bytes) -> bytes:
        # Keyed, so that the look-up's timing tells nothing about the header.
        return hashlib.blake2b(header, key=self._key, digest_size=32).digest()


def load(path: Path) -> Users:
    """Read a users file: a JSON list of objects with name, salt, hash and role."""
    try:
        entries = json.loads(path.read_text())
        users = [
            User(
                str(entry["name"]),
                str(entry["salt"]),
                str(entry["hash"]),
                Role[str(entry["role"]).upper()],
            )
            for entry in entries
        ]
    except OSError as error:
        message = f"the users file {path} cannot be read: {error.strerror}"
        raise StoreError(message) from None
    except (ValueError, KeyError, TypeError) as error:
        message = f"the users file {path} is not valid: {error!r}"
        raise StoreError(message) from None
    if not users:
        message = f"the users file {path} names no user"
        raise StoreError(message)
    return Users(users)


def _credentials(header: bytes) -> tuple[str, str] | None:
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None
