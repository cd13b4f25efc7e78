import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import ModelError
from forecasting.models.baselines import BASELINES
from forecasting.operations.maintenance import MaintenanceReport, maintain, maintenance_rows
from forecasting.prices.compaction import Compaction
from forecasting.publishing import publish, reader
from forecasting.selection.promotion import rollback, rollback_target
from forecasting.storage import Storage
from tests.shelf import NOW, Shelf, ago, decision_of, panel_of, verdict_of


@pytest.fixture
def shelf(local_storage: Storage) -> Shelf:
    """A store with one of each kind of folder that is removed, and of each that is kept."""
    made = Shelf(panel_of(forecast_days=100, superseded_days=30, model_days=180), local_storage)
    for version, days in (("unused", 400), ("champion", 300)):
        made.version(version, days)
    made.decision(300, "champion")
    made.forecast(250, "old", model_version="unused")
    made.forecast(60, "superseded", 59)
    made.forecast(60, "counts", 58)
    made.forecast(0, "latest", model_version="champion")
    made.unfinished(0, "killed")
    return made


GOING = [
    ("superseded forecast", "superseded"),
    ("old forecast", "old"),
    ("unfinished forecast", "killed"),
    ("unused model", "unused"),
]


def what(report: MaintenanceReport) -> list[tuple[str, str]]:
    return [(one.what, one.folder.replace("id=", "").rsplit("/", 1)[1]) for one in report.removed]


def test_maintenance_removes_everything_removable_at_once(shelf: Shelf) -> None:
    done = maintain(shelf.panel, shelf.storage, NOW)
    assert sorted(what(done)) == sorted(GOING)
    assert (done.forecasts, done.versions) == (2, 1)
    assert maintain(shelf.panel, shelf.storage, NOW).removed == ()


def test_a_dry_run_lists_the_same_and_changes_nothing(shelf: Shelf) -> None:
    before = shelf.storage.list("")
    listed = maintain(shelf.panel, shelf.storage, NOW, dry_run=True)
    assert shelf.storage.list("") == before
    assert listed == maintain(shelf.panel, shelf.storage, NOW)


def test_an_empty_store_needs_no_maintenance(local_storage: Storage) -> None:
    assert maintain(panel_of(), local_storage, NOW) == MaintenanceReport("tiny", (), 0, 0)


def test_the_rows_list_removals_and_compactions(shelf: Shelf) -> None:
    done = maintain(shelf.panel, shelf.storage, NOW)
    tables = (Compaction("prices/tiny", 40, 2),)
    rows = maintenance_rows(replace(done, compactions=tables, swept=(("scores/tiny", 5),)), at_most=2)
    assert [(row["what"], row["why"]) for row in rows if row["panel"] == "tiny"] == [
        ("kept", "forecasts: 2, models: 1"),
        *((one.what, one.why) for one in done.removed[:2]),
        ("and more", "folders: 2"),
        ("compacted", "from 40 files to 2"),
        ("swept", "5 replaced files deleted"),
    ]
    assert [row["where"] for row in rows[1:3]] == [one.folder for one in done.removed[:2]]


DAYS = st.integers(0, 1200)
VERSIONS = ("v0", "v1", "v2", "v3")
FORECASTS = st.lists(
    st.tuples(DAYS, st.integers(0, 60), st.sampled_from(VERSIONS), st.sampled_from(VERSIONS)), max_size=8
)
DECISIONS = st.lists(
    st.tuples(DAYS, st.sampled_from(VERSIONS), st.sampled_from(VERSIONS), st.sampled_from([*BASELINES, ""])),
    max_size=5,
)
RETENTION = st.fixed_dictionaries(
    {
        "forecast_days": st.integers(1, 900),
        "superseded_days": st.integers(1, 90),
        "model_days": DAYS.map(lambda n: n + 1),
    }
)


@settings(max_examples=60)
@given(RETENTION, FORECASTS, DECISIONS, st.tuples(DAYS, DAYS, DAYS, DAYS))
def test_after_any_maintenance_the_kept_forecasts_and_versions_are_usable(
    retention: dict[str, int],
    forecasts: list[tuple[int, int, str, str]],
    decisions: list[tuple[int, str, str, str]],
    trained: Sequence[int],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shelf = Shelf(panel_of(**retention), Storage(folder))
        for version, days in zip(VERSIONS, trained, strict=True):
            shelf.version(version, days)
        for days, version, best, baseline in decisions:
            shelf.decision(days, "1.0" if baseline else version, best, baseline or "stacked_lstm")
        for at, (days, late, version, judged) in enumerate(forecasts):
            decision = decision_of(version=version, verdict=verdict_of(stacked_lstm=judged))
            shelf.forecast(days, f"id{at}", max(days - late, 0), model_version=version, decision=decision)
        counted = {ago(days): _counts(shelf, ago(days)) for days, *_ in forecasts}
        latest = reader.latest("tiny", folder) if forecasts else None
        target = rollback_target(shelf.log.all()) if decisions else None

        maintain(shelf.panel, shelf.storage, NOW)

        if latest is not None:
            assert reader.latest("tiny", folder).equals(latest)
            assert shelf.storage.find(publish.find_pointer(shelf.storage, "tiny").path) is not None
        _check_forecasts(shelf, counted)
        _check_models(shelf)
        if target is not None:
            assert rollback(shelf.panel, shelf.storage).model == target.model
        else:
            with suppress(ModelError):
                rollback(shelf.panel, shelf.storage)


def _counts(shelf: Shelf, as_of: str) -> str:
    return str(reader.as_of("tiny", as_of, shelf.storage.uri)["forecast_id"][0])


def _check_forecasts(shelf: Shelf, counted: dict[str, str]) -> None:
    """Check that for each date either all forecasts that count are there, or none."""
    kept = publish.find_manifests(shelf.storage, "forecasts/tiny")
    for as_of in {manifest.as_of for _, manifest in kept}:
        assert _counts(shelf, as_of) == counted[as_of]
    for _, manifest in kept:
        assert shelf.registry.is_intact(manifest.model_version)
        assert shelf.registry.is_intact(manifest.decision.verdict.versions["stacked_lstm"])
    committed = {folder for folder, _ in kept}
    assert {path.rsplit("/", 1)[0] + "/" for path in shelf.storage.list("forecasts")} == committed


def _check_models(shelf: Shelf) -> None:
    """Check that the publisher at every date with a forecast, and at every later date, can be loaded."""
    oldest = min((m.as_of for _, m in publish.find_published(shelf.storage, "forecasts/tiny")), default="")
    dates = {oldest, *(d.as_of for d in shelf.log.all() if d.as_of >= oldest)}
    standing = [found for date in dates if (found := shelf.log.standing(date)) is not None]
    for decision in standing:
        assert decision.model in BASELINES or shelf.registry.is_intact(decision.version)
        assert shelf.registry.is_intact(decision.best)
