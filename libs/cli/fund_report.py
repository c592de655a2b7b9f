"""The report of fund days: figures, what does not tie out, and how a person sees it."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from rich.bar import Bar
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from libs.money import major

_BAR_WIDTH = 40
_NAME_WIDTH = 16
_SHARE_DECIMALS = 2
_NAV_DECIMALS = 4


@dataclass(slots=True)
class FundLine:
    """One fund. Units have two decimals, NAVs four, amounts are minor units."""

    fund: str
    name: str = ""
    level: str = ""
    nav: int = 0
    orders: int = 0
    bought_units: int = 0
    sold_units: int = 0
    bought_minor: int = 0
    sold_minor: int = 0
    fees_minor: int = 0
    holders: int = 0
    holdings_units: int = 0
    registrar_units: int = 0

    @property
    def is_even(self) -> bool:
        """Whether our register and the registrar's say the same."""
        return self.holdings_units == self.registrar_units


@dataclass(frozen=True, slots=True)
class CashLine:
    """One clearing account of a registrar, in minor units."""

    registrar: str
    purpose: str
    balance_minor: int
    expected_minor: int


@dataclass(slots=True)
class FundReport:
    """What fund days came to. Field names are the keys of the JSON report."""

    first_date: str
    last_date: str
    registrar: str
    currency: str
    sessions: int = 0
    investors: int = 0
    plans: int = 0
    plan_orders: int = 0
    plans_skipped: int = 0
    # Orders by kind, and by state, and those refused at once by reason.
    kinds: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    # Files exchanged by type, and by state.
    files: Counter[str] = field(default_factory=Counter)
    file_states: Counter[str] = field(default_factory=Counter)
    funds: list[FundLine] = field(default_factory=list)
    cash: list[CashLine] = field(default_factory=list)
    # Whether cash clearing must be at zero: every day is settled.
    is_settled: bool = False
    dividends: int = 0
    gates: int = 0
    forced: int = 0
    settlements: int = 0
    tie_outs: int = 0
    breaks_open: list[str] = field(default_factory=list)
    breaks_closed: int = 0
    registrar_cash_minor: dict[str, int] = field(default_factory=dict)
    days_by_state: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    # Where the time of the days went, by part.
    seconds_by_part: dict[str, float] = field(default_factory=dict)

    def problems(self) -> Iterator[str]:
        """Everything that does not tie out, each naming fund or account, and the difference."""
        yield from self.faults
        for line in self.funds:
            if not line.is_even:
                off = decimal(line.holdings_units - line.registrar_units, _SHARE_DECIMALS)
                yield f"fund {line.fund}: holdings differ from the registrar's units by {off}"
        for cash in self.cash:
            if cash.balance_minor != cash.expected_minor:
                off = major(cash.balance_minor - cash.expected_minor, self.currency)
                yield f"{cash.registrar} {cash.purpose}: clearing is off by {off} {self.currency}"
            elif self.is_settled and cash.balance_minor:
                left = major(cash.balance_minor, self.currency)
                yield f"{cash.registrar} {cash.purpose}: {left} {self.currency} left in clearing"
        for each in self.breaks_open:
            yield f"break: {each}"

    def as_json(self) -> dict[str, object]:
        """Keys and values; amounts and units as whole numbers."""
        # By hand: `asdict` counts the pairs of a Counter.
        told = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        return {**told, "problems": list(self.problems())}

    def write(self, path: Path) -> None:
        """The JSON report."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, Counter):
        return dict(value)
    if isinstance(value, list):
        return [each if isinstance(each, str) else asdict(each) for each in value]
    return value


def show(console: Console, report: FundReport) -> None:
    """Print the report as a person enjoys reading it; it fits 80 columns."""
    console.print()
    console.print(_headline(report))
    console.print(_orders(report))
    console.print(_funds(report))
    console.print(_picture(report))
    console.print(_exchange(report))
    problems = list(report.problems())
    if problems:
        told = Text("\n".join(f"✗ {problem}" for problem in problems), style="bold red")
        console.print(Panel(told, title="Does not tie out", border_style="red"))
        return
    told_cash = "clearing is back at zero" if report.is_settled else "clearing is as expected"
    console.print(
        Text(
            f"✓ Units tie out with the registrar to the last hundredth; {told_cash}.",
            style="bold green",
        )
    )


def _headline(report: FundReport) -> Panel:
    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column(justify="right", style="bold", no_wrap=True)
        grid.add_column(no_wrap=True, min_width=18)
    bought = sum(line.bought_minor for line in report.funds)
    sold = sum(line.sold_minor for line in report.funds)
    rows = (
        (f"{report.sessions:,}", "sessions", f"{report.investors:,}", "investors"),
        (f"{sum(report.kinds.values()):,}", "orders", f"{report.plans:,}", "regular plans"),
        (
            _grouped(bought, report.currency),
            "bought",
            _grouped(sold, report.currency),
            "paid out",
        ),
        (
            f"{report.dividends:,}",
            "dividends",
            f"{report.gates:,}",
            "redemptions gated",
        ),
        (
            f"{report.settlements:,}",
            "settled with banks",
            f"{report.seconds:.1f} s",
            "in all",
        ),
    )
    for row in rows:
        grid.add_row(*row)
    span = report.first_date
    if report.last_date != report.first_date:
        span = f"{report.first_date} to {report.last_date}"
    return Panel(grid, title=f"合符 · fund days {span}", border_style="cyan", expand=False)


def _orders(report: FundReport) -> Table:
    grid = table("Orders", ("kind", "state", "refused"), (
        "kind", "count", "state", "count", "refused", "count",
    ))  # fmt: skip
    columns = [sorted(found.items()) for found in (report.kinds, report.states, report.refusals)]
    for place in range(max((len(column) for column in columns), default=0)):
        cells: list[str] = []
        for column in columns:
            name, count = column[place] if place < len(column) else ("", 0)
            cells += [name.lower().replace("_", " "), f"{count:,}" if name else ""]
        grid.add_row(*cells)
    return grid


def _funds(report: FundReport) -> Table:
    grid = table("Funds, and the registrar's books beside ours", ("fund", "name"), (
        "fund", "name", "NAV", "orders", "fees", "units", "differs",
    ))  # fmt: skip
    for line in report.funds:
        off = decimal(line.holdings_units - line.registrar_units, _SHARE_DECIMALS)
        even = Text("0 ✓", style="green") if line.is_even else Text(off, style="bold red")
        grid.add_row(
            line.fund,
            f"{line.level} {line.name}"[:_NAME_WIDTH],
            decimal(line.nav, _NAV_DECIMALS),
            f"{line.orders:,}",
            _grouped(line.fees_minor, report.currency),
            decimal(line.holdings_units, _SHARE_DECIMALS),
            even,
        )
    return grid


def _picture(report: FundReport) -> Table:
    """A bar for each fund: what was bought, and under it what was sold."""
    grid = Table.grid(padding=(0, 1))
    largest = max((max(f.bought_minor, f.sold_minor) for f in report.funds), default=1)
    for line in report.funds:
        for name, told, minor, color in (
            (line.fund, "bought", line.bought_minor, "green"),
            ("", "sold", line.sold_minor, "blue"),
        ):
            bar = Bar(largest or 1, 0, minor, width=_BAR_WIDTH, color=color)
            grid.add_row(
                Text(f" {name}", style="bold"), told, bar, _grouped(minor, report.currency)
            )
    return grid


def _exchange(report: FundReport) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right", style="bold")
    files = ", ".join(f"{type_}: {count:,}" for type_, count in sorted(report.files.items()))
    grid.add_row("files exchanged, by type", files or "none")
    odd = {state: n for state, n in report.file_states.items() if state not in _GOOD_FILES}
    grid.add_row("files set aside", _counted(odd) or "none")
    grid.add_row("days", _counted(report.days_by_state) or "none")
    for line in report.cash:
        told = _grouped(line.balance_minor, report.currency)
        grid.add_row(f"clearing {line.registrar} {line.purpose.lower()}", told)
    slowest = sorted(report.seconds_by_part.items(), key=lambda each: -each[1])
    told = ", ".join(f"{part} {seconds:.0f}" for part, seconds in slowest)
    grid.add_row("seconds", told or "none")
    grid.add_row("breaks open / closed", f"{len(report.breaks_open)} / {report.breaks_closed}")
    title = f"Registrar {report.registrar}"
    told = f"{report.tie_outs:,} tie-outs"
    return Panel(grid, title=title, subtitle=told, expand=False, border_style="cyan")


_GOOD_FILES = ("SENT", "ACCEPTED")


def _counted(found: "Counter[str] | dict[str, int]") -> str:
    return ", ".join(
        f"{name.lower().replace('_', ' ')} {count:,}" for name, count in sorted(found.items())
    )


def table(title: str, left: Sequence[str], names: Sequence[str]) -> Table:
    """A table with a title; columns named in `left` begin at the left, numbers end at the right."""
    grid = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for name in names:
        grid.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    return grid


def decimal(value: int, decimals: int) -> str:
    """A whole number of hundredths, say, as grouped decimal text."""
    if not decimals:
        return f"{value:,}"
    sign, digits = ("-" if value < 0 else ""), str(abs(value)).rjust(decimals + 1, "0")
    return f"{sign}{int(digits[:-decimals]):,}.{digits[-decimals:]}"


def _grouped(minor: int, currency: str) -> str:
    text = major(abs(minor), currency)
    whole, point, fraction = text.partition(".")
    return f"{'-' if minor < 0 else ''}{int(whole):,}{point}{fraction}"
