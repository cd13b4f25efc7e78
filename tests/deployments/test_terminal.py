"""Tables in the terminal: nothing that a person may copy is folded."""

import os
import sys

import pytest

from deployments.terminal import print_table

COMMAND = "run: nightcast run fx --as-of 2026-10-30 --store '/srv/a store' --panels '/etc/my panels'"
COLUMNS = ("panel", "state", "detail")
ROWS = [("fx", "stale", COMMAND), ("metals", "fresh", "")]


def test_without_a_terminal_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "panel   state  detail",
        f"fx      stale  {COMMAND}",
        "metals  fresh",
    ]


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (40, ["fx      stale", f"  {COMMAND}", "metals  fresh"]),
        (200, [f"fx      stale  {COMMAND}", "metals  fresh"]),
    ],
)
def test_in_a_narrow_terminal_details_stand_below_their_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, rows: list[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("deployments.terminal.get_terminal_size", lambda: os.terminal_size((width, 24)))
    print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines()[1:] == rows
