"""Balances once more, as plainly as can be: figures folded from entries, nothing kept."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.accounts.domain.entries import (
    AccountOpened,
    Entry,
    HoldCaptured,
    HoldExpired,
    HoldPlaced,
    HoldReleased,
    PostedLeg,
    TransferPosted,
    WindowOpened,
    WindowSealed,
)
from services.accounts.domain.kinds import DEBIT_NORMAL, Direction, Kind


@dataclass
class Reference:
    """Everything in dictionaries by account or hold; sums are taken anew each time."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    currencies: dict[str, str] = field(default_factory=dict)
    legs: list[PostedLeg] = field(default_factory=list)
    holds: dict[str, tuple[str, str]] = field(default_factory=dict)
    remaining: dict[str, int] = field(default_factory=dict)
    placed: dict[str, int] = field(default_factory=dict)
    ended: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, entry: Entry) -> None:
        match entry.fact:
            case AccountOpened(account_id, _, kind, currency, _):
                self._open(account_id, Kind(kind), currency)
            case WindowOpened(_, _, currency, account_id, _):
                self._open(account_id, Kind.CLEARING, currency)
            case WindowSealed() as sealed:
                self._open(sealed.next_clearing_account_id, Kind.CLEARING, sealed.currency)
            case TransferPosted(legs, _, _):
                self.legs += legs
            case HoldPlaced(hold_id, account_id, amount, destination, _, _):
                self.holds[hold_id] = (account_id, destination)
                self.placed[hold_id] = self.remaining[hold_id] = amount.minor
            case HoldCaptured() as captured:
                self.legs += captured.legs
                self._end(captured.hold_id, "captured", captured.amount.minor)
                self._end(captured.hold_id, "released", captured.released)
            case HoldReleased(hold_id, amount, _):
                self._end(hold_id, "released", amount.minor)
            case HoldExpired(hold_id, amount):
                self._end(hold_id, "expired", amount.minor)

    def posted(self, account_id: str) -> int:
        sides = {Direction.CREDIT: 1, Direction.DEBIT: -1}
        mine = (leg for leg in self.legs if leg.account_id == account_id)
        credits_minus_debits = sum(sides[Direction(leg.direction)] * leg.minor for leg in mine)
        return (
            -credits_minus_debits
            if self.kinds[account_id] in DEBIT_NORMAL
            else credits_minus_debits
        )

    def held(self, account_id: str) -> int:
        mine = (id_ for id_, (source, _) in self.holds.items() if source == account_id)
        return sum(self.remaining[id_] for id_ in mine)

    def incoming(self, account_id: str) -> int:
        mine = (id_ for id_, (_, to) in self.holds.items() if to == account_id)
        return sum(self.remaining[id_] for id_ in mine)

    def imbalances(self) -> dict[str, int]:
        """Credits minus debits by currency, where that is not 0."""
        sums: dict[str, int] = defaultdict(int)
        for leg in self.legs:
            sums[leg.currency] += leg.minor if leg.direction == Direction.CREDIT else -leg.minor
        return {currency: total for currency, total in sums.items() if total}

    def unexplained_holds(self) -> Iterable[str]:
        """Holds whose amount is not captured + released + expired + remaining."""
        for hold_id, amount in self.placed.items():
            if amount != sum(self.ended[hold_id].values()) + self.remaining[hold_id]:
                yield hold_id

    def _open(self, account_id: str, kind: Kind, currency: str) -> None:
        self.kinds[account_id], self.currencies[account_id] = kind, currency

    def _end(self, hold_id: str, how: str, minor: int) -> None:
        self.remaining[hold_id] -= minor
        ended = self.ended[hold_id]
        ended[how] = ended.get(how, 0) + minor
