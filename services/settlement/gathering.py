"""Joins what is asked together under one key into groups, worked on one after the other."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")

# Long enough for calls made together to arrive together, short beside any call to a bank.
LINGER_S = 0.02


@dataclass
class Gatherer(Generic[K, T, R]):
    """`work` gets a key and at most `size_of(key)` items, and answers one result each, in order.

    Groups of one key are worked on one at a time, so a key's order is that of its asking.
    """

    work: Callable[[K, Sequence[T]], Awaitable[Sequence[R]]]
    size_of: Callable[[K], Awaitable[int]]
    linger_s: float = LINGER_S
    _waiting: dict[K, deque[tuple[T, asyncio.Future[R]]]] = field(
        default_factory=lambda: defaultdict(deque)
    )
    _running: dict[K, asyncio.Task[None]] = field(default_factory=dict)

    async def ask(self, key: K, item: T) -> R:
        """The item's own result. A failure of its group is the failure of each."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting[key].append((item, answer))
        if key not in self._running:
            task = asyncio.get_running_loop().create_task(self._drain(key))
            self._running[key] = task
        return await answer

    async def close(self) -> None:
        """Stop what is running; who still waits is cancelled."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, key: K) -> None:
        waiting = self._waiting[key]
        group: list[tuple[T, asyncio.Future[R]]] = []
        try:
            await asyncio.sleep(self.linger_s)
            while waiting:
                size = await self.size_of(key)
                group = [waiting.popleft() for _ in range(min(size, len(waiting)))]
                await self._serve(key, group)
        except BaseException:
            for _, answer in (*group, *waiting):
                answer.cancel()
            raise
        finally:
            del self._running[key]
            del self._waiting[key]

    async def _serve(self, key: K, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self.work(key, [item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - handed to each who asked
            for _, answer in group:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), result in zip(group, results, strict=True):
            if not answer.done():
                answer.set_result(result)
