"""A history with every kind of entry: what the golden files were written from. Never changed."""

from services.accounts.domain.commands import (
    CloseAccount,
    CloseWindow,
    FreezeAccount,
    MoveBusinessDate,
    SealWindow,
    UnfreezeAccount,
)
from services.accounts.domain.kinds import Direction, FreezeSide, Kind
from tests.services.accounts.desk import (
    BANK,
    OPERATOR,
    SETTLEMENT,
    Desk,
    banks,
    clearing,
    credit,
    debit,
    ours,
)


def every_kind_of_entry() -> Desk:
    desk = Desk()
    payer, merchant = desk.account(), desk.account(Kind.MERCHANT)
    in_transit, out = desk.account(Kind.IN_TRANSIT_IN), desk.account(Kind.IN_TRANSIT_OUT)
    window_id, next_id, spare = desk.window(), desk.id(), desk.account()
    desk.posted(
        desk.transferring(
            debit(in_transit, 90_000),
            credit(payer, 90_000),
            fact_key="payment/credit",
            value_date="2026-09-20",
            obligation=ours(90_000, "payment"),
        )
    )
    desk.refused(desk.placing(payer, 90_001))
    taken = desk.posted(desk.placing(payer, 5_000, merchant)).command_id
    lapsing = desk.posted(desk.placing(payer, 700, expires_after_s=60)).command_id
    into_window = desk.posted(desk.placing(payer, 300)).command_id
    desk.turn_page(1)
    desk.posted(desk.capturing(taken, 1_500, fact_key="sale/1"))
    desk.posted(desk.capturing(taken, 500, merchant, is_final=True))
    desk.posted(desk.releasing(lapsing, 100))
    desk.posted(desk.capturing(into_window, bank_id=BANK, obligation=banks(300, "payout")))
    freeze_id = desk.id()
    freeze = FreezeAccount(freeze_id, spare, FreezeSide.BOTH, "order", stop_captures=True)
    desk.posted(freeze, OPERATOR)
    desk.posted(UnfreezeAccount(desk.id(), freeze_id, spare), OPERATOR)
    desk.posted(CloseAccount(desk.id(), spare), OPERATOR)
    desk.turn_page(60)
    desk.posted(SealWindow(next_id, window_id), SETTLEMENT)
    old = desk.book.windows[window_id].clearing_account_id
    carried = banks(100, "payout")._replace(carried_from=window_id)
    desk.posted(
        desk.transferring(debit(old, 100), clearing(Direction.CREDIT, 100), obligation=carried),
        SETTLEMENT,
    )
    desk.transfer(debit(old, 200), credit(out, 200), caller=SETTLEMENT)
    desk.posted(CloseWindow(window_id), SETTLEMENT)
    desk.posted(MoveBusinessDate(desk.id(), "2026-09-22"), OPERATOR)
    return desk
