"""What a registrar says each account holds, told once or in parts, beside what we hold for it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TypeAlias

from libs.read_model import Database
from libs.registrar_files import BalanceRow
from libs.registrar_files.package import ROWS_PER_FILE
from services.funds import queries
from services.funds.aggregates import Aggregates, file_key, ta_day_id
from services.funds.batching import NOMINEE
from services.funds.breaking import Breaking, about
from services.funds.domain import fund as funds
from services.funds.domain.breaks import BreakType
from services.funds.domain.product import FundTerms, RegisterModel
from services.funds.domain.registrar import Registrar
from services.funds.domain.ta_day import FileType
from services.funds.file_room import FileRoom
from services.funds.serials import trading_account_of

# Fund, account at the registrar, and the account's place with the distributor.
_Account: TypeAlias = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """The newest word on each account. `is_whole`: nothing of it is still to come."""

    rows: Sequence[BalanceRow]
    last_batch: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Balancing:
    """Compares, and opens breaks; no tolerance (funds, section 14)."""

    aggregates: Aggregates
    file_room: FileRoom
    breaking: Breaking
    database: Database
    distributor: str

    async def told(self, registrar: Registrar, trade_date: date) -> Told:
        """All of a day's files of balances: a later row of an account takes an earlier's place.

        A full file says that another follows; and what was corrected is told again.
        """
        found = partial(
            queries.balance_files, ta_id=registrar.ta_id, trade_date=trade_date.isoformat()
        )
        files = await self.database.read(found)
        newest: dict[_Account, list[BalanceRow]] = {}
        for batch, _ in files:
            of_file: dict[_Account, list[BalanceRow]] = {}
            for row in await self.file_room.rows(
                registrar, self.distributor, trade_date, FileType.BALANCES.value, batch
            ):
                if isinstance(row, BalanceRow):
                    account = (row.fund_code, row.ta_account_id, row.transaction_account_id)
                    of_file.setdefault(account, []).append(row)
            newest |= of_file
        last, rows = files[-1] if files else (0, 0)
        flat = [row for each in newest.values() for row in each]
        return Told(flat, last, rows < ROWS_PER_FILE)

    async def compare(self, registrar: Registrar, trade_date: date, batch: int) -> int:
        """Each account's shares, or of an omnibus fund their sum: how many differ.

        The last file speaks for those before it. Rows must be as new as the store.
        """
        told = await self.told(registrar, trade_date)
        if batch < told.last_batch:
            return 0
        key = file_key(registrar.ta_id, trade_date, FileType.BALANCES.value, batch)
        theirs: dict[str, Counter[str]] = {}
        for row in told.rows:
            of_fund = theirs.setdefault(row.fund_code, Counter())
            of_fund[row.transaction_account_id] += row.total_vol_of_distributor_in_ta
        codes = await self.database.read(lambda c: queries.funds_of_ta(c, registrar.ta_id))
        found = 0
        for code in codes:
            fund = (await self.aggregates.funds.load(code)).state
            if not isinstance(fund, funds.Listed):
                continue
            ours, said = await self._ours(fund.terms), theirs.get(code, Counter[str]())
            # Who was not told of yet may still be.
            accounts = ours.keys() | said.keys() if told.is_whole else said.keys()
            for account in sorted(accounts):
                if ours[account] != said[account]:
                    found += 1
                    await self._share_diff(fund.terms, trade_date, (key, account), ours, said)
            if fund.terms.is_money_fund:
                found += await self._buckets(fund.terms, trade_date, key, told.rows)
        return found

    async def _buckets(
        self, terms: FundTerms, trade_date: date, key: str, rows: Sequence[BalanceRow]
    ) -> int:
        """Income that is not a whole cent yet, of each account; four decimals."""
        held = await self.database.read(lambda c: queries.shares_of_fund(c, terms.code))
        ours = {trading_account_of(investor): bucket for investor, (_, bucket) in held.items()}
        found = 0
        for row in rows:
            account, theirs = row.transaction_account_id, row.undistribute_monetary_income
            if row.fund_code != terms.code or account == NOMINEE:
                continue
            if ours.get(account, 0) != theirs:
                found += 1
                told = about(
                    terms.ta_id,
                    trade_date,
                    fund_code=terms.code,
                    ours=str(ours.get(account, 0)),
                    theirs=str(theirs),
                    description=f"income of {account} that is not a whole cent yet",
                )
                place = f"{_place(terms, trade_date, key, account)}/income"
                await self.breaking.find(BreakType.AMOUNT_DIFF, place, told)
        return found

    async def _ours(self, terms: FundTerms) -> Counter[str]:
        held = await self.database.read(lambda c: queries.shares_of_fund(c, terms.code))
        ours: Counter[str] = Counter()
        for investor_id, (shares, _) in held.items():
            is_whole = terms.register_model is RegisterModel.OMNIBUS
            ours[NOMINEE if is_whole else trading_account_of(investor_id)] += shares
        return ours

    async def _share_diff(
        self,
        terms: FundTerms,
        trade_date: date,
        where: tuple[str, str],
        ours: Mapping[str, int],
        theirs: Mapping[str, int],
    ) -> None:
        key, account = where
        known = await self.database.read(lambda c: queries.trading_accounts(c, [account]))
        told = about(
            terms.ta_id,
            trade_date,
            fund_code=terms.code,
            investor_id=known.get(account, ("", ""))[0],
            ours=str(ours[account]),
            theirs=str(theirs[account]),
            description=f"shares of {account} at the end of the confirm date",
        )
        await self.breaking.find(
            BreakType.SHARE_DIFF, _place(terms, trade_date, key, account), told
        )


def _place(terms: FundTerms, trade_date: date, key: str, account: str) -> str:
    """Told again and still different, it is another break: the first may have been repaired."""
    place = f"{ta_day_id(terms.ta_id, trade_date)}/{terms.code}/{account}"
    return place if key.endswith("-001") else f"{place}/{key}"
