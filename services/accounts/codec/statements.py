"""Issued statements as stored bytes (protobuf JSON); statements and balances as messages."""

from typing import Final

from google.protobuf.json_format import MessageToJson, Parse

from hefu.accounts.v1 import events_pb2
from hefu.accounts.v1 import statements_pb2 as pb
from libs.wire import time_from_wire, time_to_wire
from services.accounts.as_of import AsOf
from services.accounts.domain.statements import Issued, Period
from services.accounts.statements import Line, Owned

# These names are storage.
CATEGORY: Final = "account_statement"
_TYPE: Final = "hefu.accounts.v1.AccountStatementIssued"


class StatementCodec:
    """One type of event, one version."""

    def encode(self, event: Issued) -> tuple[str, bytes]:
        """Stored type and bytes."""
        message = pb.AccountStatementIssued(
            account_id=event.account_id,
            number=event.number,
            from_date=event.period.from_date,
            to_date=event.period.to_date,
            opening_minor=event.opening,
            closing_minor=event.closing,
            opening_seq=event.opening_seq,
            closing_seq=event.closing_seq,
            content_hash=event.content_hash.hex(),
            made_position=event.made_position,
            issue_time=time_to_wire(event.issued_us),
        )
        text = MessageToJson(
            message,
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
            indent=None,
        )
        return _TYPE, text.encode()

    def decode(self, event_type: str, data: bytes) -> Issued:
        """The event. Raises `AssertionError` for a type this version does not know."""
        if event_type != _TYPE:
            raise AssertionError(f"an event of a type this version does not know: {event_type}")
        message = Parse(data, pb.AccountStatementIssued())
        return Issued(
            message.account_id,
            message.number,
            Period(message.from_date, message.to_date),
            message.opening_minor,
            message.closing_minor,
            message.opening_seq,
            message.closing_seq,
            bytes.fromhex(message.content_hash),
            message.made_position,
            time_from_wire(message.issue_time),
        )


def statement_message(account: Owned, statement: Issued) -> pb.Statement:
    message = pb.Statement(
        account_id=statement.account_id,
        number=statement.number,
        currency_code=account.currency,
        owner=account.owner,
        kind=events_pb2.AccountKind.ValueType(account.kind),
        from_date=statement.period.from_date,
        to_date=statement.period.to_date,
        opening_minor=statement.opening,
        closing_minor=statement.closing,
        opening_seq=statement.opening_seq,
        closing_seq=statement.closing_seq,
        lines=statement.closing_seq - statement.opening_seq,
        content_hash=statement.content_hash,
        made_position=statement.made_position,
    )
    if statement.issued_us:
        message.issue_time.CopyFrom(time_to_wire(statement.issued_us))
    return message


def line_message(line: Line) -> pb.StatementLine:
    return pb.StatementLine(
        page_number=line.page_number,
        ordinal=line.ordinal,
        account_seq=line.seq,
        business_date=line.business_date,
        value_date=line.value_date,
        fact=line.fact,
        command_id=line.command_id,
        correlation_id=line.correlation_id,
        purpose=line.purpose,
        amount_minor=line.amount,
        posted_minor=line.posted,
        held_minor=line.held,
    )


def balance_message(found: AsOf, basis: pb.BalanceBasis.ValueType) -> pb.GetBalanceAsOfResponse:
    return pb.GetBalanceAsOfResponse(
        account_id=found.account_id,
        currency_code=found.currency,
        basis=basis,
        as_of_position=found.position,
        account_seq=found.seq,
        posted_minor=found.posted,
        held_minor=found.held,
        incoming_minor=found.incoming,
        available_minor=found.posted - found.held,
        position=found.pages - 1,
    )
