from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecasting.digests import digest_bytes
from forecasting.models.registry import ModelMetadata, Registry
from forecasting.models.training import TrainedNetwork
from forecasting.operations.deadline import (
    can_do_without_source,
    deadline_of,
    missed_night,
    missing_bar,
    stand_in,
    with_skipped_dates,
    without_late_source,
    without_late_training,
)
from forecasting.panel import Panel
from forecasting.panel_settings import BarSettings, ModelSettings, Schedule
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import Snapshot, newest_as_of, take_snapshot
from forecasting.publishing.address import FORECAST, ForecastAddress
from forecasting.publishing.decisions import Decision, DecisionLog
from forecasting.publishing.forecast import address_of
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.publish import commit, point_latest
from forecasting.selection.challenger import WindowPlan, settings_digest
from forecasting.storage import Storage

DUE = datetime(2026, 10, 31, 6, tzinfo=UTC)
A_DAY_LATER = DUE + timedelta(days=1)
DEADLINE = A_DAY_LATER + timedelta(minutes=90)
PLAN = WindowPlan("2026-08-31", 900, 800, 100, "new")


@pytest.fixture
def panel(tiny_panel: Path, local_storage: Storage) -> Panel:
    """The tiny panel, with prices up to 2026-10-30 in the store."""
    panel = Panel.load(tiny_panel)
    ingest(panel, local_storage, np.datetime64("2026-10-31T06:00:00", "us"))
    return panel


@pytest.fixture
def snapshot(panel: Panel, local_storage: Storage) -> Snapshot:
    return take_snapshot(panel, local_storage, None, A_DAY_LATER)


def publish_one(
    storage: Storage, provisional: str | None = None, as_of: str = "2026-10-30"
) -> dict[str, Any]:
    address = ForecastAddress("tiny", as_of, "id")
    storage.put(address.path(FORECAST), b"a forecast")
    return commit(storage, Manifest.of(address, known_at="2026-10-31T06:00:00Z", provisional=provisional))


def standing(panel: Panel, model: str = "random_walk") -> Decision:
    return Decision(
        as_of="2026-10-29",
        decided_at="2026-10-30T06:00:00.000000+00:00",
        challenger="old",
        model=model,
        version="old",
        settings=settings_digest(panel),
        reason="It won.",
        verdict=None,
    )


@pytest.mark.parametrize(
    ("minutes", "deadline"), [(0, None), (90, datetime(2026, 10, 31, 7, 30, tzinfo=UTC))]
)
def test_the_deadline_counts_from_the_scheduled_time(
    panel: Panel, minutes: float, deadline: datetime | None
) -> None:
    panel = panel.model_copy(update={"schedule": Schedule(deadline_minutes=minutes)})
    assert deadline_of(panel, DUE) == deadline


@pytest.mark.parametrize(
    ("now", "missed"),
    [
        ("2026-10-31T06:30", None),
        ("2026-11-01T05:59", None),  # a day late, but no later run is due yet
        ("2026-11-01T06:00", (A_DAY_LATER, date(2026, 10, 30))),
        ("2026-11-05T12:00", (datetime(2026, 11, 5, 6, tzinfo=UTC), date(2026, 10, 30))),
    ],
)
def test_a_night_is_missed_once_a_later_one_was_due(
    panel: Panel, now: str, missed: tuple[datetime, date] | None
) -> None:
    assert missed_night(panel, DUE, datetime.fromisoformat(f"{now}+00:00")) == missed


def test_a_run_a_moment_before_its_due_time_is_not_missed(panel: Panel) -> None:
    assert missed_night(panel, DUE - timedelta(seconds=30), DUE) is None


def test_a_missed_night_whose_bars_the_later_one_has_needs_no_backfill(panel: Panel) -> None:
    ecb = panel.model_copy(update={"bars": BarSettings(calendar="ECB")})
    saturday, sunday = DUE, A_DAY_LATER
    assert missed_night(ecb, saturday, sunday) == (sunday, None)


@pytest.mark.parametrize(
    ("newest", "said"),
    [
        (None, None),
        ("2026-10-30", None),
        ("2026-10-29", None),
        (
            "2026-10-27",
            (
                "No forecast was published for 2026-10-28, 2026-10-29, but the bars are in the store now; "
                "to publish what is missing, run: nightcast backfill tiny --start 2026-10-28 "
                "--end 2026-10-29 --store {folder}/store --panels {folder}"
            ),
        ),
    ],
    ids=["nothing yet", "this very date", "the one before", "three before"],
)
def test_dates_without_a_forecast_since_the_newest_one_are_named(
    panel: Panel, local_storage: Storage, snapshot: Snapshot, newest: str | None, said: str | None
) -> None:
    if newest:
        point_latest(local_storage, publish_one(local_storage, as_of=newest))
    noted = with_skipped_dates(panel, local_storage, snapshot, A_DAY_LATER)
    found = noted.findings[len(snapshot.findings) :]
    folder = str(panel.file.parent) if panel.file else ""
    expected = [("P205", said.format(folder=folder))] if said else []
    assert [(one.code, one.detail) for one in found] == expected
    decision = standing(panel)
    assert address_of(panel, noted, decision) == address_of(panel, snapshot, decision)


