"""The nightly flow, whole, against a real Prefect server."""

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.flow_engine import run_flow
from prefect.states import Scheduled

from flows.nightly import nightly
from flows.score import score
from forecasting.errors import AuditError, ModelError, SourceError
from forecasting.night import NightResult
from forecasting.operations.maintenance import maintain
from forecasting.operations.run_record import read_run_record
from forecasting.panel import Panel
from forecasting.prices.compaction import compact
from forecasting.publishing import reader
from forecasting.publishing.decisions import DecisionLog
from forecasting.publishing.manifest import Manifest
from forecasting.records import instant_of
from forecasting.scoring.track_record import read_tally
from forecasting.selection.promotion import promote, rollback
from forecasting.storage import Storage
from tests.conftest import TINY_PANEL, write_prices

NEXT_BARS = {"AAA": 401, "BBB": 401, "C/C": 401, "NEW": 71}
BARS = {"AAA": 400, "BBB": 400, "C/C": 400, "NEW": 70, "DEAD": 30}

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(scope="module")
def first_night(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_server: None,  # noqa: ARG001 - it must be there before
) -> tuple[Path, Manifest]:
    """The folder of a panel whose first run has published, and the run's manifest."""
    folder = tmp_path_factory.mktemp("first")
    write_prices(folder / "prices.csv", BARS)
    (folder / "tiny.toml").write_text(TINY_PANEL, encoding="utf-8")
    return folder, run(folder)


@pytest.fixture
def night(first_night: tuple[Path, Manifest], tmp_path: Path) -> Path:
    """A copy of it, to do with as one likes."""
    return Path(shutil.copytree(first_night[0], tmp_path / "night"))


def run(folder: Path, **parameters: Any) -> Manifest:
    return nightly(panel=str(folder / "tiny.toml"), store=str(folder / "store"), **parameters).manifest


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_forecast_is_published_with_charts_and_report(first_night: tuple[Path, Manifest]) -> None:
    folder, manifest = first_night
    assert set(manifest.objects) == {
        "forecast.parquet",
        "_walks.parquet",
        "_findings.parquet",
        "_outlook.parquet",
        "_warnings.json",
        "_report.html",
        *(f"_report/{name}" for name in ("index.js", "series-000.js")),
        *(f"_charts/{name}.png" for name in ("AAA", "BBB", "C%2FC", "NEW")),
    }
    frame = reader.latest("tiny", str(folder / "store"))
    assert frame.groupby("unique_id").size().to_dict() == {"AAA": 5, "BBB": 5, "C/C": 5, "NEW": 5}
    assert [f"{day:%Y-%m-%d}" for day in frame["ds"][:5]] == [
        *("2026-10-31", "2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04")
    ]


def test_a_night_that_trains_shows_the_loss_curve_whoever_publishes(trained_panel: Path) -> None:
    manifest = run(trained_panel.parent)
    assert "_report/loss.png" in manifest.objects
    report = next((trained_panel.parent / "store").rglob("_report.html")).read_text(encoding="utf-8")
    assert '<section id="training">' in report


def test_what_is_left_out_is_named_in_manifest_and_report(first_night: tuple[Path, Manifest]) -> None:
    folder, manifest = first_night
    assert list(manifest.left_out) == ["DEAD"]
    report = next((folder / "store").rglob("_report.html")).read_text(encoding="utf-8")
    assert "P101" in report
    assert "DEAD" in report


def test_the_findings_are_a_parquet_file_beside_the_report(
    first_night: tuple[Path, Manifest],
) -> None:
    folder, manifest = first_night
    frame = pd.read_parquet(next((folder / "store").rglob("_findings.parquet")))
    assert len(frame) == len(manifest.findings)
    assert frame.query("code == 'P101'")[["unique_id", "severity"]].to_numpy().tolist() == [["DEAD", "error"]]


def test_the_same_run_again_changes_nothing(night: Path) -> None:
    run(night)  # the source is a copy, and so another file than that of the first night
    before = files(night / "store")
    manifest = run(night)
    after = files(night / "store")
    for says_when in ("status/tiny.json", "_index/tiny.js"):
        assert after.pop(says_when) != before.pop(says_when)
    assert after == before
    assert manifest.forecast_id == json.loads(before["latest/tiny.json"])["forecast_id"]


