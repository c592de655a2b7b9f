"""The proof that goes on while the store serves: what is old, the pages, what is new."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from libs.telemetry import get_logger
from services.eventstore import verify
from services.eventstore.model import Proven
from services.eventstore.reader import Reader
from services.eventstore.tail import Tail
from services.eventstore.verify import BEGINNING, Place, Verified
from services.eventstore.writer import Closing, Overloaded, Writer

# A little at a time and with pauses, so that who waits for a page hardly notices.
_GROUPS_AT_ONCE: Final = 1_000
_BYTES_AT_ONCE: Final = 8 << 20
_REST_TIMES: Final = 3.0
_REST_LEAST_S: Final = 0.05
_TELL_EVERY_BYTES: Final = 256 << 20
# How far the mark may be behind: well within what each start proves again in any case.
_MARK_EVERY_BYTES: Final = 256 << 20
_LOOK_EVERY_S: Final = 2.0

_log = get_logger()


class Proof:
    """Begun at each start. Damage ends the process, with its exact position (see `Reader`)."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        tail: Tail,
        verified: Verified,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._tail = tail
        self._verified = verified
        self._proven = verified.end

    async def run(self) -> None:
        """Until it is cancelled."""
        end = self._verified.start
        if end >= 0:
            # Proven at an earlier start: disks forget.
            await self._fold(BEGINNING, end, _telling("older_events_proof", end))
            _log.info("older_events_verified", position=end)
        if not self._verified.has_all_pages:
            await self._pages()
        await self._newer()

    async def _pages(self) -> None:
        is_done = await self._reader.run(verify.verify_pages, (), lambda: self._tail.is_closing)
        if is_done:
            _log.info("pages_verified")

    async def _newer(self) -> None:
        """What is written from now on, so that the next start finds the mark not far behind."""
        while not self._tail.is_closing:
            if self._tail.head - self._proven.position < _MARK_EVERY_BYTES:
                await asyncio.sleep(_LOOK_EVERY_S)
            else:
                await self.move_mark()

    async def move_mark(self) -> None:
        """Prove what was written up to now, and remember that it is whole."""
        self._proven = await self._fold(self._proven, self._tail.head, _silent)
        # A queue that is full, or a store that stops: the next time is as good.
        with suppress(Overloaded, Closing):
            await self._writer.submit(Proven(self._proven.position))
            _log.info("newer_events_verified", position=self._proven.position)

    async def _fold(self, place: Place, end: int, tell: Callable[[int], None]) -> Place:
        loop = asyncio.get_running_loop()
        while place.position < end:
            begun = loop.time()
            place, _ = await self._reader.run(verify.fold, place, _GROUPS_AT_ONCE, _BYTES_AT_ONCE)
            tell(place.position)
            await asyncio.sleep(max(_REST_TIMES * (loop.time() - begun), _REST_LEAST_S))
        return place


def _silent(_: int) -> None:
    return


def _telling(name: str, end: int) -> Callable[[int], None]:
    """Tells how far it is, once in a while."""
    told = 0

    def tell(position: int) -> None:
        nonlocal told
        if position - told >= _TELL_EVERY_BYTES:
            told = position
            _log.info(name, position=position, head=end)

    return tell
