"""Statements at work: pages gathered, taken in whole, lines matched, differences made breaks."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from uuid import UUID

from libs.cancelling import heed_cancellation
from libs.clock import Clock
from libs.decider import Cause, Rejected
from libs.ids import derived_id, named_id
from libs.iso20022 import Entry, StatementPage
from libs.money import Money
from libs.read_model import Database
from libs.telemetry import get_logger
from libs.transient import is_transient
from services.settlement import queries
from services.settlement.aggregates import ACTOR, Aggregates
from services.settlement.answers import payment_id_of
from services.settlement.clients.accounts import Accounts, Posting, accounts_of
from services.settlement.clients.bank_link import BankLink, LinkRefused
from services.settlement.correspondence import Correspondence, SetAside
from services.settlement.domain import bank_transfer, partner, statement
from services.settlement.domain.settlement import Stage
from services.settlement.domain.statement import (
    LINES_IN_PART_MAX,
    Before,
    Expectation,
    Faulty,
    Favour,
    Finding,
    Line,
    LineMatch,
    Matching,
    Page,
    Quarantined,
    Totals,
    Waiting,
    match_lines,
    take_in,
)
from services.settlement.domain.status import Outcome
from services.settlement.high_water import OwnRows
from services.settlement.sending import Sending, post_bank_facts

LOOK_EVERY_S = 2.0
# A settlement that waits this long for a statement makes us ask for one.
FETCH_AFTER_S = 10.0
FETCH_EVERY_S = 10.0

log = get_logger()


class StatementDesk:
    """Takes statements in; woken by pages, it also looks by itself and asks for what is late."""

    def __init__(  # noqa: PLR0913, PLR0917 - what its work touches
        self,
        aggregates: Aggregates,
        correspondence: Correspondence,
        sending: Sending,
        link: BankLink,
        accounts: Accounts,
        database: Database,
        rows: OwnRows,
        clock: Clock,
        wake_transfer: Callable[[str], None],
    ) -> None:
        self._aggregates = aggregates
        self._correspondence = correspondence
        self._sending = sending
        self._link = link
        self._accounts = accounts
        self._database = database
        self._rows = rows
        self._clock = clock
        self._wake_transfer = wake_transfer
        self._woken = asyncio.Event()
        self._waiting_since_us: dict[str, int] = {}
        self._fetched_us: dict[str, int] = {}

    def wake(self) -> None:
        """A page has come."""
        self._woken.set()

    async def run(self) -> None:
        """For ever: look when woken, and now and then."""
        while True:
            heed_cancellation()
            try:
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()
            try:
                await self.look()
            except Exception as error:
                if not is_transient(error):
                    raise
                log.warning("statements_wait", reason=str(error))

    async def look(self) -> None:
        """Do what there is to do, at every bank."""
        await self._rows.reached()
        for bank_id in await self._database.read(queries.bank_ids):
            while await self._take_next(bank_id):
                pass
        for bank_id, statement_id in await self._database.read(queries.unmatched_statements):
            await self._match(bank_id, statement_id)
        await self._ask_for_what_is_late()

    async def _take_next(self, bank_id: str) -> bool:
        """Take in the bank's next statement, if all of it is here."""
        bank = (await self._aggregates.partners.load(bank_id)).state
        if not isinstance(bank, partner.Open):
            return False
        await self._rows.reached()
        last = await self._database.read(lambda c: queries.last_statement(c, bank_id))
        number = last.number + 1 if last else 1
        held = await self._database.read(lambda c: queries.pages_held(c, bank_id, number))
        if not held:
            return False
        statement_id = f"{bank_id}-{number}"
        state = (await self._aggregates.statements.load(statement_id)).state
        held = [message_id for message_id in held if message_id not in state.set_aside]
        if not held:
            return False
        before = Before(
            bank_id,
            bank.terms.account_number,
            bank.terms.currency_code,
            number - 1,
            last.closing_minor if last else 0,
        )
        pages = [await self._page(message_id) for message_id in held]
        match take_in(pages, before):
            case Waiting():
                return False
            case Faulty(reason, description):
                await self._set_aside(bank_id, statement_id, held, Faulty(reason, description))
                return False
            case whole:
                cause = Cause(f"{statement_id}/accept", statement_id, actor=ACTOR)
                await self._aggregates.statements.transact(
                    statement_id, statement.Accept(whole.terms), cause
                )
                for type_ in ("STATEMENT_TOTALS", "STATEMENT_PAGES", "STATEMENT_GAP"):
                    await self._aggregates.clear_break(type_, statement_id, "a whole one came")
                await self._match(bank_id, statement_id)
                return True

    async def _page(self, message_id: str) -> Page:
        return page_of(message_id, await self._correspondence.page(message_id))

    async def _set_aside(
        self, bank_id: str, statement_id: str, message_ids: Sequence[str], fault: Faulty
    ) -> None:
        """All of its pages, so that a corrected one begins anew. Nothing of it is booked."""
        log.warning("statement_set_aside", statement_id=statement_id, reason=fault.reason)
        for message_id in message_ids:
            terms = Quarantined(bank_id, fault.reason, fault.description, message_id)
            cause = Cause(f"{statement_id}/aside/{message_id}", statement_id, actor=ACTOR)
            await self._aggregates.statements.transact(
                statement_id, statement.SetAside(terms), cause
            )
        await self._aggregates.open_break(
            fault.reason, bank_id, statement_id, description=fault.description
        )

    async def restated(self, bank_id: str, page: StatementPage, message_id: str) -> bool:
        """Whether the page is of a statement accepted before with other content: it is held."""
        statement_id = f"{bank_id}-{page.number}"
        state = (await self._aggregates.statements.load(statement_id)).state
        if not isinstance(state, statement.Held) or message_id in state.terms.message_ids:
            return False
        await self._set_aside(
            bank_id,
            statement_id,
            [message_id],
            Faulty("STATEMENT_RESTATED", "its number was accepted with other content"),
        )
        return True

    # Matching.
    async def _match(self, bank_id: str, statement_id: str) -> None:
        held = (await self._aggregates.statements.load(statement_id)).state
        if not isinstance(held, statement.Held) or held.is_matched:
            return
        lines = await self._lines(held)
        await self._rows.reached()
        expected = await self._database.read(
            lambda c: queries.expected_by(
                c,
                [line.uetr for line in lines if line.uetr],
                [p for line in lines if (p := payment_id_of(line.end_to_end_id))],
                [line.bank_reference for line in lines if line.bank_reference],
            )
        )
        payment_ids = [each.payment_id for each in expected]
        taken = await self._database.read(
            lambda c: queries.taken_by_others(c, payment_ids, statement_id)
        )
        matching = await asyncio.to_thread(match_lines, lines, expected, taken)
        await self._apply(bank_id, held, lines, expected, matching)
        for part, at in enumerate(range(0, len(lines), LINES_IN_PART_MAX), 1):
            until = at + LINES_IN_PART_MAX
            record = statement.RecordMatches(
                part, tuple(lines[at:until]), matching.matches[at:until]
            )
            cause = Cause(f"{statement_id}/match/{part}", statement_id, actor=ACTOR)
            await self._aggregates.statements.transact(statement_id, record, cause)

    async def _lines(self, held: statement.Held) -> list[Line]:
        pages = [await self._page(message_id) for message_id in held.terms.message_ids]
        lines = [line for page in sorted(pages, key=lambda p: p.page) for line in page.lines]
        return [replace(line, ordinal=ordinal) for ordinal, line in enumerate(lines, 1)]

    async def _apply(
        self,
        bank_id: str,
        held: statement.Held,
        lines: Sequence[Line],
        expected: Sequence[Expectation],
        matching: Matching,
    ) -> None:
        """A booked line decides what was not decided; what it cannot explain goes to suspense."""
        by_ordinal = {line.ordinal: line for line in lines}
        contradicted = await self._decide(bank_id, held, by_ordinal, matching.matches)
        findings = [*matching.findings, *contradicted]
        amounts = {each.payment_id: each for each in expected}
        postings = []
        for finding in findings:
            line = by_ordinal[finding.ordinal]
            await self._aggregates.open_break(
                finding.type,
                bank_id,
                f"{held.terms.statement_id}/{finding.ordinal}",
                payment_id=finding.payment_id,
                amount=line.amount,
                description=f"line {finding.ordinal} of statement {held.terms.number}",
            )
            booked = await self._booked_minor(finding, amounts)
            posting = _suspense(bank_id, held.terms.statement_id, line, booked)
            if posting is not None:
                postings.append(posting)
        for _, posted in zip(
            postings, await post_bank_facts(self._accounts, postings), strict=True
        ):
            if not posted.is_done:
                log.error(
                    "suspense_refused",
                    statement_id=held.terms.statement_id,
                    reason=posted.refusal,
                )

    async def _booked_minor(self, finding: Finding, amounts: dict[str, Expectation]) -> int:
        """What the mirror shows for the line's payment, in our favour; 0 for a second line."""
        expectation = amounts.get(finding.payment_id)
        if expectation is None or finding.type in ("DUPLICATE_EXECUTION", "CONTRADICTED"):
            return 0
        transfer = await self._transfer_of(finding.payment_id)
        if transfer is None or transfer.items[finding.payment_id].outcome is not Outcome.DONE:
            return 0
        minor = expectation.amount.minor
        return minor if expectation.favour is Favour.OURS else -minor

    async def _transfer_of(self, payment_id: str) -> bank_transfer.Live | None:
        found = await self._database.read(lambda c: queries.known_items(c, [payment_id]))
        if payment_id not in found:
            return None
        transfer_id = found[payment_id].transfer_id
        state = (await self._aggregates.transfers.load(transfer_id)).state
        return state if isinstance(state, bank_transfer.Live) else None

    async def _decide(
        self,
        bank_id: str,
        held: statement.Held,
        lines: dict[int, Line],
        matches: Sequence[LineMatch],
    ) -> list[Finding]:
        """Outcomes that only the statement tells; findings where it contradicts a refusal."""
        matched = {match.payment_id: match for match in matches if match.is_match}
        found = await self._database.read(lambda c: queries.known_items(c, list(matched)))
        by_transfer: dict[str, list[str]] = {}
        for item in found.values():
            if item.bank_id == bank_id:
                by_transfer.setdefault(item.transfer_id, []).append(item.payment_id)
        findings = []
        for transfer_id, payment_ids in sorted(by_transfer.items()):
            state = (await self._aggregates.transfers.load(transfer_id)).state
            if not isinstance(state, bank_transfer.Live):
                continue
            said = []
            for payment_id in payment_ids:
                known, match = state.items[payment_id], matched[payment_id]
                if known.outcome is Outcome.DONE:
                    continue
                line = lines[match.ordinal]
                if known.outcome is Outcome.REFUSED:
                    findings.append(Finding(match.ordinal, "CONTRADICTED", payment_id))
                said.append(
                    bank_transfer.ItemOutcome(
                        payment_id,
                        known.item.uetr,
                        Outcome.DONE,
                        "",
                        line.bank_reference,
                        line.value_date,
                    )
                )
            if said:
                source = bank_transfer.Source.STATEMENT
                await self._sending.record_said(state, said, held.terms.statement_id, source)
                self._wake_transfer(transfer_id)
        return findings

    # What did not come.
    async def _ask_for_what_is_late(self) -> None:
        now = self._clock()
        for bank_id in await self._database.read(queries.bank_ids):
            if not await self._waiting_at(bank_id):
                self._waiting_since_us.pop(bank_id, None)
                continue
            since = self._waiting_since_us.setdefault(bank_id, now)
            asked = self._fetched_us.get(bank_id, 0)
            if now - since >= FETCH_AFTER_S * 1e6 and now - asked >= FETCH_EVERY_S * 1e6:
                self._fetched_us[bank_id] = now
                await self._fetch(bank_id)

    async def _waiting_at(self, bank_id: str) -> list[str]:
        return await self._database.read(
            lambda c: queries.settlements_in_stage(c, bank_id, Stage.CONFIRMED)
        )

    async def _fetch(self, bank_id: str) -> None:
        bank = (await self._aggregates.partner_of(bank_id)).terms
        last = await self._database.read(lambda c: queries.last_statement(c, bank_id))
        number = last.number + 1 if last else 1
        try:
            pages = await self._link.statements(bank, number)
        except LinkRefused as refused:
            log.warning("statements_not_fetched", bank_id=bank_id, reason=refused.reason)
            return
        for page in pages:
            try:
                await self._correspondence.hear(bank, page)
            except (SetAside, Rejected) as fault:
                log.warning("statement_page_set_aside", bank_id=bank_id, reason=str(fault))
        if pages:
            self.wake()


