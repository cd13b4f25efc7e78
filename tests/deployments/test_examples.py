"""The downstream examples, as they would run: one started by the event, one with DuckDB alone."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.examples import read_with_duckdb
from forecasting import contract
from forecasting.contract import SeriesForecast
from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.publish import commit, point_latest
from forecasting.storage import Storage
from tasks.announce import show_latest
from tests.prefect_server import PrefectServer


def made(storage: Storage, panel: str) -> dict[str, Any]:
    """The manifest of a committed forecast of two series, a step each of two bars."""
    cutoff = np.array(["2026-10-30", "2026-10-30"], dtype="datetime64[us]")
    prices = np.array([1.0, 200.0])
    spread = np.linspace(-0.1, 0.1, 11)
    # At the second step EUR has moved by 2% of its price, XAU by 5%, in ranges a fifth of the price wide.
    medians = prices[:, None] * np.array([[1.01, 1.02], [0.99, 0.95]])
    forecast = SeriesForecast(
        ids=("EUR", "XAU"),
        cutoff=cutoff,
        y_cutoff=prices,
        ds=cutoff[:, None] + np.array([1, 2]) * np.timedelta64(1, "D"),
        quantiles=medians[:, :, None] + prices[:, None, None] * spread,
        model="stacked_lstm",
        version="abc",
    )
    address = ForecastAddress(panel, "2026-10-30", "id1")
    table = contract.to_table([forecast], "id1")
    storage.put(address.path(FORECAST), contract.to_bytes(table, {"panel": panel}))
    facts = {
        "origin": "live",
        "model": "stacked_lstm",
        "model_version": "abc",
        "known_at": "2026-10-30T20:00:00Z",
    }
    return commit(storage, Manifest.of(address, **facts))


@pytest.fixture
def example(server: PrefectServer, tmp_path: Path) -> Iterator[None]:
    """The reading flow, served and waiting for forecasts of the panel `events`."""
    environment = {
        **os.environ,
        **server.environment,
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    command = [sys.executable, "-m", "deployments.examples.read_with_reader", "events"]
    with (
        (tmp_path / "served.log").open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as served,
    ):
        wait_until(lambda: "events" in [one["name"] for one in ask(server, "deployments")])
        yield
        served.terminate()


def ask(server: PrefectServer, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = httpx.post(f"{server.api}/{kind}/filter", json={}).raise_for_status().json()
    return found


def wait_until(holds: Any) -> None:
    for _ in range(300):
        if holds():
            return
        time.sleep(0.2)
    raise TimeoutError("not so after a minute")


@pytest.mark.usefixtures("example")
def test_the_published_event_starts_the_flow_that_reads_the_forecast(
    server: PrefectServer, local_storage: Storage
) -> None:
    EventsWorker.drain_all(timeout=15)  # one that other tests have left here sends to the server of theirs
    with temporary_settings({PREFECT_API_URL: server.api}):
        show_latest(local_storage, made(local_storage, "events"))
        EventsWorker.drain_all(timeout=15)

    def shown() -> list[dict[str, Any]]:
        return [one for one in ask(server, "artifacts") if one["key"] == "next-bars"]

    wait_until(shown)
    (artifact,) = shown()
    assert '"unique_id": "XAU"' in artifact["data"]
    (run,) = [one for one in ask(server, "flow_runs") if one["id"] == artifact["flow_run_id"]]
    assert run["parameters"] == {
        "panel": "events",
        "as_of": "2026-10-30",
        "forecast_id": "id1",
        "store": local_storage.uri,
    }


def test_duckdb_alone_lists_what_moves_most(local_storage: Storage, tmp_path: Path) -> None:
    point_latest(local_storage, made(local_storage, "fx"))
    output = tmp_path / "moves.csv"
    path = f"{local_storage.uri}/latest/fx.parquet"
    done = subprocess.run(
        [sys.executable, read_with_duckdb.__file__, path, str(output)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "XAU" in done.stdout
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["unique_id"], row["ds"][:10], round(float(row["change"]), 4)) for row in rows] == [
        ("XAU", "2026-11-01", -0.05),
        ("EUR", "2026-11-01", 0.02),
    ]
