"""Joins concurrent calls into bulk calls: what arrives while some are in flight forms the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from libs.answers import all_done
from libs.client.calls import PATIENCE_S, patiently
from libs.client.errors import TRANSIENT_REASONS, HefuError, Unanswered

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH_MAX: Final = 500
IN_FLIGHT_MAX: Final = 4
# While a call is in flight another leaves only with so many items, or after so long: each call has
# a price of its own, at both ends.
APART_AT: Final = 64
APART_AFTER_S: Final = 0.05
# Whole-call refusals that one item may have caused.
_OF_ONE_ITEM: Final = frozenset(
    {"FIELD_INVALID", "FIELD_NOT_ALLOWED", "FIELD_REQUIRED", "TOO_LARGE"}
)


@dataclass(slots=True)
class _Asked(Generic[Item, Result]):
    item: Item
    answer: asyncio.Future[Result]


@dataclass
class Joiner(Generic[Item, Result]):
    """`send` answers a result for each item, in order; `refusal_of` is a result's reason, or "".

    A lone call leaves at once; those that come while it is in flight leave together. A batch
    refused whole is sent again in halves, so that a bad item hurts only itself. One refused for the
    moment is sent again.
    """

    send: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]]
    refusal_of: Callable[[Result], str]
    batch_max: int = BATCH_MAX
    in_flight_max: int = IN_FLIGHT_MAX
    patience_s: float = PATIENCE_S
    apart_after_s: float = APART_AFTER_S
    _waiting: deque[_Asked[Item, Result]] = field(default_factory=deque, repr=False)
    _running: set[asyncio.Task[None]] = field(default_factory=set, repr=False)
    _is_flush_due: bool = field(default=False, repr=False)
    _later: asyncio.TimerHandle | None = field(default=None, repr=False)
    _is_closed: bool = field(default=False, repr=False)

    async def submit(self, item: Item) -> Result:
        """The item's own result. Raises `HefuError`; `Unanswered` where it is not known."""
        return await self._ask(item, asyncio.get_running_loop())

    async def submit_each(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        """What `submit` would answer or raise of each, once all are answered."""
        loop = asyncio.get_running_loop()
        answers = [self._ask(item, loop) for item in items]
        await all_done(answers)
        found: list[Result | Exception] = []
        for answer in answers:
            failed = answer.exception()
            if failed is None:
                found.append(answer.result())
            elif isinstance(failed, Exception):
                found.append(failed)
            else:
                raise failed
        return found

    def _ask(self, item: Item, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Result]:
        if self._is_closed:
            raise Unanswered("SHUTTING_DOWN", "the client was closed")
        asked: _Asked[Item, Result] = _Asked(item, loop.create_future())
        self._waiting.append(asked)
        self._flush_soon(loop)
        return asked.answer

    async def close(self) -> None:
        """Give up what is in flight; whoever waits is told that the outcome is not known."""
        self._is_closed = True
        _fail(self._waiting, Unanswered("SHUTTING_DOWN", "the client was closed"))
        self._waiting.clear()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _flush_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        # After all that is ready to run has run, so that calls made together leave together.
        if self._is_flush_due or len(self._running) >= self.in_flight_max:
            return
        if not self._running or len(self._waiting) >= APART_AT:
            self._is_flush_due = True
            loop.call_soon(self._flush)
        elif self._later is None:
            self._later = loop.call_later(self.apart_after_s, self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self._later is not None:
            self._later.cancel()
            self._later = None
        while self._waiting and len(self._running) < self.in_flight_max:
            size = min(self.batch_max, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(size)]
            task = asyncio.get_running_loop().create_task(self._carry(batch))
            self._running.add(task)
            task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._waiting:
            self._flush_soon(task.get_loop())

    async def _carry(self, batch: Sequence[_Asked[Item, Result]]) -> None:
        try:
            await self._carry_part([asked for asked in batch if not asked.answer.done()])
        except asyncio.CancelledError:
            _fail(batch, Unanswered("SHUTTING_DOWN", "the client was closed"))
            raise
        except Exception as error:  # noqa: BLE001 - each waiting caller gets it; none hangs
            _fail(batch, error)

    async def _carry_part(self, batch: Sequence[_Asked[Item, Result]]) -> None:
        if not batch:
            return
        left = list(batch)

        async def send_left() -> None:
            results = await self.send([asked.item for asked in left])
            if len(results) != len(left):
                raise HefuError("MESSAGE_INVALID", f"{len(results)} results for {len(left)} items")
            pairs = list(zip(left, results, strict=True))
            left.clear()
            for asked, result in pairs:
                reason = self.refusal_of(result)
                if reason in TRANSIENT_REASONS:
                    left.append(asked)
                elif not asked.answer.done():
                    asked.answer.set_result(result)
            if left:
                raise Unanswered("UNAVAILABLE", f"{len(left)} items refused for the moment")

        try:
            await patiently(send_left, self.patience_s)
        except Unanswered as error:
            _fail(left, error)
        except HefuError as error:
            if len(left) == 1 or error.reason not in _OF_ONE_ITEM:
                _fail(left, error)
                return
            middle = len(left) // 2
            await self._carry_part(left[:middle])
            await self._carry_part(left[middle:])


def _fail(batch: Iterable[_Asked[Item, Result]], error: BaseException) -> None:
    for asked in batch:
        if not asked.answer.done():
            asked.answer.set_exception(error)
