"""Messages to bytes: from typed fields only, escaped, in the characters banks take."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import singledispatch
from typing import TypeVar

from libs.iso20022.messages import (
    NAMESPACE,
    TYPES,
    CreditTransfers,
    DirectDebits,
    Entry,
    Inquiry,
    Item,
    Message,
    MessageInvalid,
    Notice,
    StatementPage,
    StatusReport,
    TransactionStatus,
)
from libs.iso20022.schemas import schema_of
from libs.money import MINOR_MAX, CurrencyUnknown, Money, major
from libs.xml import MESSAGE_BYTES_MAX, XmlRefused, amount, document, leaf, node

T = TypeVar("T")

NAME_MAX = 70
OUR_NAME = "HEFU"
_ID = re.compile(r"[A-Za-z0-9/?:().,'+ -]{1,35}")
_ACCOUNT = re.compile(r"[A-Z0-9]{1,34}")
_NOT_IN_THE_SET = re.compile(r"[^A-Za-z0-9/?:().,'+ -]")


def build(message: Message) -> tuple[str, bytes]:
    """The message type and the exact bytes. Raises `MessageInvalid` for a field that cannot go."""
    message_type = TYPES[type(message)]
    try:
        body = document(NAMESPACE + message_type, _content(message))
        if len(body) > MESSAGE_BYTES_MAX:
            raise MessageInvalid("XML_TOO_LARGE", f"more than {MESSAGE_BYTES_MAX} bytes")
        schema_of(message_type).check(body)
    except XmlRefused as error:
        raise MessageInvalid("FIELD_INVALID", error.description) from error
    except CurrencyUnknown as error:
        raise MessageInvalid("CURRENCY_UNKNOWN", str(error)) from error
    except (OverflowError, OSError, ValueError) as error:
        raise MessageInvalid("FIELD_INVALID", str(error)) from error
    return message_type, body


@singledispatch
def _content(message: Message) -> str:
    raise TypeError(f"{type(message).__name__} is no message")


@_content.register
def _credit_transfers(message: CreditTransfers) -> str:
    return node(
        "CstmrCdtTrfInitn",
        _group_header(message, with_totals=True),
        node(
            "PmtInf",
            leaf("PmtInfId", _id(message.batch_id)),
            leaf("PmtMtd", "TRF"),
            *_totals(message.items),
            node("ReqdExctnDt", leaf("Dt", message.execution_date)),
            node("Dbtr", leaf("Nm", OUR_NAME)),
            _account("DbtrAcct", message.account_number),
            _agent("DbtrAgt", message.bank_id),
            *(
                node(
                    "CdtTrfTxInf",
                    _payment_id(item),
                    node("Amt", _money("InstdAmt", item.amount)),
                    _party("Cdtr", item.name),
                    _account("CdtrAcct", item.bank_account),
                )
                for item in message.items
            ),
        ),
    )


@_content.register
def _direct_debits(message: DirectDebits) -> str:
    agent = _agent("DbtrAgt", message.bank_id)
    return node(
        "CstmrDrctDbtInitn",
        _group_header(message, with_totals=True),
        node(
            "PmtInf",
            leaf("PmtInfId", _id(message.batch_id)),
            leaf("PmtMtd", "DD"),
            *_totals(message.items),
            leaf("ReqdColltnDt", message.execution_date),
            node("Cdtr", leaf("Nm", OUR_NAME)),
            _account("CdtrAcct", message.account_number),
            _agent("CdtrAgt", message.bank_id),
            *(
                node(
                    "DrctDbtTxInf",
                    _payment_id(item),
                    _money("InstdAmt", item.amount),
                    agent,
                    _party("Dbtr", item.name),
                    _account("DbtrAcct", item.bank_account),
                )
                for item in message.items
            ),
        ),
    )


@_content.register
def _status_report(message: StatusReport) -> str:
    batch = message.original_batch_id or message.original_message_id
    return node(
        "CstmrPmtStsRpt",
        _group_header(message),
        node(
            "OrgnlGrpInfAndSts",
            leaf("OrgnlMsgId", _id(message.original_message_id)),
            leaf("OrgnlMsgNmId", message.original_message_type),
            _if(message.group_status, lambda text: leaf("GrpSts", text)),
            _if(message.group_reason, _reason),
        ),
        _if(
            message.transactions,
            lambda transactions: node(
                "OrgnlPmtInfAndSts",
                leaf("OrgnlPmtInfId", _id(batch)),
                *(_status(transaction) for transaction in transactions),
            ),
        ),
    )


def _status(status: TransactionStatus) -> str:
    original = _if(status.amount, lambda money: node("Amt", _money("InstdAmt", money))) + _if(
        status.value_date, lambda text: leaf("IntrBkSttlmDt", text)
    )
    return node(
        "TxInfAndSts",
        _if(status.instruction_id, lambda text: leaf("OrgnlInstrId", _id(text))),
        _if(status.end_to_end_id, lambda text: leaf("OrgnlEndToEndId", _id(text))),
        _if(status.uetr, lambda uetr: leaf("OrgnlUETR", str(uetr))),
        leaf("TxSts", status.status),
        _if(status.reason, _reason),
        _if(status.bank_reference, lambda text: leaf("AcctSvcrRef", _id(text))),
        _if(original, lambda parts: node("OrgnlTxRef", parts)),
    )


@_content.register
def _inquiry(message: Inquiry) -> str:
    return node(
        "FIToFIPmtStsReq",
        _group_header(message),
        node(
            "OrgnlGrpInf",
            leaf("OrgnlMsgId", _id(message.original_message_id)),
            leaf("OrgnlMsgNmId", message.original_message_type),
        ),
        *(
            node(
                "TxInf",
                leaf("StsReqId", _id(item.request_id)),
                _if(item.instruction_id, lambda text: leaf("OrgnlInstrId", _id(text))),
                leaf("OrgnlEndToEndId", _id(item.end_to_end_id)),
                leaf("OrgnlUETR", str(item.uetr)),
            )
            for item in message.transactions
        ),
    )


@_content.register
def _notice(message: Notice) -> str:
    return node(
        "BkToCstmrDbtCdtNtfctn",
        _group_header(message),
        node(
            "Ntfctn",
            leaf("Id", _id(message.notice_id)),
            leaf("CreDtTm", _time(message.created_ms)),
            _account("Acct", message.account_number, message.currency),
            *(_entry(entry) for entry in message.entries),
        ),
    )


@_content.register
def _statement_page(message: StatementPage) -> str:
    summary = message.summary
    net = summary.credits_minor - summary.debits_minor
    count = summary.credits + summary.debits
    gross = summary.credits_minor + summary.debits_minor
    currency = message.currency
    return node(
        "BkToCstmrStmt",
        _group_header(message),
        node(
            "Stmt",
            leaf("Id", _id(message.statement_id)),
            node(
                "StmtPgntn",
                leaf("PgNb", str(message.page)),
                leaf("LastPgInd", "true" if message.is_last else "false"),
            ),
            leaf("ElctrncSeqNb", str(message.number)),
            leaf("CreDtTm", _time(message.created_ms)),
            node(
                "FrToDt",
                leaf("FrDtTm", f"{message.from_date}T00:00:00Z"),
                leaf("ToDtTm", f"{message.to_date}T23:59:59Z"),
            ),
            _if(message.copy_indicator, lambda text: leaf("CpyDplctInd", text)),
            _account("Acct", message.account_number, currency),
            _balance("OPBD", message.opening, message.from_date),
            _balance("CLBD", message.closing, message.to_date),
            node(
                "TxsSummry",
                node(
                    "TtlNtries",
                    *_count_and_sum(count, gross, currency),
                    node("TtlNetNtry", leaf("Amt", _major(abs(net), currency)), _indicator(net)),
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
    references = _if(entry.end_to_end_id, lambda text: leaf("EndToEndId", _id(text))) + _if(
        entry.uetr, lambda uetr: leaf("UETR", str(uetr))
    )
    return node(
        "Ntry",
        _money("Amt", entry.amount),
        leaf("CdtDbtInd", "CRDT" if entry.favour == "C" else "DBIT"),
        "<RvslInd>true</RvslInd>" if entry.is_reversal else "",
        node("Sts", leaf("Cd", entry.status)),
        node("BookgDt", leaf("Dt", entry.booking_date)),
        node("ValDt", leaf("Dt", entry.value_date)),
        leaf("AcctSvcrRef", _id(entry.bank_reference)),
        node("BkTxCd", node("Prtry", leaf("Cd", "TRF"))),
        _if(references, lambda parts: node("NtryDtls", node("TxDtls", node("Refs", parts)))),
    )


def _group_header(message: Message, *, with_totals: bool = False) -> str:
    totals: tuple[str, ...] = ()
    if with_totals and isinstance(message, CreditTransfers | DirectDebits):
        totals = (*_totals(message.items), node("InitgPty", leaf("Nm", OUR_NAME)))
    return node(
        "GrpHdr",
        leaf("MsgId", _id(message.message_id)),
        leaf("CreDtTm", _time(message.created_ms)),
        *totals,
    )


def _totals(items: tuple[Item, ...]) -> tuple[str, str]:
    currencies = {item.amount.currency for item in items}
    if len(currencies) != 1:
        raise MessageInvalid("CURRENCY_MIXED", "the items are not of one currency")
    total = sum(item.amount.minor for item in items)
    return leaf("NbOfTxs", str(len(items))), leaf("CtrlSum", _major(total, currencies.pop()))


def _payment_id(item: Item) -> str:
    return node(
        "PmtId",
        leaf("InstrId", _id(item.instruction_id)),
        leaf("EndToEndId", _id(item.end_to_end_id)),
        leaf("UETR", str(item.uetr)),
    )


def _balance(code: str, money: Money, date: str) -> str:
    return node(
        "Bal",
        node("Tp", node("CdOrPrtry", leaf("Cd", code))),
        amount("Amt", _major(abs(money.minor), money.currency), money.currency),
        _indicator(money.minor),
        node("Dt", leaf("Dt", date)),
    )


def _count_and_sum(count: int, minor: int, currency: str) -> Iterable[str]:
    return leaf("NbOfNtries", str(count)), leaf("Sum", _major(minor, currency))


def _indicator(minor: int) -> str:
    return leaf("CdtDbtInd", "CRDT" if minor >= 0 else "DBIT")


def _money(name: str, money: Money) -> str:
    if money.minor <= 0:
        raise MessageInvalid("AMOUNT_INVALID", f"{money} is not positive")
    return amount(name, _major(money.minor, money.currency), money.currency)


def _major(minor: int, currency: str) -> str:
    if abs(minor) > MINOR_MAX:
        raise MessageInvalid("AMOUNT_INVALID", f"{minor} has more than 18 digits")
    return major(minor, currency)


def _account(name: str, number: str, currency: str = "") -> str:
    if _ACCOUNT.fullmatch(number) is None:
        raise MessageInvalid(
            "FIELD_INVALID", f"account {number!r} has other characters than A-Z0-9"
        )
    currency_code = leaf("Ccy", currency) if currency else ""
    return node(name, node("Id", node("Othr", leaf("Id", number))), currency_code)


def _agent(name: str, bank_id: str) -> str:
    return node(name, node("FinInstnId", node("Othr", leaf("Id", _id(bank_id)))))


def _party(name: str, person: str) -> str:
    return node(name, leaf("Nm", _restricted(person)) if person else "")


def _reason(code: str) -> str:
    return node("StsRsnInf", node("Rsn", leaf("Cd", code)))


def _id(text: str) -> str:
    if _ID.fullmatch(text) is None:
        raise MessageInvalid("FIELD_INVALID", f"reference {text!r} does not fit its field")
    return text


def _restricted(name: str) -> str:
    """A name in the characters banks take: marks fall off letters, the rest becomes a full stop."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", name)
        if not unicodedata.combining(letter)
    )
    return _NOT_IN_THE_SET.sub(".", plain)[:NAME_MAX]


def _time(at_ms: int) -> str:
    whole = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{at_ms % 1000:03d}Z"


def _if(value: T | None, write: Callable[[T], str]) -> str:
    return write(value) if value else ""
