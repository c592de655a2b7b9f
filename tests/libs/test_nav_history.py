"""Real prices as NAVs."""

import subprocess
import sys
from datetime import date
from itertools import pairwise

import pytest

from libs.nav_history import CALENDAR, FILES, HistoryMissing, nav_history
from libs.trading_calendar import load_calendar

SOME = [("factors_dataset", "MTUM"), ("sp500_dataset", "AAPL"), ("sp500_index", "SP500")]


def test_a_price_is_a_nav_at_the_funds_scale() -> None:
    history = nav_history("sp500_dataset:KO")

    assert history.on(date(1990, 1, 2)) == 2_2350
    assert history.on(date(1990, 1, 6)) is None
    assert history.on(date(1989, 12, 29)) is None
    assert history.on(date(2023, 1, 3)) is None


def test_a_divisor_brings_an_index_to_the_size_of_a_nav() -> None:
    assert nav_history("sp500_index:SP500", 100).on(date(1990, 1, 2)) == 3_5969
    assert nav_history("factors_dataset:USMV", 10, nav_scale=3).on(date(2014, 1, 2)) == 2_934


def test_the_prices_are_of_the_sessions_of_new_york() -> None:
    days = nav_history("sp500_index:SP500").days

    assert days == tuple(load_calendar(CALENDAR).between(days[0], days[-1]))
    assert all(earlier < later for earlier, later in pairwise(days))


def test_the_package_of_the_prices_is_not_imported() -> None:
    # A process of its own: in this one another test may have imported it.
    script = (
        "import sys\nfrom libs.nav_history import nav_history\n"
        f"for file, column in {SOME!r}:\n"
        "    assert nav_history(f'{file}:{column}').navs\n"
        "sys.exit('skfolio' in sys.modules)"
    )
    assert len(FILES) == len(SOME)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("source", ["sp500_dataset:NONE", "nowhere:KO", "../x:KO", ""])
def test_a_source_that_is_not_there_is_named(source: str) -> None:
    with pytest.raises(HistoryMissing):
        nav_history(source)
