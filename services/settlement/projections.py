"""Events to rows: our own, the journal's movements, and the payees of payouts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import orjson

from libs.event_store import StoredEvent
from libs.money import Money
from libs.read_model import Patch, Put, ReadModel, Write
from services.settlement import tables
from services.settlement.codec.heard import (
    Movement,
    OnBankSide,
    Seal,
    Window,
    may_be_payout,
    page_of,
    payee_of,
)
from services.settlement.codec.own import EventUnknown, everything
from services.settlement.domain import (
    bank_transfer,
    breaks,
    cut_off,
    evidence,
    partner,
    settlement,
    statement,
)
from services.settlement.domain.status import Outcome

OWN_PREFIXES = (
    "partner-",
    "cut_off-",
    "settlement-",
    "bank_transfer-",
    "bank_message-",
    "statement-",
    "break-",
)
_UNDECIDED = ""

Row = Callable[[str, Any, StoredEvent], Iterator[Write]]


def _own(stored: StoredEvent) -> Iterable[Write]:
    try:
        event = everything.decode(stored.type, stored.data)
    except EventUnknown:
        return ()
    row = _ROWS.get(type(event))
    return () if row is None else row(stored.stream.partition("-")[2], event, stored)


def _registered(bank_id: str, e: partner.Registered, _: StoredEvent) -> Iterator[Write]:
    yield Put(
        tables.partners,
        {
            "bank_id": bank_id,
            "legal_name": e.legal_name,
            "address": e.address,
            "link_identity": e.link_identity,
            "public_key": e.public_key,
            "key_id": e.key_id,
            "account_number": e.account_number,
            "currency": e.currency_code,
            "capability": orjson.dumps(asdict(e.capability)).decode(),
            "window_id": "",
            "mirror_account_id": "",
        },
    )


def _opened(bank_id: str, e: partner.Opened, _: StoredEvent) -> Iterator[Write]:
    values = {"window_id": e.window_id, "mirror_account_id": e.mirror_account_id}
    yield Patch(tables.partners, {"bank_id": bank_id}, values)


# Bank transfers.
def _intended(transfer_id: str, e: bank_transfer.Intended, _: StoredEvent) -> Iterator[Write]:
    shared: Mapping[str, object] = {
        "transfer_id": transfer_id,
        "bank_id": e.bank_id,
        "kind": e.kind.name,
        "settlement_id": e.settlement_id,
    }
    counts = {"message_id": "", "item_count": len(e.items), "final": 0, "done": 0, "booked": 0}
    yield Put(tables.transfers, {**shared, **counts})
    for item in e.items:
        row = {
            "payment_id": item.payment_id,
            "uetr": item.uetr,
            "currency": item.amount.currency,
            "amount_minor": item.amount.minor,
            "outcome": _UNDECIDED,
            "reason": "",
            "bank_reference": "",
            "value_date": "",
            "was_doubted": False,
            "is_booked": False,
            "is_contradicted": False,
        }
        yield Put(tables.items, {**shared, **row})


def _started(transfer_id: str, e: bank_transfer.SendStarted, _: StoredEvent) -> Iterator[Write]:
    key = {"transfer_id": transfer_id}
    yield Patch(tables.transfers, key, {"message_id": e.message_id})


def _doubted(_: str, e: bank_transfer.Doubted, __: StoredEvent) -> Iterator[Write]:
    for payment_id in e.payment_ids:
        values = {"outcome": Outcome.UNKNOWN.name, "was_doubted": True}
        yield Patch(tables.items, {"payment_id": payment_id}, values)


def _decided(transfer_id: str, e: bank_transfer.ItemsDecided, _: StoredEvent) -> Iterator[Write]:
    final = sum(said.outcome.is_final for said in e.outcomes)
    done = sum(said.outcome is Outcome.DONE for said in e.outcomes)
    if final:
        counted = tables.transfers.c
        values = {"final": counted.final + final, "done": counted.done + done}
        yield Patch(tables.transfers, {"transfer_id": transfer_id}, values)
    for said in e.outcomes:
        row: dict[str, object] = {"outcome": said.outcome.name, "reason": said.reason}
        if said.outcome.is_final:
            row |= {"bank_reference": said.bank_reference, "value_date": said.value_date}
        yield Patch(tables.items, {"payment_id": said.payment_id}, row)


def _booked(transfer_id: str, e: bank_transfer.ItemsBooked, _: StoredEvent) -> Iterator[Write]:
    booked = {"booked": tables.transfers.c.booked + len(e.payment_ids)}
    yield Patch(tables.transfers, {"transfer_id": transfer_id}, booked)
    for payment_id in e.payment_ids:
        yield Patch(tables.items, {"payment_id": payment_id}, {"is_booked": True})


def _contradicted(_: str, e: bank_transfer.Contradicted, __: StoredEvent) -> Iterator[Write]:
    yield Patch(tables.items, {"payment_id": e.payment_id}, {"is_contradicted": True})


# Cut-offs and settlements.
def _cut_off(request_id: str, _: cut_off.Requested, __: StoredEvent) -> Iterator[Write]:
    yield Put(tables.cut_offs, {"request_id": request_id, "is_complete": False})


def _cut(request_id: str, _: cut_off.Completed, __: StoredEvent) -> Iterator[Write]:
    yield Put(tables.cut_offs, {"request_id": request_id, "is_complete": True})


def _drafted(id_: str, e: settlement.Drafted, stored: StoredEvent) -> Iterator[Write]:
    yield Put(
        tables.settlements,
        {
            "settlement_id": id_,
            "bank_id": e.bank_id,
            "currency": e.currency_code,
            "stage": settlement.Stage.DRAFT.name,
            "window_ids": " ".join(e.window_ids),
            "value_date": e.value_date,
            "legs": e.legs,
            "sum_ours_minor": e.sum_ours_minor,
            "sum_bank_minor": e.sum_bank_minor,
            "rounds": 0,
            "disputed": 0,
            "confirmed": 0,
            "in_doubt_resolved": 0,
            "seal_position": e.seal_position,
            "root": b"",
            "digest": b"",
            "agreed_position": 0,
            "drafted_position": stored.position,
            "statement_id": "",
            "is_told": False,
            "changed_us": stored.recorded_us,
            "position": stored.position,
        },
    )


def _changed(id_: str, stored: StoredEvent, **values: object) -> Write:
    moved = {"changed_us": stored.recorded_us, "position": stored.position}
    return Patch(tables.settlements, {"settlement_id": id_}, {**values, **moved})


def _proposed(id_: str, e: settlement.Proposed, stored: StoredEvent) -> Iterator[Write]:
    yield _changed(
        id_,
        stored,
        stage=settlement.Stage.PROPOSED.name,
        rounds=e.round,
        root=e.root,
        legs=e.legs,
        sum_ours_minor=e.sum_ours_minor,
        sum_bank_minor=e.sum_bank_minor,
    )


def _differed(id_: str, e: settlement.Differed, stored: StoredEvent) -> Iterator[Write]:
    more = tables.settlements.c.disputed + len(e.disputed)
    yield _changed(id_, stored, disputed=more)
    for leg in e.disputed:
        row = {
            "settlement_id": id_,
            "payment_id": leg.payment_id,
            "state": "DISPUTED",
            "reason": leg.type,
        }
        yield Put(tables.leg_marks, row)


def _carried(id_: str, e: settlement.LegsCarried, stored: StoredEvent) -> Iterator[Write]:
    yield _changed(id_, stored)
    for payment_id in e.payment_ids:
        key = {"settlement_id": id_, "payment_id": payment_id}
        yield Patch(tables.leg_marks, key, {"state": "CARRIED"})


def _agreed(id_: str, e: settlement.Agreed, stored: StoredEvent) -> Iterator[Write]:
    stage = settlement.Stage.AGREED.name
    yield _changed(id_, stored, stage=stage, digest=e.digest, agreed_position=stored.position)


def _aborted(id_: str, _: settlement.Aborted, stored: StoredEvent) -> Iterator[Write]:
    yield _changed(id_, stored, stage=settlement.Stage.ABORTED.name)


def _instructed(id_: str, _: settlement.Instructed, stored: StoredEvent) -> Iterator[Write]:
    yield _changed(id_, stored, stage=settlement.Stage.INSTRUCTED.name)


def _confirmed(id_: str, e: settlement.Confirmed, stored: StoredEvent) -> Iterator[Write]:
    yield _changed(
        id_,
        stored,
        stage=settlement.Stage.CONFIRMED.name,
        confirmed=e.confirmed_legs,
        in_doubt_resolved=e.in_doubt_resolved,
    )


def _tied_out(id_: str, e: settlement.TiedOut, stored: StoredEvent) -> Iterator[Write]:
    stage = settlement.Stage.TIED_OUT.name
    yield _changed(id_, stored, stage=stage, statement_id=e.statement_id)


def _finalised(id_: str, _: settlement.Finalised, stored: StoredEvent) -> Iterator[Write]:
    yield _changed(id_, stored, stage=settlement.Stage.FINAL.name)


def _told(id_: str, _: settlement.PaymentsSettled, stored: StoredEvent) -> Iterator[Write]:
    yield _changed(id_, stored, is_told=True)


# Messages, statements, breaks.
def _sent(id_: str, e: evidence.Sent, stored: StoredEvent) -> Iterator[Write]:
    yield from _message(id_, e, stored, {"is_sent": True})


def _received(id_: str, e: evidence.Received, stored: StoredEvent) -> Iterator[Write]:
    row = {
        "quarantine_reason": e.quarantine_reason,
        "account_number": e.account_number,
        "statement_number": e.statement_number,
        "page": e.page,
        "is_last_page": e.is_last_page,
    }
    yield from _message(id_, e, stored, row)


def _message(
    id_: str, e: evidence.Event, stored: StoredEvent, more: Mapping[str, object]
) -> Iterator[Write]:
    row = {
        "message_id": id_,
        "repeat": stored.revision,
        "bank_id": e.bank_id,
        "message_type": e.message_type,
        "is_sent": False,
        "recorded_us": stored.recorded_us,
        "size_bytes": len(e.body),
        "quarantine_reason": "",
        "summary": e.summary,
        "account_number": "",
        "statement_number": 0,
        "page": 0,
        "is_last_page": False,
        "position": stored.position,
    }
    yield Put(tables.messages, {**row, **more})
    if stored.revision == 0:
        for payment_id in e.payment_ids:
            yield Put(tables.message_payments, {"payment_id": payment_id, "message_id": id_})


def _accepted(_: str, e: statement.Accepted, stored: StoredEvent) -> Iterator[Write]:
    row = {
        "statement_id": e.statement_id,
        "bank_id": e.bank_id,
        "number": e.number,
        "from_date": e.from_date,
        "to_date": e.to_date,
        "opening_minor": e.opening_minor,
        "closing_minor": e.closing_minor,
        "line_count": e.line_count,
        "matched": 0,
        "message_ids": " ".join(e.message_ids),
        "position": stored.position,
    }
    yield Put(tables.statements, row)


def _lines_matched(id_: str, e: statement.LinesMatched, _: StoredEvent) -> Iterator[Write]:
    matched = {"matched": tables.statements.c.matched + len(e.lines)}
    yield Patch(tables.statements, {"statement_id": id_}, matched)
    for line, match in zip(e.lines, e.matches, strict=True):
        row = {
            "statement_id": id_,
            "ordinal": line.ordinal,
            "payment_id": match.payment_id,
            "rung": match.rung,
            "favour": line.favour.name,
            "currency": line.amount.currency,
            "amount_minor": line.amount.minor,
            "bank_reference": line.bank_reference,
            "value_date": line.value_date,
        }
        yield Put(tables.lines, row)


def _broken(id_: str, e: breaks.Opened, stored: StoredEvent) -> Iterator[Write]:
    amount = e.amount or Money("", 0)
    row = {
        "break_id": id_,
        "type": e.type,
        "bank_id": e.bank_id,
        "payment_id": e.payment_id,
        "settlement_id": e.settlement_id,
        "currency": amount.currency,
        "amount_minor": amount.minor,
        "description": e.description,
        "is_cleared": False,
        "opened_us": stored.recorded_us,
    }
    yield Put(tables.breaks, row)


def _cleared(id_: str, _: breaks.Cleared, __: StoredEvent) -> Iterator[Write]:
    yield Patch(tables.breaks, {"break_id": id_}, {"is_cleared": True})


_ROWS: Mapping[type, Row] = {
    partner.Registered: _registered,
    partner.Opened: _opened,
    bank_transfer.Intended: _intended,
    bank_transfer.SendStarted: _started,
    bank_transfer.Doubted: _doubted,
    bank_transfer.ItemsDecided: _decided,
    bank_transfer.ItemsBooked: _booked,
    bank_transfer.Contradicted: _contradicted,
    cut_off.Requested: _cut_off,
    cut_off.Completed: _cut,
    settlement.Drafted: _drafted,
    settlement.Proposed: _proposed,
    settlement.Differed: _differed,
    settlement.LegsCarried: _carried,
    settlement.Agreed: _agreed,
    settlement.Aborted: _aborted,
    settlement.Instructed: _instructed,
    settlement.Confirmed: _confirmed,
    settlement.TiedOut: _tied_out,
    settlement.Finalised: _finalised,
    settlement.PaymentsSettled: _told,
    evidence.Sent: _sent,
    evidence.Received: _received,
    statement.Accepted: _accepted,
    statement.LinesMatched: _lines_matched,
    breaks.Opened: _broken,
    breaks.Cleared: _cleared,
}


def _movements(stored: StoredEvent) -> Iterator[Write]:
    page = page_of(stored)
    if page is None:
        return
    yield Put(tables.pages, {"journal": stored.stream, "page": page.number})
    for fact in page.facts:
        match fact:
            case Movement():
                yield _movement(fact, page.number)
            case Seal():
                yield _seal(fact, page.number)
            case Window(window_id, bank_id, currency):
                key = {"bank_id": bank_id, "currency": currency}
                yield Put(tables.open_windows, {**key, "window_id": window_id})
            case OnBankSide(payment_id):
                yield Put(tables.mirrored, {"payment_id": payment_id, "page": page.number})


def _movement(movement: Movement, page_number: int) -> Write:
    row = {
        "payment_id": movement.payment_id,
        "window_id": movement.window_id,
        "bank_id": movement.bank_id,
        "favour": movement.favour.name,
        "currency": movement.amount.currency,
        "amount_minor": movement.amount.minor,
        "page": page_number,
        "carried_from": movement.carried_from,
    }
    return Put(tables.movements, row)


def _seal(seal: Seal, page_number: int) -> Write:
    row = {
        "window_id": seal.window_id,
        "bank_id": seal.bank_id,
        "currency": seal.currency,
        "next_window_id": seal.next_window_id,
        "legs": seal.legs,
        "sum_ours_minor": seal.sum_ours_minor,
        "sum_bank_minor": seal.sum_bank_minor,
        "page": page_number,
    }
    return Put(tables.seals, row)


def _payout_details(stored: StoredEvent) -> Iterator[Write]:
    payee = payee_of(stored)
    if payee is None:
        return
    row = {
        "payment_id": payee.payment_id,
        "bank_id": payee.bank_id,
        "bank_account": payee.bank_account,
        "name": payee.name,
    }
    yield Put(tables.payout_details, row)


OWN = ReadModel("settlement", 1, "settlement", OWN_PREFIXES, tables.own, _own)
MOVEMENTS = ReadModel("movements", 1, "accounts", ("journal-",), tables.journal, _movements)
PAYOUT_DETAILS = ReadModel(
    "payout_details",
    1,
    "payments",
    ("payment-",),
    tables.orders,
    _payout_details,
    only="hefu.payments.v1.PaymentRequested",
    concerns=may_be_payout,
)
READ_MODELS = (OWN, MOVEMENTS, PAYOUT_DETAILS)
