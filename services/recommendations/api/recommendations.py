"""Investors and advice over gRPC: message to command to reply; it decides nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson

from hefu.recommendations.v1 import recommendations_pb2 as pb
from hefu.recommendations.v1 import recommendations_pb2_grpc
from hefu.type.v1.suitability_pb2 import InvestorClass as InvestorClassPb
from libs.auth import Caller, current_caller
from libs.clock import Clock
from libs.decider import Cause, FieldViolation, Rejected, Transacted
from libs.grpc_edge import Quick
from libs.grpc_errors import Refused
from libs.grpc_server import Binding
from libs.ids import named_id
from libs.subject_keys import KeyDestroyed, SealBroken, SubjectKeys
from libs.suitability import RiskLevel
from libs.wire import money_from_wire
from services.recommendations import watching
from services.recommendations.accepting import Accepting
from services.recommendations.advising import Advice, Issuing
from services.recommendations.api import messages
from services.recommendations.asking import AskedList, AskedPortfolio
from services.recommendations.backtest import growth
from services.recommendations.constructing import Portfolios
from services.recommendations.construction.problem import Strategy
from services.recommendations.domain import investor as who
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain import proposal as what
from services.recommendations.domain import release
from services.recommendations.domain.questionnaire_2026 import QUESTIONNAIRE, QUESTIONNAIRES
from services.recommendations.domain.reasons import warning
from services.recommendations.domain.release import Slot
from services.recommendations.valuing import MILLION, value_shadow

if TYPE_CHECKING:
    import grpc

PAGE_SIZE: Final = 20
TOKEN_LENGTH_MAX: Final = 18
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Done: TypeAlias = Transacted[life.State, life.Event]


class RecommendationsApi(recommendations_pb2_grpc.RecommendationsServiceServicer):
    def __init__(
        self,
        advice: Advice,
        portfolios: Portfolios,
        accepting: Accepting,
        keys: SubjectKeys,
        wake: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._advice = advice
        self._portfolios = portfolios
        self._accepting = accepting
        self._keys = keys
        self._wake = wake
        self._clock = clock

    def binding(self) -> Binding:
        add = recommendations_pb2_grpc.add_RecommendationsServiceServicer_to_server
        name = "hefu.recommendations.v1.RecommendationsService"
        # A list is most of what is asked, and its reply most of what that costs.
        quick = {"ListRecommendations": Quick(messages.list_asked, self.list_in_bytes)}
        return Binding(add, self, name, quick)

    # ---- investors

    async def GetQuestionnaire(
        self, request: pb.GetQuestionnaireRequest, _context: "Context"
    ) -> pb.GetQuestionnaireResponse:
        asked = QUESTIONNAIRES.get(request.version or QUESTIONNAIRE.version)
        if asked is None:
            violation = FieldViolation("version", "there is none such")
            raise Rejected(who.Reason.QUESTIONNAIRE_UNKNOWN, "", [violation])
        return messages.questionnaire_to_wire(asked)

    async def RegisterInvestor(
        self, request: pb.RegisterInvestorRequest, _context: "Context"
    ) -> pb.RegisterInvestorResponse:
        caller, id_ = current_caller().name, request.investor_id
        command = who.Register(id_, tuple(request.account_ids), caller, self._clock())
        done = await self._command(id_, command, f"{id_}/REGISTER/{self._clock()}")
        return pb.RegisterInvestorResponse(investor=self._shown(done), position=done.position)

    async def SubmitQuestionnaire(
        self, request: pb.SubmitQuestionnaireRequest, _context: "Context"
    ) -> pb.SubmitQuestionnaireResponse:
        id_ = request.investor_id
        answers = {each.item: each.option for each in request.answers}
        if len(answers) < len(request.answers):
            raise Rejected(
                who.Reason.ANSWERS_INCOMPLETE,
                "an item is answered once",
                [FieldViolation("answers", "holds an item twice")],
            )
        before = await self._owned(id_)
        if isinstance(before, life.Unknown):
            raise Rejected(who.Reason.INVESTOR_NOT_FOUND)
        if before.is_forgotten:
            raise Rejected(who.Reason.INVESTOR_FORGOTTEN, "asked to be forgotten")
        plain = orjson.dumps(answers, option=orjson.OPT_SORT_KEYS)
        changed = await self._changed(id_, answers)
        command = who.Submit(
            request.request_id,
            request.version,
            answers,
            await self._keys.seal(id_, plain),
            await self._keys.digest(id_, plain),
            changed,
            self._clock(),
        )
        done = await self._command(id_, command, request.request_id)
        was = life.class_at(before, self._clock())
        return pb.SubmitQuestionnaireResponse(
            investor=self._shown(done),
            class_before=InvestorClassPb.Value(messages.class_name(was)),
            changed_items=changed,
            position=done.position,
        )

    async def SetPreferences(
        self, request: pb.SetPreferencesRequest, _context: "Context"
    ) -> pb.SetPreferencesResponse:
        wanted = messages.preferences_from_wire(request.preferences)
        command = who.SetPreferences(request.request_id, wanted, self._clock())
        done = await self._owned_command(request.investor_id, command, request.request_id)
        return pb.SetPreferencesResponse(investor=self._shown(done), position=done.position)

    async def GiveConsent(
        self, request: pb.GiveConsentRequest, _context: "Context"
    ) -> pb.GiveConsentResponse:
        command = who.SetConsent(request.request_id, is_given=True, now_us=self._clock())
        done = await self._owned_command(request.investor_id, command, request.request_id)
        return pb.GiveConsentResponse(position=done.position)

    async def WithdrawConsent(
        self, request: pb.WithdrawConsentRequest, _context: "Context"
    ) -> pb.WithdrawConsentResponse:
        command = who.SetConsent(request.request_id, is_given=False, now_us=self._clock())
        done = await self._owned_command(request.investor_id, command, request.request_id)
        return pb.WithdrawConsentResponse(position=done.position)

    async def ReportChange(
        self, request: pb.ReportChangeRequest, _context: "Context"
    ) -> pb.ReportChangeResponse:
        command = who.EndClass(life.CHANGE_REPORTED, self._clock())
        done = await self._owned_command(request.investor_id, command, request.request_id)
        return pb.ReportChangeResponse(position=done.position)

    async def RecogniseProfessional(
        self, request: pb.RecogniseProfessionalRequest, _context: "Context"
    ) -> pb.RecogniseProfessionalResponse:
        command = who.RecogniseProfessional(
            request.request_id, request.evidence, current_caller().name, self._clock()
        )
        done = await self._command(request.investor_id, command, request.request_id)
        return pb.RecogniseProfessionalResponse(investor=self._shown(done), position=done.position)

    async def WithdrawProfessional(
        self, request: pb.WithdrawProfessionalRequest, _context: "Context"
    ) -> pb.WithdrawProfessionalResponse:
        command = who.WithdrawProfessional(request.request_id, self._clock())
        done = await self._command(request.investor_id, command, request.request_id)
        return pb.WithdrawProfessionalResponse(investor=self._shown(done), position=done.position)

    async def BlockInvestor(
        self, request: pb.BlockInvestorRequest, _context: "Context"
    ) -> pb.BlockInvestorResponse:
        command = who.SetBlock(
            request.request_id, request.cause, current_caller().name, self._clock()
        )
        done = await self._command(request.investor_id, command, request.request_id)
        return pb.BlockInvestorResponse(position=done.position)

    async def UnblockInvestor(
        self, request: pb.UnblockInvestorRequest, _context: "Context"
    ) -> pb.UnblockInvestorResponse:
        command = who.SetBlock(request.request_id, "", current_caller().name, self._clock())
        done = await self._command(request.investor_id, command, request.request_id)
        return pb.UnblockInvestorResponse(position=done.position)

    async def ShowWarning(
        self, request: pb.ShowWarningRequest, _context: "Context"
    ) -> pb.ShowWarningResponse:
        level = await self._level_of(request.fund_code)
        command = who.ShowWarning(request.request_id, request.fund_code, level, self._clock())
        done = await self._owned_command(request.investor_id, command, request.request_id)
        found = (
            life.class_at(done.state, self._clock())
            if isinstance(done.state, life.Investor)
            else None
        )
        zh, en = warning("" if found is None else found.name, level.name)
        return pb.ShowWarningResponse(text_zh=zh, text_en=en, position=done.position)

    async def AcknowledgeWarning(
        self, request: pb.AcknowledgeWarningRequest, _context: "Context"
    ) -> pb.AcknowledgeWarningResponse:
        level = await self._level_of(request.fund_code)
        command = who.AcknowledgeWarning(
            request.request_id, request.fund_code, level, self._clock()
        )
        done = await self._owned_command(request.investor_id, command, request.request_id)
        return pb.AcknowledgeWarningResponse(position=done.position)

    async def ForgetInvestor(
        self, request: pb.ForgetInvestorRequest, _context: "Context"
    ) -> pb.ForgetInvestorResponse:
        id_ = request.investor_id
        done = await self._owned_command(
            id_, who.Forget(request.request_id, self._clock()), request.request_id
        )
        # Heard again from the store where we die here: the key goes in any case.
        await self._keys.destroy(id_)
        return pb.ForgetInvestorResponse(position=done.position)

    async def GetInvestor(
        self, request: pb.GetInvestorRequest, _context: "Context"
    ) -> pb.GetInvestorResponse:
        state = await self._owned(request.investor_id)
        if isinstance(state, life.Unknown):
            raise Rejected(who.Reason.INVESTOR_NOT_FOUND)
        loaded = await self._advice.investors.load(request.investor_id)
        shown = messages.investor_to_wire(state, self._clock())
        return pb.GetInvestorResponse(investor=shown, position=loaded.position)

    # ---- advice

    async def ListRecommendations(
        self, request: pb.ListRecommendationsRequest, _context: "Context"
    ) -> pb.ListRecommendationsResponse:
        return pb.ListRecommendationsResponse.FromString(await self.list_in_bytes(request))

    async def list_in_bytes(self, request: pb.ListRecommendationsRequest) -> bytes:
        """The reply to a question for a list, as it is sent."""
        amount = money_from_wire(request.amount) if request.HasField("amount") else None
        caller = current_caller()
        id_ = request.investor_id
        asked = AskedList(request.proposal_id, id_, caller.name, request.size, amount)
        done = await self._advice.list_funds(asked, lambda found: _is_theirs(found, caller))
        return messages.answer_in_bytes(done)

    async def ProposePortfolio(
        self, request: pb.ProposePortfolioRequest, _context: "Context"
    ) -> pb.ProposePortfolioResponse:
        await self._owned(request.investor_id)
        done = await self._portfolios.propose(
            AskedPortfolio(
                request.proposal_id,
                request.investor_id,
                current_caller().name,
                money_from_wire(request.amount),
                messages.strategy_from_wire(request.strategy),
                request.is_rebalance,
                tuple(request.fund_codes),
            )
        )
        return messages.answer_to_wire(pb.ProposePortfolioResponse, done)

    async def GetProposal(
        self, request: pb.GetProposalRequest, _context: "Context"
    ) -> pb.GetProposalResponse:
        state, position = await self._seen(request.proposal_id)
        history = []
        if request.with_history:
            items = [(i.fund_code, i.weight) for i in state.issued.items if i.weight]
            shelf = self._advice.shelf
            known = [(code, w) for code, w in items if shelf.catalogue.find(code) is not None]
            quotes = await shelf.quotes_of([code for code, _ in known], shelf.catalogue)
            points = growth(quotes, [weight for _, weight in known], state.issued.as_of_us)
            history = [
                pb.HistoryPoint(
                    date=day, growth_millionths=own, equal_weight_growth_millionths=equal
                )
                for day, own, equal in points
            ]
        return pb.GetProposalResponse(
            proposal=messages.proposal_to_wire(state), history=history, position=position
        )

    async def ListProposals(
        self, request: pb.ListProposalsRequest, _context: "Context"
    ) -> pb.ListProposalsResponse:
        await self._owned(request.investor_id)
        size, before = request.page_size or PAGE_SIZE, _position_of(request.page_token)
        await self._advice.own.wait_for(request.min_position)
        position = self._advice.own.position
        found = await self._advice.database.read(
            lambda c: watching.proposals_page(c, request.investor_id, before, size + 1)
        )
        has_more, found = len(found) > size, found[:size]
        states = [(await self._advice.proposals.load(id_)).state for id_, _ in found]
        return pb.ListProposalsResponse(
            proposals=[messages.proposal_to_wire(state) for state in states],
            next_page_token=str(found[-1][1]) if has_more else "",
            position=position,
        )

    async def RecordShown(
        self, request: pb.RecordShownRequest, _context: "Context"
    ) -> pb.RecordShownResponse:
        command = what.Show(request.request_id, self._clock())
        done = await self._about(request.proposal_id, command, request.request_id)
        return pb.RecordShownResponse(position=done.position)

    async def RecordItemOpened(
        self, request: pb.RecordItemOpenedRequest, _context: "Context"
    ) -> pb.RecordItemOpenedResponse:
        command = what.OpenItem(request.request_id, request.fund_code, self._clock())
        done = await self._about(request.proposal_id, command, request.request_id)
        return pb.RecordItemOpenedResponse(position=done.position)

    async def AcceptProposal(
        self, request: pb.AcceptProposalRequest, _context: "Context"
    ) -> pb.AcceptProposalResponse:
        id_ = request.proposal_id
        state, _ = await self._seen(id_)
        codes = [item.fund_code for item in state.issued.items]
        command = what.Accept(
            request.request_id,
            tuple(what.Choice(each.fund_code, each.amount_minor) for each in request.items),
            # Without a time inside: funds' clock may be another one than ours.
            {code: str(named_id("advice-order", id_, code)) for code in codes},
            request.account_id,
            self._clock(),
        )
        done = await self._accepting.accept(id_, state, command, current_caller().name)
        self._wake(id_)
        return pb.AcceptProposalResponse(
            proposal=messages.proposal_to_wire(done.state), position=done.position
        )

    async def DismissProposal(
        self, request: pb.DismissProposalRequest, _context: "Context"
    ) -> pb.DismissProposalResponse:
        command = what.Dismiss(request.request_id, request.cause, self._clock())
        done = await self._about(request.proposal_id, command, request.request_id)
        return pb.DismissProposalResponse(
            proposal=messages.proposal_to_wire(done.state), position=done.position
        )

    # ---- releases

    async def ListReleases(
        self, _request: pb.ListReleasesRequest, _context: "Context"
    ) -> pb.ListReleasesResponse:
        return pb.ListReleasesResponse(releases=[await self._release(slot) for slot in Slot])

    async def PromoteVersion(
        self, request: pb.PromoteVersionRequest, _context: "Context"
    ) -> pb.PromoteVersionResponse:
        slot = _slot(request.slot)
        command = release.Promote(
            request.request_id,
            request.version,
            self._loaded(slot),
            current_caller().name,
            self._clock(),
        )
        done = await self._advice.releases.change(slot, command)
        return pb.PromoteVersionResponse(release=await self._release(slot), position=done.position)

    async def SetShadow(
        self, request: pb.SetShadowRequest, _context: "Context"
    ) -> pb.SetShadowResponse:
        slot = _slot(request.slot)
        command = release.SetShadow(
            request.request_id,
            request.version,
            self._loaded(slot),
            current_caller().name,
            self._clock(),
        )
        done = await self._advice.releases.change(slot, command)
        return pb.SetShadowResponse(release=await self._release(slot), position=done.position)

    async def ValueShadow(
        self, request: pb.ValueShadowRequest, _context: "Context"
    ) -> pb.ValueShadowResponse:
        found = await value_shadow(self._advice.proposals, request.version, request.since_us)
        return pb.ValueShadowResponse(
            lists=found.lists,
            items=found.items,
            values=[
                pb.PolicyValue(
                    reward=each.reward,
                    live_millionths=round(each.live * MILLION),
                    ips_millionths=round(each.ips * MILLION),
                    snips_millionths=round(each.snips * MILLION),
                    effective_items_millionths=round(each.effective_items * MILLION),
                )
                for each in found.values
            ],
            unseen_millionths=round(found.unseen * MILLION),
        )

    # ---- what they have in common

    async def _command(self, id_: str, command: who.Command, key: str) -> Done:
        cause = Cause(f"{key}/investor", correlation_id=id_, actor=current_caller().name)
        return await self._advice.investors.transact(id_, command, cause)

    async def _owned_command(self, id_: str, command: who.Command, key: str) -> Done:
        await self._owned(id_)
        return await self._command(id_, command, key)

    async def _owned(self, id_: str) -> life.State:
        """An investor belongs to the wallet back end that registered it."""
        state = (await self._advice.investors.load(id_)).state
        if isinstance(state, life.Investor) and not _is_theirs(state, current_caller()):
            raise Rejected(who.Reason.INVESTOR_NOT_FOUND)
        return state

    async def _seen(self, proposal_id: str) -> tuple[what.Proposal, int]:
        loaded = await self._advice.proposals.load(proposal_id)
        state, caller = loaded.state, current_caller()
        if isinstance(state, what.Absent) or (
            caller.role != "operator" and state.issued.caller != caller.name
        ):
            raise Rejected(what.Reason.PROPOSAL_NOT_FOUND)
        return state, loaded.position

    async def _about(self, proposal_id: str, command: what.Command, key: str) -> Issuing:
        await self._seen(proposal_id)
        actor = current_caller().name
        cause = Cause(f"{key}/proposal", correlation_id=proposal_id, actor=actor)
        return await self._advice.proposals.transact(proposal_id, command, cause)

    async def _changed(self, id_: str, answers: dict[str, str]) -> tuple[str, ...]:
        """Items answered otherwise than at the try before."""
        last: dict[str, str] = {}
        try:
            async for stored in self._advice.investors.streams.store.read(f"investor-{id_}"):
                event = self._advice.investors.streams.codec.decode(stored.type, stored.data)
                if isinstance(event, life.Submitted):
                    last = orjson.loads(await self._keys.open(id_, event.sealed_answers))
        except (KeyDestroyed, SealBroken):
            return ()
        if not last:
            return ()
        items = sorted(answers.keys() | last.keys())
        return tuple(item for item in items if answers.get(item) != last.get(item))

    async def _level_of(self, code: str) -> RiskLevel:
        await self._advice.shelf.refresh()
        fund = self._advice.shelf.catalogue.find(code)
        if fund is None:
            raise Refused(
                "UNKNOWN_FUND", "", [FieldViolation("fund_code", "is not in the catalogue")]
            )
        return fund.level

    async def _release(self, slot: Slot) -> pb.Release:
        found = await self._advice.releases.of(slot)
        answered, overlap = await self._advice.database.read(
            lambda c: watching.shadowed(c, found.shadow_version)
        )
        return pb.Release(
            slot=pb.Slot.Value(f"SLOT_{slot.name}"),
            version=found.version,
            artifact_hash=found.artifact_hash,
            shadow_version=found.shadow_version,
            shadow_artifact_hash=found.shadow_artifact_hash,
            loaded_versions=[version for version, _ in self._loaded(slot)],
            shadowed=answered,
            overlap_millionths=overlap,
        )

    def _loaded(self, slot: Slot) -> tuple[tuple[str, str], ...]:
        if slot is Slot.STRATEGY:
            return tuple((strategy.value, "") for strategy in Strategy)
        rankers = self._advice.shelf.rankers
        return tuple((version, rankers[version].artifact_hash) for version in sorted(rankers))

    def _shown(self, done: Done) -> pb.Investor:
        return messages.investor_to_wire(done.state, self._clock())


def _is_theirs(found: life.Investor, caller: Caller) -> bool:
    return caller.role == "operator" or found.caller == caller.name


def _slot(value: int) -> Slot:
    return Slot[pb.Slot.Name(pb.Slot.ValueType(value)).removeprefix("SLOT_")]


def _position_of(page_token: str) -> int:
    if not page_token:
        return 0
    if not (page_token.isascii() and page_token.isdigit() and len(page_token) <= TOKEN_LENGTH_MAX):
        violation = FieldViolation("page_token", "is none that we gave")
        raise Refused("PAGE_TOKEN_INVALID", "", [violation])
    return int(page_token)
