"""Rows of the books: records, lots and positions as text, and back."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date

from sqlalchemy import RowMapping

from libs.fund_arithmetic import (
    DividendMode,
    FeeBand,
    FeeMethod,
    FundType,
    HoldingBand,
    Lot,
    Rounding,
)
from libs.registrar_files import (
    ConfirmationRow,
    DividendRow,
    FileFault,
    FileReason,
    OrderRow,
)
from services.sampleregistrar.domain.fund import Fund
from services.sampleregistrar.domain.receipts import Receipt
from services.sampleregistrar.domain.register import Position

_KINDS = {"03": OrderRow, "04": ConfirmationRow, "06": DividendRow}


def row_text(row: OrderRow | ConfirmationRow | DividendRow) -> str:
    """A record as JSON, by the names of its fields."""
    return json.dumps(row._asdict(), default=date.isoformat, ensure_ascii=False)


def order_of(text: str) -> OrderRow:
    """An order as it was kept."""
    return OrderRow(**_fields("03", text))  # type: ignore[arg-type]


def confirmation_of(text: str) -> ConfirmationRow:
    """A confirmation as it was kept."""
    return ConfirmationRow(**_fields("04", text))  # type: ignore[arg-type]


def dividend_of(text: str) -> DividendRow:
    """A dividend as it was kept."""
    return DividendRow(**_fields("06", text))  # type: ignore[arg-type]


def lots_text(lots: tuple[Lot, ...]) -> str:
    """Lots as JSON."""
    return json.dumps(
        [
            (
                lot.lot_id,
                lot.confirm_date.isoformat(),
                lot.registered_date.isoformat(),
                lot.shares,
                lot.cost,
                lot.nav,
            )
            for lot in lots
        ]
    )


def lots_of(text: str) -> tuple[Lot, ...]:
    """Lots as they were kept."""
    return tuple(
        Lot(lot_id, date.fromisoformat(confirmed), date.fromisoformat(registered), *rest)
        for lot_id, confirmed, registered, *rest in json.loads(text)
    )


def position_of(row: RowMapping) -> Position:
    """A position as it was kept."""
    return Position(
        row["account"],
        row["fund"],
        lots_of(row["lots"]),
        row["bucket"],
        DividendMode(row["mode"]),
        row["frozen"],
    )


def position_row(position: Position) -> dict[str, object]:
    """A position to be kept."""
    return {
        "account": position.account,
        "fund": position.fund,
        "shares": position.shares,
        "bucket": position.bucket,
        "mode": position.mode.value,
        "frozen": position.frozen,
        "lots": lots_text(position.lots),
    }


def fund_text(fund: Fund) -> str:
    """A fund as JSON."""
    kept = asdict(fund)
    names = {name: kept[name].name for name in ("fund_type", "method", "rounding")}
    return json.dumps({**kept, **names})


def fund_of_text(text: str) -> Fund:
    """A fund as it was kept."""
    told = json.loads(text)
    return Fund(
        **{
            **told,
            "fund_type": FundType[told["fund_type"]],
            "method": FeeMethod[told["method"]],
            "rounding": Rounding[told["rounding"]],
            "front_bands": tuple(FeeBand(**band) for band in told["front_bands"]),
            "redemption_bands": tuple(HoldingBand(**band) for band in told["redemption_bands"]),
        }
    )


def receipts_text(receipts: Sequence[Receipt]) -> str:
    """An answer as JSON."""
    return json.dumps([{**asdict(receipt), "sha256": receipt.sha256.hex()} for receipt in receipts])


def receipts_of_text(text: str) -> tuple[Receipt, ...]:
    """An answer as it was kept."""
    return tuple(
        Receipt(
            **{
                **told,
                "sha256": bytes.fromhex(told["sha256"]),
                "faults": tuple(
                    FileFault(**{**fault, "reason": FileReason(fault["reason"])})
                    for fault in told["faults"]
                ),
            }
        )
        for told in json.loads(text)
    )


def _fields(file_type: str, text: str) -> dict[str, object]:
    told = json.loads(text)
    hints = _KINDS[file_type].__annotations__
    return {
        name: date.fromisoformat(value) if value and "date" in str(hints[name]) else value
        for name, value in told.items()
    }
