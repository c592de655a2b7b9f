"""Pictures of advice as PNG files: the one module here that draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.dates import ConciseDateFormatter
from matplotlib.ticker import MaxNLocator, PercentFormatter

_INCHES = (11.0, 8.0)
_DPI = 110
_BLUE, _AMBER, _GREY = "#1f4e79", "#e0a030", "#777777"
# Half the height of a bar, of the room that a fund has.
_HALF = 0.19
# Lines of figures that have room.
_FIGURES_MOST = 9


@dataclass(frozen=True, slots=True)
class Shown:
    """A proposal as it is drawn: shares from 0 to 1; growth from 1, by date (ISO 8601).

    `figures`: names and values that are told in words beside the bars.
    """

    title: str
    subtitle: str
    names: Sequence[str]
    weights: Sequence[float]
    risks: Sequence[float]
    figures: Sequence[tuple[str, str]]
    dates: Sequence[str]
    growth: Sequence[float]
    equal_growth: Sequence[float]


def drawdowns(growth: Sequence[float]) -> list[float]:
    """Each day's fall from the highest value before it, at most 0."""
    peak, found = 0.0, []
    for value in growth:
        peak = max(peak, value)
        found.append(value / peak - 1.0 if peak else 0.0)
    return found


def draw_proposal(shown: Shown, file: Path) -> None:
    """Weights beside shares of risk, figures, and the back-test above its drawdown."""
    style = mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    with style:
        figure = plt.figure(figsize=_INCHES, layout="constrained")
        try:
            grid = figure.add_gridspec(3, 3, height_ratios=(3.2, 2.2, 1.1))
            _bars(figure.add_subplot(grid[0, :2]), shown)
            _told(figure.add_subplot(grid[0, 2]), shown.figures)
            if shown.growth:
                above = figure.add_subplot(grid[1, :])
                _history(above, figure.add_subplot(grid[2, :], sharex=above), shown)
            figure.suptitle(shown.title, x=0.01, ha="left", fontsize=15, fontweight="bold")
            figure.supxlabel(shown.subtitle, x=0.01, ha="left", fontsize=8, color=_GREY)
            figure.savefig(file, dpi=_DPI)
        finally:
            plt.close(figure)


def _bars(place: Any, shown: Shown) -> None:  # noqa: ANN401 - axes
    """The largest first; two bars a fund, each with its number."""
    order = sorted(range(len(shown.names)), key=lambda n: (-shown.weights[n], shown.names[n]))
    for values, label, color, shift in (
        (shown.weights, "weight", _BLUE, -_HALF),
        (shown.risks, "share of risk", _AMBER, _HALF),
    ):
        rows = [row + shift for row in range(len(order))]
        drawn = place.barh(
            rows, [100 * values[n] for n in order], height=2 * _HALF, color=color, label=label
        )
        place.bar_label(drawn, fmt="%.1f %%", padding=3, fontsize=8)
    place.set_yticks(range(len(order)), [shown.names[n] for n in order])
    place.invert_yaxis()
    place.margins(x=0.12)
    place.xaxis.set_visible(False)
    place.spines["bottom"].set_visible(False)
    place.tick_params(axis="y", length=0)
    place.legend(loc="lower right", frameon=False)


def _told(place: Any, figures: Sequence[tuple[str, str]]) -> None:  # noqa: ANN401 - axes
    place.axis("off")
    for row, (name, value) in enumerate(figures):
        height = 1.0 - row / _FIGURES_MOST
        place.text(0.05, height, name, va="top", color=_GREY, transform=place.transAxes)
        place.text(0.98, height, value, va="top", ha="right", transform=place.transAxes)


def _history(above: Any, below: Any, shown: Shown) -> None:  # noqa: ANN401 - axes
    days = [date.fromisoformat(each) for each in shown.dates]
    for values, label, color, width in (
        (shown.equal_growth, "the same funds in equal parts", _GREY, 1.0),
        (shown.growth, "this portfolio", _BLUE, 1.8),
    ):
        gained = [100 * (value - 1.0) for value in values]
        above.plot(days, gained, label=label, color=color, linewidth=width)
        fallen = [100 * value for value in drawdowns(values)]
        below.plot(days, fallen, color=color, linewidth=0.8 * width)
    below.fill_between(days, [100 * v for v in drawdowns(shown.growth)], color=_BLUE, alpha=0.2)
    above.set_title("Had it been held through these days, before fees", loc="left")
    above.set_ylabel("gain")
    below.set_ylabel("below peak")
    above.legend(loc="upper left", frameon=False)
    above.tick_params(labelbottom=False)
    for place in (above, below):
        place.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        place.yaxis.set_major_formatter(PercentFormatter(decimals=0))
        place.grid(axis="y", color="#dddddd", linewidth=0.6)
    dated = ConciseDateFormatter(below.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
    below.xaxis.set_major_formatter(dated)
    below.margins(x=0.0)


def _dated(place: Any, dates: Sequence[str]) -> None:  # noqa: ANN401 - axes
    step = max(1, len(dates) // 5)
    marks = list(range(0, len(dates), step))
    place.set_xticks(marks, [dates[n][:7] for n in marks])


def draw_evaluation(tables: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Growth of every strategy and baseline, one panel a table, on a logarithmic scale."""
    figure, places = plt.subplots(len(tables), 1, figsize=_INCHES, squeeze=False)
    try:
        for (place,), table in zip(places, tables, strict=True):
            for name, growth in table["growth"].items():
                is_base = name in ("equal_weight", "index_buy_and_hold", "random")
                place.plot(growth, label=name, linestyle="--" if is_base else "-", linewidth=1.0)
            place.set_yscale("log")
            place.set_title(f"{table['name']}: growth of 1, net of fees")
            _dated(place, table["growth_dates"])
            place.legend(loc="upper left", frameon=False, fontsize=8, ncols=2)
        figure.tight_layout()
        figure.savefig(file, dpi=_DPI)
    finally:
        plt.close(figure)