def test_a_night_without_a_required_series_publishes_and_fails(night: Path) -> None:
    panel = night / "tiny.toml"
    panel.write_text(TINY_PANEL.replace("horizon = 5", 'horizon = 5\nrequired = ["AAA", "DEAD"]'))
    write_prices(night / "prices.csv", NEXT_BARS | {"DEAD": 30}, last="2026-10-31")
    state = nightly(panel=str(panel), store=str(night / "store"), return_state=True)
    assert state.is_failed()
    record = read_run_record(Storage(str(night / "store")), "tiny")
    assert record is not None
    assert (record.outcome, record.error) == ("failed", "RequiredSeriesError")
    assert "lacks 1 of its 2 required series: DEAD (" in (record.message or "")
    assert json.loads((night / "store" / "latest" / "tiny.json").read_text())["as_of"] == "2026-10-31"


def test_how_the_run_ended_is_recorded(night: Path) -> None:
    storage = Storage(str(night / "store"))
    first, published = read_run_record(storage, "tiny"), json.loads(storage.get("latest/tiny.json"))
    assert first is not None
    assert (first.outcome, first.forecast_id) == ("published", published["forecast_id"])
    run(night)
    again = read_run_record(storage, "tiny")
    assert again is not None
    assert (again.outcome, again.forecast_id) == ("nothing new", published["forecast_id"])


def test_a_fresh_store_gives_the_same_bytes(first_night: tuple[Path, Manifest], tmp_path: Path) -> None:
    folder, manifest = first_night
    again = nightly(panel=str(folder / "tiny.toml"), store=str(tmp_path / "other")).manifest
    assert again.forecast_id == manifest.forecast_id
    assert again.objects["forecast.parquet"] == manifest.objects["forecast.parquet"]


def test_the_next_day_loads_the_model_and_moves_on(night: Path) -> None:
    write_prices(night / "prices.csv", NEXT_BARS, last="2026-10-31")
    before = json.loads((night / "store" / "latest" / "tiny.json").read_text())
    manifest = run(night)
    assert manifest.as_of == "2026-10-31" > before["as_of"]
    assert len(list((night / "store" / "models" / "tiny").glob("*/model.keras"))) == 1
    assert json.loads((night / "store" / "latest" / "tiny.json").read_text())["as_of"] == "2026-10-31"


