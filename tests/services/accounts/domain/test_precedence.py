"""Of two faults the one that stands first in the refusal table is told, whichever way they meet.

Every pair of faults that one command can have together is made, and made in both orders.
"""

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

import pytest

from libs.money import MINOR_MAX
from services.accounts.domain.commands import (
    Amount,
    CaptureHold,
    CloseAccount,
    Command,
    Correction,
    Exchange,
    FreezeAccount,
    GiveQuote,
    Leg,
    Linked,
    LockPeriod,
    MoveBusinessDate,
    Part,
    SetBounds,
    Source,
    Template,
    Transfer,
)
from services.accounts.domain.entries import CommandRefused, Entry
from services.accounts.domain.fields import INT64_MAX
from services.accounts.domain.journal import Decision, Repeated
from services.accounts.domain.kinds import FreezeSide, Kind, QuoteSide
from services.accounts.domain.refusals import Reason, Refusal
from tests.services.accounts.desk import (
    CZK,
    OPERATOR,
    TODAY,
    Desk,
    banks,
    credit,
    debit,
)

AHEAD = "ffffffff-ffff-7000-8000-000000000001"
YESTERDAY, NEXT_DAY = "2026-09-20", "2026-09-22"


def _reason(decision: Decision) -> str:
    match decision:
        case Entry(CommandRefused(reason)) | Refusal(reason):
            return reason
        case Repeated(_, terms):
            return Reason.IDEMPOTENCY_KEY_REUSED.name if terms else "REPLAYED"
        case _:
            return "POSTED"


def _pairs(faults: Iterable[str], apart: Iterable[frozenset[str]]) -> list[tuple[str, str]]:
    """Pairs in the order of the table, without those that cannot be of one command."""
    excluded = list(apart)
    return [
        pair
        for pair in combinations(faults, 2)
        if not any(set(pair) <= together for together in excluded)
    ]


def _closed(desk: Desk, account_id: str) -> str:
    desk.posted(CloseAccount(desk.id(), account_id), OPERATOR)
    return account_id


def _frozen(desk: Desk, account_id: str, side: FreezeSide = FreezeSide.BOTH) -> str:
    desk.posted(FreezeAccount(desk.id(), account_id, side, "x", stop_captures=True), OPERATOR)
    return account_id


def pair_of(payer: str, payee: str, minor: int = 1, currency: str = CZK) -> tuple[Leg, Leg]:
    return debit(payer, minor, currency), credit(payee, minor, currency)


class Draft:
    """A transfer being spoiled: each fault brings a pair of legs of its own, or changes a field."""

    def __init__(self) -> None:
        desk = self.desk = Desk()
        self.fees, self.source = desk.account(Kind.FEE_INCOME), desk.account(Kind.FEE_INCOME)
        self.wallet = desk.account(funds=10)
        desk.posted(desk.transferring(*pair_of(self.wallet, self.fees), fact_key="taken"))
        desk.posted(MoveBusinessDate(desk.id(), NEXT_DAY), OPERATOR)
        self.legs: list[Leg] = [*pair_of(self.wallet, self.fees)]
        self.fields: dict[str, Any] = {}

    def meet(self, *legs: Leg) -> None:
        self.legs = [*legs, *self.legs]

    def paying(self, payee: str, minor: int = 1, currency: str = CZK) -> None:
        payer = self.source if currency == CZK else self.desk.account(Kind.FEE_INCOME, currency)
        self.meet(*pair_of(payer, payee, minor, currency))

    def command(self) -> Transfer:
        return self.desk.transferring(*self.legs)._replace(**self.fields)


def _leg_count(draft: Draft) -> None:
    payee = draft.desk.account()
    for _ in range(32):
        draft.legs += pair_of(draft.source, payee)


def _reused(draft: Draft) -> None:
    first = draft.desk.transferring(*pair_of(draft.source, draft.wallet))
    draft.desk.posted(first)
    draft.fields["transfer_id"] = first.transfer_id


def _low(draft: Draft) -> None:
    draft.meet(*pair_of(draft.desk.account(), draft.desk.account(Kind.FEE_INCOME)))


