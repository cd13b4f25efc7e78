"""The audit of rows and series, against sorting the rows with pyarrow and grouping them with pandas."""

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from forecasting.panel import Panel
from forecasting.prices.audit.rows import audit_rows
from forecasting.prices.audit.series import audit_series
from forecasting.prices.bars import Bars
from forecasting.prices.schema import OFFERED

SIZES = ((1_000, 2_500), (10_000, 750))
REPEATS = 3
LAST = np.datetime64("2026-10-30", "us")
NOW = np.datetime64("2026-10-31T12:00", "us")


def offered_rows(series: int, bars: int) -> pa.Table:
    """Create `series` random walks with OHLCV, `bars` days each, with the series in random order."""
    random = np.random.default_rng(0)
    order = random.permutation(series)
    close = 100 * np.exp(random.normal(0, 0.01, (series, bars)).cumsum(axis=1)).ravel()
    ds = np.tile(LAST - np.arange(bars)[::-1] * np.timedelta64(1, "D"), series)
    names = pa.array([f"S{at:05}" for at in order])
    columns = {
        "unique_id": names.take(pa.array(np.repeat(np.arange(series), bars))).dictionary_encode(),
        "ds": pa.array(ds, pa.timestamp("us", "UTC")),
        "open": close * 1.001,
        "high": close * 1.01,
        "low": close * 0.99,
        "close": close,
        "volume": random.integers(1, 1_000_000, len(close)).astype(np.float64),
    }
    # A source fills the other columns only for rows that it could not read.
    empty = {field.name: pa.nulls(len(close), field.type) for field in OFFERED if field.name not in columns}
    return pa.table({**columns, **empty}, schema=OFFERED)


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of a few runs."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def peak(work: Callable[[], object]) -> float:
    """Return the peak memory of numpy and Python in MB."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def changes(rows: pa.Table) -> object:
    """Compute each series' changes and their median with pandas, as any audit would."""
    frame = rows.select(["unique_id", "ds", "close"]).to_pandas().sort_values(["unique_id", "ds"])
    change = frame.groupby("unique_id")["close"].pct_change().abs()
    return change.groupby(frame["unique_id"]).median()


def compare(series: int, bars: int) -> None:
    """Print the times of the audit, and their ratios to pyarrow and pandas."""
    panel = Panel.model_validate({"name": "bench", "source": {"uri": "nowhere.csv"}})
    calendar = panel.calendar
    rows = offered_rows(series, bars)
    plain = rows.set_column(0, "unique_id", rows["unique_id"].cast(pa.string()))  # what sort_by knows
    good = audit_rows(rows, panel, calendar, NOW).good
    prices, volume = Bars.from_table(good, "close"), good["volume"].to_numpy()

    def of_rows() -> object:
        return audit_rows(rows, panel, calendar, NOW)

    def of_series() -> object:
        return audit_series(prices, panel, calendar, LAST, volume)

    sort = seconds(lambda: plain.sort_by([("unique_id", "ascending"), ("ds", "ascending")]))
    group = seconds(lambda: changes(rows))
    audited_rows, audited_series = seconds(of_rows), seconds(of_series)
    print(f"\n{series:,} series x {bars:,} bars, {len(prices):,} rows")
    print(f"pyarrow sorts the rows           {sort:8.2f} s")
    print(f"pandas groups their changes      {group:8.2f} s")
    print(
        f"audit of rows                    {audited_rows:8.2f} s  {audited_rows / sort:5.2f} x pyarrow's sort"
    )
    print(
        f"audit of series                  {audited_series:8.2f} s  "
        f"{audited_series / group:5.2f} x pandas' changes; peak {peak(of_series):,.0f} MB"
    )


def main() -> None:
    """Run the benchmark for both sizes."""
    for series, bars in SIZES:
        compare(series, bars)


if __name__ == "__main__":
    main()
