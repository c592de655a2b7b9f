"""A walk through the life of an order: among what it accepts, in any order, it comes to its end."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from libs.decider import Rejected
from services.funds.domain.booking import bookings_of
from services.funds.domain.holding import RedeemShares
from services.funds.domain.order import (
    AcceptDifference,
    Amend,
    Cancel,
    Command,
    Confirm,
    JudgePart,
    Record,
    order,
)
from services.funds.domain.order_lifecycle import (
    DROPPED,
    OFFERS_MAX,
    Begun,
    EntryRefused,
    FundingFailed,
    OfferedAgain,
    Order,
    PartBooked,
    PartCashTold,
    PartCovered,
    PartPaid,
    PartStage,
    Priced,
    Refused,
    RemainderRolledOver,
    Returned,
    Stage,
    brings_cash,
    pays_in,
)
from services.funds.domain.order_steps import (
    Action,
    BookShares,
    Enter,
    Judge,
    PayInvestor,
    SeeCash,
    Step,
    TakeBack,
    TellDay,
    next_step,
    return_of,
)
from services.funds.domain.order_terms import (
    Confirmation,
    FastRedemption,
    Kind,
    Redemption,
    Subscription,
    Switching,
)
from tests.services.funds.domain.stories import (
    ACCEPTED,
    ADVANCED,
    BATCHED,
    CALLER,
    CUT_OFF_US,
    FROZEN,
    FUNDED,
    HELD,
    NAV,
    PLACE_US,
    RECEIVED,
    REQUEST_ID,
    RESERVED,
    T,
    expected,
    kinds,
    place,
    row,
    terms,
)

STEPS_MAX = 120


def perform(  # noqa: C901, PLR0911, PLR0912 - a case a step
    step: Step, state: Begun, data: st.DataObject
) -> Command:
    """One step of ours, done or failed."""
    match step:
        case Action.RESERVE_LIMIT:
            return Record(RESERVED)
        case Action.PLACE_HOLD:
            return Record(FundingFailed("LOW", "") if data.draw(st.integers(0, 9)) == 0 else HELD)
        case Action.CAPTURE | Action.CARRY_OVER:
            return Record(FUNDED)
        case Action.FREEZE_SHARES:
            return Record(FROZEN)
        case Action.PAY_ADVANCE:
            return Record(
                FundingFailed("NO", "") if data.draw(st.integers(0, 4)) == 0 else ADVANCED
            )
        case Action.ACCEPT:
            return Record(ACCEPTED)
        case Action.ROLL_OVER:
            assert state.trade_date is not None
            day = state.trade_date + timedelta(days=1)
            return Record(RemainderRolledOver(day, state.remaining_shares))
        case Action.OFFER_AGAIN:
            number = state.offers + 1
            return Record(OfferedAgain(f"again-{number}", number, PLACE_US))
        case Action.GIVE_BACK:
            return Record(return_of(state))
        case Judge(row_id):
            part = state.part(row_id)
            assert part is not None
            return JudgePart(row_id, expected(part.confirmation))
        case BookShares(row_id):
            part = state.part(row_id)
            assert part is not None
            assert bookings_of(state, part) or part.confirmation.shares == 0
            return Record(PartBooked(row_id))
        case PayInvestor(row_id):
            part = state.part(row_id)
            assert part is not None
            owed = part.confirmation.amount_minor - part.paid_minor
            assert owed > 0
            return Record(PartPaid(row_id, owed, 1))
        case Enter(row_id):
            part = state.part(row_id)
            assert part is not None
            if data.draw(st.booleans()):
                return Record(EntryRefused(row_id, "FUND_CLOSED", ""))
            return Record(PartPaid(row_id, part.confirmation.amount_minor, 0))
        case TakeBack(row_id):
            part = state.part(row_id)
            assert part is not None
            owed = part.confirmation.amount_minor - part.paid_minor
            assert owed < 0
            return Record(PartPaid(row_id, owed, 1))
        case TellDay(row_id):
            part = state.part(row_id)
            assert part is not None
            return Record(PartCashTold(row_id, part.amended_minor))
        case SeeCash(row_id):
            return Record(PartCovered(row_id, f"even-{len(state.parts)}"))


def answer(kind: Kind, state: Begun, data: st.DataObject, n: int) -> Confirmation:
    """A row that the registrar may send now."""
    usual = row(kind, ta_serial=f"TA{n}", trade_date=state.trade_date or T)
    if isinstance(kind, Subscription):
        left = kind.amount.minor - state.confirmed_minor
        amount = data.draw(st.integers(0, left))
        is_final = data.draw(st.booleans())
        return row(
            kind,
            ta_serial=f"TA{n}",
            trade_date=state.trade_date or T,
            amount_minor=amount,
            shares=amount,
            is_final=is_final,
        )
    if not isinstance(kind, Redemption | Switching | FastRedemption):
        return usual
    shares = data.draw(st.integers(0, state.remaining_shares))
    is_final = data.draw(st.booleans())
    return row(
        kind,
        ta_serial=f"TA{n}",
        trade_date=state.trade_date or T,
        shares=shares,
        amount_minor=shares,
        is_final=is_final,
        rolls_over=not is_final,
    )


def from_outside(kind: Kind, state: Begun, data: st.DataObject, n: int) -> Command:
    """What the investor, the registrar, the bank or an operator may do."""
    covers = [p.row_id for p in state.parts if not p.is_covered and not p.is_cash_amended]
    disputed = [p.row_id for p in state.parts if p.stage is PartStage.DISPUTED]
    choices: list[Command] = [
        Record(BATCHED),
        Record(RECEIVED),
        Record(Priced(state.trade_date or T, NAV)),
        Cancel(REQUEST_ID, CALLER, CUT_OFF_US - data.draw(st.integers(0, 1))),
        *(Record(PartCovered(each, f"pay-{each}-{n}")) for each in covers),
        *(AcceptDifference(each, f"p{n}") for each in disputed),
    ]
    if state.stage.name in (
        "BATCHED",
        "TA_RECEIVED",
        "PRICED",
        "PARTIALLY_CONFIRMED",
        "ROLLED_OVER",
    ):
        said = answer(kind, state, data, n)
        other = row(kind, nav=NAV + 1)
        ours = data.draw(st.sampled_from([None, expected(said), expected(other)]))
        choices += [Confirm(said, ours)] * 6
        choices += [Record(Refused("NO", "", "0009"))]
    if state.parts:
        first = state.parts[0].confirmation
        choices.append(Amend(replace(first, nav=first.nav + 1), f"p{n}"))
        amount = max(0, first.amount_minor + data.draw(st.sampled_from([-7, 5])))
        choices.append(Amend(replace(first, amount_minor=amount), f"q{n}"))
    return data.draw(st.sampled_from(choices))


def _is_over(state: Begun) -> bool:
    return state.stage in (*DROPPED, Stage.SETTLED) or state.is_settled


# Unshrunk: a life of so many steps takes minutes to shorten.
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.sampled_from(kinds()), st.data())
def test_an_order_comes_to_its_end_and_says_every_thing_once(
    kind: Kind, data: st.DataObject
) -> None:
    begin = place(terms(kind))
    state: Order = order.fold(order.initial, order.decide(begin, order.initial))
    for n in range(STEPS_MAX):
        assert isinstance(state, Begun)
        step = next_step(state)
        is_ours = step is not None and data.draw(st.booleans())
        if step is None and _is_over(state):
            break
        if step is not None and (is_ours or n > STEPS_MAX // 2):
            command = perform(step, state, data)
        else:
            command = from_outside(kind, state, data, n)
        try:
            events = order.decide(command, state)
        except Rejected:
            assert not is_ours, "what the state asks for is not refused"
            continue
        state = order.fold(state, events)
        _check(state)
        _check_advance(state)
        if not isinstance(command, Cancel):
            assert list(order.decide(command, state)) == [], f"{command} again"


def _check_advance(state: Order) -> None:
    """The bank has its money back, or operators have been told that it has not."""
    assert isinstance(state, Begun)
    assert state.offers <= (OFFERS_MAX if state.advance_id else 0)
    if state.advance_id and _is_over(state) and next_step(state) is None:
        assert state.remaining_shares == 0 or state.returned == Returned(0, 0)


def _check(state: Order) -> None:
    assert isinstance(state, Begun)
    if pays_in(state):
        assert isinstance(state.terms.kind, Subscription)
        assert state.confirmed_minor <= state.terms.kind.amount.minor
    else:
        assert state.confirmed_shares <= max(state.placed.shares, 0)
    for part in state.parts:
        is_less = part.paid_minor > part.confirmation.amount_minor
        assert not is_less or (part.is_cash_amended and not state.is_settled)
    if state.is_settled:
        assert all(part.told_minor == part.amended_minor for part in state.parts)
        assert all(part.stage is PartStage.BOOKED for part in state.parts)
        for part in state.parts:
            if brings_cash(state, part):
                assert part.paid_minor == part.confirmation.amount_minor == part.carried_minor
        if isinstance(state.terms.kind, Subscription):
            back = state.returned.amount_minor if state.returned is not None else 0
            assert back + state.confirmed_minor == state.terms.kind.amount.minor
    if state.stage in DROPPED and isinstance(state.returned, Returned):
        assert not state.parts
    for part in state.parts:
        if part.stage is PartStage.AMENDED:
            assert part.booked_as is not None
        for _, command in bookings_of(state, part):
            if isinstance(command, RedeemShares):
                assert command.shares == part.confirmation.shares
