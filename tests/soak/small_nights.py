"""A small panel whose nights have all that nights can have, in no time: what is killed, and how often it is.

Its network is a random walk that is called one, and its pictures are blank: a night trains, judges, promotes
and publishes within a second.
"""

import gc
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from deltalake import DeltaTable

from forecasting import night
from forecasting.as_of import to_instant
from forecasting.models import registry
from forecasting.models.baselines import EwmaWalk
from forecasting.models.training import TrainedNetwork
from forecasting.models.windows import Windows
from forecasting.operations.landing_page import try_update_landing_page
from forecasting.operations.maintenance import maintain
from forecasting.panel import Panel
from forecasting.prices.bars import Bars
from forecasting.prices.compaction import compact
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import take_snapshot
from forecasting.reports import drawing_processes, score_charts
from forecasting.scoring.scorer import score_forecasts
from forecasting.selection import challenger
from forecasting.selection.challenger import load_decision, plan_training
from forecasting.selection.promotion import promote
from forecasting.storage import Storage
from forecasting.temporary_folders import remove_leftovers
from tests.conftest import write_prices

PANEL = """\
name = "tiny"
[source]
uri = "prices.csv"
[forecast]
horizon = 3
[model]
context = 20
[retrain]
holdout = 60
[audit]
min_bars = 40
adjust_splits = true
[retention]
forecast_days = 2
model_days = 1
"""
KINDS = ("prices", "quarantine", "splits", "scores")
BARS = 300
FIRST = np.datetime64("2026-09-01")
_SPLIT, _LATER_SPLIT = np.datetime64("2026-07-01"), np.datetime64("2026-08-15")
# So late that retention finds something to remove, and no folder that a run may still be writing.
_LATER = datetime(2100, 1, 1, tzinfo=UTC)

_BLANK = b"a picture"

Stage = Callable[[Panel, Storage], object]


@dataclass(frozen=True)
class _Sham:
    """In the place of a network: the EWMA walk, fitted when it is asked."""

    training_end: str
    name: str = "stacked_lstm"

    def predict(self, windows: Windows, origins: np.ndarray) -> np.ndarray:
        return EwmaWalk.fit(windows, np.datetime64(self.training_end)).predict(windows, origins)


def make_nights_cheap() -> None:
    """From now on in this process and its forks, train in no time, and leave pictures blank."""

    def train(_panel: Panel, _bars: Bars, end: np.datetime64, _on_progress: object) -> TrainedNetwork:
        history: dict[str, list[float]] = {"step": [], "loss": [], "val_loss": []}
        return TrainedNetwork(b"a network", {"training_end": str(end)}, history, {})

    challenger.train_network = train
    drawing_processes.draw_series = lambda _chart: _BLANK
    score_charts.draw_realised = lambda *_given, **_named: _BLANK
    gc.freeze()  # forks share what is here by now
    registry.load_network = lambda _panel, _data, state: _Sham(**state)


def write_panel(folder: Path) -> Panel:
    (folder / "tiny.toml").write_text(PANEL, encoding="utf-8")
    return Panel.load(folder / "tiny.toml")


def write_source(folder: Path, number: int, *, later_split: bool = False) -> None:
    """The source of a night: a bar and a refused row more than the night before, and one or two splits."""
    source = folder / "prices.csv"
    count = BARS + number
    write_prices(source, {"AAA": count, "BBB": count, "C/C": count}, last=str(FIRST + number))
    splits = {"AAA": _SPLIT, **({"BBB": _LATER_SPLIT} if later_split else {})}
    rows = []
    for line in source.read_text().splitlines():
        name, day, price = line.split(",")
        at = splits.get(name)
        rows.append(f"{name},{day},{float(price) / 2:.6f}" if at and np.datetime64(day) >= at else line)
    refused = [f"AAA,2026-08-{day + 1:02},nonsense" for day in range(number + 1)]
    source.write_text("\n".join([*rows, *refused, ""]))


def _ingest(panel: Panel, storage: Storage) -> object:
    return ingest(panel, storage, to_instant(datetime.now(UTC)))


def _compact(panel: Panel, storage: Storage) -> object:
    return compact(storage, panel.name, spare=1)


def _score(panel: Panel, storage: Storage) -> object:
    return score_forecasts(panel, storage, to_instant(datetime.now(UTC)))


def _promote(panel: Panel, storage: Storage) -> object:
    """A training, the gate's decision, and one by hand."""
    snapshot = take_snapshot(panel, storage, None, datetime.now(UTC))
    night.decide(panel, storage, snapshot, "retrain")
    return promote(panel, storage, plan_training(panel, storage, snapshot).version)


def _publish(panel: Panel, storage: Storage) -> object:
    now = datetime.now(UTC)
    snapshot = take_snapshot(panel, storage, None, now)
    night.make_forecast(panel, storage, snapshot, load_decision(panel, storage, snapshot.as_of))
    try_update_landing_page(panel, storage, now)
    return snapshot


def _maintain(panel: Panel, storage: Storage) -> object:
    return maintain(panel, storage, _LATER)


# In the order of a night. All of them again are the run that follows a killed one.
STAGES: dict[str, Stage] = {
    "ingest": _ingest,
    "compaction": _compact,
    "scoring": _score,
    "promotion": _promote,
    "publish": _publish,
    "maintenance": _maintain,
}


def whole_night(panel: Panel, storage: Storage) -> None:
    remove_leftovers()
    for stage in STAGES.values():
        stage(panel, storage)


def rows_of(storage: Storage, kinds: Sequence[str] = KINDS) -> Counter[str]:
    """Every row of the tables, without the times at which it was written."""
    found: Counter[str] = Counter()
    for kind in kinds:
        uri = storage.table_uri(f"{kind}/tiny")
        if not DeltaTable.is_deltatable(uri):
            continue
        table = DeltaTable(uri).to_pyarrow_table()
        kept = [name for name in table.column_names if not name.endswith("_at") and name != "forecast_id"]
        for row in table.select(sorted(kept)).to_pylist():
            found[" ".join([kind, *(f"{name}={value}" for name, value in row.items())])] += 1
    return found
