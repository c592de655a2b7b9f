"""Joint settlements at work: proposed, agreed, instructed, confirmed, tied out, made final."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from libs.clock import Clock
from libs.decider import Cause
from libs.ids import derived_id
from libs.money import Money
from libs.process import Recorded
from libs.read_model import Database
from libs.signing import Signer, final_payload, verify
from libs.telemetry import get_logger
from libs.two_halves import OURS, THE_BANKS, Header, sign_payload
from services.settlement import queries
from services.settlement.aggregates import ACTOR, Aggregates
from services.settlement.agreeing import Agreeing, Stuck, why_stuck
from services.settlement.answers import end_to_end_id_of
from services.settlement.clients.accounts import Accounts, Carried, Posting, accounts_of
from services.settlement.clients.bank_link import Advised, BankLink, LinkRefused
from services.settlement.codec.heard import Payee
from services.settlement.domain import bank_transfer, partner
from services.settlement.domain.settlement import (
    Carry,
    Command,
    Confirm,
    Confirmed,
    Differ,
    Finalise,
    Finalised,
    Instruct,
    LegsCarried,
    Live,
    Propose,
    Proposed,
    Settlement,
    Step,
    TellPayments,
    TiedOut,
    TieOut,
)
from services.settlement.domain.statement import Favour
from services.settlement.domain.status import Outcome
from services.settlement.halves import Half, Halves, header_of
from services.settlement.high_water import OwnRows
from services.settlement.queries import WindowLeg
from services.settlement.references import uetr_text

ADVISED_IN_CALL_MAX = 1_000

log = get_logger()

Done: TypeAlias = Recorded[Command] | None


@dataclass(frozen=True, slots=True)
class Tools:
    """What settling works with."""

    aggregates: Aggregates
    accounts: Accounts
    link: BankLink
    signer: Signer
    database: Database
    rows: OwnRows
    halves: Halves
    clock: Clock


class Settling:
    """Performs the steps of settlements. `waits` says in words what one waits for."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._agreeing = Agreeing(tools.link)
        self.waits: dict[str, str] = {}
        # Which settlement a payout transfer belongs to, of those that were looked at.
        self.owners: dict[str, str] = {}

    async def perform(self, settlement_id: str, settlement: Settlement, step: Step) -> Done:
        """One step. None: not known yet, and `waits` says what for."""
        if not isinstance(settlement, Live):
            return None
        bank = await self._tools.aggregates.partner_of(settlement.terms.bank_id)
        performed = await self._step(settlement, bank, step)
        if isinstance(performed, str):
            self.waits[settlement_id] = performed
            return None
        self.waits.pop(settlement_id, None)
        name = f"{settlement_id}/{step.name.lower()}/{settlement.round}"
        return Recorded(performed, Cause(name, settlement_id, actor=ACTOR))

    async def _step(self, settlement: Live, bank: partner.Open, step: Step) -> Command | str:
        match step:
            case Step.PROPOSE:
                return await self._propose(settlement, bank)
            case Step.SUBMIT_PROPOSAL:
                return await self._submit(settlement, bank)
            case Step.CARRY:
                return await self._carry(settlement, bank)
            case Step.INSTRUCT:
                return await self._instruct(settlement, bank)
            case Step.CONFIRM:
                return await self._confirm(settlement, bank)
            case Step.TIE_OUT:
                return await self._tie_out(settlement, bank)
            case Step.CONFIRM_FINAL:
                return await self._confirm_final(settlement, bank)
            case Step.CLOSE_WINDOW:
                return await self._close(settlement, bank)

    # Agreement.
    async def _propose(self, settlement: Live, bank: partner.Open) -> Command | str:
        tools, terms = self._tools, settlement.terms
        await tools.rows.reached()
        earlier = await tools.database.read(
            lambda c: queries.unagreed_before(c, terms.bank_id, terms.settlement_id)
        )
        if earlier:
            return f"agreement of the settlement before it, {earlier[0]}"
        half = await tools.halves.of(settlement, bank.terms)
        payees = await self._payees(half)
        if isinstance(payees, str):
            return payees
        if settlement.round == 0:
            short = await self._shortage(bank, half)
            if short:
                return f"funds: {Money(terms.currency_code, short)} short"
            refused = await self._advise(bank.terms, half, payees)
            if refused:
                return refused
        previous = await tools.database.read(lambda c: queries.last_agreed_digest(c, terms.bank_id))
        header = header_of(settlement, bank.terms, half, previous, tools.clock() // 1_000)
        encoded = header.encode()
        signature = tools.signer.sign(sign_payload(OURS, hashlib.sha256(encoded).digest()))
        return Propose(
            Proposed(
                header.round,
                encoded,
                header.root,
                signature,
                header.legs,
                header.sum_ours_minor,
                header.sum_bank_minor,
            )
        )

    async def _shortage(self, bank: partner.Open, half: Half) -> int:
        """What our account lacks for the payouts, in minor units."""
        posted, _ = await self._tools.accounts.balance(bank.mirror_account_id)
        covered = posted + bank.terms.capability.credit_line_minor
        return max(0, half.sum_of(Favour.BANK) - covered)

    async def _payees(self, half: Half) -> dict[str, Payee] | str:
        payouts = [leg.payment_id for leg in half.legs if leg.favour is Favour.BANK]
        payees = await self._tools.database.read(lambda c: queries.payees_of(c, payouts))
        missing = len(payouts) - len(payees)
        return f"the payees of {missing} payouts" if missing else payees

    async def _advise(self, bank: partner.Registered, half: Half, payees: dict[str, Payee]) -> str:
        movements = [
            Advised(
                str(uetr),
                end_to_end_id_of(leg.payment_id),
                leg.amount,
                payees[leg.payment_id].bank_account,
                payees[leg.payment_id].name,
            )
            for uetr, leg in zip(half.uetrs, half.legs, strict=True)
            if leg.favour is Favour.BANK
        ]
        for at in range(0, len(movements), ADVISED_IN_CALL_MAX):
            try:
                await self._tools.link.advise(bank, movements[at : at + ADVISED_IN_CALL_MAX])
            except LinkRefused as refused:
                return f"{bank.bank_id} to take the advice: {refused.reason[:100]}"
        return ""

    async def _submit(self, settlement: Live, bank: partner.Open) -> Command | str:
        proposal = settlement.proposal
        if proposal is None:
            raise AssertionError("nothing was proposed")
        half = await self._tools.halves.of(settlement, bank.terms)
        if half.tree.root != proposal.root:
            raise AssertionError(f"{settlement.terms.settlement_id}: the movements changed")
        clocked = (self._tools.clock() // 1_000, Header.decode(proposal.header).expires_ms)
        answer = await self._agreeing.ask(
            settlement, bank.terms, half, self._tools.signer.key_id, clocked
        )
        if isinstance(answer, Stuck):
            await self._stuck(settlement, answer.description)
            return f"countersignature of {bank.terms.bank_id}: {answer.description}"
        if isinstance(answer, Differ):
            why = why_stuck(answer.difference, proposal)
            if why:
                await self._stuck(settlement, why)
        else:
            place = f"{settlement.terms.settlement_id}/{settlement.round}"
            await self._tools.aggregates.clear_break("AGREEMENT_STUCK", place, "countersigned")
        return answer

    async def _stuck(self, settlement: Live, description: str) -> None:
        terms = settlement.terms
        await self._tools.aggregates.open_break(
            "AGREEMENT_STUCK",
            terms.bank_id,
            f"{terms.settlement_id}/{settlement.round}",
            settlement_id=terms.settlement_id,
            description=description,
        )

    async def _carry(self, settlement: Live, bank: partner.Open) -> Command | str:
        """Disputed legs leave for the window that is open now, each by its own entry."""
        terms = settlement.terms
        (window_id,) = terms.window_ids
        half = await self._tools.halves.of(settlement, bank.terms)
        amounts = {leg.payment_id: leg.amount for leg in half.legs}
        disputed = settlement.uncarried
        clearing = str(derived_id(window_id, "clearing"))
        posted = await self._tools.accounts.post(
            [
                Posting(
                    derived_id(terms.settlement_id, f"carry:{leg.payment_id}"),
                    clearing,
                    "",
                    amounts[leg.payment_id],
                    f"leg carried: {leg.type}",
                    leg.payment_id,
                    f"{leg.payment_id}/carried/{window_id}",
                    carried=Carried(terms.bank_id, leg.payment_id, window_id),
                )
                for leg in disputed
            ]
        )
        moves: dict[tuple[str, str], list[str]] = {}
        for leg, each in zip(disputed, posted, strict=True):
            if each.refusal or not each.window_id:
                log.error("carrying_refused", payment_id=leg.payment_id, reason=each.refusal)
                return f"leg {leg.payment_id} to be carried: {each.refusal}"
            moves.setdefault((each.window_id, leg.type), []).append(leg.payment_id)
        return Carry(
            tuple(
                LegsCarried(tuple(payment_ids), window_id, to_window_id, cause)
                for (to_window_id, cause), payment_ids in moves.items()
            )
        )

    # Instruction.
    async def _instruct(self, settlement: Live, bank: partner.Open) -> Command | str:
        """Every intent is stored, then the clearing account emptied; only then may bytes leave."""
        terms = settlement.terms
        half = await self._tools.halves.of(settlement, bank.terms)
        payees = await self._payees(half)
        if isinstance(payees, str):
            return payees
        payouts = [leg for leg in half.legs if leg.favour is Favour.BANK]
        size = bank.terms.capability.batch_size
        postings: list[Posting] = []
        transfer_ids = []
        for n, at in enumerate(range(0, len(payouts), size)):
            batch_id = derived_id(terms.settlement_id, "batch", n)
            transfer_ids.append(str(batch_id))
            batch = payouts[at : at + size]
            await self._intend(settlement, str(batch_id), batch, payees)
            postings.append(self._clearing(settlement, batch_id, batch))
        posted = await self._tools.accounts.post(postings)
        for transfer_id, each in zip(transfer_ids, posted, strict=True):
            if not each.is_done:
                log.error("instructing_refused", transfer_id=transfer_id, reason=each.refusal)
                return f"the clearing entry of {transfer_id}: {each.refusal}"
        return Instruct(tuple(transfer_ids))

    async def _intend(
        self,
        settlement: Live,
        transfer_id: str,
        batch: Sequence[WindowLeg],
        payees: dict[str, Payee],
    ) -> None:
        items = tuple(
            bank_transfer.Item(
                leg.payment_id,
                uetr_text(leg.payment_id),
                leg.amount,
                payees[leg.payment_id].bank_account,
                payees[leg.payment_id].name,
            )
            for leg in batch
        )
        terms = bank_transfer.Intended(
            transfer_id,
            settlement.terms.bank_id,
            bank_transfer.Kind.PAYOUT,
            items,
            settlement.terms.settlement_id,
        )
        cause = Cause(f"{transfer_id}/intend", settlement.terms.settlement_id, actor=ACTOR)
        await self._tools.aggregates.transfers.transact(
            transfer_id, bank_transfer.Intend(terms), cause, is_new=True
        )

    def _clearing(self, settlement: Live, transfer_id: UUID, batch: Sequence[WindowLeg]) -> Posting:
        terms = settlement.terms
        (window_id,) = terms.window_ids
        amount = Money(terms.currency_code, sum(leg.amount.minor for leg in batch))
        return Posting(
            derived_id(transfer_id, "instructed"),
            str(derived_id(window_id, "clearing")),
            accounts_of(terms.bank_id, terms.currency_code).in_transit_out,
            amount,
            "payouts instructed",
            terms.settlement_id,
            f"{transfer_id}/instructed",
        )

    # Confirmation and tie-out.
    async def _confirm(self, settlement: Live, bank: partner.Open) -> Command | str:
        done = refused = doubted = open_items = unbooked = 0
        for transfer_id in settlement.transfer_ids:
            self.owners[transfer_id] = settlement.terms.settlement_id
            state = (await self._tools.aggregates.transfers.load(transfer_id)).state
            if not isinstance(state, bank_transfer.Live):
                raise AssertionError(  # noqa: TRY004 - history that cannot be, not a wrong argument
                    f"{transfer_id} was instructed and not intended"
                )
            done += len(state.those(Outcome.DONE))
            refused += len(state.those(Outcome.REFUSED))
            doubted += sum(item.was_doubted for item in state.items.values())
            open_items += sum(not item.is_final for item in state.items.values())
            unbooked += len(state.unbooked)
        if open_items:
            return f"the outcome of {open_items} payouts at {bank.terms.bank_id}"
        if unbooked:
            return f"{unbooked} payouts to be booked"
        for transfer_id in settlement.transfer_ids:
            self.owners.pop(transfer_id, None)
        half = await self._tools.halves.of(settlement, bank.terms)
        ours = sum(leg.favour is Favour.OURS for leg in half.legs)
        return Confirm(Confirmed(ours + done, refused, doubted))

    async def _refused(self, settlement: Live) -> set[str]:
        found: set[str] = set()
        for transfer_id in settlement.transfer_ids:
            state = (await self._tools.aggregates.transfers.load(transfer_id)).state
            if isinstance(state, bank_transfer.Live):
                found |= {item.item.payment_id for item in state.those(Outcome.REFUSED)}
        return found

    async def _moved(self, settlement: Live, bank: partner.Open) -> list[str]:
        """Payments of the settlement that moved money: all but the refused ones."""
        half = await self._tools.halves.of(settlement, bank.terms)
        refused = await self._refused(settlement)
        return [leg.payment_id for leg in half.legs if leg.payment_id not in refused]

    async def _tie_out(self, settlement: Live, bank: partner.Open) -> Command | str:
        """Every leg on a booked line, and mirror less what only we have = closing balance (E4)."""
        tools, bank_id = self._tools, bank.terms.bank_id
        await tools.rows.reached()
        last = await tools.database.read(lambda c: queries.last_statement(c, bank_id))
        if last is None:
            return f"statement 1 of {bank_id}"
        if last.matched < last.line_count:
            return f"the matching of statement {last.number} of {bank_id}"
        moved = await self._moved(settlement, bank)
        shown = await tools.database.read(lambda c: queries.lines_matched(c, moved))
        missing = len(moved) - len(shown)
        if missing:
            return f"statement {last.number + 1} of {bank_id}: {missing} lines are missing"
        mirror, page = await tools.accounts.balance(bank.mirror_account_id)
        if await tools.database.read(queries.journal_page) < page:
            return "the journal's newest page"
        only_ours = await tools.database.read(lambda c: queries.only_ours(c, bank_id, page))
        if mirror - only_ours.minor != last.closing_minor:
            currency = bank.terms.currency_code
            ours, banks = (
                Money(currency, mirror - only_ours.minor),
                Money(currency, last.closing_minor),
            )
            return f"mirror and statement of {bank_id} to agree: {ours} and {banks}"
        return TieOut(
            TiedOut(last.statement_id, mirror - only_ours.minor, last.closing_minor, page)
        )

    async def _confirm_final(self, settlement: Live, bank: partner.Open) -> Command | str:
        tools, terms = self._tools, settlement.terms
        if settlement.agreement is None:
            raise AssertionError("nothing was agreed")
        moved = await self._moved(settlement, bank)
        await tools.rows.reached()
        breaks = await tools.database.read(
            lambda c: queries.open_breaks_of(c, terms.settlement_id, moved)
        )
        if breaks:
            return f"the repair of {len(breaks)} breaks: {', '.join(sorted(set(breaks)))}"
        digest = settlement.agreement.digest
        signature = tools.signer.sign(final_payload(OURS, digest))
        try:
            theirs, key_id = await tools.link.confirm_final(
                bank.terms, UUID(terms.settlement_id), digest, signature, tools.signer.key_id
            )
        except LinkRefused as refused:
            return f"final confirmation of {terms.bank_id}: {refused.reason[:100]}"
        is_signed = key_id == bank.terms.key_id and verify(
            bank.terms.public_key, theirs, final_payload(THE_BANKS, digest)
        )
        if not is_signed:
            return f"a final signature of {terms.bank_id} that verifies"
        return Finalise(Finalised(signature, theirs))

    async def _close(self, settlement: Live, bank: partner.Open) -> Command | str:
        for window_id in settlement.terms.window_ids:
            if not await self._tools.accounts.close_window(window_id):
                return f"the clearing account of window {window_id} to be at 0"
        return TellPayments(tuple(await self._moved(settlement, bank)))
