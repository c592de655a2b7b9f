"""Exact bytes: big-endian numbers, short texts after their length, and nothing left over."""

from uuid import UUID

TEXT_MAX = 255
DIGEST_BYTES = 32
CURRENCY_LETTERS = 3


class BytesMalformed(ValueError):
    """The bytes, or a value that should become some, are not in the one permitted encoding."""


def number_bytes(value: int, size: int, *, signed: bool = False) -> bytes:
    """A whole number in `size` bytes. Raises `BytesMalformed`."""
    try:
        return value.to_bytes(size, "big", signed=signed)
    except OverflowError as error:
        raise BytesMalformed(f"{value} does not fit {size} bytes") from error


def text_bytes(text: str) -> bytes:
    """ASCII after a byte that gives its length. Raises `BytesMalformed`."""
    if not text.isascii() or len(text) > TEXT_MAX:
        raise BytesMalformed(f"{text!r} is no ASCII of at most {TEXT_MAX} characters")
    return bytes((len(text),)) + text.encode("ascii")


def currency_bytes(code: str) -> bytes:
    """The three letters of ISO 4217. Raises `BytesMalformed`."""
    is_code = len(code) == CURRENCY_LETTERS and code.isascii() and code.isalpha()
    if not is_code or not code.isupper():
        raise BytesMalformed(f"{code!r} is no currency code")
    return code.encode("ascii")


def digest_bytes(data: bytes) -> bytes:
    """A SHA-256 digest as it is. Raises `BytesMalformed` for another length."""
    if len(data) != DIGEST_BYTES:
        raise BytesMalformed("a digest has 32 bytes")
    return data


class Reader:
    """Reads bytes from the front; every method raises `BytesMalformed`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes as they are."""
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise BytesMalformed("the bytes end too early")
        self._at += size
        return part

    def expect(self, name: bytes) -> None:
        """Passes over bytes that must be these."""
        if self.take(len(name)) != name:
            raise BytesMalformed(f"the bytes do not start with {name.decode('ascii')}")

    def end(self) -> None:
        """Makes sure that nothing is left over."""
        if self._at != len(self._data):
            raise BytesMalformed("bytes are left over")

    def number(self, size: int, *, signed: bool = False) -> int:
        """The next whole number."""
        return int.from_bytes(self.take(size), "big", signed=signed)

    def uuid(self) -> UUID:
        """The next 16 bytes as a UUID."""
        return UUID(bytes=self.take(16))

    def ascii(self, size: int) -> str:
        """The next ASCII of known length."""
        try:
            return self.take(size).decode("ascii")
        except UnicodeDecodeError as error:
            raise BytesMalformed("a text is not ASCII") from error

    def text(self) -> str:
        """The next ASCII after its length."""
        return self.ascii(self.number(1))
