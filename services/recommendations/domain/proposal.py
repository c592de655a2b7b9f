"""A proposal: issued before it is answered; then accepted and ordered, dismissed or expired."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import NamedTuple, TypeAlias, assert_never

from libs.decider import Decider, FieldViolation, Rejected
from libs.money import Money
from libs.suitability import InvestorClass, RiskLevel


# Terms. Weights are ten-thousandths; scores, risks, fees and propensities millionths.
class Purpose(Enum):
    PORTFOLIO = "PORTFOLIO"
    FUND_LIST = "FUND_LIST"
    REBALANCE = "REBALANCE"
    PLAN_TOP_UP = "PLAN_TOP_UP"


class Reasoned(NamedTuple):
    """A code of the reasons' table with the numbers it was decided by, as text by name."""

    code: str
    evidence: tuple[tuple[str, str], ...] = ()


class Candidate(NamedTuple):
    fund_code: str
    score_millionths: int
    sources: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    fund_code: str
    fund_name: str
    level: RiskLevel
    weight: int = 0
    amount_minor: int = 0
    score_millionths: int = 0
    propensity_millionths: int = 1_000_000
    risk_contribution_millionths: int = 0
    yearly_fee_millionths: int = 0
    reasons: tuple[Reasoned, ...] = ()
    weight_before: int = 0
    # Of a sale.
    shares: int = 0


@dataclass(frozen=True, slots=True)
class Bound:
    name: str
    limit_millionths: int
    dual_millionths: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the investor was allowed at the time."""

    investor_class: InvestorClass
    highest_level: RiskLevel
    questionnaire_version: str
    valid_until_us: int
    revision: int


@dataclass(frozen=True, slots=True)
class Expected:
    return_millionths: int = 0
    volatility_millionths: int = 0
    volatility_before_millionths: int = 0
    yearly_fee_millionths: int = 0
    turnover_millionths: int = 0
    drawdown_millionths: int = 0
    mean_level_millionths: int = 0


@dataclass(frozen=True, slots=True)
class Positions:
    """Up to where facts were heard: advice's own, funds', payments', and prices of feeds."""

    own: int
    funds: int
    payments: int
    feeds: int = 0


# Events.
@dataclass(frozen=True, slots=True)
class Issued:
    proposal_id: str
    investor_id: str
    purpose: Purpose
    as_of_us: int
    positions: Positions
    candidates: tuple[Candidate, ...]
    # By check, the funds it refused in the order of their codes.
    refused: tuple[tuple[str, tuple[str, ...]], ...]
    items: tuple[Item, ...]
    strategy: str
    strategy_version: str
    constraint_set: str
    fallbacks: tuple[str, ...]
    feature_hash: str
    features: tuple[tuple[str, int], ...]
    suitability: Snapshot
    seed: int
    valid_until_us: int
    amount: Money | None
    binding: tuple[Bound, ...]
    expected: Expected
    runner_up: tuple[str, Reasoned] | None
    item_hash: str
    terms_digest: str
    caller: str
    history_days: int = 0
    filled_funds: tuple[str, ...] = ()
    # Business date (ISO 8601); empty: the day of `as_of_us`.
    as_of_date: str = ""
    # Which features there were when it was made; empty: the first set.
    feature_set: str = ""


@dataclass(frozen=True, slots=True)
class ShadowAnswered:
    version: str
    items: tuple[Item, ...]
    item_hash: str
    overlap_millionths: int = 0


@dataclass(frozen=True, slots=True)
class Shown:
    request_id: str
    shown_us: int


@dataclass(frozen=True, slots=True)
class ItemOpened:
    request_id: str
    fund_code: str
    opened_us: int


@dataclass(frozen=True, slots=True)
class AcceptedItem:
    fund_code: str
    amount_minor: int
    order_id: str
    # Of a sale; 0: accepted before they were kept.
    shares: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    request_id: str
    items: tuple[AcceptedItem, ...]
    account_id: str
    accepted_us: int


