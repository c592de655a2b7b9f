"""The messages as values. Dates are ISO 8601 text, times milliseconds since 1970."""

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from libs.money import Money


class MessageInvalid(Exception):
    """The bytes are no message we act on. `reason` is stable, `description` is for people."""

    def __init__(self, reason: str, description: str) -> None:
        super().__init__(f"{reason}: {description}")
        self.reason = reason
        self.description = description


@dataclass(frozen=True, slots=True)
class Item:
    """One movement asked for: the customer's account at the bank, and a positive amount."""

    uetr: UUID
    # 32 hex digits of the payment's id.
    end_to_end_id: str
    instruction_id: str
    amount: Money
    bank_account: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class CreditTransfers:
    """pain.001: we ask the bank to pay its customers from our account."""

    message_id: str
    batch_id: str
    created_ms: int
    bank_id: str
    # Our account at the bank.
    account_number: str
    execution_date: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class DirectDebits:
    """pain.008: we ask the bank to debit its customers in favour of our account."""

    message_id: str
    batch_id: str
    created_ms: int
    bank_id: str
    # Our account at the bank.
    account_number: str
    execution_date: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class TransactionStatus:
    """What the bank says of one transaction; a code it may not know is the reader's to judge."""

    uetr: UUID | None
    end_to_end_id: str
    # "ACSC", "PDNG", "RJCT", ...
    status: str
    # "AC01"; empty where none is given.
    reason: str = ""
    bank_reference: str = ""
    # The date the bank states; empty where it states none.
    value_date: str = ""
    amount: Money | None = None
    instruction_id: str = ""


@dataclass(frozen=True, slots=True)
class StatusReport:
    """pain.002: the bank's answer, at once, late, or to an inquiry."""

    message_id: str
    created_ms: int
    original_message_id: str
    # "pain.001.001.09"
    original_message_type: str
    # Status of the whole message; empty where each transaction has its own.
    group_status: str = ""
    group_reason: str = ""
    # PmtInfId of what is answered; empty stands for its message id.
    original_batch_id: str = ""
    transactions: tuple[TransactionStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class InquiryItem:
    """One transaction we ask about."""

    request_id: str
    uetr: UUID
    end_to_end_id: str
    instruction_id: str = ""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """pacs.028: we ask what became of transactions."""

    message_id: str
    created_ms: int
    original_message_id: str
    original_message_type: str
    transactions: tuple[InquiryItem, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of our account: `favour` C is a credit of it, D a debit; the amount is positive."""

    amount: Money
    favour: str
    booking_date: str
    value_date: str
    bank_reference: str
    uetr: UUID | None
    end_to_end_id: str = ""
    # BOOK, PDNG or INFO.
    status: str = "BOOK"
    is_reversal: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """camt.054: lines as they happen."""

    message_id: str
    notice_id: str
    created_ms: int
    account_number: str
    currency: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What all pages of a statement hold together: counts, and sums in minor units."""

    credits: int
    credits_minor: int
    debits: int
    debits_minor: int


@dataclass(frozen=True, slots=True)
class StatementPage:
    """camt.053: one page of a statement. Balances and summary are those of the whole statement."""

    message_id: str
    statement_id: str
    # Without gaps per account.
    number: int
    # From 1.
    page: int
    is_last: bool
    created_ms: int
    from_date: str
    to_date: str
    account_number: str
    currency: str
    # Signed: negative is overdrawn.
    opening: Money
    closing: Money
    summary: Summary
    entries: tuple[Entry, ...]
    # "COPY", "DUPL" or "CODU" on a copy, which books nothing; empty on the statement itself.
    copy_indicator: str = ""


Message: TypeAlias = (
    CreditTransfers | DirectDebits | StatusReport | Inquiry | Notice | StatementPage
)

TYPES: dict[type[Message], str] = {
    CreditTransfers: "pain.001.001.09",
    DirectDebits: "pain.008.001.09",
    StatusReport: "pain.002.001.10",
    Inquiry: "pacs.028.001.03",
    Notice: "camt.054.001.08",
    StatementPage: "camt.053.001.08",
}
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"
