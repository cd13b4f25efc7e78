import logging

import numpy as np
import pytest

from forecasting.panel import Panel
from forecasting.publishing.address import FORECAST
from forecasting.reports.past_forecasts import QUANTILES, choose_dates, find_past
from forecasting.storage import Storage
from tests.published import DAY, add_prices, publish_walk, small_panel, walks

AS_OF = "2026-06-30"
END = np.datetime64(AS_OF, "us")


def label(days: int) -> str:
    return str((END - days * DAY).astype("datetime64[D]"))


@pytest.fixture
def panel() -> Panel:
    return small_panel(forecast={"horizon": 30})


def test_a_third_two_thirds_one_and_two_horizons_ago_are_chosen(panel: Panel) -> None:
    every = [label(days) for days in range(1, 100)]
    assert choose_dates(panel, every, AS_OF) == [label(days) for days in (60, 30, 20, 10)]


def test_the_nearest_dates_are_chosen_unless_they_are_too_far_away(panel: Panel) -> None:
    assert choose_dates(panel, [label(13), label(25), label(50)], AS_OF) == [label(25), label(13)]


def test_a_first_night_has_no_past(panel: Panel, local_storage: Storage) -> None:
    assert choose_dates(panel, [], AS_OF) == []
    assert find_past(panel, local_storage, AS_OF) == []


def test_published_forecasts_are_read_backfills_too(local_storage: Storage) -> None:
    panel = small_panel()
    add_prices(panel, local_storage, walks(120))
    address = publish_walk(panel, local_storage, "2026-04-05")
    publish_walk(panel, local_storage, "2026-04-10")
    (past,) = find_past(panel, local_storage, "2026-04-10")
    assert past.as_of == address.as_of
    assert past.ids.to_pylist() == ["AAA", "B/B", "CCC"]
    assert past.quantiles.shape == (3, len(QUANTILES), 5)
    assert (past.cutoff == np.datetime64("2026-04-05", "us")).all()
    assert (past.quantiles[:, 0] < past.quantiles[:, 2]).all()


def test_a_damaged_forecast_is_left_out_with_a_warning(
    local_storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    panel = small_panel()
    add_prices(panel, local_storage, walks(120))
    address = publish_walk(panel, local_storage, "2026-04-05")
    local_storage.put(address.path(FORECAST), b"no Parquet")
    with caplog.at_level(logging.WARNING):
        assert find_past(panel, local_storage, "2026-04-10") == []
    assert "the forecast as of 2026-04-05 is not drawn" in caplog.text
