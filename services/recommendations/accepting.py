"""Acceptance: what was advised is judged anew, and only then turned into orders."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from libs.clock import Clock
from libs.decider import Cause, FieldViolation, Rejected
from libs.event_store import EventStore
from libs.projection import Behind, Projection
from services.recommendations.advising import Advice, Issuing
from services.recommendations.asking import Reason
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain import proposal as what
from services.recommendations.domain.acceptance import refused_now
from services.recommendations.domain.eligibility import Asked
from services.recommendations.reactions import Expiring
from services.recommendations.under_way import UnderWay

# How long an acceptance waits for what funds have told.
HEARD_WITHIN_S: Final = 3.0
# Why a proposal is over, for each check that fails now and did not then.
_CAUSES: Final = {
    "PROFILE_MISSING": "CLASS_EXPIRED",
    "PROFILE_EXPIRED": "CLASS_EXPIRED",
    "NO_CONSENT": "CONSENT_WITHDRAWN",
    "ACCOUNT_BLOCKED": "BLOCKED",
    "FUND_NOT_OPEN": "FUND_CLOSED",
    "PRODUCT_EXCLUDED": "FUND_CLOSED",
}


@dataclass(frozen=True, slots=True)
class Accepting:
    """`accept` raises `Rejected`; where the advice does not stand any more it expires first."""

    advice: Advice
    expiring: Expiring
    funds: Projection
    store: EventStore
    under_way: UnderWay
    clock: Clock

    async def accept(
        self, proposal_id: str, state: what.Proposal, command: what.Accept, actor: str
    ) -> Issuing:
        if state.status is what.Status.ISSUED:
            await self._judge_anew(proposal_id, state, command)
        cause = Cause(f"{command.request_id}/accept", correlation_id=proposal_id, actor=actor)
        return await self.advice.proposals.transact(proposal_id, command, cause)

    async def _judge_anew(
        self, proposal_id: str, state: what.Proposal, command: what.Accept
    ) -> None:
        # Funds judges once more by itself; what is heard is what is judged here.
        with suppress(Behind):
            head = await self.store.head()
            await self.funds.wait_for(head, HEARD_WITHIN_S, asks_at_once=True)
        shelf = self.advice.shelf
        await shelf.refresh()
        if state.issued.purpose is what.Purpose.REBALANCE:
            await self._refuse_what_is_under_way(proposal_id, state.issued.investor_id)
        loaded = await self.advice.investors.load(state.issued.investor_id)
        now_us = self.clock()
        amounts = {choice.fund_code: choice.amount_minor for choice in command.choices}
        for item in state.issued.items:
            if command.choices and item.fund_code not in amounts:
                continue
            if item.amount_minor < 0:
                continue  # to sell is always allowed
            amount = amounts.get(item.fund_code) or item.amount_minor or None
            if amount is None and state.issued.purpose is not what.Purpose.FUND_LIST:
                continue  # what is held stays as it is
            currency = state.issued.amount.currency if state.issued.amount else ""
            asked = Asked(amount, currency)
            code = refused_now(
                *(shelf.catalogue, loaded.state, item.fund_code, asked, now_us),
                is_held=item.weight_before > 0,
            )
            if code:
                await self._refuse(proposal_id, state, loaded.state, code, item.fund_code)

    async def _refuse_what_is_under_way(self, proposal_id: str, investor_id: str) -> None:
        """Two rebalances of what is held once would sell it twice."""
        try:
            await self.under_way.refuse_any(investor_id)
        except Rejected as error:
            cause = Reason.ORDERS_UNDER_WAY.name
            await self.expiring.expire(proposal_id, cause)
            raise Rejected(what.Reason.PROPOSAL_EXPIRED, cause, error.violations) from None

    async def _refuse(
        self,
        proposal_id: str,
        state: what.Proposal,
        investor: life.State,
        code: str,
        fund_code: str,
    ) -> None:
        if code in ("BELOW_MINIMUM", "PURCHASE_CAP"):
            # The amount that was chosen, not the advice: it may be chosen anew.
            field = FieldViolation(f"items.{fund_code}", code)
            raise Rejected(what.Reason.AMOUNT_NOT_TAKEN, f"{fund_code}: {code}", [field])
        cause = _CAUSES.get(code, code)
        if code == "ABOVE_CLASS" and isinstance(investor, life.Investor):
            was = state.issued.suitability.investor_class
            is_lower = life.class_at(investor, self.clock()) is not was
            cause = "CLASS_CHANGED" if is_lower else "LEVEL_RAISED"
        await self.expiring.expire(proposal_id, cause, fund_code)
        raise Rejected(what.Reason.PROPOSAL_EXPIRED, f"{cause} {fund_code}")
