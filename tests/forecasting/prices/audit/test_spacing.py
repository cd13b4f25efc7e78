from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from forecasting.calendar import bar_calendar
from forecasting.panel import Panel
from forecasting.prices.audit.rows import audit_rows
from forecasting.prices.audit.spacing import find_spacing, weekday_calendars
from forecasting.prices.sources import read_source

NOW = np.datetime64("2026-11-28T12:00", "us")


def found(folder: Path, make_panel: Callable[..., Panel], times: pd.DatetimeIndex, **bars: str) -> list[str]:
    lines = [f"A,{time},{1 + at % 7}" for at, time in enumerate(times)]
    (folder / "x.csv").write_text("\n".join(["unique_id,ds,close", *lines]) + "\n")
    panel = make_panel({"uri": str(folder / "x.csv"), "time_zone": "UTC"}, bars=bars)
    audited = audit_rows(pa.concat_tables(read_source(panel)), panel, panel.calendar, NOW)
    return [one.detail for one in audited.findings if one.code == "P206"]


@pytest.mark.parametrize(
    ("step", "freq", "says"),
    [
        ("W-FRI", "1D", 'most bars are 7 days apart, .*; set [bars].freq = "1W"'),
        ("MS", "1D", 'set [bars].freq = "1M"'),
        ("ME", "1W", 'set [bars].freq = "1M"'),
        (
            "4h",
            "1h",
            'most bars are 240 minutes apart, where bars of 1h are expected; set [bars].freq = "4h"',
        ),
        ("1D", "1h", 'set [bars].freq = "1D"'),
        ("QE", "1D", "most bars are 92 days apart, .*; that is wider than any [bars].freq"),
    ],
)
def test_wider_bars_than_expected_are_said(
    tmp_path: Path, make_panel: Callable[..., Panel], step: str, freq: str, says: str
) -> None:
    times = pd.date_range("2020-01-01", periods=26, freq=step)
    (detail,) = found(tmp_path, make_panel, times, freq=freq)
    for part in says.split(".*"):
        assert part in detail


def test_weekdays_on_a_calendar_of_all_days_are_said(
    tmp_path: Path, make_panel: Callable[..., Panel]
) -> None:
    sessions = bar_calendar("XNYS", "1D").bars(np.datetime64("2025-01-02"), np.datetime64("2026-06-30"))
    (detail,) = found(tmp_path, make_panel, pd.DatetimeIndex(sessions))
    assert "no bar lies on a Saturday or Sunday" in detail
    assert 'set [bars].calendar = "XNYS"' in detail


@pytest.mark.parametrize(("step", "freq"), [("1D", "1D"), ("1h", "1h"), ("W-FRI", "1W"), ("ME", "1M")])
def test_what_fits_is_not_mentioned(
    tmp_path: Path, make_panel: Callable[..., Panel], step: str, freq: str
) -> None:
    assert found(tmp_path, make_panel, pd.date_range("2020-01-01", periods=60, freq=step), freq=freq) == []


@pytest.mark.parametrize("step", ["1D", "W-SUN", "MS", "ME", "30min", "12h"])
def test_the_frequency_of_even_times(step: str) -> None:
    ds = pd.date_range("2020-01-01", periods=40, freq=step).to_numpy("datetime64[us]")
    spacing = find_spacing(np.zeros(40, dtype=int), ds)
    assert spacing is not None
    assert spacing.freq == {"W-SUN": "1W", "MS": "1M", "ME": "1M"}.get(step, step)


def test_calendars_are_ranked_by_how_well_they_fit() -> None:
    days = bar_calendar("XTKS", "1D").bars(np.datetime64("2025-01-06"), np.datetime64("2026-06-30"))
    assert weekday_calendars(days, ("XNYS", "FX", "XTKS"))[0] == "XTKS"
