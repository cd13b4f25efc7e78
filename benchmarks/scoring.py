"""Scoring of one night: 1,000 series, and 72 forecasts that each wait for their next bar."""

import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks._prices import DAY, FIRST_DAY, closes, daily_panel
from forecasting import contract
from forecasting.contract import SeriesForecast
from forecasting.models.baselines import EwmaWalk
from forecasting.models.windows import build_windows
from forecasting.parquet import table_from_bytes
from forecasting.prices.bars import Bars
from forecasting.prices.schema import GOOD
from forecasting.prices.table import PriceTable
from forecasting.publishing.address import FORECAST, WALKS, ForecastAddress
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.publish import commit
from forecasting.publishing.walk_forecasts import walk_columns, walks_file
from forecasting.scoring.scorer import score_forecasts
from forecasting.scoring.track_record import read_tally, realised
from forecasting.storage import Storage

SERIES, HORIZON, NIGHTS = 1_000, 72, 90
PAST = 100  # bars before the first forecast
REPEATS = 3
NOW = FIRST_DAY + 5000 * DAY
PANEL = daily_panel("nowhere.csv")


def add_bars(storage: Storage, bars: int, first: int) -> None:
    """Create `bars` prices of each series."""
    rows = closes(SERIES, bars, first)
    for name in GOOD.names:
        if name not in rows.column_names:
            rows = rows.append_column(name, rows["close"])
    PriceTable.create(storage, PANEL).append(rows, NOW)


def publish_nights(storage: Storage, nights: range) -> None:
    """Publish a forecast per night, all from the EWMA walk of the first night: its width does not matter."""
    bars = Bars.from_table(PriceTable(storage, PANEL).newest(values=["close"]), "close")
    past = bars.until(FIRST_DAY + (PAST - 1) * DAY)
    windows = build_windows(PANEL, past, PANEL.calendar)
    walks = walks_file(windows, EwmaWalk.fit(windows, past.ds.max()))
    table = table_from_bytes(walks)
    said = np.column_stack([table[name].to_numpy() for name in walk_columns(EwmaWalk.name)]).astype(float)
    quantiles = np.sort(said, axis=1).reshape(SERIES, HORIZON, -1)
    prices = bars.y.reshape(SERIES, -1)
    for night in nights:
        cutoff = FIRST_DAY + (PAST - 1 + night) * DAY
        address = ForecastAddress(PANEL.name, str(cutoff)[:10], f"{night:016}")
        part = SeriesForecast(
            ids=bars.ids,
            cutoff=np.repeat(cutoff, SERIES),
            y_cutoff=prices[:, PAST - 1 + night],
            ds=np.tile(cutoff + np.arange(1, HORIZON + 1) * DAY, (SERIES, 1)),
            quantiles=quantiles,
            model="stacked_lstm",
            version="v",
        )
        forecast = contract.to_bytes(contract.to_table([part], address.forecast_id), {})
        storage.put(address.path(WALKS), walks)
        storage.put(address.path(FORECAST), forecast)
        facts = {"origin": "live", "known_at": f"{NOW}Z", "rows": SERIES * HORIZON}
        commit(storage, Manifest.of(address, **facts))


def main() -> None:
    """Print the night's time against a plain read of the open forecasts."""
    with tempfile.TemporaryDirectory() as root:
        storage = Storage(f"{root}/store")
        add_bars(storage, PAST + NIGHTS - 1, 0)
        publish_nights(storage, range(NIGHTS))
        score_forecasts(PANEL, storage, NOW)
        add_bars(storage, 1, PAST + NIGHTS - 1)
        ours, theirs = [], []
        for repeat in range(REPEATS):
            copy = Storage(f"{root}/{repeat}")
            shutil.rmtree(copy.uri)
            shutil.copytree(storage.uri, copy.uri)
            waiting = sorted(Path(copy.uri).rglob(FORECAST))[-HORIZON:]
            start = time.perf_counter()
            rows = sum(pq.read_table(path).num_rows for path in waiting)
            theirs.append(time.perf_counter() - start)
            start = time.perf_counter()
            report = score_forecasts(PANEL, copy, NOW)
            ours.append(time.perf_counter() - start)
            assert report.scored == SERIES * HORIZON
            start = time.perf_counter()
            lines = realised(PANEL, read_tally(copy, PANEL.name))
            summary = time.perf_counter() - start
        size = sum(file.stat().st_size for file in Path(f"{storage.uri}/scores").rglob("*.parquet"))
        scored = sum(line.steps for line in lines if line.days is None)
        print(f"{report.scored:,} new scores of {report.open} open forecasts: {min(ours):.2f} s")
        print(f"all {rows:,} rows of them read by pyarrow: {min(theirs):.2f} s")
        print(f"the summary of {scored:,} scores: {summary:.2f} s; {size / scored:.0f} bytes each")
        print(f"scoring / read   {min(ours) / min(theirs):6.2f} x")


if __name__ == "__main__":
    main()
