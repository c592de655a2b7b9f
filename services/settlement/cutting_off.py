"""Cut-offs and partners at work: windows sealed and settled, new partners' accounts opened."""

import asyncio

from libs.decider import Cause
from libs.ids import derived_id, named_id
from libs.process import Recorded
from libs.read_model import Database
from services.settlement import queries
from services.settlement.aggregates import ACTOR, Aggregates
from services.settlement.clients.accounts import Accounts, JournalWindow, accounts_of
from services.settlement.domain import cut_off, partner, settlement
from services.settlement.domain.cut_off import WindowOfBank
from services.settlement.domain.statement import Favour
from services.settlement.high_water import OwnRows


class CuttingOff:
    """Seals windows, and drafts a settlement for each that is not empty."""

    def __init__(
        self, aggregates: Aggregates, accounts: Accounts, database: Database, rows: OwnRows
    ) -> None:
        self._aggregates = aggregates
        self._accounts = accounts
        self._database = database
        self._rows = rows

    async def perform(
        self, request_id: str, state: cut_off.CutOff, _: cut_off.Step
    ) -> Recorded[cut_off.Command] | None:
        """Seal all, draft all; None while the movements have not reached a seal yet."""
        if not isinstance(state, cut_off.Sealing):
            return None
        windows = state.terms.windows
        sealed = await asyncio.gather(*(self._seal(request_id, each) for each in windows))
        drafted = []
        for window, seal in zip(windows, sealed, strict=True):
            if seal.legs == 0:
                await self._accounts.close_window(window.window_id)
                continue
            settlement_id = await self._draft(state.terms, window)
            if settlement_id is None:
                return None
            drafted.append(settlement_id)
        complete = cut_off.Complete(tuple(drafted))
        return Recorded(complete, Cause(f"{request_id}/complete", request_id, actor=ACTOR))

    async def _seal(self, request_id: str, window: WindowOfBank) -> JournalWindow:
        following = derived_id(request_id, f"window:{window.bank_id}")
        return await self._accounts.seal_window(window.window_id, str(following))

    async def _draft(self, terms: cut_off.Requested, window: WindowOfBank) -> str | None:
        found = await self._database.read(lambda c: queries.seal_of(c, window.window_id))
        if found is None:
            return None
        seal, page = found
        legs = await self._database.read(lambda c: queries.legs_of(c, (window.window_id,)))
        sums = {
            favour: sum(leg.amount.minor for leg in legs if leg.favour is favour)
            for favour in Favour
        }
        ours, banks = sums[Favour.OURS], sums[Favour.BANK]
        if (len(legs), ours, banks) != (seal.legs, seal.sum_ours_minor, seal.sum_bank_minor):
            raise AssertionError(f"window {window.window_id}: movements and seal differ")
        await self._rows.reached()
        previous = await self._database.read(
            lambda c: queries.last_agreed_digest(c, window.bank_id)
        )
        settlement_id = settlement_id_of(window.window_id)
        drafted = settlement.Drafted(
            settlement_id,
            window.bank_id,
            seal.currency,
            (window.window_id,),
            seal.legs,
            ours,
            banks,
            terms.value_date,
            previous,
            page,
        )
        cause = Cause(f"{settlement_id}/draft", settlement_id, terms.request_id, ACTOR)
        await self._aggregates.settlements.transact(
            settlement_id, settlement.Draft(drafted), cause, is_new=True
        )
        return settlement_id


def settlement_id_of(window_id: str) -> str:
    """A window belongs to one settlement, so its id is the window's child."""
    return str(derived_id(window_id, "settlement"))


class Opening:
    """Opens a new partner's accounts and first window."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def perform(
        self, bank_id: str, state: partner.Partner, _: partner.Step
    ) -> Recorded[partner.Command] | None:
        """All of it is idempotent by names."""
        if not isinstance(state, partner.Known):
            return None
        currency = state.terms.currency_code
        await self._accounts.open_bank(bank_id, currency)
        first = named_id("window", bank_id, currency)
        window = await self._accounts.open_window(str(first), bank_id, currency)
        mirror = accounts_of(bank_id, currency).mirror
        opened = partner.RecordOpening(window.window_id, mirror)
        return Recorded(opened, Cause(f"{bank_id}/open", bank_id, actor=ACTOR))
