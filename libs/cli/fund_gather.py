"""Reads the books after fund days: orders, files, breaks, units and cash on both sides."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from hefu.funds.v1 import events_pb2 as funds_events
from hefu.funds.v1 import funds_pb2 as funds
from libs.cli.fund_link import FundLink
from libs.cli.fund_play import FundPlay
from libs.cli.fund_report import CashLine, FundLine, FundReport
from libs.cli.fund_setting import Setting

T = TypeVar("T")
_PAGE = 1_000
_BUYS = ("subscription",)
_NAMED_MAX = 20


async def report_of(link: FundLink, play: FundPlay, setting: Setting) -> FundReport:
    """Everything the report says, read from the services."""
    tally, sessions = play.tally, setting.sessions
    tied = await play.tie_out(sessions[-1].day)
    orders = await _orders(link, setting.registrar_id)
    files = await _files(link, setting.registrar_id)
    breaks = await _breaks(link, setting.registrar_id)
    days = await link.desk.ListTaDays(funds.ListTaDaysRequest(ta_id=setting.registrar_id))
    books = await play.books(sessions[0].day)
    by_state = Counter(
        funds.TaDayState.Name(day.state).removeprefix("TA_DAY_STATE_") for day in days.ta_days
    )
    return FundReport(
        first_date=sessions[0].day.isoformat(),
        last_date=sessions[-1].day.isoformat(),
        registrar=setting.registrar_id,
        currency=setting.currency,
        sessions=len(sessions),
        investors=setting.investors,
        plans=setting.plans,
        plan_orders=tally.plan_orders,
        plans_skipped=tally.plans_skipped,
        kinds=tally.kinds,
        states=Counter(_state(order) for order in orders),
        refusals=tally.refusals,
        files=Counter(file.file_type for file in files),
        file_states=Counter(
            funds.TaFileState.Name(file.state).removeprefix("TA_FILE_STATE_") for file in files
        ),
        funds=_fund_lines(setting, orders, tied, {b.fund_code: b.shares for b in books.funds}),
        cash=[
            CashLine(cash.ta_id, cash.purpose, cash.balance_minor, cash.expected_minor)
            for cash in tied.cash
        ],
        is_settled=set(by_state) == {"CASH_SETTLED"},
        dividends=tally.dividends,
        gates=tally.gates,
        forced=tally.forced,
        settlements=tally.settlements,
        tie_outs=tally.tie_outs,
        breaks_open=[_break(found) for found in breaks if not found.is_closed][:_NAMED_MAX],
        breaks_closed=sum(found.is_closed for found in breaks),
        registrar_cash_minor=_cash_of(books.days),
        days_by_state=by_state,
        faults=list(tally.faults),
        seconds_by_part={part: round(spent, 1) for part, spent in tally.seconds.items()},
    )


def _fund_lines(
    setting: Setting,
    orders: Sequence[funds.FundOrder],
    tied: funds.GetFundTieOutResponse,
    theirs: dict[str, int],
) -> list[FundLine]:
    lines = {
        fund.code: FundLine(fund.code, fund.name, fund.level.name) for fund in setting.market.funds
    }
    for order in orders:
        code, is_buying = _fund_of(order.terms)
        line = lines.get(code)
        if line is None:
            continue
        line.orders += 1
        line.fees_minor += order.fee_minor
        line.nav = max(line.nav, 0) or order.nav
        if is_buying:
            line.bought_units += order.confirmed_shares
            line.bought_minor += order.confirmed_minor
        else:
            line.sold_units += order.confirmed_shares
            line.sold_minor += order.confirmed_minor
    prices = {
        price.fund_code: price.nav for price in setting.market.prices(setting.sessions[-1].day)
    }
    for unit in tied.units:
        if unit.fund_code in lines:
            lines[unit.fund_code].holdings_units = unit.holdings_shares
            lines[unit.fund_code].holders = unit.holders
    for code, line in lines.items():
        line.registrar_units = theirs.get(code, 0)
        line.nav = prices.get(code, 10_000)
    return [lines[code] for code in sorted(lines)]


def _fund_of(terms: funds_events.FundOrderTerms) -> tuple[str, bool]:
    kind = terms.WhichOneof("kind")
    if kind is None:
        return "", False
    return getattr(terms, kind).fund_code, kind in _BUYS


def _state(order: funds.FundOrder) -> str:
    return funds.FundOrderState.Name(order.state).removeprefix("FUND_ORDER_STATE_")


def _break(found: funds.FundBreak) -> str:
    type_ = funds_events.BreakType.Name(found.type).removeprefix("BREAK_TYPE_")
    where = " ".join(part for part in (found.trade_date, found.fund_code, found.order_id) if part)
    return f"{type_} {where}: ours {found.ours or '-'}, theirs {found.theirs or '-'}"


def _cash_of(days: Sequence[object]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for day in days:
        for name in ("subscribed_minor", "redeemed_minor", "dividends_minor", "agency_fees_minor"):
            sums[name.removesuffix("_minor")] += getattr(day, name)
    return dict(sums)


async def _orders(link: FundLink, ta_id: str) -> list[funds.FundOrder]:
    async def page(token: str) -> tuple[Sequence[funds.FundOrder], str]:
        request = funds.ListOrdersRequest(ta_id=ta_id, page_size=_PAGE, page_token=token)
        found = await link.books.ListOrders(request)
        return found.orders, found.next_page_token

    return await _all(page)


async def _files(link: FundLink, ta_id: str) -> list[funds.TaFile]:
    async def page(token: str) -> tuple[Sequence[funds.TaFile], str]:
        request = funds.ListTaFilesRequest(ta_id=ta_id, page_size=_PAGE, page_token=token)
        found = await link.desk.ListTaFiles(request)
        return found.files, found.next_page_token

    return await _all(page)


async def _breaks(link: FundLink, ta_id: str) -> list[funds.FundBreak]:
    async def page(token: str) -> tuple[Sequence[funds.FundBreak], str]:
        request = funds.ListFundBreaksRequest(ta_id=ta_id, page_size=_PAGE, page_token=token)
        found = await link.desk.ListFundBreaks(request)
        return found.breaks, found.next_page_token

    return await _all(page)


async def _all(page: Callable[[str], Awaitable[tuple[Sequence[T], str]]]) -> list[T]:
    found: list[T] = []
    token = ""
    while True:
        some, token = await page(token)
        found += some
        if not token:
            return found
