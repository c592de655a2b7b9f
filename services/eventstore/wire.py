"""Stored events as the messages that readers get, and identifiers in both of their forms."""

import uuid

from services.eventstore import encoding
from services.eventstore.model import Record
from services.eventstore.protocol import shared, streams

_HEX_DIGITS = 32
_TEXT_LENGTH = 36
# UUID.string = 2, and the length of such a text.
_TEXT_HEAD = bytes((2 << 3 | 2, _TEXT_LENGTH))


def event_message(record: Record, *, is_structured: bool, link: Record | None = None) -> bytes:
    """The message for one event, or for a link together with the event it points to."""
    event = _recorded(record, is_structured=is_structured)
    if link is None:
        return encoding.read_event(event, None, record.position)
    link_event = _recorded(link, is_structured=is_structured)
    return encoding.read_event(event, link_event, link.position)


def broken_link_message(link: Record, *, is_structured: bool) -> bytes:
    """The message for a link whose event is gone."""
    link_event = _recorded(link, is_structured=is_structured)
    return encoding.read_event(None, link_event, link.position)


def checkpoint_message(position: int) -> bytes:
    """The message that tells how far a filtered subscription has looked."""
    checkpoint = streams.ReadResp.Checkpoint(commit_position=position, prepare_position=position)
    checkpoint.timestamp.GetCurrentTime()
    return streams.ReadResp(checkpoint=checkpoint).SerializeToString()


def caught_up_message(*, revision: int | None = None, position: int | None = None) -> bytes:
    """The message that tells that a subscription has read all there was."""
    caught_up = streams.ReadResp.CaughtUp(stream_revision=revision)
    if position is not None:
        caught_up.position.commit_position = position
        caught_up.position.prepare_position = position
    caught_up.timestamp.GetCurrentTime()
    return streams.ReadResp(caught_up=caught_up).SerializeToString()


def confirmation_message() -> bytes:
    """The first message of a subscription."""
    confirmation = streams.ReadResp.SubscriptionConfirmation(subscription_id=str(uuid.uuid4()))
    return streams.ReadResp(confirmation=confirmation).SerializeToString()


def stream_not_found_message(stream: str) -> bytes:
    """The message for a stream that has nothing to show."""
    name = shared.StreamIdentifier(stream_name=stream.encode())
    return streams.ReadResp(
        stream_not_found=streams.ReadResp.StreamNotFound(stream_identifier=name)
    ).SerializeToString()


def _recorded(record: Record, *, is_structured: bool) -> bytes:
    return encoding.recorded(record, _identifier(record.event_id, is_structured=is_structured))


def _identifier(raw: bytes, *, is_structured: bool) -> bytes:
    """An event id as asked for: text, or two signed halves, most significant first."""
    if is_structured:
        return shared.UUID(
            structured=shared.UUID.Structured(
                most_significant_bits=int.from_bytes(raw[:8], signed=True),
                least_significant_bits=int.from_bytes(raw[8:], signed=True),
            )
        ).SerializeToString()
    digits = raw.hex()
    text = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return _TEXT_HEAD + text.encode()


def identifier_bytes(message: shared.UUID) -> bytes:
    """The sixteen bytes of an event id; ValueError when it is malformed or all zero."""
    if message.HasField("structured"):
        halves = message.structured
        raw = halves.most_significant_bits.to_bytes(
            8, signed=True
        ) + halves.least_significant_bits.to_bytes(8, signed=True)
    else:
        raw = identifier_from_text(message.string)
    if not any(raw):
        raise ValueError("is all zero")
    return raw


def identifier_from_text(text: str) -> bytes:
    """The sixteen bytes of an event id written as text; ValueError when it is malformed."""
    digits = text.replace("-", "") if len(text) == _TEXT_LENGTH else text
    raw = bytes.fromhex(digits) if len(digits) == _HEX_DIGITS else uuid.UUID(text).bytes
    if len(raw) * 2 != _HEX_DIGITS or not any(raw):
        raise ValueError("is not an identifier, or all zero")
    return raw
