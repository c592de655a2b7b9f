"""The parts that can be tried without a server."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.passwords import hash_password, is_password
from services.eventstore import policy, users, verify
from services.eventstore.api_streams import StreamsWrites
from services.eventstore.errors import Refusal
from services.eventstore.filters import make_filter
from services.eventstore.head import Head, HeadFile
from services.eventstore.model import (
    DELETED_BEFORE,
    NO_STREAM,
    Append,
    NewEvent,
    Record,
    Stored,
    StoreError,
    Unserved,
    digest_of,
)
from services.eventstore.protocol import streams
from services.eventstore.server import Gate, health_calls, make_health, make_server
from services.eventstore.storage import require_sqlite
from services.eventstore.store import open_store
from services.eventstore.stream_metadata import parse
from services.eventstore.users import Role
from services.eventstore.wire import event_message, identifier_bytes
from services.eventstore.writer import QUEUE_OPERATIONS_MAX, Overloaded
from tests.services.eventstore.server_process import Identity


def test_a_served_call_without_a_rule_stops_the_start() -> None:
    policy.require_complete(policy.POLICY)
    with pytest.raises(StoreError, match=r"no policy for /x\.Y/Z"):
        policy.require_complete(["/grpc.health.v1.Health/Check", "/x.Y/Z"])


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2"])
def test_an_old_sqlite_is_refused(version: str) -> None:
    with pytest.raises(StoreError, match=version):
        require_sqlite(version)


def test_a_new_sqlite_is_taken() -> None:
    require_sqlite("3.51.3")
    require_sqlite("4.0.0")


def test_the_newer_slot_of_the_head_file_wins_and_a_torn_one_does_not_count(
    tmp_path: Path,
) -> None:
    file = HeadFile(tmp_path)
    assert file.read() is None
    older, newer = Head(100, 1, b"a" * 32), Head(205, 2, b"b" * 32)
    file.write(older)
    file.write(newer)
    assert file.read() == newer
    content = bytearray((tmp_path / "head").read_bytes())
    content[4096] ^= 1
    (tmp_path / "head").write_bytes(content)
    assert file.read() == older
    file.close()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"$tb":3,"$maxCount":2,"$maxAge":60}', (3, 2, 60)),
        (b'{"$tb":-1,"$maxCount":0,"$maxAge":"60"}', (None, None, None)),
        (b'{"$tb":99999999999999999999}', (DELETED_BEFORE, None, None)),
        (b'{"$maxCount":true}', (None, None, None)),
        (b"[1]", (None, None, None)),
        (b"\xff", (None, None, None)),
        (b"[" * 100_000, (None, None, None)),
    ],
)
def test_metadata_means_three_keys_and_anything_odd_means_nothing(
    data: bytes, expected: tuple[int | None, int | None, int | None]
) -> None:
    found = parse(data)
    assert (found.truncate_before, found.max_count, found.max_age) == expected


def test_every_field_of_a_record_changes_its_digest() -> None:
    fields = (1, "s", 2, b"i" * 16, "t", 1, 3, b"data", b"meta")
    others = (2, "r", 3, b"j" * 16, "u", 0, 4, b"datb", b"metb")
    changed: list[tuple[Any, ...]] = [
        (*fields[:n], other, *fields[n + 1 :]) for n, other in enumerate(others)
    ]
    digests = {digest_of(*fields)} | {digest_of(*other) for other in changed}
    moved = digest_of(1, "s", 2, b"i" * 16, "t", 1, 3, b"datam", b"eta")
    assert len(digests | {moved}) == len(fields) + 2


def test_the_precedence_of_alternatives_in_an_expression_is_kept() -> None:
    wanted = make_filter(is_by_stream=False, prefixes=(), regex="^a|b$", checkpoint_every=1)
    assert [wanted.wants(name) for name in ("ax", "xb", "xbx")] == [True, True, False]


async def test_a_full_queue_takes_nothing_more_and_loses_nothing(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "data", reserve_bytes=0)

    def one(n: int) -> Append:
        event = NewEvent(f"s-{n}", uuid.uuid4().bytes, "Cut", 1, b"{}", b"")
        return Append((event,), {event.stream: NO_STREAM}, event.size, float("inf"))

    taken = [store.writer.submit(one(n)) for n in range(QUEUE_OPERATIONS_MAX)]
    with pytest.raises(Overloaded):
        store.writer.submit(one(QUEUE_OPERATIONS_MAX))
    outcomes = await asyncio.gather(*taken)
    assert all(isinstance(outcome, Stored) for outcome in outcomes)
    assert isinstance(await store.writer.submit(one(QUEUE_OPERATIONS_MAX)), Stored)
    await store.close()


async def test_commits_are_proven_piece_by_piece_up_to_the_head(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "data", reserve_bytes=0)
    for n in range(20):
        event = NewEvent("s", uuid.uuid4().bytes, "Cut", 1, b"{}", b"")
        await store.writer.submit(Append((event,), {"s": n - 1}, event.size, float("inf")))
    place, events = verify.BEGINNING, 0
    for _ in range(3):
        place, seen = await store.reader.run(verify.fold, place, 7)
        events += seen
    assert (place.position, place.chain) == (store.writer.head.position, store.writer.head.chain)
    assert events == store.writer.head.events == 21
    assert await store.reader.run(verify.fold, place, 7) == (place, 0)
    await store.close()


async def test_an_operation_whose_time_is_over_is_dropped(tmp_path: Path) -> None:
    store = await open_store(tmp_path / "data", reserve_bytes=0)
    event = NewEvent("late", uuid.uuid4().bytes, "Cut", 1, b"{}", b"")
    late = Append((event,), {"late": NO_STREAM}, event.size, time.monotonic() - 1)
    assert await store.writer.submit(late) is Unserved.EXPIRED
    in_time = Append((event,), {"late": NO_STREAM}, event.size, time.monotonic() + 60)
    assert isinstance(await store.writer.submit(in_time), Stored)
    await store.close()


def test_a_password_is_known_by_its_salted_hash_alone() -> None:
    stored = hash_password("cut-in-two", "salt")
    assert len(stored) == 64
    assert is_password("cut-in-two", "salt", stored)
    assert not is_password("cut-in-two", "pepper", stored)
    assert not is_password("cut-in-three", "salt", stored)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is not valid"),
        ("[]", "names no user"),
        ('[{"name":"a","salt":"b","hash":"c","role":"king"}]', "KING"),
    ],
)
def test_a_users_file_that_lets_nobody_in_stops_the_start(
    tmp_path: Path, content: str, words: str
) -> None:
    file = tmp_path / "users.json"
    file.write_text(content)
    with pytest.raises(StoreError, match=words):
        users.load(file)


async def test_good_credentials_are_remembered_and_bad_ones_are_not() -> None:
    known = users.Users([users.User("w", "salt", hash_password("p:w", "salt"), Role.WRITER)])
    good, bad = b"Basic dzpwOnc=", b"Basic dzpw"
    assert known.remembered(good) is None
    user = await known.check(good)
    assert user is not None
    assert user.role is Role.WRITER
    assert known.remembered(good) == user
    assert await known.check(bad) is None
    assert known.remembered(bad) is None
    for malformed in (b"", b"Bearer x", b"Basic ???", b"Basic dw=="):
        assert await known.check(malformed) is None
    known.close()


@pytest.mark.parametrize("flags", [0, 1])
@pytest.mark.parametrize("is_structured", [True, False])
@pytest.mark.parametrize("revision", [0, 127, 128, 2**63 - 1])
def test_the_bytes_of_an_event_are_those_of_its_message(
    flags: int,
    is_structured: bool,  # noqa: FBT001 - a table of cases
    revision: int,
) -> None:
    identity = uuid.UUID("f0000000-0000-0001-8000-000000000002")
    created = 17_000_000_000_000_000
    record = Record(
        300, "合符-1", revision, identity.bytes, "付款", flags, created, b"d" * 200, b"{}", b""
    )
    link = record._replace(position=0, type="$>", data=b"", metadata=b"")
    message = streams.ReadResp.FromString(
        event_message(record, is_structured=is_structured, link=link)
    )
    assert message.event.commit_position == 0
    assert message.event.WhichOneof("position") == "commit_position"
    for found, sent in ((message.event.event, record), (message.event.link, link)):
        assert identifier_bytes(found.id) == sent.event_id
        assert found.id.HasField("structured") is is_structured
        assert found.stream_identifier.stream_name.decode() == sent.stream
        assert found.stream_revision == sent.revision
        assert found.prepare_position == found.commit_position == sent.position
        assert dict(found.metadata) == {
            "type": sent.type,
            "content-type": "application/json" if flags else "application/octet-stream",
            "created": str(created),
        }
        assert (found.custom_metadata, found.data) == (sent.metadata, sent.data)


async def test_until_the_files_are_proven_callers_are_told_to_wait(identity: Identity) -> None:
    known = users.load(identity.users)
    gate = Gate(known)
    server, port = make_server(
        gate, identity.certificate.read_bytes(), identity.key.read_bytes(), "localhost", 0
    )
    await server.start()
    credentials = grpc.ssl_channel_credentials(identity.certificate.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        for method in policy.POLICY:
            call: Any = channel.unary_unary(method)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(b"", timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert refused.value.details() == "Server Is Not Ready"
    await server.stop(None)
    known.close()


def test_a_gate_does_not_open_for_a_call_without_a_rule(identity: Identity) -> None:
    known = users.load(identity.users)
    with pytest.raises(StoreError, match="no policy"):
        Gate(known, rules={}).open(health_calls(make_health()))
    known.close()


async def test_a_call_that_lasts_ends_when_the_store_stops_with_what_it_had_asked_for_answered(
    tmp_path: Path,
) -> None:
    store = await open_store(tmp_path, 0)
    writes = StreamsWrites(store.writer, 1 << 20)
    context = Answers()
    serving = asyncio.create_task(writes.batch_append(one_append_and_silence(), context))  # type: ignore[arg-type]
    await context.told.wait()

    writes.close()

    with pytest.raises(Refusal, match="shutting down"):
        await serving
    assert [each.success.current_revision for each in context.answers] == [0]
    await store.close()


class Answers:
    """What is written to a call's context."""

    def __init__(self) -> None:
        self.answers: list[streams.BatchAppendResp] = []
        self.told = asyncio.Event()

    async def write(self, answer: streams.BatchAppendResp) -> None:
        self.answers.append(answer)
        self.told.set()


async def one_append_and_silence() -> AsyncIterator[streams.BatchAppendReq]:
    request = streams.BatchAppendReq(is_final=True)
    request.correlation_id.string = str(uuid.uuid4())
    request.options.stream_identifier.stream_name = b"test-1"
    request.options.no_stream.SetInParent()
    message = request.proposed_messages.add(data=b"{}")
    message.id.string = str(uuid.uuid4())
    message.metadata["type"] = "said"
    message.metadata["content-type"] = "application/json"
    yield request
    await asyncio.Event().wait()
