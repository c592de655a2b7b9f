"""What an answered part of an order does to holdings: which fund, and which command."""

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from services.funds.domain.holding import (
    AddLot,
    Book,
    BookAgain,
    ReceiveDividend,
    RedeemShares,
    SetDividendMode,
)
from services.funds.domain.order_lifecycle import Begun, Part, PartStage
from services.funds.domain.order_terms import (
    DIVIDEND,
    FORCED_INCREASE,
    Confirmation,
    DividendModeChange,
    FastRedemption,
    Redemption,
    RegistrarMovement,
    Subscription,
    Switching,
)

Booking: TypeAlias = tuple[
    str, AddLot | RedeemShares | ReceiveDividend | SetDividendMode | BookAgain
]


def bookings_of(order: Begun, part: Part) -> Sequence[Booking]:
    """Commands by fund code, the fund that is left first; nothing where no share moved.

    Of an amended part: each reverses what was booked and books what the row says now.
    """
    row = part.confirmation
    if isinstance(order.terms.kind, DividendModeChange):
        kind = order.terms.kind
        chosen = SetDividendMode(order.placed.order_id, kind.mode, row.confirm_date)
        return [(kind.fund_code, chosen)]
    books = _books(order, row)
    if part.stage is PartStage.AMENDED:
        return [(code, BookAgain(book, part.proposal_id)) for code, book in books]
    return books


def _books(order: Begun, row: Confirmation) -> Sequence[tuple[str, Book]]:
    kind, order_id = order.terms.kind, order.placed.order_id
    match kind:
        case Subscription(fund_code=code):
            return [(code, _lot(order_id, row, row.amount_minor))] if row.shares else []
        case Redemption(fund_code=code) | FastRedemption(fund_code=code):
            return [(code, _sale(order_id, row))] if row.shares else []
        case Switching(fund_code=code, target_code=target_code):
            if not row.shares:
                return []
            entered = AddLot(
                order_id,
                row.row_id,
                row.target_shares,
                row.confirm_date,
                row.register_date or row.confirm_date,
                row.amount_minor,
                row.target_nav,
            )
            return [(code, _sale(order_id, row)), (target_code, entered)]
        case RegistrarMovement(fund_code=code, business_code=business):
            return [(code, _movement(order_id, row, business))]
        case DividendModeChange():
            return []
        case _:
            assert_never(kind)


def _movement(order_id: str, row: Confirmation, business: str) -> Book:
    if business == FORCED_INCREASE or (business == DIVIDEND and row.shares):
        # Nothing was paid for these shares: what they are worth is gain.
        return _lot(order_id, row, 0)
    if business == DIVIDEND:
        return ReceiveDividend(order_id, row.row_id, row.amount_minor, row.confirm_date)
    return _sale(order_id, row)


def _lot(order_id: str, row: Confirmation, paid: int) -> AddLot:
    registered = row.register_date or row.confirm_date
    return AddLot(order_id, row.row_id, row.shares, row.confirm_date, registered, paid, row.nav)


def _sale(order_id: str, row: Confirmation) -> RedeemShares:
    fee = row.fee_minor + row.back_end_minor
    return RedeemShares(order_id, row.row_id, row.shares, row.confirm_date, row.amount_minor, fee)
