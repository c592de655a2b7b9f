"""The head file: newest position and chain, kept beside the database to prove that it is whole."""

import hashlib
import os
import struct
from pathlib import Path
from typing import NamedTuple

_NAME = "head"
_SLOT_BYTES = 4096
_BODY = struct.Struct(">qQ32s")
_CHECK_BYTES = 32


class Head(NamedTuple):
    """Where the log ends: position of the last event, events so far, hash chain up to it."""

    position: int
    events: int
    chain: bytes


class HeadFile:
    """Two slots written in turn, so that a torn write leaves the other one whole."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._turn = 0
        self._is_dirty = False

    def read(self) -> Head | None:
        """Return the newer of the slots that check out."""
        heads = [head for slot in (0, 1) if (head := self._read_slot(slot)) is not None]
        return max(heads, key=lambda head: head.position, default=None)

    def write(self, head: Head) -> None:
        """Put down a new head without waiting for the disk: it may be behind, never ahead."""
        body = _BODY.pack(*head)
        os.pwrite(self._file, body + hashlib.sha256(body).digest(), self._turn * _SLOT_BYTES)
        self._turn = 1 - self._turn
        self._is_dirty = True

    def flush(self) -> None:
        """Wait until the disk has what was written."""
        if self._is_dirty:
            self._is_dirty = False
            os.fsync(self._file)

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._file)

    def _read_slot(self, slot: int) -> Head | None:
        raw = os.pread(self._file, _BODY.size + _CHECK_BYTES, slot * _SLOT_BYTES)
        body, check = raw[: _BODY.size], raw[_BODY.size :]
        if len(raw) < _BODY.size + _CHECK_BYTES or hashlib.sha256(body).digest() != check:
            return None
        return Head(*_BODY.unpack(body))
