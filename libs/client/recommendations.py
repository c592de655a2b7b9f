"""Advice as a wallet back end sees it: the questionnaire, lists, portfolios, acceptance."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

import grpc

from hefu.recommendations.v1 import events_pb2, recommendations_pb2_grpc
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.client.calls import PATIENCE_S, check_shape, patiently
from libs.ids import new_id
from libs.money import Money
from libs.wire import money_to_wire

CALL_S: Final = 30.0
# Thousands of lists are read again.
VALUE_S: Final = 120.0
_AGAIN_S: Final = 0.2


class RecommendationsClient:
    """Advice for the investors of one caller. Ids are the caller's: store them first, then ask.

    All raise `HefuError`; `Unanswered` where it is not known: ask again with the same id.
    """

    def __init__(self, channel: grpc.aio.Channel, *, patience_s: float = PATIENCE_S) -> None:
        self.stub: recommendations_pb2_grpc.RecommendationsServiceAsyncStub = (
            recommendations_pb2_grpc.RecommendationsServiceStub(channel)
        )
        self.feeds: recommendations_pb2_grpc.FeedServiceAsyncStub = (
            recommendations_pb2_grpc.FeedServiceStub(channel)
        )
        self.position = 0
        self._patience_s = patience_s

    async def register(self, investor_id: str, account_ids: Sequence[str] = ()) -> pb.Investor:
        """Make an investor known, with the wallet accounts whose cash flow counts."""
        request = pb.RegisterInvestorRequest(investor_id=investor_id, account_ids=account_ids)
        check_shape(request)
        answer = await patiently(
            lambda: self.stub.RegisterInvestor(request, timeout=CALL_S), self._patience_s
        )
        self.position = max(self.position, answer.position)
        return answer.investor

    async def questionnaire(self) -> pb.GetQuestionnaireResponse:
        """The one in force, in words."""
        request = pb.GetQuestionnaireRequest()
        return await patiently(
            lambda: self.stub.GetQuestionnaire(request, timeout=CALL_S), self._patience_s
        )

    async def submit(
        self,
        investor_id: str,
        version: str,
        answers: Mapping[str, str],
        request_id: UUID | str | None = None,
    ) -> pb.SubmitQuestionnaireResponse:
        """A whole sheet, option by item; a partial or contradicting one has no effect."""
        request = pb.SubmitQuestionnaireRequest(
            investor_id=investor_id,
            request_id=str(request_id or new_id()),
            version=version,
            answers=[pb.Answer(item=item, option=option) for item, option in answers.items()],
        )
        check_shape(request)
        answer = await patiently(
            lambda: self.stub.SubmitQuestionnaire(request, timeout=CALL_S), self._patience_s
        )
        self.position = max(self.position, answer.position)
        return answer

    async def prefer(
        self, investor_id: str, preferences: events_pb2.InvestorPreferences
    ) -> pb.Investor:
        """Goal, horizon, what is wanted and excluded, as a whole."""
        request = pb.SetPreferencesRequest(
            investor_id=investor_id, request_id=str(new_id()), preferences=preferences
        )
        check_shape(request)
        answer = await patiently(
            lambda: self.stub.SetPreferences(request, timeout=CALL_S), self._patience_s
        )
        return answer.investor

    async def consent(self, investor_id: str, *, is_given: bool = True) -> None:
        """Consent to advice, given or withdrawn."""
        id_ = str(new_id())
        if is_given:
            given = pb.GiveConsentRequest(investor_id=investor_id, request_id=id_)
            await patiently(lambda: self.stub.GiveConsent(given, timeout=CALL_S), self._patience_s)
        else:
            gone = pb.WithdrawConsentRequest(investor_id=investor_id, request_id=id_)
            await patiently(
                lambda: self.stub.WithdrawConsent(gone, timeout=CALL_S), self._patience_s
            )

    async def recommendations(
        self,
        investor_id: str,
        proposal_id: UUID | str | None = None,
        *,
        size: int = 0,
        amount: Money | None = None,
    ) -> pb.Proposal:
        """Funds ranked for this investor, with reasons."""
        request = pb.ListRecommendationsRequest(
            investor_id=investor_id,
            proposal_id=str(proposal_id or new_id()),
            size=size,
            amount=None if amount is None else money_to_wire(amount),
        )
        check_shape(request)
        answer = await patiently(
            lambda: self.stub.ListRecommendations(request, timeout=CALL_S), self._patience_s
        )
        return answer.proposal

    async def portfolio(
        self,
        investor_id: str,
        amount: Money,
        proposal_id: UUID | str | None = None,
        *,
        strategy: pb.Strategy.ValueType = pb.STRATEGY_UNSPECIFIED,
        is_rebalance: bool = False,
    ) -> pb.Proposal:
        """Target weights, the trades that lead there, and why."""
        request = pb.ProposePortfolioRequest(
            investor_id=investor_id,
            proposal_id=str(proposal_id or new_id()),
            amount=money_to_wire(amount),
            strategy=strategy,
            is_rebalance=is_rebalance,
        )
        check_shape(request)
        answer = await patiently(
            lambda: self.stub.ProposePortfolio(request, timeout=CALL_S), self._patience_s
        )
        return answer.proposal

    async def get(
        self, proposal_id: UUID | str, *, with_history: bool = False
    ) -> pb.GetProposalResponse:
        """One proposal as it stands, perhaps with its back-test."""
        request = pb.GetProposalRequest(proposal_id=str(proposal_id), with_history=with_history)
        check_shape(request)
        return await patiently(
            lambda: self.stub.GetProposal(request, timeout=CALL_S), self._patience_s
        )

    async def value_shadow(self, version: str, since_us: int = 0) -> pb.ValueShadowResponse:
        """What a version in the shadow would have earned: off-policy, from the log (operators)."""
        request = pb.ValueShadowRequest(version=version, since_us=since_us)
        check_shape(request)
        return await patiently(
            lambda: self.stub.ValueShadow(request, timeout=VALUE_S), self._patience_s
        )

    async def accept(
        self,
        proposal_id: UUID | str,
        account_id: UUID | str,
        items: Mapping[str, int] | None = None,
        request_id: UUID | str | None = None,
    ) -> pb.Proposal:
        """Order it. `items`: minor units by fund; without, a portfolio as proposed."""
        request = pb.AcceptProposalRequest(
            proposal_id=str(proposal_id),
            request_id=str(request_id or new_id()),
            account_id=str(account_id),
            items=[
                pb.ChosenItem(fund_code=code, amount_minor=minor)
                for code, minor in (items or {}).items()
            ],
        )
        check_shape(request)
        answer = await patiently(
            lambda: self.stub.AcceptProposal(request, timeout=CALL_S), self._patience_s
        )
        self.position = max(self.position, answer.position)
        return answer.proposal

    async def orders(self, proposal_id: UUID | str) -> Sequence[events_pb2.ProposalOrderLinked]:
        """What an accepted proposal was ordered as, once funds have taken or refused each order.

        Purchases of a rebalance are ordered when what is sold has paid, days later: where funds
        took a sale they are not waited for. Waits without bound: use `asyncio.timeout`.
        """
        while True:
            found = (await self.get(proposal_id)).proposal
            if len(found.orders) == len(found.accepted) or _is_sold(found):
                return found.orders
            await asyncio.sleep(_AGAIN_S)


def _is_sold(proposal: pb.Proposal) -> bool:
    """Whether funds have answered to every sale, and took one."""
    answers = {order.order_id: order.refusal_reason for order in proposal.orders}
    sales = [item.order_id for item in proposal.accepted if item.amount_minor < 0]
    return all(id_ in answers for id_ in sales) and any(not answers[id_] for id_ in sales)
