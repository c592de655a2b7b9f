"""Histories that have every kind of entry between them: what the golden files were written from.

They are never changed; what comes later is told in a story of its own.
"""

from dataclasses import replace

from services.accounts.domain.commands import (
    Amount,
    Balancing,
    BeginCrossing,
    BeginSpan,
    CloseAccount,
    CloseWindow,
    Correction,
    DecideSpan,
    EndCrossing,
    EndSpan,
    Exchange,
    FreezeAccount,
    GiveQuote,
    Home,
    Linked,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
    Part,
    ReleasePart,
    ReopenAccount,
    ReservePart,
    Resolved,
    SealWindow,
    SetBounds,
    Source,
    Template,
    Transfer,
    UnfreezeAccount,
)
from services.accounts.domain.kinds import Direction, FreezeSide, Kind, QuoteSide
from tests.services.accounts.desk import (
    BANK,
    CZK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    TODAY,
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


def kinds_that_came_later() -> Desk:
    """Groups, computed amounts, quotes, bounds, corrections, reopening, locked days."""
    desk = Desk()
    opening = OpenAccount(desk.id(), "ann", Kind.CUSTOMER_WALLET, CZK, 0, "", 70_000)
    desk.posted(opening, OPERATOR)
    payer, merchant = desk.account(funds=90_000), desk.account(Kind.MERCHANT)
    fees, spare = desk.account(Kind.FEE_INCOME), desk.account()
    euros, euro_fees = desk.account(currency="EUR"), desk.account(Kind.FEE_INCOME, "EUR")
    positions = desk.account(Kind.FX_POSITION), desk.account(Kind.FX_POSITION, "EUR")
    desk.posted(SetBounds(desk.id(), merchant, -5_000, None, "agreed line"), OPERATOR)
    desk.posted(SetBounds(desk.id(), spare, None, 0, "tier 0"), OPERATOR)
    desk.turn_page(1)
    legs = (debit(payer, 80_000), credit(opening.account_id, 80_000))
    desk.posted(desk.transferring(*legs)._replace(computed=Balancing(1, 0)))
    parts = (Part(fees, fixed=7), Part(fees, share=1), Part(merchant, share=2))
    sources = (Source(merchant, 1_001), Source(payer, None))
    template = Template(1, Amount(CZK, 10_008), sources[1:], 3, parts)
    desk.posted(desk.transferring()._replace(computed=template))
    rest = (Part(fees, share=15), Part(payer, is_rest=True))
    template = Template(1, Amount(CZK, 1_001), sources[:1], 1_000, rest)
    desk.posted(desk.transferring()._replace(computed=template))
    quote = GiveQuote(desk.id(), CZK, "EUR", 100, 2_531, QuoteSide.SOLD, 5_000, 3, 60, "swap")
    exchange = Exchange(
        quote.quote_id,
        Amount(CZK, 5_000),
        Amount("EUR", 197),
        payer,
        euros,
        *positions,
        euro_fees,
    )
    lapsing = GiveQuote(desk.id(), CZK, "EUR", 100, 2_531, QuoteSide.BOUGHT, 50, 0, 1, "")
    swap = desk.transferring()._replace(computed=exchange)
    desk.link(Linked((quote, lapsing, swap)))
    hold = desk.placing(payer, 10**9)
    desk.link(Linked((desk.transferring(debit(payer, 1), credit(merchant, 1)), hold)))
    desk.posted(CloseAccount(desk.id(), spare), OPERATOR)
    desk.posted(ReopenAccount(desk.id(), spare, "closed by mistake"), OPERATOR)
    desk.posted(MoveBusinessDate(desk.id(), "2026-09-23", TODAY), OPERATOR)
    early = desk.transferring(debit(merchant, 5_100), credit(fees, 5_100), value_date="2026-09-20")
    desk.posted(early._replace(corrects=Correction("1.1", "2026-09-20")))
    desk.posted(LockPeriod(desk.id(), TODAY), OPERATOR)
    return desk


def transfers_between_shards() -> Desk:
    """The near halves of two: one that the far shard took, one that came back."""
    desk = Desk()
    payer, far_payee = desk.account(funds=9_000), desk.id()
    transit = desk.account(Kind.SHARD_TRANSIT)
    rights = replace(PAYMENTS, posts_to=PAYMENTS.posts_to | {Kind.SHARD_TRANSIT})
    far_legs = (debit(transit, 700), credit(far_payee, 700))
    kinds = (Kind.CUSTOMER_WALLET, Kind.MERCHANT)
    desk.turn_page(1)
    for movement in (banks(700, "payout"), None):
        moved = desk.transferring(debit(payer, 700), credit(transit, 700))
        begin = BeginCrossing(
            desk.id(),
            moved.transfer_id,
            2,
            far_legs,
            movement,
            "test",
            "2026-09-20",
            kinds,
            (payer,),
        )
        desk.link(Linked((moved, begin)), rights)
        end = EndCrossing(desk.id(), begin.crossing_id)
        if movement is None:
            back = (debit(transit, 700), credit(payer, 700))
            end = end._replace(reason="ACCOUNT_CLOSED", field="legs[1].account_id", legs=back)
        desk.posted(end)
    return desk


def transfers_over_shards() -> Desk:
    """What the deciding shard and another write, as if one were both: posted, refused, open."""
    desk = Desk()
    payer, fees = desk.account(funds=9_000), desk.account(Kind.FEE_INCOME)
    transit, far, other = desk.account(Kind.SHARD_TRANSIT), desk.id(), desk.id()
    rights = replace(PAYMENTS, posts_to=PAYMENTS.posts_to | {Kind.SHARD_TRANSIT})
    desk.turn_page(1)
    taking = desk.transferring(debit(payer, 700), credit(transit, 700))
    giving = desk.transferring(debit(transit, 700), credit(fees, 700))
    moved = desk.transferring(debit(payer, 700), credit(fees, 700), fact_key="split/1")
    linked = desk.transferring(debit(fees, 7), credit(far, 7), obligation=banks(7, "payout"))
    begun = [_beginning(desk, moved, payer, fees), _beginning(desk, linked)]
    begun[1] = begun[1]._replace(span_id=begun[0].span_id)
    desk.link(Linked(tuple(begun)))
    span_id = begun[0].span_id
    reserve = ReservePart(desk.id(), span_id, (taking,))
    desk.posted(reserve, rights)
    given = giving._replace(computed=Resolved("BALANCING", ()))
    desk.link(Linked((DecideSpan(desk.id(), span_id), given)), rights)
    release = ReleasePart(desk.id(), reserve.reservation_id)
    desk.link(Linked((release, taking)), replace(rights, completes=True))
    desk.posted(EndSpan(desk.id(), span_id))
    desk.turn_page(1)
    template = Template(
        1,
        Amount(CZK, 900),
        (Source(payer, None), Source(far, 10)),
        3,
        (Part(fees, fixed=9), Part(other, share=3)),
    )
    with_rest = template._replace(parts=(Part(other, is_rest=True),))
    exchange = Exchange(
        desk.id(), Amount(CZK, 50), Amount("EUR", 2), payer, far, fees, desk.id(), desk.id()
    )
    corrected = desk.transferring(debit(payer, 1), credit(far, 1), value_date="2026-09-20")
    for asked in (
        desk.transferring()._replace(computed=template),
        desk.transferring()._replace(computed=with_rest),
        desk.transferring()._replace(computed=exchange),
        corrected._replace(computed=Balancing(1, 0), corrects=Correction("1.1", "2026-09-20")),
    ):
        span = _beginning(desk, asked, payer)
        desk.posted(span._replace(received=1))
        refused = ("BALANCE_TOO_LOW", "template.sources", "0 of 900 is available")
        desk.posted(DecideSpan(desk.id(), span.span_id, *refused))
        desk.posted(EndSpan(desk.id(), span.span_id))
    still_open = _beginning(desk, desk.transferring(debit(payer, 1), credit(far, 1)), payer)
    desk.posted(still_open)
    desk.posted(ReservePart(desk.id(), still_open.span_id, (taking,)), rights)
    return desk


def _beginning(desk: Desk, transfer: Transfer, *accounts: str) -> BeginSpan:
    homes = tuple(Home(account_id, n) for n, account_id in enumerate(accounts))
    kinds = (Kind.CUSTOMER_WALLET, Kind.FEE_INCOME)
    return BeginSpan(transfer.transfer_id, desk.id(), transfer, homes, kinds, 30, 0)
