import numpy as np
import pyarrow as pa
import pytest

from forecasting.prices.order import order_bars
from forecasting.prices.schema import INSTANT

DAY = np.timedelta64(1, "D")


@pytest.mark.parametrize("step", [DAY, np.timedelta64(1, "m")])
def test_rows_in_any_order_come_by_series_time_and_vintage(step: np.timedelta64) -> None:
    chance = np.random.default_rng(4)
    ids, ds, known_at = chance.integers(0, 5, 500), chance.integers(0, 60, 500), chance.integers(0, 4, 500)
    start = np.datetime64("1970-01-02", "us")
    table = pa.table(
        {
            "unique_id": pa.array([f"S{number}" for number in ids]),
            "ds": pa.array(start + ds * step).cast(INSTANT),
            "known_at": pa.array(start + known_at * DAY).cast(INSTANT),
        }
    )
    order = order_bars(table)
    expected = np.lexsort([np.arange(500), known_at, ds, ids])
    assert np.array_equal(order.rows, expected)
    bars = np.stack([ids, ds])[:, expected]
    assert np.array_equal(order.again[1:], (bars[:, 1:] == bars[:, :-1]).all(axis=0))


def test_rows_of_one_bar_stay_as_they_came_where_no_vintage_is_known() -> None:
    days = np.datetime64("2020-01-01", "us") + np.array([2, 0, 1, 0, 2]) * DAY
    table = pa.table({"unique_id": pa.array(["A"] * 5), "ds": pa.array(days).cast(INSTANT)})
    assert order_bars(table).rows.tolist() == [1, 3, 2, 0, 4]
