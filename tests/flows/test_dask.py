"""The nightly flow on a Dask cluster: a scheduler and two workers as processes of their own."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.backtest import backtest
from flows.nightly import nightly
from flows.score import score
from forecasting import shards
from forecasting.errors import EngineError
from forecasting.panel import Panel
from forecasting.scoring import score_pieces
from forecasting.storage import Storage
from tests.conftest import write_prices
from tests.dask_cluster import DaskCluster, dask_cluster
from tests.published import add_prices, publish_walk, walks

BARS = {"AAA": 300, "BBB": 310, "CCC": 320, "DDD": 330, "SHORT": 70}
PANEL = """\
name = "tiny"
[source]
uri = "prices.csv"
[forecast]
horizon = 5
"""

pytestmark = [
    pytest.mark.usefixtures("prefect_server"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def panels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("panels")
    write_prices(folder / "prices.csv", BARS)
    (folder / "tiny.toml").write_text(PANEL, encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_series_a_shard() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_SERIES", 1)
        yield


@pytest.fixture(scope="module")
def local(panels: Path, prefect_server: None) -> dict[str, bytes]:  # noqa: ARG001 - it must be there before
    """The objects of a night without a cluster."""
    return objects_of(panels, panels / "local")


@pytest.fixture(scope="module")
def whole_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as made:
        yield made


@pytest.fixture
def cluster(whole_cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch) -> DaskCluster:
    monkeypatch.setenv("NIGHTCAST_DASK", whole_cluster.address)
    return whole_cluster


def objects_of(panels: Path, store: Path) -> dict[str, bytes]:
    """The objects of a night's forecast, without those that name the time when it was made."""
    address = nightly("tiny", store=str(store), panels=str(panels)).manifest.address
    storage = Storage(str(store))
    names = [path.removeprefix(f"{address.folder}/") for path in storage.list(address.folder)]
    timed = {"_manifest.json", "_report.html"}
    return {name: storage.get(address.path(name)) for name in names if name not in timed}


def backtest_objects(panels: Path, store: Path) -> dict[str, bytes]:
    """The objects of a backtest with two trainings, without the summary, which names the time."""
    folder = backtest("tiny", cutoffs=3, stride=5, refit=2, store=str(store), panels=str(panels))
    storage = Storage(str(store))
    assert storage.folders("backtests/tiny") == [folder]  # no working folder stays
    return {path: storage.get(path) for path in storage.list(folder) if not path.endswith("_summary.json")}


def test_a_cluster_writes_the_same_bytes(
    cluster: DaskCluster, local: dict[str, bytes], panels: Path, tmp_path: Path
) -> None:
    with cluster.watched() as tasks:
        assert objects_of(panels, tmp_path / "store") == local
    assert tasks["forecast_shard"] == 5, tasks


def test_a_cluster_shares_a_backtest(
    cluster: DaskCluster, panels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster.watched() as tasks:
        found = backtest_objects(panels, tmp_path / "store")
    assert (tasks["train_network"], tasks["forecast_cutoff"]) == (2, 3), tasks
    monkeypatch.delenv("NIGHTCAST_DASK")
    assert found == backtest_objects(panels, tmp_path / "alone")


def test_a_scheduler_that_does_not_answer_is_named(
    panels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTCAST_DASK", "tcp://127.0.0.1:1")
    monkeypatch.setattr("tasks.engine._SECONDS_TO_CONNECT", 1)
    with pytest.raises(EngineError, match=r"the Dask scheduler tcp://127\.0\.0\.1:1 cannot be used"):
        objects_of(panels, tmp_path / "store")


def score_objects(panels: Path, store: Path) -> tuple[object, dict[str, pa.Table]]:
    """What scoring reports, and the rows that it adds to each month, without when they were scored."""
    report = score("tiny", store=str(store), panels=str(panels))
    files = (store / "scores").rglob("*.parquet")
    return report, {path.parent.name: pq.read_table(path).drop_columns("scored_at") for path in files}


def test_a_cluster_shares_the_scoring(
    cluster: DaskCluster, panels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, storage = Panel.load("tiny", str(panels)), Storage(str(tmp_path / "store"))
    add_prices(panel, storage, walks(304))
    for day in (28, 29, 30):
        publish_walk(panel, storage, f"2026-10-{day}")
    alone = shutil.copytree(tmp_path / "store", tmp_path / "alone")
    monkeypatch.setattr(score_pieces, "PIECE_FORECASTS", 1)
    with cluster.watched() as tasks:
        found = score_objects(panels, tmp_path / "store")
    assert tasks["score_piece"] == 3, tasks
    assert storage.list("scoring") == []
    monkeypatch.delenv("NIGHTCAST_DASK")
    assert found == score_objects(panels, alone)


# This test and the next one are the last: their workers do not come back.
def test_a_worker_that_is_killed_in_the_middle_costs_nothing(
    cluster: DaskCluster, local: dict[str, bytes], panels: Path, tmp_path: Path
) -> None:
    killed: list[bool] = []
    killer = threading.Thread(target=lambda: killed.append(cluster.kill_when_busy("worker-1", "forecast")))
    killer.start()
    found = objects_of(panels, tmp_path / "store")
    killer.join()
    assert killed == [True]
    assert found == local


def test_a_cluster_that_has_lost_all_workers_is_named(
    cluster: DaskCluster, panels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.engine._SECONDS_BETWEEN_LOOKS", 0.2)
    monkeypatch.setattr("tasks.engine._SECONDS_WITHOUT_WORKERS", 1)
    cluster.workers["worker-1"].kill()
    killer = threading.Thread(target=lambda: cluster.kill_when_busy("worker-0", "retrain"))
    killer.start()
    with pytest.raises(EngineError, match=f"the Dask cluster {cluster.address} has had no workers for 1 s"):
        objects_of(panels, tmp_path / "store")
    killer.join()
