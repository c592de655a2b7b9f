"""Rows to replies: what operators see of partners, settlements, legs, messages and breaks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, Row, Select, and_, func, or_, select, tuple_

from hefu.settlement.v1 import events_pb2 as events
from hefu.settlement.v1 import settlement_pb2 as pb
from hefu.type.v1 import money_pb2
from libs.grpc_errors import Refused
from libs.wire import time_to_wire
from services.settlement import tables as t
from services.settlement.cutting_off import settlement_id_of
from services.settlement.domain.settlement import Stage
from services.settlement.domain.status import Outcome
from services.settlement.references import uetr_text

PAGE_SIZE = 100
_AGREED = Stage.AGREED.value
_STAGES = {stage.name: stage for stage in Stage}
_WAITS = {
    Stage.DRAFT: "its proposal to {bank}",
    Stage.PROPOSED: "countersignature of {bank}",
    Stage.AGREED: "its instruction",
    Stage.INSTRUCTED: "outcomes at {bank}",
    Stage.CONFIRMED: "a statement of {bank}",
    Stage.TIED_OUT: "final confirmation of {bank}",
}
_LEGS = {
    Outcome.DONE.name: pb.LEG_STATE_CONFIRMED,
    Outcome.REFUSED.name: pb.LEG_STATE_REJECTED,
    Outcome.PENDING.name: pb.LEG_STATE_ACKNOWLEDGED,
    Outcome.UNKNOWN.name: pb.LEG_STATE_IN_DOUBT,
}
_FAVOURS = {"OURS": events.FAVOUR_OURS, "BANK": events.FAVOUR_BANK}


@dataclass(frozen=True, slots=True)
class Paging:
    """How many, and after which."""

    size: int
    token: str

    @classmethod
    def of(cls, page_size: int, page_token: str) -> "Paging":
        """As asked; no size: the default."""
        return cls(page_size or PAGE_SIZE, page_token)

    def parts(self, count: int) -> list[str] | None:
        """The token's parts; None at the start. Raises `Refused`."""
        if not self.token:
            return None
        parts = self.token.split(" ")
        if len(parts) != count:
            raise Refused("PAGE_TOKEN_MALFORMED", "the token is none of ours")
        return parts

    def number(self) -> int:
        """The token as one number; 0 at the start. Raises `Refused`."""
        parts = self.parts(1)
        if parts is None:
            return 0
        if not parts[0].isascii() or not parts[0].isdigit() or len(parts[0]) > 18:  # noqa: PLR2004 - int64
            raise Refused("PAGE_TOKEN_MALFORMED", "the token is none of ours")
        return int(parts[0])


def partners(connection: Connection) -> list[pb.Partner]:
    """All partners, in order of their ids."""
    rows = connection.execute(select(t.partners).order_by(t.partners.c.bank_id)).all()
    open_now = {
        (row.bank_id, row.currency): row.window_id
        for row in connection.execute(select(t.open_windows))
    }
    return [
        pb.Partner(
            bank_id=row.bank_id,
            legal_name=row.legal_name,
            address=row.address,
            link_identity=row.link_identity,
            public_key=row.public_key,
            key_id=row.key_id,
            account_number=row.account_number,
            currency_code=row.currency,
            capability=events.Capability(**orjson.loads(row.capability)),
            mirror_account_id=row.mirror_account_id,
            open_window_id=open_now.get((row.bank_id, row.currency), row.window_id),
        )
        for row in rows
    ]


def settlements(
    connection: Connection, waits: Mapping[str, str], bank_id: str, paging: Paging
) -> tuple[list[pb.Settlement], str]:
    """Settlements in the order they were drafted, and the next page's token."""
    c = t.settlements.c
    query = select(t.settlements).where(c.drafted_position > paging.number())
    if bank_id:
        query = query.where(c.bank_id == bank_id)
    rows = connection.execute(query.order_by(c.drafted_position).limit(paging.size + 1)).all()
    token = str(rows[paging.size - 1].drafted_position) if len(rows) > paging.size else ""
    return [_settlement(connection, row, waits) for row in rows[: paging.size]], token


def settlement(
    connection: Connection, waits: Mapping[str, str], settlement_id: str
) -> pb.Settlement | None:
    """One settlement."""
    row = connection.execute(
        select(t.settlements).where(t.settlements.c.settlement_id == settlement_id)
    ).first()
    return _settlement(connection, row, waits) if row is not None else None


