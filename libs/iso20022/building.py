"""Messages to bytes."""

from libs.iso20022.messages import Message


def build(message: Message) -> tuple[str, bytes]:
    """The message type and the exact bytes. Raises `MessageInvalid`."""
    raise AssertionError(message)
