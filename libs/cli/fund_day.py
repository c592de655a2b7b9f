"""`hefu fund-day`: plays fund days on real prices; what does not tie out is an exit 1."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from hefu.funds.v1 import funds_pb2 as funds
from libs.cli.connections import RUN_DIR, told
from libs.cli.fund_feed import tell_of
from libs.cli.fund_gather import report_of
from libs.cli.fund_investors import Investor, people, plans
from libs.cli.fund_link import FundLink, connect_funds
from libs.cli.fund_market import Market, NoSessions, Session
from libs.cli.fund_play import FundDayStuck, FundPlay
from libs.cli.fund_report import show
from libs.cli.fund_setting import Setting
from libs.cli.fund_settling import NotSettled, Settling
from libs.cli.fund_setup import SetUp, SetUpFailed
from libs.cli.partners import DATE_FILE, register_partners
from libs.cli.system import BANKS, REGISTRAR
from libs.cli.terminal import EXIT_BAD_INPUT, EXIT_FAILED, console, counting, refuse
from libs.client.calls import patiently
from libs.fund_samples import SamplesWrong, load_samples
from libs.nav_history import HistoryMissing
from libs.run_folder import read_plan
from libs.supervisor import BankSpec, RegistrarSpec, System, start

FIRST_DAY = "2015-01-05"
# Sessions whose cash is settled with the banks together, when many days are played.
SETTLE_EVERY = 5
# In so few sessions everything that may happen does.
LIVELY_MAX = 5
# Longer than any pause between two sessions.
SPAN = timedelta(days=10)
INVESTORS_MAX = 10_000
# So wide are the descriptions, one bar below the other.
_WIDTH = 28
_VALID_UNTIL = date(2099, 12, 31)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be played."""

    first: date | None
    last: date | None
    accounts: Sequence[str]
    currency: str
    seed: str
    # Without dates: how many sessions from the next one on.
    sessions: int = 1
    has_plans: bool = True


def fund_day(
    first: Annotated[
        str, typer.Option("--from", help="First trade date, yyyy-mm-dd; default: the next one.")
    ] = "",
    last: Annotated[
        str, typer.Option("--to", help="Last trade date; default: the first alone.")
    ] = "",
    investors: Annotated[
        int, typer.Option(min=1, max=INVESTORS_MAX, help="How many are invented.")
    ] = 100,
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON here too.")] = None,
    banks: Annotated[
        str, typer.Option(help="clean, ordinary or hostile; default: as they are, or ordinary.")
    ] = "",
    currency: Annotated[str, typer.Option(help="Currency of the funds, ISO 4217.")] = "CZK",
    seed: Annotated[str, typer.Option(help="Decides who wants what.")] = "hefu",
    port_offset: Annotated[int, typer.Option(min=0, help="Added to every port.")] = 0,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start from empty books.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the system afterwards.")] = False,
    with_plans: Annotated[
        bool, typer.Option("--plans/--no-plans", help="Some investors buy by regular plans.")
    ] = True,
) -> None:
    """Play one fund day, or a span of them in fast-forward, and tie out units and cash."""
    begin = _date("--from", first)
    end = _date("--to", last) if last else begin
    if begin is None and end is not None:
        refuse("--to: needs --from")
    if begin is not None and end is not None and end < begin:
        refuse(f"--to: {end} is before {begin}")
    accounts = [f"F{number:06d}" for number in range(1, investors + 1)]
    asked = Asked(begin, end, accounts, currency, seed, has_plans=with_plans)

    async def run() -> int:
        known = None if fresh else read_plan(run_dir)
        here = known.banks if known is not None else ()
        specs = [BankSpec(bank.bank_id, bank.currency) for bank in here]
        specs = specs or [BankSpec(bank, currency) for bank in BANKS]
        manners = here[0].manners if here else "ordinary"
        system = await start(
            run_dir,
            banks=specs,
            manners=banks or manners,
            port_offset=known.port_offset if known is not None else port_offset,
            fresh=fresh,
            registrars=[RegistrarSpec(REGISTRAR, specs[0].bank_id, currency)],
        )
        try:
            return await play(system, asked, report)
        finally:
            if stop:
                await system.stop()

    raise typer.Exit(told(run))


