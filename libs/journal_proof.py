"""Signed heads of the journal, and proofs that lead from one entry to a head: the exact bytes.

A head says how many pages there are and what they hold, by one Merkle root over all of them. Who
keeps a head, a public key and a proof needs nothing else of ours to be certain of an entry.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from libs.byte_layout import BytesMalformed, digest_bytes, number_bytes, text_bytes
from libs.merkle import Growing, PathMalformed, leaf_hash, root_along
from libs.signing import Signer, key_id_of, verify

NO_DIGEST = bytes(32)
_HEAD = b"HEFU-JOURNAL-HEAD-1"
_PAGE = b"HEFU-JOURNAL-PAGE-1"


class Malformed(ValueError):
    """The text is no head, or no proof."""


class NotProven(Exception):
    """The proof does not lead to the head, or the head is not signed by the key."""


def page_leaf(number: int, page_hash: bytes, entries_root: bytes) -> bytes:
    """The leaf hash of a page in the tree over all pages."""
    return leaf_hash(
        _PAGE + number_bytes(number, 8) + digest_bytes(page_hash) + digest_bytes(entries_root)
    )


@dataclass(frozen=True)
class Head:
    """A journal as it stood. `previous_digest`: of the head signed before, so that none is lost."""

    journal: str
    pages: int
    # Of the last page.
    page_hash: bytes
    # Over all pages so far, each a `page_leaf`.
    log_root: bytes
    # Time of the last page and of the signature, microseconds since 1970.
    written_us: int
    signed_us: int
    previous_digest: bytes = NO_DIGEST

    def encode(self) -> bytes:
        """The bytes that are signed. Raises `BytesMalformed`."""
        return b"".join(
            (
                _HEAD,
                text_bytes(self.journal),
                number_bytes(self.pages, 8),
                digest_bytes(self.page_hash),
                digest_bytes(self.log_root),
                number_bytes(self.written_us, 8),
                number_bytes(self.signed_us, 8),
                digest_bytes(self.previous_digest),
            )
        )

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of the bytes that are signed."""
        return sha256(self.encode()).digest()


@dataclass(frozen=True)
class SignedHead:
    """A head with its signature (Ed25519), and the full parts of its tree: it can be added to."""

    head: Head
    public_key: bytes
    signature: bytes
    parts: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, head: Head, signer: Signer, parts: Sequence[bytes]) -> "SignedHead":
        """Sign a head."""
        return cls(head, signer.public_key, signer.sign(head.encode()), tuple(parts))

    @property
    def key_id(self) -> str:
        """Which key signed it, as it says itself."""
        return key_id_of(self.public_key)

    def is_signed_by(self, public_key: bytes) -> bool:
        """Whether it is this key's signature over this head."""
        return verify(public_key, self.signature, self.head.encode())

    def tree(self) -> Growing:
        """The tree so far. Raises `Malformed` where its parts are not those of the head."""
        try:
            tree = Growing(self.head.pages, self.parts)
        except PathMalformed as error:
            raise Malformed(str(error)) from error
        if tree.root != self.head.log_root:
            raise Malformed("its parts do not make its root")
        return tree

    def to_line(self) -> str:
        """One line of JSON."""
        head = self.head
        return json.dumps(
            {
                "journal": head.journal,
                "pages": head.pages,
                "page_hash": head.page_hash.hex(),
                "log_root": head.log_root.hex(),
                "written_us": head.written_us,
                "signed_us": head.signed_us,
                "previous_digest": head.previous_digest.hex(),
                "public_key": self.public_key.hex(),
                "signature": self.signature.hex(),
                "parts": [part.hex() for part in self.parts],
            }
        )

    @classmethod
    def from_line(cls, line: str) -> "SignedHead":
        """Raises `Malformed`."""
        read = _Fields(line)
        head = Head(
            read.text("journal"),
            read.number("pages"),
            read.data("page_hash"),
            read.data("log_root"),
            read.number("written_us"),
            read.number("signed_us"),
            read.data("previous_digest"),
        )
        try:
            head.encode()
        except BytesMalformed as error:
            raise Malformed(str(error)) from error
        return cls(head, read.data("public_key"), read.data("signature"), read.hashes("parts"))


@dataclass(frozen=True)
class Proof:
    """Leads from an entry's stored bytes to its page's root, and from there to a head's root."""

    journal: str
    page_number: int
    ordinal: int
    entry: bytes
    page_entries: int
    entry_path: tuple[bytes, ...]
    page_hash: bytes
    pages: int
    page_path: tuple[bytes, ...]

    def log_root(self) -> bytes:
        """The root this leads to. Raises `NotProven`."""
        try:
            entries_root = root_along(
                leaf_hash(self.entry), self.ordinal, self.page_entries, self.entry_path
            )
            leaf = page_leaf(self.page_number, self.page_hash, entries_root)
            return root_along(leaf, self.page_number, self.pages, self.page_path)
        except (PathMalformed, BytesMalformed) as error:
            raise NotProven(str(error)) from error

    def check(self, head: SignedHead, public_key: bytes) -> None:
        """Return if the entry stands in the journal of this head. Raises `NotProven`."""
        if not head.is_signed_by(public_key):
            raise NotProven(f"the head is not signed by the key {key_id_of(public_key)}")
        if (self.journal, self.pages) != (head.head.journal, head.head.pages):
            raise NotProven(
                f"the proof is for {self.pages} pages of {self.journal}, "
                f"the head for {head.head.pages} of {head.head.journal}"
            )
        if self.log_root() != head.head.log_root:
            raise NotProven("this entry, at this place, is not in the journal of this head")

    def to_text(self) -> str:
        """JSON."""
        return json.dumps(
            {
                "journal": self.journal,
                "page_number": self.page_number,
                "ordinal": self.ordinal,
                "entry": self.entry.hex(),
                "page_entries": self.page_entries,
                "entry_path": [each.hex() for each in self.entry_path],
                "page_hash": self.page_hash.hex(),
                "pages": self.pages,
                "page_path": [each.hex() for each in self.page_path],
            },
            indent=1,
        )

    @classmethod
    def from_text(cls, text: str) -> "Proof":
        """Raises `Malformed`."""
        read = _Fields(text)
        return cls(
            read.text("journal"),
            read.number("page_number"),
            read.number("ordinal"),
            read.data("entry"),
            read.number("page_entries"),
            read.hashes("entry_path"),
            read.data("page_hash"),
            read.number("pages"),
            read.hashes("page_path"),
        )


class _Fields:
    """A JSON object read field by field; every method raises `Malformed`."""

    def __init__(self, text: str) -> None:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise Malformed("it is no JSON") from error
        if not isinstance(found, dict):
            raise Malformed("it is no JSON object")
        self._found: dict[str, Any] = found

    def text(self, name: str) -> str:
        value = self._found.get(name)
        if not isinstance(value, str):
            raise Malformed(f"{name} is missing, or no text")
        return value

    def number(self, name: str) -> int:
        value = self._found.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Malformed(f"{name} is missing, or no whole number")
        return value

    def data(self, name: str) -> bytes:
        return _bytes(self.text(name), name)

    def hashes(self, name: str) -> tuple[bytes, ...]:
        value = self._found.get(name)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Malformed(f"{name} is missing, or no list of hashes")
        return tuple(_bytes(each, name) for each in value)


def _bytes(text: str, name: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise Malformed(f"{name} is not in hexadecimal digits") from error
