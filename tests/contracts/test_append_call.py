"""The one long call that appends to single streams go by, on the real store."""

import asyncio
from collections.abc import AsyncIterator

import kurrentdbclient as kurrent
import pytest
import pytest_asyncio

from libs.append_call import AppendCall
from libs.event_store import NO_STREAM, Appended
from libs.joined_appends import Append, Conflicts
from libs.long_call import CallBroken
from tests.events import event
from tests.servers import EventStoreServer


@pytest_asyncio.fixture
async def call(event_store_server: EventStoreServer) -> AsyncIterator[AppendCall]:
    client = kurrent.AsyncKurrentDBClient(event_store_server.uri)
    opened = AppendCall(client)
    yield opened
    await opened.close()
    await client.close()


def append(stream: str, expected: int, count: int = 1) -> Append:
    events = tuple(event(n) for n in range(count))
    return Append(stream, events, expected, 0, asyncio.get_running_loop().create_future())


async def test_each_of_many_appends_on_one_call_has_its_own_answer(
    call: AppendCall, category: str
) -> None:
    found = await asyncio.gather(
        *(call.append(append(f"{category}-{n}", NO_STREAM, count=n + 1)) for n in range(20))
    )

    assert [each.revision for each in found] == list(range(20))
    assert len({each.position for each in found}) == 20


async def test_the_same_append_again_has_the_first_answer(call: AppendCall, category: str) -> None:
    given = append(f"{category}-1", NO_STREAM)

    first = await call.append(given)

    assert await call.append(given) == first
    assert isinstance(first, Appended)


async def test_another_revision_than_expected_is_told_with_the_one_that_is_there(
    call: AppendCall, category: str
) -> None:
    await call.append(append(f"{category}-1", NO_STREAM, count=3))

    with pytest.raises(Conflicts) as elsewhere:
        await call.append(append(f"{category}-1", 7))
    with pytest.raises(Conflicts) as nowhere:
        await call.append(append(f"{category}-2", 7))

    assert elsewhere.value.actual == {f"{category}-1": 2}
    assert nowhere.value.actual == {f"{category}-2": NO_STREAM}


async def test_what_waits_when_the_call_ends_is_not_known(call: AppendCall, category: str) -> None:
    await call.append(append(f"{category}-1", NO_STREAM))
    waiting = asyncio.create_task(call.append(append(f"{category}-2", NO_STREAM)))
    await asyncio.sleep(0)

    await call.close()

    with pytest.raises(CallBroken):
        await waiting


async def test_a_store_that_is_not_there_leaves_it_to_a_call_of_its_own(category: str) -> None:
    client = kurrent.AsyncKurrentDBClient("kdb://127.0.0.1:1?Tls=false")
    call = AppendCall(client)

    with pytest.raises(CallBroken):
        await call.append(append(f"{category}-1", NO_STREAM))

    await call.close()
    await client.close()
