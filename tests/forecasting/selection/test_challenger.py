from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import ModelError
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import Snapshot, take_snapshot
from forecasting.progress import silent
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.selection.challenger import (
    WindowPlan,
    plan_training,
    retrain,
    retrain_reason,
    settings_digest,
)
from forecasting.storage import Storage
from tests.conftest import write_prices

# A plan for tests that do not depend on the training data.
PLAN = WindowPlan("2026-08-31", training_bars=1000, training_windows=900, holdout_windows=100, version="w")
NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)


def snapshot_of(panel: Panel, storage: Storage, as_of: str | None = None) -> Snapshot:
    ingest(panel, storage, np.datetime64("2026-11-20T06:00:00", "us"))
    return take_snapshot(panel, storage, as_of, NOW)


def decided(panel: Panel, as_of: str, settings: str | None = None) -> Decision:
    settings = settings or settings_digest(panel)
    return Decision(as_of, "2026-10-30T06:00:00+00:00", "v", "stacked_lstm", "v", settings, "because", None)


def reason_after(panel: Panel, storage: Storage, as_of: str, decision: Decision) -> str | None:
    """Why a challenger is due after a decision whose model is in the store."""
    DecisionLog(storage, "tiny").append(replace(decision, model="ewma_walk"))
    return retrain_reason(panel, storage, as_of, PLAN)


def test_a_panel_without_a_model_is_due(tiny_panel: Path, local_storage: Storage) -> None:
    assert (
        retrain_reason(Panel.load(tiny_panel), local_storage, "2026-10-30", PLAN) == "there is no model yet"
    )


def test_changed_settings_are_due(tiny_panel: Path, local_storage: Storage) -> None:
    panel = Panel.load(tiny_panel)
    standing = decided(panel, "2026-10-30", "other")
    reason = reason_after(panel, local_storage, "2026-10-30", standing)
    assert reason == "the panel's model settings have changed"


def test_a_model_that_is_missing_or_damaged_is_due(tiny_panel: Path, local_storage: Storage) -> None:
    panel = Panel.load(tiny_panel)
    DecisionLog(local_storage, "tiny").append(decided(panel, "2026-10-30"))
    said = "model v is missing from the store, or damaged"
    assert retrain_reason(panel, local_storage, "2026-10-30", PLAN) == said
    local_storage.put("models/tiny/v/metadata.json", b'{"sha256": "of the network as it was saved"}')
    local_storage.put("models/tiny/v/model.keras", b"half of it")
    assert retrain_reason(panel, local_storage, "2026-10-30", PLAN) == said
    local_storage.put("models/tiny/v/metadata.json", b"")
    assert retrain_reason(panel, local_storage, "2026-10-30", PLAN) == said


@pytest.mark.parametrize(
    ("as_of", "due"), [("2026-10-30", False), ("2026-11-06", False), ("2026-11-07", True)]
)
def test_a_model_older_than_the_panel_allows_is_due(
    tiny_panel: Path, local_storage: Storage, as_of: str, due: bool
) -> None:
    panel = Panel.load(tiny_panel)
    reason = reason_after(panel, local_storage, as_of, decided(panel, "2026-10-30"))
    assert (reason is not None) is due


def test_training_ends_before_the_holdout_and_counts_only_whole_windows(
    trained_panel: Path, local_storage: Storage
) -> None:
    panel = Panel.load(trained_panel)
    plan = plan_training(panel, local_storage, snapshot_of(panel, local_storage))
    # Of 3 series of 340 bars up to 2026-10-30, 60 bars are held out; 20 + 1 bars are context, 5 target.
    assert plan.training_end.startswith("2026-08-31")
    assert plan.training_windows == 3 * (340 - 20 - 5)


def test_a_version_depends_on_training_rows_and_settings_and_not_on_the_holdout(
    tiny_panel: Path, local_storage: Storage, tmp_path: Path
) -> None:
    panel = Panel.load(tiny_panel)
    version = plan_training(panel, local_storage, snapshot_of(panel, local_storage)).version

    other_seed = panel.model_copy(update={"model": panel.model.model_copy(update={"seed": 1})})
    assert plan_training(other_seed, local_storage, snapshot_of(panel, local_storage)).version != version

    def with_last_price_of_row(row: int) -> str:
        source = tiny_panel.parent / "prices.csv"
        lines = source.read_text().splitlines()
        lines[row] = lines[row].rsplit(",", 1)[0] + ",123.45"
        source.write_text("\n".join(lines) + "\n")
        storage = Storage(str(tmp_path / f"store{row}"))
        return plan_training(panel, storage, snapshot_of(panel, storage)).version

    assert with_last_price_of_row(400) == version  # held out
    assert with_last_price_of_row(100) != version


def test_a_version_that_is_judged_already_is_not_trained_again(
    tiny_panel: Path, local_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = Panel.load(tiny_panel)
    snapshot = snapshot_of(panel, local_storage)
    plan = plan_training(panel, local_storage, snapshot)
    standing = decided(panel, snapshot.as_of)
    standing = replace(standing, challenger=plan.version, model="random_walk")
    DecisionLog(local_storage, "tiny").append(standing)
    monkeypatch.setattr("forecasting.selection.challenger.train_network", pytest.fail)
    assert retrain(panel, local_storage, snapshot, plan, silent) == standing


def test_with_too_little_history_to_train_on_the_baseline_publishes(
    trained_panel: Path, local_storage: Storage
) -> None:
    write_prices(trained_panel.parent / "prices.csv", {"AAA": 80, "BBB": 80})
    panel = Panel.load(trained_panel)
    snapshot = snapshot_of(panel, local_storage)
    decision = retrain(panel, local_storage, snapshot, plan_training(panel, local_storage, snapshot), silent)
    assert decision.model == "ewma_walk"
    assert "a training window takes 26 bars, and no series has that many before" in decision.reason


def test_too_little_history_for_the_lectures_network_is_an_error(
    tiny_panel: Path, local_storage: Storage
) -> None:
    tiny_panel.write_text(f'{tiny_panel.read_text()}[model]\npreset = "lecture"\n')
    panel = Panel.load(tiny_panel)
    snapshot = snapshot_of(panel, local_storage)
    plan = plan_training(panel, local_storage, snapshot)
    with pytest.raises(ModelError, match=r"windows of 720 \+ 5 bars, but no series of panel tiny has 726"):
        retrain(panel, local_storage, snapshot, plan, silent)
