"""What payments tell us: who waits for a payment is woken when something comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from libs.bus import Message
from libs.event_store import StoredEvent
from libs.hearing import headings_of

PREFIX: Final = "payment-"
# Events after which a payment may be at its end, or has left the account that pays.
_TELLING: Final = frozenset(
    {
        "PaymentEnteredWindow",
        "PaymentPaid",
        "PaymentCompleted",
        "PaymentFailed",
        "PaymentCancelled",
        "PaymentDoubted",
    }
)


@dataclass(frozen=True, slots=True)
class Awaited:
    """Payments that somebody waits for. Forgotten by a restart: the watchdogs ask then."""

    _waiting: dict[str, Callable[[], None]] = field(default_factory=dict)

    def expect(self, payment_id: str, wake: Callable[[], None]) -> None:
        """Wake, when something comes of this payment."""
        self._waiting[payment_id] = wake

    def forget(self, payment_id: str) -> None:
        """Nobody waits for it any more."""
        self._waiting.pop(payment_id, None)

    def concerns(self, message: Message) -> bool:
        """Whether somebody waits for it: most payments are nobody's here."""
        if not self._waiting or message.subject.rpartition(".")[2] not in _TELLING:
            return False
        return headings_of(message).stream.decode().removeprefix(PREFIX) in self._waiting

    async def react(self, events: Sequence[StoredEvent]) -> None:
        """What payments have told."""
        for event in events:
            wake = self._waiting.get(event.stream.removeprefix(PREFIX))
            if wake is not None and event.type.rpartition(".")[2] in _TELLING:
                wake()
