"""Rows of registrars' days, of their files, and of breaks."""

from collections.abc import Iterator
from typing import Final

from libs.event_store import StoredEvent
from libs.writes import Patch, Put, Write
from services.funds import tables as t
from services.funds.aggregates import BREAKS, FILES, TA_DAYS
from services.funds.domain import breaks, files, ta_day

DAY_PREFIX: Final = "ta_day-"
FILE_PREFIX: Final = "ta_file-"
BREAK_PREFIX: Final = "fund_break-"
_STORED: Final = "STORED"
_PIECE: Final = "TaFilePieceStored"


def of_day(stored: StoredEvent) -> Iterator[Write]:
    """What an event of a registrar's day changes."""
    event = TA_DAYS.decode(stored.type, stored.data)
    ta_id, _, trade_date = stored.stream.removeprefix(DAY_PREFIX).partition("-")
    key = {"ta_id": ta_id, "trade_date": trade_date}
    match event:
        case ta_day.Opened():
            row = {
                "confirm_date": event.confirm_date.isoformat(),
                "is_cut_off": False,
                "is_settled": False,
                "open_position": stored.position,
            }
            yield Put(t.ta_days, {**key, **row})
        case ta_day.CutOff():
            yield Patch(t.ta_days, key, {"is_cut_off": True})
        case ta_day.CashSettled():
            yield Patch(t.ta_days, key, {"is_settled": True})
        case ta_day.FileReceived() | ta_day.FileApplied() | ta_day.CashAmended():
            # What comes late takes a settled day up again.
            yield Patch(t.ta_days, key, {"is_settled": False})
        case _:
            pass


def of_file(stored: StoredEvent) -> Iterator[Write]:
    """What an event of a file changes; its bytes stay in the store."""
    if stored.type.endswith(_PIECE):
        return
    event = FILES.decode(stored.type, stored.data)
    key = stored.stream.removeprefix(FILE_PREFIX)
    match event:
        case files.Stored():
            day, file_type, batch = key.rsplit("-", 2)
            ta_id, _, trade_date = day.partition("-")
            yield Put(
                t.files,
                {
                    "file_key": key,
                    "ta_id": ta_id,
                    "trade_date": trade_date,
                    "file_type": file_type,
                    "batch": int(batch),
                    "sha256": event.sha256,
                    "size": event.size,
                    "is_outgoing": event.is_outgoing,
                    "outcome": _STORED,
                    "reason": "",
                    "description": "",
                    "rows": 0,
                    "position": stored.position,
                },
            )
        case files.Accepted(rows):
            yield Patch(t.files, {"file_key": key}, {"outcome": "ACCEPTED", "rows": rows})
        case files.Quarantined(reason, description):
            changes = {"outcome": "QUARANTINED", "reason": reason, "description": description}
            yield Patch(t.files, {"file_key": key}, changes)
        case files.PieceStored():
            pass


def of_break(stored: StoredEvent) -> Iterator[Write]:
    """What an event of a break changes."""
    event = BREAKS.decode(stored.type, stored.data)
    key = {"break_id": stored.stream.removeprefix(BREAK_PREFIX)}
    match event:
        case breaks.Found(terms):
            row = {
                "type": terms.type.name,
                "ta_id": terms.ta_id,
                "trade_date": terms.trade_date.isoformat(),
                "is_closed": False,
                "is_approved": False,
                "position": stored.position,
            }
            yield Put(t.breaks, {**key, **row})
        case breaks.RepairApproved():
            yield Patch(t.breaks, key, {"is_approved": True})
        case breaks.RepairFailed():
            yield Patch(t.breaks, key, {"is_approved": False})
        case breaks.Closed():
            yield Patch(t.breaks, key, {"is_closed": True})
        case _:
            pass
