"""Headers and places of messages are read as the client of the bus would read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.bus import Message
from libs.nats_bus import _Client, _command, _headers, _sequence, _status, _Taken

NAMES = st.text("abcXYZ-", min_size=1, max_size=12)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20).map(
    str.strip
)


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_headers_of_ours_are_read_as_by_the_client(headers: dict[str, str]) -> None:
    raw = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"

    assert _Client._parse_header_lines(raw) == Client._parse_header_lines(raw) == headers  # noqa: SLF001


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=8), st.binary(max_size=20))
async def test_a_message_is_written_as_by_the_client(headers: dict[str, str], data: bytes) -> None:
    client = Client()
    message = Message("id", "hefu.a.b.C", {}, data)
    await client._send_publish(message.subject, "", data, len(data), headers)  # noqa: SLF001

    assert client._pending == [_command(message, headers)]  # noqa: SLF001


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nb: c"])
def test_a_header_that_would_be_two_is_left_to_the_client(value: str) -> None:
    assert _command(Message("id", "s", {}, b""), {"A": value}) is None


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n", "100"),
        (b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 7\r\n\r\n", "408"),
        (b"NATS/1.0 404\r\n\r\n", "404"),
        (b"NATS/1.0\r\nce-id: x\r\n\r\n", ""),
        (b"", ""),
    ],
)
async def test_what_the_server_says_instead_of_a_message_is_read_as_by_the_client(
    raw: bytes, status: str
) -> None:
    taken = _Taken(b"s", b"", b"", raw)
    theirs = await Client()._process_headers(raw) or {}  # noqa: SLF001

    assert _status(taken) == status == theirs.pop("Status", "")
    theirs.pop("Description", None)
    assert _headers(taken) == theirs


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
