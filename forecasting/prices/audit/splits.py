"""Back-adjustment: bringing the prices before a split to the level after it, for panels that ask for it."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecasting.as_of import as_of_label
from forecasting.bars import Bars
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.prices.audit import rules
from forecasting.prices.audit.jumps import Splits, find_jumps, find_splits, split_name
from forecasting.prices.order import series_ranks
from forecasting.prices.schema import VALUES


def adjust_splits(good: pa.Table, panel: Panel) -> tuple[pa.Table, list[Finding]]:
    """The rows with the past before each likely split multiplied by it, volumes divided; and what was done.

    The price table takes the new past as a later vintage: what earlier forecasts read stays as it was.

    Args:
        good: `schema.GOOD`, sorted by `unique_id`, `ds`, one row a bar. A split is only seen with the 60 bars
            before it and the five after it.
        panel: its target tells the splits, its `split_scales` how sure to be.
    """
    target = panel.forecast.target
    priced = np.flatnonzero(good[target].is_valid())
    rows = good.take(pa.array(priced))
    bars = Bars.from_table(rows, target)
    splits = find_splits(bars, find_jumps(bars, panel), rows["volume"].to_numpy(), panel)
    factor = _factors(good, priced[splits.at], splits.ratio)
    for place, name in enumerate(good.column_names):
        if name in VALUES:
            values = good[name]
            adjusted = pc.divide(values, factor) if name == "volume" else pc.multiply(values, factor)
            good = good.set_column(place, name, adjusted)
    return good, list(_findings(bars, splits, panel))


def _factors(good: pa.Table, at: np.ndarray, ratios: np.ndarray) -> pa.Array:
    """(N,) what each row is multiplied by: the product of its series' later splits, which start `at` rows."""
    series = series_ranks(good["unique_id"])
    factor = np.ones(good.num_rows)
    for start, split, ratio in zip(np.searchsorted(series, series[at]), at, ratios, strict=True):
        factor[start:split] *= ratio
    return pa.array(factor)


def _findings(bars: Bars, splits: Splits, panel: Panel) -> Iterator[Finding]:
    for place, ratio in zip(splits.at, splits.ratio, strict=True):
        day = as_of_label(bars.ds[place], panel.bars.freq)
        detail = (
            f"{split_name(ratio)} on {day}: the {bars.age[place]} bars before it are multiplied by {ratio:g}"
        )
        yield Finding.of(rules.ADJUSTED, bars.ids[bars.series[place]], int(bars.age[place]), detail)
