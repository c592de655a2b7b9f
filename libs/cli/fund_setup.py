"""Before the first fund day: registrars and funds are made known, investors classed and funded."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from rich.progress import Progress

from hefu.accounts.v1 import accounts_pb2 as accounts
from hefu.accounts.v1 import events_pb2 as entries
from hefu.funds.v1 import events_pb2 as funds_events
from hefu.funds.v1 import funds_pb2 as funds
from hefu.payments.v1 import events_pb2 as payment_events
from hefu.registrar.v1 import sample_registrar_pb2 as registrar
from hefu.type.v1 import money_pb2, suitability_pb2
from libs.cli.fund_investors import PURSE_MINOR, Investor, Plan
from libs.cli.fund_link import FundLink
from libs.client.calls import patiently
from libs.client.errors import HefuError
from libs.fund_arithmetic import FeeBand
from libs.fund_samples import SampleDocument, SampleFund
from libs.ids import named_id
from libs.money import Money
from libs.nav_history import CALENDAR
from libs.orders import home_bank
from libs.run_folder import Registrar

T = TypeVar("T")
ZONE = "America/New_York"
# The registrar is asked to open an account (01, 02) before it takes an investor for known.
PROFILE = "ofd21accounts"
# The exchange closes at four; an order strictly before is in time.
CUT_OFF_S = 16 * 3_600
SETTLE_SUBSCRIBE = 1
SETTLE_REDEEM = 2
# What an investor gets at once of a money fund in one natural day.
FAST_DAILY_MINOR = 1_000_000
# How far the bank lends for that.
FACILITY_MINOR = 100_000_000
_TABLE_FROM = "2000-01-01"
_PROFILE_VERSION = "fund-day-1"
_NO_DISCOUNT = 1_000_000
# More at once would only wait in line.
_AT_ONCE = 64


class SetUpFailed(Exception):
    """Something that the fund day stands on could not be made; the message says what."""


@dataclass(frozen=True, slots=True)
class SetUp:
    """Everything that is told once; all of it may be told again."""

    link: FundLink
    progress: Progress
    currency: str
    banks: Sequence[str]

    async def registrar(self, known: Registrar, samples: Sequence[SampleFund]) -> None:
        """A registrar and the funds it keeps, on both sides."""
        told = funds_events.Registrar(
            ta_id=known.registrar_id,
            name=f"Sample registrar {known.registrar_id}",
            address=known.address,
            bank_id=known.bank_id,
            bank_account=known.account_number,
            currency_code=known.currency,
            profile=PROFILE,
        )
        request = funds.RegisterRegistrarRequest(registrar=told)
        await patiently(lambda: self.link.desk.RegisterRegistrar(request))
        facility = funds.AdvanceFacility(
            bank_id=known.bank_id,
            currency_code=self.currency,
            limit_minor=FACILITY_MINOR,
            bank_account=f"FACILITY{known.bank_id}",
        )
        opening = funds.OpenAdvanceFacilityRequest(facility=facility)
        await patiently(lambda: self.link.desk.OpenAdvanceFacility(opening))
        theirs = registrar.PutFundsRequest(funds=[_theirs(fund, self.currency) for fund in samples])
        await patiently(lambda: self.link.registrars[known.registrar_id].PutFunds(theirs))
        await self._each(
            "funds published",
            list(samples),
            lambda fund: self._publish(fund, known),
        )

    async def investors(self, investors: Sequence[Investor], valid_until: date) -> None:
        """Wallets opened, classes told, and money brought in from the banks."""
        await self._each("wallets opened", investors, self._open)
        await self._each(
            "investors classed", investors, lambda each: self._class(each, valid_until)
        )
        await self._each("purses filled by the banks", investors, self._fill)

    async def plans(self, plans: Sequence[Plan], begin: date) -> None:
        """Regular plans begun."""
        await self._each("regular plans begun", plans, lambda plan: self._begin(plan, begin))

    async def _publish(self, fund: SampleFund, known: Registrar) -> None:
        request = funds.PublishFundRequest(
            terms=_terms(fund, known.registrar_id, self.currency, known.bank_id),
            status=funds_events.FUND_STATUS_OPEN,
        )
        await patiently(lambda: self.link.desk.PublishFund(request))

    async def _open(self, investor: Investor) -> None:
        opening = accounts.Opening(
            account_id=investor.wallet(self.currency),
            owner=investor.owner,
            kind=entries.ACCOUNT_KIND_CUSTOMER_WALLET,
            currency_code=self.currency,
        )
        result = await self.link.link.client.accounts.submit(accounts.Command(open_account=opening))
        if result.HasField("refusal"):
            raise SetUpFailed(f"account of {investor.owner}: {result.refusal.reason}")

    async def _class(self, investor: Investor, valid_until: date) -> None:
        request = funds.RecordInvestorClassRequest(
            investor_id=investor.owner,
            investor_class=suitability_pb2.InvestorClass.ValueType(investor.investor_class),
            valid_until=valid_until.isoformat(),
            profile_version=_PROFILE_VERSION,
        )
        await patiently(lambda: self.link.books.RecordInvestorClass(request))

    async def _fill(self, investor: Investor) -> None:
        payments = self.link.link.client.payments
        id_ = named_id("fund-purse", investor.account)
        terms = payment_events.PaymentTerms(
            amount=money_of(Money(self.currency, PURSE_MINOR)),
            top_up=payment_events.TopUp(
                wallet_account_id=investor.wallet(self.currency),
                bank_id=home_bank(investor.account, self.banks),
                bank_account=investor.account,
            ),
            note="to buy funds with",
        )
        await payments.create(id_, terms)
        await payments.wait(id_)

    async def _begin(self, plan: Plan, begin: date) -> None:
        if await self._is_begun(plan):
            # On an earlier day, and it goes on from there.
            return
        request = funds.CreatePlanRequest(
            plan_id=plan.plan_id,
            terms=funds_events.PlanTerms(
                investor_id=plan.investor.owner,
                wallet_account_id=plan.investor.wallet(self.currency),
                fund_code=plan.fund,
                amount=money_of(Money(self.currency, plan.amount_minor)),
                frequency=funds_events.PLAN_FREQUENCY_MONTH,
                send_day=plan.send_day,
                begin_date=begin.isoformat(),
                max_fail=3,
            ),
        )
        await patiently(lambda: self.link.orders.CreatePlan(request))

    async def _is_begun(self, plan: Plan) -> bool:
        request = funds.GetPlanRequest(plan_id=plan.plan_id)
        try:
            await patiently(lambda: self.link.orders.GetPlan(request))
        except HefuError as error:
            if error.reason != "PLAN_NOT_FOUND":
                raise
            return False
        return True

    async def _each(
        self, told: str, items: Sequence[T], act: Callable[[T], Awaitable[Any]]
    ) -> None:
        bar = self.progress.add_task(told, total=len(items))
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(item: T) -> None:
            async with gate:
                await act(item)
            self.progress.advance(bar)

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))


def money_of(amount: Money) -> money_pb2.Money:
    """An amount as the contract has it."""
    return money_pb2.Money(currency_code=amount.currency, minor_units=amount.minor)


def _terms(
    fund: SampleFund, ta_id: str, currency: str, advancing_bank: str
) -> funds_events.FundTerms:
    table = funds_events.FeeTable(
        effective_date=_TABLE_FROM,
        method=funds_events.FEE_METHOD_OUTSIDE,
        front=[_our_band(band) for band in fund.subscribe],
        redemption=[
            funds_events.HoldingBand(from_days=band.from_days, rate=band.rate)
            for band in fund.redeem
        ],
        discount=_NO_DISCOUNT,
        agency_share=fund.agency_ppm,
    )
    model = "OMNIBUS" if fund.is_omnibus else "LOOK_THROUGH"
    return funds_events.FundTerms(
        code=fund.code,
        name=fund.name,
        ta_id=ta_id,
        currency=currency,
        fund_type=funds_events.FundType.Value(f"FUND_TYPE_{fund.kind.name}"),
        risk_level=suitability_pb2.RiskLevel.ValueType(fund.level),
        register_model=funds_events.RegisterModel.Value(f"REGISTER_MODEL_{model}"),
        dealing=funds_events.FundDealing(
            calendars=[CALENDAR],
            time_zone=ZONE,
            cut_off_s=CUT_OFF_S,
            settle_subscribe_days=SETTLE_SUBSCRIBE,
            settle_redeem_days=SETTLE_REDEEM,
        ),
        fee_tables=[table],
        limits=funds_events.FundLimits(
            first_minor=10_000,
            top_up_minor=1_000,
            redeem_shares=100,
            # Of money funds alone: the others pay when the registrar does.
            fast_daily_minor=FAST_DAILY_MINOR if fund.is_money_market else 0,
        ),
        share_scale=2,
        nav_scale=4,
        rounding=funds_events.ROUNDING_HALF_UP,
        default_dividend_mode=funds_events.DIVIDEND_MODE_REINVEST,
        gate=fund.gate_ppm,
        carry=funds_events.CARRY_DAILY,
        carry_day=1,
        is_switch_allowed=True,
        advancing_bank_id=advancing_bank if fund.is_money_market else "",
        documents=[_document(each) for each in fund.documents],
    )


def _document(document: SampleDocument) -> funds_events.FundDocument:
    return funds_events.FundDocument(
        title=document.title,
        link=document.link,
        sha256=document.sha256,
        kind=funds_events.DocumentKind.Value(f"DOCUMENT_KIND_{document.kind}"),
        language=document.language,
        valid_from=document.valid_from.isoformat(),
    )


def _our_band(band: FeeBand) -> funds_events.FeeBand:
    return funds_events.FeeBand(
        from_minor=band.from_minor, rate=band.rate, fixed_minor=band.fixed_minor
    )


def _theirs(fund: SampleFund, currency: str) -> registrar.SampleFund:
    model = "OMNIBUS" if fund.is_omnibus else "LOOK_THROUGH"
    return registrar.SampleFund(
        fund_code=fund.code,
        currency_code=currency,
        register_model=registrar.RegisterModel.Value(f"REGISTER_MODEL_{model}"),
        fund_kind=fund.kind.name,
        subscription_bands=[
            _their_band(band.from_minor, band.rate, band.fixed_minor or 0)
            for band in fund.subscribe
        ],
        redemption_bands=[_their_band(band.from_days, band.rate) for band in fund.redeem],
        agency_share_ppm=fund.agency_ppm,
        gate_ppm=fund.gate_ppm,
    )


def _their_band(begin: int, rate_ppm: int, fixed_minor: int = 0) -> registrar.FeeBand:
    band = registrar.FeeBand(rate_ppm=rate_ppm, fixed_fee_minor=fixed_minor)
    # A word of the language, so it cannot be given by name.
    setattr(band, "from", begin)
    return band
