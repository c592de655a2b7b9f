"""Rows about the nominee account of an omnibus fund, shared among the investors behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from libs.decider import Cause
from libs.fund_arithmetic import dividend_cash, reinvested
from libs.ids import named_id
from libs.read_model import Database
from services.funds import queries
from services.funds.aggregates import Aggregates, holding_id
from services.funds.booking_desk import Answer
from services.funds.domain import fund as funds
from services.funds.domain import nominee_row as nominee
from services.funds.domain.expectation import Expected, expected_forced_redemption
from services.funds.domain.holding_lifecycle import Holding
from services.funds.domain.order_terms import (
    DIVIDEND,
    FORCED_INCREASE,
    FORCED_REDEMPTION,
    Confirmation,
    RegistrarMovement,
    Terms,
)
from services.funds.expecting import as_told
from services.funds.serials import trading_account_of

_ACTOR: Final = "funds"


@dataclass(frozen=True, slots=True)
class Sharing:
    """Makes of one row an answer for each investor; done again it makes the same ones."""

    aggregates: Aggregates
    database: Database

    async def answers(self, ta_id: str, row: Confirmation) -> Sequence[Answer]:
        """What each investor gets or loses. Raises `Rejected` where nobody has any shares."""
        fund = (await self.aggregates.funds.load(row.fund_code)).state
        if isinstance(fund, funds.Absent):
            return [Answer(_order_id(ta_id, row), "", row)]  # no order is found: that is a break
        answers = []
        for part in await self._parts(ta_id, fund, row):
            kind = RegistrarMovement(row.fund_code, row.business_code)
            claim, own = part.claim, part.row
            terms = Terms(claim.investor_id, claim.wallet_account_id, kind)
            answer = Answer(_order_id(ta_id, own), claim.investor_id, own, terms)
            answers.append(replace(answer, expected=part.expected))
        return answers

    async def part_of(self, ta_id: str, row: Confirmation, row_id: str) -> Confirmation | None:
        """The part of a later row that stands against the part of this identity."""
        answers = await self.answers(ta_id, row)
        return next((each.row for each in answers if each.row.row_id == row_id), None)

    async def _parts(
        self, ta_id: str, fund: funds.Listed, row: Confirmation
    ) -> Sequence[nominee.Part]:
        id_ = str(named_id("nominee row", ta_id, row.row_id))
        state = (await self.aggregates.nominee_rows.load(id_)).state
        if not state.claims:
            fix = nominee.FixClaims(row.row_id, row.fund_code, await self._claims(fund, row))
            cause = Cause(f"{id_}/fix", correlation_id=row.fund_code, actor=_ACTOR)
            state = (await self.aggregates.nominee_rows.transact(id_, fix, cause)).state
        names = {each.investor_id: trading_account_of(each.investor_id) for each in state.claims}
        whole = sum(claim.shares for claim in state.claims)
        return nominee.parts_of(state, row, _expected(fund, row, whole), names)

    async def _claims(self, fund: funds.Listed, row: Confirmation) -> tuple[nominee.Claim, ...]:
        investors = await self.database.read(lambda c: queries.holders(c, row.fund_code))
        accounts = [trading_account_of(investor_id) for investor_id in investors]
        wallets = await self.database.read(lambda c: queries.trading_accounts(c, accounts))
        claims = []
        for investor_id, account in zip(investors, accounts, strict=True):
            holding = (
                await self.aggregates.holdings.load(holding_id(investor_id, row.fund_code))
            ).state
            _, wallet = wallets.get(account, ("", ""))
            claims.append(nominee.Claim(investor_id, wallet, _counted(fund, row, holding)))
        return tuple(claims)


def _counted(fund: funds.Listed, row: Confirmation, holding: Holding) -> int:
    """The shares by which an investor claims a part."""
    if row.business_code == DIVIDEND:
        return holding.registered_on(_record_date(fund, row))
    # What is frozen is promised to an order; only free shares are taken by force.
    return holding.shares if row.business_code == FORCED_INCREASE else holding.free


def _expected(fund: funds.Listed, row: Confirmation, whole: int) -> Expected | None:
    """What the whole row ought to say; None while its price is missing."""
    if row.business_code not in (DIVIDEND, FORCED_REDEMPTION):
        return as_told(row)
    price = fund.nav_on(row.trade_date)
    if price is None:
        return None
    if row.business_code == FORCED_REDEMPTION:
        # More than all of them have is nobody's: then each part is disputed.
        return expected_forced_redemption(fund.terms, min(row.shares, whole), price.nav)
    declared = _declared(fund, row)
    if declared is None:
        return as_told(row)
    scales = fund.terms.scales
    cash = dividend_cash(whole, declared.per_share, declared.per_share_scale, scales)
    shares = reinvested(cash, price.nav, scales) if row.shares else 0
    return Expected(price.nav, shares, cash)


def _declared(fund: funds.Listed, row: Confirmation) -> funds.Dividend | None:
    found = [each for each in fund.dividends if each.ex_date == row.trade_date]
    return found[-1] if found else None


def _record_date(fund: funds.Listed, row: Confirmation) -> date:
    declared = _declared(fund, row)
    return declared.record_date if declared is not None else row.trade_date


def _order_id(ta_id: str, row: Confirmation) -> str:
    return str(named_id("registrar", ta_id, row.row_id))
