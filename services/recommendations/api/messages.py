"""Advice as messages: investors, proposals with their reasons in words, feeds as asked."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from google.protobuf.message import DecodeError, Message

from hefu.recommendations.v1 import events_pb2
from hefu.recommendations.v1 import recommendations_pb2 as pb
from libs.decider import Transacted
from libs.grpc_edge import fault_of
from libs.suitability import InvestorClass
from libs.wire_bytes import BYTES, message, number, text
from services.recommendations.codec import as_message
from services.recommendations.construction.problem import Strategy
from services.recommendations.domain import feed
from services.recommendations.domain import investor_lifecycle as life
from services.recommendations.domain import proposal as what
from services.recommendations.domain.preferences import Preferences
from services.recommendations.domain.questionnaire import Questionnaire
from services.recommendations.domain.questionnaire_2026 import QUESTIONNAIRE
from services.recommendations.domain.reasons import in_words
from services.recommendations.wire_form import form_of, tag

_CLASS: Final = "INVESTOR_CLASS_"

A = TypeVar("A", pb.ListRecommendationsResponse, pb.ProposePortfolioResponse)


def class_name(found: InvestorClass | None) -> str:
    return f"{_CLASS}UNSPECIFIED" if found is None else f"{_CLASS}{found.name}"


def questionnaire_to_wire(asked: Questionnaire) -> pb.GetQuestionnaireResponse:
    """The words and options; never the points."""
    return pb.GetQuestionnaireResponse(
        version=asked.version,
        items=[
            pb.QuestionnaireItem(
                item=item.key,
                block=item.block.value,
                text_zh=item.zh,
                text_en=item.en,
                options=[
                    pb.QuestionnaireOption(option=o.key, text_zh=o.zh, text_en=o.en)
                    for o in item.options
                ],
            )
            for item in asked.items
        ],
    )


def investor_to_wire(state: life.State, now_us: int) -> pb.Investor:
    if isinstance(state, life.Unknown):
        raise AssertionError("a command that was taken leaves an investor")  # noqa: TRY004 - a bug
    found = life.class_at(state, now_us)
    until_us = life.valid_until_us(state) if found is not None else 0
    remind_us = QUESTIONNAIRE.remind_days * life.DAY_US
    profile = state.profile
    fields: dict[str, Any] = {
        "investor_id": state.investor_id,
        "investor_class": class_name(found),
        "caps": profile.caps if profile else (),
        "questionnaire_version": profile.questionnaire_version if profile else "",
        "valid_until_us": until_us,
        "is_review_due": bool(until_us) and until_us - remind_us <= now_us,
        "has_consent": state.has_consent,
        "is_blocked": bool(state.blocked_cause),
        "is_forgotten": state.is_forgotten,
        "preferences": as_message(state.preferences),
        "account_ids": state.account_ids,
        "changes": [
            {
                "investor_class": class_name(change.investor_class),
                "cause": change.cause,
                "caps": change.caps,
                "changed_us": change.changed_us,
            }
            for change in state.changes
        ],
    }
    if state.scores is not None:
        fields["scores"] = as_message(state.scores)
    return pb.Investor(**fields)


def preferences_from_wire(message: events_pb2.InvestorPreferences) -> Preferences:
    return Preferences(
        message.horizon_months,
        message.currency,
        message.goal,
        message.target_minor,
        tuple(message.wanted_themes),
        tuple(message.excluded_themes),
        tuple(message.excluded_managers),
        tuple(message.excluded_funds),
        message.needed_within_year,
        message.needed_within_three_years,
    )


def list_asked(raw: bytes) -> pb.ListRecommendationsRequest | None:
    """A question for a list where it is well-formed; what is wrong with it the general way says."""
    try:
        request = pb.ListRecommendationsRequest.FromString(raw)
    except DecodeError:
        return None
    return request if fault_of(request) is None else None


def proposal_to_wire(state: what.State) -> pb.Proposal:
    return pb.Proposal.FromString(_proposal(_known(state)).encode(BYTES))


def answer_to_wire(reply: type[A], done: Transacted[what.State, what.Event]) -> A:
    """The reply to a question for advice."""
    return reply.FromString(answer_in_bytes(done))


def answer_in_bytes(done: Transacted[what.State, what.Event]) -> bytes:
    """The reply, of a list or of a portfolio, as it is sent: most of it is not made anew."""
    told = (
        message(_REPLY["proposal"], _proposal(_known(done.state))),
        number(_REPLY["position"], done.position),
        number(_REPLY["is_replayed"], not done.events),
    )
    return "".join(told).encode(BYTES)


def _known(state: what.State) -> what.Proposal:
    if isinstance(state, what.Absent):
        raise AssertionError("what was issued is there")  # noqa: TRY004 - a bug of ours
    return state


def _proposal(state: what.Proposal) -> str:
    """A proposal in wire form."""
    issued = state.issued
    texts = [(item.fund_code, *in_words(item.reasons)) for item in issued.items]
    accepted = () if state.accepted is None else state.accepted.items
    told = (
        message(_OF["issued"], _ISSUED(issued)),
        number(_OF["status"], pb.ProposalStatus.Value(f"PROPOSAL_STATUS_{state.status.name}")),
        text(_OF["cause"], state.cause),
        *(message(_OF["accepted"], _ACCEPTED(item)) for item in accepted),
        *(message(_OF["orders"], _LINKED(order)) for order in state.orders.values()),
        *(message(_OF["texts"], _words(*each)) for each in texts),
        number(_OF["issued_us"], issued.as_of_us),
        *(message(_OF["outcomes"], _MEASURED(outcome)) for outcome in state.outcomes),
    )
    return "".join(told)


def _words(code: str, zh: str, en: str) -> str:
    return text("\x0a", code) + text("\x12", zh) + text("\x1a", en)


def _tags(kind: type[Message]) -> Mapping[str, str]:
    return {field.name: tag(field) for field in kind.DESCRIPTOR.fields}


_REPLY: Final = _tags(pb.ListRecommendationsResponse)
_OF: Final = _tags(pb.Proposal)
_ISSUED: Final = form_of(what.Issued, events_pb2.RecommendationIssued.DESCRIPTOR)
_ACCEPTED: Final = form_of(what.AcceptedItem, events_pb2.AcceptedItem.DESCRIPTOR)
_LINKED: Final = form_of(what.OrderLinked, events_pb2.ProposalOrderLinked.DESCRIPTOR)
_MEASURED: Final = form_of(what.OutcomeMeasured, events_pb2.ProposalOutcomeMeasured.DESCRIPTOR)


def strategy_from_wire(value: int) -> Strategy | None:
    name = pb.Strategy.Name(pb.Strategy.ValueType(value)).removeprefix("STRATEGY_")
    return None if name == "UNSPECIFIED" else Strategy[name]


def entries_from_wire(kind: type[feed.Entry], messages: Sequence[Any]) -> tuple[feed.Entry, ...]:
    return tuple(_ENTRIES[kind](message) for message in messages)


def _view(message: events_pb2.AnalystView) -> feed.View:
    return feed.View(
        message.view_id,
        tuple(feed.Leg(leg.instrument, leg.weight) for leg in message.legs),
        message.yearly_return,
        message.confidence,
        message.valid_until_date,
    )


_ENTRIES: Final[Mapping[type[feed.Entry], Any]] = {
    feed.Price: lambda m: feed.Price(m.instrument, m.date, m.price),
    feed.Score: lambda m: feed.Score(m.instrument, m.date, m.factor, m.score),
    feed.View: _view,
    feed.FundFact: lambda m: feed.FundFact(
        m.instrument,
        m.manager,
        m.theme,
        m.family,
        m.inception_date,
        m.yearly_fee_millionths,
    ),
}
