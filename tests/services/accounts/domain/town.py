"""A town at random: accounts of every kind that matters, and commands about them, good and bad."""

import random
from collections.abc import Callable

from services.accounts.domain.callers import Caller
from services.accounts.domain.commands import (
    Amount,
    Balancing,
    CloseAccount,
    CloseWindow,
    Command,
    Exchange,
    FreezeAccount,
    GiveQuote,
    Item,
    Linked,
    LockPeriod,
    MoveBusinessDate,
    OpenAccount,
    OpenWindow,
    Part,
    ReopenAccount,
    SealWindow,
    SetBounds,
    Source,
    Template,
    UnfreezeAccount,
)
from services.accounts.domain.kinds import Direction, FreezeSide, Kind, QuoteSide
from tests.services.accounts.desk import (
    BANK,
    CZK,
    OPERATOR,
    PAYMENTS,
    SETTLEMENT,
    Desk,
    banks,
    clearing,
    credit,
    debit,
    ours,
)

Drawn = tuple[Command, Caller]


class Town:
    """Accounts of every kind that matters, and commands about them, good and bad, at random."""

    def __init__(self, pick: random.Random) -> None:
        self.pick = pick
        desk = self.desk = Desk()
        self.wallets = [desk.account(funds=1_000) for _ in range(4)]
        self.merchant, self.fees = desk.account(Kind.MERCHANT), desk.account(Kind.FEE_INCOME)
        self.in_transit, self.out = (
            desk.account(Kind.IN_TRANSIT_IN),
            desk.account(Kind.IN_TRANSIT_OUT),
        )
        self.euros = desk.account(currency="EUR")
        self.euro_fees = desk.account(Kind.FEE_INCOME, "EUR")
        self.positions = desk.account(Kind.FX_POSITION), desk.account(Kind.FX_POSITION, "EUR")
        self.windows = [desk.window()]
        self.sent: list[Drawn] = []
        self.opened: list[str] = []

    def command(self) -> Drawn:
        """Any command; now and then one sent before, or one under a used id."""
        pick = self.pick
        dice = pick.random()
        if self.sent and dice < 0.08:
            return pick.choice(self.sent)
        drawn = pick.choice(MAKERS)(self)
        if self.sent and dice < 0.12:
            used = pick.choice(self.sent)[0][0]
            first = type(drawn[0])._fields[0]
            drawn = (drawn[0]._replace(**{first: used}), drawn[1])  # type: ignore[arg-type]
        self.sent.append(drawn)
        return drawn

    def minor(self) -> int:
        often = [1, 5, 8, 20, 40, 60, 90]
        return self.pick.choice([*often, *often, 400, 1_200, 0])

    def account(self) -> str:
        """Mostly a wallet."""
        if self.pick.random() < 0.8:
            return self.pick.choice(self.wallets)
        others = [self.merchant, self.fees, self.fees, self.euros, self.desk.id()]
        return self.pick.choice([*others, *self.opened[-2:]])

    def hold_id(self) -> str:
        holds = list(self.desk.book.holds.values())
        standing = [hold.hold_id for hold in holds if hold.end is None]
        if standing and self.pick.random() < 0.8:
            return self.pick.choice(standing[-4:])
        return self.pick.choice([*[hold.hold_id for hold in holds][-3:], self.desk.id()])

    def fact_key(self) -> str:
        return self.pick.choice(["", "", "", "sale/1", "sale/2"])


def _transfer(town: Town) -> Drawn:
    minor = town.minor()
    legs = (debit(town.account(), minor), credit(town.account(), minor))
    date = town.pick.choice(["", "", "", "2026-09-20", "2026-09-20", "2026-08-01", "2026-10-20"])
    return town.desk.transferring(*legs, fact_key=town.fact_key(), value_date=date), PAYMENTS


def _into_window(town: Town) -> Drawn:
    minor = town.minor()
    legs = (debit(town.account(), minor), clearing(Direction.CREDIT, minor))
    return town.desk.transferring(*legs, obligation=banks(minor)), PAYMENTS


def _top_up(town: Town) -> Drawn:
    minor = town.minor()
    legs = (debit(town.in_transit, minor), credit(town.account(), minor))
    return town.desk.transferring(*legs, obligation=ours(minor)), PAYMENTS


def _balancing(town: Town) -> Drawn:
    minor = town.minor()
    command = town.desk.transferring(
        debit(town.account(), minor), credit(town.account(), minor), fact_key=town.fact_key()
    )
    return command._replace(computed=Balancing(town.pick.choice([0, 1]), 0)), PAYMENTS


def _template(town: Town) -> Drawn:
    pick = town.pick
    sources = tuple(Source(town.account(), pick.choice([None, 90])) for _ in range(2))
    parts = (
        Part(town.fees, fixed=5),
        Part(town.merchant, share=pick.choice([3, 3, 7, 7, 11])),
        Part(pick.choice([town.merchant, town.account()]), is_rest=True),
    )
    if pick.random() < 0.5:
        parts = (
            Part(town.merchant, share=3),
            Part(town.merchant, share=5),
            Part(town.fees, share=2),
        )
    template = Template(1, Amount(CZK, town.minor()), sources, 10, parts)
    return town.desk.transferring()._replace(computed=template), PAYMENTS


def _quote(town: Town) -> Drawn:
    desk, seconds = town.desk, town.pick.choice([1, 600, 80_000])
    given = town.minor() * 25
    return (
        GiveQuote(desk.id(), CZK, "EUR", 1, 25, QuoteSide.SOLD, given, 1, seconds, ""),
        PAYMENTS,
    )


