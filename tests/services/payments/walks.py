"""Random walks of one payment through what its state accepts, for the properties that walk."""

from collections.abc import Sequence

from hypothesis import strategies as st

from libs.money import Money
from services.payments.domain.lifecycle import (
    Absent,
    Begun,
    Cancelled,
    Event,
    Failed,
    Payment,
    Stuck,
)
from services.payments.domain.payment import (
    Action,
    Cancel,
    Command,
    CompleteRefund,
    GiveUpRefund,
    HearDone,
    HearRefused,
    Record,
    ReserveRefund,
    next_step,
    payment,
)
from services.payments.domain.refunds import RefundStage
from services.payments.domain.terms import Kind, Payout, TopUp
from tests.services.payments.domain.stories import (
    AT_MS,
    CALLER,
    CARRIED,
    COMPLETED,
    CREDITED,
    DOUBTED,
    ENTERED,
    HELD,
    PAYOUT,
    PULL,
    REQUEST_ID,
    SALE,
    SETTLED,
    TOP_UP,
    TRANSFER,
    request,
    terms,
)

STEPS_MAX = 25
FAILED = Record(Failed("BALANCE_TOO_LOW", "too little"))
KINDS: Sequence[Kind] = (PAYOUT, PAYOUT, TOP_UP, TRANSFER, SALE)


def answers(state: Payment) -> Sequence[Command]:
    """What performing the next step may bring: the ways a journal or a settlement answers."""
    match next_step(state):
        case Action.MOVE:
            return Record(COMPLETED), FAILED
        case Action.REQUEST_PULL:
            return Record(PULL), FAILED
        case Action.CREDIT_WALLET:
            return Record(CREDITED), _stuck("CREDIT_WALLET", state)
        case Action.PLACE_HOLD:
            return Record(HELD), FAILED
        case Action.ENTER_WINDOW:
            is_ours = isinstance(state, Begun) and not state.is_outcome_known
            return (Record(ENTERED), FAILED) if is_ours else (Record(ENTERED),)
        case Action.RELEASE_HOLD:
            return Record(Cancelled()), Record(ENTERED)
        case Action.GIVE_BACK:
            return Record(Failed("AC01", "")), _stuck("GIVE_BACK", state)
        case None:
            return ()
        case begin:
            return CompleteRefund(begin.refund_id), GiveUpRefund(begin.refund_id, "A")


def _stuck(step: str, state: Payment) -> Command:
    is_stuck = isinstance(state, Begun) and state.stuck is not None
    done = Record(CREDITED) if step == "CREDIT_WALLET" else Record(Failed("AC01", ""))
    return done if is_stuck else Record(Stuck(step, "ACCOUNT_CLOSED", "", AT_MS))


def heard(state: Begun) -> Sequence[Command]:
    """What the bank's side may tell, whether or not our own record is there yet."""
    told: list[Command] = []
    kind = state.terms.kind
    may_be_known = isinstance(kind, TopUp) or (isinstance(kind, Payout) and state.is_held)
    if may_be_known and not state.is_outcome_known and not state.settlement_id:
        told += [HearDone("B1"), HearRefused("AC01", "no"), Record(DOUBTED), HearDone("B1")]
    if isinstance(kind, Payout) and state.is_held and not state.settlement_id and state.window_id:
        told += [] if state.carries or state.is_outcome_known else [Record(CARRIED)]
        told += [Record(SETTLED)] if state.stage.name == "SUCCEEDED" else []
    if isinstance(kind, TopUp) and state.stage.name in ("CONFIRMED", "SUCCEEDED"):
        told += [Record(SETTLED)]
    return told


def asked(state: Begun) -> Sequence[Command]:
    """What its caller may ask for."""
    if isinstance(state.terms.kind, Payout) and state.stage.name in ("REQUESTED", "HELD"):
        is_ours = not (state.is_in_doubt or state.carries or state.settlement_id)
        return [Cancel(REQUEST_ID, CALLER)] if is_ours else []
    if state.stage.name != "SUCCEEDED" or isinstance(state.terms.kind, Payout | TopUp):
        return []
    taken = sum(p.amount_minor for p in state.refunds if p.stage is not RefundStage.GIVEN_UP)
    left = state.terms.amount.minor - taken
    if left == 0:
        return []
    refund_id = f"018f0000-0000-7000-8000-0000000001{len(state.refunds):02x}"
    part = Money("CZK", min(left, 1 + left // 2))
    whole = ReserveRefund(refund_id, None, "", CALLER, AT_MS)
    return [ReserveRefund(refund_id, part, "", CALLER, AT_MS), whole]


@st.composite
def walks(draw: st.DrawFn, *, is_to_end: bool = False) -> list[tuple[Command, list[Event]]]:
    """Commands with the events each recorded; with `is_to_end`, until it has come to rest."""
    minor = draw(st.integers(1, 20_000) | st.just(10_000))
    kind = draw(st.sampled_from(KINDS))
    first = request(terms(kind, max(minor, 150) if kind is SALE else minor))
    events = list(payment.decide(first, Absent()))
    state = payment.fold(payment.initial, events)
    walked: list[tuple[Command, list[Event]]] = [(first, events)]
    for turn in range(2 * STEPS_MAX):
        assert isinstance(state, Begun)
        possible = [*answers(state)]
        if turn < STEPS_MAX:
            possible += [*heard(state), *asked(state)]
        elif possible:
            possible = possible[:1]
        elif not state.is_outcome_known:
            possible = [HearDone("B1")]
        if not possible or (turn < STEPS_MAX and not is_to_end and draw(st.integers(0, 9)) == 0):
            break
        command = draw(st.sampled_from(possible))
        events = list(payment.decide(command, state))
        walked.append((command, events))
        state = payment.fold(state, events)
    return walked
