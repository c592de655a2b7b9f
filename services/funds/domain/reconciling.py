"""What our books and a registrar's files differ in, row by row and in total; no tolerance.

Pure comparisons (funds, section 14). A difference is named by its place, so that a second look
finds the same break.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date

from libs.ids import named_id
from services.funds.domain.breaks import BreakType, Terms


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference: what it is about, our value and theirs."""

    type: BreakType
    # The order's serial, the account or the fund: whatever names its place.
    place: str
    ours: int | None = None
    theirs: int | None = None
    fund_code: str = ""
    description: str = ""


def break_of(mismatch: Mismatch, ta_id: str, trade_date: date) -> Terms:
    """The break that the difference opens; the same difference is the same break."""
    day = trade_date.isoformat()
    names = (ta_id, day, mismatch.type.name, mismatch.fund_code, mismatch.place)
    return Terms(
        str(named_id("fund_break", *names)),
        mismatch.type,
        ta_id,
        trade_date,
        fund_code=mismatch.fund_code,
        ours="" if mismatch.ours is None else str(mismatch.ours),
        theirs="" if mismatch.theirs is None else str(mismatch.theirs),
        description=mismatch.description or mismatch.place,
    )


def compare_orders(
    sent: AbstractSet[str], answered: AbstractSet[str], known: AbstractSet[str], *, has_file: bool
) -> Iterator[Mismatch]:
    """Serials that we sent, that were answered, and that are orders of ours at all."""
    for serial in sorted(sent - answered):
        # Before the file it may still come; after it, it is missing there.
        kind = BreakType.MISSING_AT_TA if has_file else BreakType.LATE
        yield Mismatch(kind, serial)
    for serial in sorted(answered - known):
        yield Mismatch(BreakType.MISSING_HERE, serial)


def compare_shares(
    fund_code: str, ours: Mapping[str, int], theirs: Mapping[str, int]
) -> Iterator[Mismatch]:
    """Shares at the end of the confirm date, account by account (LOOK_THROUGH)."""
    for account in sorted(ours.keys() | theirs.keys()):
        here, there = ours.get(account, 0), theirs.get(account, 0)
        if here != there:
            yield Mismatch(BreakType.SHARE_DIFF, account, here, there, fund_code)


def compare_total_shares(fund_code: str, ours: int, theirs: int) -> Iterator[Mismatch]:
    """Our sub-register beside the one nominee account (OMNIBUS)."""
    if ours != theirs:
        yield Mismatch(BreakType.SHARE_DIFF, "total", ours, theirs, fund_code)


def compare_navs(
    published: Mapping[str, int], confirmed: Mapping[str, AbstractSet[int]]
) -> Iterator[Mismatch]:
    """By fund: the price that was published, and all prices that rows were confirmed at."""
    for fund_code in sorted(confirmed):
        for nav in sorted(confirmed[fund_code] - {published.get(fund_code, 0)}):
            ours = published.get(fund_code)
            yield Mismatch(BreakType.NAV_DIFF, str(nav), ours, nav, fund_code)


def compare_cash(purpose: str, confirmed_minor: int, moved_minor: int) -> Iterator[Mismatch]:
    """What the rows of a day move, and what the bank says has moved."""
    if confirmed_minor != moved_minor:
        yield Mismatch(BreakType.CASH_DIFF, purpose, confirmed_minor, moved_minor)


def compare_income(
    fund_code: str, accounts: int, accrued: int, fund_income: int
) -> Iterator[Mismatch]:
    """A money fund's natural day: what all accounts accrued, and the fund's income; 4 decimals.

    Each account is cut off at the fourth decimal, so all together are below the fund's income by
    less than one such unit an account, and never above it.
    """
    if not 0 <= fund_income - accrued < max(accounts, 1):
        told = f"{accounts} accounts"
        yield Mismatch(BreakType.AMOUNT_DIFF, "income", accrued, fund_income, fund_code, told)
