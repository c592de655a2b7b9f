"""What a command shows of long work, on a terminal and in a log."""

from io import StringIO

from rich.console import Console

from libs.cli.terminal import LINE_EVERY_S, Bars


class Log:
    """A console that is no terminal, and a clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.text = StringIO()
        console = Console(file=self.text, force_terminal=False, width=80)
        self.bars = Bars(on=console, transient=True, seconds=lambda: self.now_s)

    def lines(self) -> list[str]:
        return [line for line in self.text.getvalue().splitlines() if line]


def test_a_log_is_told_now_and_then_how_far_long_work_is() -> None:
    log = Log()
    with log.bars as bars:
        bar = bars.add_task("fund day 2015-01-05", total=252)
        bars.advance(bar)
        assert log.lines() == []
        log.now_s += LINE_EVERY_S
        bars.advance(bar, 39)
        bars.advance(bar)
        log.now_s += LINE_EVERY_S
        bars.update(bar, completed=80, description="fund day 2015-04-30")
    assert log.lines() == [
        "fund day 2015-01-05: 40 of 252, 30 s",
        "fund day 2015-04-30: 80 of 252, 60 s",
    ]


def test_what_has_no_end_is_told_without_one() -> None:
    log = Log()
    with log.bars as bars:
        bar = bars.add_task("replaying", total=None)
        log.now_s += LINE_EVERY_S
        bars.update(bar, completed=1_000)
    assert log.lines() == ["replaying: 1,000, 30 s"]
