"""Repairs that two operators have agreed on: booked as theirs, or reversed and booked again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, assert_never

from libs.decider import Cause
from libs.process import Recorded
from libs.registrar_files import ConfirmationRow
from services.funds.aggregates import Aggregates
from services.funds.domain import breaks
from services.funds.domain.breaks import Repair
from services.funds.domain.order import AcceptDifference, Amend, Command
from services.funds.domain.order_terms import Confirmation
from services.funds.domain.ta_day import FileType
from services.funds.file_room import FileRoom
from services.funds.reading import confirmation_of

_ACTOR: Final = "funds"


@dataclass(frozen=True, slots=True)
class Repairing:
    """Performs what was approved of a break."""

    aggregates: Aggregates
    file_room: FileRoom
    distributor: str
    wake: Callable[[str], None]

    async def perform(
        self, break_id: str, state: breaks.Break, _step: breaks.Action
    ) -> Recorded[breaks.Command] | None:
        """Do it, then close the break. Raises `Rejected` where it cannot be done."""
        if isinstance(state, breaks.Absent) or state.proposal is None:
            raise AssertionError("what is repaired was proposed")
        terms, proposal = state.terms, state.proposal
        match proposal.repair:
            case Repair.ACCEPT_THEIRS if terms.order_id:
                accept = AcceptDifference(terms.row_id, proposal.proposal_id)
                await self._of_order(terms.order_id, accept, proposal.proposal_id)
            case Repair.AMEND if terms.order_id:
                row = await self._row(terms)
                amend = Amend(row, proposal.proposal_id)
                await self._of_order(terms.order_id, amend, proposal.proposal_id)
            case Repair.ACCEPT_THEIRS | Repair.AMEND | Repair.KEEP_OURS | Repair.POST:
                pass  # done elsewhere, by those who have agreed on it
            case _:
                assert_never(proposal.repair)
        close = breaks.Close(f"{proposal.repair.name} {proposal.proposal_id}")
        return Recorded(close, Cause(f"{break_id}/close", correlation_id=terms.order_id))

    async def _of_order(self, order_id: str, command: Command, proposal_id: str) -> None:
        cause = Cause(f"{proposal_id}/repair", correlation_id=order_id, actor=_ACTOR)
        await self.aggregates.orders.transact(order_id, command, cause)
        self.wake(order_id)

    async def _row(self, terms: breaks.Terms) -> Confirmation:
        """The registrar's row that the break points at, read again from the file it came in."""
        key, _, number = terms.theirs.rpartition("#")
        known = (await self.aggregates.registrars.load(terms.ta_id)).state
        if known is None:
            raise AssertionError(f"{terms.ta_id} was registered before its files")
        day, _, batch = key.rsplit("-", 2)
        trade_date = date.fromisoformat(day.partition("-")[2])
        rows = await self.file_room.rows(
            known.registrar,
            self.distributor,
            trade_date,
            FileType.CONFIRMATIONS.value,
            int(batch),
        )
        row = rows[int(number) - 1]
        if not isinstance(row, ConfirmationRow):
            raise AssertionError(f"{terms.theirs} is no confirmation")  # noqa: TRY004 - a bug
        return confirmation_of(row, key, int(number))
