"""Many orders on few holdings, answered by a registrar that keeps its own register.

Units issued less units redeemed are the holdings, and those are the registrar's, after every row.
"""

from collections import Counter
from datetime import date, timedelta

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from libs.fund_arithmetic import TooFewShares
from libs.ids import named_id
from libs.money import Money
from services.funds.domain.booking import bookings_of
from services.funds.domain.expectation import (
    Expected,
    Owner,
    expected_redemption,
    expected_subscription,
    expected_switch,
)
from services.funds.domain.holding import FreezeShares, UnfreezeShares, holding
from services.funds.domain.holding_lifecycle import Holding
from services.funds.domain.order import (
    Confirm,
    Place,
    Record,
    order,
)
from services.funds.domain.order_lifecycle import (
    Accepted,
    Batched,
    Begun,
    Funded,
    MoneyHeld,
    Order,
    PartBooked,
    RemainderRolledOver,
    Returned,
    SharesFrozen,
)
from services.funds.domain.order_placing import Setting
from services.funds.domain.order_steps import (
    Action,
    BookShares,
    Judge,
    next_step,
    return_of,
)
from services.funds.domain.order_terms import (
    Confirmation,
    Kind,
    Redemption,
    Subscription,
    Switching,
    Terms,
    confirmed_as,
)
from tests.services.funds.domain.stories import (
    CALLER,
    FUND,
    INVESTOR,
    PLACE_US,
    TARGET,
    WALLET,
    listed,
)

FUNDS = {FUND.code: FUND, TARGET.code: TARGET}
DAY = date(2025, 3, 3)


