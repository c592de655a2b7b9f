"""One message of each kind, as full as we write them."""

from uuid import UUID

from libs.iso20022 import (
    CreditTransfers,
    DirectDebits,
    Entry,
    Inquiry,
    InquiryItem,
    Item,
    Message,
    Notice,
    StatementPage,
    StatusReport,
    Summary,
    TransactionStatus,
)
from libs.money import Money
from libs.two_halves import uetr_of

AT_MS = 1_894_665_600_123
DATE = "2030-01-15"
PAYMENTS = [UUID(int=(0x018F << 112) | (7 << 76) | (2 << 62) | n) for n in range(1, 4)]


def items(currency: str = "CZK") -> tuple[Item, ...]:
    return tuple(
        Item(
            uetr_of(payment, 1),
            payment.hex,
            f"INSTRUCTION-{n}",
            Money(currency, 10**n),
            f"ACCT{n}",
            "Jan Zeman",
        )
        for n, payment in enumerate(PAYMENTS)
    )


def credit_transfers(currency: str = "CZK") -> CreditTransfers:
    return CreditTransfers("a" * 32, "BATCH-1", AT_MS, "CD", "WALLET1", DATE, items(currency))


def statuses() -> tuple[TransactionStatus, ...]:
    done, refused, pending = items()
    return (
        TransactionStatus(
            done.uetr, done.end_to_end_id, "ACSC", "", "REF1", DATE, done.amount, "INSTRUCTION-0"
        ),
        TransactionStatus(
            refused.uetr, refused.end_to_end_id, "RJCT", "AC01", amount=refused.amount
        ),
        TransactionStatus(pending.uetr, pending.end_to_end_id, "PDNG"),
    )


def entries() -> tuple[Entry, ...]:
    return (
        Entry(Money("CZK", 5), "C", DATE, DATE, "REF1", items()[0].uetr, PAYMENTS[0].hex),
        Entry(Money("CZK", 70_000), "D", DATE, "2030-01-16", "REF2", None, "", "PDNG"),
        Entry(Money("CZK", 1), "D", DATE, DATE, "REF3", items()[1].uetr, is_reversal=True),
    )


def messages() -> list[Message]:
    """Every kind of message of the link."""
    return [
        credit_transfers(),
        DirectDebits("b" * 32, "BATCH-2", AT_MS, "CD", "WALLET1", DATE, items()),
        StatusReport(
            "c" * 32, AT_MS, "a" * 32, "pain.001.001.09", "PART", "", "BATCH-1", statuses()
        ),
        StatusReport("d" * 32, AT_MS, "a" * 32, "pain.001.001.09", "RJCT", "FF01"),
        Inquiry(
            "e" * 32,
            AT_MS,
            "a" * 32,
            "pain.001.001.09",
            tuple(InquiryItem(f"R{n}", i.uetr, i.end_to_end_id) for n, i in enumerate(items())),
        ),
        Notice("f" * 32, "NOTICE-1", AT_MS, "WALLET1", "CZK", entries()),
        StatementPage(
            "0" * 32,
            "CD-00000007",
            number=7,
            page=2,
            is_last=False,
            created_ms=AT_MS,
            from_date=DATE,
            to_date=DATE,
            account_number="WALLET1",
            currency="CZK",
            opening=Money("CZK", -5),
            closing=Money("CZK", 123_456_789),
            summary=Summary(1, 5, 2, 70_001),
            entries=entries(),
            copy_indicator="DUPL",
        ),
        StatementPage(
            "1" * 32,
            "CD-00000008",
            number=8,
            page=1,
            is_last=True,
            created_ms=AT_MS,
            from_date=DATE,
            to_date=DATE,
            account_number="WALLET1",
            currency="JPY",
            opening=Money("JPY", 0),
            closing=Money("JPY", 0),
            summary=Summary(0, 0, 0, 0),
            entries=(),
        ),
    ]
