"""The cash of fund days settled with the banks: windows cut off, agreed, proven by statements."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from hefu.samplebank.v1 import samplebank_pb2 as samplebank
from hefu.settlement.v1 import settlement_pb2 as settlement
from libs.cli.connections import Connections
from libs.client.calls import patiently
from libs.ids import new_id

_PAUSE_S = 0.2
CONFIRMED_S = 60.0
FINAL_S = 180.0


class NotSettled(Exception):
    """A settlement did not become final in time; the message names bank and state."""


@dataclass(frozen=True, slots=True)
class Settling:
    """Settles what is in the banks' windows, on the books' own date."""

    link: Connections
    business_date: date

    async def round(self) -> int:
        """One settlement with each bank that has something to settle; how many there were.

        Raises `NotSettled`.
        """
        request = settlement.CutOffRequest(
            request_id=str(new_id()), value_date=self.business_date.isoformat()
        )
        begun = await patiently(lambda: self.link.settlement.CutOff(request))
        ids = {found.settlement_id for found in begun.settlements}
        if not ids:
            return 0
        await self._reached(ids, settlement.SETTLEMENT_STATE_CONFIRMED, CONFIRMED_S)
        end = samplebank.EndDayRequest(business_date=self.business_date.isoformat())
        for bank in self.link.banks.values():
            await patiently(partial(bank.EndDay, end))
        late = await self._reached(ids, settlement.SETTLEMENT_STATE_FINAL, FINAL_S)
        if late:
            found = late[0]
            state = settlement.SettlementState.Name(found.state)
            raise NotSettled(f"bank {found.bank_id}: the settlement is {state}, not final")
        return len(ids)

    async def _reached(
        self, ids: set[str], wanted: "settlement.SettlementState.ValueType", patience_s: float
    ) -> Sequence[settlement.Settlement]:
        """Those that did not get there in time."""
        deadline = time.monotonic() + patience_s
        while True:
            late = []
            for settlement_id in sorted(ids):
                request = settlement.GetSettlementRequest(settlement_id=settlement_id)
                found = await patiently(partial(self.link.settlement.GetSettlement, request))
                if found.settlement.state < wanted:
                    late.append(found.settlement)
            if not late or time.monotonic() > deadline:
                return late
            await asyncio.sleep(_PAUSE_S)