def page_of(message_id: str, page: StatementPage) -> Page:
    """The page as the domain reads it; only booked lines count."""
    booked = [entry for entry in page.entries if entry.status == "BOOK"]
    totals = Totals(
        page.summary.credits,
        page.summary.credits_minor,
        page.summary.debits,
        page.summary.debits_minor,
    )
    return Page(
        message_id,
        page.statement_id,
        page.account_number,
        page.currency,
        page.number,
        page.page,
        page.is_last,
        page.from_date,
        page.to_date,
        page.opening,
        page.closing,
        totals,
        tuple(_line(ordinal, entry) for ordinal, entry in enumerate(booked, 1)),
        bool(page.copy_indicator),
    )


def _line(ordinal: int, entry: Entry) -> Line:
    return Line(
        ordinal,
        str(entry.uetr) if isinstance(entry.uetr, UUID) else "",
        entry.end_to_end_id,
        entry.bank_reference,
        Favour.OURS if entry.favour == "C" else Favour.BANK,
        entry.amount,
        entry.booking_date,
        entry.value_date,
    )


def _suspense(bank_id: str, statement_id: str, line: Line, booked_minor: int) -> Posting | None:
    """The mirror follows the bank; what we cannot explain stands in suspense, long or short."""
    minor = line.amount.minor if line.favour is Favour.OURS else -line.amount.minor
    difference = minor - booked_minor
    if difference == 0:
        return None
    accounts = accounts_of(bank_id, line.amount.currency)
    debit, credit = (
        (accounts.mirror, accounts.suspense_long)
        if difference > 0
        else (accounts.suspense_short, accounts.mirror)
    )
    return Posting(
        derived_id(named_id("statement", statement_id), "suspense", line.ordinal),
        debit,
        credit,
        Money(line.amount.currency, abs(difference)),
        "statement line unexplained",
        statement_id,
        f"{statement_id}/{line.ordinal}/suspense",
        line.value_date,
    )