@dataclass(frozen=True, slots=True)
class Dismissed:
    request_id: str
    cause: str
    dismissed_us: int


@dataclass(frozen=True, slots=True)
class Expired:
    cause: str
    fund_code: str
    expired_us: int


@dataclass(frozen=True, slots=True)
class OrderLinked:
    fund_code: str
    order_id: str
    refusal_reason: str = ""
    refusal_description: str = ""


@dataclass(frozen=True, slots=True)
class OutcomeMeasured:
    measured_us: int
    days: int
    return_millionths: int
    equal_weight_return_millionths: int


Event: TypeAlias = (
    Issued
    | ShadowAnswered
    | Shown
    | ItemOpened
    | Accepted
    | Dismissed
    | Expired
    | OrderLinked
    | OutcomeMeasured
)


# States.
@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing was issued under this id."""


class Status(Enum):
    ISSUED = auto()
    ACCEPTED = auto()
    DISMISSED = auto()
    EXPIRED = auto()


@dataclass(frozen=True, slots=True)
class Proposal:
    issued: Issued
    status: Status = Status.ISSUED
    cause: str = ""
    accepted: Accepted | None = None
    orders: Mapping[str, OrderLinked] = field(default_factory=dict)
    shadows: frozenset[str] = frozenset()
    is_shown: bool = False
    requests: frozenset[str] = frozenset()
    # Funds that were looked at closer, and what came of it all, the shortest span first.
    opened: frozenset[str] = frozenset()
    outcomes: tuple[OutcomeMeasured, ...] = ()


State: TypeAlias = Absent | Proposal


def evolve(state: State, event: Event) -> State:
    if isinstance(state, Absent):
        if isinstance(event, Issued):
            return Proposal(event)
        raise AssertionError(f"{event} cannot come before the proposal is issued")
    match event:
        case ShadowAnswered(version=version):
            return replace(state, shadows=state.shadows | {version})
        case Shown(request_id=request_id):
            return replace(state, is_shown=True, requests=state.requests | {request_id})
        case ItemOpened(request_id, fund_code):
            opened = state.opened | {fund_code}
            return replace(state, requests=state.requests | {request_id}, opened=opened)
        case Accepted():
            return replace(state, status=Status.ACCEPTED, accepted=event)
        case Dismissed(cause=cause):
            return replace(state, status=Status.DISMISSED, cause=cause)
        case Expired(cause=cause):
            return replace(state, status=Status.EXPIRED, cause=cause)
        case OrderLinked(order_id=order_id):
            return replace(state, orders={**state.orders, order_id: event})
        case OutcomeMeasured():
            return replace(state, outcomes=(*state.outcomes, event))
        case Issued():
            raise AssertionError("a proposal is issued once")
        case _:
            assert_never(event)


# Commands.
class Reason(Enum):
    PROPOSAL_NOT_FOUND = auto()
    IDEMPOTENCY_KEY_REUSED = auto()
    PROPOSAL_EXPIRED = auto()
    PROPOSAL_STATE = auto()
    ITEM_NOT_PROPOSED = auto()
    ITEMS_REQUIRED = auto()
    PROPOSAL_UNSUITABLE = auto()
    AMOUNT_NOT_TAKEN = auto()


@dataclass(frozen=True, slots=True)
class Issue:
    issued: Issued


@dataclass(frozen=True, slots=True)
class AnswerInShadow:
    answered: ShadowAnswered


@dataclass(frozen=True, slots=True)
class Show:
    request_id: str
    now_us: int


@dataclass(frozen=True, slots=True)
class OpenItem:
    request_id: str
    fund_code: str
    now_us: int


@dataclass(frozen=True, slots=True)
class Choice:
    fund_code: str
    # 0: as proposed.
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Accept:
    """`order_ids`: one for each fund that may be ordered. Suitability is judged before this."""

    request_id: str
    choices: tuple[Choice, ...]
    order_ids: Mapping[str, str]
    account_id: str
    now_us: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    request_id: str
    cause: str
    now_us: int


@dataclass(frozen=True, slots=True)
class Expire:
    cause: str
    fund_code: str
    now_us: int


@dataclass(frozen=True, slots=True)
class LinkOrder:
    linked: OrderLinked


@dataclass(frozen=True, slots=True)
class MeasureOutcome:
    measured: OutcomeMeasured


Command: TypeAlias = (
    Issue
    | AnswerInShadow
    | Show
    | OpenItem
    | Accept
    | Dismiss
    | Expire
    | LinkOrder
    | MeasureOutcome
)


def decide(command: Command, state: State) -> Sequence[Event]:
    if isinstance(command, Issue):
        return _issue(command.issued, state)
    if isinstance(state, Absent):
        raise Rejected(Reason.PROPOSAL_NOT_FOUND)
    match command:
        case AnswerInShadow(answered):
            return [] if answered.version in state.shadows else [answered]
        case Show(request_id, now_us):
            return [] if state.is_shown else [Shown(request_id, now_us)]
        case OpenItem():
            return _open(command, state)
        case Accept():
            return _accept(command, state)
        case Dismiss():
            return _dismiss(command, state)
        case Expire(cause, fund_code, now_us):
            is_open = state.status is Status.ISSUED
            return [Expired(cause, fund_code, now_us)] if is_open else []
        case LinkOrder(linked):
            return _link(linked, state)
        case MeasureOutcome(measured):
            return _measure(measured, state)
        case _:
            assert_never(command)


def _issue(issued: Issued, state: State) -> Sequence[Event]:
    if isinstance(state, Absent):
        _refuse_unsuitable(issued)
        return [issued]
    check_same(state.issued, issued.caller, issued.terms_digest)
    return []


def check_same(known: Issued, caller: str, terms_digest: str) -> None:
    """Raise where an id that was used is used for something else."""
    if known.caller == caller and known.terms_digest == terms_digest:
        return
    raise Rejected(
        Reason.IDEMPOTENCY_KEY_REUSED,
        "the id was used with other terms",
        [FieldViolation("proposal_id", "was used for another request")],
    )


def _refuse_unsuitable(issued: Issued) -> None:
    """The last gate, whatever was computed before: nothing above the class is ever recorded."""
    above = [
        item.fund_code
        for item in issued.items
        if item.level > issued.suitability.highest_level and item.amount_minor >= 0
    ]
    both = [
        item.fund_code
        for item in issued.items
        if item.amount_minor >= 0
        and any(_holds(codes, item.fund_code) for _, codes in issued.refused)
    ]
    if above or both:
        raise Rejected(Reason.PROPOSAL_UNSUITABLE, ", ".join([*above, *both]))


def _holds(codes: Sequence[str], code: str) -> bool:
    """Whether sorted codes, thousands perhaps, hold one."""
    place = bisect_left(codes, code)
    return place < len(codes) and codes[place] == code


def _open(command: OpenItem, proposal: Proposal) -> Sequence[Event]:
    if command.request_id in proposal.requests:
        return []
    _check_proposed(proposal, [command.fund_code])
    return [ItemOpened(command.request_id, command.fund_code, command.now_us)]


def _check_proposed(proposal: Proposal, codes: Sequence[str]) -> None:
    known = {item.fund_code for item in proposal.issued.items}
    strange = [
        FieldViolation("fund_code", f"{code} is not proposed")
        for code in codes
        if code not in known
    ]
    if strange:
        raise Rejected(Reason.ITEM_NOT_PROPOSED, "", strange)


def _accept(command: Accept, proposal: Proposal) -> Sequence[Event]:
    items = _chosen(command, proposal)
    if proposal.accepted is not None:
        known = proposal.accepted
        if command.request_id == known.request_id:
            if items == known.items and command.account_id == known.account_id:
                return []
            raise Rejected(Reason.IDEMPOTENCY_KEY_REUSED, "the id was used with other terms")
        raise Rejected(Reason.PROPOSAL_STATE, "it is accepted already")
    _check_open(proposal, command.now_us)
    if not items:
        raise Rejected(
            Reason.ITEMS_REQUIRED, "", [FieldViolation("items", "which, and how much of each")]
        )
    return [Accepted(command.request_id, items, command.account_id, command.now_us)]


def _check_open(proposal: Proposal, now_us: int) -> None:
    if proposal.status is Status.EXPIRED or now_us >= proposal.issued.valid_until_us:
        raise Rejected(Reason.PROPOSAL_EXPIRED, proposal.cause or "VALIDITY_ENDED")
    if proposal.status is not Status.ISSUED:
        raise Rejected(Reason.PROPOSAL_STATE, proposal.status.name.lower())


def _chosen(command: Accept, proposal: Proposal) -> tuple[AcceptedItem, ...]:
    proposed = {item.fund_code: item for item in proposal.issued.items}
    choices = command.choices or tuple(
        Choice(item.fund_code, 0) for item in proposal.issued.items if item.amount_minor
    )
    _check_proposed(proposal, [choice.fund_code for choice in choices])
    _check_amounts(choices, proposed)
    return tuple(
        AcceptedItem(code, amount, command.order_ids[code], proposed[code].shares)
        for code, chosen in ((each.fund_code, each.amount_minor) for each in choices)
        if (amount := chosen or proposed[code].amount_minor)
    )


def _check_amounts(choices: Sequence[Choice], proposed: Mapping[str, Item]) -> None:
    """Each fund once; and a sale, which is judged by nobody, is not turned into a purchase."""
    wrong = [
        FieldViolation(f"items.{code}", "is named twice")
        for code, count in Counter(each.fund_code for each in choices).items()
        if count > 1
    ]
    wrong += [
        FieldViolation(f"items.{each.fund_code}", "is to be sold: 0, as proposed")
        for each in choices
        if each.amount_minor and proposed[each.fund_code].amount_minor < 0
    ]
    if wrong:
        raise Rejected(Reason.AMOUNT_NOT_TAKEN, "", wrong)


def _dismiss(command: Dismiss, proposal: Proposal) -> Sequence[Event]:
    match proposal.status:
        case Status.DISMISSED:
            return []
        case Status.ISSUED:
            return [Dismissed(command.request_id, command.cause, command.now_us)]
        case _:
            raise Rejected(Reason.PROPOSAL_STATE, proposal.status.name.lower())


def _link(linked: OrderLinked, proposal: Proposal) -> Sequence[Event]:
    if proposal.accepted is None:
        raise Rejected(Reason.PROPOSAL_STATE, "nothing is ordered before it is accepted")
    known = proposal.orders.get(linked.order_id)
    return [] if known is not None else [linked]


def _measure(measured: OutcomeMeasured, proposal: Proposal) -> Sequence[Event]:
    if proposal.accepted is None:
        raise Rejected(Reason.PROPOSAL_STATE, "what nobody followed has no outcome")
    is_known = any(outcome.days == measured.days for outcome in proposal.outcomes)
    return [] if is_known else [measured]


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """A step: one order at funds, with the id that was fixed when the proposal was accepted."""

    item: AcceptedItem

    @property
    def name(self) -> str:
        return f"order/{self.item.order_id}"


def next_step(state: State) -> PlaceOrder | None:
    if isinstance(state, Absent) or state.accepted is None:
        return None
    left = [item for item in state.accepted.items if item.order_id not in state.orders]
    # Sales first: they bring what purchases need.
    return next((PlaceOrder(item) for item in sorted(left, key=_is_purchase)), None)


def _is_purchase(item: AcceptedItem) -> bool:
    return item.amount_minor > 0


proposal: Decider[Command, State, Event] = Decider(Absent(), decide, evolve)
