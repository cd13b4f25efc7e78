"""`nightcast backfill`, but for the flow itself: what it lists, refuses and prints."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import backfill_lines, cli, environment
from forecasting.panel import Panel

DATES = ("--start", "2026-10-28", "--end", "2026-10-30")
WITHOUT_PREFECT = """
import sys
from deployments.start import main
try:
    main()
finally:
    print("prefect" in sys.modules)
"""


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    assert isinstance(end.value.code, int)
    return end.value.code


def test_a_dry_run_lists_without_prefect_and_without_ingesting(tiny_panel: Path) -> None:
    store = tiny_panel.parent / "store"
    words = (str(tiny_panel), "--store", str(store))
    assert call("ingest", *words) == 0
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PREFECT, "backfill", *words, *DATES, "--dry-run"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.splitlines() == [
        *("2026-10-28", "2026-10-29", "2026-10-30"),
        "tiny: 3 dates are missing, from 2026-10-28 to 2026-10-30; 0 are published already",
        "False",
    ]
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--start", "2026-10-30", "--end", "2026-10-28"], "start 2026-10-30 is after end 2026-10-28"),
        (["--start", "2026-10-30", "--end", "2999-01-01"], "end 2999-01-01 is in the future; give"),
        (["--start", "30.10.2026", "--end", "2026-10-30"], "--start"),
        (["--start", "2026-10-30"], "--end"),
        ([*DATES, "--parallel", "0"], "--parallel"),
        ([*DATES, "--parallel", "9"], "--parallel"),
        ([*DATES, "--dry-run"], "no prices of panel tiny"),
    ],
)
def test_a_mistake_is_one_clear_line(
    words: list[str], reason: str, tiny_panel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("backfill", str(tiny_panel), "--store", str(tiny_panel.parent / "store"), *words) == 1
    err = capsys.readouterr().err
    assert reason in err
    assert len(err.splitlines()) == 1


def log_two_dates() -> None:
    with environment.own_lines_only(), backfill_lines.shown("tiny"):
        logging.getLogger("tasks.windows").info("windows: 12 to train on")
        for done in (1, 2):
            logging.getLogger("tasks.backfill_outcomes").info(
                "%d of 2", done, extra={"done": done, "total": 2}
            )
        logging.getLogger("tasks.charts").warning("charts: something is odd")


def test_a_log_has_a_line_for_each_date_and_every_warning(capsys: pytest.CaptureFixture[str]) -> None:
    log_two_dates()
    assert [line[10:] for line in capsys.readouterr().out.splitlines()] == [
        *("1 of 2", "2 of 2", "charts: something is odd")
    ]


def test_a_terminal_has_a_bar_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    log_two_dates()
    out = capsys.readouterr().out
    assert "2/2" in out
    assert "charts: something is odd" in out


def test_the_form_asks_for_dates_and_bounds_the_number(tiny_panel: Path) -> None:
    from deployments.catalogue import deployments_of  # noqa: PLC0415 - Prefect, which the command does without

    made = deployments_of([Panel.load(tiny_panel)], "store", str(tiny_panel.parent))
    (entry,) = [one for one in made if one.flow_name == "backfill"]
    form = entry._parameter_openapi_schema  # noqa: SLF001 - Prefect has no public way to it
    fields = form.properties
    assert form.required == ["start", "end"]
    assert (fields["start"]["format"], fields["end"]["format"]) == ("date", "date")
    assert (fields["parallel"]["minimum"], fields["parallel"]["maximum"]) == (1, 8)
    assert all("description" in field for field in fields.values())
