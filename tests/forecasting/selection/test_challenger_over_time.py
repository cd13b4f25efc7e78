"""Who publishes night after night, and when a challenger is due, with networks that train instantly."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from forecasting.errors import ModelError
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import take_snapshot
from forecasting.progress import silent
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.records import SEAL, seal
from forecasting.selection.challenger import (
    WindowPlan,
    load_decision,
    plan_training,
    retrain,
    retrain_reason,
    settings_digest,
)
from forecasting.storage import Storage
from tests.conftest import write_prices
from tests.workshop import Workshop

NOW = datetime(2026, 11, 20, 6, tzinfo=UTC)


@pytest.fixture
def panel(tiny_panel: Path, local_storage: Storage) -> Panel:
    """A panel whose prices, up to 2026-10-30, are in the store."""
    panel = Panel.load(tiny_panel)
    ingest(panel, local_storage, np.datetime64(NOW.replace(tzinfo=None), "us"))
    return panel


def night(panel: Panel, storage: Storage, as_of: str, mode: str = "auto") -> Decision:
    """The decision of a run for `as_of`."""
    snapshot = take_snapshot(panel, storage, as_of, NOW)
    plan = plan_training(panel, storage, snapshot)
    if mode == "retrain" or retrain_reason(panel, storage, as_of, plan):
        return retrain(panel, storage, snapshot, plan, silent)
    return load_decision(panel, storage, as_of)


def test_a_refused_challenger_is_not_trained_again_before_the_next_is_due(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    champion = night(panel, local_storage, "2026-10-10").version
    workshop.shift = 30
    decisions = [night(panel, local_storage, f"2026-10-{day}") for day in range(18, 27)]
    assert {decision.version for decision in decisions} == {champion}
    assert workshop.trained == ["2026-08-11", "2026-08-19", "2026-08-27"]  # for the 10th, 18th and 26th
    assert "the challenger was refused" in decisions[0].reason


def test_nothing_is_trained_before_a_challenger_is_due_while_a_baseline_publishes(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    workshop.shift = 30
    decisions = [night(panel, local_storage, f"2026-10-{day}") for day in range(18, 26)]
    assert len({decision.model for decision in decisions} & {"ewma_walk", "random_walk"}) == 1
    assert len(workshop.trained) == 1


def test_a_better_model_replaces_the_baseline(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    workshop.shift = 30
    assert night(panel, local_storage, "2026-10-10").model != "stacked_lstm"
    workshop.shift = 0
    back = night(panel, local_storage, "2026-10-20")
    assert back.reason.startswith("stacked_lstm replaces ewma_walk: on ")
    assert back.version == back.best == back.challenger


def test_late_bars_and_revisions_make_no_challenger_due(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    night(panel, local_storage, "2026-10-30")
    source = Path(panel.source.uri)
    lines = source.read_text().splitlines()
    del lines[390]  # remove AAA's bar of 2026-10-21, and change that of 2026-02-12
    lines[140] = lines[140].rsplit(",", 1)[0] + ",99.5"
    source.write_text("\n".join([*lines, "LATE,2026-10-29,5.0", "LATE,2026-10-30,5.1"]) + "\n")
    ingest(panel, local_storage, np.datetime64("2026-11-20T07:00:00", "us"))
    night(panel, local_storage, "2026-10-30")
    assert len(workshop.trained) == 1


def test_a_panel_with_materially_more_prices_is_due(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    night(panel, local_storage, "2026-10-30")
    write_prices(Path(panel.source.uri), dict.fromkeys(("AAA", "BBB", "C/C", "NEW"), 400))
    ingest(panel, local_storage, np.datetime64("2026-11-20T07:00:00", "us"))
    assert night(panel, local_storage, "2026-10-30").training_bars == 4 * 340
    assert len(workshop.trained) == 2


@pytest.mark.parametrize(
    ("before", "now", "windows", "due"),
    [
        (1000, 1049, 9, False),
        (1000, 1050, 9, True),
        (1000, 900, 9, False),
        (0, 100, 1, True),
        (0, 100, 0, False),
    ],
    ids=["less than 5%", "5%", "fewer", "the first window", "still no window"],
)
def test_five_percent_more_training_bars_make_a_challenger_due(
    panel: Panel, local_storage: Storage, before: int, now: int, windows: int, due: bool
) -> None:
    standing = Decision(
        "2026-10-30",
        "2026-10-30T06:00:00.000000+00:00",
        "v",
        "ewma_walk",
        "v",
        settings_digest(panel),
        "because",
        {},
        training_bars=before,
    )
    DecisionLog(local_storage, "tiny").append(standing)
    plan = WindowPlan("2026-08-31", now, windows, 100, "w")
    assert (retrain_reason(panel, local_storage, "2026-10-30", plan) is not None) is due


def test_a_champion_with_other_settings_does_not_compete_and_is_not_retrained_twice(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    champion = night(panel, local_storage, "2026-10-28").version
    other = panel.model_copy(update={"model": panel.model.model_copy(update={"seed": 1})})
    workshop.shift = 30
    refused = night(other, local_storage, "2026-10-29")
    assert refused.model in {"ewma_walk", "random_walk"}
    assert f"Champion {champion} did not compete: it has other settings." in refused.reason
    assert night(other, local_storage, "2026-10-30") == refused
    assert len(workshop.trained) == 2


def test_a_champion_that_was_trained_on_the_holdout_does_not_compete(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    later = night(panel, local_storage, "2026-10-30")
    log = DecisionLog(local_storage, "tiny")
    log.append(replace(later, as_of="2026-10-01", trained_for="2026-09-01"))
    workshop.shift = 30
    decision = night(panel, local_storage, "2026-10-02")
    assert decision.version != later.version
    assert decision.verdict.versions == {"stacked_lstm": decision.challenger}
    assert (
        f"Champion {later.version} did not compete: it was trained up to 2026-08-31T00:00, on some of the "
        "bars held out for this test."
    ) in decision.reason


def test_a_lost_champion_does_not_compete(panel: Panel, local_storage: Storage, workshop: Workshop) -> None:
    lost = night(panel, local_storage, "2026-10-10").version
    local_storage.put(f"models/tiny/{lost}/model.keras", b"half")
    decision = night(panel, local_storage, "2026-10-11")
    assert f"Champion {lost} did not compete: it is missing from the store, or damaged." in decision.reason
    assert len(workshop.trained) == 2


def spoil(storage: Storage, version: str, **changes: object) -> None:
    """Change the metadata of a version, whose network stays intact."""
    path = f"models/tiny/{version}/metadata.json"
    metadata = json.loads(storage.get(path))
    del metadata[SEAL]
    storage.put(path, seal({**metadata, **changes}))


def test_a_champion_that_cannot_be_loaded_does_not_compete_and_costs_no_night(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    champion = night(panel, local_storage, "2026-10-10").version
    spoil(local_storage, champion, state={})
    decision = night(panel, local_storage, "2026-10-20")
    assert f"Champion {champion} did not compete: it cannot be loaded." in decision.reason
    assert decision.version != champion
    assert len(workshop.trained) == 2


def test_a_model_of_another_version_that_cannot_be_loaded_is_due(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    champion = night(panel, local_storage, "2026-10-10").version
    spoil(local_storage, champion, package_version="0.0.9")
    assert night(panel, local_storage, "2026-10-11").version == champion
    spoil(local_storage, champion, package_version="0.0.9", state={})
    assert night(panel, local_storage, "2026-10-12").version != champion
    assert len(workshop.trained) == 2


def test_a_version_that_cannot_be_loaded_is_trained_again(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    before = night(panel, local_storage, "2026-10-10")
    spoil(local_storage, before.version, state={})
    again = night(panel, local_storage, "2026-10-10", mode="retrain")
    assert (again.version, again.model) == (before.version, before.model)
    assert len(workshop.trained) == 2


def test_bad_scores_make_a_challenger_due_at_once_and_then_weekly_trainings_continue(
    panel: Panel, local_storage: Storage, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def beyond(_panel: Panel, _storage: Storage, as_of: str) -> str | None:
        return "the skill was too low" if as_of >= "2026-09-18" else None

    monkeypatch.setattr("forecasting.selection.challenger.beyond_limits", beyond)
    for day in np.arange("2026-09-15", "2026-10-21", dtype="datetime64[D]"):
        night(panel, local_storage, str(day))
    made = [(one.as_of, one.scores) for one in DecisionLog(local_storage, "tiny").all()]
    assert made == [
        ("2026-09-15", ""),
        ("2026-09-18", "the skill was too low"),
        ("2026-09-26", ""),
        ("2026-10-04", ""),
        ("2026-10-12", ""),
        ("2026-10-18", "the skill was too low"),  # 30 days later
    ]
    assert len(workshop.trained) == 6


def test_a_challenger_that_ties_publishes_and_the_best_on_record_meets_the_next(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    first, second, third = (night(panel, local_storage, f"2026-10-{day}", "retrain") for day in (10, 17, 24))
    assert (second.version, second.best) == (second.challenger, first.version)
    assert third.verdict.versions == {
        "stacked_lstm": third.challenger,
        "champion": second.version,
        "best": first.version,
    }
    assert len(workshop.trained) == 3


def test_a_forced_retraining_trains_unless_it_was_done_already(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    night(panel, local_storage, "2026-10-29")
    first, again = (night(panel, local_storage, "2026-10-30", "retrain") for _ in range(2))
    assert again == first
    assert len(workshop.trained) == 2


def test_a_decision_records_its_numbers_and_what_comes_next(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    night(panel, local_storage, "2026-10-20")
    decision = night(panel, local_storage, "2026-10-28")
    found = DecisionLog(local_storage, "tiny").standing("2026-10-28")
    assert found is not None
    assert found.verdict.duels[-1].standard_error is not None
    first = found.verdict.duels[0]
    assert (first.candidate, first.opponent) == ("stacked_lstm", "champion")
    assert {"ewma_walk", "random_walk"} <= {duel.opponent for duel in found.verdict.duels}
    assert (found.trained_for, found.training_bars, found.verdict.dates) == ("2026-10-28", 3 * 338, 6)
    assert found.next_step == (
        "The next challenger is due after 2026-11-04, or earlier if the training data grows by 5%, "
        "the model's settings change, or published forecasts score below the limits in [scoring]."
    )
    assert decision == found
    assert len(workshop.trained) == 2


def test_a_backfill_of_the_past_neither_uses_nor_moves_todays_champion(
    panel: Panel, local_storage: Storage, workshop: Workshop
) -> None:
    today = night(panel, local_storage, "2026-10-30")
    past = night(panel, local_storage, "2026-10-15")
    assert past.version != today.version
    assert past.verdict.versions == {"stacked_lstm": past.version}
    assert workshop.trained == ["2026-08-31", "2026-08-16"]
    assert night(panel, local_storage, "2026-10-30") == today
    with pytest.raises(ModelError, match="no model to load as of 2026-10-14"):
        load_decision(panel, local_storage, "2026-10-14")