def test_a_night_compacts_prices(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.compact.compact", partial(compact, spare=0))
    write_prices(night / "prices.csv", NEXT_BARS, last="2026-10-31")
    run(night)
    files = DeltaTable(night / "store" / "prices" / "tiny").file_uris()
    assert sorted(Path(file).parent.name for file in files) == ["year=2025", "year=2026"]


@pytest.mark.parametrize(("module", "work"), [("tasks.compact", "compact"), ("tasks.score", "score_arrived")])
def test_a_compaction_or_a_scoring_that_fails_does_not_stop_the_night(
    night: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, module: str, work: str
) -> None:
    def broken(*_: object) -> None:
        raise DeltaError("no room left")

    monkeypatch.setattr(f"{module}.{work}", broken)
    write_prices(night / "prices.csv", NEXT_BARS, last="2026-10-31")
    assert run(night).as_of == "2026-10-31"
    (warning,) = [record for record in caplog.records if record.name == module]
    assert warning.levelname == "WARNING"
    assert "no room left" in warning.message


def test_a_night_after_maintenance_of_years_later_finds_its_own_result(night: Path) -> None:
    run(night)
    run(night, as_of=date(2026, 10, 20))
    before = files(night / "store")
    storage, later = Storage(str(night / "store")), datetime(2100, 1, 1, tzinfo=UTC)
    maintain(Panel.load(night / "tiny.toml"), storage, later)
    run(night)
    after = files(night / "store")
    published = [name for name in before if name.startswith(("latest", "forecasts", "models"))]
    assert {name: after.get(name) for name in published} == {name: before[name] for name in published}


def test_the_next_night_scores_what_the_last_one_forecast(night: Path) -> None:
    write_prices(night / "prices.csv", NEXT_BARS, last="2026-10-31")
    run(night)
    tally = read_tally(Storage(str(night / "store")), "tiny")
    assert tally[["origin", "unique_id", "rows"]].to_numpy().tolist() == [
        ["live", name, 1] for name in ("AAA", "BBB", "C/C", "NEW")
    ]
    report = next((night / "store").glob("forecasts/tiny/as_of=2026-10-31/*/_report.html"))
    assert '<section id="scores">' in report.read_text(encoding="utf-8")
    found = score(panel=str(night / "tiny.toml"), store=str(night / "store"))
    assert found == {"panel": "tiny", "forecasts": 2, "open": 2, "scored": 0, "skipped": ()}
    with get_client(sync_client=True) as client:
        shown = {artifact.key: artifact for artifact in client.read_latest_artifacts()}
    assert "| live, 90 days | 1 | 1 | 4 |" in shown["scores-tiny"].data
    assert "](data:image/png;base64," in shown["scores-tiny"].data
    assert [row["unique_id"] for row in json.loads(shown["series-scores-tiny"].data)] == [
        *("AAA", "BBB", "C/C", "NEW")
    ]


def test_a_past_date_publishes_but_does_not_move_the_pointer_back(night: Path) -> None:
    manifest = run(night, as_of=date(2026, 10, 20))
    assert manifest.as_of == "2026-10-20"
    assert json.loads((night / "store" / "latest" / "tiny.json").read_text())["as_of"] == "2026-10-30"
    frame = reader.as_of("tiny", "2026-10-20", str(night / "store"))
    assert frame["cutoff"].max().date() == date(2026, 10, 20)


def test_a_version_promoted_by_hand_publishes_the_same_date_anew(night: Path) -> None:
    panel, storage = Panel.load(night / "tiny.toml"), Storage(str(night / "store"))
    first = json.loads((night / "store" / "latest" / "tiny.json").read_text())
    run(night, as_of=date(2026, 10, 20))
    (past,) = DecisionLog(storage, "tiny").all("2026-10-20")
    promote(panel, storage, past.challenger)

    promoted = run(night)
    assert (promoted.as_of, promoted.model_version) == ("2026-10-30", past.challenger)
    assert promoted.decision.by_hand
    pointer = json.loads((night / "store" / "latest" / "tiny.json").read_text())
    assert pointer["forecast_id"] == promoted.forecast_id != first["forecast_id"]

    rollback(panel, storage)
    assert run(night).forecast_id == first["forecast_id"]
    pointer = json.loads((night / "store" / "latest" / "tiny.json").read_text())
    assert pointer["forecast_id"] == first["forecast_id"]


def test_a_version_that_the_gate_refused_publishes_every_night_once_it_is_promoted(night: Path) -> None:
    panel, storage = Panel.load(night / "tiny.toml"), Storage(str(night / "store"))
    log = DecisionLog(storage, "tiny")
    standing = log.all()[-1]
    # The gate chose a baseline at once: no decision has the trained version as its publisher.
    storage.delete(storage.list("models/tiny/promotions"))
    log.append(replace(standing, model="ewma_walk", version="0", verdict=None))
    assert promote(panel, storage, standing.challenger).verdict is None
    write_prices(night / "prices.csv", NEXT_BARS, last="2026-10-31")
    manifest = run(night, mode="load")
    assert (manifest.as_of, manifest.model_version) == ("2026-10-31", standing.challenger)


def test_prices_are_known_when_they_were_read_and_not_when_the_run_was_due(night: Path) -> None:
    began = datetime.now(UTC)
    write_prices(night / "prices.csv", NEXT_BARS, last="2026-10-31")
    due = datetime(2026, 11, 1, 6, tzinfo=UTC)
    parameters = {"panel": str(night / "tiny.toml"), "store": str(night / "store")}
    with get_client(sync_client=True) as client:
        made = client.create_flow_run(nightly, parameters=parameters, state=Scheduled(scheduled_time=due))
    result = run_flow(nightly, flow_run=made)
    assert isinstance(result, NightResult)
    assert result.manifest.as_of == "2026-10-31"
    assert instant_of(result.manifest.known_at) >= began


def test_load_with_nothing_to_load_is_an_error(tiny_panel: Path) -> None:
    with pytest.raises(
        ModelError, match="has no model to load as of 2026-10-30; run with --mode auto or retrain"
    ):
        run(tiny_panel.parent, mode="load")


def test_load_with_other_settings_is_an_error(night: Path) -> None:
    panel = night / "tiny.toml"
    panel.write_text(f"{panel.read_text()}[model]\ncontext = 20\n")
    with pytest.raises(ModelError, match="made with other settings than panel tiny has now"):
        run(night, mode="load")


def test_a_damaged_store_mends_itself(night: Path) -> None:
    before = files(night / "store")
    for path in (night / "store").rglob("*"):
        if path.name in {"model.keras", "forecast.parquet", "tiny.parquet"}:
            path.write_bytes(b"junk")
    run(night)
    after = files(night / "store")
    forecasts = [name for name in before if name.endswith("forecast.parquet")]
    assert {name: after[name] for name in [*forecasts, "latest/tiny.parquet"]} == {
        name: before[name] for name in [*forecasts, "latest/tiny.parquet"]
    }


def test_a_missing_source_leaves_the_last_forecast(night: Path) -> None:
    before = files(night / "store")
    (night / "prices.csv").unlink()
    with pytest.raises(SourceError, match=r"prices\.csv"):
        run(night)
    after = files(night / "store")
    assert json.loads(after.pop("status/tiny.json"))["outcome"] == "failed"
    assert '"state":"failed"' in after.pop("_index/tiny.js").decode()
    for says_when in ("status/tiny.json", "_index/tiny.js"):
        before.pop(says_when)
    assert after == before


def test_a_source_that_fell_silent_for_most_series_stops_the_run(night: Path) -> None:
    write_prices(night / "prices.csv", {"AAA": 415}, last="2026-11-14")
    pointer = (night / "store" / "latest" / "tiny.json").read_bytes()
    with pytest.raises(AuditError, match=r"P203 .* last forecast stands"):
        run(night, as_of=date(2026, 11, 14))
    assert (night / "store" / "latest" / "tiny.json").read_bytes() == pointer
    with get_client(sync_client=True) as client:
        shown = {artifact.key: artifact for artifact in client.read_latest_artifacts()}["findings-tiny"]
    assert "P203" in {row["code"] for row in json.loads(shown.data)}


def test_the_ui_has_summary_table_and_progress(first_night: tuple[Path, Manifest]) -> None:
    run_id = first_night[1].flow_run_id
    with get_client(sync_client=True) as client:
        shown = client.read_artifacts(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run_id])))
    found = {artifact.key: artifact for artifact in shown}
    summary = found["forecast-tiny"]
    assert summary.type == "markdown"
    assert "![AAA](data:image/png;base64," in summary.data
    assert re.search(
        r"The gate compared losses on \d+ windows from \d+ dates\..*: stacked_lstm [0-9a-f]{16} against ",
        summary.data,
    )
    assert "The next challenger is due after 2026-1" in summary.data
    assert {row["Series"] for row in json.loads(found["series-tiny"].data)} == {"AAA", "BBB", "C/C", "NEW"}
    findings = {row["code"]: row for row in json.loads(found["findings-tiny"].data)}
    assert {"P101", "P012"} <= set(findings)
    assert findings["P101"]["severity"] == "error"
    assert findings["P101"]["meaning"] == "a series has too few bars to forecast from"
    assert found["training-tiny"].data == 100.0
    assert found["charts-tiny"].data == 100.0


def test_a_store_on_s3_gives_the_same_bytes(first_night: tuple[Path, Manifest], s3_storage: Storage) -> None:
    folder, manifest = first_night
    on_s3 = nightly(panel=str(folder / "tiny.toml"), store=s3_storage.uri).manifest
    assert on_s3.objects["forecast.parquet"] == manifest.objects["forecast.parquet"]
    assert set(reader.latest("tiny", s3_storage.uri)["forecast_id"]) == {manifest.forecast_id}
