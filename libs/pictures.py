"""Pictures of advice as PNG files: the one module here that draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt

_INCHES = (11.0, 8.0)
_DPI = 110


@dataclass(frozen=True, slots=True)
class Shown:
    """A proposal as it is drawn: shares from 0 to 1; growth from 1, by date."""

    title: str
    names: Sequence[str]
    weights: Sequence[float]
    risks: Sequence[float]
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
    """Weights beside risk contributions, and the back-test with its drawdown."""
    figure, places = plt.subplots(2, 2, figsize=_INCHES)
    try:
        rows = range(len(shown.names))
        for place, values, title in (
            (places[0][0], shown.weights, "Weight"),
            (places[0][1], shown.risks, "Share of risk"),
        ):
            place.barh(rows, [100 * value for value in values], color="#3b6ea5")
            place.set_yticks(list(rows), list(shown.names))
            place.invert_yaxis()
            place.set_title(title)
            place.set_xlabel("%")
        if shown.growth:
            _lines(places[1][0], shown, shown.growth, shown.equal_growth)
            places[1][0].set_title("Held through the history, before fees")
            _lines(places[1][1], shown, drawdowns(shown.growth), drawdowns(shown.equal_growth))
            places[1][1].set_title("Fall from the peak")
        figure.suptitle(shown.title)
        figure.tight_layout()
        figure.savefig(file, dpi=_DPI)
    finally:
        plt.close(figure)


def _lines(place: Any, shown: Shown, own: Sequence[float], equal: Sequence[float]) -> None:  # noqa: ANN401 - axes
    days = range(len(shown.dates))
    place.plot(days, own, label="proposal", color="#3b6ea5")
    place.plot(days, equal, label="equal weight", color="#999999", linewidth=0.9)
    _dated(place, shown.dates)
    place.legend(loc="best", frameon=False)


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
