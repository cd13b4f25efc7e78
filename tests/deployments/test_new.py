"""`nightcast new`: the panel file for a vendor's file, and a run of it."""

from pathlib import Path

import numpy as np
import pytest

from deployments import cli
from forecasting.calendar import bar_calendar
from forecasting.panel import Panel

DAYS = bar_calendar("XNYS", "1D").bars(np.datetime64("2025-01-02"), np.datetime64("2026-06-30"))


def call(*words: str) -> int:
    """Run a command in this process; its exit code."""
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    lines = [f'"{day.item():%m/%d/%Y}","${1000 + at % 9:,.2f}"' for at, day in enumerate(DAYS)]
    path = tmp_path / "HistoricalData_ACME.csv"
    path.write_text("\n".join(["Date,Close/Last", *lines]) + "\n")
    return path


def test_it_writes_the_panel_and_shows_what_it_understood(
    prices: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    panels = prices.parent / "panels"
    assert call("new", str(prices), "--panels", str(panels), "--store", str(prices.parent / "store")) == 0
    said = capsys.readouterr().out
    panel = Panel.load("historicaldata_acme", panels)
    assert (panel.bars.calendar, panel.source.time_format) == ("XNYS", "%m/%d/%Y")
    assert (panel.source.id_in_file_name, panel.source.columns) == (
        "HistoricalData_*",
        {"close": "Close/Last"},
    )
    assert "ACME       2025-01-02 00:00  1000" in said
    assert (
        f"Next: nightcast run historicaldata_acme --store {prices.parent / 'store'} --panels {panels}" in said
    )


def test_the_printed_panel_is_ingested_as_it_stands(prices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    panels, store = str(prices.parent / "panels"), str(prices.parent / "store")
    assert call("new", str(prices), "--name", "mine", "--panels", panels) == 0
    assert call("ingest", "mine", "--panels", panels, "--store", store) == 0
    assert f"mine: {len(DAYS)} rows offered; {len(DAYS)} new" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--name", "Not A Name"), 'name = "Not A Name" is not allowed; write a name of lower-case letters'),
        ((), "nothing.csv; check the path"),
    ],
)
def test_it_says_in_one_line_what_is_wrong(
    prices: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], why: str
) -> None:
    path = str(prices) if words else str(prices.parent / "nothing.csv")
    assert call("new", path, "--panels", str(prices.parent / "panels"), *words) == 1
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert not (prices.parent / "panels").exists()
