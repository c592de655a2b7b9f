"""Invented investors: who they are, and what each wants on a day, the same for the same seed."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from libs.fund_samples import SampleFund
from libs.ids import named_id
from libs.orders import wallet_id
from libs.suitability import InvestorClass, Suitability, suitability

# Of a thousand investors, how many are of each class; the lowest comes first.
_CLASSES: Final = (40, 120, 220, 280, 200, 110, 30)
_THOUSAND: Final = 1_000
PLANS_OF_1000: Final = 600
# Of a thousand investors and a day.
BUYERS: Final = 12
SELLERS: Final = 10
SWITCHERS: Final = 4
MODE_CHANGERS: Final = 2
FAST: Final = 6
RUNNERS: Final = 300
# So many times as many of them on lively days.
LIVELY: Final = 12
# Every so many sessions a fund sees a run, a dividend, a redemption by force.
RUN_EVERY: Final = 45
DIVIDEND_EVERY: Final = 63
FORCE_EVERY: Final = 84
# What an investor brings, in minor units.
PURSE_MINOR: Final = 20_000_000
_AMOUNTS: Final = (50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000)
_PLAN_AMOUNTS: Final = (10_000, 20_000, 50_000, 100_000)
_TENTHS: Final = 10
# Of a money fund at once: what the limit of a day allows, at 1.00.
FAST_MAX: Final = 1_000_000
_LEAST_SHARES: Final = 100


@dataclass(frozen=True, slots=True)
class Investor:
    """Who it is; `account` is what the wallet's account is named by."""

    account: str
    investor_class: InvestorClass

    @property
    def owner(self) -> str:
        """As accounts, and funds, know the investor."""
        return f"customer:{self.account}"

    def wallet(self, currency: str) -> str:
        """The wallet account."""
        return str(wallet_id(self.account, currency))


@dataclass(frozen=True, slots=True)
class Plan:
    """A monthly plan."""

    investor: Investor
    fund: str
    amount_minor: int
    send_day: int

    @property
    def plan_id(self) -> str:
        """The same for the same investor and fund."""
        return str(named_id("fund-plan", self.investor.account, self.fund))


@dataclass(frozen=True, slots=True)
class Wish:
    """What an investor wants: SUBSCRIBE, REDEEM, FAST_REDEEM, SWITCH or DIVIDEND_MODE."""

    kind: str
    investor: Investor
    day: date
    fund: str
    amount_minor: int = 0
    shares: int = 0
    target: str = ""
    # Of what a gate leaves: roll over, or cancel.
    rolls_over: bool = True
    is_cash: bool = False

    @property
    def order_id(self) -> str:
        """The same for the same wish: it is asked for once, however often it is sent."""
        parts = (self.kind, self.investor.account, self.day.isoformat(), self.fund, self.target)
        return str(named_id("fund-wish", *parts))


def people(accounts: Sequence[str], seed: str) -> list[Investor]:
    """An investor for each account, the classes shared out by the seed."""
    found = []
    for account in accounts:
        place, reached = number(seed, "class", account) % _THOUSAND, 0
        for investor_class, share in zip(InvestorClass, _CLASSES, strict=True):
            reached += share
            if place < reached:
                found.append(Investor(account, investor_class))
                break
    return found


def may_buy(investor: Investor, funds: Sequence[SampleFund]) -> list[SampleFund]:
    """Funds that suit the investor without a warning."""
    return [
        fund
        for fund in funds
        if suitability(investor.investor_class, fund.level) is Suitability.BUY
    ]


def plans(investors: Sequence[Investor], funds: Sequence[SampleFund], seed: str) -> Iterator[Plan]:
    """Monthly plans of some of them."""
    for investor in investors:
        if number(seed, "plan", investor.account) % _THOUSAND >= PLANS_OF_1000:
            continue
        fund = _one(may_buy(investor, funds), seed, "plan fund", investor.account)
        amount = _PLAN_AMOUNTS[number(seed, "plan amount", investor.account) % len(_PLAN_AMOUNTS)]
        send_day = 1 + number(seed, "plan day", investor.account) % 31
        yield Plan(investor, fund.code, amount, send_day)


