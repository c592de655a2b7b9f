"""Balances made from the legs of the journal's entries alone, by other code than the journal's own.

What each entry says of the balances after it is compared with what its legs come to.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from hefu.accounts.v1 import events_pb2 as pb

_DEBIT_NORMAL = frozenset(
    {
        pb.ACCOUNT_KIND_BANK_MIRROR,
        pb.ACCOUNT_KIND_IN_TRANSIT_IN,
        pb.ACCOUNT_KIND_SUSPENSE_SHORT,
    }
)


@dataclass(slots=True)
class Balance:
    """Figures in minor units; `credit` is credits minus debits, whatever the normal side."""

    kind: int
    currency: str
    credit: int = 0
    held: int = 0
    incoming: int = 0
    seq: int = 0

    @property
    def posted(self) -> int:
        """On the normal side."""
        return -self.credit if self.kind in _DEBIT_NORMAL else self.credit


@dataclass(slots=True)
class _Hold:
    account_id: str
    destination: str
    remaining: int


@dataclass(slots=True)
class Ledger:
    """Accounts and what remains of holds, after the entries so far."""

    accounts: dict[str, Balance] = field(default_factory=dict)
    _holds: dict[tuple[str, str], _Hold] = field(default_factory=dict)
    # What is set aside for transfers over several shards, by its id.
    _reserved: dict[str, list[pb.SetAside]] = field(default_factory=dict)

    def take(self, entry: pb.Entry) -> Iterator[str]:
        """Take an entry in; what it says that its legs do not. The next one goes on from its words.

        Going on from there keeps one wrong entry from making all that follow look wrong.
        """
        touched = {after.account_id for after in entry.balances}
        fact = entry.WhichOneof("fact")
        yield from self._move(entry, fact, touched)
        for after in entry.balances:
            balance = self.accounts.get(after.account_id)
            if balance is None:
                yield f"account {after.account_id} was never opened"
                continue
            yield from _differences(after, balance)
            balance.seq = after.account_seq
            balance.credit += (after.posted_minor - balance.posted) * _sign(balance)
            balance.held, balance.incoming = after.held_minor, after.incoming_minor

    def _move(  # noqa: C901, PLR0912 - one case each
        self, entry: pb.Entry, fact: str | None, touched: set[str]
    ) -> Iterator[str]:
        match fact:
            case "transfer_posted":
                yield from self._legs(entry.transfer_posted.legs, touched)
            case "crossing_ended":
                yield from self._legs(entry.crossing_ended.legs, touched)
            case "hold_placed":
                placed = entry.hold_placed
                hold = _Hold(placed.account_id, placed.destination_account_id, 0)
                self._holds[entry.caller, placed.hold_id] = hold
                self._hold(hold, placed.amount.minor_units)
            case "hold_captured":
                captured = entry.hold_captured
                yield from self._legs(captured.legs, touched)
                yield from self._lessen(entry.caller, captured.hold_id, captured.remaining_minor)
            case "hold_released":
                released = entry.hold_released
                yield from self._lessen(entry.caller, released.hold_id, released.remaining_minor)
            case "hold_expired":
                yield from self._lessen(entry.caller, entry.hold_expired.hold_id, 0)
            case "part_reserved":
                reserved = entry.part_reserved
                self._reserved[reserved.reservation_id] = list(reserved.means)
                self._set_aside(reserved.means, 1)
            case "part_released":
                means = self._reserved.pop(entry.part_released.reservation_id, None)
                if means is None:
                    yield f"{entry.part_released.reservation_id} was never set aside"
                self._set_aside(means or (), -1)
            case "account_opened":
                opened = entry.account_opened
                self._open(opened.account_id, opened.kind, opened.currency_code)
            case "window_opened":
                window = entry.window_opened
                self._open(
                    window.clearing_account_id, pb.ACCOUNT_KIND_CLEARING, window.currency_code
                )
            case "window_sealed":
                sealed = entry.window_sealed
                self._open(
                    sealed.next_clearing_account_id, pb.ACCOUNT_KIND_CLEARING, sealed.currency_code
                )
            case None:
                yield "it says nothing of what happened"

    def _open(self, account_id: str, kind: int, currency: str) -> None:
        self.accounts[account_id] = Balance(kind, currency)

    def _legs(self, legs: Iterable[pb.PostedLeg], touched: set[str]) -> Iterator[str]:
        sums: Counter[str] = Counter()
        for leg in legs:
            minor = leg.amount.minor_units
            signed = minor if leg.direction == pb.DIRECTION_CREDIT else -minor
            sums[leg.amount.currency_code] += signed
            balance = self.accounts.get(leg.account_id)
            if balance is None:
                yield f"account {leg.account_id} was never opened"
                continue
            balance.credit += signed
            if balance.currency != leg.amount.currency_code:
                yield f"account {leg.account_id} is not of {leg.amount.currency_code}"
            if leg.account_id not in touched:
                yield f"account {leg.account_id} moves and its balance is not stated"
        for currency, total in sums.items():
            if total:
                yield f"its legs do not balance: {total} minor units of {currency}"

    def _set_aside(self, means: Iterable[pb.SetAside], sign: int) -> None:
        for each in means:
            balance = self.accounts.get(each.account_id)
            if balance is not None:
                balance.held += sign * each.held_minor
                balance.incoming += sign * each.incoming_minor

    def _lessen(self, caller: str, hold_id: str, remaining: int) -> Iterator[str]:
        hold = self._holds.get((caller, hold_id))
        if hold is None:
            yield f"hold {hold_id} was never placed"
            return
        self._hold(hold, remaining - hold.remaining)
        if not remaining:
            del self._holds[caller, hold_id]

    def _hold(self, hold: _Hold, minor: int) -> None:
        hold.remaining += minor
        if hold.account_id in self.accounts:
            self.accounts[hold.account_id].held += minor
        if hold.destination in self.accounts:
            self.accounts[hold.destination].incoming += minor


def _sign(balance: Balance) -> int:
    return -1 if balance.kind in _DEBIT_NORMAL else 1


def _differences(after: pb.BalanceAfter, balance: Balance) -> Iterator[str]:
    name = f"account {after.account_id}"
    if after.account_seq != balance.seq + 1:
        yield f"{name}: entry {after.account_seq} follows entry {balance.seq}"
    for figure, stated, made in (
        ("posted", after.posted_minor, balance.posted),
        ("held", after.held_minor, balance.held),
        ("incoming", after.incoming_minor, balance.incoming),
    ):
        if stated != made:
            yield f"{name}: {figure} is said to be {stated}, the legs make it {made}"
