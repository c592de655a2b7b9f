"""What is decided in one pass is what the rules decide; what they might refuse is left to them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.money import MINOR_MAX
from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    Balancing,
    CloseAccount,
    Correction,
    FreezeAccount,
    SetBounds,
    Transfer,
)
from services.accounts.domain.entries import CommandRefused, Entry, TransferPosted
from services.accounts.domain.journal import decide_by_rules
from services.accounts.domain.kinds import FreezeSide, Kind
from services.accounts.domain.plain import plain_transfer
from tests.services.accounts.desk import (
    BANK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    WALLET,
    Desk,
    credit,
    debit,
    ours,
)

USED = "0190a000-0000-7000-8000-00000000000a"
REFUSED = "0190a000-0000-7000-8000-00000000000b"
AHEAD = "01f00000-0000-7000-8000-00000000000c"


class Town:
    """Accounts of every sort that a rule could have something to say of."""

    def __init__(self) -> None:
        self.desk = desk = Desk()
        desk.window()
        rich, poor = desk.account(funds=1_000_000), desk.account(funds=3)
        full, shut = desk.account(funds=90), desk.account()
        desk.posted(SetBounds(desk.id(), full, None, 100, ""), OPERATOR)
        desk.posted(CloseAccount(desk.id(), shut), OPERATOR)
        frozen = desk.account(funds=50)
        desk.posted(
            FreezeAccount(desk.id(), frozen, FreezeSide.DEBIT, "", stop_captures=False), OPERATOR
        )
        held = desk.account(funds=50)
        desk.posted(desk.placing(held, 45))
        self.accounts = [
            rich,
            poor,
            full,
            shut,
            frozen,
            held,
            desk.account(currency="EUR", funds=70),
            desk.account(Kind.BANK_MIRROR),
            desk.account(Kind.IN_TRANSIT_IN),
            desk.account(Kind.HOUSE),
            "01900000-0000-7000-8000-0000000000ff",
        ]
        used = Transfer(USED, (debit(rich, 5), credit(poor, 5)), "", "", "fact", "", None)
        desk.posted(used)
        desk.refused(used._replace(transfer_id=REFUSED))


TOWN = Town()
PLACES = st.permutations(range(len(TOWN.accounts))).map(lambda places: places[:2])
TEXTS = st.sampled_from(["", "", "note", "new"])
CALLERS = st.sampled_from([PAYMENTS, PAYMENTS, PAYMENTS, SETTLEMENT, WALLET, OPERATOR])
ODD_LEGS: list[dict[str, object]] = [
    {"account_id": TOWN.accounts[0]},
    {"account_id": ""},
    {"bank_id": BANK},
    {"direction": 1},
    {"direction": 2},
    {"direction": 3},
    {"currency": "EUR"},
    {"currency": "XXX"},
    {"minor": 2},
    {"minor": 0},
]
ODD: list[dict[str, object]] = [
    {"transfer_id": USED},
    {"transfer_id": REFUSED},
    {"transfer_id": AHEAD},
    {"transfer_id": "no-id"},
    {"purpose": "a\x1fb"},
    {"fact_key": "fact"},
    {"value_date": "2026-09-20"},
    {"obligation": ours(5)},
    {"computed": Balancing(0, 0)},
    {"corrects": Correction("1.0", "")},
]
MINORS = st.sampled_from([1, 3, 5, 10, 46, 100, MINOR_MAX, MINOR_MAX + 1])


@st.composite
def transfers(draw: st.DrawFn) -> Transfer:
    """Ordinary ones, and ones with something odd about them."""
    minor, places = draw(MINORS), draw(PLACES)
    payer, payee = (TOWN.accounts[place] for place in places)
    legs = [debit(payer, minor), credit(payee, minor)]
    if draw(st.booleans()):
        legs.reverse()
    command = Transfer(TOWN.desk.id(), tuple(legs), draw(TEXTS), draw(TEXTS), draw(TEXTS), "", None)
    odd = draw(st.integers(0, 3))
    if odd == 0:
        n, change = draw(st.integers(0, 1)), draw(st.sampled_from(ODD_LEGS))
        legs[n] = legs[n]._replace(**change)  # type: ignore[arg-type]
        return command._replace(legs=tuple(legs))
    if odd == 1:
        return command._replace(**draw(st.sampled_from(ODD)))  # type: ignore[arg-type]
    return command


@settings(max_examples=600)
@given(transfers(), CALLERS)
def test_whatever_is_decided_in_one_pass_the_rules_decide_too(
    command: Transfer, caller: Caller
) -> None:
    entry = plain_transfer(command, caller, TOWN.desk.book)

    by_rules = decide_by_rules(command, caller, TOWN.desk.book)
    assert entry is None or entry == by_rules


@settings(max_examples=600)
@given(transfers(), CALLERS)
def test_what_is_left_to_the_rules_is_refused_repeated_or_out_of_the_ordinary(
    command: Transfer, caller: Caller
) -> None:
    if plain_transfer(command, caller, TOWN.desk.book) is not None:
        return
    decided = decide_by_rules(command, caller, TOWN.desk.book)
    is_refused = not isinstance(decided, Entry) or isinstance(decided.fact, CommandRefused)
    _, *terms = command[1:]
    accounts = [TOWN.desk.book.accounts.get(leg.account_id) for leg in command.legs]
    is_ordinary = not any(terms[3:]) and all(each and not each.is_barred for each in accounts)
    assert is_refused or not is_ordinary


@pytest.mark.parametrize("kind", [Kind.CUSTOMER_WALLET, Kind.BANK_MIRROR, Kind.IN_TRANSIT_IN])
def test_an_ordinary_transfer_is_decided_in_one_pass(kind: Kind) -> None:
    desk = Desk()
    payer, payee = desk.account(funds=10), desk.account(kind)
    legs = (
        (debit(payer, 10), credit(payee, 10))
        if kind is Kind.CUSTOMER_WALLET
        else (debit(payee, 10), credit(payer, 10))
    )
    command = Transfer(desk.id(), legs, "rent", "c-1", "f-1", "", None)
    caller = PAYMENTS if kind is not Kind.BANK_MIRROR else SETTLEMENT

    entry = plain_transfer(command, caller, desk.book)

    if kind is Kind.BANK_MIRROR:
        assert entry is None  # settlement may not post to a customer's wallet
    else:
        assert entry is not None
        assert isinstance(entry.fact, TransferPosted)
        assert entry == decide_by_rules(command, caller, desk.book)
