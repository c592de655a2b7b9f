"""What drives payments: each step one call, and what settlement tells becomes our commands."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import structlog

from libs.clock import Clock
from libs.decider import Cause, Rejected, Streams
from libs.event_store import StoredEvent
from libs.ids import has_time
from libs.process import Recorded
from services.payments.clients import Accounts, Settlement
from services.payments.codec import commands_of
from services.payments.domain import lifecycle as life
from services.payments.domain.lifecycle import Begun, Event, Payment
from services.payments.domain.payment import (
    Action,
    BeginRefund,
    Command,
    CompleteRefund,
    GiveUpRefund,
    Record,
    Request,
    Step,
    next_step,
)
from services.payments.domain.terms import (
    Kind,
    MerchantPayment,
    Payout,
    Refund,
    Terms,
    TopUp,
    WalletTransfer,
    payer_and_payee,
)
from services.payments.limiting import Limiting
from services.payments.postings import (
    Hold,
    Move,
    Posted,
    Posting,
    Refused,
    bank_account,
    capture_of,
    legs_of,
    move_of,
    refund_shares,
    release_of,
    step_id,
    wallet_side,
)

PaymentStreams: TypeAlias = Streams[Command, Payment, Event]

# Payments told of at once.
TELL_MAX: Final = 1_000
# A stuck step is tried again after 1, 2, 4 ... minutes, at most so often.
STUCK_FIRST_MS: Final = 60_000
STUCK_TRIES_MAX: Final = 12
_ACTOR: Final = "payments"
# The caller whose payments may touch the accounts of fund distribution.
_FUNDS: Final = "funds"

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Steps:
    """Performs one step of a payment. Each posting's id derives from the payment and the step."""

    streams: PaymentStreams
    accounts: Accounts
    settlement: Settlement
    clock: Clock
    wake: Callable[[str], None]
    limits: Limiting

    async def perform(
        self, payment_id: str, payment: Payment, step: Step
    ) -> Recorded[Command] | None:
        """What to record of it; None: not known yet. Raises `Unavailable`: the same again later."""
        if isinstance(payment, life.Absent):
            raise AssertionError("what is not there has no steps")  # noqa: TRY004 - a bug of ours
        if isinstance(step, BeginRefund):
            return await self._begin_refund(payment, step.refund_id)
        fact = (
            await self._barred(payment, step)
            or await self._limited(payment, step)
            or await self._fact(payment, step)
        )
        return None if fact is None else _record(payment_id, step.name, Record(fact))

    def is_plain(self, payment: Payment, step: Step) -> bool:
        """Whether nobody is to be asked before and one posting is all of it: many go together."""
        return (
            not isinstance(payment, life.Absent)
            and isinstance(step, Action)
            and _is_one_posting(payment, step)
            and not _names_no_wallet(payment)
            and not self.limits.may_count(payment)
        )

    async def perform_each(
        self, steps: Sequence[tuple[str, Payment, Step]]
    ) -> Sequence[Recorded[Command] | Exception | None]:
        """What `perform` would answer or raise of each of these plain steps."""
        begun = [
            (payment, step)
            for _, payment, step in steps
            if isinstance(payment, Begun) and isinstance(step, Action)
        ]
        for currency in {p.terms.amount.currency for p, _ in begun if _has_fee(p.terms.kind)}:
            await self.accounts.open_fee_income(currency)
        results = await self.accounts.post_each([_posting_of(*each) for each in begun])
        return [
            result
            if isinstance(result, Exception)
            else _record(payment.payment_id, step.name, Record(_fact_of(step, result)))
            for (payment, step), result in zip(begun, results, strict=True)
        ]

    async def _barred(self, payment: Begun, step: Action) -> life.Failed | None:
        """Only funds may name what is not a wallet: the journal lets us move all of these.

        Accounts that are no wallets are known by their names: their ids have no time in them. What
        else may be wrong the journal says; a kind never changes, so the answer never does.
        """
        if step not in (Action.PLACE_HOLD, Action.MOVE) or not _names_no_wallet(payment):
            return None
        for account_id in payer_and_payee(payment.terms.kind):
            if account_id and not has_time(account_id):
                refused = await self.accounts.check_wallet(
                    account_id, payment.terms.amount.currency
                )
                if refused is not None and refused.reason == "ROUTE_NOT_ALLOWED":
                    return life.Failed(refused.reason, refused.description)
        return None

    async def _limited(self, payment: Begun, step: Action) -> life.Failed | None:
        """Before any money moves; asked again, the limits answer as they did."""
        if step not in (Action.PLACE_HOLD, Action.MOVE, Action.REQUEST_PULL):
            return None
        return await self.limits.reserve(payment)

    async def _fact(self, payment: Begun, action: Action) -> life.Fact | None:
        kind = payment.terms.kind
        match action, kind:
            case Action.MOVE, WalletTransfer() | MerchantPayment() | Refund():
                return await self._move(payment, kind)
            case Action.REQUEST_PULL, TopUp():
                return await self._request_pull(payment, kind)
            case Action.CREDIT_WALLET, TopUp():
                return await self._credit_wallet(payment, kind)
            case Action.PLACE_HOLD, Payout():
                return _fact_of(action, await self.accounts.post(_posting_of(payment, action)))
            case Action.ENTER_WINDOW, Payout():
                return await self._enter_window(payment, kind)
            case Action.RELEASE_HOLD, Payout():
                return await self._release_hold(payment, kind)
            case Action.GIVE_BACK, Payout():
                return await self._give_back(payment, kind)
        raise AssertionError(f"{action.name} is no step of {kind}")

    async def _enter_window(self, payment: Begun, kind: Payout) -> life.Fact:
        match await self.accounts.post(capture_of(payment, kind)):
            case Posted(position, window_id):
                return life.EnteredWindow(window_id, position)
            case Refused(reason, description):
                refusal = life.Failed(reason, description)
        if payment.stage is not life.Stage.HELD:
            raise AssertionError(f"the bank has decided what was never captured: {refusal.reason}")
        # It will never enter: what is held goes back, then it has come to nothing.
        match await self.accounts.post(release_of(payment)):
            case Posted() | Refused("HOLD_RELEASED" | "HOLD_EXPIRED" | "HOLD_NOT_FOUND"):
                return refusal
            case Refused() as other:
                raise AssertionError(f"neither captured ({refusal.reason}) nor released: {other}")

    async def _release_hold(self, payment: Begun, kind: Payout) -> life.Fact:
        match await self.accounts.post(release_of(payment)):
            case Posted() | Refused("HOLD_RELEASED" | "HOLD_EXPIRED"):
                return life.Cancelled()
            case Refused("HOLD_CAPTURED"):
                # The journal was faster with the capture: it has gone out, and is not cancelled.
                return await self._enter_window(payment, kind)
            case Refused() as other:
                raise AssertionError(f"a hold of ours is not released: {other}")

    async def _give_back(self, payment: Begun, kind: Payout) -> life.Fact | None:
        if payment.refusal is None:
            raise AssertionError("nothing is given back before the bank refused")
        done = await self._insist(
            payment,
            lambda ordinal: wallet_side(
                payment,
                "give_back",
                ordinal,
                debit=bank_account(kind.bank_id, "IN_TRANSIT_OUT", payment),
                credit=kind.wallet_account_id,
            ),
        )
        match done:
            case Posted():
                return life.Failed(payment.refusal.reason, payment.refusal.description)
            case Refused(reason, description):
                return self._stuck(Action.GIVE_BACK, reason, description)
        return None

    async def _request_pull(self, payment: Begun, kind: TopUp) -> life.Fact:
        amount = payment.terms.amount
        # Before the bank is asked: money that cannot be credited should not be taken.
        refused = await self.accounts.check_wallet(
            kind.wallet_account_id, amount.currency, is_of_funds=payment.caller == _FUNDS
        )
        refused = refused or await self.settlement.pull(
            payment.payment_id, kind.bank_id, kind.bank_account, amount
        )
        return life.Failed(refused.reason, refused.description) if refused else life.PullRequested()

    async def _credit_wallet(self, payment: Begun, kind: TopUp) -> life.Fact | None:
        done = await self._insist(
            payment,
            lambda ordinal: wallet_side(
                payment,
                "credit",
                ordinal,
                debit=bank_account(kind.bank_id, "IN_TRANSIT_IN", payment),
                credit=kind.wallet_account_id,
                in_our_favour_of=kind.bank_id,
            ),
        )
        match done:
            case Posted(position, window_id):
                return life.Completed(window_id, position)
            case Refused(reason, description):
                return self._stuck(Action.CREDIT_WALLET, reason, description)
        return None

    async def _insist(
        self, payment: Begun, posting: Callable[[int], Move]
    ) -> Posted | Refused | None:
        """Post what the bank has stated; a refusal uses its id up, so each try has its own.

        The fact key keeps it to one posting. None: the next try is not due yet.
        """
        tries = 1 if payment.stuck is None else self._tries_due(payment.stuck.since_ms)
        done: Posted | Refused | None = None
        for ordinal in range(tries):
            done = await self.accounts.post(posting(ordinal))
            if isinstance(done, Posted):
                return done
        return done if payment.stuck is None else None

    def _tries_due(self, since_ms: int) -> int:
        waited_ms = self.clock() // 1_000 - since_ms
        doublings = (waited_ms // STUCK_FIRST_MS + 1).bit_length() - 1
        return 0 if doublings <= 0 else 1 + min(doublings, STUCK_TRIES_MAX)

    def _stuck(self, action: Action, reason: str, description: str) -> life.Stuck:
        logger.error("payment_stuck", step=action.name, reason=reason)
        return life.Stuck(action.name, reason, description, self.clock() // 1_000)

    async def _move(
        self, payment: Begun, kind: WalletTransfer | MerchantPayment | Refund
    ) -> life.Fact:
        if isinstance(kind, Refund):
            return await self._move_back(payment, kind)
        if _has_fee(kind):
            await self.accounts.open_fee_income(payment.terms.amount.currency)
        return _fact_of(Action.MOVE, await self.accounts.post(_posting_of(payment, Action.MOVE)))

    async def _move_back(self, refund: Begun, kind: Refund) -> life.Fact:
        """Post the refund, then tell the original, then record: each can be done again."""
        original_id = kind.original_payment_id
        original = (await self.streams.load(original_id)).state
        part = (
            None if isinstance(original, life.Absent) else life.part_of(original, refund.payment_id)
        )
        if part is None or isinstance(original, life.Absent):
            raise AssertionError("a refund is requested after its part is reserved")
        payer, *payees = refund_shares(original, part.merchant_minor, part.fee_minor)
        move = move_of(refund, debits=tuple(payees), credits_=(payer,))
        done = await self.accounts.post(move)
        if isinstance(done, Posted):
            ended: Command = CompleteRefund(refund.payment_id)
            fact: life.Fact = life.Completed(done.window_id, done.position)
        else:
            reason = _refund_reason(done.reason, original)
            ended = GiveUpRefund(refund.payment_id, reason)
            fact = life.Failed(reason, done.description)
        await self.streams.transact(
            original_id, ended, _cause(original_id, f"{refund.payment_id}/end")
        )
        if isinstance(done, Posted):
            await self.limits.restore(original, refund.payment_id, part.amount_minor)
        return fact

    async def _begin_refund(self, original: Begun, refund_id: str) -> Recorded[Command] | None:
        """Ask for a refund whose part is reserved; from then on it drives itself."""
        part = life.part_of(original, refund_id)
        if part is None:
            raise AssertionError("only a reserved refund is begun")
        request = refund_request(original, refund_id)
        try:
            done = await self.streams.transact(
                refund_id, request, _cause(refund_id, "REQUEST", original.caller)
            )
        except Rejected as rejected:
            give_up = GiveUpRefund(refund_id, rejected.reason.name)
            return _record(original.payment_id, f"{refund_id}/end", give_up)
        if next_step(done.state) is not None:
            self.wake(refund_id)
        return None


@dataclass(frozen=True, slots=True)
class Hearing:
    """Settlement's facts, told to the payments they are about."""

    streams: PaymentStreams
    wake: Callable[[str], None]

    async def react(self, events: Sequence[StoredEvent]) -> None:
        """Tell each payment, in order; again is harmless. Raises where the store is not there."""
        told: dict[str, list[tuple[Command, StoredEvent]]] = defaultdict(list)
        for event in events:
            for payment_id, command in commands_of(event):
                told[payment_id].append((command, event))
        payments = list(told.items())
        for start in range(0, len(payments), TELL_MAX):
            async with asyncio.TaskGroup() as group:
                for payment_id, commands in payments[start : start + TELL_MAX]:
                    group.create_task(self._tell(payment_id, commands))

    async def _tell(self, payment_id: str, commands: Sequence[tuple[Command, StoredEvent]]) -> None:
        for command, event in commands:
            cause = Cause(
                f"{event.id}/{payment_id}",
                correlation_id=payment_id,
                causation_id=str(event.id),
                actor="settlement",
            )
            try:
                done = await self.streams.record(payment_id, command, cause)
            except Rejected as rejected:
                # Final states never change: a person must look, and what is recorded stands.
                logger.critical(
                    "fact_refused",
                    payment_id=payment_id,
                    reason=f"{rejected.reason.name}: {rejected.description}",
                    event_id=str(event.id),
                    event_type=event.type,
                )
                continue
            if next_step(done.state) is not None:
                self.wake(payment_id)


def refund_request(original: Begun, refund_id: str) -> Request:
    """The refund as a payment of its own, from the part that was reserved for it."""
    part = life.part_of(original, refund_id)
    if part is None:
        raise AssertionError("only a reserved refund is requested")
    amount = replace(original.terms.amount, minor=part.amount_minor)
    terms = Terms(amount, Refund(original.payment_id), part.note)
    return Request(refund_id, terms, original.caller, part.request_ms)


def _is_one_posting(payment: Begun, action: Action) -> bool:
    match action, payment.terms.kind:
        case (Action.MOVE, WalletTransfer() | MerchantPayment()) | (Action.PLACE_HOLD, Payout()):
            return True
        case _:
            return False


def _posting_of(payment: Begun, action: Action) -> Posting:
    """What the step asks of the journal, where that is all it does."""
    terms = payment.terms
    match action, terms.kind:
        case Action.MOVE, (WalletTransfer() | MerchantPayment()) as kind:
            legs = legs_of(kind, terms.amount.minor, terms.amount.currency)
            return move_of(payment, debits=legs[:1], credits_=legs[1:])
        case Action.PLACE_HOLD, Payout(wallet):
            return Hold(step_id(payment, "hold"), wallet, terms.amount, payment.payment_id)
    raise AssertionError(f"{action.name} is more than a posting of {terms.kind}")


def _fact_of(action: Action, result: Posted | Refused) -> life.Fact:
    match result:
        case Posted(position, window_id):
            is_hold = action is Action.PLACE_HOLD
            return life.FundsHeld(position) if is_hold else life.Completed(window_id, position)
        case Refused(reason, description):
            return life.Failed(reason, description)


def _has_fee(kind: Kind) -> bool:
    return isinstance(kind, MerchantPayment) and kind.fee_minor > 0


def _names_no_wallet(payment: Begun) -> bool:
    """Whether others than funds name an account that is known by its name: it may be no wallet."""
    accounts = payer_and_payee(payment.terms.kind)
    return payment.caller != _FUNDS and any(each and not has_time(each) for each in accounts)


def _refund_reason(reason: str, original: Begun) -> str:
    is_merchant = isinstance(original.terms.kind, MerchantPayment)
    if is_merchant and reason == "BALANCE_TOO_LOW":
        return "MERCHANT_BALANCE_TOO_LOW"
    return reason


def _record(payment_id: str, step: str, command: Command) -> Recorded[Command]:
    return Recorded(command, _cause(payment_id, step))


def _cause(payment_id: str, step: str, actor: str = _ACTOR) -> Cause:
    return Cause(f"{payment_id}/{step}", correlation_id=payment_id, actor=actor)
