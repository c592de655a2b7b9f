"""Passwords at rest: a salted, deliberately slow digest, and a comparison that tells nothing."""

import hashlib
import hmac

# scrypt (RFC 7914): about 16 MiB of memory and 40 ms for one guess. Stored hashes depend on these.
_COST = 2**14
_BLOCK_SIZE = 8
_PARALLELISM = 1
_LENGTH_BYTES = 32


def hash_password(password: str, salt: str) -> str:
    """Return the lower-case hexadecimal scrypt digest of a password, as kept in a users file.

    The password and the salt are UTF-8 text; a salt is unique to its user, 16 random bytes in
    hexadecimal by custom. scrypt runs with N = 16384, r = 8, p = 1 and gives 32 bytes.
    """
    digest = hashlib.scrypt(
        password.encode(),
        salt=salt.encode(),
        n=_COST,
        r=_BLOCK_SIZE,
        p=_PARALLELISM,
        dklen=_LENGTH_BYTES,
    )
    return digest.hex()


def is_password(password: str, salt: str, expected_hash: str) -> bool:
    """Tell whether a password has the stored digest; the time taken does not tell how close."""
    return hmac.compare_digest(hash_password(password, salt), expected_hash.lower())
