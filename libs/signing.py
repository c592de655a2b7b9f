"""Ed25519 signatures of bank messages and settlement halves; the one module here that signs."""

import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64
_KEY_ID_DIGITS = 16
# The field prime and the y coordinates of the eight points of small order: under such a key one
# signature fits any message, so a key made of one of them proves nothing.
_PRIME = 2**255 - 19
_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303021540
_SMALL_ORDER = frozenset({0, 1, _PRIME - 1, _ORDER_8, _PRIME - _ORDER_8})


class KeyUnusable(ValueError):
    """The file or text holds no Ed25519 key that may be used."""


class Signer:
    """Signs with the Ed25519 key of a PEM file (PKCS 8, unencrypted). Raises `KeyUnusable`."""

    def __init__(self, key_file: Path) -> None:
        try:
            key = load_pem_private_key(key_file.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise KeyUnusable(f"{key_file} cannot be read as a private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusable(f"{key_file} holds no Ed25519 key")
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """The signature over `data`, 64 bytes (RFC 8032)."""
        return self._key.sign(data)


def key_id_of(public_key: bytes) -> str:
    """The name of a key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:_KEY_ID_DIGITS]


def read_public_key(key_file: Path) -> bytes:
    """The raw public key in a file of 64 hex digits. Raises `KeyUnusable`."""
    try:
        key = bytes.fromhex(key_file.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise KeyUnusable(f"{key_file} cannot be read as a public key") from error
    if not is_usable(key):
        raise KeyUnusable(f"{key_file} holds no Ed25519 public key")
    return key


def is_usable(public_key: bytes) -> bool:
    """Whether it is 32 bytes, canonically encoded and of no small order."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        return False
    y = int.from_bytes(public_key, "little") & ((1 << 255) - 1)
    return y < _PRIME and y not in _SMALL_ORDER


def verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the signature is this key's over this data; keys of small order never verify."""
    if len(signature) != SIGNATURE_BYTES or not is_usable(public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def message_payload(message_type: str, body: bytes) -> bytes:
    """What is signed for an ISO 20022 message on the bank link."""
    digest = hashlib.sha256(body).digest()
    return b"\x00".join((b"HEFU-MESSAGE-1", message_type.encode("ascii"), digest))


def difference_payload(header_digest: bytes, root: bytes) -> bytes:
    """What the bank signs when its half has another root."""
    return b"HEFU-DIFFER-1\x00" + header_digest + root


def decline_payload(header_digest: bytes) -> bytes:
    """What the bank signs when it does not answer a proposal."""
    return b"HEFU-DECLINE-1\x00" + header_digest


def final_payload(role: str, header_digest: bytes) -> bytes:
    """What each side (role `H` or `B`) signs when a settlement is final."""
    return b"HEFU-FINAL-1\x00" + role.encode("ascii") + header_digest
