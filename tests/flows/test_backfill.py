"""The backfill flow, whole, against a real Prefect server."""

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prefect.client.orchestration import get_client

from flows.backfill import BackfillResult, backfill
from forecasting.errors import BackfillError, NightcastError, StoreError
from forecasting.models.registry import Registry
from forecasting.panel import Panel
from forecasting.prices.ingest import IngestReport, ingest
from forecasting.prices.snapshot import Snapshot
from forecasting.prices.table import PriceTable
from forecasting.publishing import reader
from forecasting.reports import gallery
from forecasting.scoring.track_record import read_tally
from forecasting.storage import Storage
from tasks.panel_slot import sign_of
from tests.conftest import TINY_PANEL, write_prices
from tests.prefect_server import PrefectServer

pytestmark = pytest.mark.usefixtures("prefect_server")

SERIES = {"AAA": 400, "BBB": 400, "CCC": 400}


def run(folder: Path, first: int, last: int, **parameters: Any) -> list[str]:
    """Backfill those days of October 2026; which were published."""
    done = backfill(
        panel=str(folder / "tiny.toml"),
        start=date(2026, 10, first),
        end=date(2026, 10, last),
        store=str(folder / "store"),
        **parameters,
    )
    return [one.as_of for one in done.published]


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_server: None,  # noqa: ARG001 - it must be there before
) -> Path:
    """The folder of a panel with forecasts of 25 and 26 October, and a live one of the 30th."""
    folder = tmp_path_factory.mktemp("backfill")
    write_prices(folder / "prices.csv", SERIES)
    (folder / "tiny.toml").write_text(TINY_PANEL, encoding="utf-8")
    assert run(folder, 25, 26) == ["2026-10-25", "2026-10-26"]
    assert run(folder, 30, 30) == ["2026-10-30"]
    return folder


@pytest.fixture
def night(first: Path, tmp_path: Path) -> Path:
    """A copy of it, to do with as one likes."""
    return Path(shutil.copytree(first, tmp_path / "night"))


def files(folder: Path, pattern: str) -> dict[Path, tuple[int, bytes]]:
    """When each was written last, and its bytes."""
    found = [path for path in folder.rglob(pattern) if path.is_file()]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def manifest(folder: Path, day: int) -> dict[str, Any]:
    (path,) = (folder / "store").glob(f"forecasts/tiny/as_of=2026-10-{day}/*/_manifest.json")
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def forecast_bytes(folder: Path, day: int) -> bytes:
    (path,) = (folder / "store").glob(f"forecasts/tiny/as_of=2026-10-{day}/*/forecast.parquet")
    return path.read_bytes()


def test_a_past_date_is_marked_so_and_the_newest_is_live(first: Path) -> None:
    assert [manifest(first, day)["origin"] for day in (25, 26, 30)] == ["backfill", "backfill", "live"]
    assert manifest(first, 26)["decision"]["as_of"] == "2026-10-25"


def test_what_has_arrived_of_it_is_scored(first: Path) -> None:
    tally = read_tally(Storage(str(first / "store")), "tiny")
    rows = tally.groupby(["origin", "as_of"])["rows"].unique().explode().to_dict()
    assert rows == {  # the bars from the day after it to the 30th, five at most
        ("backfill", pd.Timestamp("2026-10-25")): 5,
        ("backfill", pd.Timestamp("2026-10-26")): 4,
    }


