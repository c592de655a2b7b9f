"""Random days of a journal, and what its balances were by adding up every leg from the first."""

import random
from dataclasses import dataclass, replace
from datetime import date, timedelta

from services.accounts.domain.commands import MoveBusinessDate
from services.accounts.domain.entries import Entry, HoldCaptured, TransferPosted
from services.accounts.domain.kinds import Direction, Kind, sign_of
from tests.services.accounts.desk import OPERATOR, SETTLEMENT, TODAY, Desk, credit, debit

# Posts to every kind of account, and may date back.
ANYBODY = replace(SETTLEMENT, posts_to=frozenset(Kind))
KINDS = (Kind.CUSTOMER_WALLET, Kind.MERCHANT, Kind.BANK_MIRROR, Kind.IN_TRANSIT_IN)


@dataclass
class History:
    """A desk, its accounts by kind, and a draw that is the same in every run."""

    desk: Desk
    accounts: dict[str, Kind]
    draw: random.Random

    @property
    def days(self) -> list[str]:
        """All days that anything could be dated, and some on either side."""
        first = date.fromisoformat(TODAY) - timedelta(days=40)
        return [(first + timedelta(days=n)).isoformat() for n in range(80)]


def history(seed: int, pages: int, per_page: int, per_day: int = 7) -> History:
    """Transfers, some dated back, holds and captures, over pages and business days."""
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    desk = Desk()
    accounts = {desk.account(kind): kind for kind in KINDS for _ in range(3)}
    house = desk.account(Kind.HOUSE)
    for account_id, kind in accounts.items():
        legs = (debit(house, 10_000), credit(account_id, 10_000))
        if sign_of(kind) < 0:
            legs = (debit(account_id, 10_000), credit(house, 10_000))
        desk.transfer(*legs, caller=ANYBODY)
    accounts[house] = Kind.HOUSE
    made = History(desk, accounts, draw)
    for number in range(pages):
        desk.turn_page(draw.choice((0, 1, 3_600)))
        if number % per_day == per_day - 1:
            today = date.fromisoformat(desk.book.business_date) + timedelta(days=1)
            desk.posted(MoveBusinessDate(desk.id(), today.isoformat()), OPERATOR)
        for _ in range(per_page):
            _one(made)
    return made


def _one(made: History) -> None:
    desk, draw = made.desk, made.draw
    payer, payee = draw.sample(sorted(made.accounts), 2)
    if draw.random() < 0.3 and made.accounts[payer] is Kind.CUSTOMER_WALLET:
        hold_id = desk.id()
        placing = desk.placing(payer, draw.randint(1, 300))._replace(hold_id=hold_id)
        desk.do(placing, ANYBODY)
        desk.do(desk.capturing(hold_id, draw.randint(1, 300), payee), ANYBODY)
        return
    today = date.fromisoformat(desk.book.business_date)
    dated = (today - timedelta(days=draw.choice((0, 0, 1, 5, 29)))).isoformat()
    minor = draw.randint(1, 3_000)
    moving = desk.transferring(debit(payer, minor), credit(payee, minor), value_date=dated)
    desk.do(moving, ANYBODY)


@dataclass(frozen=True)
class Truth:
    """What a fold of every leg says."""

    posted: int
    held: int
    incoming: int
    seq: int


def folded(made: History, account_id: str, position: int, value_date: str | None = None) -> Truth:
    """Every leg from the first on, one after the other."""
    posted = held = incoming = seq = 0
    for entries in made.desk.pages[: position + 1]:
        for entry in entries:
            for balance in entry.balances:
                if balance.account_id == account_id:
                    held, incoming, seq = balance.held, balance.incoming, balance.account_seq
            if value_date is None or entry.value_date <= value_date:
                posted += _moved(entry, account_id)
    return Truth(sign_of(made.accounts[account_id]) * posted, held, incoming, seq)


def _moved(entry: Entry, account_id: str) -> int:
    if not isinstance(entry.fact, TransferPosted | HoldCaptured):
        return 0
    return sum(
        leg.minor if leg.direction == Direction.CREDIT else -leg.minor
        for leg in entry.fact.legs
        if leg.account_id == account_id
    )
