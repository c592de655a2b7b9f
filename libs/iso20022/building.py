"""Messages to bytes: from typed fields only, escaped, in the characters banks take."""

import re
import unicodedata
from functools import singledispatch

from libs.iso20022.accounts import notice, statement_page
from libs.iso20022.elements import account, group_header, in_major, money, reference, where
from libs.iso20022.messages import (
    NAMESPACE,
    TYPES,
    CreditTransfers,
    DirectDebits,
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
from libs.money import CurrencyUnknown
from libs.xml import MESSAGE_BYTES_MAX, STATEMENT_BYTES_MAX, XmlRefused, document, leaf, node

NAME_MAX = 70
OUR_NAME = "HEFU"
_NOT_IN_THE_SET = re.compile(r"[^A-Za-z0-9/?:().,'+ -]")


def build(message: Message) -> tuple[str, bytes]:
    """The message type and the exact bytes. Raises `MessageInvalid` for a field that cannot go."""
    message_type = TYPES[type(message)]
    try:
        body = document(NAMESPACE + message_type, _content(message))
        is_statement = isinstance(message, StatementPage)
        bytes_max = STATEMENT_BYTES_MAX if is_statement else MESSAGE_BYTES_MAX
        if len(body) > bytes_max:
            raise MessageInvalid("XML_TOO_LARGE", f"more than {bytes_max} bytes")
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
        group_header(message, *_totals(message.items), node("InitgPty", leaf("Nm", OUR_NAME))),
        node(
            "PmtInf",
            leaf("PmtInfId", reference(message.batch_id)),
            leaf("PmtMtd", "TRF"),
            *_totals(message.items),
            node("ReqdExctnDt", leaf("Dt", message.execution_date)),
            node("Dbtr", leaf("Nm", OUR_NAME)),
            account("DbtrAcct", message.account_number),
            _agent("DbtrAgt", message.bank_id),
            *(
                node(
                    "CdtTrfTxInf",
                    _payment_id(item),
                    node("Amt", money("InstdAmt", item.amount)),
                    _party("Cdtr", item.name),
                    account("CdtrAcct", item.bank_account),
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
        group_header(message, *_totals(message.items), node("InitgPty", leaf("Nm", OUR_NAME))),
        node(
            "PmtInf",
            leaf("PmtInfId", reference(message.batch_id)),
            leaf("PmtMtd", "DD"),
            *_totals(message.items),
            leaf("ReqdColltnDt", message.execution_date),
            node("Cdtr", leaf("Nm", OUR_NAME)),
            account("CdtrAcct", message.account_number),
            _agent("CdtrAgt", message.bank_id),
            *(
                node(
                    "DrctDbtTxInf",
                    _payment_id(item),
                    money("InstdAmt", item.amount),
                    agent,
                    _party("Dbtr", item.name),
                    account("DbtrAcct", item.bank_account),
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
        group_header(message),
        node(
            "OrgnlGrpInfAndSts",
            leaf("OrgnlMsgId", reference(message.original_message_id)),
            leaf("OrgnlMsgNmId", message.original_message_type),
            where(message.group_status, lambda text: leaf("GrpSts", text)),
            where(message.group_reason, _reason),
        ),
        where(
            message.transactions,
            lambda transactions: node(
                "OrgnlPmtInfAndSts",
                leaf("OrgnlPmtInfId", reference(batch)),
                *(_status(transaction) for transaction in transactions),
            ),
        ),
    )


def _status(status: TransactionStatus) -> str:
    original = where(status.amount, lambda value: node("Amt", money("InstdAmt", value))) + where(
        status.value_date, lambda text: leaf("IntrBkSttlmDt", text)
    )
    return node(
        "TxInfAndSts",
        where(status.instruction_id, lambda text: leaf("OrgnlInstrId", reference(text))),
        where(status.end_to_end_id, lambda text: leaf("OrgnlEndToEndId", reference(text))),
        where(status.uetr, lambda uetr: leaf("OrgnlUETR", str(uetr))),
        leaf("TxSts", status.status),
        where(status.reason, _reason),
        where(status.bank_reference, lambda text: leaf("AcctSvcrRef", reference(text))),
        where(original, lambda parts: node("OrgnlTxRef", parts)),
    )


@_content.register
def _inquiry(message: Inquiry) -> str:
    return node(
        "FIToFIPmtStsReq",
        group_header(message),
        node(
            "OrgnlGrpInf",
            leaf("OrgnlMsgId", reference(message.original_message_id)),
            leaf("OrgnlMsgNmId", message.original_message_type),
        ),
        *(
            node(
                "TxInf",
                leaf("StsReqId", reference(item.request_id)),
                where(item.instruction_id, lambda text: leaf("OrgnlInstrId", reference(text))),
                leaf("OrgnlEndToEndId", reference(item.end_to_end_id)),
                leaf("OrgnlUETR", str(item.uetr)),
            )
            for item in message.transactions
        ),
    )


@_content.register
def _notice(message: Notice) -> str:
    return notice(message)


@_content.register
def _statement_page(message: StatementPage) -> str:
    return statement_page(message)


def _totals(items: tuple[Item, ...]) -> tuple[str, str]:
    currencies = {item.amount.currency for item in items}
    if len(currencies) != 1:
        raise MessageInvalid("CURRENCY_MIXED", "the items are not of one currency")
    total = sum(item.amount.minor for item in items)
    return leaf("NbOfTxs", str(len(items))), leaf("CtrlSum", in_major(total, currencies.pop()))


def _payment_id(item: Item) -> str:
    return node(
        "PmtId",
        leaf("InstrId", reference(item.instruction_id)),
        leaf("EndToEndId", reference(item.end_to_end_id)),
        leaf("UETR", str(item.uetr)),
    )


def _agent(name: str, bank_id: str) -> str:
    return node(name, node("FinInstnId", node("Othr", leaf("Id", reference(bank_id)))))


def _party(name: str, person: str) -> str:
    return node(name, leaf("Nm", _restricted(person)) if person else "")


def _reason(code: str) -> str:
    return node("StsRsnInf", node("Rsn", leaf("Cd", code)))


def _restricted(name: str) -> str:
    """A name in the characters banks take: marks fall off letters, the rest becomes a full stop."""
    plain = "".join(
        letter
        for letter in unicodedata.normalize("NFKD", name)
        if not unicodedata.combining(letter)
    )
    return _NOT_IN_THE_SET.sub(".", plain)[:NAME_MAX]