def _settlement(
    connection: Connection, row: Row[tuple[object, ...]], waits: Mapping[str, str]
) -> pb.Settlement:
    stage = _STAGES[row.stage]
    counts = _outcomes(connection, row.settlement_id)
    total = sum(counts.values())
    done, refused = counts.get(Outcome.DONE.name, 0), counts.get(Outcome.REFUSED.name, 0)
    state = pb.SettlementState.Value(f"SETTLEMENT_STATE_{stage.name}")
    if stage is Stage.INSTRUCTED and 0 < done + refused < total:
        state = pb.SETTLEMENT_STATE_PARTLY_CONFIRMED
    ours = 0
    if stage is not Stage.ABORTED and stage.value >= _AGREED:
        ours = _movements_in_our_favour(connection, row.window_ids.split())
    resolved = row.in_doubt_resolved
    if stage.value < Stage.CONFIRMED.value:
        resolved = _resolved(connection, row.settlement_id)
    return pb.Settlement(
        settlement_id=row.settlement_id,
        bank_id=row.bank_id,
        currency_code=row.currency,
        state=state,
        window_ids=row.window_ids.split(),
        legs=row.legs,
        sum_ours_minor=row.sum_ours_minor,
        sum_bank_minor=row.sum_bank_minor,
        net_minor=row.sum_ours_minor - row.sum_bank_minor,
        disputed_legs=row.disputed,
        refused_legs=refused,
        in_doubt_legs=counts.get(Outcome.UNKNOWN.name, 0),
        in_doubt_resolved=resolved,
        rounds=row.rounds,
        root=row.root,
        waits_for=_waits_for(row.settlement_id, row.bank_id, stage, waits),
        change_time=time_to_wire(row.changed_us),
        confirmed_legs=row.confirmed or ours + done,
    )


def _waits_for(settlement_id: str, bank_id: str, stage: Stage, waits: Mapping[str, str]) -> str:
    if stage in (Stage.FINAL, Stage.ABORTED):
        return ""
    return waits.get(settlement_id) or _WAITS[stage].format(bank=bank_id)


def _outcomes(connection: Connection, settlement_id: str) -> dict[str, int]:
    c = t.items.c
    query = (
        select(c.outcome, func.count()).where(c.settlement_id == settlement_id).group_by(c.outcome)
    )
    return {outcome: count for outcome, count in connection.execute(query)}  # noqa: C416 - rows


def _resolved(connection: Connection, settlement_id: str) -> int:
    c = t.items.c
    final = (Outcome.DONE.name, Outcome.REFUSED.name)
    query = (
        select(func.count())
        .select_from(t.items)
        .where(c.settlement_id == settlement_id, c.was_doubted, c.outcome.in_(final))
    )
    return connection.execute(query).scalar_one()


def _movements_in_our_favour(connection: Connection, window_ids: Sequence[str]) -> int:
    c = t.movements.c
    query = (
        select(func.count())
        .select_from(t.movements)
        .where(c.window_id.in_(window_ids), c.favour == "OURS")
    )
    return connection.execute(query).scalar_one()


# Legs.
def legs(
    connection: Connection, request: pb.ListLegsRequest, paging: Paging
) -> tuple[list[pb.SettlementLeg], str]:
    """Movements as legs, in order of payment and window."""
    c = t.movements.c
    query = select(t.movements)
    if request.settlement_id:
        windows = connection.execute(
            select(t.settlements.c.window_ids).where(
                t.settlements.c.settlement_id == request.settlement_id
            )
        ).scalar()
        query = query.where(c.window_id.in_((windows or "").split()))
    if request.window_id:
        query = query.where(c.window_id == request.window_id)
    if request.payment_id:
        query = query.where(c.payment_id == request.payment_id)
    after = paging.parts(2)
    if after is not None:
        query = query.where(tuple_(c.payment_id, c.window_id) > tuple_(*after))
    rows = connection.execute(
        query.order_by(c.payment_id, c.window_id).limit(paging.size + 1)
    ).all()
    token = ""
    if len(rows) > paging.size:
        last = rows[paging.size - 1]
        token = f"{last.payment_id} {last.window_id}"
    return _legs(connection, rows[: paging.size]), token


def _legs(
    connection: Connection, rows: Sequence[Row[tuple[object, ...]]]
) -> list[pb.SettlementLeg]:
    payments = [row.payment_id for row in rows]
    owners = {row.window_id: settlement_id_of(row.window_id) for row in rows}
    stages = _keyed(
        connection,
        select(t.settlements).where(t.settlements.c.settlement_id.in_(set(owners.values()))),
        "settlement_id",
    )
    items = _keyed(
        connection, select(t.items).where(t.items.c.payment_id.in_(payments)), "payment_id"
    )
    marks = {
        (row.settlement_id, row.payment_id): row
        for row in connection.execute(
            select(t.leg_marks).where(t.leg_marks.c.payment_id.in_(payments))
        )
    }
    shown = _keyed(
        connection,
        select(t.lines).where(t.lines.c.payment_id.in_(payments), t.lines.c.rung < 8),  # noqa: PLR2004 - a match
        "payment_id",
    )
    return [
        _leg(
            row,
            stages.get(owners[row.window_id]),
            items.get(row.payment_id),
            marks.get((owners[row.window_id], row.payment_id)),
            shown.get(row.payment_id),
        )
        for row in rows
    ]


