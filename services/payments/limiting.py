"""Limits at work: reserved before a payment moves money, and settled once it has come to an end.

What has no limits costs nothing: scopes that have any are known in memory.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import structlog

from libs.cancelling import heed_cancellation
from libs.clock import Clock
from libs.decider import Cause, Contended, Rejected, Streams
from libs.projection import Behind, Projection
from libs.read_model import Database
from libs.transient import is_transient
from services.payments import limits_rows
from services.payments.domain import limits as d
from services.payments.domain.lifecycle import Begun, Failed, Payment
from services.payments.domain.limit_keeping import due
from services.payments.domain.terms import (
    KIND_NAMES,
    MerchantPayment,
    Refund,
    TopUp,
    payer_and_payee,
)
from services.payments.limits_rows import OpenReservation, ScopeRow
from services.payments.limits_snapshots import LimitsSnapshots

LimitStreams: TypeAlias = Streams[d.Command, d.Scope, d.Event]

# A limit that has not answered by then is not known.
ANSWER_S: Final = 2.0
_ACTOR: Final = "payments"

logger = structlog.get_logger()


@dataclass
class Limiting:
    """`today` asks the journal for its business date; `payment_of` loads a payment."""

    streams: LimitStreams
    database: Database
    projection: Projection
    clock: Clock
    today: Callable[[str], Awaitable[str]]
    payment_of: Callable[[str], Awaitable[Payment]]
    snapshots: LimitsSnapshots
    watch_every_s: float = 2.0
    _scopes: dict[str, ScopeRow] = field(default_factory=dict, repr=False)
    _is_known: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def run(self) -> None:
        """For ever: learn which scopes have limits, and settle reservations of ended payments."""
        while True:
            heed_cancellation()
            try:
                if not self._is_known.is_set():
                    await self.projection.wait_for(await self.streams.store.head())
                for row in await self.database.read(limits_rows.all_scopes):
                    self._scopes.setdefault(row.scope, row)
                self._is_known.set()
                await self.settle()
            except Exception as error:
                if not (isinstance(error, Behind) or is_transient(error)):
                    raise
                logger.warning("limits_watch_failed", reason=str(error))
            await asyncio.sleep(self.watch_every_s)

    async def ready(self) -> None:
        """Return once it is known which scopes have limits; payments wait for that too."""
        await self._is_known.wait()

    async def set_limits(self, scope: str, command: d.SetLimits, actor: str) -> int:
        """Replace a scope's limits; the position. Raises `Rejected`."""
        cause = Cause(f"{scope}/set/{self.clock()}", correlation_id=scope, actor=actor)
        done = await self.streams.transact(scope, command, cause)
        row = ScopeRow(scope, done.state.limits, frozenset(done.state.accounts))
        self._scopes[scope] = row
        return done.position

    async def reserve(self, payment: Begun) -> Failed | None:
        """Reserve in every scope that counts it, or in none: then why it came to nothing."""
        await self.ready()
        rows = self._rows_of(payment)
        if not rows:
            return None
        amount, kind = payment.terms.amount, KIND_NAMES[type(payment.terms.kind)]
        today = await self.today(_account_of(payment))
        reserve = d.Reserve(
            payment.payment_id, kind, amount.currency, amount.minor, today, self.clock() // 1_000
        )
        for n, row in enumerate(rows):
            said_no = await self._reserve(row, reserve)
            if said_no is not None:
                for earlier in rows[:n]:
                    await self._tell(earlier.scope, d.Release(payment.payment_id, "DENIED"))
                return said_no
        return None

    def may_count(self, payment: Begun) -> bool:
        """Whether a limit may have something to say of it; false: surely none has."""
        return not self._is_known.is_set() or bool(self._rows_of(payment))

    async def restore(self, original: Begun, refund_id: str, minor: int) -> None:
        """Give a refunded amount back to the limits that say so. Raises `StoreUnavailable`."""
        for row in self._rows_of(original):
            if any(limit.restore_on_refund for limit in row.limits):
                whole = original.terms.amount.minor
                with suppress(Rejected):  # it reserved nothing here: the limit came later
                    await self._tell(row.scope, d.Confirm(original.payment_id, whole))
                    await self._tell(row.scope, d.Restore(original.payment_id, refund_id, minor))

    async def settle(self) -> None:
        """Confirm or give back what is reserved by payments that have come to an end."""
        now_ms = self.clock() // 1_000
        for each in await self.database.read(limits_rows.open_reservations):
            await self._settle(each, now_ms)

    async def _settle(self, each: OpenReservation, now_ms: int) -> None:
        payment = await self.payment_of(each.payment_id)
        command = due(each.payment_id, each.made_ms, payment, now_ms)
        if command is None:
            return
        try:
            await self._tell(each.scope, command)
        except Rejected as rejected:
            # It stays open and is looked at again: a person must see why.
            logger.warning(
                "reservation_not_settled",
                stream=f"limit-{each.scope}",
                payment_id=each.payment_id,
                reason=rejected.reason.name,
            )

    async def _reserve(self, row: ScopeRow, reserve: d.Reserve) -> Failed | None:
        try:
            async with asyncio.timeout(ANSWER_S):
                scope = await self._tell(row.scope, reserve)
        except Contended as error:
            return _unknown(row, reserve, error)
        except Exception as error:
            if not is_transient(error):
                raise
            return _unknown(row, reserve, error)
        denied = scope.denied.get(reserve.payment_id)
        return None if denied is None else Failed("LIMIT_DENIED", _description(row.scope, denied))

    async def _tell(
        self, scope: str, command: d.Reserve | d.Confirm | d.Release | d.Restore
    ) -> d.Scope:
        step = type(command).__name__
        key = f"{command.payment_id}/{step}/{getattr(command, 'refund_id', '')}"
        cause = Cause(key, correlation_id=command.payment_id, actor=_ACTOR)
        done = await self.streams.transact(scope, command, cause)
        await self.snapshots.offer(scope, done.state, done.revision, len(done.events))
        return done.state

    def _rows_of(self, payment: Begun) -> list[ScopeRow]:
        """Scopes with limits that count this payment, in one order for all payments."""
        if not self._scopes or isinstance(payment.terms.kind, Refund):
            return []
        account_id = _account_of(payment)
        names = {f"account/{account_id}", f"tenant/{payment.caller}"}
        if isinstance(payment.terms.kind, MerchantPayment):
            names.add(f"merchant/{payment.terms.kind.merchant_account_id}")
        rows = [
            row
            for name, row in self._scopes.items()
            if row.limits and (name in names or account_id in row.accounts)
        ]
        return sorted(rows, key=lambda row: row.scope)


def _account_of(payment: Begun) -> str:
    payer, payee = payer_and_payee(payment.terms.kind)
    return payee if isinstance(payment.terms.kind, TopUp) else payer


def _unknown(row: ScopeRow, reserve: d.Reserve, error: BaseException) -> Failed | None:
    """What the posture says where the state of the limits is not known."""
    logger.warning("limit_not_known", stream=f"limit-{row.scope}", reason=str(error))
    is_closed = any(
        limit.mode is d.Mode.ENFORCE and limit.posture is d.Posture.CLOSED
        for limit in _applying(row.limits, reserve)
    )
    text = f"{row.scope}: the state of its limits is not known"
    return Failed("LIMIT_DENIED", text) if is_closed else None


def _applying(limits: Iterable[d.Limit], reserve: d.Reserve) -> list[d.Limit]:
    return [each for each in limits if d.applies_to(each, reserve.kind, reserve.currency)]


def _description(scope: str, denied: d.Denied) -> str:
    left = [
        f"{value} {unit}"
        for value, unit in ((denied.left_minor, "minor units"), (denied.left_count, "payments"))
        if value >= 0
    ]
    return f"{scope}, limit {denied.limit}: {' and '.join(left)} left"
