"""What the market says on each session: prices, incomes, dividends; and the instants of a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from google.protobuf.timestamp_pb2 import Timestamp

from hefu.registrar.v1 import sample_registrar_pb2 as registrar
from libs.cli.fund_setup import CUT_OFF_S, ZONE
from libs.fund_samples import SampleFund, income_on, sessions_between, yield_on

# Dealing days: orders before the cut-off, files after it and on the next morning.
MORNING = time(10, 0)
EARLY = time(9, 0)
_MILLION = 1_000_000
# Enough for the confirm and settlement days of the last session.
_AFTER = timedelta(days=30)


class NoSessions(Exception):
    """No session with a price lies between the days; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Session:
    """One session and the one after it."""

    day: date
    confirm: date
    ordinal: int


class Market:
    """Real prices of the sample funds."""

    def __init__(self, funds: Sequence[SampleFund]) -> None:
        self.funds = tuple(funds)
        self._histories = {f.code: f.history() for f in funds if not f.is_money_market}

    def sessions(self, first: date, last: date) -> list[Session]:
        """Sessions from one day to another. Raises `NoSessions`."""
        known = sessions_between(self.funds, first, last + _AFTER)
        found = [
            Session(day, known[place + 1], place)
            for place, day in enumerate(known[:-1])
            if day <= last
        ]
        if not found:
            ends = [(h.days[0], h.days[-1]) for h in self._histories.values()]
            begin, end = max(first for first, _ in ends), min(last for _, last in ends)
            raise NoSessions(f"no session from {first} to {last}: prices go from {begin} to {end}")
        return found

    def first_after(self, day: date) -> date:
        """The session after a day. Raises `NoSessions`."""
        return self.sessions(day + timedelta(days=1), day + _AFTER)[0].day

    def prices(self, day: date) -> list[registrar.DayPrice]:
        """The NAVs of a session."""
        found = []
        for code, history in self._histories.items():
            nav = history.on(day)
            if nav is not None:
                found.append(registrar.DayPrice(fund_code=code, nav=nav))
        return found

    def incomes(self, session: Session) -> list[registrar.DayIncome]:
        """Incomes of money funds, from the session to the day before the next one."""
        days = [
            session.day + timedelta(days=place)
            for place in range((session.confirm - session.day).days)
        ]
        return [
            registrar.DayIncome(
                fund_code=fund.code,
                date=day.isoformat(),
                income_per_ten_thousand=income_on(day),
                seven_day_yield_ppm=yield_on(day),
            )
            for fund in self.funds
            if fund.is_money_market
            for day in days
        ]

    def dividend(self, fund: SampleFund, session: Session) -> registrar.DayDividend:
        """A fund's dividend of a session: a part of its price, four decimals of a share."""
        nav = self._histories[fund.code].on(session.day) or 0
        return registrar.DayDividend(
            fund_code=fund.code,
            per_share=max(1, nav * fund.dividend_ppm // _MILLION),
            payment_date=session.confirm.isoformat(),
        )


def instant(day: date, local: time) -> Timestamp:
    """A local time of the exchange as an instant."""
    found = Timestamp()
    found.FromDatetime(datetime.combine(day, local, ZoneInfo(ZONE)))
    return found


def cut_off(day: date) -> Timestamp:
    """The second after which no order of the day is taken."""
    hours, rest = divmod(CUT_OFF_S, 3_600)
    return instant(day, time(hours, rest // 60, 1))
