"""Questions to the read models that the work itself asks; none of them decides about money."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, or_, select

from libs.money import Money
from services.settlement import tables as t
from services.settlement.codec.heard import Payee, Seal
from services.settlement.domain.bank_transfer import Kind
from services.settlement.domain.settlement import Stage
from services.settlement.domain.statement import RUNG_DIFFERS, Expectation, Favour

KEYS_IN_QUERY = 500


def in_parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Keys in parts that fit one query on every database."""
    for start in range(0, len(keys), KEYS_IN_QUERY):
        yield keys[start : start + KEYS_IN_QUERY]


@dataclass(frozen=True, slots=True)
class KnownItem:
    payment_id: str
    transfer_id: str
    bank_id: str


def known_items(connection: Connection, payment_ids: Sequence[str]) -> dict[str, KnownItem]:
    """Transfers and banks of payments; unknown ones are left out."""
    found = {}
    for part in in_parts(payment_ids):
        c = t.items.c
        rows = connection.execute(
            select(c.payment_id, c.transfer_id, c.bank_id).where(c.payment_id.in_(part))
        )
        for row in rows:
            found[row.payment_id] = KnownItem(row.payment_id, row.transfer_id, row.bank_id)
    return found


def open_transfers(connection: Connection) -> list[str]:
    """Transfers with an item that is not final, or is not yet on the bank's side of the journal."""
    c = t.transfers.c
    unbooked = and_(c.kind == Kind.PAYOUT.name, c.booked < c.done)
    rows = connection.execute(select(c.transfer_id).where(or_(c.final < c.item_count, unbooked)))
    return [row.transfer_id for row in rows]


def open_settlements(connection: Connection) -> list[str]:
    """Settlements that are not at their end."""
    c = t.settlements.c
    is_over = or_(c.stage == Stage.ABORTED.name, and_(c.stage == Stage.FINAL.name, c.is_told))
    rows = connection.execute(select(c.settlement_id).where(~is_over).order_by(c.drafted_position))
    return [row.settlement_id for row in rows]


def open_cut_offs(connection: Connection) -> list[str]:
    """Cut-offs that are not complete."""
    c = t.cut_offs.c
    return list(connection.execute(select(c.request_id).where(~c.is_complete)).scalars())


def unopened_partners(connection: Connection) -> list[str]:
    """Partners whose accounts do not stand yet."""
    c = t.partners.c
    return list(connection.execute(select(c.bank_id).where(c.window_id == "")).scalars())


def bank_ids(connection: Connection) -> list[str]:
    """All partners, in order."""
    c = t.partners.c
    return list(connection.execute(select(c.bank_id).order_by(c.bank_id)).scalars())


def seal_of(connection: Connection, window_id: str) -> tuple[Seal, int] | None:
    """The window's seal and its page, once it is among the movements."""
    row = connection.execute(select(t.seals).where(t.seals.c.window_id == window_id)).first()
    if row is None:
        return None
    seal = Seal(
        row.window_id,
        row.bank_id,
        row.currency,
        row.next_window_id,
        row.legs,
        row.sum_ours_minor,
        row.sum_bank_minor,
    )
    return seal, row.page


@dataclass(frozen=True, slots=True)
class WindowLeg:
    payment_id: str
    favour: Favour
    amount: Money


def legs_of(connection: Connection, window_ids: Sequence[str]) -> list[WindowLeg]:
    """Every movement of these windows, carried out of them later or not."""
    c = t.movements.c
    rows = connection.execute(
        select(c.payment_id, c.favour, c.currency, c.amount_minor)
        .where(c.window_id.in_(window_ids))
        .order_by(c.payment_id)
    )
    return [
        WindowLeg(row.payment_id, Favour[row.favour], Money(row.currency, row.amount_minor))
        for row in rows
    ]


def payees_of(connection: Connection, payment_ids: Sequence[str]) -> dict[str, Payee]:
    """Payees of payouts that payments told us of."""
    found = {}
    for part in in_parts(payment_ids):
        c = t.payout_details.c
        for row in connection.execute(select(t.payout_details).where(c.payment_id.in_(part))):
            found[row.payment_id] = Payee(row.payment_id, row.bank_id, row.bank_account, row.name)
    return found


def last_agreed_digest(connection: Connection, bank_id: str) -> bytes:
    """Digest of the newest agreed header of a bank; empty where there is none."""
    c = t.settlements.c
    row = connection.execute(
        select(c.digest)
        .where(c.bank_id == bank_id, c.agreed_position > 0)
        .order_by(c.agreed_position.desc())
        .limit(1)
    ).first()
    return row.digest if row else b""


def unagreed_before(connection: Connection, bank_id: str, settlement_id: str) -> list[str]:
    """Earlier settlements of the bank that are still being agreed and not stuck."""
    c = t.settlements.c
    mine = select(c.drafted_position).where(c.settlement_id == settlement_id).scalar_subquery()
    stuck = select(t.breaks.c.settlement_id).where(
        t.breaks.c.type == "AGREEMENT_STUCK", ~t.breaks.c.is_cleared
    )
    rows = connection.execute(
        select(c.settlement_id).where(
            c.bank_id == bank_id,
            c.stage.in_((Stage.DRAFT.name, Stage.PROPOSED.name)),
            c.drafted_position < mine,
            c.settlement_id.not_in(stuck),
        )
    )
    return list(rows.scalars())


