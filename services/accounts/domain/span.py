"""A transfer, or a linked group of them, over any shards: what each shard writes of it.

1. The deciding shard writes the intent, under the caller's own ids (`begin`).
2. Every shard tries its part and sets the means for it aside (`reserve`): from then on no other
   entry can be in its way.
3. The deciding shard posts its own part: that is the decision (`decide_span`, on the same page). Or
   one of them has refused, and that is the decision.
4. The others post their parts with the means set aside, or let those go (`release`).
5. The deciding shard writes the end.
"""

from services.accounts.domain.book import Book, Span, balance_after
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    BeginSpan,
    DecideSpan,
    EndSpan,
    ReleasePart,
    ReservePart,
)
from services.accounts.domain.entries import (
    BalanceAfter,
    Entry,
    PartReleased,
    PartReserved,
    PostedLeg,
    SetAside,
    SpanBegun,
    SpanDecided,
    SpanEnded,
    TransferPosted,
)
from services.accounts.domain.kinds import Kind
from services.accounts.domain.of_today import of_today
from services.accounts.domain.refusals import Reason, Refused
from services.accounts.domain.terms import Digest
from services.accounts.domain.transfers import transfer
from services.accounts.domain.trial import trial_of

_NO_DIGEST = Digest(b"", b"")
# Nothing can be in the way there; and a window is closed when its account is empty.
_UNBOUNDED = frozenset({Kind.SHARD_TRANSIT, Kind.CLEARING})


def begin(command: BeginSpan, digest: Digest, caller: Caller, book: Book) -> Entry:
    fact = SpanBegun(*command[1:])
    correlation_id = command.transfer.correlation_id
    entry = of_today(fact, command.transfer_id, digest, caller, book, ())
    return entry._replace(correlation_id=correlation_id)


def reserve(command: ReservePart, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The entry that sets the means aside: as much as the part takes at any point of it.

    Raises `Refused`; the field names the move.
    """
    trial = trial_of(book)
    legs: list[PostedLeg] = []
    means: dict[str, SetAside] = {}
    for n, move in enumerate(command.moves):
        try:
            entry = transfer(move, _NO_DIGEST, caller, trial)
        except Refused as refused:
            field = f"moves[{n}].{refused.field}"
            raise Refused(refused.reason, field, refused.description) from refused
        trial.evolve(entry, n)
        if isinstance(entry.fact, TransferPosted):
            legs += entry.fact.legs
        for after in entry.balances:
            _add(means, after, book)
    fact = PartReserved(command.reservation_id, command.span_id, tuple(legs), tuple(means.values()))
    balances = _with_means(fact.means, 1, book)
    entry = of_today(fact, command.reservation_id, digest, caller, book, balances)
    return entry._replace(correlation_id=command.moves[0].correlation_id)


def _add(means: dict[str, SetAside], after: BalanceAfter, book: Book) -> None:
    account = book.accounts[after.account_id]
    if account.kind in _UNBOUNDED:
        return
    _, low, high = means.get(account.account_id, SetAside(account.account_id, 0, 0))
    moved = after.posted - account.posted
    means[account.account_id] = SetAside(account.account_id, max(low, -moved), max(high, moved))


def release(command: ReleasePart, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The means are free again. Raises `Refused`."""
    known = book.reserved.get(command.reservation_id)
    if known is None:
        raise Refused(Reason.HOLD_NOT_FOUND, "reservation_id", "nothing is set aside")
    fact = PartReleased(command.reservation_id, known.span_id)
    balances = _with_means(known.means, -1, book)
    return of_today(fact, command.request_id, digest, caller, book, balances)


def decide_span(command: DecideSpan, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The decision of a span that has none. Raises `Refused`."""
    span = _open_span(command.span_id, book)
    if span.decided is not None:
        raise Refused(Reason.IDEMPOTENCY_KEY_REUSED, "span_id", "it has been decided")
    return of_today(SpanDecided(*command[1:]), command.request_id, digest, caller, book, ())


def end_span(command: EndSpan, digest: Digest, caller: Caller, book: Book) -> Entry:
    """The end of a span that is decided. Raises `Refused`."""
    decided = _open_span(command.span_id, book).decided
    if decided is None:
        raise Refused(Reason.HOLD_NOT_FOUND, "span_id", "it is not decided yet")
    return of_today(SpanEnded(*decided), command.request_id, digest, caller, book, ())


def _open_span(span_id: str, book: Book) -> Span:
    span = book.spans.get(span_id)
    if span is None:
        raise Refused(Reason.HOLD_NOT_FOUND, "span_id", "no such transfer over shards is open")
    return span


def _with_means(means: tuple[SetAside, ...], sign: int, book: Book) -> tuple[BalanceAfter, ...]:
    balances: list[BalanceAfter] = []
    for account_id, held, incoming in means:
        account = book.accounts[account_id]
        balances.append(
            balance_after(
                account,
                account.posted,
                account.held + sign * held,
                account.incoming + sign * incoming,
            )
        )
    return tuple(balances)
