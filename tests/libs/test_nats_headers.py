"""What is read and written of messages is what the client of the bus would read and write."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from libs.bus import HeaderLines, Message, lines_of
from libs.nats_client import Taken, TakingClient, _command
from libs.nats_pull import delivered, sequence_of

NAMES = st.text("abcXYZ-", min_size=1, max_size=12)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20).map(
    str.strip
)
OURS, OTHERS = 7, 8


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_headers_of_ours_are_read_as_by_the_client(headers: dict[str, str]) -> None:
    raw = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
    lines = HeaderLines(raw)

    assert dict(lines) == Client._parse_header_lines(raw) == headers  # noqa: SLF001
    assert len(lines) == len(headers)
    assert lines.get("no-such-name") is None
    assert dict(lines_of(headers)) == headers


@given(
    headers=st.dictionaries(NAMES, VALUES, min_size=1, max_size=8),
    data=st.binary(max_size=20),
    are_lines=st.booleans(),
)
async def test_a_message_is_written_as_by_the_client(
    headers: dict[str, str], data: bytes, *, are_lines: bool
) -> None:
    client = Client()
    own = dict(list(headers.items())[::2])
    more = {name: value for name, value in headers.items() if name not in own}
    message = Message("id", "hefu.a.b.C", lines_of(own) if are_lines else own, data)
    await client._send_publish(message.subject, "", data, len(data), {**own, **more})  # noqa: SLF001

    written = _command(message, lines_of(more).raw.decode())

    assert client._pending == [written]  # noqa: SLF001


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nb: c"])
def test_a_header_that_would_be_two_is_one(value: str) -> None:
    written = _command(Message("id", "s", {"A": value}, b""), "")

    assert written.count(b"\r") == written.count(b"\n") == 5
    assert len(lines_of({"A": value})) == 1


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
    taken = Taken(b"s", b"", raw, b"")
    theirs = await Client()._process_headers(raw) or {}  # noqa: SLF001

    assert taken.status == status == theirs.pop("Status", "")
    assert taken.reason == theirs.pop("Description", "")
    assert dict(taken.lines) == theirs


@pytest.mark.parametrize(
    "raw", [b"A:b\r\n\r\n", b"A:\tb\r\nC: d\r\n\r\n", b"no header\r\n\r\n", b""]
)
def test_headers_of_another_shape_are_read_as_by_the_client(raw: bytes) -> None:
    assert dict(HeaderLines(raw)) == Client._parse_header_lines(raw)  # noqa: SLF001


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.HEFU_PAYMENTS.inbox_settlement.1.77.5.1700000000000000000.3",
        "$JS.ACK.hub.ACCOUNT.HEFU_PAYMENTS.inbox.1.78.5.1700000000000000000.3.x7",
    ],
)
def test_the_place_of_a_message_is_the_clients(reply: str) -> None:
    assert sequence_of(reply.encode()) == Msg.Metadata._from_reply(reply).sequence.stream  # noqa: SLF001


@pytest.mark.parametrize(
    "headers",
    [
        b"NATS/1.0\r\nce-id: no\r\nNats-Msg-Id: yes\r\nce-type: t\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id: yes\r\n\r\n",
        b"NATS/1.0\r\nA: b\r\nNats-Msg-Id:yes\r\n\r\n",
    ],
)
def test_a_message_has_the_id_it_was_published_with(headers: bytes) -> None:
    reply = b"$JS.ACK.S.c.1.7.5.1700000000000000000.3"

    assert delivered(Taken(b"a.b", reply, headers, b"")).message.id == "yes"


def frame(sid: int, data: bytes, *, has_headers: bool) -> bytes:
    if not has_headers:
        return b"MSG a.b %d r.1 %d\r\n%b\r\n" % (sid, len(data), data)
    headers = b"NATS/1.0\r\nA: %d\r\n\r\n" % len(data)
    sizes = (len(headers), len(headers) + len(data))
    return b"HMSG a.b %d r.1 %d %d\r\n%b%b\r\n" % (sid, *sizes, headers, data)


FRAMES = st.one_of(
    st.builds(
        frame,
        st.sampled_from([OURS, OTHERS]),
        # Also such as look like the beginning of another, and large ones.
        st.sampled_from([b"", b"x", b"\r\nHMSG a.b 7 r.1 1 1\r\n", b"y" * 90_000]),
        has_headers=st.booleans(),
    ),
    st.just(b"+OK\r\n"),
)


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 200_000), max_size=8))
async def test_what_arrives_is_taken_apart_as_by_the_client_wherever_it_was_cut(
    frames: list[bytes], cuts: list[int]
) -> None:
    read = b"".join(frames)
    edges = [0, *sorted(min(cut, len(read)) for cut in cuts), len(read)]
    parts = [read[a:b] for a, b in pairwise(edges)]
    taken: list[Taken] = []
    others: list[tuple[bytes, ...]] = []

    class Taking(TakingClient):
        async def _process_msg(
            self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
        ) -> None:
            if sid == OURS:
                await super()._process_msg(sid, subject, reply, data, headers)
            else:
                others.append((subject, reply, headers or b"", data))

    class Theirs(Client):
        async def _process_msg(
            self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
        ) -> None:
            to = expected if sid == OURS else expected_others
            to.append((subject, reply, headers or b"", data))

    expected: list[tuple[bytes, ...]] = []
    expected_others: list[tuple[bytes, ...]] = []
    ours, theirs = Taking(), Theirs()
    ours._takers[OURS] = taken.append  # noqa: SLF001 - what listening does
    for part in parts:
        await ours._ps.parse(part)  # noqa: SLF001
        await theirs._ps.parse(part)  # noqa: SLF001

    assert [tuple(each) for each in taken] == expected
    assert others == expected_others
    assert len(taken) + len(others) == sum(each != b"+OK\r\n" for each in frames)
