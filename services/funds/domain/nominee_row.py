"""A row about our nominee account: who stands behind it, fixed once, and what is each one's part.

The registrar knows one account of an omnibus fund. What it does to that account of its own accord,
a dividend or a forced redemption, is the investors' by their shares at that moment; claims are
fixed before the first of them is booked, as each booking changes what the next would claim.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.fund_arithmetic import apportioned
from services.funds.domain.expectation import Expected
from services.funds.domain.order_terms import Confirmation

# So many stand in one event; of a large fund there are several.
CLAIMS_PER_EVENT = 1_000


@dataclass(frozen=True, slots=True)
class Claim:
    """One investor's shares that count, and where money goes."""

    investor_id: str
    wallet_account_id: str
    shares: int


# Events. How they are stored is fixed in codec.py.
@dataclass(frozen=True, slots=True)
class ClaimsFixed:
    row_id: str
    fund_code: str
    claims: tuple[Claim, ...]


Event: TypeAlias = ClaimsFixed


# State: none before the row came.
@dataclass(frozen=True, slots=True)
class NomineeRow:
    claims: tuple[Claim, ...] = ()


def evolve(row: NomineeRow, event: Event) -> NomineeRow:
    return replace(row, claims=(*row.claims, *event.claims))


# Commands.
class Reason(Enum):
    NOBODY_BEHIND_NOMINEE = auto()


@dataclass(frozen=True, slots=True)
class FixClaims:
    row_id: str
    fund_code: str
    claims: tuple[Claim, ...]


Command: TypeAlias = FixClaims


def decide(command: Command, row: NomineeRow) -> Sequence[Event]:
    match command:
        case FixClaims(row_id, fund_code, claims):
            if row.claims:
                return []  # whatever has become of the holdings since
            if not any(claim.shares > 0 for claim in claims):
                told = "no investor has shares that this row could be about"
                raise Rejected(Reason.NOBODY_BEHIND_NOMINEE, told, [FieldViolation("claims", told)])
            counted = [claim for claim in claims if claim.shares > 0]
            return [
                ClaimsFixed(row_id, fund_code, tuple(counted[start : start + CLAIMS_PER_EVENT]))
                for start in range(0, len(counted), CLAIMS_PER_EVENT)
            ]
        case _:
            assert_never(command)


@dataclass(frozen=True, slots=True)
class Part:
    """What of the row is one investor's, and what of our own expectation."""

    claim: Claim
    row: Confirmation
    expected: Expected | None


def parts_of(
    state: NomineeRow, row: Confirmation, expected: Expected | None, names: Mapping[str, str]
) -> Sequence[Part]:
    """The row divided by claims; every sum is exact. `names`: a short name by investor."""
    rows = _divided(state, row.shares, row.amount_minor, row.fee_minor)
    ours = None
    if expected is not None:
        ours = _divided(state, expected.shares, expected.amount_minor, expected.fee_minor)
    parts = []
    for claim in state.claims:
        shares, amount, fee = rows[claim.investor_id]
        # Of a row in shares a part without one is nothing: there is no money behind it.
        if not shares and (row.shares or not amount):
            continue
        own = replace(
            row,
            ta_serial=f"{row.ta_serial}-{names[claim.investor_id]}",
            shares=shares,
            amount_minor=amount,
            fee_minor=fee,
            agency_fee_minor=0,
            refund_minor=0,
        )
        wanted = None
        if expected is not None and ours is not None:
            counted, minor, charged = ours[claim.investor_id]
            wanted = replace(expected, shares=counted, amount_minor=minor, fee_minor=charged)
        parts.append(Part(claim, own, wanted))
    return parts


def _divided(
    state: NomineeRow, shares: int, amount_minor: int, fee_minor: int
) -> Mapping[str, tuple[int, int, int]]:
    claims = {claim.investor_id: claim.shares for claim in state.claims}
    columns = [apportioned(claims, total) for total in (shares, amount_minor, fee_minor)]
    return {id_: (columns[0][id_], columns[1][id_], columns[2][id_]) for id_ in claims}


nominee_row: Decider[Command, NomineeRow, Event] = Decider(NomineeRow(), decide, evolve)
