"""Waiting for a forecast, with a clock that moves only when the wait sleeps."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from forecasting.errors import StaleError
from forecasting.operations import waiting
from forecasting.operations.waiting import wait_for_forecast
from forecasting.publishing.address import latest_pointer
from forecasting.storage import Storage
from tests.published import small_panel, write_pointer

FRIDAY = np.datetime64("2026-10-30", "us")
HOUR = timedelta(hours=1)


class Clock:
    """Replaces the module `time`: sleeping takes no time, and may have an effect."""

    def __init__(self) -> None:
        self.now, self.naps = 0.0, list[float]()
        self._effects: dict[int, Callable[[], None]] = {}

    def at_nap(self, number: int, effect: Callable[[], None]) -> None:
        self._effects[number] = effect

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds
        self._effects.get(len(self.naps), lambda: None)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


def test_a_published_forecast_is_returned_at_once(storage: Storage, clock: Clock) -> None:
    write_pointer(storage, "2026-10-30")
    assert wait_for_forecast(small_panel(), storage, FRIDAY, HOUR).as_of == "2026-10-30"
    assert clock.naps == []


def test_a_later_forecast_is_enough(local_storage: Storage, clock: Clock) -> None:
    write_pointer(local_storage, "2026-11-02")
    assert wait_for_forecast(small_panel(), local_storage, FRIDAY, HOUR).as_of == "2026-11-02"
    assert clock.naps == []


def test_the_wait_ends_when_the_pointer_moves(local_storage: Storage, clock: Clock) -> None:
    write_pointer(local_storage, "2026-10-29")
    clock.at_nap(3, lambda: write_pointer(local_storage, "2026-10-30"))
    assert wait_for_forecast(small_panel(), local_storage, FRIDAY, HOUR).as_of == "2026-10-30"
    assert clock.naps == [15, 15, 15]


def test_a_timeout_names_the_newest_forecast_and_the_command(local_storage: Storage, clock: Clock) -> None:
    write_pointer(local_storage, "2026-10-29")
    with pytest.raises(StaleError) as caught:
        wait_for_forecast(small_panel(), local_storage, FRIDAY, timedelta(seconds=40))
    assert clock.naps == [15, 15, 10]
    assert str(caught.value) == (
        "panel small has no forecast as of 2026-10-30 after 0.666667 minutes: the newest forecast is as of "
        "2026-10-29, published 2026-10-31 06:00 UTC; "
        f"run: nightcast run small --as-of 2026-10-30 --store {local_storage.uri}"
    )


def test_a_timeout_of_zero_looks_once(local_storage: Storage, clock: Clock) -> None:
    with pytest.raises(StaleError, match="after 0 minutes: nothing is published yet; run: "):
        wait_for_forecast(small_panel(), local_storage, FRIDAY, timedelta(0))
    assert clock.naps == []


def test_a_forecast_published_during_the_last_pause_counts(local_storage: Storage, clock: Clock) -> None:
    clock.at_nap(1, lambda: write_pointer(local_storage, "2026-10-30"))
    wait_for_forecast(small_panel(), local_storage, FRIDAY, timedelta(seconds=5))
    assert clock.naps == [5]


def test_a_damaged_pointer_is_waited_for(local_storage: Storage, clock: Clock) -> None:
    local_storage.put(latest_pointer("small"), b"{")
    clock.at_nap(2, lambda: write_pointer(local_storage, "2026-10-30"))
    assert wait_for_forecast(small_panel(), local_storage, FRIDAY, HOUR).as_of == "2026-10-30"
    local_storage.put(latest_pointer("small"), b"{")
    with pytest.raises(StaleError, match=r"small\.json is damaged"):
        wait_for_forecast(small_panel(), local_storage, FRIDAY, timedelta(0))


@pytest.mark.parametrize(
    ("bars", "shown", "wanted", "is_enough"),
    [
        (("1D", "FX"), "2026-10-29", "2026-10-31", False),
        (("1D", "FX"), "2026-10-30", "2026-10-31", True),
        (("1D", "24/7"), "2026-10-30", "2026-10-31", False),
        (("1h", "24/7"), "2026-10-30T1300Z", "2026-10-30T1400Z", False),
        (("1h", "24/7"), "2026-10-30T1400Z", "2026-10-30T1400Z", True),
        (("1h", "24/7"), "2026-10-30T2200Z", "2026-10-30", False),
        (("1h", "24/7"), "2026-10-30T2300Z", "2026-10-30", True),
    ],
)
def test_a_time_without_a_bar_stands_for_the_bar_before_it(
    local_storage: Storage, bars: tuple[str, str], shown: str, wanted: str, *, is_enough: bool
) -> None:
    panel = small_panel(bars={"freq": bars[0], "calendar": bars[1]})
    write_pointer(local_storage, shown)
    if is_enough:
        pointer = wait_for_forecast(panel, local_storage, panel.instant(wanted), timedelta(0))
        assert pointer.as_of == shown
    else:
        with pytest.raises(StaleError, match=f"the newest forecast is as of {shown}, "):
            wait_for_forecast(panel, local_storage, panel.instant(wanted), timedelta(0))