async def play(system: System, asked: Asked, report_file: Path | None) -> int:
    """Play what is asked for on a running system; the exit code."""
    begun = time.monotonic()
    async with connect_funds(system.run_dir, system.running) as link:
        await register_partners(link.link, system)
        try:
            with counting(width=_WIDTH) as progress:
                played = await _play(link, system, asked, progress)
        except (FundDayStuck, NotSettled, SetUpFailed) as error:
            console.print(f"[bold red]✗ the fund day is stuck: {error}[/]", highlight=False)
            return EXIT_FAILED
        except (NoSessions, SamplesWrong, HistoryMissing) as error:
            console.print(f"[red]hefu: {error}[/]", highlight=False)
            return EXIT_BAD_INPUT
        with console.status("reading the books of the funds"):
            report = await patiently(lambda: report_of(link, played.play, played.setting))
    report.seconds = round(time.monotonic() - begun, 1)
    show(console, report)
    if report_file is not None:
        report.write(report_file)
        console.print(f"report written to {report_file}")
    return EXIT_FAILED if any(report.problems()) else 0


@dataclass(frozen=True, slots=True)
class Played:
    """The days as they were played."""

    play: FundPlay
    setting: Setting


async def _play(link: FundLink, system: System, asked: Asked, progress: Progress) -> Played:
    samples = load_samples()
    market = Market(samples)
    registrar = system.running.registrars[0]
    played = await _played(link, registrar.registrar_id)
    sessions = await _sessions(link, market, asked, played)
    investors = people(asked.accounts, asked.seed)
    set_up = SetUp(link, progress, asked.currency, [bank.bank_id for bank in system.banks])
    await set_up.registrar(registrar, samples)
    if link.feeds is not None:
        with console.status("telling advice of the funds and their earlier prices"):
            await tell_of(link.feeds, samples, min([*played, sessions[0].day]))
    settling = Settling(link.link, _business_date(system.run_dir))
    days = FundPlay(
        link,
        market,
        registrar.registrar_id,
        asked.currency,
        settling,
        seed=asked.seed,
        is_lively=len(sessions) <= LIVELY_MAX,
        has_plans=asked.has_plans,
    )
    await days.clock_at(sessions[0])
    await set_up.investors(investors, _VALID_UNTIL)
    begun = list(plans(investors, samples, asked.seed)) if asked.has_plans else []
    await set_up.plans(begun, sessions[0].day)
    watching = asyncio.create_task(days.watch(await link.link.store.head()))
    try:
        await _each_session(days, sessions, investors, progress)
    finally:
        watching.cancel()
    setting = Setting(
        registrar.registrar_id, asked.currency, sessions, len(investors), len(begun), market
    )
    return Played(days, setting)


async def _each_session(
    days: FundPlay, sessions: Sequence[Session], investors: Sequence[Investor], progress: Progress
) -> None:
    bar = progress.add_task("fund days", total=len(sessions))
    settling: asyncio.Task[int] | None = None
    for place, session in enumerate(sessions):
        # On the first day many come; nobody can sell yet.
        newcomers = investors if place == 0 else ()
        progress.update(bar, description=f"fund day {session.day}")
        await days.play(session, investors, newcomers)
        progress.advance(bar)
        if place % SETTLE_EVERY == SETTLE_EVERY - 1:
            # The banks settle while the next days go on.
            if settling is not None:
                await settling
            settling = asyncio.create_task(days.settle())
    if settling is not None:
        await settling
    await days.finish(sessions, progress)
    await days.tie_out(sessions[-1].day)


async def _played(link: FundLink, ta_id: str) -> Sequence[date]:
    listing = funds.ListTaDaysRequest(ta_id=ta_id)
    found = await patiently(partial(link.desk.ListTaDays, listing))
    return [date.fromisoformat(day.trade_date) for day in found.ta_days]


async def _sessions(
    link: FundLink, market: Market, asked: Asked, played: Sequence[date]
) -> Sequence[Session]:
    if asked.first is not None and asked.last is not None:
        return market.sessions(asked.first, asked.last)
    begin = market.first_after(max(played)) if played else date.fromisoformat(FIRST_DAY)
    clock = await patiently(partial(link.desk.GetFundClock, funds.GetFundClockRequest()))
    if played and clock.is_simulated:
        begin = max(begin, clock.now_time.ToDatetime().date())
    return market.sessions(begin, begin + SPAN * asked.sessions)[: asked.sessions]


def _business_date(run_dir: Path) -> date:
    # Banks keep real time; only the funds' clock goes through the years.
    try:
        return date.fromisoformat((run_dir / DATE_FILE).read_text().strip())
    except (OSError, ValueError):
        today = datetime.now(UTC).date()
        (run_dir / DATE_FILE).write_text(today.isoformat())
        return today


def _date(option: str, text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        refuse(f"{option}: {text} is not a date (yyyy-mm-dd)")
