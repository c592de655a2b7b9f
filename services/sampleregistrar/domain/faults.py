"""What goes wrong on purpose: which row, chosen by the seed, and what is told in its place."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from libs.registrar_files import DONE, ConfirmationRow, PriceRow
from services.sampleregistrar.domain.answers import BY_THE_MANAGER, TOLD, UNEXPLAINED, Decided

WRONG_UNITS_BY = 1_00
WRONG_NAV_BY = 1


class Fault(StrEnum):
    """Names are those of the contract, without their prefix."""

    LATE_FILE = "LATE_FILE"
    DUPLICATE_FILE = "DUPLICATE_FILE"
    PARTIAL_CONFIRMATION = "PARTIAL_CONFIRMATION"
    REJECTED_ORDER = "REJECTED_ORDER"
    WRONG_UNITS = "WRONG_UNITS"
    MISSING_ORDER = "MISSING_ORDER"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    WRONG_COUNT = "WRONG_COUNT"
    WRONG_TOTAL = "WRONG_TOTAL"
    LOST_RECEIPT = "LOST_RECEIPT"
    PRICES_AFTER_CONFIRMATIONS = "PRICES_AFTER_CONFIRMATIONS"
    UNKNOWN_RETURN_CODE = "UNKNOWN_RETURN_CODE"
    WRONG_PRICE = "WRONG_PRICE"


# Orders that these reject are never decided.
REJECTING = {Fault.REJECTED_ORDER: BY_THE_MANAGER, Fault.UNKNOWN_RETURN_CODE: UNEXPLAINED}


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault of a day; an empty fund means any."""

    fault: Fault
    fund: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """The rows as they are told, the serials of those told wrong or not at all, what happened."""

    rows: tuple[ConfirmationRow, ...]
    spoiled: tuple[str, ...]
    happened: tuple[Planned, ...]


def pick(seed: str, what: str, keys: Iterable[str]) -> str | None:
    """One of several keys: always the same one for the same seed."""
    return min(keys, key=lambda key: _number(seed, what, key), default=None)


def tell(decided: Sequence[Decided], planned: Sequence[Planned], seed: str) -> Told:
    """The rows as the distributor is told of them. The books stay right."""
    rows: list[tuple[ConfirmationRow, ...]] = [(each.row,) for each in decided]
    spoiled: list[str] = []
    happened: list[Planned] = []
    for each in planned:
        place = _place(decided, rows, each, seed)
        if place is None:
            continue
        row = decided[place].row
        match each.fault:
            case Fault.PARTIAL_CONFIRMATION:
                rows[place] = _parts(row)
            case Fault.WRONG_UNITS:
                rows[place] = (row._replace(confirmed_vol=row.confirmed_vol + WRONG_UNITS_BY),)
                spoiled.append(row.ta_serial_no)
            case Fault.MISSING_ORDER:
                rows[place] = ()
                spoiled.append(row.ta_serial_no)
            case Fault.UNKNOWN_ORDER:
                rows.append((_strange(row),))
            case _:
                continue
        happened.append(each)
    flat = tuple(row for told in rows for row in told)
    return Told(flat, tuple(spoiled), tuple(happened))


def wrong_price(rows: Sequence[PriceRow], planned: Sequence[Planned]) -> tuple[PriceRow, ...]:
    """Prices as they are told: a wrong one a digit above the right one."""
    wrong = {each.fund for each in planned if each.fault is Fault.WRONG_PRICE}
    first = {rows[0].fund_code} if wrong == {""} and rows else wrong
    return tuple(
        row._replace(nav=row.nav + WRONG_NAV_BY) if row.fund_code in first else row for row in rows
    )


def rejected_by(code: str, row: ConfirmationRow) -> ConfirmationRow:
    """A row that refuses an order with a code."""
    told = TOLD.get(code, "")
    refund = row.application_amount
    return row._replace(return_code=code, error_detail=told, refund_amount=refund)


def _place(
    decided: Sequence[Decided],
    rows: Sequence[tuple[ConfirmationRow, ...]],
    planned: Planned,
    seed: str,
) -> int | None:
    fitting = {
        each.row.app_sheet_serial_no: place
        for place, each in enumerate(decided)
        if each.row.return_code == DONE
        and each.row.from_ta_flag == "0"
        and each.row.confirmed_vol > 1
        and each.left == 0
        and planned.fund in ("", each.row.fund_code)
        and rows[place] == (each.row,)
        and (planned.fault is not Fault.PARTIAL_CONFIRMATION or each.row.application_amount)
    }
    chosen = pick(seed, planned.fault.value, fitting)
    return None if chosen is None else fitting[chosen]


def _parts(row: ConfirmationRow) -> tuple[ConfirmationRow, ConfirmationRow]:
    """The same in two rows: a half of each sum, and the rest."""
    sums = ("confirmed_vol", "confirmed_amount", "charge", "agency_fee")
    halves = {name: getattr(row, name) // 2 for name in sums}
    rests = {name: getattr(row, name) - half for name, half in halves.items()}
    first = row._replace(**halves, business_finish_flag="0", detail_flag="1")
    last = row._replace(**rests, ta_serial_no=f"{row.ta_serial_no[:-1]}P", detail_flag="1")
    return first, last


def _strange(row: ConfirmationRow) -> ConfirmationRow:
    digest = hashlib.sha256(row.app_sheet_serial_no.encode()).hexdigest().upper()
    return row._replace(
        app_sheet_serial_no=f"X{digest[:23]}", ta_serial_no=f"{row.ta_serial_no[:-1]}X"
    )


def _number(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("|".join(parts).encode()).digest(), "big")


__all__ = ["Fault", "Planned", "Told", "pick", "rejected_by", "replace", "tell", "wrong_price"]
