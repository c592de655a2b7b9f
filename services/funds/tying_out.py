"""Whether units and cash are where the books say: beside the register, and beside the days."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import TypeAlias

from libs.read_model import Database
from services.funds import queries
from services.funds.aggregates import Aggregates
from services.funds.balancing import Balancing
from services.funds.booking_desk import purpose_of
from services.funds.clients.payments import Fate, Payments
from services.funds.domain import advance as advances
from services.funds.domain import order_lifecycle as life
from services.funds.domain import ta_day
from services.funds.domain.order_terms import FastRedemption, Subscription
from services.funds.domain.ta_day import CashStage, Purpose

# A registrar, a day, and the batches of its balances with their rows.
_Files: TypeAlias = tuple[str, str, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, slots=True)
class Units:
    """One fund: what came in and went out, what is held, and what the registrar's last 05 says."""

    fund_code: str
    balance_date: str
    issued: int
    redeemed: int
    held: int
    registered: int
    holders: int

    @property
    def ties_out(self) -> bool:
        """Issued less redeemed is what is held; and the registrar says the same."""
        return self.issued - self.redeemed == self.held == self.registered


@dataclass(frozen=True, slots=True)
class TyingOut:
    """Reads; repairs nothing."""

    aggregates: Aggregates
    balancing: Balancing
    database: Database
    payments: Payments
    # Of the last files that were added up: they never change, and are asked about again and again.
    sums: dict[_Files, Counter[str]] = field(default_factory=dict)

    async def units(self, ta_id: str) -> Sequence[Units]:
        """Each fund of a registrar."""
        balance_date, registered = await self._registered(ta_id)
        found = []
        for code in await self.database.read(lambda c: queries.funds_of_ta(c, ta_id)):
            sums = await self.database.read(partial(queries.unit_sums, fund_code=code))
            found.append(
                Units(
                    code,
                    balance_date,
                    sums.issued,
                    sums.redeemed,
                    sums.held,
                    registered[code],
                    sums.holders,
                )
            )
        return found

    async def cash(self, ta_id: str) -> Mapping[Purpose, int]:
        """What fund clearing must hold, in minor units: of orders and days under way."""
        owed: Counter[Purpose] = Counter()
        known = (await self.aggregates.registrars.load(ta_id)).state
        nets_fee = known is not None and known.registrar.nets_agency_fee
        for id_ in await self.database.read(lambda c: queries.unsettled_days(c, ta_id)):
            state = (await self.aggregates.ta_days.load(id_)).state
            if isinstance(state, ta_day.Begun):
                await self._of_day(state, owed)
        for id_ in await self.database.read(lambda c: queries.unended_orders_of(c, ta_id)):
            order = (await self.aggregates.orders.load(id_)).state
            if isinstance(order, life.Begun) and isinstance(order.terms.kind, FastRedemption):
                owed[Purpose.FAST] -= await self._advanced(order)
            elif isinstance(order, life.Begun):
                _of_order(order, owed, nets_fee=nets_fee)
        return owed

    async def _advanced(self, order: life.Begun) -> int:
        """What the wallet has had at once, less what the registrar's money has brought of it."""
        if not order.advance_id:
            return 0
        advance = (await self.aggregates.advances.load(order.advance_id)).state
        amount = advance.terms.amount_minor if isinstance(advance, advances.Begun) else 0
        return max(0, amount - sum(part.carried_minor for part in order.parts))

    async def _of_day(self, day: ta_day.Begun, owed: Counter[Purpose]) -> None:
        """What is confirmed and not paid out yet, or has come and is not told to its orders."""
        owed[Purpose.SUB] += day.total(Purpose.SUB) - day.requested(Purpose.SUB)
        asked = [each.request for each in day.cash if each.stage is CashStage.REQUESTED]
        found = await asyncio.gather(*(self.payments.look(each.payment_id) for each in asked))
        for request, carried in zip(asked, found, strict=True):
            purpose, amount = request.purpose, request.amount_minor
            is_done = carried is not None and carried.fate is Fate.DONE
            has_moved = is_done
            if (purpose is Purpose.SUB) == (amount > 0):
                # It leaves us: sooner than it arrives.
                has_moved = carried is not None and (carried.has_left or is_done)
            if purpose is Purpose.SUB:
                owed[purpose] += 0 if has_moved else amount
            else:
                owed[purpose] += amount if has_moved else 0

    async def _registered(self, ta_id: str) -> tuple[str, Counter[str]]:
        """The registrar's shares by fund, of the last balances that were accepted."""
        shares: Counter[str] = Counter()
        day = await self.database.read(lambda c: queries.last_balances(c, ta_id))
        known = (await self.aggregates.registrars.load(ta_id)).state
        if day is None or known is None:
            return "", shares
        found = partial(queries.balance_files, ta_id=ta_id, trade_date=day)
        files = ta_id, day, tuple(await self.database.read(found))
        if files not in self.sums:
            told = await self.balancing.told(known.registrar, date.fromisoformat(day))
            for row in told.rows:
                shares[row.fund_code] += row.total_vol_of_distributor_in_ta
            self.sums.clear()
            self.sums[files] = shares
        return day, self.sums[files]


def _of_order(order: life.Begun, owed: Counter[Purpose], *, nets_fee: bool) -> None:
    kind = order.terms.kind
    if isinstance(kind, Subscription):
        # Not answered by the registrar, or on its way back.
        if order.is_funded:
            returned = order.returned.amount_minor if order.returned is not None else 0
            owed[Purpose.SUB] += kind.amount.minor - order.confirmed_minor - returned
        if nets_fee:
            # Told to the day, which collects it, and not among our fees yet.
            told = (part.agency_told_minor - part.agency_kept_minor for part in order.parts)
            owed[Purpose.SUB] += sum(told)
        return
    for part in order.parts:
        if life.brings_cash(order, part):
            left = part.carried_minor - part.paid_minor
            owed[purpose_of(order, part.confirmation)] += max(0, left)
