"""What happens to a message of the wallet: one transaction of the books, and what is said of it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, insert, select

from libs.iso20022 import CreditTransfers, DirectDebits, Inquiry, Message, build
from services.samplebank import books
from services.samplebank.domain.behaviours import Behaviour, Script
from services.samplebank.domain.orders import (
    DONE,
    NO_SUCH_ACCOUNT,
    PAYOUT,
    PENDING,
    PULL,
    Account,
    Order,
    execute,
    foreign,
    not_found,
    told,
)
from services.samplebank.messages import Original, id_of, notice, orders_in, report
from services.samplebank.outbox import send_later
from services.samplebank.schema import messages

LATE_MS = 3_000
OUT_OF_ORDER_MS = 500
ACCEPTED = "ACSP"
# What is left of the reply where the wallet gets none.
_UNANSWERED = frozenset(
    {
        Behaviour.LOST_REPLY,
        Behaviour.ERROR_500,
        Behaviour.REFUSE_CONNECTION,
        Behaviour.NOT_FOUND_THEN_FOUND,
    }
)


class MessageIdReused(Exception):
    """The message id was used for other bytes."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A message as it came, read."""

    message_type: str
    body: bytes
    message: CreditTransfers | DirectDebits | Inquiry


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply, and what is to happen to it on its way."""

    message_type: str
    body: bytes
    behaviour: Behaviour | None = None

    @property
    def is_lost(self) -> bool:
        """Whether no reply arrives."""
        return self.behaviour in _UNANSWERED


@dataclass(frozen=True, slots=True)
class Bank:
    """The bank: the terms of the wallet's account, and how it behaves."""

    terms: Account
    script: Script

    def answer(self, connection: Connection, submission: Submission, now_ms: int) -> Answer:
        """Answers a message and writes what it changes. Raises `MessageIdReused`."""
        message_id = submission.message.message_id
        row = (
            connection.execute(select(messages).where(messages.c.message_id == message_id))
            .mappings()
            .one_or_none()
        )
        if row is not None:
            if row["sha256"] != hashlib.sha256(submission.body).digest():
                raise MessageIdReused(message_id)
            return Answer(row["reply_type"], row["reply"])
        if isinstance(submission.message, Inquiry):
            return self._inquire(connection, submission, submission.message, now_ms)
        return self._execute(connection, submission, submission.message, now_ms)

    def _execute(
        self,
        connection: Connection,
        submission: Submission,
        message: CreditTransfers | DirectDebits,
        now_ms: int,
    ) -> Answer:
        behaviour = self._next(connection, message)
        if not self.script.is_executed(behaviour, message.message_id):
            return Answer("", b"", behaviour)
        asked = orders_in(message)
        known = books.orders_of(connection, [order.uetr for order in asked])
        account = books.account_of(connection, self.terms)
        is_late = behaviour is Behaviour.LATE_CONFIRM
        result = execute(
            asked,
            known,
            account,
            self.script.knows,
            now_ms=now_ms,
            confirmed_ms=now_ms + LATE_MS if is_late else now_ms,
        )
        books.add_orders(connection, result.added, result.balance_minor)
        for order in result.added:
            if order.reason == NO_SUCH_ACCOUNT:
                books.occurred(connection, Behaviour.UNKNOWN_PAYEE, str(order.uetr))
        original = Original(message.message_id, submission.message_type, message.batch_id)
        self._tell_beside(connection, behaviour, original, account, result.answered, now_ms)
        reply = self._reply(behaviour, original, result.answered, now_ms)
        return self._keep(connection, submission, reply, behaviour)

    def _reply(
        self,
        behaviour: Behaviour | None,
        original: Original,
        orders: Sequence[Order],
        now_ms: int,
    ) -> Message:
        said = [told(order, now_ms) for order in orders]
        group_status = ""
        if behaviour is Behaviour.PARTIAL_BATCH:
            said, group_status = said[: len(said) // 2], "PART"
        if behaviour is Behaviour.FOREIGN_REFERENCE:
            original = replace(original, message_id=id_of("foreign", original.message_id))
            said = [foreign(order) for order in said]
        return report(original, said, now_ms, purpose="reply", group_status=group_status)

    def _tell_beside(
        self,
        connection: Connection,
        behaviour: Behaviour | None,
        original: Original,
        account: Account,
        orders: Sequence[Order],
        now_ms: int,
    ) -> None:
        done = [order for order in orders if order.status == DONE]
        is_payout = orders[0].kind == PAYOUT
        if behaviour is Behaviour.LATE_CONFIRM:
            due_ms = now_ms + LATE_MS
            send_later(connection, report(original, orders, due_ms, purpose="late"), due_ms)
            if done:
                send_later(connection, notice(account, done, due_ms, purpose="late"), due_ms)
        if behaviour is not None or not done or not is_payout:
            return
        if self._once(connection, Behaviour.DUPLICATE_CONFIRM, original.message_id):
            told_twice = notice(account, done, now_ms, purpose="booked")
            for _ in range(self.script.duplicates):
                send_later(connection, told_twice, now_ms)
        elif self._once(connection, Behaviour.OUT_OF_ORDER, original.message_id):
            for ordinal, status in enumerate((ACCEPTED, PENDING), 1):
                due_ms = now_ms + ordinal * OUT_OF_ORDER_MS
                before = [replace(order, status=status, value_date="") for order in done]
                send_later(connection, report(original, before, due_ms, purpose=status), due_ms)

    def _inquire(
        self, connection: Connection, submission: Submission, inquiry: Inquiry, now_ms: int
    ) -> Answer:
        known = books.orders_of(connection, [item.uetr for item in inquiry.transactions])
        hidden = self._hidden(connection, {order.message_id for order in known.values()})
        said = []
        for item in inquiry.transactions:
            order = known.get(item.uetr)
            if order is None or order.message_id in hidden:
                said.append(not_found(item.uetr, item.end_to_end_id))
            else:
                said.append(told(order, now_ms))
        original = Original(inquiry.original_message_id, inquiry.original_message_type)
        reply = report(original, said, now_ms, purpose=f"inquiry {inquiry.message_id}")
        return self._keep(connection, submission, reply, None)

    def _hidden(self, connection: Connection, message_ids: set[str]) -> set[str]:
        """Messages that the bank does not find at the first inquiry about them."""
        behaviour = Behaviour.NOT_FOUND_THEN_FOUND
        rows = connection.execute(
            select(messages.c.message_id).where(
                messages.c.message_id.in_(message_ids) & (messages.c.behaviour == behaviour.value)
            )
        ).scalars()
        return {
            message_id
            for message_id in rows.all()
            if books.occurred(connection, behaviour, f"{books.FOLLOWS}{message_id}")
        }

    def _next(
        self, connection: Connection, message: CreditTransfers | DirectDebits
    ) -> Behaviour | None:
        kind = PAYOUT if isinstance(message, CreditTransfers) else PULL
        for behaviour in self.script.planned(kind):
            if books.times(connection, behaviour) == 0:
                books.occurred(connection, behaviour, message.message_id)
                return behaviour
        return None

    def _once(self, connection: Connection, behaviour: Behaviour, subject: str) -> bool:
        if behaviour not in self.script.beside or books.times(connection, behaviour):
            return False
        return books.occurred(connection, behaviour, subject)

    def _keep(
        self,
        connection: Connection,
        submission: Submission,
        reply: Message,
        behaviour: Behaviour | None,
    ) -> Answer:
        reply_type, body = build(reply)
        connection.execute(
            insert(messages).values(
                message_id=submission.message.message_id,
                message_type=submission.message_type,
                sha256=hashlib.sha256(submission.body).digest(),
                behaviour=behaviour.value if behaviour else "",
                reply_type=reply_type,
                reply=body,
            )
        )
        return Answer(reply_type, body, behaviour)
