"""The code examples in docs/contract.md and in the README work as described."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecasting import contract
from forecasting.contract import SeriesForecast
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.publishing import publish
from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.manifest import Manifest
from forecasting.storage import Storage
from tests.conftest import TINY_PANEL, write_prices

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs/contract.md"
SNIPPETS = {
    name: (local, text)
    for name, local, text in re.findall(
        r"```python ([\w-]+)( local)?\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL
    )
}
# What uses our own package, on the bundled panel and a store in the folder it runs in.
OURS = {
    f"{page}-{count}": text
    for page in ("README.md", "docs/contract.md")
    for count, text in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    )
    if "forecasting" in text
}
EVERYWHERE = [name for name, (local, _) in SNIPPETS.items() if not local]


def fill(storage: Storage, forecast: SeriesForecast) -> None:
    """Publish an older forecast, superseded ones, the valid one, and a folder without a forecast."""
    for day, name, known_at, facts in (
        ("29", "older", "2026-11-09T00:00:00Z", {}),
        ("30", "superseded", "2026-10-31T06:00:00Z", {}),
        ("30", "counts", "2026-10-31T07:00:00Z", {}),
        ("30", "backfilled", "2026-11-02T07:00:00Z", {"origin": "backfill"}),
        ("30", "early", "2026-11-03T07:00:00Z", {"provisional": "the source was late"}),
    ):
        address = ForecastAddress("ecb_fx", f"2026-10-{day}", name)
        storage.put(address.path(FORECAST), contract.to_bytes(contract.to_table([forecast], name), {}))
        record = {"known_at": known_at, "origin": "live", "provisional": None, **facts}
        publish.point_latest(storage, publish.commit(storage, Manifest.of(address, **record)))
    storage.put(ForecastAddress("ecb_fx", "2026-10-30", "zz").path(FORECAST), b"half a night's work")


def given_rows(name: str, uri: str) -> list[tuple[Any, ...]]:
    known: dict[str, Any] = {"uri": uri}
    exec(SNIPPETS[name][1], known)  # noqa: S102 - what a reader of the docs would do
    return [
        (row[0], datetime.fromisoformat(str(row[1])).astimezone(UTC), *(round(value, 9) for value in row[2:]))
        for row in known["rows"]
    ]


EXPECTED = [
    ("BRK/B", datetime(2026, 10, 30, tzinfo=UTC), 400.0, 399.92, 400.08),
    ("EURUSD", datetime(2026, 10, 31, tzinfo=UTC), 1.25, 1.17, 1.33),
]


def test_there_is_a_snippet_for_each_reader() -> None:
    assert {name.split("-")[0] for name in SNIPPETS} == {"duckdb", "pandas", "polars", "pyarrow"}


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_snippet_reads_a_local_store(name: str, local_storage: Storage, forecast: SeriesForecast) -> None:
    fill(local_storage, forecast)
    assert given_rows(name, local_storage.uri) == EXPECTED


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_snippet_reads_a_store_on_s3(name: str, s3_storage: Storage, forecast: SeriesForecast) -> None:
    fill(s3_storage, forecast)
    assert given_rows(name, s3_storage.uri) == EXPECTED


@pytest.fixture
def store_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forecast: SeriesForecast) -> Storage:
    """A store with prices and forecasts of a panel `ecb_fx`, whose history is too short to train on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTCAST_PANELS", str(tmp_path))
    write_prices(tmp_path / "prices.csv", {"EURUSD": 80, "EURJPY": 80})
    panel = TINY_PANEL.replace("tiny", "ecb_fx")
    (tmp_path / "ecb_fx.toml").write_text(panel, encoding="utf-8")
    storage = Storage("store")
    fill(storage, forecast)
    ingest(Panel.load("ecb_fx"), storage, np.datetime64("2026-10-31", "us"))
    return storage


@pytest.mark.parametrize("name", OURS)
@pytest.mark.usefixtures("store_here")
def test_a_snippet_with_our_package_runs(name: str) -> None:
    known: dict[str, Any] = {}
    exec(OURS[name], known)  # noqa: S102 - what a reader of the docs would do
    frames = [value for value in known.values() if isinstance(value, pd.DataFrame)]
    assert all(len(frame) for frame in frames)


def test_the_snippets_with_our_package_are_found() -> None:
    assert {name.partition("-")[0] for name in OURS} == {"README.md", "docs/contract.md"}