def test_dates_that_were_filled_or_never_due_are_not_named(
    panel: Panel, local_storage: Storage, snapshot: Snapshot
) -> None:
    point_latest(local_storage, publish_one(local_storage, as_of="2026-10-27"))
    publish_one(local_storage, as_of="2026-10-28")
    mondays = panel.model_copy(update={"schedule": Schedule(cron="0 6 * * 1")})
    assert with_skipped_dates(mondays, local_storage, snapshot, A_DAY_LATER) == snapshot
    publish_one(local_storage, as_of="2026-10-29")
    assert with_skipped_dates(panel, local_storage, snapshot, A_DAY_LATER) == snapshot


@pytest.mark.parametrize(
    ("due", "missing"),
    [
        ("2026-10-30T14:59", None),  # a Friday; the rates come at 16:00 in Frankfurt, 15:00 UTC in winter
        ("2026-10-30T15:00", "2026-10-30"),
        ("2026-11-01T12:00", "2026-10-30"),  # no bars on a Saturday and a Sunday
    ],
)
def test_a_bar_is_missing_once_the_calendar_says_that_it_is_closed(
    panel: Panel, due: str, missing: str | None
) -> None:
    ecb = panel.model_copy(update={"bars": BarSettings(calendar="ECB")})
    assert missing_bar(ecb, "2026-10-29", datetime.fromisoformat(f"{due}+00:00")) == missing


def test_the_newest_as_of_is_that_of_a_run(panel: Panel, local_storage: Storage, snapshot: Snapshot) -> None:
    assert newest_as_of(panel, local_storage, A_DAY_LATER) == snapshot.as_of == "2026-10-30"


def test_with_a_late_source_the_snapshot_is_provisional(
    panel: Panel, local_storage: Storage, snapshot: Snapshot
) -> None:
    marked = without_late_source(panel, local_storage, snapshot, A_DAY_LATER, DEADLINE)
    assert marked.provisional == "the source had no bar of 2026-10-31 by the deadline, 2026-11-01 07:30 UTC"
    both = without_late_training(marked, DEADLINE)
    assert both.provisional == (
        f"{marked.provisional}; the training had not finished by the deadline, 2026-11-01 07:30 UTC"
    )


def test_with_a_source_in_time_the_snapshot_is_not_provisional(
    panel: Panel, local_storage: Storage, snapshot: Snapshot
) -> None:
    assert without_late_source(panel, local_storage, snapshot, DUE, DEADLINE) == snapshot


def test_an_unreadable_source_does_not_stop_the_run_while_stored_prices_have_no_forecast(
    panel: Panel, local_storage: Storage
) -> None:
    assert can_do_without_source(panel, local_storage, A_DAY_LATER)
    publish_one(local_storage, provisional="the source was late")
    assert can_do_without_source(panel, local_storage, A_DAY_LATER)


def test_an_unreadable_source_stops_the_run_without_prices_or_when_their_forecast_is_published(
    panel: Panel, local_storage: Storage
) -> None:
    publish_one(local_storage)
    assert not can_do_without_source(panel, local_storage, A_DAY_LATER)
    other = panel.model_copy(update={"name": "other"})
    assert not can_do_without_source(other, local_storage, A_DAY_LATER)


@pytest.mark.parametrize(("there", "is_marked"), [(None, False), ("the training was late", True)])
def test_nobody_publishes_early_when_a_final_forecast_exists(
    panel: Panel, local_storage: Storage, snapshot: Snapshot, there: str | None, *, is_marked: bool
) -> None:
    publish_one(local_storage, provisional=there)
    marked = without_late_source(panel, local_storage, snapshot, A_DAY_LATER, DEADLINE)
    assert bool(marked.provisional) == is_marked
    assert (stand_in(panel, local_storage, snapshot, PLAN) is not None) == is_marked


def test_the_standing_champion_publishes_at_the_deadline(
    panel: Panel, local_storage: Storage, snapshot: Snapshot
) -> None:
    recorded = DecisionLog(local_storage, "tiny").append(standing(panel))
    assert stand_in(panel, local_storage, snapshot, PLAN) == recorded


@pytest.mark.parametrize("fault", ["none", "missing", "damaged", "settings"])
def test_without_a_usable_champion_the_ewma_walk_publishes(
    panel: Panel, local_storage: Storage, snapshot: Snapshot, fault: str
) -> None:
    log = DecisionLog(local_storage, "tiny")
    if fault in ("missing", "damaged"):
        log.append(standing(panel, "stacked_lstm"))  # there is no such version
    if fault == "damaged":  # in a way that shows only when it is loaded
        metadata = ModelMetadata(
            version="old", sha256=digest_bytes(b"?"), settings={}, trained_at="2026-10-30T06:00:00Z"
        )
        Registry(local_storage, "tiny").save(TrainedNetwork(b"?", {}, {}, {}), metadata)
    if fault == "settings":
        log.append(replace(standing(panel), settings="others"))
    found = stand_in(panel, local_storage, snapshot, PLAN)
    assert found is not None
    assert (found.model, found.challenger) == ("ewma_walk", "new")


def test_nobody_publishes_early_for_the_lectures_network(
    panel: Panel, local_storage: Storage, snapshot: Snapshot
) -> None:
    lecture = panel.model_copy(update={"model": ModelSettings(preset="lecture")})
    assert stand_in(lecture, local_storage, snapshot, PLAN) is None


def test_a_provisional_forecast_has_its_own_id_whatever_the_reason(panel: Panel, snapshot: Snapshot) -> None:
    decision = standing(panel)
    final, late, later = (
        address_of(panel, replace(snapshot, provisional=why), decision).forecast_id
        for why in ("", "the source was late", "the training was late")
    )
    assert final != late == later
