"""One stream of changes, shared by all who wait for a payment of theirs."""

import asyncio
from collections import OrderedDict, defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import grpc

from hefu.payments.v1 import payments_pb2 as pb
from hefu.payments.v1 import payments_pb2_grpc
from libs.client.errors import error_of, is_transient

# A stream is opened anew after this long; nothing is lost, it goes on from the last position.
STREAM_S: Final = 300.0
AGAIN_AFTER_S: Final = 0.2
CHANGES_MAX: Final = 500
KEPT_MAX: Final = 10_000
# The stream outlives the last who waited by so much: mostly somebody waits again soon.
LINGER_S: Final = 2.0


class Changes:
    """What one payment becomes, for one who waits for it."""

    def __init__(self, stream: asyncio.Task[None]) -> None:
        self._stream = stream
        self._come: deque[pb.Payment] = deque()
        self._woken: asyncio.Future[None] | None = None

    def add(self, payment: pb.Payment) -> None:
        """It has become this."""
        self._come.append(payment)
        self.wake()

    def wake(self) -> None:
        """Look: something came, or nothing more will."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def get(self) -> pb.Payment:
        """The payment after its next change. Raises what ended the stream, where it was refused."""
        while not self._come:
            if self._stream.done():
                self._stream.result()
                raise AssertionError("a stream of changes ends by an error only")
            self._woken = asyncio.get_running_loop().create_future()
            await self._woken
        return self._come.popleft()


class Watching:
    """Opened with the first who waits, closed some time after the last.

    While it is open, what came last of each payment is kept: who comes later need not ask for it.
    """

    def __init__(
        self,
        stub: "payments_pb2_grpc.PaymentsServiceAsyncStub",
        kept_max: int = KEPT_MAX,
        linger_s: float = LINGER_S,
    ) -> None:
        self._stub = stub
        self._kept_max = kept_max
        self._linger_s = linger_s
        self._closing: asyncio.TimerHandle | None = None
        # Everything behind this position has passed here or will; None: nothing has.
        self._from: int | None = None
        # In the order of their positions.
        self._latest: OrderedDict[str, pb.PaymentChange] = OrderedDict()
        self._waiting: dict[str, set[Changes]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def changes(self, payment_id: str, after: int) -> AsyncIterator[Changes]:
        """What the payment becomes, from now on. A look at it after entering misses nothing."""
        self._stay()
        if self._task is None or self._task.done():
            self._latest.clear()
            self._from = after
            self._task = asyncio.get_running_loop().create_task(self._run(after))
            self._task.add_done_callback(self._ended)
        changes = Changes(self._task)
        self._waiting[payment_id].add(changes)
        try:
            yield changes
        finally:
            self._waiting[payment_id].discard(changes)
            if not self._waiting[payment_id]:
                del self._waiting[payment_id]
            if not self._waiting:
                loop = asyncio.get_running_loop()
                self._closing = loop.call_later(self._linger_s, self._leave)

    async def follow(
        self, after: int, payment_ids: Sequence[str] = (), *, public_only: bool = False
    ) -> AsyncIterator[pb.WatchPaymentsResponse]:
        """Changes after a position, for ever; a broken stream goes on where it was."""
        request = pb.WatchPaymentsRequest(
            after_position=after, payment_ids=payment_ids, public_changes_only=public_only
        )
        async for change in self._responses(request):
            yield change
            request.after_position = change.position

    async def _responses(
        self, request: pb.WatchPaymentsRequest
    ) -> AsyncIterator[pb.WatchPaymentsResponse]:
        """For ever: the taker moves the request's position on; a broken stream goes on there."""
        while True:
            try:
                async for response in self._stub.WatchPayments(request, timeout=STREAM_S):
                    yield response
            except grpc.aio.AioRpcError as error:
                if not is_transient(error):
                    raise error_of(error) from error
                if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    await asyncio.sleep(AGAIN_AFTER_S)

    def covers(self, position: int) -> bool:
        """Whether every change behind a position passes here, and none was let go of."""
        return self._from is not None and self._from <= position

    def latest(self, payment_id: str) -> pb.Payment | None:
        """What came last of a payment."""
        change = self._latest.get(payment_id)
        return None if change is None else change.payment

    async def close(self) -> None:
        """Close the stream."""
        self._stay()
        task = self._leave()
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _stay(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _leave(self) -> asyncio.Task[None] | None:
        self._from = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    def _ended(self, _stream: asyncio.Task[None]) -> None:
        for waiting in self._waiting.values():
            for changes in waiting:
                changes.wake()

    async def _run(self, after: int) -> None:
        # Whoever waits has seen that the payment was asked for.
        request = pb.WatchPaymentsRequest(
            after_position=after, without_requests=True, changes_max=CHANGES_MAX
        )
        async for response in self._responses(request):
            for change in response.changes:
                request.after_position = change.position
                self._keep(change)
                for changes in self._waiting.get(change.payment.payment_id, ()):
                    changes.add(change.payment)

    def _keep(self, change: pb.PaymentChange) -> None:
        id_ = change.payment.payment_id
        self._latest[id_] = change
        self._latest.move_to_end(id_)
        if len(self._latest) > self._kept_max:
            _, dropped = self._latest.popitem(last=False)
            # It may be asked for; what is newer than its last change is kept, all of it.
            self._from = dropped.position
