"""Commands that messages print run as they stand."""

import shlex
from pathlib import Path

import pytest

from deployments import cli
from forecasting.commands import command
from forecasting.panel import Panel
from forecasting.panel_settings import Source

MEMORY = Panel(name="fx", source=Source(uri="x.csv"))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NIGHTCAST_PANELS", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


def write(path: Path) -> Panel:
    path.parent.mkdir(exist_ok=True)
    path.write_text('name = "fx"\n[source]\nuri = "x.csv"\n', encoding="utf-8")
    return Panel.load(path)


def test_a_panel_of_a_panels_folder_is_named_with_the_folder(tmp_path: Path) -> None:
    panel = write(tmp_path / "my panels" / "fx.toml")
    line = command("run", panel, "--as-of", "2026-10-30", store="s3://bucket/my store")
    assert line == (
        f"nightcast run fx --as-of 2026-10-30 --store 's3://bucket/my store' --panels '{tmp_path}/my panels'"
    )


def test_a_panel_of_a_file_with_another_name_is_named_by_the_file(tmp_path: Path) -> None:
    panel = write(tmp_path / "other.toml")
    assert command("ingest", panel, store="s") == f"nightcast ingest {tmp_path}/other.toml --store s"


def test_a_relative_panel_file_is_named_by_its_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "fx.toml")
    monkeypatch.chdir(tmp_path)
    assert command("ingest", Panel.load("fx.toml"), store="s").endswith(f"--panels {tmp_path}")


def test_a_name_alone_is_looked_for_in_the_folder_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("ingest", "fx", store="s") == "nightcast ingest fx --store s"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTCAST_PANELS", "panels")
    assert command("ingest", "fx", store="s") == f"nightcast ingest fx --store s --panels {tmp_path}/panels"


def test_only_a_command_that_starts_a_flow_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    server = "http://127.0.0.1:4200/api"
    run = f"PREFECT_API_URL={server} nightcast run fx --store s"
    assert command("run", MEMORY, store="s", server=server) == run
    assert command("ingest", MEMORY, store="s", server=server) == "nightcast ingest fx --store s"
    monkeypatch.setenv("PREFECT_API_URL", server)
    assert command("run", MEMORY, store="s") == run


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("run", ("--as-of", "2026-10-30")),
        ("run", ("--mode", "retrain")),
        ("ingest", ()),
        ("score", ()),
        ("models", ()),
        ("backfill", ("--start", "2026-10-01", "--end", "2026-10-02")),
    ],
)
def test_the_command_line_understands_the_command(
    tmp_path: Path, action: str, arguments: tuple[str, ...]
) -> None:
    line = command(action, write(tmp_path / "a b" / "fx.toml"), *arguments, store=f"{tmp_path}/a store")
    name, bound, _ = cli.app.parse_args(shlex.split(line)[1:])
    assert name.__name__ == action
    assert bound.args[0] == "fx"
    assert bound.kwargs["store"] == f"{tmp_path}/a store"
    assert bound.kwargs["panels"] == f"{tmp_path}/a b"
