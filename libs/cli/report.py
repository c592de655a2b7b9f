"""The report of a business day: figures, what does not tie out, and how a person sees it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.bar import Bar
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from libs.money import major

_BAR_WIDTH = 24


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
        if owed != self.bank_assets_minor:
            yield (
                f"liabilities, in transit and suspense are {major(owed, self.currency)}, "
                f"the banks hold {major(self.bank_assets_minor, self.currency)} {self.currency}"
            )

    def write(self, path: Path) -> None:
        """The JSON report; amounts are strings."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n", encoding="utf-8")

    def as_json(self) -> dict[str, object]:
        """The report's keys and values; amounts as strings."""
        found = asdict(self)
        for name in ("currency", "business_date", "faults"):
            del found[name]
        return {name: _told(name, value) for name, value in found.items()}


def _told(name: str, value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [{key: _told(key, item) for key, item in row.items()} for row in value]
    return str(value) if name.endswith("_minor") else value


def show(console: Console, report: DayReport) -> None:
    """Print the report as a person enjoys reading it."""
    console.print()
    console.print(_headline(report))
    console.print(_settlements(report))
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
    grid = Table.grid(padding=(0, 3))
    for _ in range(4):
        grid.add_column(justify="right", style="bold")
        grid.add_column()
    grid.add_row(
        f"{report.orders_read:,}", "orders read",
        f"{report.accounts_opened:,}", "accounts",
        f"{report.top_ups_confirmed:,}", "top-ups confirmed",
        f"{report.seconds:.1f} s", "for the day",
    )  # fmt: skip
    grid.add_row(
        f"{report.payments_settled:,}", "payments settled",
        f"{report.payments_refused:,}", "refused, given back",
        f"{report.payments_carried:,}", "carried over",
        _grouped(report.gross_minor, report.currency), report.currency,
    )  # fmt: skip
    return Panel(grid, title=f"合符 · business day {report.business_date}", border_style="cyan")


def _settlements(report: DayReport) -> Table:
    table = Table(title="Joint settlements", title_justify="left", expand=False)
    for name in ("bank", "legs", "in", "out", "net"):
        table.add_column(name, justify="left" if name == "bank" else "right", no_wrap=True)
    table.add_column("in and out", min_width=_BAR_WIDTH)
    for name in ("disputed", "doubts resolved", "state"):
        table.add_column(name, justify="left" if name == "state" else "right")
    largest = max(
        (max(line.gross_in_minor, line.gross_out_minor) for line in report.settlements), default=1
    )
    for line in report.settlements:
        bars = Group(
            Bar(largest or 1, 0, line.gross_in_minor, width=_BAR_WIDTH, color="green"),
            Bar(largest or 1, 0, line.gross_out_minor, width=_BAR_WIDTH, color="blue"),
        )
        table.add_row(
            line.bank,
            f"{line.legs:,}",
            _grouped(line.gross_in_minor, report.currency),
            _grouped(line.gross_out_minor, report.currency),
            _grouped(line.net_minor, report.currency),
            bars,
            str(line.disputed_legs or "·"),
            str(line.in_doubt_resolved or "·"),
            Text(line.state, style="green" if line.state == "FINAL" else "bold red"),
        )
    return table


def _tie_out(report: DayReport) -> Table:
    table = Table(title="Tie-out with the banks' own statements", title_justify="left")
    for name in ("bank", "currency", "our mirror", "bank's closing balance", "difference"):
        table.add_column(name, justify="left" if name in {"bank", "currency"} else "right")
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
