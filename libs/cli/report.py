"""The report of a business day: figures, what does not tie out, and how a person sees it."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.bar import Bar
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from libs.money import major

_BAR_WIDTH = 60


@dataclass(frozen=True, slots=True)
class SettlementLine:
    """One bank's settlement; amounts in minor units, `net` above zero where the bank owes us."""

    bank: str
    legs: int
    gross_out_minor: int
    gross_in_minor: int
    net_minor: int
    state: str
    disputed_legs: int
    in_doubt_resolved: int


@dataclass(frozen=True, slots=True)
class TieOutLine:
    """Our mirror of an account at a bank beside the bank's closing balance, in minor units."""

    bank: str
    currency: str
    mirror_minor: int
    statement_minor: int
    difference_minor: int


@dataclass(frozen=True, slots=True)
class DayReport:
    """What a day came to. Field names are the keys of the JSON report; amounts in minor units."""

    orders_read: int
    accounts_opened: int
    top_ups_confirmed: int
    payments_settled: int
    payments_refused: int
    payments_carried: int
    gross_minor: int
    settlements: Sequence[SettlementLine]
    tie_out: Sequence[TieOutLine]
    journal_sum_minor: int
    liabilities_minor: int
    in_transit_minor: int
    suspense_minor: int
    bank_assets_minor: int
    journal_pages: int
    events_total: int
    seconds: float
    # Not part of the JSON: where and when, and what a check of single payments found.
    currency: str = field(default="CZK", metadata={"told": False})
    # Fees that are ours, and lie at the banks beside the customers' money.
    fees_minor: int = field(default=0, metadata={"told": False})
    business_date: str = field(default="", metadata={"told": False})
    faults: Sequence[str] = field(default=(), metadata={"told": False})

    def problems(self) -> Iterator[str]:
        """Everything that does not tie out, each naming bank, currency and amount."""
        yield from self.faults
        for line in self.tie_out:
            if line.difference_minor:
                difference = major(line.difference_minor, line.currency)
                yield (
                    f"bank {line.bank}, {line.currency}: the mirror differs from the statement "
                    f"by {difference}"
                )
        for settlement in self.settlements:
            if settlement.state != "FINAL":
                yield f"bank {settlement.bank}: the settlement is {settlement.state}, not FINAL"
        if self.journal_sum_minor:
            yield f"the journal sums to {major(self.journal_sum_minor, self.currency)}, not to zero"
        owed = self.liabilities_minor + self.in_transit_minor + self.suspense_minor
        owed += self.fees_minor
        if owed != self.bank_assets_minor:
            yield (
                f"liabilities, in transit, suspense and fees are {major(owed, self.currency)}, "
                f"the banks hold {major(self.bank_assets_minor, self.currency)} {self.currency}"
            )

    def write(self, path: Path) -> None:
        """The JSON report; amounts are strings."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")

    def as_json(self) -> dict[str, object]:
        """The report's keys and values; amounts as strings."""
        found = asdict(self)
        for name in ("currency", "business_date", "faults", "fees_minor"):
            del found[name]
        return {name: _told(name, value) for name, value in found.items()}


def _told(name: str, value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [{key: _told(key, item) for key, item in row.items()} for row in value]
    return str(value) if name.endswith("_minor") else value


def show(console: Console, report: DayReport) -> None:
    """Print the report as a person enjoys reading it; it fits 80 columns."""
    console.print()
    console.print(_headline(report))
    console.print(_settlements(report))
    console.print(_picture(report))
    console.print(_tie_out(report))
    console.print(_books(report))
    problems = list(report.problems())
    if problems:
        told = Text("\n".join(f"✗ {problem}" for problem in problems), style="bold red")
        console.print(Panel(told, title="Does not tie out", border_style="red"))
        return
    console.print(
        Text("✓ Both halves match: every account ties out to the last unit.", style="bold green")
    )


def _headline(report: DayReport) -> Panel:
    grid = Table.grid(padding=(0, 2))
    for _ in range(2):
        grid.add_column(justify="right", style="bold", no_wrap=True)
        grid.add_column(no_wrap=True, min_width=24)
    gross = _grouped(report.gross_minor, report.currency)
    for left, right in (
        ((f"{report.orders_read:,}", "orders read"), (gross, report.currency)),
        (
            (f"{report.accounts_opened:,}", "accounts"),
            (f"{report.payments_settled:,}", "payments settled"),
        ),
        (
            (f"{report.top_ups_confirmed:,}", "top-ups confirmed"),
            (f"{report.payments_refused:,}", "refused, given back"),
        ),
        (
            (f"{report.seconds:.1f} s", "for the day"),
            (f"{report.payments_carried:,}", "carried to next window"),
        ),
    ):
        grid.add_row(*left, *right)
    title = f"合符 · business day {report.business_date}"
    return Panel(grid, title=title, border_style="cyan", expand=False)


def _settlements(report: DayReport) -> Table:
    table = _table("Joint settlements", ("bank", "state"), (
        "bank", "legs", "in", "out", "net", "disputed", "doubts", "state",
    ))  # fmt: skip
    for line in report.settlements:
        table.add_row(
            line.bank,
            f"{line.legs:,}",
            _grouped(line.gross_in_minor, report.currency),
            _grouped(line.gross_out_minor, report.currency),
            _grouped(line.net_minor, report.currency),
            str(line.disputed_legs or "·"),
            str(line.in_doubt_resolved or "·"),
            Text(line.state, style="green" if line.state == "FINAL" else "bold red"),
        )
    return table


def _picture(report: DayReport) -> Table:
    """A bar for each bank: what came in, and under it what went out."""
    grid = Table.grid(padding=(0, 1))
    largest = max(
        (max(line.gross_in_minor, line.gross_out_minor) for line in report.settlements), default=1
    )
    for line in report.settlements:
        for name, told, minor, color in (
            (line.bank, "in", line.gross_in_minor, "green"),
            ("", "out", line.gross_out_minor, "blue"),
        ):
            bar = Bar(largest or 1, 0, minor, width=_BAR_WIDTH, color=color)
            grid.add_row(Text(f" {name}", style="bold"), told, bar)
    return grid


def _table(title: str, left: Collection[str], names: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for name in names:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    return table


def _tie_out(report: DayReport) -> Table:
    table = _table("Tie-out with the banks' own statements", ("bank", "currency"), (
        "bank", "currency", "our mirror", "bank's closing balance", "difference",
    ))  # fmt: skip
    for line in report.tie_out:
        even = line.difference_minor == 0
        table.add_row(
            line.bank,
            line.currency,
            _grouped(line.mirror_minor, line.currency),
            _grouped(line.statement_minor, line.currency),
            Text("0 ✓" if even else major(line.difference_minor, line.currency),
                 style="green" if even else "bold red"),
        )  # fmt: skip
    return table


def _books(report: DayReport) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column()
    grid.add_column(justify="right", style="bold")
    for name, minor in (
        ("customers' money (liabilities)", report.liabilities_minor),
        ("in transit", report.in_transit_minor),
        ("suspense", report.suspense_minor),
        ("held at the banks", report.bank_assets_minor),
        ("sum of the whole journal", report.journal_sum_minor),
    ):
        grid.add_row(name, _grouped(minor, report.currency))
    told = f"{report.journal_pages:,} journal pages · {report.events_total:,} events"
    return Panel(grid, title="The books", subtitle=told, expand=False, border_style="cyan")


def _grouped(minor: int, currency: str) -> str:
    text = major(abs(minor), currency)
    whole, point, fraction = text.partition(".")
    return f"{'-' if minor < 0 else ''}{int(whole):,}{point}{fraction}"
