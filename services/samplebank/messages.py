"""ISO 20022 messages to the bank's values, and its values to the messages it sends."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from libs.iso20022 import (
    CreditTransfers,
    DirectDebits,
    Entry,
    Notice,
    StatementPage,
    StatusReport,
    Summary,
    TransactionStatus,
)
from libs.money import Money
from services.samplebank.domain.orders import DONE, NOT_FOUND, PAYOUT, PULL, Account, Order

LINES_PER_PAGE = 250


@dataclass(frozen=True, slots=True)
class Original:
    """The message that a report answers for."""

    message_id: str
    message_type: str
    batch_id: str = ""


def orders_in(message: CreditTransfers | DirectDebits) -> list[Order]:
    """The orders that a message carries."""
    kind = PAYOUT if isinstance(message, CreditTransfers) else PULL
    return [
        Order(
            uetr=item.uetr,
            kind=kind,
            end_to_end_id=item.end_to_end_id,
            instruction_id=item.instruction_id,
            amount=item.amount,
            bank_account=item.bank_account,
            message_id=message.message_id,
            value_date=message.execution_date,
        )
        for item in message.items
    ]


def report(
    original: Original,
    orders: Sequence[Order],
    now_ms: int,
    *,
    purpose: str,
    group_status: str = "",
) -> StatusReport:
    """A pain.002 about orders. Its id follows from what it answers, so it is the same again."""
    return StatusReport(
        message_id=id_of("report", purpose, original.message_id),
        created_ms=now_ms,
        original_message_id=original.message_id,
        original_message_type=original.message_type,
        group_status=group_status,
        original_batch_id=original.batch_id,
        transactions=tuple(
            TransactionStatus(
                uetr=order.uetr,
                end_to_end_id=order.end_to_end_id,
                status=order.status,
                reason=order.reason,
                bank_reference=order.bank_reference,
                value_date=order.value_date,
                amount=None if order.reason == NOT_FOUND else order.amount,
                instruction_id=order.instruction_id,
            )
            for order in orders
        ),
    )


def notice(account: Account, orders: Sequence[Order], now_ms: int, *, purpose: str) -> Notice:
    """A camt.054 about what was booked of one message."""
    name = id_of("notice", purpose, orders[0].message_id)
    return Notice(
        message_id=name,
        notice_id=name,
        created_ms=now_ms,
        account_number=account.number,
        currency=account.currency,
        entries=tuple(
            Entry(
                amount=order.amount,
                favour=order.favour,
                booking_date=order.value_date,
                value_date=order.value_date,
                bank_reference=order.bank_reference,
                uetr=order.uetr,
                end_to_end_id=order.end_to_end_id,
            )
            for order in orders
            if order.status == DONE
        ),
    )


@dataclass(frozen=True, slots=True)
class Statement:
    """A day of the wallet's account: balances in minor units and the lines between them."""

    number: int
    business_date: str
    opening_minor: int
    entries: tuple[Entry, ...]

    @property
    def summary(self) -> Summary:
        """Counts and sums of all lines."""
        credits_ = [entry.amount.minor for entry in self.entries if entry.favour == "C"]
        debits = [entry.amount.minor for entry in self.entries if entry.favour == "D"]
        return Summary(len(credits_), sum(credits_), len(debits), sum(debits))

    @property
    def closing_minor(self) -> int:
        """Opening and all lines."""
        summary = self.summary
        return self.opening_minor + summary.credits_minor - summary.debits_minor


def pages_of(statement: Statement, account: Account, now_ms: int) -> list[StatementPage]:
    """The camt.053 pages of a statement; a day without lines has one page too."""
    count = max(1, -(-len(statement.entries) // LINES_PER_PAGE))
    name = f"{account.bank_id}-{statement.number:08d}"
    summary = statement.summary
    return [
        StatementPage(
            message_id=id_of("statement", account.bank_id, account.number, name, str(page)),
            statement_id=name,
            number=statement.number,
            page=page,
            is_last=page == count,
            created_ms=now_ms,
            from_date=statement.business_date,
            to_date=statement.business_date,
            account_number=account.number,
            currency=account.currency,
            opening=Money(account.currency, statement.opening_minor),
            closing=Money(account.currency, statement.closing_minor),
            summary=summary,
            entries=statement.entries[(page - 1) * LINES_PER_PAGE : page * LINES_PER_PAGE],
        )
        for page in range(1, count + 1)
    ]


def id_of(*parts: str) -> str:
    """A message id of 32 hex digits that follows from what the message is about."""
    return hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:32]