class World:
    """Holdings of two investors, and the registrar's register of them."""

    def __init__(self) -> None:
        self.holdings: dict[tuple[str, str], Holding] = {}
        self.register: Counter[tuple[str, str]] = Counter()
        self.issued: Counter[str] = Counter()
        self.day = DAY
        self.rows = 0

    def holding(self, investor: str, code: str) -> Holding:
        return self.holdings.get((investor, code), holding.initial)

    def decide(self, investor: str, code: str, command: object) -> None:
        state = self.holding(investor, code)
        events = holding.decide(command, state)  # type: ignore[arg-type]
        self.holdings[investor, code] = holding.fold(state, events)

    def place(self, n: int, investor: str, kind: Kind) -> Begun:
        setting = Setting(
            listed(FUNDS[kind.fund_code]),
            self.holding(investor, kind.fund_code),
            INVESTOR,
            self.day,
            self.day,
            listed(TARGET),
        )
        order_id = str(named_id("walk", str(n), at_ms=PLACE_US // 1000))
        asked = Terms(investor, WALLET, kind)
        state = self.told(order.initial, Place(order_id, asked, CALLER, PLACE_US, "S", setting))
        if isinstance(kind, Subscription):
            state = self.told(state, Record(MoneyHeld(1)))
            state = self.told(state, Record(Funded(2, PLACE_US)))
        else:
            freeze = FreezeShares(order_id, state.placed.shares, self.day)
            self.decide(investor, kind.fund_code, freeze)
            state = self.told(state, Record(SharesFrozen(PLACE_US)))
        accepted = Accepted(self.day, self.confirm, self.confirm, PLACE_US, PLACE_US)
        state = self.told(state, Record(accepted))
        return self.told(state, Record(Batched("f", n)))

    @property
    def confirm(self) -> date:
        return self.day + timedelta(days=1)

    def told(self, state: Order, command: object) -> Begun:
        after = order.fold(state, order.decide(command, state))  # type: ignore[arg-type]
        assert isinstance(after, Begun)
        return after

    def answer(self, state: Begun, part: int, nav: int) -> Begun:
        """The registrar deals with a part of what is asked, and we book it."""
        investor, kind = state.terms.investor_id, state.terms.kind
        self.rows += 1
        asked = state.remaining_shares if state.placed.shares else 0
        shares = min(asked, part) if asked else 0
        ours, is_final = self.expectation(state, shares, nav), shares == asked
        target = kind.target_code if isinstance(kind, Switching) else ""
        row = Confirmation(
            f"TA{self.rows}",
            confirmed_as(state.placed.business_code),
            kind.fund_code,
            state.trade_date or self.day,
            self.confirm,
            ours.nav,
            ours.shares,
            ours.amount_minor,
            ours.fee_minor,
            target_code=target,
            target_nav=ours.target_nav,
            target_shares=ours.target_shares,
            recuperate_fee_minor=ours.recuperate_fee_minor,
            is_final=is_final,
            rolls_over=not is_final,
        )
        self.registered(investor, kind, row)
        state = self.told(state, Confirm(row, ours))
        return self.booked(state)

    def expectation(self, state: Begun, shares: int, nav: int) -> Expected:
        investor, kind = state.terms.investor_id, state.terms.kind
        fund = FUNDS[kind.fund_code]
        if isinstance(kind, Subscription):
            return expected_subscription(fund, kind.amount.minor, nav, self.day)
        owner = Owner(self.holding(investor, kind.fund_code).lots, INVESTOR.kind)
        days = (self.day, self.confirm)
        if isinstance(kind, Switching):
            return expected_switch((fund, TARGET), owner, shares, (nav, nav + 7), days)
        return expected_redemption(fund, owner, shares, nav, days)

    def registered(self, investor: str, kind: Kind, row: Confirmation) -> None:
        sign = 1 if isinstance(kind, Subscription) else -1
        self.register[investor, kind.fund_code] += sign * row.shares
        self.issued[kind.fund_code] += sign * row.shares
        if isinstance(kind, Switching):
            self.register[investor, kind.target_code] += row.target_shares
            self.issued[kind.target_code] += row.target_shares

    def booked(self, state: Begun) -> Begun:
        while isinstance(step := next_step(state), BookShares):
            part = state.part(step.row_id)
            assert part is not None
            for code, command in bookings_of(state, part):
                self.decide(state.terms.investor_id, code, command)
            state = self.told(state, Record(PartBooked(step.row_id)))
        assert not isinstance(step, Judge)
        if step is Action.GIVE_BACK:
            owed = return_of(state)
            if owed.shares:
                code = state.terms.kind.fund_code
                self.decide(state.terms.investor_id, code, UnfreezeShares(state.placed.order_id))
            state = self.told(state, Record(Returned(owed.amount_minor, owed.shares)))
        if step is Action.ROLL_OVER:
            rolled = RemainderRolledOver(self.confirm, state.remaining_shares)
            state = self.told(state, Record(rolled))
        return state

    def check(self) -> None:
        ours = {key: each.shares for key, each in self.holdings.items() if each.shares}
        assert ours == {key: shares for key, shares in self.register.items() if shares}
        for code in FUNDS:
            held = sum(shares for (_, each), shares in ours.items() if each == code)
            assert held == self.issued[code]
        assert all(0 <= each.frozen <= each.shares for each in self.holdings.values())


# Unshrunk: a story of fifteen orders takes minutes to shorten.
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["i1", "i2"]),
            st.sampled_from(["buy", "sell", "switch"]),
            st.integers(1, 3_000_00),
            st.integers(5_000, 20_000),
        ),
        max_size=15,
    ),
    st.data(),
)
def test_units_issued_less_redeemed_are_the_holdings_and_the_registrars(
    asked: list[tuple[str, str, int, int]], data: st.DataObject
) -> None:
    world, waiting = World(), list[Begun]()
    for n, (investor, what, number, nav) in enumerate(asked):
        free = world.holding(investor, FUND.code).free
        kind: Kind | None = None
        if what == "buy":
            kind = Subscription(FUND.code, Money("CNY", number + 10_00))
        elif free >= 10_00:
            left_over = 50_00 if free == world.holding(investor, FUND.code).shares else 0
            shares = min(number + 10_00, free)
            shares = free if 0 < free - shares < left_over else shares
            is_switch = what == "switch"
            kind = (
                Switching(FUND.code, TARGET.code, shares)
                if is_switch
                else Redemption(FUND.code, shares)
            )
        if kind is None or _is_refused(world, investor, kind):
            continue
        waiting.append(world.place(n, investor, kind))
        for state in list(waiting):
            waiting.remove(state)
            part = data.draw(st.integers(0, state.remaining_shares))
            try:
                after = world.answer(state, part, nav)
            except TooFewShares:
                raise AssertionError("what is frozen is there") from None
            if after.remaining_shares and after.placed.shares:
                waiting.append(after)
            world.check()
        world.day += timedelta(days=1)


def _is_refused(world: World, investor: str, kind: Kind) -> bool:
    """Whether what would be left is below the fund's least."""
    if isinstance(kind, Subscription):
        return False
    state = world.holding(investor, kind.fund_code)
    shares = kind.shares if isinstance(kind, Redemption | Switching) else 0
    return 0 < state.shares - shares < FUND.limits.remaining_shares
