"""Settlement windows by position."""

from services.accounts.domain.book import Window, WindowState
from services.accounts.domain.commands import CloseWindow, OpenWindow, SealWindow
from services.accounts.domain.entries import WindowSealed
from services.accounts.domain.kinds import Direction, Kind
from tests.services.accounts.desk import (
    BANK,
    CZK,
    PAYMENTS,
    SETTLEMENT,
    Desk,
    banks,
    clearing,
    credit,
    debit,
    ours,
)


def _state(desk: Desk, window_id: str) -> WindowState:
    return desk.book.windows[window_id].state


def test_what_stands_after_the_seal_belongs_to_the_next_window() -> None:
    desk = Desk()
    wallet, in_transit, first = desk.account(), desk.account(Kind.IN_TRANSIT_IN), desk.window()

    def top_up(minor: int) -> str:
        legs = (debit(in_transit, minor), credit(wallet, minor))
        entry = desk.posted(desk.transferring(*legs, obligation=ours(minor)))
        assert entry.obligation is not None
        return entry.obligation.window_id

    assert top_up(700) == first
    second = desk.id()
    sealed = desk.posted(SealWindow(second, first), SETTLEMENT).fact

    assert isinstance(sealed, WindowSealed)
    assert (sealed.legs, sealed.sum_ours, sealed.sum_bank) == (1, 700, 0)
    assert top_up(5) == second
    assert desk.book.windows[first].sum_ours == 700


def test_sealing_again_answers_the_seal_and_records_nothing() -> None:
    desk = Desk()
    first, second = desk.window(), desk.id()
    desk.posted(SealWindow(second, first), SETTLEMENT)

    again = desk.do(SealWindow(desk.id(), first), SETTLEMENT)

    assert isinstance(again, Window)
    assert again.next_window_id == second


def test_opening_again_answers_the_window_open_now() -> None:
    desk = Desk()
    first, second = desk.window(), desk.id()
    desk.posted(SealWindow(second, first), SETTLEMENT)

    again = desk.do(OpenWindow(first, BANK, CZK), SETTLEMENT)

    assert isinstance(again, Window)
    assert again.window_id == second


def test_a_window_closes_only_at_zero_and_a_refusal_is_not_for_ever() -> None:
    desk = Desk()
    wallet, first = desk.account(funds=60), desk.window()
    out = desk.account(Kind.IN_TRANSIT_OUT)
    hold_id = desk.posted(desk.placing(wallet, 60)).command_id
    desk.posted(desk.capturing(hold_id, bank_id=BANK, obligation=banks(60)))
    assert desk.turned_away(CloseWindow(first), SETTLEMENT) == "WINDOW_NOT_SEALED"
    desk.posted(SealWindow(desk.id(), first), SETTLEMENT)
    assert desk.turned_away(CloseWindow(first), SETTLEMENT) == "WINDOW_NOT_EMPTY"
    clearing_id = desk.book.windows[first].clearing_account_id
    desk.transfer(debit(clearing_id, 60), credit(out, 60), caller=SETTLEMENT)

    desk.posted(CloseWindow(first), SETTLEMENT)

    assert _state(desk, first) is WindowState.CLOSED
    assert isinstance(desk.do(CloseWindow(first), SETTLEMENT), Window)
    late = desk.transferring(debit(out, 1), credit(clearing_id, 1))
    assert desk.refused(late, SETTLEMENT) == "ACCOUNT_CLOSED"


def test_a_disputed_leg_is_carried_into_the_open_window() -> None:
    desk = Desk()
    wallet, first = desk.account(funds=60), desk.window()
    desk.posted(
        desk.transferring(debit(wallet, 60), clearing(Direction.CREDIT, 60), obligation=banks(60))
    )
    second = desk.id()
    desk.posted(SealWindow(second, first), SETTLEMENT)
    old = desk.book.windows[first].clearing_account_id

    carried = banks(60)._replace(carried_from=first)
    desk.posted(
        desk.transferring(debit(old, 60), clearing(Direction.CREDIT, 60), obligation=carried),
        SETTLEMENT,
    )

    assert desk.figures(old)[0] == 0
    assert desk.book.windows[second].sum_bank == 60
    assert desk.book.windows[first].sum_bank == 60


def test_each_clearing_account_has_a_key_of_its_own() -> None:
    desk = Desk()
    window_id = desk.window()
    for ordinal in range(1, 4):
        next_id = desk.id()
        desk.posted(SealWindow(next_id, window_id), SETTLEMENT)
        window_id = next_id
        key = (f"bank:{BANK}", Kind.CLEARING, CZK, ordinal)
        assert desk.book.business_keys[key] == desk.book.ids["settlement"][window_id].place


def test_a_used_id_names_no_window() -> None:
    desk = Desk()
    first = desk.window()
    account_id = desk.account(Kind.HOUSE, caller=SETTLEMENT)
    assert desk.turned_away(SealWindow(account_id, first), SETTLEMENT) == "IDEMPOTENCY_KEY_REUSED"
    assert desk.turned_away(OpenWindow(first, "KB", CZK), SETTLEMENT) == "IDEMPOTENCY_KEY_REUSED"
    assert desk.turned_away(SealWindow(desk.id(), desk.id()), SETTLEMENT) == "WINDOW_NOT_FOUND"
    assert desk.turned_away(CloseWindow(desk.id()), PAYMENTS) == "WINDOW_NOT_FOUND"
