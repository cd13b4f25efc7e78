"""The nightly flow on a Dask cluster: a scheduler and two workers as processes of their own."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.nightly import nightly
from forecasting import shards
from forecasting.errors import EngineError
from forecasting.storage import Storage
from tests.conftest import write_prices
from tests.dask_cluster import DaskCluster, dask_cluster

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


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path) as made:
        monkeypatch.setenv("NIGHTCAST_DASK", made.address)
        yield made


def objects_of(panels: Path, store: Path) -> dict[str, bytes]:
    """The objects of a night's forecast, without those that name the time when it was made."""
    address = nightly("tiny", store=str(store), panels=str(panels)).manifest.address
    storage = Storage(str(store))
    names = [path.removeprefix(f"{address.folder}/") for path in storage.list(address.folder)]
    timed = {"_manifest.json", "_report.html"}
    return {name: storage.get(address.path(name)) for name in names if name not in timed}


@pytest.mark.usefixtures("cluster")
def test_a_cluster_writes_the_same_bytes(local: dict[str, bytes], panels: Path, tmp_path: Path) -> None:
    assert objects_of(panels, tmp_path / "store") == local
    log = (tmp_path / "dask.log").read_text()
    assert {f"forecast {number} of 5" for number in range(1, 6)} <= {
        line.partition("Task run '")[2].partition("'")[0] for line in log.splitlines()
    }


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
    cluster.workers["worker-0"].kill()
    killer = threading.Thread(target=lambda: cluster.kill_when_busy("worker-1", "retrain"))
    killer.start()
    with pytest.raises(EngineError, match=f"the Dask cluster {cluster.address} has had no workers for 1 s"):
        objects_of(panels, tmp_path / "store")
    killer.join()


def test_a_scheduler_that_does_not_answer_is_named(
    panels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTCAST_DASK", "tcp://127.0.0.1:1")
    monkeypatch.setattr("tasks.engine._SECONDS_TO_CONNECT", 1)
    with pytest.raises(EngineError, match=r"the Dask scheduler tcp://127\.0\.0\.1:1 cannot be used"):
        objects_of(panels, tmp_path / "store")
