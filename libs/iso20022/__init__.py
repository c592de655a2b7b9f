"""ISO 20022 messages of the bank link as values: `build` writes, `parse` reads hostile bytes."""

from libs.iso20022.building import build
from libs.iso20022.messages import (
    CreditTransfers,
    DirectDebits,
    Entry,
    Inquiry,
    InquiryItem,
    Item,
    Message,
    MessageInvalid,
    Notice,
    StatementPage,
    StatusReport,
    Summary,
    TransactionStatus,
)
from libs.iso20022.parsing import parse

__all__ = [
    "CreditTransfers",
    "DirectDebits",
    "Entry",
    "Inquiry",
    "InquiryItem",
    "Item",
    "Message",
    "MessageInvalid",
    "Notice",
    "StatementPage",
    "StatusReport",
    "Summary",
    "TransactionStatus",
    "build",
    "parse",
]
