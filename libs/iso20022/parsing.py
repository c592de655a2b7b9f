"""Bytes to messages."""

from libs.iso20022.messages import Message


def parse(message_type: str, body: bytes) -> Message:
    """The message in the bytes. Raises `MessageInvalid`; nothing else escapes."""
    raise AssertionError(message_type)
