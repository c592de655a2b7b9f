"""Outcomes: advice that was followed is looked at again when its span is over and prices came."""

from array import array
from dataclasses import dataclass
from typing import Final

from libs.clock import Clock
from libs.decider import Cause
from libs.read_model import Database
from services.recommendations import watching
from services.recommendations.advising import ProposalStreams
from services.recommendations.construction.problem import Quotes
from services.recommendations.domain import proposal as what
from services.recommendations.domain.outcome import DAY_US, Series, outcome, weights_of
from services.recommendations.shelf import Shelf

ACTOR: Final = "recommendations"
MEASURED_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Measuring:
    """Each span of a proposal is measured once."""

    proposals: ProposalStreams
    shelf: Shelf
    database: Database
    clock: Clock

    async def sweep(self) -> None:
        """Those that are due, the longest due first."""
        # With a market that is followed, days pass as its prices come.
        today = self.shelf.catalogue.today
        due = await self.database.read(
            lambda c: watching.due_outcomes(c, (today + 1) * DAY_US - 1, MEASURED_MAX)
        )
        for proposal_id in due:
            await self._measure(proposal_id, today)

    async def _measure(self, proposal_id: str, today: int) -> None:
        state = (await self.proposals.load(proposal_id)).state
        if isinstance(state, what.Absent) or state.accepted is None:
            return
        catalogue = self.shelf.catalogue
        wanted = {*weights_of(state.issued, state.accepted)}
        wanted |= {item.fund_code for item in state.issued.items}
        codes = sorted(code for code in wanted if catalogue.find(code) is not None)
        quotes = await self.shelf.quotes_of(codes, catalogue)
        prices = {each.code: _series(each) for each in quotes}
        measured = outcome(state, prices, today, self.clock())
        if measured is not None:
            key = f"{proposal_id}/OUTCOME/{measured.days}"
            cause = Cause(key, correlation_id=proposal_id, actor=ACTOR)
            await self.proposals.transact(proposal_id, what.MeasureOutcome(measured), cause)


def _series(quotes: Quotes) -> Series:
    return Series(array("i", quotes.days).tolist(), array("d", quotes.values).tolist())
