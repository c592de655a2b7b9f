"""The large-redemption gate 巨额赎回: when it closes, and how what is accepted is shared out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.fund_arithmetic.rounding import RATE_ONE

# Of the fund's shares at the end of the prior open day, in millionths.
THRESHOLD = 100_000


@dataclass(frozen=True, slots=True)
class Flows:
    """Shares asked for on one day, all orders of the fund together."""

    redeem: int
    switch_out: int
    subscribe: int
    switch_in: int

    @property
    def net(self) -> int:
        """What would leave the fund."""
        return self.redeem + self.switch_out - self.subscribe - self.switch_in


def is_large(flows: Flows, prior_shares: int, threshold: int = THRESHOLD) -> bool:
    """Whether the manager may defer: net outflow strictly above the threshold."""
    return flows.net * RATE_ONE > prior_shares * threshold


def least_accepted(prior_shares: int, threshold: int = THRESHOLD) -> int:
    """What a manager who defers accepts at the least, rounded up to a whole unit."""
    return -(-prior_shares * threshold // RATE_ONE)


def share_out(requests: Mapping[str, int], accepted: int) -> dict[str, int]:
    """Part of each request by order id; the parts add up to `accepted` exactly.

    `floor(request * accepted / all)`, then the left-over units one by one to the largest
    remainders; of equals the smaller order id is first (funds, section 10).
    """
    asked = sum(requests.values())
    if not 0 <= accepted <= asked:
        raise AssertionError(f"{accepted} of {asked} cannot be accepted")
    return apportioned(requests, accepted)


def apportioned(claims: Mapping[str, int], total: int) -> dict[str, int]:
    """A total divided by claims, exactly: shares, or money, in whatever unit it is.

    The same rule as `share_out`, where what is divided is not what was asked for.
    """
    claimed = sum(claims.values())
    if claimed == 0:
        if total:
            raise AssertionError(f"nobody claims any of {total}")
        return dict.fromkeys(claims, 0)
    parts = {id_: claim * total // claimed for id_, claim in claims.items()}
    rest = total - sum(parts.values())
    for id_ in _by_remainder(claims, total, claimed)[:rest]:
        parts[id_] += 1
    return parts


def _by_remainder(claims: Mapping[str, int], total: int, claimed: int) -> Sequence[str]:
    return sorted(claims, key=lambda id_: (-(claims[id_] * total % claimed), id_))