def _high(draft: Draft) -> None:
    capped = draft.desk.account()
    draft.desk.posted(SetBounds(draft.desk.id(), capped, None, 0, "x"), OPERATOR)
    draft.paying(capped)


def _over(draft: Draft) -> None:
    full = draft.desk.account()
    draft.desk.book.accounts[full].posted = INT64_MAX
    draft.paying(full)


def _unlike(draft: Draft) -> None:
    """A crown's account in euros."""
    draft.paying(draft.desk.account(), 1, "EUR")


def _locked(draft: Draft) -> None:
    draft.desk.posted(LockPeriod(draft.desk.id(), YESTERDAY), OPERATOR)
    draft.fields["value_date"] = YESTERDAY


def _set(**fields: Any) -> Callable[[Draft], None]:  # noqa: ANN401 - any field
    return lambda draft: draft.fields.update(fields)


TRANSFERS: dict[str, Callable[[Draft], None]] = {
    "ID_MALFORMED": _set(transfer_id="no id"),
    "FIELD_NOT_ALLOWED": _set(corrects=Correction("x", "")),
    "LEG_COUNT": _leg_count,
    "AMOUNT_NOT_POSITIVE": lambda draft: draft.paying(draft.desk.account(), 0),
    "AMOUNT_OUT_OF_RANGE": lambda draft: draft.paying(draft.desk.account(), MINOR_MAX + 1),
    "CURRENCY_UNKNOWN": lambda draft: draft.meet(*pair_of("a", "b", 1, "XXX")),
    "SAME_ACCOUNT_BOTH_SIDES": lambda draft: draft.meet(*pair_of("c", "c")),
    "LEGS_NOT_BALANCED": lambda draft: draft.meet(credit(draft.desk.account(), 1)),
    "DATE_MALFORMED": _set(value_date="yesterday"),
    "IDEMPOTENCY_KEY_REUSED": _reused,
    "ID_FROM_FUTURE": _set(transfer_id=AHEAD),
    "ACCOUNT_NOT_FOUND": lambda draft: draft.paying(draft.desk.id()),
    "ACCOUNT_CURRENCY_DIFFERS": _unlike,
    "ROUTE_NOT_ALLOWED": lambda draft: draft.paying(draft.desk.account(Kind.HOUSE)),
    "ACCOUNT_CLOSED": lambda draft: draft.paying(_closed(draft.desk, draft.desk.account())),
    "ACCOUNT_FROZEN_CREDIT": lambda draft: draft.paying(_frozen(draft.desk, draft.desk.account())),
    "PERIOD_LOCKED": _locked,
    "VALUE_DATE_TOO_OLD": _set(value_date="2026-01-01"),
    "VALUE_DATE_IN_FUTURE": _set(value_date="2026-12-01"),
    "FACT_ALREADY_POSTED": _set(fact_key="taken"),
    "BALANCE_TOO_LOW": _low,
    "BALANCE_TOO_HIGH": _high,
    "BALANCE_OVERFLOW": _over,
}
OF_TRANSFERS = _pairs(
    TRANSFERS,
    [
        frozenset({"ID_MALFORMED", "IDEMPOTENCY_KEY_REUSED", "ID_FROM_FUTURE"}),
        frozenset({"DATE_MALFORMED", "PERIOD_LOCKED", "VALUE_DATE_TOO_OLD"}),
        frozenset({"DATE_MALFORMED", "PERIOD_LOCKED", "VALUE_DATE_IN_FUTURE"}),
        frozenset({"VALUE_DATE_TOO_OLD", "VALUE_DATE_IN_FUTURE"}),
    ],
)


@pytest.mark.parametrize("pair", OF_TRANSFERS, ids="+".join)
def test_of_two_faults_of_a_transfer_the_earlier_is_told(pair: tuple[str, str]) -> None:
    for order in (pair, pair[::-1]):
        draft = Draft()
        for fault in order:
            TRANSFERS[fault](draft)
        assert _reason(draft.desk.do(draft.command())) == pair[0]


