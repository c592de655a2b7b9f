"""The register: who holds how many shares of which fund, lot by lot."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date

from libs.fund_arithmetic import DividendMode, Lot, take, total


@dataclass(frozen=True, slots=True)
class Position:
    """One account in one fund. `bucket`: income below a cent, in ten-thousandths of the unit.

    `frozen`: shares that wait for a later day's part of a gated redemption.
    """

    account: str
    fund: str
    lots: tuple[Lot, ...] = ()
    bucket: int = 0
    mode: DividendMode = DividendMode.REINVEST
    frozen: int = 0

    @property
    def shares(self) -> int:
        """All of them, frozen ones too."""
        return total(self.lots)


class Register:
    """All positions in memory; those that changed are told, to be written down."""

    def __init__(self, positions: Iterable[Position] = ()) -> None:
        self._positions = {(each.account, each.fund): each for each in positions}
        self._changed: set[tuple[str, str]] = set()

    def position(self, account: str, fund: str) -> Position:
        """What an account holds; nothing where it is not known."""
        return self._positions.get((account, fund)) or Position(account, fund)

    def of_fund(self, fund: str) -> Iterator[Position]:
        """Every position in a fund, by account."""
        found = [each for each in self._positions.values() if each.fund == fund]
        return iter(sorted(found, key=lambda each: each.account))

    def all(self) -> Iterator[Position]:
        """Every position, by fund and account."""
        found = sorted(self._positions.values(), key=lambda each: (each.fund, each.account))
        return iter(found)

    def shares_of(self, fund: str) -> int:
        """Shares in issue."""
        return sum(each.shares for each in self._positions.values() if each.fund == fund)

    def put(self, position: Position) -> None:
        """A position as it is from now on."""
        key = (position.account, position.fund)
        self._positions[key] = position
        self._changed.add(key)

    def add(self, account: str, fund: str, lot: Lot) -> None:
        """New shares."""
        before = self.position(account, fund)
        self.put(replace(before, lots=(*before.lots, lot)))

    def remove(self, account: str, fund: str, shares: int) -> tuple[Lot, ...]:
        """Shares that leave, oldest first: the lots taken. Raises `TooFewShares`."""
        before = self.position(account, fund)
        taken, left = take(before.lots, shares)
        self.put(replace(before, lots=left))
        return taken

    def changed(self) -> list[Position]:
        """What changed since the last call."""
        found = [self._positions[key] for key in sorted(self._changed)]
        self._changed.clear()
        return found


def lot(order_id: str, confirmed: date, shares: int, cost: int, nav: int) -> Lot:
    """Shares registered on the day they are confirmed."""
    return Lot(order_id, confirmed, confirmed, shares, cost, nav)
