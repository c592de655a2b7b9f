"""`hefu day`: plays one business day of an orders file; what does not tie out is an exit 1."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from libs.cli.books import report_of
from libs.cli.business_day import BusinessDay, DayStuck, DayTerms
from libs.cli.connections import RUN_DIR, connect, told
from libs.cli.fund_day import Asked, play
from libs.cli.partners import DATE_FILE, SAMPLES, register_partners
from libs.cli.report import show
from libs.cli.system import REGISTRAR
from libs.cli.terminal import EXIT_FAILED, console, counting, refuse
from libs.client.calls import patiently
from libs.money import CurrencyUnknown, exponent, major
from libs.orders import OrdersFile, load_banks, read_orders
from libs.supervisor import BankSpec, RegistrarSpec, System, running_or_none, start

MANNERS = ("clean", "ordinary", "hostile")
_FAULTS_SHOWN = 20
# So wide are the descriptions, one bar below the other.
_WIDTH = 34
# Of the day's customers, so many buy and sell funds after it.
FUND_CUSTOMERS_MAX = 60
# Registrars' files have amounts of two decimals.
_FUND_DECIMALS = 2


def day(
    orders: Annotated[Path, typer.Option(help="Orders file.")] = SAMPLES / "orders.asc",
    report: Annotated[Path | None, typer.Option(help="Write the report as JSON here too.")] = None,
    banks: Annotated[str, typer.Option(help="clean, ordinary or hostile.")] = "ordinary",
    currency: Annotated[str, typer.Option(help="Currency of the amounts, ISO 4217.")] = "CZK",
    business_date: Annotated[
        str, typer.Option("--date", help="yyyy-mm-dd; default: the books' own date, or today.")
    ] = "",
    port_offset: Annotated[int, typer.Option(min=0, help="Added to every port.")] = 0,
    run_dir: Annotated[Path, typer.Option(help="Where the system keeps its files.")] = RUN_DIR,
    *,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start from empty books.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the system afterwards.")] = False,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Play the valid lines of a faulty file.")
    ] = False,
    with_funds: Annotated[
        bool, typer.Option("--funds/--no-funds", help="End with fund days of the customers.")
    ] = True,
) -> None:
    """Play one business day of payment orders and settle it jointly with every bank."""
    if banks not in MANNERS:
        refuse(f"--banks: {banks!r} is none of {', '.join(MANNERS)}")
    file = _read(orders, currency, skip_invalid=skip_invalid)
    on = _business_date(run_dir, business_date, fresh=fresh)

    async def run() -> int:
        has_funds = with_funds and _may_have_funds(run_dir, currency, fresh=fresh)
        specs = [BankSpec(bank, currency) for bank in file.banks]
        registrars = [RegistrarSpec(REGISTRAR, file.banks[0], currency)] if has_funds else []
        system = await _start(run_dir, specs, registrars, banks, port_offset, fresh=fresh)
        try:
            code = await _play(system, DayTerms(file, currency, on), report)
            if has_funds and "funds" in system.addresses:
                code = await _fund_days(system, file, currency, report) or code
            return code
        finally:
            if stop:
                await system.stop()

    raise typer.Exit(told(run))


def _read(path: Path, currency: str, *, skip_invalid: bool) -> OrdersFile:
    try:
        exponent(currency)
        file = read_orders(path, currency, load_banks(SAMPLES / "banks.csv"))
    except CurrencyUnknown as error:
        refuse(f"--currency: {error}")
    except OSError as error:
        refuse(f"--orders: {path}: {error.strerror}")
    for fault in file.faults[:_FAULTS_SHOWN]:
        console.print(f"[yellow]{path.name}: {fault}[/]", highlight=False)
    if len(file.faults) > _FAULTS_SHOWN:
        console.print(f"[yellow]… and {len(file.faults) - _FAULTS_SHOWN} more[/]")
    if file.faults and not skip_invalid:
        refuse(
            f"{path}: {len(file.faults)} faults, so nothing of it is executed; "
            "--skip-invalid (make run SKIP_INVALID=1) plays the rest"
        )
    if file.faults:
        console.print(f"[yellow]{len(file.faults)} lines skipped[/]")
    if not file.orders:
        refuse(f"{path}: there is no valid order in it")
    return file


def _business_date(run_dir: Path, asked: str, *, fresh: bool) -> date:
    today = datetime.now(UTC).date()
    try:
        if asked:
            chosen = date.fromisoformat(asked)
            if chosen > today:
                refuse(f"--date: {asked} is in the future")
            return chosen
        # The same data are played again under the same date, so that nothing is paid twice.
        return today if fresh else date.fromisoformat((run_dir / DATE_FILE).read_text().strip())
    except FileNotFoundError:
        return today
    except ValueError:
        refuse(f"--date: {asked or (run_dir / DATE_FILE)} is not a date (yyyy-mm-dd)")


def _may_have_funds(run_dir: Path, currency: str, *, fresh: bool) -> bool:
    """A system that runs without a registrar is not stopped to get one."""
    if exponent(currency) != _FUND_DECIMALS:
        return False
    found = None if fresh else running_or_none(run_dir)
    return found is None or bool(found.registrars)


async def _start(
    run_dir: Path,
    banks: Sequence[BankSpec],
    registrars: Sequence[RegistrarSpec],
    manners: str,
    port_offset: int,
    *,
    fresh: bool,
) -> System:
    with counting(width=_WIDTH) as progress:
        bar = progress.add_task("starting the system", total=None)

        def tell(serving: int, processes: int, name: str) -> None:
            progress.update(
                bar, total=processes, completed=serving, description=f"starting: {name} serves"
            )

        return await start(
            run_dir,
            banks=banks,
            manners=manners,
            port_offset=port_offset,
            fresh=fresh,
            progress=tell,
            registrars=registrars,
        )


async def _fund_days(system: System, file: OrdersFile, currency: str, report: Path | None) -> int:
    """The day's customers buy funds, and on the next session sell of them too."""
    beside = report and report.with_name(f"{report.stem}-funds{report.suffix}")
    accounts = list(file.accounts)[:FUND_CUSTOMERS_MAX]
    return await play(system, Asked(None, None, accounts, currency, "day", 2), beside)


async def _play(system: System, terms: DayTerms, report_file: Path | None) -> int:
    (system.run_dir / DATE_FILE).write_text(terms.business_date.isoformat())
    total = sum(order.amount_minor for order in terms.file.orders)
    console.print(
        f"{len(terms.file.orders):,} orders of {len(terms.file.accounts):,} accounts to "
        f"{len(terms.file.banks)} banks, {major(total, terms.currency)} {terms.currency}"
    )
    async with connect(system.run_dir, system.running) as link:
        await register_partners(link, system)
        try:
            with counting(width=_WIDTH) as progress:
                playing = BusinessDay(link, terms, progress)
                played = await playing.play()
        except DayStuck as error:
            console.print(f"[bold red]✗ the day is stuck: {error}[/]", highlight=False)
            return EXIT_FAILED
        with console.status("reading the books"):
            # Reads only, so all of it may be read again where a process comes back meanwhile.
            report = await patiently(lambda: report_of(link, terms, played, playing.payments))
    show(console, report)
    if report_file is not None:
        report.write(report_file)
        console.print(f"report written to {report_file}")
    return EXIT_FAILED if any(report.problems()) else 0
