"""Lanes, against pandas' own means and shifts of each series."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.models.lanes import LANE, Lanes

LENGTHS = st.lists(
    st.sampled_from([0, 1, 5, LANE - 1, LANE, LANE + 1, 2 * LANE, 700]), min_size=1, max_size=6
)


def series_of(lengths: list[int]) -> tuple[Lanes, pd.Series, np.ndarray]:
    series = np.repeat(np.arange(len(lengths)), lengths)
    values = np.random.default_rng(sum(lengths)).normal(size=sum(lengths))
    return Lanes(np.array(lengths)), pd.Series(values), series


@given(LENGTHS, st.sampled_from([2, 20, 5000]))
def test_means_are_those_of_pandas_within_each_series(lengths: list[int], half_life: int) -> None:
    lanes, values, series = series_of(lengths)
    mean = lanes.flat(lanes.mean(lanes.lay(values.to_numpy()), half_life))
    expected = values.groupby(series).transform(lambda one: one.ewm(halflife=half_life).mean())
    np.testing.assert_allclose(mean, expected, atol=1e-9)


@given(LENGTHS, st.sampled_from([1, 20, LANE]))
def test_shifts_are_those_of_pandas_within_each_series(lengths: list[int], by: int) -> None:
    lanes, values, series = series_of(lengths)
    shifted = lanes.flat(lanes.shift(lanes.lay(values.to_numpy()), by))
    expected = values.groupby(series).shift(by).fillna(0)
    np.testing.assert_array_equal(shifted, expected)


@given(LENGTHS)
def test_a_sum_without_decay_counts_the_values_of_each_series(lengths: list[int]) -> None:
    lanes, values, _ = series_of(lengths)
    ones = lanes.lay(np.ones(len(values)))
    np.testing.assert_array_equal(
        lanes.flat(lanes.decayed_sum(ones, 1.0)), lanes.flat(lanes.age), strict=True
    )


@given(LENGTHS)
def test_a_value_is_found_at_its_place(lengths: list[int]) -> None:
    lanes, values, series = series_of(lengths)
    numbers = np.concatenate([np.arange(length) for length in lengths])
    place = lanes.place(numbers, series)
    np.testing.assert_array_equal(lanes.lay(values.to_numpy())[place], values)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_values_keep_their_type(kind: type) -> None:
    lanes = Lanes(np.array([300, 7]))
    assert lanes.mean(lanes.lay(np.ones(307, kind)), 20).dtype == kind
