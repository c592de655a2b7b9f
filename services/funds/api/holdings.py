"""What a holding shows: units, cost, value at the newest price, income, and the yearly return."""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import Row

from hefu.funds.v1 import events_pb2 as events_pb
from hefu.funds.v1 import funds_pb2 as pb
from libs.clock import Clock
from libs.fund_arithmetic import value_of
from libs.rates_of_return import NoRate, xirr
from libs.read_model import Database
from services.funds import queries
from services.funds.aggregates import Aggregates
from services.funds.domain.product import FundTerms
from services.funds.shapes import shape_of


@dataclass(frozen=True, slots=True)
class Holdings:
    """Answers about holdings, from the rows."""

    aggregates: Aggregates
    database: Database
    clock: Clock

    async def one(self, investor_id: str, fund_code: str) -> pb.Holding:
        """One holding with its return; without a row it is empty."""
        rows = await self.database.read(
            lambda db: queries.holdings_page(db, investor_id, fund_code, ("", ""), 1)
        )
        if not rows:
            return pb.Holding(investor_id=investor_id, fund_code=fund_code)
        return await self._shown(rows[0], with_return=True)

    async def page(
        self, request: pb.ListHoldingsRequest, size: int
    ) -> tuple[list[pb.Holding], str]:
        """Holdings in the order of their keys, and where the next page begins."""
        investor_id, _, code = request.page_token.rpartition("/")
        rows = await self.database.read(
            lambda db: queries.holdings_page(
                db, request.investor_id, request.fund_code, (investor_id, code), size + 1
            )
        )
        shown = [await self._shown(r, with_return=request.with_returns) for r in rows[:size]]
        last = rows[size - 1] if len(rows) > size else None
        token = f"{last.investor_id}/{last.fund_code}" if last is not None else ""
        return shown, token

    async def _shown(self, row: Row[Any], *, with_return: bool) -> pb.Holding:
        terms = _terms(row.terms)
        market = value_of(row.shares, row.nav, terms.scales) if row.nav else 0
        mode = row.mode or terms.default_dividend_mode.name
        return pb.Holding(
            investor_id=row.investor_id,
            fund_code=row.fund_code,
            shares=row.shares,
            frozen_shares=int(row.frozen),
            cost_minor=row.cost_minor,
            market_minor=market,
            nav_date=row.nav_date,
            nav=row.nav,
            income_minor=row.income_minor,
            realised_minor=row.realised_minor,
            dividend_mode=events_pb.DividendMode.Value(f"DIVIDEND_MODE_{mode}"),
            xirr=await self._return(row, market) if with_return else "",
            income_bucket=row.bucket,
            currency_code=row.currency,
        )

    async def _return(self, row: Row[Any], market: int) -> str:
        """As decimal text; empty where the flows have none."""
        paid = await self.database.read(
            lambda db: queries.flows(db, row.investor_id, row.fund_code)
        )
        flows = [(date.fromisoformat(day), amount) for day, amount in paid]
        if market:
            priced = date.fromisoformat(row.nav_date)
            last = max((day for day, _ in flows), default=priced)
            flows.append((max(priced, last), market))
        try:
            return str(xirr(flows)) if flows else ""
        except NoRate:
            return ""


@lru_cache(maxsize=1_024)
def _terms(text: str) -> FundTerms:
    found: FundTerms = shape_of(FundTerms).from_json(orjson.loads(text))
    return found
