"""The maintenance flow against a real Prefect server."""

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.exceptions import ParameterTypeError

from flows.maintenance import maintenance
from forecasting.errors import NightcastError, PanelError
from forecasting.operations.landing_page import update_landing_page
from forecasting.operations.maintenance import maintain
from forecasting.panel import Panel
from forecasting.reports.landing import dates_path
from forecasting.storage import Storage
from tests.conftest import TINY_PANEL
from tests.shelf import NOW, Shelf

pytestmark = pytest.mark.usefixtures("prefect_server")

RETENTION = "[retention]\nforecast_days = 100\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders of two panels and of their store, each of which has a forecast that may go."""
    for name in ("tiny", "twin"):
        text = TINY_PANEL.replace('"tiny"', f'"{name}"') + RETENTION
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        shelf = Shelf(Panel.load(tmp_path / f"{name}.toml"), Storage(str(tmp_path / "store")))
        shelf.forecast(200, "old")
        shelf.forecast(0, "new")

    def at_that_time(panel: Panel, storage: Storage, _now: object, *, dry_run: bool) -> Any:
        return maintain(panel, storage, NOW, dry_run=dry_run)

    monkeypatch.setattr("tasks.maintenance.maintain", at_that_time)
    return tmp_path


def run(folder: Path, **parameters: Any) -> dict[str, Any]:
    return maintenance(store=str(folder / "store"), panels=str(folder), **parameters)


def old(folder: Path) -> list[str]:
    return sorted(path.parts[-3] for path in (folder / "store" / "forecasts").rglob("id=old"))


def shown() -> list[dict[str, str]]:
    with get_client(sync_client=True) as client:
        (found,) = [one for one in client.read_latest_artifacts() if one.key == "maintenance"]
    return json.loads(found.data)


def test_every_panel_of_the_folder_is_cleared_up(folder: Path) -> None:
    assert run(folder) == {"tiny": 1, "twin": 1}
    assert old(folder) == []
    assert [(row["panel"], row["what"]) for row in shown()] == [
        ("tiny", "kept"),
        ("tiny", "old forecast"),
        ("twin", "kept"),
        ("twin", "old forecast"),
        ("(Prefect)", "old runs"),
    ]
    assert shown()[0]["why"] == "forecasts: 1, models: 0"


def test_removed_forecasts_leave_the_landing_page(folder: Path) -> None:
    store = Storage(str(folder / "store"))
    for panel in ("tiny", "twin"):
        update_landing_page(Panel.load(folder / f"{panel}.toml"), store, NOW)
        assert '"old"' in store.get(dates_path(panel)).decode()
    run(folder)
    assert '"old"' not in store.get(dates_path("tiny")).decode() + store.get(dates_path("twin")).decode()


def test_one_panel_alone(folder: Path) -> None:
    assert run(folder, only_panel="twin") == {"twin": 1}
    assert old(folder) == ["tiny"]


def test_a_dry_run_removes_nothing(folder: Path) -> None:
    assert run(folder, dry_run=True) == {"tiny": 1, "twin": 1}
    assert old(folder) == ["tiny", "twin"]
    assert [row["why"] for row in shown() if row["what"] == "old forecast"] == [
        "more than 100 days older than the newest, 2100-01-01"
    ] * 2


def test_a_panel_that_fails_stops_no_other_but_fails_the_run(folder: Path) -> None:
    (folder / "broken.toml").write_text("name = 3", encoding="utf-8")
    (folder / "store" / "latest" / "tiny.json").write_text("?", encoding="utf-8")
    with pytest.raises(
        NightcastError,
        match=r"maintenance failed for 2 of 4, .*: broken \(.*broken.toml.*\); tiny \(.*tiny.json is damaged",
    ):
        run(folder)
    assert old(folder) == ["tiny"]
    assert [row["panel"] for row in shown() if row["what"] == "FAILED"] == ["broken", "tiny"]


def test_a_folder_without_panels_is_named(tmp_path: Path) -> None:
    with pytest.raises(PanelError, match=f"no panels in {tmp_path}"):
        run(tmp_path)


@pytest.mark.parametrize("days", [6, 3651])
def test_days_out_of_bounds_are_refused(folder: Path, days: int) -> None:
    with pytest.raises(ParameterTypeError, match="keep_runs_days"):
        run(folder, keep_runs_days=days)
