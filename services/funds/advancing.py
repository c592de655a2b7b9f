"""Fast redemptions: a bank's money in the wallet at once, and given back when the fund has paid.

The draw is a pull from the bank's own account into `advance:<bank>`, and the repayment a payout to
it; both stand in that bank's settlement window as every payment does. The wallet is paid, and the
registrar owes it, in one entry: `fc:fast` is debited, the wallet credited.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, assert_never

from libs.decider import Cause, Rejected
from libs.ids import derived_id
from libs.money import Money
from libs.process import Recorded
from libs.transient import Unavailable
from services.funds import cash
from services.funds.aggregates import Aggregates
from services.funds.breaking import Breaking
from services.funds.clients.accounts import Accounts, Move, Posted, Refused
from services.funds.clients.payments import BankAccount, Carried, Fate, Payments
from services.funds.domain import advance as advances
from services.funds.domain import facility as facilities
from services.funds.domain import order_lifecycle as life
from services.funds.domain.advance import Action
from services.funds.domain.breaks import BreakType
from services.funds.hearing import Awaited

_ACTOR: Final = "funds"


@dataclass(frozen=True, slots=True)
class Advancing:
    """Performs one step of an advance; each can be done again."""

    aggregates: Aggregates
    accounts: Accounts
    payments: Payments
    awaited: Awaited
    wake: Callable[[str], None]
    wake_order: Callable[[str], None]
    breaking: Breaking

    async def perform(
        self, advance_id: str, state: advances.Advance, step: Action
    ) -> Recorded[advances.Command] | None:
        """What to record of it; None: not yet. Raises `Unavailable`: the same again later."""
        if isinstance(state, advances.Absent):
            raise AssertionError("what is not there has no steps")  # noqa: TRY004 - a bug of ours
        fact = await self._fact(state, step)
        if fact is None:
            return None
        order_id = state.terms.order_id
        if isinstance(fact, advances.Paid | advances.Refused):
            self.wake_order(order_id)
        if isinstance(fact, advances.Repaid):
            place, told = unpaid_place(order_id), "the advance is repaid"
            await self.breaking.end(BreakType.ADVANCE_UNPAID, place, told)
        tries = len(state.failed_repays) + len(state.failed_incomes)
        name = f"{advance_id}/{step.name}/{tries}"
        return Recorded(advances.Record(fact), Cause(name, correlation_id=order_id, actor=_ACTOR))

    async def _fact(self, advance: advances.Begun, step: Action) -> advances.Fact | None:
        match step:
            case Action.RESERVE_HEADROOM:
                return await self._reserve(advance)
            case Action.REQUEST_DRAW:
                return advances.DrawRequested(_id(advance, "draw"))
            case Action.AWAIT_DRAW:
                return await self._draw(advance)
            case Action.PAY_WALLET:
                return await self._pay(advance)
            case Action.REPAY:
                payment_id = _id(advance, "repay", len(advance.failed_repays))
                return advances.RepayRequested(payment_id, advance.repay_minor)
            case Action.AWAIT_REPAY:
                return await self._repay(advance)
            case Action.RELEASE_HEADROOM:
                release = facilities.Release(advance.advance_id)
                await self._of_facility(advance, release, "release")
                return advances.HeadroomReleased()
            case Action.REQUEST_INCOME:
                id_ = _id(advance, "income", len(advance.failed_incomes))
                return advances.IncomeRequested(id_, advance.income_due_minor)
            case Action.AWAIT_INCOME:
                return await self._collect_income(advance)
            case Action.PAY_INCOME:
                id_ = _id(advance, "income paid", len(advance.failed_incomes))
                return advances.IncomePayRequested(id_, advance.income_due_minor)
            case Action.AWAIT_INCOME_PAID:
                return await self._pay_income(advance)
            case _:
                assert_never(step)

    async def _reserve(self, advance: advances.Begun) -> advances.Fact:
        reserve = facilities.Reserve(advance.advance_id, advance.terms.amount_minor)
        try:
            await self._of_facility(advance, reserve, "reserve")
        except Rejected as rejected:
            return advances.Refused(rejected.reason.name)
        return advances.HeadroomReserved()

    async def _draw(self, advance: advances.Begun) -> advances.Fact | None:
        """Only DONE pays; what is not known keeps the reservation and is asked again."""
        account = cash.advance(advance.terms.bank_id, advance.terms.currency).account_id
        bank = await self._bank(advance)
        self.awaited.expect(advance.draw_payment_id, lambda: self.wake(advance.advance_id))
        drawn = await self.payments.collect(
            advance.draw_payment_id, account, bank, _amount(advance)
        )
        if drawn.fate is not Fate.UNDER_WAY:
            self.awaited.forget(advance.draw_payment_id)
        match drawn.fate:
            case Fate.DONE:
                return advances.Drawn("")
            case Fate.FAILED:
                return advances.Refused(drawn.reason or "DRAW_REFUSED")
            case Fate.UNDER_WAY:
                is_news = drawn.is_in_doubt and not advance.is_in_doubt
                return advances.DrawDoubted("the bank has not said") if is_news else None
            case _:
                assert_never(drawn.fate)

    async def _pay(self, advance: advances.Begun) -> advances.Fact | None:
        terms = advance.terms
        fast = cash.clearing_id(terms.ta_id, terms.currency, cash.FAST)
        step = "pay"
        paid = Move(
            _id(advance, step),
            terms.currency,
            ((fast, terms.amount_minor),),
            ((terms.wallet_account_id, terms.amount_minor),),
            terms.order_id,
            "fast_redemption",
            f"{terms.order_id}/F1",
        )
        match await self.accounts.post(paid):
            case Posted(position):
                return advances.Paid(position)
            case Refused(reason="FACT_ALREADY_POSTED"):
                return advances.Paid(0)
            case Refused(reason):
                # Drawn, and the wallet does not take it: a person must look; the bank has a claim.
                raise Unavailable(f"the wallet does not take it: {reason}")

    async def _repay(self, advance: advances.Begun) -> advances.Fact | None:
        repay = advance.repay
        if repay is None:
            raise AssertionError("what is awaited was requested")
        account = cash.advance(advance.terms.bank_id, advance.terms.currency).account_id
        bank = await self._bank(advance)
        self.awaited.expect(repay.payment_id, lambda: self.wake(advance.advance_id))
        carried: Carried = await self.payments.pay(
            repay.payment_id, account, bank, Money(advance.terms.currency, repay.amount_minor)
        )
        if carried.fate is not Fate.UNDER_WAY:
            self.awaited.forget(repay.payment_id)
        match carried.fate:
            case Fate.DONE:
                return advances.Repaid(repay.payment_id)
            case Fate.FAILED:
                return advances.RepayFailed(repay.payment_id, carried.reason)
            case Fate.UNDER_WAY:
                return None
            case _:
                assert_never(carried.fate)

    async def _collect_income(self, advance: advances.Begun) -> advances.Fact | None:
        known = (await self.aggregates.registrars.load(advance.terms.ta_id)).state
        if known is None:
            raise AssertionError("an order's registrar was registered before it")
        registrar = known.registrar
        payer = BankAccount(registrar.bank_id, registrar.bank_account, registrar.name)
        id_, amount = advance.income_pull_id, _income(advance)
        self.awaited.expect(id_, lambda: self.wake(advance.advance_id))
        carried = await self.payments.collect(id_, _account(advance), payer, amount)
        return self._of_income(id_, carried, advances.IncomeArrived(id_))

    async def _pay_income(self, advance: advances.Begun) -> advances.Fact | None:
        id_, amount = advance.income_payout_id, _income(advance)
        bank = await self._bank(advance)
        self.awaited.expect(id_, lambda: self.wake(advance.advance_id))
        carried = await self.payments.pay(id_, _account(advance), bank, amount)
        return self._of_income(id_, carried, advances.IncomePaid(id_))

    def _of_income(
        self, payment_id: str, carried: Carried, done: advances.Fact
    ) -> advances.Fact | None:
        if carried.fate is Fate.UNDER_WAY:
            return None
        self.awaited.forget(payment_id)
        is_done = carried.fate is Fate.DONE
        return done if is_done else advances.IncomeFailed(payment_id, carried.reason)

    async def _bank(self, advance: advances.Begun) -> BankAccount:
        id_ = facility_id(advance.terms.bank_id, advance.terms.currency)
        state = (await self.aggregates.facilities.load(id_)).state
        if isinstance(state, facilities.Absent):
            raise AssertionError("a facility was there when the advance was asked for")  # noqa: TRY004 - a bug of ours
        return BankAccount(state.terms.bank_id, state.terms.bank_account, "advance")

    async def _of_facility(
        self, advance: advances.Begun, command: facilities.Command, step: str
    ) -> None:
        id_ = facility_id(advance.terms.bank_id, advance.terms.currency)
        cause = Cause(f"{advance.advance_id}/{step}", correlation_id=advance.terms.order_id)
        await self.aggregates.facilities.transact(id_, command, cause)


def facility_id(bank_id: str, currency: str) -> str:
    """The stream's id of a bank's facility in a currency."""
    return f"{bank_id}-{currency}"


def advance_id_of(order: life.Begun) -> str:
    """The advance of a fast redemption."""
    return str(derived_id(order.placed.order_id, "advance"))


def unpaid_place(order_id: str) -> str:
    """Where the break stands that an advance is not repaid."""
    return f"{order_id}/advance"


def _id(advance: advances.Begun, purpose: str, ordinal: int = 0) -> str:
    return str(derived_id(advance.advance_id, purpose, ordinal))


def _account(advance: advances.Begun) -> str:
    return cash.advance(advance.terms.bank_id, advance.terms.currency).account_id


def _income(advance: advances.Begun) -> Money:
    return Money(advance.terms.currency, advance.income_due_minor)


def _amount(advance: advances.Begun) -> Money:
    return Money(advance.terms.currency, advance.terms.amount_minor)
