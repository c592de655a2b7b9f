"""What a shape of load comes to: how many a second, how late their answers, at what cost.

First as fast as the callers can (the rate), then at a steady pace of `PACE` of that rate. Latencies
are those of the steady run, each from the moment its call was meant to leave: a system that stands
still is late for every call it delayed, not for one.
"""

import asyncio
import gc
import resource
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

PACE = 0.7
TURNS = 5
_SLOWEST_US = 60_000_000
_TICKS_PER_S = 100
_SAMPLE_S = 0.25
_KIB = 1024

# Does one call and answers how many items it was.
Call = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Latencies in milliseconds, CPU in seconds for 1,000 items, memory in MiB.

    `server_cpu_s` is of the processes measured, `client_cpu_s` of what drives them.
    """

    key: str
    name: str
    per_second: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0
    server_cpu_s: float = 0.0
    client_cpu_s: float = 0.0
    peak_mib: float = 0.0
    items: int = 0
    cpu_by_process: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


class Processes:
    """What some processes have used so far, by name."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = {name: (pid, *_children_of(pid)) for name, pid in pids.items()}
        self.peak_mib = 0.0

    def cpu_s(self) -> dict[str, float]:
        """User and system time of each, with that of its children."""
        return {name: sum(map(cpu_s_of, pids)) for name, pids in self._pids.items()}

    async def watch(self) -> None:
        """Keep the highest sum of resident memory that is seen."""
        while True:
            self.peak_mib = max(self.peak_mib, self._resident_mib())
            await asyncio.sleep(_SAMPLE_S)

    def _resident_mib(self) -> float:
        return sum(_resident_mib(pid) for pids in self._pids.values() for pid in pids)


def _children_of(pid: int) -> Iterator[int]:
    """Processes that this one has started."""
    for told in Path("/proc").glob("[0-9]*/stat"):
        try:
            # Counted behind the name, which may hold anything: state, parent.
            parent = int(told.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == pid:
            yield int(told.parent.name)


def cpu_s_of(pid: int) -> float:
    """User and system time of a process and of those of its children that have ended."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # Counted behind the name, which may hold anything: utime, stime, cutime, cstime.
    return sum(map(int, told.rpartition(")")[2].split()[11:15])) / _TICKS_PER_S


def _resident_mib(pid: int) -> float:
    try:
        told = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    line = next(line for line in told.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / _KIB


@dataclass(frozen=True, slots=True)
class Shape:
    """A load: so many callers, each awaiting one call after another."""

    key: str
    name: str
    callers: int
    call: Call
    # Items in a second at which to take the latencies, where that is another shape's pace.
    pace: float = 0.0


# A load, and what runs beside it.
Load = tuple[Shape, Callable[[], AbstractAsyncContextManager[None]]]


async def measure(shape: Shape, seconds: float, processes: Processes) -> Measured:
    """The rate, then the latencies at a steady pace."""
    # What was imported and made ready lives on: a walk over it all, 0.1 s and more, would be
    # counted as the system's lateness.
    gc.collect()
    gc.freeze()
    await _saturated(shape, min(seconds / 4, 1.0))
    before, client_before = processes.cpu_s(), _own_cpu_s()
    processes.peak_mib = 0.0
    watching = asyncio.create_task(processes.watch())
    items, lasted = await _saturated(shape, seconds)
    watching.cancel()
    after, client_s = processes.cpu_s(), _own_cpu_s() - client_before
    used = {name: after[name] - before[name] for name in before}
    rate = items / lasted
    histogram = await _paced(shape, seconds, shape.pace or PACE * rate)
    thousands = items / 1_000
    return Measured(
        shape.key,
        shape.name,
        rate,
        *percentiles_ms(histogram),
        server_cpu_s=sum(used.values()) / thousands,
        client_cpu_s=client_s / thousands,
        peak_mib=processes.peak_mib,
        items=items,
        cpu_by_process={name: round(s / thousands, 5) for name, s in used.items()},
    )


async def tails_by_turns(
    loads: Sequence[Load],
    seconds: float,
    rested: Callable[[], Awaitable[None]],
) -> list[list[tuple[float, float, float]]]:
    """Latencies of each load at its pace, `TURNS` times by turns: what each has beside it runs.

    A few hundred calls have a p99 of two or three of them: one stall of the disk decides it. So
    loads that are compared by it are heard in turn, and each by the middle of what it was.
    """
    found: list[list[tuple[float, float, float]]] = [[] for _ in loads]
    for turn in range(TURNS):
        each_way = range(len(loads)) if turn % 2 == 0 else reversed(range(len(loads)))
        for n in each_way:
            shape, beside = loads[n]
            await rested()
            async with beside():
                histogram = await _paced(shape, seconds, shape.pace)
            found[n].append(percentiles_ms(histogram))
    return found


def with_tails(measured: Measured, tails: Sequence[tuple[float, float, float]]) -> Measured:
    """The same with the middle of these p50, p99 and p99.9; the note says each p99."""
    p50, p99, p999 = (median(each) for each in zip(*tails, strict=True))
    each = ", ".join(f"{tail[1]:.0f}" for tail in tails)
    note = f"latencies: middle of {len(tails)} turns, whose p99 were {each} ms"
    return replace(measured, p50_ms=p50, p99_ms=p99, p999_ms=p999, note=note)


async def _saturated(shape: Shape, seconds: float) -> tuple[int, float]:
    items = 0
    begun = time.perf_counter()

    async def one() -> None:
        nonlocal items
        while time.perf_counter() - begun < seconds:
            done = await shape.call()
            items += done

    await asyncio.gather(*(one() for _ in range(shape.callers)))
    return items, time.perf_counter() - begun


async def _paced(shape: Shape, seconds: float, items_per_second: float) -> HdrHistogram:
    histogram = HdrHistogram(1, _SLOWEST_US, 3)
    begun = time.perf_counter()
    due = begun
    each = 1.0

    async def one() -> None:
        nonlocal due, each
        while due < begun + seconds:
            meant = due
            due += each / items_per_second
            await asyncio.sleep(max(0.0, meant - time.perf_counter()))
            each = await shape.call()
            histogram.record_value(max(1, int((time.perf_counter() - meant) * 1_000_000)))

    # The size of a call is known from the first on.
    each = await shape.call()
    begun = due = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(shape.callers)))
    return histogram


def percentiles_ms(histogram: HdrHistogram) -> tuple[float, float, float]:
    """p50, p99, p99.9 in milliseconds, of microseconds."""
    p50, p99, p999 = (histogram.get_value_at_percentile(p) / 1_000 for p in (50, 99, 99.9))
    return p50, p99, p999


def _own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
