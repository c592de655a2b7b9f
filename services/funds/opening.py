"""Accounts at registrars: asked for with an investor's first orders, and what the answer does."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from typing import Final

from libs.decider import Cause, Rejected
from libs.event_store import EventStore
from libs.projection import Projection
from libs.read_model import Database
from libs.registrar_files import DONE, AccountConfirmation, AccountRequest, Row
from services.funds import queries
from services.funds.aggregates import Aggregates
from services.funds.breaking import Breaking, about
from services.funds.domain import fund as funds
from services.funds.domain import order_lifecycle as life
from services.funds.domain import registrar_account as accounts
from services.funds.domain.breaks import BreakType
from services.funds.domain.order import Record
from services.funds.domain.order_evolving import may_follow
from services.funds.domain.product import FundTerms, RegisterModel
from services.funds.domain.registrar import Registrar
from services.funds.reading import profile_of
from services.funds.serials import trading_account_of

_ACTOR: Final = "funds"
OPEN_ACCOUNT: Final = "001"
ROWS_WITHIN_S: Final = 10.0
# So many answers are recorded at once that the store joins their appends.
AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True)
class Opening:
    """Asks for accounts and hears of them; each can be done again."""

    aggregates: Aggregates
    breaking: Breaking
    database: Database
    store: EventStore
    projection: Projection
    distributor: str
    wake: Callable[[str], None]

    async def waits(self, fund: FundTerms, investor_id: str, trade_date: date) -> bool:
        """Whether an order has to wait for its investor's account."""
        known = (await self.aggregates.registrars.load(fund.ta_id)).state
        if known is None or not _opens(known.registrar, fund):
            return False
        id_ = account_id(fund.ta_id, trading_account_of(investor_id))
        account = (await self.aggregates.registrar_accounts.load(id_)).state
        return accounts.is_waited_for(account, trade_date)

    async def requests(
        self, registrar: Registrar, trade_date: date, traded: Iterable[tuple[FundTerms, str]]
    ) -> Sequence[AccountRequest]:
        """Rows of the day's 01, for funds and their buyers; of a day done again, the same ones."""
        wanted = sorted({investor for fund, investor in traded if _opens(registrar, fund)})
        rows: list[AccountRequest] = []
        for start in range(0, len(wanted), AT_ONCE):
            found = await asyncio.gather(
                *(
                    self._request(registrar.ta_id, trade_date, investor_id)
                    for investor_id in wanted[start : start + AT_ONCE]
                )
            )
            rows += [each for each in found if each is not None]
        return rows

    async def _request(
        self, ta_id: str, trade_date: date, investor_id: str
    ) -> AccountRequest | None:
        """The row by which an account is asked for; None: it was, or is there."""
        trading_account = trading_account_of(investor_id)
        id_ = account_id(ta_id, trading_account)
        serial = _serial(ta_id, trading_account, trade_date)
        requested = accounts.Requested(ta_id, investor_id, trading_account, serial, trade_date)
        cause = Cause(f"{id_}/{trade_date}", correlation_id=id_, actor=_ACTOR)
        request = accounts.Request(requested)
        done = await self.aggregates.registrar_accounts.transact(id_, request, cause)
        if not isinstance(done.state, accounts.Asked) or done.state.requested != requested:
            return None
        return AccountRequest(
            serial, OPEN_ACCOUNT, trading_account, trade_date, distributor_code=self.distributor
        )

    async def take(
        self, registrar: Registrar, trade_date: date, key: str, rows: Sequence[Row]
    ) -> None:
        """Rows of 02: what was opened frees orders that wait, what was not refuses them."""
        told = [row for row in rows if isinstance(row, AccountConfirmation)]
        answered: list[accounts.Asked] = []
        for start in range(0, len(told), AT_ONCE):
            found = await asyncio.gather(
                *(
                    self._answered(registrar, trade_date, f"{key}#{number}", row)
                    for number, row in enumerate(told[start : start + AT_ONCE], start + 1)
                )
            )
            answered += [each for each in found if each is not None]
        await self.projection.wait_for(await self.store.head(), ROWS_WITHIN_S)
        for account in answered:
            await self._tell_orders(account)

    async def _answered(
        self, registrar: Registrar, trade_date: date, place: str, row: AccountConfirmation
    ) -> accounts.Asked | None:
        """The account as it stands then; None: it is not what the registrar can mean."""
        id_ = account_id(registrar.ta_id, row.transaction_account_id)
        told = row.error_detail or "the registrar has not opened the account"
        answer: accounts.Confirmed | accounts.Refused
        if row.return_code == DONE:
            answer = accounts.Confirmed(row.app_sheet_serial_no, row.ta_account_id)
        else:
            answer = accounts.Refused(row.app_sheet_serial_no, row.return_code, told)
        cause = Cause(f"{id_}/answer/{place}", correlation_id=id_, actor=_ACTOR)
        try:
            done = await self.aggregates.registrar_accounts.transact(
                id_, accounts.Answer(answer), cause
            )
        except Rejected as rejected:
            terms = about(
                registrar.ta_id,
                trade_date,
                theirs=row.return_code,
                description=f"{rejected.reason.name}: {rejected.description}",
            )
            await self.breaking.find(BreakType.MISSING_HERE, place, terms)
            return None
        if not isinstance(done.state, accounts.Asked):
            raise AssertionError("what was answered was asked for")  # noqa: TRY004 - a bug of ours
        return done.state

    async def _tell_orders(self, account: accounts.Asked) -> None:
        """Orders that wait go on; or are refused by name, and give all back."""
        wanted = (account.requested.ta_id, account.requested.investor_id)
        ids = await self.database.read(lambda c: queries.orders_open_of(c, wanted, _UNANSWERED))
        for order_id in ids:
            if account.stage is accounts.Stage.REFUSED and account.refusal is not None:
                await self._refuse(order_id, account.refusal)
            self.wake(order_id)

    async def _refuse(self, order_id: str, refusal: accounts.Refused) -> None:
        order = (await self.aggregates.orders.load(order_id)).state
        if not isinstance(order, life.Begun):
            return
        fund = (await self.aggregates.funds.load(order.terms.kind.fund_code)).state
        if isinstance(fund, funds.Absent):
            return
        if fund.terms.register_model is not RegisterModel.LOOK_THROUGH:
            return  # our nominee's account is another
        refused = life.Refused("ACCOUNT_REFUSED", refusal.description, refusal.return_code)
        if not may_follow(order, refused):
            return
        cause = Cause(f"{order_id}/account_refused", correlation_id=order_id, actor=_ACTOR)
        await self.aggregates.orders.transact(order_id, Record(refused), cause)


def account_id(ta_id: str, trading_account_id: str) -> str:
    """The stream's id of an account at a registrar."""
    return f"{ta_id}-{trading_account_id}"


def _opens(registrar: Registrar, fund: FundTerms) -> bool:
    """Whether this registrar wants to know the fund's investors before their orders."""
    is_known = fund.register_model is RegisterModel.LOOK_THROUGH
    return is_known and profile_of(registrar.profile).opens_accounts


def _serial(ta_id: str, trading_account: str, trade_date: date) -> str:
    """申请单编号 of a request, 24 characters that no order has."""
    text = f"account\0{ta_id}\0{trading_account}\0{trade_date}"
    return "HA" + sha256(text.encode()).hexdigest()[:22].upper()


_UNANSWERED: Final = (
    life.Stage.FUNDED.name,
    life.Stage.SHARES_FROZEN.name,
    life.Stage.ACCEPTED.name,
    life.Stage.BATCHED.name,
    life.Stage.TA_RECEIVED.name,
    life.Stage.PRICED.name,
)