@dataclass(frozen=True, slots=True)
class Day:
    """A day as it is planned; `ordinal` counts sessions from 0."""

    date: date
    ordinal: int
    seed: str
    # Everything at once, for when only a few days are played.
    is_lively: bool = False

    def buyers(self, investors: Sequence[Investor], *, of_1000: int = BUYERS) -> list[Investor]:
        """Who buys."""
        return self._some("buy", investors, of_1000)

    def buys(self, buyers: Sequence[Investor], funds: Sequence[SampleFund]) -> Iterator[Wish]:
        """An amount each, of a fund that suits."""
        for investor in buyers:
            key = (investor.account, self.date.isoformat())
            fund = _one(may_buy(investor, funds), self.seed, "buy fund", *key)
            amount = _AMOUNTS[number(self.seed, "buy amount", *key) % len(_AMOUNTS)]
            yield Wish("SUBSCRIBE", investor, self.date, fund.code, amount_minor=amount)

    def sellers(self, investors: Sequence[Investor]) -> list[Investor]:
        """Who sells a part of something."""
        return self._some("sell", investors, SELLERS)

    def switchers(self, investors: Sequence[Investor]) -> list[Investor]:
        """Who goes from one fund to another."""
        return self._some("switch", investors, SWITCHERS)

    def mode_changers(self, investors: Sequence[Investor]) -> list[Investor]:
        """Who wants dividends in another way."""
        return self._some("mode", investors, MODE_CHANGERS)

    def hurried(self, investors: Sequence[Investor]) -> list[Investor]:
        """Who wants money of a money fund at once."""
        return self._some("fast", investors, FAST)

    def runners(self, investors: Sequence[Investor]) -> list[Investor]:
        """Who wants out of the fund that is run on."""
        return self._some("run", investors, RUNNERS)

    def run_on(self, funds: Sequence[SampleFund]) -> SampleFund | None:
        """The fund that many want to leave today."""
        is_day = self.ordinal == 1 if self.is_lively else self._comes(RUN_EVERY)
        if not is_day:
            return None
        open_end = [fund for fund in funds if not fund.is_money_market and not fund.is_omnibus]
        return open_end[self.ordinal // RUN_EVERY % len(open_end)] if open_end else None

    def dividends(self, funds: Sequence[SampleFund]) -> list[SampleFund]:
        """Funds that pay one today."""
        is_day = self.ordinal == 1 if self.is_lively else self._comes(DIVIDEND_EVERY)
        if not is_day:
            return []
        return [fund for fund in funds if fund.dividend_ppm]

    def is_forced(self) -> bool:
        """Whether the registrar redeems something by itself today."""
        return self.ordinal == 1 if self.is_lively else self._comes(FORCE_EVERY)

    def _comes(self, every: int) -> bool:
        return self.ordinal % every == every // 2

    def sell(
        self, investor: Investor, held: Mapping[str, int], fund: str = "", tenths: int = 0
    ) -> Wish | None:
        """A part of what is free of one fund; None where nothing is."""
        key = (investor.account, self.date.isoformat())
        code = fund or self._held(held, "sell fund", key)
        part = tenths or 1 + number(self.seed, "sell part", *key) % _TENTHS
        shares = held.get(code, 0) * part // _TENTHS
        if shares < _LEAST_SHARES:
            return None
        rolls_over = number(self.seed, "rest", *key) % 4 > 0
        return Wish("REDEEM", investor, self.date, code, shares=shares, rolls_over=rolls_over)

    def fast(
        self, investor: Investor, held: Mapping[str, int], funds: Sequence[SampleFund]
    ) -> Wish | None:
        """A part of a money fund, within the day's limit."""
        key = (investor.account, self.date.isoformat())
        code = next((fund.code for fund in funds if fund.is_money_market), "")
        free = min(held.get(code, 0), FAST_MAX)
        shares = free * (1 + number(self.seed, "fast part", *key) % _TENTHS) // _TENTHS
        if shares < _LEAST_SHARES:
            return None
        return Wish("FAST_REDEEM", investor, self.date, code, shares=shares)

    def switch(
        self, investor: Investor, held: Mapping[str, int], funds: Sequence[SampleFund]
    ) -> Wish | None:
        """From what is held into something else that suits."""
        key = (investor.account, self.date.isoformat())
        code = self._held(held, "switch fund", key)
        # Of one register alone: a nominee's shares and an investor's own do not mix.
        omnibus = {fund.code: fund.is_omnibus for fund in funds}
        targets = [
            fund
            for fund in may_buy(investor, funds)
            if fund.code != code and fund.is_omnibus == omnibus.get(code)
        ]
        shares = held.get(code, 0) // 2
        if shares < _LEAST_SHARES or not targets:
            return None
        target = _one(targets, self.seed, "switch to", *key)
        return Wish("SWITCH", investor, self.date, code, shares=shares, target=target.code)

    def mode(self, investor: Investor, held: Mapping[str, int]) -> Wish | None:
        """Cash, or shares, for the dividends of something that is held."""
        key = (investor.account, self.date.isoformat())
        code = self._held(held, "mode fund", key)
        is_cash = number(self.seed, "mode", *key) % 2 == 0
        return Wish("DIVIDEND_MODE", investor, self.date, code, is_cash=is_cash) if code else None

    def _held(self, held: Mapping[str, int], what: str, key: Sequence[str]) -> str:
        codes = sorted(code for code, shares in held.items() if shares >= _LEAST_SHARES)
        return codes[number(self.seed, what, *key) % len(codes)] if codes else ""

    def _some(self, what: str, investors: Sequence[Investor], of_1000: int) -> list[Investor]:
        day, share = self.date.isoformat(), of_1000 * LIVELY if self.is_lively else of_1000
        return [
            investor
            for investor in investors
            if number(self.seed, what, investor.account, day) % _THOUSAND < share
        ]


def number(*parts: str) -> int:
    """A number that depends on these words alone."""
    return int.from_bytes(hashlib.sha256("|".join(parts).encode()).digest()[:8], "big")


def _one(funds: Sequence[SampleFund], *parts: str) -> SampleFund:
    return funds[number(*parts) % len(funds)]
