"""Which panel files are new, changed, bad or gone."""

from pathlib import Path

import pytest

from deployments.panel_folder import PanelFolder
from forecasting.errors import PanelError
from forecasting.panel import Panel
from tests.conftest import TINY_PANEL

LECTURE = (
    'name = "talk"\n'
    "[source]\n"
    'uri = "talk prices.csv"\n'
    'columns = { close = "Last" }\n'
    "[bars]\n"
    "extra_holidays = [2026-12-24]\n"
    "[model]\n"
    'preset = "lecture"\n'
)


@pytest.fixture
def panels(tiny_panel: Path) -> Path:
    return tiny_panel.parent


@pytest.fixture
def folder(panels: Path) -> PanelFolder:
    return PanelFolder(panels, panels / "kept")


def write(panels: Path, text: str, name: str = "tiny") -> None:
    (panels / f"{name}.toml").write_text(text, encoding="utf-8")


def told(folder: PanelFolder) -> list[str]:
    """What two looks tell."""
    return [change.text for _ in range(2) for change in folder.look()]


def test_nothing_is_told_while_nothing_changes(folder: PanelFolder, panels: Path) -> None:
    assert told(folder) == []
    write(panels, f"# a comment\n{TINY_PANEL}")
    assert told(folder) == []


def test_a_file_that_is_being_written_waits_for_the_next_look(folder: PanelFolder, panels: Path) -> None:
    write(panels, "name = ")
    assert folder.look() == []
    write(panels, TINY_PANEL)
    assert told(folder) == []


def test_a_new_panel(folder: PanelFolder, panels: Path) -> None:
    write(panels, LECTURE, "talk")
    assert folder.look() == []
    (change,) = folder.look()
    assert (change.text, change.is_new) == ("talk: new panel", True)
    assert [panel.name for panel in folder.panels] == ["talk", "tiny"]
    assert folder.reference("talk") == "talk"


def test_a_changed_panel_names_the_keys(folder: PanelFolder, panels: Path) -> None:
    write(panels, TINY_PANEL.replace("horizon = 5", "horizon = 7") + '[schedule]\ncron = "0 3 * * *"\n')
    assert told(folder) == ["tiny: changed (forecast.horizon, schedule.cron)"]
    assert folder.panels[0].forecast.horizon == 7


def test_a_panel_that_is_gone(folder: PanelFolder, panels: Path) -> None:
    write(panels, LECTURE, "talk")
    told(folder)
    (panels / "talk.toml").unlink()
    assert told(folder) == ["talk: its panel file is gone"]
    assert [panel.name for panel in folder.panels] == ["tiny"]


def test_a_folder_without_any_file_changes_nothing(
    folder: PanelFolder, panels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (panels / "tiny.toml").unlink()
    assert told(folder) == told(folder) == []
    assert [panel.name for panel in folder.panels] == ["tiny"]
    (line,) = caplog.messages
    assert line == f"{panels} has no panel files any more; its panels are served as they were"
    write(panels, TINY_PANEL)
    assert told(folder) == []


def test_a_bad_file_leaves_the_last_good_version(folder: PanelFolder, panels: Path) -> None:
    write(panels, "name = ")
    (line,) = told(folder)
    assert line.startswith(f"{panels / 'tiny.toml'}: not valid TOML")
    assert line.endswith("; panel tiny goes on with its last good version")
    kept = Panel.load(folder.reference("tiny"))
    assert kept.model_dump() == folder.panels[0].model_dump()
    assert kept.source.uri == str(panels / "prices.csv")

    write(panels, TINY_PANEL)
    assert told(folder) == ["tiny: its panel file is good again"]
    assert folder.reference("tiny") == "tiny"


def test_the_last_good_version_is_there_after_a_restart(folder: PanelFolder, panels: Path) -> None:
    write(panels, "name = ")
    again = PanelFolder(panels, panels / "kept")
    assert again.panels[0].model_dump() == folder.panels[0].model_dump()
    assert again.fate("tiny") == "panel tiny goes on with its last good version"


def test_a_file_that_was_never_good_is_not_served(folder: PanelFolder, panels: Path) -> None:
    write(panels, "name = ", "bad")
    (line,) = told(folder)
    assert line.endswith("; panel bad is not served until the file is corrected")
    assert [panel.name for panel in folder.panels] == ["tiny"]
    write(panels, LECTURE.replace("talk", "bad"), "bad")
    assert told(folder) == ["bad: new panel"]


def test_a_copy_has_all_settings_of_the_file(panels: Path) -> None:
    write(panels, LECTURE, "talk")
    folder = PanelFolder(panels, panels / "kept")
    before = folder.panels[0]
    write(panels, "name = ", "talk")
    folder.look()
    folder.look()
    assert Panel.load(folder.reference("talk")).model_dump() == before.model_dump()


def test_without_a_good_file_nothing_is_served(panels: Path) -> None:
    write(panels, "name = ")
    with pytest.raises(PanelError, match="not valid TOML"):
        PanelFolder(panels, panels / "kept")
