"""Repairs that two operators have agreed on: booked as theirs, or reversed and booked again."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final, assert_never

import structlog

from libs.decider import Cause, Rejected
from libs.ids import derived_id
from libs.process import Recorded
from libs.registrar_files import ConfirmationRow, DividendRow
from libs.transient import Unavailable
from services.funds.aggregates import Aggregates
from services.funds.batching import NOMINEE
from services.funds.booking_desk import is_begun_by_registrar
from services.funds.cash import FAST, clearing_id, short
from services.funds.clients.accounts import Accounts, Move, Refused
from services.funds.domain import advance as advances
from services.funds.domain import breaks
from services.funds.domain import order_lifecycle as life
from services.funds.domain.breaks import BreakType, Outcome, Repair
from services.funds.domain.order import AcceptDifference, Amend, Command
from services.funds.domain.order import Record as OrderRecord
from services.funds.domain.order_lifecycle import WalletSpared
from services.funds.domain.order_terms import Confirmation
from services.funds.file_room import FileRoom
from services.funds.reading import confirmation_of, dividend_of
from services.funds.sharing import Sharing

_ACTOR: Final = "funds"

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Repairing:
    """Performs what was approved of a break."""

    aggregates: Aggregates
    file_room: FileRoom
    sharing: Sharing
    distributor: str
    wake: Callable[[str], None]
    accounts: Accounts
    wake_advance: Callable[[str], None]

    async def perform(
        self, break_id: str, state: breaks.Break, _step: breaks.Action
    ) -> Recorded[breaks.Command] | None:
        """Do it, then close the break; what cannot be done leaves it open for another."""
        if isinstance(state, breaks.Absent) or state.proposal is None:
            raise AssertionError("what is repaired was proposed")
        proposal_id = state.proposal.proposal_id
        try:
            outcome = await self._repair(state.terms, state.proposal)
        except Rejected as rejected:
            told = f"{rejected.reason.name}: {rejected.description}"
            logger.warning("fund_repair_failed", break_id=break_id, reason=told)
            fail = breaks.FailRepair(proposal_id, told)
            cause = Cause(f"{proposal_id}/fail", correlation_id=state.terms.order_id)
            return Recorded(fail, cause)
        close = breaks.Close(f"{outcome.name} {proposal_id}")
        return Recorded(close, Cause(f"{break_id}/close", correlation_id=state.terms.order_id))

    async def _repair(self, terms: breaks.Terms, proposal: breaks.RepairProposed) -> Outcome:
        """Do it; done again it is done once. Raises `Rejected` where it cannot be."""
        match proposal.repair:
            case Repair.ACCEPT_THEIRS if terms.order_id:
                return await self._accept(terms, proposal.proposal_id)
            case Repair.AMEND if terms.order_id:
                amend = Amend(await self._row(terms), proposal.proposal_id)
                await self._of_order(terms.order_id, amend, proposal.proposal_id)
                return Outcome.BOOKED_AGAIN
            case Repair.POST if terms.type is BreakType.WALLET_SHORT:
                spare = OrderRecord(WalletSpared(terms.row_id, proposal.proposal_id))
                await self._of_order(terms.order_id, spare, proposal.proposal_id)
                return Outcome.CARRIED_BY_SUSPENSE
            case Repair.POST if terms.type is BreakType.ADVANCE_UNPAID:
                return await self._carry(terms.order_id)
            case Repair.KEEP_OURS:
                return Outcome.OURS_STANDS
            case Repair.ACCEPT_THEIRS | Repair.AMEND | Repair.POST:
                return Outcome.SETTLED_BY_HAND  # done elsewhere, by those who have agreed on it
            case _:
                assert_never(proposal.repair)

    async def _accept(self, terms: breaks.Terms, proposal_id: str) -> Outcome:
        match terms.type:
            case BreakType.RETURN_CODE_UNKNOWN:
                # The order was rejected when the row came: their no has had its effect.
                return Outcome.REFUSAL_STANDS
            case BreakType.MISSING_AT_TA:
                told = "the registrar does not have it; two operators have agreed"
                gone = OrderRecord(life.Refused("NOT_AT_REGISTRAR", told, serial=terms.ours))
                await self._of_order(terms.order_id, gone, proposal_id)
                return Outcome.ORDER_GIVEN_UP
            case _:
                accept = AcceptDifference(terms.row_id, proposal_id)
                await self._of_order(terms.order_id, accept, proposal_id)
                return Outcome.BOOKED_AS_THEIRS

    async def _carry(self, order_id: str) -> Outcome:
        """Suspense repays what the registrar has not; the shares stay earmarked, as our claim.

        Only when no try is under way any more, so that nothing repays it twice.
        """
        order = (await self.aggregates.orders.load(order_id)).state
        if not isinstance(order, life.Begun) or order.returned is None:
            told = "it is still offered to the registrar: suspense carries it after the last try"
            raise Rejected(breaks.Reason.REPAIR_NOT_POSSIBLE, told)
        advance = (await self.aggregates.advances.load(order.advance_id)).state
        if not isinstance(advance, advances.Begun):
            raise AssertionError("an advance that was paid was begun")  # noqa: TRY004 - a bug
        terms, id_ = advance.terms, str(derived_id(order_id, "carry_advance"))
        missing = terms.amount_minor - order.confirmed_minor
        suspense = short(terms.ta_id, terms.currency)
        await self.accounts.open([suspense])
        carry = Move(
            id_,
            terms.currency,
            ((suspense.account_id, missing),),
            ((clearing_id(terms.ta_id, terms.currency, FAST), missing),),
            order_id,
            "carry_advance",
            f"{order_id}/carry_advance",
        )
        done = await self.accounts.post(carry)
        if isinstance(done, Refused) and done.reason != "FACT_ALREADY_POSTED":
            raise Unavailable(f"suspense does not carry it: {done.reason}")
        arrived = advances.Record(advances.ProceedsArrived(missing, id_))
        cause = Cause(f"{order_id}/carry_advance", correlation_id=order_id, actor=_ACTOR)
        await self.aggregates.advances.transact(order.advance_id, arrived, cause)
        self.wake_advance(order.advance_id)
        return Outcome.CARRIED_BY_SUSPENSE

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
        day, file_type, batch = key.rsplit("-", 2)
        trade_date = date.fromisoformat(day.partition("-")[2])
        rows = await self.file_room.rows(
            known.registrar,
            self.distributor,
            trade_date,
            file_type,
            int(batch),
        )
        row = rows[int(number) - 1]
        match row:
            case ConfirmationRow():
                confirmation = confirmation_of(row, key, int(number))
            case DividendRow():
                confirmation = dividend_of(row, key, int(number))
            case _:
                raise AssertionError(f"{terms.theirs} is no confirmation")
        if row.transaction_account_id != NOMINEE or not is_begun_by_registrar(row.business_code):
            return confirmation
        part = await self.sharing.part_of(terms.ta_id, confirmation, terms.row_id)
        if part is None:
            raise Rejected(breaks.Reason.REPAIR_NOT_POSSIBLE, "nothing of it is this order's")
        return part
