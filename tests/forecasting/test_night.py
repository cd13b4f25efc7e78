"""A night from a notebook: the library alone, without Prefect."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from forecasting import night
from forecasting.as_of import to_instant
from forecasting.models.baselines import EwmaWalk
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import take_snapshot
from forecasting.publishing import reader
from forecasting.storage import Storage
from tests.conftest import write_prices
from tests.published import write_forecast


@pytest.fixture
def panel(trained_panel: Path) -> Panel:
    """A panel whose history is too short to train on, so that the EWMA walk publishes at once."""
    write_prices(trained_panel.parent / "prices.csv", {"AAA": 80, "BBB": 80})
    return Panel.load(trained_panel)


def test_a_night_publishes_and_the_same_night_again_changes_nothing(
    panel: Panel, local_storage: Storage
) -> None:
    first = night.run_night(panel, local_storage)
    again = night.run_night(panel, local_storage)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.manifest == first.manifest
    assert (first.manifest.as_of, first.manifest.model) == ("2026-10-30", EwmaWalk.name)
    frame = reader.latest("tiny", local_storage.uri)
    assert set(frame["forecast_id"]) == {first.manifest.forecast_id}
    assert {
        "_report.html",
        "_outlook.parquet",
        "_charts/AAA.png",
        "_report/index.js",
        "_warnings.json",
    } <= first.manifest.objects.keys()


def test_a_night_for_a_past_date_is_backfilled(panel: Panel, local_storage: Storage) -> None:
    night.run_night(panel, local_storage)
    past = night.run_night(panel, local_storage, as_of="2026-10-28")
    assert (past.manifest.as_of, past.manifest.origin) == ("2026-10-28", "backfill")
    assert set(reader.latest("tiny", local_storage.uri)["cutoff"].dt.strftime("%Y-%m-%d")) == {"2026-10-30"}


def test_each_step_is_run_by_what_the_caller_gives(panel: Panel, local_storage: Storage) -> None:
    steps = []

    class Run(type(night.RUN_DIRECTLY)):
        def __call__(self, step, /, *args, **kwargs):  # noqa: ANN001, ANN002, ANN003, ANN204
            steps.append(step.__name__)
            return super().__call__(step, *args, **kwargs)

    run = Run()
    snapshot = take_snapshot(panel, _filled(panel, local_storage), None, datetime.now(UTC))
    decision = night.decide(panel, local_storage, snapshot, run=run)
    night.make_forecast(panel, local_storage, snapshot, decision, run=run)
    assert steps == [
        *("plan_training", "is_training_due", "retrain"),
        *("find_forecast", "fit_walk", "forecast_shard", "draw_charts", "write_report", "publish"),
    ]
    steps.clear()
    assert not night.make_forecast(panel, local_storage, snapshot, decision, run=run).is_new
    assert steps == ["find_forecast"]


def test_a_forecast_that_was_never_committed_is_made_again(panel: Panel, local_storage: Storage) -> None:
    snapshot = take_snapshot(panel, _filled(panel, local_storage), None, datetime.now(UTC))
    decision = night.decide(panel, local_storage, snapshot)
    write_forecast(panel, local_storage, snapshot, decision)
    assert night.make_forecast(panel, local_storage, snapshot, decision).is_new


def _filled(panel: Panel, storage: Storage) -> Storage:
    ingest(panel, storage, to_instant(datetime.now(UTC)))
    return storage


def test_a_new_panel_is_forecast_by_the_network_from_its_first_night(
    tmp_path: Path, local_storage: Storage
) -> None:
    write_prices(tmp_path / "prices.csv", {"AAA": 60, "BBB": 200})
    path = tmp_path / "fresh.toml"
    path.write_text('name = "fresh"\n[source]\nuri = "prices.csv"\n', encoding="utf-8")
    result = night.run_night(Panel.load(path), local_storage)
    decision = result.manifest.decision
    assert decision is not None
    assert (decision.model, decision.regression_weight) == ("stacked_lstm", 0.0)
    assert "not yet tested on this panel" in decision.reason
    assert decision.verdict is not None
    assert not decision.verdict.gated
    frame = reader.latest("fresh", local_storage.uri)
    assert frame.groupby("unique_id")["model"].unique().explode().to_dict() == {
        "AAA": "stacked_lstm",
        "BBB": "stacked_lstm",
    }
    assert frame["h"].max() == 72
