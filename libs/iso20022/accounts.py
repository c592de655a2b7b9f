"""What banks say of an account: notices, and statements page by page."""

from collections.abc import Iterable

from libs.iso20022.elements import (
    account,
    group_header,
    in_major,
    money,
    reference,
    time,
    where,
)
from libs.iso20022.messages import Entry, Notice, StatementPage
from libs.money import Money
from libs.xml import amount, leaf, node


def notice(message: Notice) -> str:
    """camt.054."""
    return node(
        "BkToCstmrDbtCdtNtfctn",
        group_header(message),
        node(
            "Ntfctn",
            leaf("Id", reference(message.notice_id)),
            leaf("CreDtTm", time(message.created_ms)),
            account("Acct", message.account_number, message.currency),
            *(_entry(entry) for entry in message.entries),
        ),
    )


def statement_page(message: StatementPage) -> str:
    """camt.053."""
    summary = message.summary
    net = summary.credits_minor - summary.debits_minor
    count = summary.credits + summary.debits
    gross = summary.credits_minor + summary.debits_minor
    currency = message.currency
    return node(
        "BkToCstmrStmt",
        group_header(message),
        node(
            "Stmt",
            leaf("Id", reference(message.statement_id)),
            node(
                "StmtPgntn",
                leaf("PgNb", str(message.page)),
                leaf("LastPgInd", "true" if message.is_last else "false"),
            ),
            leaf("ElctrncSeqNb", str(message.number)),
            leaf("CreDtTm", time(message.created_ms)),
            node(
                "FrToDt",
                leaf("FrDtTm", f"{message.from_date}T00:00:00Z"),
                leaf("ToDtTm", f"{message.to_date}T23:59:59Z"),
            ),
            where(message.copy_indicator, lambda text: leaf("CpyDplctInd", text)),
            account("Acct", message.account_number, currency),
            _balance("OPBD", message.opening, message.from_date),
            _balance("CLBD", message.closing, message.to_date),
            node(
                "TxsSummry",
                node(
                    "TtlNtries",
                    *_count_and_sum(count, gross, currency),
                    node("TtlNetNtry", leaf("Amt", in_major(abs(net), currency)), _indicator(net)),
                ),
                node(
                    "TtlCdtNtries",
                    *_count_and_sum(summary.credits, summary.credits_minor, currency),
                ),
                node(
                    "TtlDbtNtries", *_count_and_sum(summary.debits, summary.debits_minor, currency)
                ),
            ),
            *(_entry(entry) for entry in message.entries),
        ),
    )


def _entry(entry: Entry) -> str:
    references = where(
        entry.end_to_end_id, lambda text: leaf("EndToEndId", reference(text))
    ) + where(entry.uetr, lambda uetr: leaf("UETR", str(uetr)))
    return node(
        "Ntry",
        money("Amt", entry.amount),
        leaf("CdtDbtInd", "CRDT" if entry.favour == "C" else "DBIT"),
        "<RvslInd>true</RvslInd>" if entry.is_reversal else "",
        node("Sts", leaf("Cd", entry.status)),
        node("BookgDt", leaf("Dt", entry.booking_date)),
        node("ValDt", leaf("Dt", entry.value_date)),
        leaf("AcctSvcrRef", reference(entry.bank_reference)),
        node("BkTxCd", node("Prtry", leaf("Cd", "TRF"))),
        where(references, lambda parts: node("NtryDtls", node("TxDtls", node("Refs", parts)))),
    )


def _balance(code: str, value: Money, date: str) -> str:
    return node(
        "Bal",
        node("Tp", node("CdOrPrtry", leaf("Cd", code))),
        amount("Amt", in_major(abs(value.minor), value.currency), value.currency),
        _indicator(value.minor),
        node("Dt", leaf("Dt", date)),
    )


def _count_and_sum(count: int, minor: int, currency: str) -> Iterable[str]:
    return leaf("NbOfNtries", str(count)), leaf("Sum", in_major(minor, currency))


def _indicator(minor: int) -> str:
    return leaf("CdtDbtInd", "CRDT" if minor >= 0 else "DBIT")
