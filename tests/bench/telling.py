"""What a run of the bench found, for people, for programs and for the documentation."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench.measuring import PACE, Measured

ROOT: Final = Path(__file__).parents[2]
RESULTS: Final = ROOT / "bench" / "results.json"
DOCUMENT: Final = ROOT / "docs" / "performance.md"
_BEGIN, _END = "<!-- bench: begin -->", "<!-- bench: end -->"
_NAME_WIDTH: Final = 34
_PEER: Final = "pgbench-64"
_COLUMNS: Final = (
    "", "load", "per second", "p50 ms", "p99 ms", "p99.9 ms", "CPU s / 1,000", "client's", "MiB"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Aim:
    """A ratio of two figures of one run; `is_most`: it may not be more."""

    of: str
    to: str
    aimed: float
    figure: str = "per_second"
    is_most: bool = False


# More work beside it than this makes ratios of little worth.
QUIET: Final = 1.0
BUSY: Final = " (**other work was on the machine: compare nothing but CPU**)"
AIMS: Final = (
    Aim("b", _PEER, 4.0),
    Aim("c", _PEER, 15.0),
    Aim("d", "c", 0.8),
    Aim("e", "c", 1.2, "p99_ms", is_most=True),
    Aim("i", _PEER, 0.4),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One run."""

    measured: Sequence[Measured]
    seconds: float
    missing: Sequence[str]
    load_before: float
    # Microseconds of CPU for a transfer.
    stages: Mapping[str, float]

    @property
    def by_key(self) -> Mapping[str, Measured]:
        return {each.key: each for each in self.measured}


@dataclass(frozen=True, slots=True)
class Ratio:
    aim: Aim
    found: float

    @property
    def is_met(self) -> bool:
        return self.found <= self.aim.aimed if self.aim.is_most else self.found >= self.aim.aimed

    def __str__(self) -> str:
        figure = "" if self.aim.figure == "per_second" else "p99 of "
        sign = "at most" if self.aim.is_most else "at least"
        words = f"{figure}({self.aim.of}) / ({self.aim.to}): {self.found:.2f}"
        return f"{words}, aim {sign} {self.aim.aimed:g}: {'met' if self.is_met else 'missed'}"


def ratios(found: Found) -> list[Ratio]:
    """Those whose two figures are there."""
    by_key = found.by_key
    return [
        Ratio(aim, getattr(by_key[aim.of], aim.figure) / getattr(by_key[aim.to], aim.figure))
        for aim in AIMS
        if aim.of in by_key and aim.to in by_key
    ]


def machine() -> dict[str, object]:
    """Where it was measured."""
    told = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def print_table(found: Found, console: Console) -> None:
    table = Table(*_COLUMNS, padding=(0, 1))
    table.columns[1].max_width = _NAME_WIDTH
    for row in _rows(found):
        table.add_row(*row)
    console.print(table)
    for ratio in ratios(found):
        console.print(f"[{'green' if ratio.is_met else 'yellow'}]{ratio}[/]", highlight=False)
    stages = Table("stage of a bulk transfer in the accounts service", "CPU, µs each")
    for name, us in found.stages.items():
        stages.add_row(name, f"{us:.1f}")
    console.print(stages)
    for line in found.missing:
        console.print(f"[yellow]not measured: {line}[/]", highlight=False)


def write_results(found: Found) -> None:
    told = {
        "machine": machine(),
        "load_average_before": found.load_before,
        "durability": "every acknowledged page is on disk (fsync) before its answer",
        "seconds_a_shape": found.seconds,
        "latencies": f"from the intended send time, at {PACE:.0%} of the rate (e: at c's pace)",
        "results": [asdict(each) for each in found.measured],
        "ratios": [
            {**asdict(ratio.aim), "found": round(ratio.found, 3), "is_met": ratio.is_met}
            for ratio in ratios(found)
        ],
        "stages_us": {name: round(us, 2) for name, us in found.stages.items()},
        "not_measured": list(found.missing),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(told, indent=2) + "\n")


def write_document(found: Found) -> None:
    """Put the table into the documentation, between its marks."""
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    where = machine()
    lines = [
        f"{where['cpu']}, {where['cores']} cores, {where['memory_gib']} GiB, {where['system']},",
        (
            f"Python {where['python']}; {found.seconds:g} s a shape. Load average before: "
            f"{found.load_before:.1f}{'' if found.load_before < QUIET else BUSY}"
        ),
        "",
        "| " + " | ".join(_COLUMNS) + " |",
        "|" + "---|" * len(_COLUMNS),
        *("| " + " | ".join(row) + " |" for row in _rows(found)),
        "",
        *(f"- {ratio}" for ratio in ratios(found)),
        *(f"- not measured: {line}" for line in found.missing),
        "",
        "| stage of a bulk transfer in the accounts service | CPU, µs each |",
        "|---|---|",
        *(f"| {name} | {us:.1f} |" for name, us in found.stages.items()),
    ]
    DOCUMENT.write_text(before + _BEGIN + "\n" + "\n".join(lines) + "\n" + _END + after)


def _rows(found: Found) -> list[tuple[str, ...]]:
    return [
        (
            each.key,
            each.name,
            f"{each.per_second:,.0f}",
            *(f"{ms:,.1f}" if ms else "" for ms in (each.p50_ms, each.p99_ms, each.p999_ms)),
            f"{each.server_cpu_s:.3f}",
            f"{each.client_cpu_s:.3f}" if each.client_cpu_s else "",
            f"{each.peak_mib:,.0f}" if each.peak_mib else "",
        )
        for each in found.measured
    ]
