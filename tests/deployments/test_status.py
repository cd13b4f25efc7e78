"""`nightcast status`: with no server, and quick enough for a probe."""

import json
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments import cli
from forecasting.operations.run_record import RunRecord, write_run_record
from forecasting.panel import Panel
from forecasting.publishing.manifest import Pointer
from forecasting.storage import Storage
from tests.conftest import TINY_PANEL
from tests.imported import imported_by
from tests.published import show_by_hand

CONTRACT = Path(__file__).parent.parent.parent / "docs" / "contract.md"


@pytest.fixture
def store(tmp_path: Path) -> Storage:
    """One with a forecast of the panel tiny (daily, 24/7, due at 06:00), published just now for yesterday."""
    (tmp_path / "tiny.toml").write_text(TINY_PANEL)
    store, now = Storage(str(tmp_path / "store")), datetime.now(UTC)
    as_of = f"{now - timedelta(days=1):%F}"
    published = {"known_at": now.isoformat(), "published_at": now.isoformat(), "model": "ewma_walk"}
    show_by_hand(store, "tiny", as_of, **published)
    return store


def status(store: Storage, *words: str) -> int:
    panels = str(Path(store.uri).parent)
    with pytest.raises(SystemExit) as end:
        cli.main(["status", "--store", store.uri, "--panels", panels, *words])
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_fresh_panel_is_a_row_and_exit_0(store: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(store) == 0
    out, err = capsys.readouterr()
    header, row = out.splitlines()
    assert header.split()[:2] == ["panel", "state"]
    assert row.split()[:2] == ["tiny", "fresh"]
    assert "ewma_walk" in row
    assert "a baseline publishes instead of a model" in row
    assert err == ""


def test_a_failed_run_is_its_line_and_exit_1(store: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    write_run_record(
        store, RunRecord("tiny", "failed", later, later, "run", error="SourceError", message="no file at x")
    )
    assert status(store) == 1
    out, err = capsys.readouterr()
    assert "tiny   failed" in out
    assert err.startswith("nightcast: 1 of 1 panel is not fresh: tiny failed: the run due at ")
    assert err.endswith(" UTC ended with: no file at x\n")
    assert len(err.splitlines()) == 1


def test_json_has_the_keys_of_the_contract(store: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(store.uri).parent / "other.toml").write_text(TINY_PANEL.replace('"tiny"', '"other"'))
    assert status(store, "--json") == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    other, tiny = found.pop("panels")
    assert datetime.fromisoformat(found.pop("checked_at")).tzinfo == UTC
    assert found == {"fresh": False}
    pointer = json.loads(store.get("latest/tiny.json"))
    assert tiny.pop("age_seconds") >= 0
    assert tiny == {
        "panel": "tiny",
        "state": "fresh",
        "reason": "",
        "as_of": pointer["as_of"],
        "bars_behind": 0,
        "published_at": pointer["published_at"],
        "model": "ewma_walk",
        "notes": ["a baseline publishes instead of a model"],
    }
    assert (other["state"], other["as_of"], other["age_seconds"]) == ("never", None, None)
    assert other["reason"] in err
    section = CONTRACT.read_text(encoding="utf-8").partition("## The status\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert documented == {"checked_at", "fresh", "panels", *other}


@pytest.mark.parametrize("object_kind", ["latest/*.json", "forecasts/**/_manifest.json"])
@pytest.mark.parametrize("damage", [b"{", None])
def test_a_printed_command_runs_as_it_stands(
    store: Storage, capsys: pytest.CaptureFixture[str], object_kind: str, damage: bytes | None
) -> None:
    (path,) = Path(store.uri).glob(object_kind)
    path.write_bytes(damage) if damage else path.unlink()
    assert status(store) == 1
    printed = re.search(r"nightcast (run .*)$", capsys.readouterr().err, re.MULTILINE)
    assert printed is not None
    _, given, _ = cli.app.parse_args(shlex.split(printed[1]))
    assert Panel.load(given.args[0], given.kwargs["panels"]).name == "tiny"
    assert given.kwargs["store"] == store.uri
    assert Path(given.kwargs["panels"]).is_absolute()


def test_max_age_makes_an_older_forecast_stale(store: Storage, capsys: pytest.CaptureFixture[str]) -> None:
    pointer = Pointer.from_json(store.get("latest/tiny.json"))
    earlier = replace(pointer, published_at=(datetime.now(UTC) - timedelta(hours=2)).isoformat())
    store.put("latest/tiny.json", earlier.to_json())
    assert status(store, "--max-age", "3") == 0
    assert status(store, "--max-age", "1.5") == 1
    err = capsys.readouterr().err
    assert "tiny is stale: its forecast, as of " in err
    assert " is 2 h 0 min old, more than 1 h 30 min" in err
    assert status(store, "--max-age", "0") == 1
    assert "--max-age" in capsys.readouterr().err


def test_it_needs_neither_prefect_nor_tensorflow(store: Storage) -> None:
    imported = imported_by(["status", "--store", store.uri, "--panels", str(Path(store.uri).parent)])
    assert "deployments" in imported
    assert imported & {"prefect", "tensorflow", "keras", "matplotlib"} == set()
