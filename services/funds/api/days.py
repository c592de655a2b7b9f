"""Registrars' days, files, breaks and the tie-out, as operators see them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from hefu.funds.v1 import events_pb2 as events_pb
from hefu.funds.v1 import funds_pb2 as pb
from libs.auth import current_caller
from libs.decider import Cause, Rejected
from libs.event_store import StoredEvent
from libs.wire import time_to_wire
from services.funds import cash, queries
from services.funds.aggregates import Aggregates, ta_day_id
from services.funds.api.messages import PAGE_SIZE, Reads, position_of
from services.funds.clients.accounts import Accounts
from services.funds.domain import breaks, ta_day
from services.funds.domain.ta_day import CashStage, Purpose
from services.funds.fund_day import FundDays
from services.funds.rows.registrars import DAY_PREFIX
from services.funds.tying_out import TyingOut

# How often a tie-out that is not even is read again, and after how many seconds.
READINGS_MAX: Final = 20
READ_AGAIN_S: Final = 0.1
_FILE_STATES: Final = {
    "ACCEPTED": pb.TA_FILE_STATE_ACCEPTED,
    "QUARANTINED": pb.TA_FILE_STATE_QUARANTINED,
}


@dataclass(frozen=True, slots=True)
class Days:
    """Answers to operators; decides nothing."""

    aggregates: Aggregates
    fund_days: FundDays
    accounts: Accounts
    tying_out: TyingOut
    reads: Reads

    async def run_cut_off(self, request: pb.RunCutOffRequest) -> pb.RunCutOffResponse:
        day, actor = date.fromisoformat(request.trade_date), current_caller().name
        done = await self.fund_days.cut_off(request.ta_id, day, actor)
        return pb.RunCutOffResponse(ta_day=await self._shown(done.state), position=done.position)

    async def get(self, request: pb.GetTaDayRequest) -> pb.GetTaDayResponse:
        id_ = ta_day_id(request.ta_id, date.fromisoformat(request.trade_date))
        found = await self.aggregates.ta_days.load(id_)
        if isinstance(found.state, ta_day.Absent):
            raise Rejected(ta_day.Reason.TA_DAY_NOT_FOUND)
        return pb.GetTaDayResponse(ta_day=await self._shown(found.state), position=found.position)

    async def list_days(self, request: pb.ListTaDaysRequest) -> pb.ListTaDaysResponse:
        await self.reads.projection.wait_for(request.min_position)
        ids = await self.reads.database.read(
            lambda c: queries.days_between(c, request.ta_id, request.from_date, request.to_date)
        )
        states = [(await self.aggregates.ta_days.load(id_)).state for id_ in ids]
        return pb.ListTaDaysResponse(
            ta_days=[await self._shown(state) for state in states],
            position=self.reads.projection.position,
        )

    async def watch(self, request: pb.WatchTaDayRequest) -> AsyncIterator[pb.WatchTaDayResponse]:
        prefix = f"{DAY_PREFIX}{request.ta_id}"
        after = request.after_position or None
        async for stored in self.reads.store.follow((prefix,), after):
            if isinstance(stored, StoredEvent):
                id_ = stored.stream.removeprefix(DAY_PREFIX)
                state = (await self.aggregates.ta_days.load(id_)).state
                yield pb.WatchTaDayResponse(
                    ta_day=await self._shown(state),
                    event=stored.type.rpartition(".")[2],
                    position=stored.position,
                )

    async def list_files(self, request: pb.ListTaFilesRequest) -> pb.ListTaFilesResponse:
        size, after = request.page_size or PAGE_SIZE, position_of(request.page_token)
        await self.reads.projection.wait_for(request.min_position)
        state = pb.TaFileState.Name(request.state).removeprefix("TA_FILE_STATE_")
        wanted = queries.FileFilter(
            request.ta_id, request.business_date, "" if not request.state else state
        )
        rows = await self.reads.database.read(
            lambda c: queries.files_page(c, wanted, after, size + 1)
        )
        shown = [
            pb.TaFile(
                file_key=row.file_key,
                ta_id=row.ta_id,
                business_date=row.trade_date,
                file_type=row.file_type,
                batch=str(row.batch),
                sha256=row.sha256,
                state=pb.TA_FILE_STATE_SENT
                if row.is_outgoing
                else _FILE_STATES.get(row.outcome, pb.TA_FILE_STATE_UNSPECIFIED),
                reason=row.reason,
                description=row.description,
                rows=row.rows,
                bytes=row.size,
            )
            for row in rows[:size]
        ]
        token = str(rows[size - 1].position) if len(rows) > size else ""
        return pb.ListTaFilesResponse(
            files=shown, next_page_token=token, position=self.reads.projection.position
        )

    async def list_breaks(self, request: pb.ListFundBreaksRequest) -> pb.ListFundBreaksResponse:
        size, after = request.page_size or PAGE_SIZE, position_of(request.page_token)
        await self.reads.projection.wait_for(request.min_position)
        rows = await self.reads.database.read(
            lambda c: queries.breaks_page(
                c, request.ta_id, after, size + 1, open_only=request.open_only
            )
        )
        shown = [await self._break(row.break_id) for row in rows[:size]]
        token = str(rows[size - 1].position) if len(rows) > size else ""
        return pb.ListFundBreaksResponse(
            breaks=shown, next_page_token=token, position=self.reads.projection.position
        )

    async def propose(self, request: pb.ProposeRepairRequest) -> pb.ProposeRepairResponse:
        actor = current_caller().name
        repair = breaks.Repair[events_pb.Repair.Name(request.repair).removeprefix("REPAIR_")]
        command = breaks.ProposeRepair(request.proposal_id, repair, request.note, actor)
        position = await self._of_break(request.break_id, command, request.proposal_id)
        return pb.ProposeRepairResponse(
            **{"break": await self._break(request.break_id)}, position=position
        )

    async def approve(self, request: pb.ApproveRepairRequest) -> pb.ApproveRepairResponse:
        command = breaks.ApproveRepair(request.proposal_id, current_caller().name)
        key = f"{request.proposal_id}/approve"
        position = await self._of_break(request.break_id, command, key)
        return pb.ApproveRepairResponse(
            **{"break": await self._break(request.break_id)}, position=position
        )

    async def refuse(self, request: pb.RefuseRepairRequest) -> pb.RefuseRepairResponse:
        checker = current_caller().name
        command = breaks.RefuseRepair(request.proposal_id, checker, request.note)
        key = f"{request.proposal_id}/refuse"
        position = await self._of_break(request.break_id, command, key)
        return pb.RefuseRepairResponse(
            **{"break": await self._break(request.break_id)}, position=position
        )

    async def tie_out(self, request: pb.GetFundTieOutRequest) -> pb.GetFundTieOutResponse:
        """Journal and days are read one after the other: what moves meanwhile is read again."""
        answer = pb.GetFundTieOutResponse()
        for _ in range(READINGS_MAX):
            answer = await self._tie_out(request)
            is_even = all(each.ties_out for each in answer.units)
            if is_even and all(each.ties_out for each in answer.cash):
                break
            await asyncio.sleep(READ_AGAIN_S)
        return answer

    async def _tie_out(self, request: pb.GetFundTieOutRequest) -> pb.GetFundTieOutResponse:
        head = await self.reads.store.head()
        await self.reads.projection.wait_for(max(request.min_position, head))
        answer = pb.GetFundTieOutResponse(position=self.reads.projection.position)
        for row in await self.reads.database.read(queries.registrars):
            ta_id = row["ta_id"]
            if request.ta_id in ("", ta_id):
                answer.units.extend(await self._units(ta_id))
                answer.cash.extend(await self._cash(ta_id, row["currency_code"]))
        return answer

    async def _units(self, ta_id: str) -> list[pb.UnitsTieOut]:
        return [
            pb.UnitsTieOut(
                fund_code=line.fund_code,
                balance_date=line.balance_date,
                issued_shares=line.issued,
                redeemed_shares=line.redeemed,
                holdings_shares=line.held,
                registrar_shares=line.registered,
                ties_out=line.ties_out,
                holders=line.holders,
            )
            for line in await self.tying_out.units(ta_id)
        ]

    async def _cash(self, ta_id: str, currency: str) -> list[pb.CashTieOut]:
        owed, lines = await self.tying_out.cash(ta_id), []
        for ordinal, purpose in enumerate(cash.PURPOSES):
            account_id = cash.clearing_id(ta_id, currency, ordinal)
            found = await self.accounts.look(account_id)
            balance = found.posted_minor if found is not None else 0
            expected = owed.get(Purpose[purpose], 0)
            lines.append(
                pb.CashTieOut(
                    ta_id=ta_id,
                    purpose=purpose,
                    account_id=account_id,
                    currency_code=currency,
                    balance_minor=balance,
                    expected_minor=expected,
                    ties_out=balance == expected,
                )
            )
        return lines

    async def _of_break(self, break_id: str, command: breaks.Command, key: str) -> int:
        cause = Cause(key, correlation_id=break_id, actor=current_caller().name)
        return (await self.aggregates.breaks.transact(break_id, command, cause)).position

    async def _break(self, break_id: str) -> pb.FundBreak:
        state = (await self.aggregates.breaks.load(break_id)).state
        if isinstance(state, breaks.Absent):
            raise Rejected(breaks.Reason.BREAK_NOT_FOUND)
        terms, proposal = state.terms, state.proposal
        return pb.FundBreak(
            break_id=terms.break_id,
            type=events_pb.BreakType.Value(f"BREAK_TYPE_{terms.type.name}"),
            ta_id=terms.ta_id,
            trade_date=terms.trade_date.isoformat(),
            fund_code=terms.fund_code,
            order_id=terms.order_id,
            investor_id=terms.investor_id,
            ours=terms.ours,
            theirs=terms.theirs,
            description=terms.description,
            found_time=time_to_wire(state.found.found_us),
            is_closed=state.is_closed,
            close_cause=state.cause,
            proposal_id=proposal.proposal_id if proposal is not None else "",
            proposed_repair=events_pb.Repair.Value(
                f"REPAIR_{proposal.repair.name if proposal is not None else 'UNSPECIFIED'}"
            ),
            maker=proposal.maker if proposal is not None else "",
            row_id=terms.row_id,
        )

    async def _shown(self, day: ta_day.TaDay) -> pb.TaDay:
        if isinstance(day, ta_day.Absent):
            raise AssertionError("a day that is shown is there")  # noqa: TRY004 - a bug of ours
        opened = day.opened
        open_breaks = await self.reads.database.read(
            lambda c: queries.breaks_of_day(c, opened.ta_id, opened.trade_date.isoformat())
        )
        paid = _payment(day, Purpose.SUB)
        collected = _payment(day, Purpose.RED)
        confirmed = [
            each
            for each in day.received
            if each.file_type is ta_day.FileType.CONFIRMATIONS and each.file_key in day.applied
        ]
        return pb.TaDay(
            ta_id=opened.ta_id,
            trade_date=opened.trade_date.isoformat(),
            state=pb.TaDayState.Value(f"TA_DAY_STATE_{day.stage.name}"),
            confirm_date=opened.confirm_date.isoformat(),
            orders=day.batch.rows if day.batch is not None else 0,
            batched=day.batch.rows if day.batch is not None else 0,
            booked=sum(day.applied[each.file_key].booked for each in confirmed),
            rejected=sum(day.applied[each.file_key].rejected for each in confirmed),
            breaks=open_breaks,
            is_in_doubt=day.is_in_doubt,
            waiting_for=_waits_for(day),
            pay_payment_id=paid[0],
            pay_minor=paid[1],
            collect_payment_id=collected[0],
            collect_minor=collected[1],
            late_files=[each.file_type.value for each in day.late],
        )


def _payment(day: ta_day.Begun, purpose: Purpose) -> tuple[str, int]:
    found = [each.request for each in day.cash if each.request.purpose is purpose]
    return (found[-1].payment_id, day.requested(purpose)) if found else ("", 0)


def _waits_for(day: ta_day.Begun) -> str:
    """What somebody must do before it goes on."""
    if day.cut_off is None:
        return "CUT_OFF"
    if not day.is_acknowledged:
        return "RECEIPT"
    missing: Sequence[ta_day.FileType] = day.missing()
    if missing:
        return " ".join(f"FILE_{each.value}" for each in missing)
    if not day.is_settled:
        is_asked = any(each.stage is CashStage.REQUESTED for each in day.cash)
        return "CASH" if is_asked else "CASH_DUE"
    return ""