@pytest.mark.parametrize("fault", TRANSFERS)
def test_each_fault_of_a_transfer_is_told(fault: str) -> None:
    draft = Draft()
    assert _reason(draft.desk.do(draft.command())) == "POSTED"
    draft = Draft()
    TRANSFERS[fault](draft)
    assert _reason(draft.desk.do(draft.command())) == fault


@pytest.mark.parametrize("fault", [name for name in TRANSFERS if Reason[name].value > 20])
def test_linked_failed_stands_before_an_items_own_rules(fault: str) -> None:
    draft = Draft()
    poor = draft.desk.transferring(*pair_of(draft.desk.account(), draft.fees))
    TRANSFERS[fault](draft)
    decisions = draft.desk.link(Linked((poor, draft.command())))
    told = {_reason(decision) for decision in decisions}
    assert told <= {"BALANCE_TOO_LOW", "LINKED_FAILED", fault}
    if fault not in {"IDEMPOTENCY_KEY_REUSED", "ID_FROM_FUTURE"}:
        assert [_reason(decision) for decision in decisions] == ["BALANCE_TOO_LOW", "LINKED_FAILED"]


class Taking:
    """A capture being spoiled: what its hold, its destination and itself are like."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.wallet = self.desk.account(funds=100)
        fees = self.desk.account(Kind.FEE_INCOME)
        legs = (debit(self.wallet, 1), credit(fees, 1))
        self.desk.posted(self.desk.transferring(*legs, fact_key="taken"))
        self.kind, self.currency = Kind.MERCHANT, CZK
        self.account_faults: set[str] = set()
        self.hold_faults: set[str] = set()
        self.fields: dict[str, Any] = {}

    def command(self) -> CaptureHold:
        desk = self.desk
        seconds = 5 if "HOLD_EXPIRED" in self.hold_faults else 0
        other = desk.account() if "HOLD_TERMS_DIFFER" in self.hold_faults else ""
        hold_id = desk.posted(desk.placing(self.wallet, 50, other, seconds)).command_id
        if "HOLD_RELEASED" in self.hold_faults:
            desk.posted(desk.releasing(hold_id))
        if "HOLD_CAPTURED" in self.hold_faults:
            target = other or desk.account()
            desk.posted(desk.capturing(hold_id, None, target))
        desk.turn_page(seconds)
        command = desk.capturing(
            desk.id() if "HOLD_NOT_FOUND" in self.hold_faults else hold_id,
            51 if "CAPTURE_EXCEEDS_HOLD" in self.hold_faults else 50,
            self._destination(),
        )
        return command._replace(**self.fields)

    def _destination(self) -> str:
        desk = self.desk
        if "ACCOUNT_NOT_FOUND" in self.account_faults:
            return desk.id()
        account_id = desk.account(self.kind, self.currency)
        if "BALANCE_TOO_HIGH" in self.account_faults:
            desk.posted(SetBounds(desk.id(), account_id, None, 0, "x"), OPERATOR)
        if "BALANCE_OVERFLOW" in self.account_faults:
            desk.book.accounts[account_id].posted = INT64_MAX
        if "ACCOUNT_FROZEN_CREDIT" in self.account_faults:
            _frozen(desk, account_id, FreezeSide.CREDIT)
        if "ACCOUNT_FROZEN_DEBIT" in self.account_faults:
            _frozen(desk, self.wallet, FreezeSide.DEBIT)
        if "ACCOUNT_CLOSED" in self.account_faults:
            _closed(desk, account_id)
        return account_id


def _taken_before(taking: Taking) -> None:
    desk = taking.desk
    taking.fields["capture_id"] = desk.posted(desk.placing(taking.wallet, 1)).command_id


def _on(group: str, fault: str) -> Callable[[Taking], None]:
    return lambda taking: getattr(taking, group).add(fault)


def _like(**fields: Any) -> Callable[[Taking], None]:  # noqa: ANN401 - any field
    return lambda taking: taking.fields.update(fields)


def _of(**attributes: Any) -> Callable[[Taking], None]:  # noqa: ANN401 - any attribute
    return lambda taking: taking.__dict__.update(attributes)


ENDS = frozenset({"HOLD_EXPIRED", "HOLD_CAPTURED", "HOLD_RELEASED"})
CAPTURES: dict[str, Callable[[Taking], None]] = {
    "ID_MALFORMED": _like(capture_id="no id"),
    "FIELD_NOT_ALLOWED": _like(purpose="\x1f"),
    "AMOUNT_NOT_POSITIVE": _like(obligation=banks(0)),
    "AMOUNT_OUT_OF_RANGE": _like(obligation=banks(MINOR_MAX + 1)),
    "CURRENCY_UNKNOWN": _like(obligation=banks(1)._replace(currency="XXX")),
    "IDEMPOTENCY_KEY_REUSED": _taken_before,
    "ID_FROM_FUTURE": _like(capture_id=AHEAD),
    "ACCOUNT_NOT_FOUND": _on("account_faults", "ACCOUNT_NOT_FOUND"),
    "ACCOUNT_CURRENCY_DIFFERS": _of(currency="EUR"),
    "ROUTE_NOT_ALLOWED": _of(kind=Kind.SUSPENSE_LONG),
    "ACCOUNT_CLOSED": _on("account_faults", "ACCOUNT_CLOSED"),
    "ACCOUNT_FROZEN_DEBIT": _on("account_faults", "ACCOUNT_FROZEN_DEBIT"),
    "ACCOUNT_FROZEN_CREDIT": _on("account_faults", "ACCOUNT_FROZEN_CREDIT"),
    "HOLD_NOT_FOUND": _on("hold_faults", "HOLD_NOT_FOUND"),
    "HOLD_TERMS_DIFFER": _on("hold_faults", "HOLD_TERMS_DIFFER"),
    **{end: _on("hold_faults", end) for end in sorted(ENDS)},
    "CAPTURE_EXCEEDS_HOLD": _on("hold_faults", "CAPTURE_EXCEEDS_HOLD"),
    "FACT_ALREADY_POSTED": _like(fact_key="taken"),
    "BALANCE_TOO_HIGH": _on("account_faults", "BALANCE_TOO_HIGH"),
    "BALANCE_OVERFLOW": _on("account_faults", "BALANCE_OVERFLOW"),
}
IN_OBLIGATION = frozenset({"AMOUNT_NOT_POSITIVE", "AMOUNT_OUT_OF_RANGE", "CURRENCY_UNKNOWN"})
OF_CAPTURES = _pairs(
    CAPTURES,
    [
        frozenset({"ID_MALFORMED", "IDEMPOTENCY_KEY_REUSED", "ID_FROM_FUTURE"}),
        IN_OBLIGATION,
        ENDS,
        frozenset({"ACCOUNT_CLOSED", "BALANCE_OVERFLOW"}),  # what is closed was empty
        frozenset({"ACCOUNT_FROZEN_DEBIT", "ACCOUNT_FROZEN_CREDIT"}),  # one row
        frozenset({"ACCOUNT_FROZEN_DEBIT", "HOLD_NOT_FOUND"}),  # the hold names the account
    ],
)


@pytest.mark.parametrize("pair", OF_CAPTURES, ids="+".join)
def test_of_two_faults_of_a_capture_the_earlier_is_told(pair: tuple[str, str]) -> None:
    taking = Taking()
    for fault in pair:
        CAPTURES[fault](taking)
    assert _reason(taking.desk.do(taking.command())) == pair[0]


@pytest.mark.parametrize("fault", CAPTURES)
def test_each_fault_of_a_capture_is_told(fault: str) -> None:
    taking = Taking()
    assert _reason(taking.desk.do(taking.command())) == "POSTED"
    taking = Taking()
    CAPTURES[fault](taking)
    assert _reason(taking.desk.do(taking.command())) == fault


class Swapping:
    """An exchange being spoiled."""

    def __init__(self) -> None:
        desk = self.desk = Desk()
        self.seller, self.euros = desk.account(funds=100), desk.account(currency="EUR")
        fees = desk.account(Kind.FEE_INCOME)
        legs = (debit(self.seller, 1), credit(fees, 1))
        desk.posted(desk.transferring(*legs, fact_key="taken"))
        self.sold, self.seconds, self.is_known, self.is_used = 50, 60, True, False
        self.bought = 0
        self.changed: dict[str, Any] = {}
        self.fields: dict[str, Any] = {}

    def command(self) -> Transfer:
        desk = self.desk
        quote = GiveQuote(
            desk.id(), CZK, "EUR", 1, 1, QuoteSide.SOLD, self.sold, 0, self.seconds, ""
        )
        desk.posted(quote)
        exchange = Exchange(
            quote.quote_id,
            Amount(CZK, self.sold),
            Amount("EUR", self.sold),
            self.seller,
            self.euros,
            desk.account(Kind.FX_POSITION),
            desk.account(Kind.FX_POSITION, "EUR"),
            desk.account(Kind.FEE_INCOME, "EUR"),
        )
        if self.is_used:
            desk.fund(self.seller, self.sold)
            desk.posted(desk.transferring()._replace(computed=exchange))
        if not self.is_known:
            exchange = exchange._replace(quote_id=desk.id())
        desk.turn_page(self.seconds if self.seconds == 1 else 0)
        command = desk.transferring()._replace(computed=exchange._replace(**self.changed))
        return command._replace(**self.fields)


SWAPS: dict[str, Callable[[Swapping], None]] = {
    "ACCOUNT_NOT_FOUND": lambda swap: swap.changed.update(buyer=swap.desk.id()),
    "ACCOUNT_CURRENCY_DIFFERS": lambda swap: swap.changed.update(
        spread_account=swap.desk.account(Kind.FEE_INCOME)
    ),
    "ROUTE_NOT_ALLOWED": lambda swap: swap.changed.update(
        sold_position=swap.desk.account(Kind.FEE_INCOME)
    ),
    "ACCOUNT_CLOSED": lambda swap: swap.changed.update(
        bought_position=_closed(swap.desk, swap.desk.account(Kind.FX_POSITION, "EUR"))
    ),
    "ACCOUNT_FROZEN_CREDIT": lambda swap: swap.changed.update(
        buyer=_frozen(swap.desk, swap.desk.account(currency="EUR"))
    ),
    "VALUE_DATE_TOO_OLD": lambda swap: swap.fields.update(value_date="2020-01-01"),
    "QUOTE_NOT_FOUND": lambda swap: swap.__dict__.update(is_known=False),
    "QUOTE_USED": lambda swap: swap.__dict__.update(is_used=True),
    "QUOTE_EXPIRED": lambda swap: swap.__dict__.update(seconds=1),
    "QUOTE_TERMS_DIFFER": lambda swap: swap.changed.update(bought=Amount("EUR", 7)),
    "FACT_ALREADY_POSTED": lambda swap: swap.fields.update(fact_key="taken"),
    "BALANCE_TOO_LOW": lambda swap: swap.__dict__.update(sold=900),
}
OF_SWAPS = _pairs(SWAPS, [frozenset({"ACCOUNT_NOT_FOUND", "ACCOUNT_FROZEN_CREDIT"})])


@pytest.mark.parametrize("pair", OF_SWAPS, ids="+".join)
def test_of_two_faults_of_an_exchange_the_earlier_is_told(pair: tuple[str, str]) -> None:
    swap = Swapping()
    for fault in pair:
        SWAPS[fault](swap)
    assert _reason(swap.desk.do(swap.command())) == pair[0]


@pytest.mark.parametrize("fault", SWAPS)
def test_each_fault_of_an_exchange_is_told(fault: str) -> None:
    swap = Swapping()
    assert _reason(swap.desk.do(swap.command())) == "POSTED"
    swap = Swapping()
    SWAPS[fault](swap)
    assert _reason(swap.desk.do(swap.command())) == fault


class Splitting:
    """A template being spoiled in its shape."""

    def __init__(self) -> None:
        desk = self.desk = Desk()
        self.payer, self.payee = desk.account(funds=10), desk.account()
        self.template = Template(1, Amount(CZK, 9), (Source(self.payer, None),), 0, ())
        self.parts = [Part(self.payee, is_rest=True)]
        self.fields: dict[str, Any] = {}

    def change(self, **fields: Any) -> None:  # noqa: ANN401 - any field
        self.template = self.template._replace(**fields)

    def command(self) -> Transfer:
        template = self.template._replace(parts=tuple(self.parts))
        return self.desk.transferring()._replace(computed=template, **self.fields)


SPLITS: dict[str, Callable[[Splitting], None]] = {
    "ID_MALFORMED": lambda split: split.fields.update(transfer_id="no id"),
    "FIELD_NOT_ALLOWED": lambda split: split.change(version=2),
    "LEG_COUNT": lambda split: split.parts.extend([Part(split.payee, share=0)] * 63),
    "AMOUNT_NOT_POSITIVE": lambda split: split.parts.append(Part(split.payee, fixed=0)),
    "AMOUNT_OUT_OF_RANGE": lambda split: split.change(
        sources=(Source(split.payer, MINOR_MAX + 1),)
    ),
    "CURRENCY_UNKNOWN": lambda split: split.change(amount=Amount("XXX", 9)),
    "SAME_ACCOUNT_BOTH_SIDES": lambda split: split.parts.append(Part(split.payer, fixed=1)),
    "SPLIT_INVALID": lambda split: split.parts.append(Part(split.payee, is_rest=True)),
    "DATE_MALFORMED": lambda split: split.fields.update(value_date="2026-02-30"),
    "VALUE_DATE_TOO_OLD": lambda split: split.fields.update(value_date="2020-01-01"),
    "BALANCE_TOO_LOW": lambda split: split.change(amount=Amount(CZK, 11)),
}
OF_SPLITS = _pairs(
    SPLITS,
    [
        frozenset({"DATE_MALFORMED", "VALUE_DATE_TOO_OLD"}),
        frozenset({"CURRENCY_UNKNOWN", "BALANCE_TOO_LOW"}),
    ],
)


@pytest.mark.parametrize("pair", OF_SPLITS, ids="+".join)
def test_of_two_faults_of_a_template_the_earlier_is_told(pair: tuple[str, str]) -> None:
    split = Splitting()
    for fault in pair:
        SPLITS[fault](split)
    if pair == ("LEG_COUNT", "SPLIT_INVALID"):
        split.change(whole=1)
    assert _reason(split.desk.do(split.command())) == pair[0]


def test_rows_are_checked_in_the_order_in_which_reasons_are_named() -> None:
    """The table is the order of `Reason`; what is tested in pairs above is in it."""
    for faults in (TRANSFERS, CAPTURES, SWAPS, SPLITS):
        named = [fault for fault in faults if fault not in ENDS]
        assert named == sorted(named, key=lambda fault: Reason[fault].value)


# Account commands: what each meets, in the table's order.
def _full(desk: Desk) -> str:
    account_id = desk.account(funds=10)
    desk.posted(desk.placing(account_id, 4))
    return account_id


ACCOUNTS: list[tuple[str, Callable[[Desk], Command]]] = [
    ("ID_MALFORMED", lambda desk: CloseAccount("x", desk.id())),
    ("ID_FROM_FUTURE", lambda desk: CloseAccount(AHEAD, desk.id())),
    ("ACCOUNT_NOT_FOUND", lambda desk: CloseAccount(desk.id(), desk.id())),
    (
        "ACCOUNT_CLOSED",
        lambda desk: FreezeAccount(desk.id(), _closed(desk, desk.account()), 1, "x", False),  # noqa: FBT003
    ),
    ("ACCOUNT_HAS_HOLDS", lambda desk: CloseAccount(desk.id(), _full(desk))),
    ("ACCOUNT_NOT_EMPTY", lambda desk: CloseAccount(desk.id(), desk.account(funds=1))),
    (
        "ACCOUNT_CLOSED",
        lambda desk: SetBounds(desk.id(), _closed(desk, desk.account()), -5, None, "x"),
    ),
    ("PERIOD_NOT_ENDED", lambda desk: LockPeriod(desk.id(), TODAY)),
]


@pytest.mark.parametrize(("reason", "command"), ACCOUNTS)
def test_account_commands_are_refused_in_their_order(
    reason: str, command: Callable[[Desk], Command]
) -> None:
    desk = Desk()
    assert _reason(desk.do(command(desk), OPERATOR)) == reason
