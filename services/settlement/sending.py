"""Bank transfers at work: sent once by one sender, asked about when in doubt, booked when done."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias
from uuid import UUID

from libs.clock import Clock
from libs.decider import Cause, Rejected
from libs.ids import derived_id
from libs.iso20022 import (
    CreditTransfers,
    DirectDebits,
    Inquiry,
    InquiryItem,
    Item,
    Message,
    Notice,
    StatusReport,
)
from libs.process import Recorded
from libs.telemetry import get_logger
from services.settlement.aggregates import ACTOR, Aggregates
from services.settlement.answers import (
    contradictions,
    end_to_end_id_of,
    said_by_notice,
    said_by_report,
    with_silence,
)
from services.settlement.clients.accounts import Accounts, Posted, Posting, accounts_of
from services.settlement.clients.bank_link import Answered, BankLink, NotSent, Signed, Unsure
from services.settlement.correspondence import Correspondence, Heard, SetAside
from services.settlement.domain import settlement
from services.settlement.domain.bank_transfer import (
    Book,
    Command,
    Decide,
    Doubt,
    ItemOutcome,
    ItemState,
    Kind,
    Live,
    RecordInquiry,
    RecordNotSent,
    Source,
    StartSend,
    Step,
    Transfer,
)
from services.settlement.domain.partner import Registered
from services.settlement.domain.status import Outcome as Verdict
from services.settlement.gathering import Gatherer
from services.settlement.references import inquiry_id_of, instruction_id_of, message_id_of

log = get_logger()

Outcome: TypeAlias = Recorded[Command] | None


@dataclass(frozen=True, slots=True)
class _Letter:
    """Transfers that travel in one message, and that message."""

    bank: Registered
    message_id: str
    transfers: Sequence[Live]
    signed: Signed

    @property
    def payment_ids(self) -> set[str]:
        return {payment_id for transfer in self.transfers for payment_id in transfer.items}


class Sending:
    """Performs the steps of bank transfers. Pulls of one bank, due together, travel together."""

    def __init__(
        self,
        aggregates: Aggregates,
        correspondence: Correspondence,
        link: BankLink,
        accounts: Accounts,
        clock: Clock,
    ) -> None:
        self._aggregates = aggregates
        self._correspondence = correspondence
        self._link = link
        self._accounts = accounts
        self._clock = clock
        self._first = Gatherer(self._send_first, self._batch_size)
        self._again = Gatherer(self._send_again, self._all)
        self._asking = Gatherer(self._inquire, self._all)

    async def close(self) -> None:
        """Stop what is under way; what had started to be sent is in doubt at the next start."""
        for gatherer in (self._first, self._again, self._asking):
            await gatherer.close()

    async def perform(self, transfer_id: str, transfer: Transfer, step: Step) -> Outcome:
        """One step. None: not known yet."""
        if not isinstance(transfer, Live):
            return None
        match step:
            case Step.SEND:
                return await self._send(transfer)
            case Step.DOUBT:
                doubt = Doubt("stopped while it was being sent", self._now_ms())
                return self._recorded(transfer, doubt, f"doubt/{transfer.attempt}")
            case Step.BOOK:
                return await self._book(transfer)
            case Step.INQUIRE:
                key = (transfer.terms.bank_id, transfer.message_id)
                return await self._asking.ask(key, transfer)
            case Step.ESCALATE:
                await self._escalate(transfer_id, transfer)
                return None

    def _now_ms(self) -> int:
        return self._clock() // 1_000

    def _recorded(self, transfer: Live, command: Command, name: str) -> Recorded[Command]:
        terms = transfer.terms
        correlation = terms.items[0].payment_id if terms.kind is Kind.PULL else terms.settlement_id
        cause = Cause(f"{terms.transfer_id}/{name}", correlation, actor=ACTOR)
        return Recorded(command, cause)

    async def _batch_size(self, bank_id: str) -> int:
        return (await self._aggregates.partner_of(bank_id)).terms.capability.batch_size

    async def _all(self, _: tuple[str, str]) -> int:
        return 10_000

    # Sending.
    async def _send(self, transfer: Live) -> Outcome:
        terms = transfer.terms
        if terms.kind is Kind.PAYOUT and not await self._is_instructed(terms.settlement_id):
            return None
        if transfer.attempt:
            return await self._again.ask((terms.bank_id, transfer.message_id), transfer)
        if terms.kind is Kind.PAYOUT:
            return (await self._send_first(terms.bank_id, [transfer]))[0]
        return await self._first.ask(terms.bank_id, transfer)

    async def _is_instructed(self, settlement_id: str) -> bool:
        state = (await self._aggregates.settlements.load(settlement_id)).state
        return (
            isinstance(state, settlement.Live)
            and settlement.Stage.INSTRUCTED.value <= state.stage.value
            and state.stage is not settlement.Stage.ABORTED
        )

    async def _send_first(self, bank_id: str, transfers: Sequence[Live]) -> Sequence[Outcome]:
        bank = (await self._aggregates.partner_of(bank_id)).terms
        message_id = message_id_of([transfer.terms.transfer_id for transfer in transfers])
        items = [item for transfer in transfers for item in transfer.terms.items]
        kind = transfers[0].terms.kind
        asks = "debit" if kind is Kind.PULL else "pay"
        signed = await self._correspondence.write(
            bank_id,
            message_id,
            lambda: self._instruction(bank, message_id, transfers),
            tuple(item.payment_id for item in items),
            f"asks the bank to {asks} {len(items)} customers",
        )
        return await self._leave(_Letter(bank, message_id, transfers, signed))

    def _instruction(self, bank: Registered, message_id: str, transfers: Sequence[Live]) -> Message:
        now_ms = self._now_ms()
        is_pull = transfers[0].terms.kind is Kind.PULL
        items = tuple(
            Item(
                UUID(item.uetr),
                end_to_end_id_of(item.payment_id),
                instruction_id_of(item.payment_id),
                item.amount,
                item.bank_account,
                item.name,
            )
            for transfer in transfers
            for item in transfer.terms.items
        )
        make = DirectDebits if is_pull else CreditTransfers
        return make(
            message_id,
            message_id,
            now_ms,
            bank.bank_id,
            bank.account_number,
            _date_of(now_ms),
            items,
        )

    async def _send_again(
        self, key: tuple[str, str], transfers: Sequence[Live]
    ) -> Sequence[Outcome]:
        """The same bytes again: no byte had left, or twice not found while the bank remembers."""
        bank_id, message_id = key
        bank = (await self._aggregates.partner_of(bank_id)).terms
        signed = await self._correspondence.kept(message_id)
        if signed is None:
            raise AssertionError(f"{message_id} was sent and not kept")
        return await self._leave(_Letter(bank, message_id, transfers, signed))

    async def _leave(self, letter: _Letter) -> Sequence[Outcome]:
        """Every start is stored before the first byte; whoever lost its start does not travel."""
        await self._start(letter)
        submitted = await self._link.submit(letter.bank, letter.signed)
        match submitted:
            case NotSent(cause):
                return [
                    self._recorded(
                        transfer,
                        RecordNotSent(cause, self._now_ms()),
                        f"not-sent/{transfer.attempt + 1}",
                    )
                    for transfer in letter.transfers
                ]
            case Unsure(cause):
                return self._doubted(letter, cause)
            case Answered(replies):
                return await self._answered(letter, replies)

    async def _start(self, letter: _Letter) -> None:
        starts = [
            self._record(
                transfer,
                StartSend(transfer.attempt + 1, letter.message_id, self._now_ms()),
                f"start/{transfer.attempt + 1}",
            )
            for transfer in letter.transfers
        ]
        results = await asyncio.gather(*starts, return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        if not errors:
            return
        # One that may not start keeps all of them back, for the bytes are for all.
        for transfer, result in zip(letter.transfers, results, strict=True):
            if not isinstance(result, BaseException):
                command = RecordNotSent("a companion could not start", self._now_ms())
                await self._record(transfer, command, f"not-sent/{transfer.attempt + 1}")
        raise errors[0]

    async def _record(self, transfer: Live, command: Command, name: str) -> None:
        recorded = self._recorded(transfer, command, name)
        await self._aggregates.transfers.transact(
            transfer.terms.transfer_id, recorded.command, recorded.cause
        )

    def _doubted(self, letter: _Letter, cause: str) -> Sequence[Outcome]:
        return [
            self._recorded(transfer, Doubt(cause, self._now_ms()), f"doubt/{transfer.attempt + 1}")
            for transfer in letter.transfers
        ]

    async def _answered(self, letter: _Letter, replies: Sequence[Signed]) -> Sequence[Outcome]:
        try:
            heard = [
                await self._correspondence.hear(letter.bank, reply, letter.payment_ids)
                for reply in replies
            ]
        except SetAside as fault:
            # Unreadable, unsigned or foreign in part is all of it: nothing is applied.
            return self._doubted(letter, fault.wire_reason)
        if not heard:
            return self._doubted(letter, "NO_REPLY")
        outcomes: list[Outcome] = []
        for before in letter.transfers:
            # What came by other ways meanwhile counts too.
            state = (await self._aggregates.transfers.load(before.terms.transfer_id)).state
            now = state if isinstance(state, Live) else before
            said = self._said(letter.bank, heard, now, Source.REPLY)
            await self._note_contradictions(now, said)
            decide = Decide(
                with_silence(now, said), heard[0].message_id, Source.REPLY, self._now_ms()
            )
            outcomes.append(self._recorded(now, decide, f"reply/{heard[0].message_id}"))
        return outcomes

    def _said(
        self, bank: Registered, heard: Sequence[Heard], transfer: Live, source: Source
    ) -> list[ItemOutcome]:
        said: dict[str, ItemOutcome] = {}
        for each in heard:
            match each.message:
                case StatusReport():
                    found = said_by_report(each.message, transfer, bank.capability, source)
                case Notice():
                    found = said_by_notice(each.message, bank.account_number, transfer)
                case _:
                    found = []
            for one in found:
                known = said.get(one.payment_id)
                if known is None or not known.outcome.is_final:
                    said[one.payment_id] = one
        return list(said.values())

    # What the bank says by itself.
    async def take(self, bank: Registered, heard: Heard, transfer_ids: Sequence[str]) -> None:
        """A report or notice that the bank delivered: recorded on each transfer it speaks of."""
        for transfer_id in transfer_ids:
            state = (await self._aggregates.transfers.load(transfer_id)).state
            if not isinstance(state, Live):
                continue
            said = self._said(bank, [heard], state, Source.NOTICE)
            await self.record_said(state, said, heard.message_id, Source.NOTICE)

    async def record_said(
        self, transfer: Live, said: Sequence[ItemOutcome], message_id: str, source: Source
    ) -> None:
        """Record outcomes on a transfer; what contradicts a final one opens a break."""
        await self._note_contradictions(transfer, said)
        decide = Decide(tuple(said), message_id, source, self._now_ms())
        try:
            await self._record(transfer, decide, f"{source.name.lower()}/{message_id}")
        except Rejected as error:
            log.warning(
                "bank_message_not_applied",
                transfer_id=transfer.terms.transfer_id,
                reason=error.reason.name,
            )

    async def _note_contradictions(self, transfer: Live, said: Sequence[ItemOutcome]) -> None:
        for each in contradictions(transfer, said):
            known = transfer.items[each.payment_id]
            await self._aggregates.open_break(
                "CONTRADICTED",
                transfer.terms.bank_id,
                f"{each.payment_id}/{each.outcome.name}",
                payment_id=each.payment_id,
                settlement_id=transfer.terms.settlement_id,
                amount=known.item.amount,
                description=f"{each.outcome.name} after a final outcome",
            )

    # Inquiries.
    async def _inquire(self, key: tuple[str, str], transfers: Sequence[Live]) -> Sequence[Outcome]:
        bank_id, asked_message_id = key
        bank = (await self._aggregates.partner_of(bank_id)).terms
        asked = await self._correspondence.kept(asked_message_id)
        if asked is None:
            raise AssertionError(f"{asked_message_id} was sent and not kept")
        unsure = [item for transfer in transfers for item in _undecided(transfer)]
        ordinal = max(transfer.inquiries for transfer in transfers) + 1
        attempt = max(transfer.attempt for transfer in transfers)
        ids = [transfer.terms.transfer_id for transfer in transfers]
        inquiry_id = inquiry_id_of(ids, asked_message_id, attempt, ordinal)
        signed = await self._correspondence.write(
            bank_id,
            inquiry_id,
            lambda: self._inquiry(inquiry_id, asked_message_id, asked.message_type, unsure),
            tuple(item.item.payment_id for item in unsure),
            f"asks about {len(unsure)} transfers",
        )
        submitted = await self._link.submit(bank, signed)
        if isinstance(submitted, NotSent):
            return [None] * len(transfers)  # what did not leave is no try
        tries = [
            self._record(
                transfer,
                RecordInquiry(transfer.inquiries + 1, inquiry_id, self._now_ms()),
                f"inquiry/{inquiry_id}",
            )
            for transfer in transfers
        ]
        await asyncio.gather(*tries)
        if isinstance(submitted, Unsure):
            return [None] * len(transfers)
        try:
            payment_ids = {item.item.payment_id for item in unsure}
            heard = [
                await self._correspondence.hear(bank, reply, payment_ids)
                for reply in submitted.replies
            ]
        except SetAside:
            return [None] * len(transfers)
        return [await self._told(bank, heard, transfer) for transfer in transfers]

    def _inquiry(
        self, inquiry_id: str, asked_id: str, asked_type: str, unsure: Sequence[ItemState]
    ) -> Message:
        items = tuple(
            InquiryItem(
                f"{inquiry_id[:20]}-{place}",
                UUID(item.item.uetr),
                end_to_end_id_of(item.item.payment_id),
                instruction_id_of(item.item.payment_id),
            )
            for place, item in enumerate(unsure, 1)
        )
        return Inquiry(inquiry_id, self._now_ms(), asked_id, asked_type, items)

    async def _told(self, bank: Registered, heard: Sequence[Heard], before: Live) -> Outcome:
        state = (await self._aggregates.transfers.load(before.terms.transfer_id)).state
        now = state if isinstance(state, Live) else before
        said = self._said(bank, heard, now, Source.INQUIRY)
        if not said:
            return None
        await self._note_contradictions(now, said)
        decide = Decide(tuple(said), heard[0].message_id, Source.INQUIRY, self._now_ms())
        return self._recorded(now, decide, f"inquiry/{heard[0].message_id}/told")

    async def _escalate(self, transfer_id: str, transfer: Live) -> None:
        for item in transfer.those(Verdict.UNKNOWN):
            await self._aggregates.open_break(
                "IN_DOUBT_TOO_LONG",
                transfer.terms.bank_id,
                f"{transfer_id}/{item.item.payment_id}",
                payment_id=item.item.payment_id,
                settlement_id=transfer.terms.settlement_id,
                amount=item.item.amount,
                description="the bank's schedule of inquiries is over",
            )

    # Booking.
    async def _book(self, transfer: Live) -> Outcome:
        unbooked = transfer.unbooked
        bank_id = transfer.terms.bank_id
        schedule = (await self._aggregates.partner_of(bank_id)).terms.capability.schedule_s
        was_escalated = transfer.inquiries >= len(schedule)
        posted = await post_bank_facts(
            self._accounts, [_booking(bank_id, item) for item in unbooked]
        )
        booked = tuple(
            item.item.payment_id
            for item, each in zip(unbooked, posted, strict=True)
            if each.is_done
        )
        for item, each in zip(unbooked, posted, strict=True):
            if not each.is_done:
                log.error("booking_refused", payment_id=item.item.payment_id, reason=each.refusal)
            elif was_escalated and item.was_doubted:
                place = f"{transfer.terms.transfer_id}/{item.item.payment_id}"
                await self._aggregates.clear_break("IN_DOUBT_TOO_LONG", place, "the bank's word")
        if not booked:
            return None
        position = max(each.position for each in posted)
        name = f"book/{booked[0]}/{len(booked)}"
        return self._recorded(transfer, Book(booked, position), name)


def _undecided(transfer: Live) -> list[ItemState]:
    return transfer.those(Verdict.UNKNOWN, Verdict.PENDING)


def _booking(bank_id: str, item: ItemState) -> Posting:
    payment_id, amount = item.item.payment_id, item.item.amount
    accounts = accounts_of(bank_id, amount.currency)
    return Posting(
        derived_id(payment_id, "booked"),
        accounts.in_transit_out,
        accounts.mirror,
        amount,
        "payout made by the bank",
        payment_id,
        f"{payment_id}/booked",
        item.value_date,
    )


async def post_bank_facts(accounts: Accounts, postings: Sequence[Posting]) -> Sequence[Posted]:
    """Post what a bank stated; a date the journal does not take gives way to its own."""
    posted = list(await accounts.post(postings))
    late = [
        (place, posting)
        for place, (posting, each) in enumerate(zip(postings, posted, strict=True))
        if each.refusal in ("VALUE_DATE_TOO_OLD", "VALUE_DATE_IN_FUTURE", "PERIOD_LOCKED")
    ]
    if late:
        again = [
            Posting(
                derived_id(posting.posting_id, "assumed date"),
                posting.debit,
                posting.credit,
                posting.amount,
                posting.purpose,
                posting.correlation_id,
                posting.fact_key,
            )
            for _, posting in late
        ]
        for (place, _), each in zip(late, await accounts.post(again), strict=True):
            posted[place] = each
    return posted


def _date_of(now_ms: int) -> str:
    """The UTC date, for messages that must name one."""
    return datetime.fromtimestamp(now_ms / 1_000, UTC).date().isoformat()