def test_prices_are_taken_in_while_the_panel_is_its_own(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holders = []

    def ingest_seen(*given: Any) -> IngestReport:
        with get_client(sync_client=True) as client:
            holders.append(sign_of("holder", "tiny", client).read())
        return ingest(*given)

    monkeypatch.setattr("tasks.ingest.ingest", ingest_seen)
    assert run(night, 25, 25) == []
    (holder,) = holders
    assert holder is not None
    assert holder["run"].startswith("tiny 2026-10-25 to 2026-10-25 backfill (")


def test_only_what_is_missing_is_done_and_the_pointer_stays(night: Path) -> None:
    before = {**files(night / "store" / "forecasts", "*.*"), **files(night / "store" / "models", "*.*")}
    pointer = (night / "store" / "latest" / "tiny.json").read_bytes()
    assert run(night, 24, 30) == ["2026-10-24", "2026-10-27", "2026-10-28", "2026-10-29"]
    after = {**files(night / "store" / "forecasts", "*.*"), **files(night / "store" / "models", "*.*")}
    assert {path: after[path] for path in before} == before
    assert (night / "store" / "latest" / "tiny.json").read_bytes() == pointer
    assert run(night, 24, 30) == []

    decision = manifest(night, 24)["decision"]  # one of its own: that of the 25th is not for the 24th
    assert decision["as_of"] == "2026-10-24"
    trained_to = Registry(Storage(str(night / "store")), "tiny").metadata(decision["challenger"]).training_end
    assert trained_to[:10] == "2026-08-25"  # 60 bars before it, the holdout


def test_what_comes_after_a_date_changes_nothing_in_its_forecast(first: Path, tmp_path: Path) -> None:
    """Another store: the same bars to the 25th; then other ones, and other values for some of those."""
    panel_file = tmp_path / "tiny.toml"
    panel_file.write_text(TINY_PANEL, encoding="utf-8")
    panel, storage = Panel.load(panel_file), Storage(str(tmp_path / "store"))
    header, *rows = (first / "prices.csv").read_text().splitlines()
    cells = [row.split(",") for row in rows]
    then = [",".join(cell) for cell in cells if cell[1] <= "2026-10-25"]
    (tmp_path / "prices.csv").write_text("\n".join([header, *then]) + "\n")
    ingest(panel, storage, np.datetime64("2026-10-26T06:00", "us"))
    other = [
        f"{name},{day},{float(price) * (3 if day > '2026-10-25' else 1.01 if day > '2026-10-22' else 1)}"
        for name, day, price in cells
    ]
    (tmp_path / "prices.csv").write_text("\n".join([header, *other]) + "\n")

    assert run(tmp_path, 25, 25) == ["2026-10-25"]
    table, until = PriceTable(storage, "tiny"), np.datetime64("2026-10-25", "us")
    assert table.newest(until)["close"] != table.first_vintage(until)["close"]
    assert forecast_bytes(tmp_path, 25) == forecast_bytes(first, 25)


def test_a_date_that_fails_does_not_stop_the_others(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = gallery.draw_gallery

    def broken(panel: Panel, storage: Storage, snapshot: Snapshot, *rest: Any) -> None:
        if snapshot.as_of == "2026-10-28":
            raise StoreError("the disk is\nfull")
        draw(panel, storage, snapshot, *rest)

    monkeypatch.setattr(gallery, "draw_gallery", broken)
    with pytest.raises(
        BackfillError,
        match=r"^1 of 3 dates of panel tiny not published \(2026-10-28: the disk is full\); fix that",
    ):
        run(night, 27, 29)
    monkeypatch.undo()
    assert run(night, 27, 29) == ["2026-10-28"]


def test_side_by_side_gives_the_same_bytes(night: Path, tmp_path: Path) -> None:
    beside = Path(shutil.copytree(night, tmp_path / "beside"))
    assert run(beside, 27, 28, parallel=2) == run(night, 27, 28)
    for day in (27, 28):
        assert forecast_bytes(beside, day) == forecast_bytes(night, day)


def test_force_does_all_and_finds_what_is_the_same(night: Path) -> None:
    before = files(night / "store" / "forecasts", "*.*")
    assert run(night, 25, 26, force=True) == ["2026-10-25", "2026-10-26"]
    assert files(night / "store" / "forecasts", "*.*") == before


def test_a_dry_run_lists_and_does_nothing(night: Path) -> None:
    before = files(night / "store", "*.*")
    done = backfill(
        panel=str(night / "tiny.toml"),
        start=date(2026, 10, 24),
        end=date(2026, 10, 28),
        store=str(night / "store"),
        dry_run=True,
    )
    assert done == BackfillResult(missing=("2026-10-24", "2026-10-27", "2026-10-28"))
    assert files(night / "store", "*.*") == before
    with get_client(sync_client=True) as client:
        shown = {artifact.key: artifact for artifact in client.read_latest_artifacts()}["backfilled-tiny"]
    assert [row["as of"] for row in json.loads(shown.data)] == list(done.missing)


def test_dates_the_wrong_way_round_fail_before_anything_is_read(night: Path) -> None:
    (night / "prices.csv").unlink()
    with pytest.raises(NightcastError, match="start 2026-10-28 is after end 2026-10-24"):
        run(night, 28, 24)


@pytest.mark.usefixtures("first")
def test_the_ui_has_the_progress_and_a_line_for_each_date() -> None:
    with get_client(sync_client=True) as client:
        found = [one for one in client.read_artifacts() if one.key in {"backfill-tiny", "backfilled-tiny"}]
    assert {artifact.data for artifact in found if artifact.key == "backfill-tiny"} == {100.0}
    tables = [json.loads(artifact.data) for artifact in found if artifact.key == "backfilled-tiny"]
    rows = {row["as of"]: row.get("outcome", "") for table in tables for row in table}
    assert rows["2026-10-26"].startswith("2026-10-26 published by ")


def test_a_backfill_killed_half_way_is_resumed_without_redoing(
    night: Path, tmp_path: Path, server: PrefectServer
) -> None:
    store = night / "store"
    words = ("backfill", "tiny.toml", "--start", "2026-10-15", "--end", "2026-10-17", "--store", str(store))
    with (tmp_path / "log").open("wb") as log:
        killed = subprocess.Popen(
            [Path(sys.executable).parent / "nightcast", *words],
            cwd=night,
            env={**os.environ, **server.environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            for _ in range(4800):
                if list(store.glob("forecasts/tiny/as_of=2026-10-15/*/_manifest.json")):
                    break
                time.sleep(0.05)
        finally:
            killed.kill()
            killed.wait(30)
    assert killed.returncode == -9, (tmp_path / "log").read_text()
    manifests, models = files(store / "forecasts", "_manifest.json"), files(store / "models", "*.*")

    rest = run(night, 15, 17)
    assert rest[-1] == "2026-10-17"
    assert "2026-10-15" not in rest
    assert len(rest) + len(manifests) == 3 + 3
    after = files(store / "forecasts", "_manifest.json")
    assert {path: after[path] for path in manifests} == manifests
    assert files(store / "models", "*.*") == models
    assert len(reader.history("tiny", "AAA", str(store))) == 6 * 5
