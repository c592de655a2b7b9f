"""Bytes to messages: hostile until every field, count and sum has been checked."""

from collections.abc import Callable, Mapping, Sequence

from libs.iso20022.fields import Fields, scaled
from libs.iso20022.messages import (
    NAMESPACE,
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
from libs.iso20022.schemas import schema_of
from libs.money import CurrencyUnknown, Money, exponent
from libs.xml import MESSAGE_BYTES_MAX, STATEMENT_BYTES_MAX, XmlRefused, read

ITEMS_MAX = 100_000


def parse(message_type: str, body: bytes) -> Message:
    """The message in the bytes. Raises `MessageInvalid`; nothing else escapes."""
    reader = _READERS.get(message_type)
    if reader is None:
        raise MessageInvalid("TYPE_UNKNOWN", f"{message_type!r} is no message of this link")
    is_statement = message_type.startswith("camt.053")
    bytes_max = STATEMENT_BYTES_MAX if is_statement else MESSAGE_BYTES_MAX
    try:
        root = read(
            body, NAMESPACE + message_type, schema=schema_of(message_type), bytes_max=bytes_max
        )
    except XmlRefused as error:
        raise MessageInvalid(error.reason, error.description) from error
    if root.name != "Document" or len(root.children) != 1:
        raise MessageInvalid("XML_MALFORMED", "the root is not one Document with one message")
    name, read_message = reader
    return read_message(Fields(root).one(name))


def _credit_transfers(found: Fields) -> CreditTransfers:
    payment = found.one("PmtInf")
    _expect(payment, "PmtMtd", "TRF")
    items = tuple(
        _item(transaction, ("Amt", "InstdAmt"), "Cdtr")
        for transaction in payment.each("CdtTrfTxInf")
    )
    _check_totals(found, payment, items)
    return CreditTransfers(
        message_id=found.id("GrpHdr", "MsgId"),
        batch_id=payment.id("PmtInfId"),
        created_ms=found.time_ms("GrpHdr", "CreDtTm"),
        bank_id=payment.id("DbtrAgt", "FinInstnId", "Othr", "Id"),
        account_number=payment.account("DbtrAcct", "Id", "Othr", "Id"),
        execution_date=payment.date("ReqdExctnDt", "Dt"),
        items=items,
    )


def _direct_debits(found: Fields) -> DirectDebits:
    payment = found.one("PmtInf")
    _expect(payment, "PmtMtd", "DD")
    items = tuple(
        _item(transaction, ("InstdAmt",), "Dbtr") for transaction in payment.each("DrctDbtTxInf")
    )
    _check_totals(found, payment, items)
    return DirectDebits(
        message_id=found.id("GrpHdr", "MsgId"),
        batch_id=payment.id("PmtInfId"),
        created_ms=found.time_ms("GrpHdr", "CreDtTm"),
        bank_id=payment.id("CdtrAgt", "FinInstnId", "Othr", "Id"),
        account_number=payment.account("CdtrAcct", "Id", "Othr", "Id"),
        execution_date=payment.date("ReqdColltnDt"),
        items=items,
    )


def _item(found: Fields, amount: tuple[str, ...], party: str) -> Item:
    ids = found.one("PmtId")
    return Item(
        uetr=ids.uetr("UETR"),
        end_to_end_id=ids.id("EndToEndId"),
        instruction_id=ids.id("InstrId"),
        amount=found.positive(*amount),
        bank_account=found.account(f"{party}Acct", "Id", "Othr", "Id"),
        name=found.text(party, "Nm") if found.has(party, "Nm") else "",
    )


def _check_totals(found: Fields, payment: Fields, items: Sequence[Item]) -> None:
    if not items:
        raise payment.refuse("FIELD_MISSING", "no transaction")
    if len(items) > ITEMS_MAX:
        raise payment.refuse("TOO_MANY", f"more than {ITEMS_MAX} transactions")
    if len({item.uetr for item in items}) != len(items):
        raise payment.refuse("REFERENCE_REPEATED", "a UETR occurs twice")
    if len({item.amount.currency for item in items}) != 1:
        raise payment.refuse("CURRENCY_MIXED", "the transactions are not of one currency")
    total = sum(scaled(item.amount) for item in items)
    header = found.one("GrpHdr")
    for where in (header, payment):
        if where.has("NbOfTxs") and where.number("NbOfTxs") != len(items):
            raise where.refuse("COUNT_DIFFERS", f"NbOfTxs is not {len(items)}")
        if where.has("CtrlSum") and where.scaled("CtrlSum") != total:
            raise where.refuse("SUM_DIFFERS", "CtrlSum is not the sum of the amounts")
    header.number("NbOfTxs")


def _status_report(found: Fields) -> StatusReport:
    group = found.one("OrgnlGrpInfAndSts")
    batch = found.maybe("OrgnlPmtInfAndSts")
    return StatusReport(
        message_id=found.id("GrpHdr", "MsgId"),
        created_ms=found.time_ms("GrpHdr", "CreDtTm"),
        original_message_id=group.id("OrgnlMsgId"),
        original_message_type=group.id("OrgnlMsgNmId"),
        group_status=group.maybe_code("GrpSts"),
        group_reason=group.maybe_code("StsRsnInf", "Rsn", "Cd"),
        original_batch_id=batch.id("OrgnlPmtInfId") if batch else "",
        transactions=tuple(map(_status, batch.each("TxInfAndSts"))) if batch else (),
    )


def _status(found: Fields) -> TransactionStatus:
    original = found.maybe("OrgnlTxRef")
    has_amount = original is not None and original.has("Amt", "InstdAmt")
    has_date = original is not None and original.has("IntrBkSttlmDt")
    return TransactionStatus(
        uetr=found.maybe_uetr("OrgnlUETR"),
        end_to_end_id=found.maybe_id("OrgnlEndToEndId"),
        status=found.code("TxSts"),
        reason=found.maybe_code("StsRsnInf", "Rsn", "Cd"),
        bank_reference=found.maybe_id("AcctSvcrRef"),
        value_date=original.date("IntrBkSttlmDt") if original and has_date else "",
        amount=original.amount("Amt", "InstdAmt") if original and has_amount else None,
        instruction_id=found.maybe_id("OrgnlInstrId"),
    )


def _inquiry(found: Fields) -> Inquiry:
    group = found.one("OrgnlGrpInf")
    transactions = tuple(
        InquiryItem(
            request_id=transaction.id("StsReqId"),
            uetr=transaction.uetr("OrgnlUETR"),
            end_to_end_id=transaction.id("OrgnlEndToEndId"),
            instruction_id=transaction.maybe_id("OrgnlInstrId"),
        )
        for transaction in found.each("TxInf")
    )
    if not transactions:
        raise found.refuse("FIELD_MISSING", "no transaction")
    return Inquiry(
        message_id=found.id("GrpHdr", "MsgId"),
        created_ms=found.time_ms("GrpHdr", "CreDtTm"),
        original_message_id=group.id("OrgnlMsgId"),
        original_message_type=group.id("OrgnlMsgNmId"),
        transactions=transactions,
    )


def _notice(found: Fields) -> Notice:
    notification = found.one("Ntfctn")
    return Notice(
        message_id=found.id("GrpHdr", "MsgId"),
        notice_id=notification.id("Id"),
        created_ms=found.time_ms("GrpHdr", "CreDtTm"),
        account_number=notification.account("Acct", "Id", "Othr", "Id"),
        currency=_currency(notification),
        entries=_entries(notification),
    )


def _statement_page(found: Fields) -> StatementPage:
    statement = found.one("Stmt")
    page = statement.number("StmtPgntn", "PgNb")
    number = statement.number("ElctrncSeqNb")
    if min(page, number) < 1:
        raise statement.refuse("FIELD_INVALID", "statements and pages are numbered from 1")
    return StatementPage(
        message_id=found.id("GrpHdr", "MsgId"),
        statement_id=statement.id("Id"),
        number=number,
        page=page,
        is_last=statement.is_true("StmtPgntn", "LastPgInd"),
        created_ms=found.time_ms("GrpHdr", "CreDtTm"),
        from_date=_day(statement, "FrDtTm"),
        to_date=_day(statement, "ToDtTm"),
        account_number=statement.account("Acct", "Id", "Othr", "Id"),
        currency=_currency(statement),
        opening=_balance(statement, "OPBD"),
        closing=_balance(statement, "CLBD"),
        summary=_summary(statement),
        entries=_entries(statement),
        copy_indicator=statement.maybe_code("CpyDplctInd"),
    )


def _summary(statement: Fields) -> Summary:
    summary, currency = statement.one("TxsSummry"), _currency(statement)

    def figures(name: str) -> tuple[int, int]:
        part = summary.one(name)
        unit = scaled(Money(currency, 1))
        total = part.scaled("Sum")
        if total % unit:
            raise part.refuse("CURRENCY_SCALE", f"Sum has more decimals than {currency}")
        return part.number("NbOfNtries"), total // unit

    credits_, credits_minor = figures("TtlCdtNtries")
    debits, debits_minor = figures("TtlDbtNtries")
    if figures("TtlNtries") != (credits_ + debits, credits_minor + debits_minor):
        raise summary.refuse("SUM_DIFFERS", "TtlNtries is not credits and debits together")
    return Summary(credits_, credits_minor, debits, debits_minor)


def _balance(statement: Fields, code: str) -> Money:
    found = [
        balance
        for balance in statement.each("Bal")
        if balance.has("Tp", "CdOrPrtry", "Cd") and balance.code("Tp", "CdOrPrtry", "Cd") == code
    ]
    if len(found) != 1:
        raise statement.refuse("FIELD_MISSING", f"there is not exactly one balance {code}")
    money = _in_currency(found[0], found[0].amount("Amt"), _currency(statement))
    return money if _favour(found[0]) == "C" else Money(money.currency, -money.minor)


def _entries(account: Fields) -> tuple[Entry, ...]:
    currency = _currency(account)
    return tuple(_entry(found, currency) for found in account.each("Ntry"))


def _entry(found: Fields, currency: str) -> Entry:
    references = found.maybe("NtryDtls", "TxDtls", "Refs")
    return Entry(
        amount=_in_currency(found, found.positive("Amt"), currency),
        favour=_favour(found),
        booking_date=found.date("BookgDt", "Dt"),
        value_date=found.date("ValDt", "Dt"),
        bank_reference=found.maybe_id("AcctSvcrRef"),
        uetr=references.maybe_uetr("UETR") if references else None,
        end_to_end_id=references.maybe_id("EndToEndId") if references else "",
        status=found.code("Sts", "Cd"),
        is_reversal=found.is_true("RvslInd") if found.has("RvslInd") else False,
    )


def _favour(found: Fields) -> str:
    indicator = found.code("CdtDbtInd")
    if indicator not in {"CRDT", "DBIT"}:
        raise found.refuse("FIELD_INVALID", "CdtDbtInd is neither CRDT nor DBIT")
    return indicator[0]


def _in_currency(found: Fields, money: Money, currency: str) -> Money:
    if money.currency != currency:
        raise found.refuse("CURRENCY_MIXED", f"an amount is not in the account's {currency}")
    return money


def _currency(account: Fields) -> str:
    currency = account.text("Acct", "Ccy")
    try:
        exponent(currency)
    except CurrencyUnknown as error:
        raise account.refuse("CURRENCY_UNKNOWN", str(error)) from error
    return currency


def _day(statement: Fields, name: str) -> str:
    statement.time_ms("FrToDt", name)
    return statement.text("FrToDt", name)[:10]


def _expect(found: Fields, name: str, text: str) -> None:
    if found.text(name) != text:
        raise found.refuse("FIELD_INVALID", f"{name} is not {text}")


_READERS: Mapping[str, tuple[str, Callable[[Fields], Message]]] = {
    "pain.001.001.09": ("CstmrCdtTrfInitn", _credit_transfers),
    "pain.008.001.09": ("CstmrDrctDbtInitn", _direct_debits),
    "pain.002.001.10": ("CstmrPmtStsRpt", _status_report),
    "pacs.028.001.03": ("FIToFIPmtStsReq", _inquiry),
    "camt.054.001.08": ("BkToCstmrDbtCdtNtfctn", _notice),
    "camt.053.001.08": ("BkToCstmrStmt", _statement_page),
}