def _keyed(
    connection: Connection, query: Select[tuple[object, ...]], key: str
) -> dict[str, Row[tuple[object, ...]]]:
    return {getattr(row, key): row for row in connection.execute(query)}


def _leg(
    row: Row[tuple[object, ...]],
    owner: Row[tuple[object, ...]] | None,
    item: Row[tuple[object, ...]] | None,
    mark: Row[tuple[object, ...]] | None,
    line: Row[tuple[object, ...]] | None,
) -> pb.SettlementLeg:
    is_agreed = (
        owner is not None
        and owner.stage != Stage.ABORTED.name
        and _STAGES[owner.stage].value >= _AGREED
    )
    reason = item.reason if item is not None else ""
    if mark is not None:
        state = pb.LegState.Value(f"LEG_STATE_{mark.state}")
        reason = mark.reason
    elif row.favour == "OURS":
        state = pb.LEG_STATE_CONFIRMED if is_agreed else pb.LEG_STATE_PLANNED
    elif item is not None and is_agreed:
        state = _LEGS.get(item.outcome, pb.LEG_STATE_INSTRUCTED)
    else:
        state = pb.LEG_STATE_AGREED if is_agreed else pb.LEG_STATE_PLANNED
    is_shown = line is not None and mark is None
    return pb.SettlementLeg(
        payment_id=row.payment_id,
        uetr=uetr_text(row.payment_id),
        bank_id=row.bank_id,
        window_id=row.window_id,
        settlement_id=owner.settlement_id if owner is not None else "",
        favour=_FAVOURS[row.favour],
        amount=money_pb2.Money(currency_code=row.currency, minor_units=row.amount_minor),
        state=state,
        reason=reason,
        statement_id=line.statement_id if is_shown and line is not None else "",
        bank_reference=item.bank_reference if item is not None else "",
    )


# Messages.
def messages(
    connection: Connection, payment_id: str, bank_id: str, paging: Paging
) -> tuple[list[pb.BankMessage], str]:
    """Messages in the order they were kept; of a payment, the statement that shows it too."""
    c = t.messages.c
    query = select(t.messages).where(c.position > paging.number())
    if bank_id:
        query = query.where(c.bank_id == bank_id)
    if payment_id:
        named = select(t.message_payments.c.message_id).where(
            t.message_payments.c.payment_id == payment_id
        )
        query = query.where(
            or_(c.message_id.in_(named), c.message_id.in_(_pages(connection, payment_id)))
        )
    rows = connection.execute(query.order_by(c.position).limit(paging.size + 1)).all()
    token = str(rows[paging.size - 1].position) if len(rows) > paging.size else ""
    found = [
        pb.BankMessage(
            message_id=row.message_id,
            bank_id=row.bank_id,
            message_type=row.message_type,
            is_sent=row.is_sent,
            record_time=time_to_wire(row.recorded_us),
            size_bytes=row.size_bytes,
            quarantine_reason=row.quarantine_reason,
            is_repeat=row.repeat > 0,
            summary=row.summary,
        )
        for row in rows[: paging.size]
    ]
    return found, token


def _pages(connection: Connection, payment_id: str) -> list[str]:
    query = (
        select(t.statements.c.message_ids)
        .join(t.lines, t.lines.c.statement_id == t.statements.c.statement_id)
        .where(t.lines.c.payment_id == payment_id)
    )
    return [message_id for ids in connection.execute(query).scalars() for message_id in ids.split()]


def breaks(connection: Connection, bank_id: str, paging: Paging) -> tuple[list[pb.Break], str]:
    """Breaks in the order they were opened."""
    c = t.breaks.c
    query = select(t.breaks)
    if bank_id:
        query = query.where(c.bank_id == bank_id)
    after = paging.parts(2)
    if after is not None:
        opened_us = Paging(1, after[0]).number()
        query = query.where(
            or_(c.opened_us > opened_us, and_(c.opened_us == opened_us, c.break_id > after[1]))
        )
    rows = connection.execute(query.order_by(c.opened_us, c.break_id).limit(paging.size + 1)).all()
    token = ""
    if len(rows) > paging.size:
        last = rows[paging.size - 1]
        token = f"{last.opened_us} {last.break_id}"
    found = [
        pb.Break(
            break_id=row.break_id,
            type=row.type,
            bank_id=row.bank_id,
            payment_id=row.payment_id,
            settlement_id=row.settlement_id,
            amount=money_pb2.Money(currency_code=row.currency, minor_units=row.amount_minor)
            if row.currency
            else None,
            description=row.description,
            is_cleared=row.is_cleared,
            open_time=time_to_wire(row.opened_us),
        )
        for row in rows[: paging.size]
    ]
    return found, token


__all__ = [
    "Paging",
    "breaks",
    "legs",
    "messages",
    "partners",
    "settlement",
    "settlements",
]
