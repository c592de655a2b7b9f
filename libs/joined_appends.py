"""Appends made at the same time by many travel in one call; each gets its own answer."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from libs.answers import all_done
from libs.cancelling import end
from libs.event_store import (
    Appended,
    AppendFailed,
    Busy,
    NewEvent,
    OutcomeUnknown,
    TooLarge,
    WrongVersion,
)

APPENDS_MAX = 256
# What every server version takes as one append.
BYTES_MAX = 1 << 20
# Calls under way at once; what comes meanwhile is the next call.
LANES = 2
# While one call is under way another leaves only with so many, or after so long: each call has a
# price of its own, here and at the store.
APART_AT = 64
APART_AFTER_S = 0.05
ALONE_AT_ONCE_MAX = 32
RESENDS_MAX = 6
RESEND_FIRST_S = 0.05
RESEND_MAX_S = 1.0
# Ids, names of fields and framing of one event on the wire.
_EVENT_OVERHEAD_BYTES = 128

logger = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Append:
    """One caller's append, and where its answer goes."""

    stream: str
    events: tuple[NewEvent, ...]
    expected: int
    size: int
    answer: asyncio.Future[Appended] = field(repr=False)

    def succeed(self, appended: Appended) -> None:
        """Answer the caller, if it still waits."""
        if not self.answer.done():
            self.answer.set_result(appended)

    def fail(self, error: AppendFailed) -> None:
        """Refuse the caller, if it still waits."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Conflicts(Exception):
    """Nothing of the call is stored: these streams are elsewhere, at the revisions given."""

    def __init__(self, actual: Mapping[str, int | None]) -> None:
        super().__init__(f"{len(actual)} streams are not where they were expected")
        self.actual = actual


class CannotJoin(Exception):
    """The server does not know calls over several streams."""


# Sends appends to different streams, all or nothing. Raises the two above and `AppendFailed`.
Send = Callable[[Sequence[Append]], Awaitable[Sequence[Appended]]]


class JoinedAppends:
    """A queue, and a few lanes that empty it. A stream is in one lane at a time, once a call."""

    def __init__(
        self,
        send: Send,
        lanes: int = LANES,
        resend_first_s: float = RESEND_FIRST_S,
        apart_after_s: float = APART_AFTER_S,
    ) -> None:
        self._send = send
        self._apart_after_s = apart_after_s
        self._resend_first_s = resend_first_s
        self._pending: deque[Append] = deque()
        self._filled = asyncio.Event()
        self._busy: set[str] = set()
        self._landed = asyncio.Event()
        self._joins = True
        self._alone = asyncio.Semaphore(ALONE_AT_ONCE_MAX)
        self._lanes = [asyncio.create_task(self._run_lane()) for _ in range(lanes)]

    async def append(self, stream: str, events: Sequence[NewEvent], expected: int) -> Appended:
        """Append in the next call, even if the caller goes away. Raises `AppendFailed`."""
        return await self._asked(stream, events, expected)

    async def append_each(
        self, appends: Sequence[tuple[str, Sequence[NewEvent], int]]
    ) -> Sequence[Appended | AppendFailed]:
        """What `append` would answer or raise of each; all of them leave in the next call."""
        answers: list[asyncio.Future[Appended] | TooLarge] = []
        for stream, events, expected in appends:
            try:
                answers.append(self._asked(stream, events, expected))
            except TooLarge as error:
                answers.append(error)
        under_way = [each for each in answers if isinstance(each, asyncio.Future)]
        try:
            await all_done(under_way)
        except asyncio.CancelledError:
            for each in under_way:
                each.cancel()
            raise
        return [each if isinstance(each, TooLarge) else _outcome(each) for each in answers]

    def _asked(
        self, stream: str, events: Sequence[NewEvent], expected: int
    ) -> asyncio.Future[Appended]:
        if not events:
            raise ValueError("an append without events says nothing")
        given = tuple(events)
        size = size_of(given)
        if size > BYTES_MAX:
            raise TooLarge(f"{size} bytes for {stream}; one append holds {BYTES_MAX}")
        answer: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self._pending.append(Append(stream, given, expected, size, answer))
        self._filled.set()
        return answer

    async def close(self) -> None:
        """Stop; what was not answered is unknown."""
        await end(self._lanes)
        for append in self._pending:
            append.fail(OutcomeUnknown("the store was closed"))

    async def _run_lane(self) -> None:
        while True:
            await self._filled.wait()
            await asyncio.sleep(0)  # all that is ready to append now comes along
            if not self._pending:  # another lane has it
                self._filled.clear()
                continue
            if self._busy and len(self._pending) < APART_AT:
                await self._wait_for_landing()
            group = self._take()
            if not group:
                self._filled.clear()
                continue
            self._busy.update(append.stream for append in group)
            try:
                await self._answer(group)
            except Exception as error:
                # A mistake of ours here must not leave callers waiting for ever.
                logger.exception("append_lane_broken")
                for append in group:
                    append.fail(OutcomeUnknown(f"{type(error).__name__}: {error}"))
            finally:
                for append in group:
                    append.fail(OutcomeUnknown("the store was closed"))
                self._busy.difference_update(append.stream for append in group)
                self._landed.set()
                if self._pending:
                    self._filled.set()

    async def _wait_for_landing(self) -> None:
        self._landed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._apart_after_s):
                await self._landed.wait()

    def _take(self) -> list[Append]:
        group: list[Append] = []
        left: list[Append] = []
        streams = set(self._busy)
        size = 0
        while self._pending and len(group) < APPENDS_MAX:
            append = self._pending.popleft()
            if append.answer.done():
                continue
            if append.stream in streams or (group and size + append.size > BYTES_MAX):
                left.append(append)
                # Later ones of the same stream stay behind it.
                streams.add(append.stream)
                if size + append.size > BYTES_MAX:
                    break
                continue
            streams.add(append.stream)
            size += append.size
            group.append(append)
        self._pending.extendleft(reversed(left))
        return group

    async def _answer(self, group: Sequence[Append]) -> None:
        if not self._joins:
            await self._answer_alone(group, {})
            return
        try:
            await self._send_until_known(group)
        except Conflicts as conflicts:
            # A joined call cannot tell "stored before" from "in conflict"; a call alone can.
            named = [append for append in group if append.stream in conflicts.actual]
            others = [append for append in group if append.stream not in conflicts.actual]
            await self._answer_alone(named or group, conflicts.actual)
            if named and others:
                await self._answer(others)
        except CannotJoin:
            logger.info("appends_not_joined", reason="the server does not know joined calls")
            self._joins = False
            await self._answer_alone(group, {})
        except AppendFailed as error:
            if len(group) == 1 or isinstance(error, OutcomeUnknown | Busy):
                for append in group:
                    append.fail(error)
            else:
                await self._answer_alone(group, {})

    async def _answer_alone(
        self, group: Sequence[Append], actual: Mapping[str, int | None]
    ) -> None:
        async def answer(append: Append) -> None:
            async with self._alone:
                try:
                    await self._send_until_known([append])
                except Conflicts as conflicts:
                    found = {**actual, **conflicts.actual}.get(append.stream)
                    append.fail(WrongVersion(append.stream, append.expected, found))
                except AppendFailed as error:
                    append.fail(error)

        async with asyncio.TaskGroup() as tasks:
            for append in group:
                tasks.create_task(answer(append))

    async def _send_until_known(self, group: Sequence[Append]) -> None:
        """Send the very same call until its outcome is known, within bounds."""
        wait_s = self._resend_first_s
        for resend in range(RESENDS_MAX + 1):
            try:
                answers = await self._send(group)
            except (OutcomeUnknown, Busy) as error:
                logger.info("append_unknown", count=len(group), attempt=resend, reason=str(error))
                if resend == RESENDS_MAX:
                    raise
                await asyncio.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                wait_s = min(wait_s * 2, RESEND_MAX_S)
                continue
            for append, appended in zip(group, answers, strict=True):
                append.succeed(appended)
            return


def _outcome(answer: asyncio.Future[Appended]) -> Appended | AppendFailed:
    failed = answer.exception()
    if failed is None:
        return answer.result()
    if isinstance(failed, AppendFailed):
        return failed
    raise failed


def size_of(events: Sequence[NewEvent]) -> int:
    """Bytes of an append, a little more than a server counts."""
    size = 0
    for event in events:
        size += len(event.data) + len(event.type) + _EVENT_OVERHEAD_BYTES
        for key, value in event.metadata.items():
            size += len(key) + len(value)
    return size