def settlements_in_stage(connection: Connection, bank_id: str, stage: Stage) -> list[str]:
    """A bank's settlements in one stage."""
    c = t.settlements.c
    query = select(c.settlement_id).where(c.bank_id == bank_id, c.stage == stage.name)
    return list(connection.execute(query).scalars())


# Statements.
@dataclass(frozen=True, slots=True)
class AcceptedStatement:
    statement_id: str
    number: int
    closing_minor: int
    line_count: int
    matched: int


def last_statement(connection: Connection, bank_id: str) -> AcceptedStatement | None:
    """A bank's newest accepted statement."""
    c = t.statements.c
    row = connection.execute(
        select(t.statements).where(c.bank_id == bank_id).order_by(c.number.desc()).limit(1)
    ).first()
    if row is None:
        return None
    return AcceptedStatement(
        row.statement_id, row.number, row.closing_minor, row.line_count, row.matched
    )


def unmatched_statements(connection: Connection) -> list[tuple[str, str]]:
    """Accepted statements whose lines are not all through the ladder: bank and statement."""
    c = t.statements.c
    rows = connection.execute(
        select(c.bank_id, c.statement_id).where(c.matched < c.line_count).order_by(c.position)
    )
    return [(row.bank_id, row.statement_id) for row in rows]


def pages_held(connection: Connection, bank_id: str, number: int) -> list[str]:
    """Message ids of a statement's pages: of each page, the newest that was not set aside."""
    c = t.messages.c
    rows = connection.execute(
        select(c.message_id, c.page)
        .where(
            c.bank_id == bank_id,
            c.statement_number == number,
            c.quarantine_reason == "",
            c.repeat == 0,
        )
        .order_by(c.position)
    )
    newest = {row.page: row.message_id for row in rows}
    return [newest[page] for page in sorted(newest)]


def expected_by(
    connection: Connection, uetrs: Sequence[str], payment_ids: Sequence[str], banks: Sequence[str]
) -> list[Expectation]:
    """Items that lines may mean: by UETR, by our reference, by the bank's."""
    c = t.items.c
    found = {}
    for column, keys in ((c.uetr, uetrs), (c.payment_id, payment_ids), (c.bank_reference, banks)):
        for part in in_parts(keys):
            for row in connection.execute(select(t.items).where(column.in_(part))):
                found[row.payment_id] = Expectation(
                    payment_id=row.payment_id,
                    uetr=row.uetr,
                    end_to_end_id=row.payment_id.replace("-", ""),
                    bank_reference=row.bank_reference,
                    favour=Favour.OURS if row.kind == Kind.PULL.name else Favour.BANK,
                    amount=Money(row.currency, row.amount_minor),
                )
    return [found[payment_id] for payment_id in sorted(found)]


def taken_by_others(
    connection: Connection, payment_ids: Sequence[str], statement_id: str
) -> dict[str, str]:
    """Payments that a line of another statement explains already."""
    found = {}
    for part in in_parts(payment_ids):
        c = t.lines.c
        rows = connection.execute(
            select(c.payment_id, c.statement_id, c.ordinal).where(
                c.payment_id.in_(part), c.rung < RUNG_DIFFERS, c.statement_id != statement_id
            )
        )
        for row in rows:
            found[row.payment_id] = f"{row.statement_id}/{row.ordinal}"
    return found


def lines_matched(connection: Connection, payment_ids: Sequence[str]) -> set[str]:
    """Which of these payments a booked line explains."""
    found: set[str] = set()
    for part in in_parts(payment_ids):
        c = t.lines.c
        rows = connection.execute(
            select(c.payment_id).where(c.payment_id.in_(part), c.rung < RUNG_DIFFERS)
        )
        found.update(rows.scalars())
    return found


def journal_page(connection: Connection) -> int:
    """The newest page among the movements; -1 before the first."""
    return connection.execute(select(func.max(t.pages.c.page))).scalar() or -1


@dataclass(frozen=True, slots=True)
class OnlyOurs:
    """Payments that the mirror followed and no statement shows yet, and their sum in our favour."""

    payment_ids: tuple[str, ...]
    minor: int


def only_ours(connection: Connection, bank_id: str, page: int) -> OnlyOurs:
    """What stands on the mirror up to a page and on no accepted statement."""
    c, shown = t.items.c, t.lines.c
    matched = select(shown.payment_id).where(shown.rung < RUNG_DIFFERS)
    rows = connection.execute(
        select(c.payment_id, c.kind, c.amount_minor)
        .join(t.mirrored, t.mirrored.c.payment_id == c.payment_id)
        .where(c.bank_id == bank_id, t.mirrored.c.page <= page, c.payment_id.not_in(matched))
        .order_by(c.payment_id)
    ).all()
    minor = sum(
        row.amount_minor if row.kind == Kind.PULL.name else -row.amount_minor for row in rows
    )
    return OnlyOurs(tuple(row.payment_id for row in rows), minor)


def open_breaks_of(
    connection: Connection, settlement_id: str, payment_ids: Sequence[str]
) -> list[str]:
    """Types of open breaks on a settlement or its legs."""
    c = t.breaks.c
    found = list(
        connection.execute(
            select(c.type).where(c.settlement_id == settlement_id, ~c.is_cleared)
        ).scalars()
    )
    for part in in_parts(payment_ids):
        query = select(c.type).where(c.payment_id.in_(part), ~c.is_cleared)
        found += connection.execute(query).scalars()
    return found