def _exchange(town: Town) -> Drawn:
    quotes = list(town.desk.book.quotes.values())
    if not quotes:
        return _quote(town)
    given = town.pick.choice(quotes[-4:]).given
    bought = given.bought if town.pick.random() < 0.9 else Amount("EUR", 9)
    exchange = Exchange(
        given.quote_id,
        given.sold,
        bought,
        town.account(),
        town.euros,
        *town.positions,
        town.euro_fees,
    )
    return town.desk.transferring()._replace(computed=exchange), PAYMENTS


def _place(town: Town) -> Drawn:
    seconds = town.pick.choice([0, 5, 60])
    destination = town.pick.choice(["", town.merchant, town.account()])
    return town.desk.placing(town.account(), town.minor(), destination, seconds), PAYMENTS


def _capture(town: Town) -> Drawn:
    pick = town.pick
    hold_id = town.hold_id()
    hold = town.desk.book.holds.get(("payments", hold_id))
    named = hold.destination if hold else ""
    target = pick.choice([named or town.merchant, named or town.merchant, "", town.account()])
    minor = pick.choice([None, 1, town.minor()])
    bank = {"bank_id": BANK, "obligation": banks(1)} if pick.random() < 0.2 else {}
    command = town.desk.capturing(
        hold_id,
        minor,
        "" if bank else target,
        is_final=pick.random() < 0.3,
        fact_key=town.fact_key(),
        **bank,  # type: ignore[arg-type]
    )
    return command, PAYMENTS


def _release(town: Town) -> Drawn:
    return town.desk.releasing(town.hold_id(), town.pick.choice([None, town.minor()])), PAYMENTS


def _open(town: Town) -> Drawn:
    owner = town.pick.choice(["ann", "bob", town.desk.id()])
    opening = OpenAccount(town.desk.id(), owner, Kind.CUSTOMER_WALLET, CZK, 0, "", None)
    town.opened.append(opening.account_id)
    return opening._replace(ceiling=town.pick.choice([None, 50])), OPERATOR


def _freeze(town: Town) -> Drawn:
    side = town.pick.choice(list(FreezeSide))
    account_id = town.pick.choice([town.wallets[0], town.account(), *town.opened])
    stops = town.pick.random() < 0.5
    return FreezeAccount(town.desk.id(), account_id, side, "x", stops), OPERATOR


def _unfreeze(town: Town) -> Drawn:
    accounts = town.desk.book.accounts.values()
    frozen = [(freeze_id, a.account_id) for a in accounts for freeze_id in a.freezes]
    freeze_id, account_id = town.pick.choice(frozen or [(town.desk.id(), town.account())])
    return UnfreezeAccount(town.desk.id(), freeze_id, account_id), OPERATOR


def _close(town: Town) -> Drawn:
    account_id = town.pick.choice([town.account(), *town.opened[-1:]])
    return CloseAccount(town.desk.id(), account_id), OPERATOR


def _reopen(town: Town) -> Drawn:
    account_id = town.pick.choice([town.account(), *town.opened[-1:]])
    return ReopenAccount(town.desk.id(), account_id, "x"), OPERATOR


def _bounds(town: Town) -> Drawn:
    floor = town.pick.choice([None, -100])
    account_id = town.pick.choice([town.merchant, town.account(), town.wallets[1]])
    return (
        SetBounds(town.desk.id(), account_id, floor, town.pick.choice([None, 700, 1_020]), "x"),
        OPERATOR,
    )


def _move(town: Town) -> Drawn:
    to_date = town.pick.choice(["2026-09-21", "2026-09-22", "2026-09-25"])
    return MoveBusinessDate(town.desk.id(), to_date, ""), OPERATOR


def _lock(town: Town) -> Drawn:
    return LockPeriod(
        town.desk.id(), town.pick.choice(["2026-09-19", "2026-09-20", "2026-09-20", "2026-09-21"])
    ), OPERATOR


def _seal(town: Town) -> Drawn:
    next_id = town.desk.id()
    window_id = town.pick.choice(list(town.desk.book.windows))
    return SealWindow(next_id, window_id), SETTLEMENT


def _close_window(town: Town) -> Drawn:
    return CloseWindow(town.pick.choice(list(town.desk.book.windows))), SETTLEMENT


def _open_window(town: Town) -> Drawn:
    return OpenWindow(town.desk.id(), town.pick.choice([BANK, "AB"]), CZK), SETTLEMENT


MAKERS: list[Callable[[Town], Drawn]] = [
    _transfer,
    _transfer,
    _transfer,
    _transfer,
    _into_window,
    _top_up,
    _balancing,
    _template,
    _quote,
    _exchange,
    _place,
    _place,
    _capture,
    _capture,
    _release,
    _open,
    _freeze,
    _unfreeze,
    _unfreeze,
    _close,
    _reopen,
    _bounds,
    _move,
    _lock,
    _seal,
    _close_window,
    _open_window,
]


def item_of(town: Town) -> tuple[Item, Caller]:
    if town.pick.random() < 0.85:
        return town.command()
    members = [draw for draw in (town.command() for _ in range(12)) if draw[1] is PAYMENTS]
    commands = tuple(command for command, _ in members[: town.pick.choice([2, 2, 3, 4])])
    return (Linked(commands), PAYMENTS) if commands else town.command()
