"""Headers and places of messages are read as the client of the bus would read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.nats_bus import _Client, _sequence

NAMES = st.text("abcXYZ-", min_size=1, max_size=12)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20).map(
    str.strip
)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_headers_of_ours_are_read_as_by_the_client(headers: dict[str, str]) -> None:
    raw = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"

    assert _Client._parse_header_lines(raw) == Client._parse_header_lines(raw) == headers  # noqa: SLF001


@pytest.mark.parametrize(
    "raw", [b"A:b\r\n\r\n", b"A:\tb\r\nC: d\r\n\r\n", b"no header\r\n\r\n", b""]
)
def test_headers_of_another_shape_are_left_to_the_client(raw: bytes) -> None:
    assert _Client._parse_header_lines(raw) == Client._parse_header_lines(raw)  # noqa: SLF001


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.HEFU_PAYMENTS.inbox_settlement.1.77.5.1700000000000000000.3",
        "$JS.ACK.hub.ACCOUNT.HEFU_PAYMENTS.inbox.1.78.5.1700000000000000000.3.x7",
    ],
)
def test_the_place_of_a_message_is_the_clients(reply: str) -> None:
    assert _sequence(reply) == Msg.Metadata._from_reply(reply).sequence.stream  # noqa: SLF001
