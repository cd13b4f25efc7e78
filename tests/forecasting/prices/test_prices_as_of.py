from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from forecasting.calendar import BarCalendar, bar_calendar
from forecasting.errors import AuditError
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.prices.newest_bar import resolve_as_of

EVENING = np.datetime64("2020-03-13T18:00", "us")  # a Friday, after the ECB's rates are out


def bars_to(*last_days: int) -> Bars:
    """One series for each of the days of March 2020, with the five weekdays to it."""
    calendar = bar_calendar("ECB", "1D")
    dates = [
        calendar.bars(np.datetime64("2020-02-20"), np.datetime64(f"2020-03-{day:02}"))[-5:]
        for day in last_days
    ]
    names = np.repeat([f"S{number}" for number in range(len(dates))], 5)
    return Bars.from_table(
        pa.table({"unique_id": names, "ds": pa.array(np.concatenate(dates)), "close": np.ones(len(names))}),
        "close",
    )


@pytest.fixture
def resolve(make_panel: Callable[..., Panel]) -> Callable[..., str]:
    panel = make_panel({"uri": "nowhere.csv"}, audit={"stale_bars": 5})
    calendar: BarCalendar = bar_calendar("ECB", "1D")

    def of(bars: Bars, instant: np.datetime64 = EVENING) -> str:
        return str(resolve_as_of(bars, panel, calendar, instant).astype("datetime64[D]"))

    return of


def test_the_newest_bar_when_all_have_it(resolve: Callable[..., str]) -> None:
    assert resolve(bars_to(13, 13, 13)) == "2020-03-13"


def test_one_late_series_in_five_is_not_waited_for(resolve: Callable[..., str]) -> None:
    assert resolve(bars_to(13, 13, 13, 13, 12)) == "2020-03-13"


def test_two_late_series_in_five_are(resolve: Callable[..., str]) -> None:
    assert resolve(bars_to(13, 13, 13, 11, 12)) == "2020-03-12"


def test_a_dead_series_is_not_waited_for(resolve: Callable[..., str]) -> None:
    assert resolve(bars_to(13, 13, 5, 5, 5)) == "2020-03-13"


def test_a_bar_that_is_not_closed_does_not_count(resolve: Callable[..., str]) -> None:
    noon = np.datetime64("2020-03-13T12:00", "us")
    assert resolve(bars_to(13, 13, 13), noon) == "2020-03-12"


def test_no_bar_is_closed_yet(resolve: Callable[..., str]) -> None:
    with pytest.raises(AuditError, match="panel tiny has no bar that was closed at 2019-03-13"):
        resolve(bars_to(13), np.datetime64("2019-03-13", "us"))
