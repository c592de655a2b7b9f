"""What a person sees of a command: its lines, its bars, its exit codes."""

import time
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
# Where nothing can be drawn, a line this often says that the work goes on.
LINE_EVERY_S = 30.0

console = Console()


class Bars(Progress):
    """Bars on a terminal; in a log, which shows no bar before its end, a line now and then."""

    def __init__(
        self,
        *columns: ProgressColumn,
        on: Console = console,
        transient: bool = False,
        quiet: bool = False,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(*columns, console=on, transient=transient, disable=quiet, get_time=seconds)
        self._is_log = not on.is_terminal and not quiet
        self._told_s = seconds()

    def update(self, task_id: TaskID, *args: Any, **changes: Any) -> None:  # noqa: ANN401 - as rich has it
        """Change a bar, as `Progress.update` does."""
        super().update(task_id, *args, **changes)
        self._tell(task_id)

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Move a bar on, as `Progress.advance` does."""
        super().advance(task_id, advance)
        self._tell(task_id)

    def _tell(self, task_id: TaskID) -> None:
        if not self._is_log or self.get_time() - self._told_s < LINE_EVERY_S:
            return
        self._told_s = self.get_time()
        task = self._tasks[task_id]
        of_all = "" if task.total is None else f" of {task.total:,.0f}"
        seconds = f"{task.elapsed or 0:,.0f} s"
        self.console.print(
            f"{task.description}: {task.completed:,.0f}{of_all}, {seconds}", highlight=False
        )


def counting(*, width: int | None = None, transient: bool = False) -> Bars:
    """Bars for work counted in pieces; `width` sets one description below the other."""
    description = TextColumn("{task.description}", table_column=Column(min_width=width))
    columns = (SpinnerColumn(), description, BarColumn(bar_width=30), MofNCompleteColumn())
    return Bars(*columns, TimeElapsedColumn(), transient=transient)


def sharing(*, transient: bool = False, quiet: bool = False) -> Bars:
    """Bars for work whose pieces say nothing to a person: how much of a hundred is done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    return Bars(*columns, TimeElapsedColumn(), transient=transient, quiet=quiet)


def refuse(reason: str) -> NoReturn:
    """End the command: what was asked for is wrong, and why."""
    console.print(f"[red]hefu: {reason}[/]", highlight=False)
    raise typer.Exit(EXIT_BAD_INPUT)
