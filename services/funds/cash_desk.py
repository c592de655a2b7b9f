"""Money between us and registrars: paid and collected through payments, as anybody's is.

So it stands in a bank's settlement window like every other payment, and is settled and tied out
with it. Each payment is intended in the day's stream first, and its id is the day's own.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Final

from libs.clock import Clock
from libs.ids import derived_id, named_id
from libs.money import Money
from libs.trading_calendar import CalendarUnknown
from libs.transient import Unavailable
from services.funds import cash, days
from services.funds.clients.accounts import Accounts, Move, Refused
from services.funds.clients.payments import BankAccount, Carried, Payments
from services.funds.domain import ta_day
from services.funds.domain.order_lifecycle import Part
from services.funds.domain.registrar import Registrar
from services.funds.domain.ta_day import FileApplied, MoveCash, Purpose, Total
from services.funds.fund_day import FundDays

_ORDINALS: Final = {
    Purpose.SUB: cash.SUB,
    Purpose.RED: cash.RED,
    Purpose.DIV: cash.DIV,
    Purpose.FEE: cash.FEE,
    Purpose.FAST: cash.FAST,
}


@dataclass(frozen=True, slots=True)
class CashDesk:
    """Pays registrars, and collects from them."""

    accounts: Accounts
    payments: Payments
    fund_days: FundDays
    clock: Clock

    def payment_id(self, registrar: Registrar, trade_date: date, step: MoveCash) -> str:
        """The id of a day's nth payment of a purpose, with the day inside."""
        midnight = datetime.combine(trade_date, time(), UTC)
        return str(
            named_id(
                "fund cash",
                registrar.ta_id,
                trade_date.isoformat(),
                step.purpose.name,
                str(step.ordinal),
                at_ms=int(midnight.timestamp()) * 1_000,
            )
        )

    async def is_due(self, registrar: Registrar, day: ta_day.Begun, purpose: Purpose) -> bool:
        """We pay from the confirm date on; a registrar pays on the day its funds settle."""
        funds = await self.fund_days.funds_of(registrar.ta_id)
        now = max(days.today_of(fund.dealing, self.clock()) for fund in funds)
        if purpose in (Purpose.SUB, Purpose.FEE):
            return now >= day.opened.confirm_date
        due = day.opened.trade_date
        sessions = min(fund.dealing.settle_redeem_days for fund in funds)
        try:
            for _ in range(sessions):
                due = days.next_trade_day(funds[0], due)
        except CalendarUnknown:
            return now > day.opened.confirm_date
        return now >= due

    async def carry(self, registrar: Registrar, request: ta_day.CashRequested) -> Carried:
        """Ask for the payment, or see how it stands: both are one call."""
        bank = BankAccount(registrar.bank_id, registrar.bank_account, registrar.name)
        account = self._clearing(registrar, request.purpose)
        amount = Money(registrar.currency_code, abs(request.amount_minor))
        if request.purpose is Purpose.FEE and request.amount_minor < 0:
            # What it remitted too much is among our fees.
            await self._post(self._given_back(registrar, request, "out"))
        # What was paid too much goes back the other way.
        if (request.purpose is Purpose.SUB) == (request.amount_minor > 0):
            return await self.payments.pay(request.payment_id, account, bank, amount)
        return await self.payments.collect(request.payment_id, account, bank, amount)

    async def arrived(self, registrar: Registrar, request: ta_day.CashRequested) -> None:
        """What follows from money that has come: remitted fees are ours."""
        if request.purpose is Purpose.FEE and request.amount_minor > 0:
            await self._to_fees(
                registrar, self._clearing(registrar, Purpose.FEE), request.payment_id, request
            )

    async def failed(self, registrar: Registrar, request: ta_day.CashRequested) -> None:
        """What follows from a payment that failed: another will take its place."""
        if request.purpose is Purpose.FEE and request.amount_minor < 0:
            move = self._given_back(registrar, request, "back")
            await self._post(replace(move, debits=move.credits, credits=move.debits))

    def _given_back(self, registrar: Registrar, request: ta_day.CashRequested, way: str) -> Move:
        fact = f"{request.payment_id}/{way}"
        id_, account = (
            str(derived_id(request.payment_id, way)),
            self._clearing(registrar, Purpose.FEE),
        )
        move = _move(registrar, id_, account, -request.amount_minor, fact)
        return replace(move, debits=move.credits, credits=move.debits)

    async def amend_agency_fee(
        self, registrar: Registrar, place: str, part: Part, agency_minor: int
    ) -> None:
        """Of an amended purchase: our part, kept back so far, becomes what the row says now."""
        more = agency_minor - part.agency_kept_minor
        fact = f"{place}/{part.proposal_id}"
        id_ = str(named_id("agency fee amended", fact))
        move = _move(registrar, id_, self._clearing(registrar, Purpose.SUB), abs(more), fact)
        if more < 0:
            move = replace(move, debits=move.credits, credits=move.debits)
        await self._post(move)

    async def keep_agency_fee(
        self, registrar: Registrar, applied: FileApplied, agency_minor: int
    ) -> FileApplied:
        """Our part of the front-end fees: kept back from what we pay, or to be remitted."""
        totals = {each.purpose: each.amount_minor for each in applied.totals}
        if registrar.nets_agency_fee:
            kept = min(agency_minor, totals.get(Purpose.SUB, 0))
            totals[Purpose.SUB] = totals.get(Purpose.SUB, 0) - kept
            move = _move(
                registrar,
                str(named_id("agency fee", applied.file_key)),
                self._clearing(registrar, Purpose.SUB),
                kept,
                applied.file_key,
            )
            await self._post(move)
        else:
            totals[Purpose.FEE] = agency_minor
        kept_totals = tuple(
            Total(purpose, totals[purpose])
            for purpose in sorted(totals, key=lambda each: each.name)
            if totals[purpose]
        )
        return replace(applied, totals=kept_totals)

    async def _to_fees(
        self, registrar: Registrar, account: str, payment_id: str, request: ta_day.CashRequested
    ) -> None:
        id_ = str(derived_id(payment_id, "sweep"))
        await self._post(_move(registrar, id_, account, request.amount_minor, payment_id))

    async def _post(self, move: Move) -> None:
        done = await self.accounts.post(move)
        if isinstance(done, Refused) and done.reason != "FACT_ALREADY_POSTED":
            raise Unavailable(f"our own fee is refused: {done}")

    def _clearing(self, registrar: Registrar, purpose: Purpose) -> str:
        ordinal = _ORDINALS[purpose]
        return cash.clearing_id(registrar.ta_id, registrar.currency_code, ordinal)


def _move(registrar: Registrar, id_: str, account: str, minor: int, fact: str) -> Move:
    income = cash.fee_income(registrar.currency_code).account_id
    return Move(
        id_,
        registrar.currency_code,
        ((account, minor),),
        ((income, minor),),
        fact,
        "agency_fee",
        f"agency_fee/{fact}",
    )
