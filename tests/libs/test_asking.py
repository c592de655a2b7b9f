"""Questions to the event store end, whatever the client under them does."""

import asyncio

import pytest

from libs.asking import asked, pause, unless_ours
from libs.event_store import StoreUnavailable


class Store:
    """Answers as it is told to: a value, an error, or never."""

    def __init__(self, *answers: int | BaseException | None) -> None:
        self.answers = list(answers)

    async def ask(self) -> int:
        match self.answers.pop(0):
            case BaseException() as error:
                raise error
            case None:
                never: asyncio.Future[int] = asyncio.get_running_loop().create_future()
                return await never
            case answer:
                return answer


async def test_an_answer_that_never_comes_is_asked_for_again() -> None:
    store = Store(None, 7)

    assert await asked(store.ask, 2, timeout_s=0.05) == 7


async def test_a_failure_is_asked_about_again() -> None:
    assert await asked(Store(OSError("gone"), 7).ask, 2, timeout_s=1.0) == 7


async def test_a_store_that_stays_away_is_said_to_be_away() -> None:
    with pytest.raises(StoreUnavailable, match="no answer within"):
        await asked(Store(OSError("gone"), None).ask, 2, timeout_s=0.05)


async def test_a_call_that_the_client_cancelled_is_made_again() -> None:
    assert await asked(Store(asyncio.CancelledError(), 7).ask, 2, timeout_s=1.0) == 7


async def test_our_own_cancellation_ends_the_asking() -> None:
    asking = asyncio.create_task(asked(Store(None).ask, 1, timeout_s=60.0))
    await asyncio.sleep(0)
    asking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_pauses_are_bounded() -> None:
    async with asyncio.timeout(30):
        await pause(100)


async def test_a_cancellation_of_others_has_a_reason() -> None:
    assert unless_ours(asyncio.CancelledError()) == "the client cancelled the call"
