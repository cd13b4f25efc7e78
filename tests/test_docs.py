"""The documentation: links lead somewhere, commands and modules exist, and the map names every room."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from deployments.cli import app
from forecasting.panel import Panel

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "samples/README.md", "benchmarks/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
LONGEST_CELL = 200
LONGEST_LINE = 110

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path) -> list[tuple[str, str]]:
    """The code blocks of a page: the language, and the text."""
    return re.findall(
        r"^ *```(\w*)[^\n]*\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    return [link for link in found if "://" not in link]


def commands(page: Path) -> list[str]:
    """What follows `nightcast` where it is a command: in a block of shell lines, or in a line of text."""
    lines = [line for language, text in blocks(page) if language == "sh" for line in text.splitlines()]
    lines += re.findall(r"`([^`]+)`", prose(page))
    started = r"^(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?nightcast ([a-z]+\b(?!:).*)"
    found = (re.match(started, line.partition("#")[0].strip()) for line in lines)
    return [match[1] for match in found if match]


def unknown(line: str) -> list[str]:
    """The command of a line, or those of its options, that there are not."""
    name, *words = line.split()
    if name not in list(app):
        return [name]
    known = {option for argument in app[name].assemble_argument_collection() for option in argument.names}
    return [f"{name} {word}" for word in words if word.startswith("--") and word not in known]


def test_an_unknown_command_and_an_unknown_option_are_found() -> None:
    assert unknown("run PANEL --as-of 2026-10-01") == []
    assert unknown("runs PANEL") == ["runs"]
    assert unknown("run PANEL --cutoffs 12") == ["run --cutoffs"]


def test_the_readme_shows_commands() -> None:
    assert {line.split()[0] for line in commands(ROOT / "README.md")} >= {
        "run",
        "serve",
        "status",
        "backfill",
    }


@by_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@by_page
def test_every_command_and_option_exists(page: Path) -> None:
    assert [one for line in commands(page) for one in unknown(line)] == []


@by_page
def test_every_file_and_folder_of_ours_exists(page: Path) -> None:
    named = re.findall(
        r"`((?:forecasting|flows|tasks|deployments|tests|samples|benchmarks|docs)/[\w./-]*)`", prose(page)
    )
    gone = {name for name in named if not (ROOT / name).exists()}
    assert gone - {"docs/operations.md"} == set()  # the changelog says what became of it


@by_page
def test_python_examples_are_python(page: Path) -> None:
    for language, text in blocks(page):
        if language == "python":
            ast.parse(text)


@by_page
def test_panel_examples_are_keys_of_a_panel(page: Path) -> None:
    for language, text in blocks(page):
        if language == "toml":
            given = tomllib.loads(text)
            Panel.model_validate({"name": "a", "source": {"uri": "a.csv"}, **given})


@by_page
def test_lines_and_cells_can_be_read(page: Path) -> None:
    rows = [line for line in prose(page).splitlines() if line.startswith("|")]
    lines = [line for line in prose(page).splitlines() if not line.startswith("|") and "://" not in line]
    assert [cell for row in rows for cell in row.split(" | ") if len(cell) > LONGEST_CELL] == []
    assert [line for line in lines if len(line) > LONGEST_LINE] == []


@pytest.mark.parametrize("folder", ["deployments", "flows", "tasks", "forecasting"])
def test_the_map_names_every_floor(folder: str) -> None:
    assert f"{folder}/" in (ROOT / "docs/house.md").read_text(encoding="utf-8")


def test_the_map_names_every_room_in_the_order_of_the_layers() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = [one for one in settings["tool"]["importlinter"]["contracts"] if one.get("containers")]
    layers = [layer for layer in contract["layers"] if ":" not in layer]  # without the ground floor
    rooms = [layer for layer in layers if (ROOT / "forecasting" / layer).is_dir()]
    named = re.findall(r"^\| `(\w+)/` \|", (ROOT / "docs/house.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert named[: len(rooms)] == rooms


def test_the_map_names_every_module_beside_the_rooms() -> None:
    modules = {path.stem for path in (ROOT / "forecasting").glob("*.py")} - {"__init__"}
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs/house.md").read_text(encoding="utf-8")))
    assert modules <= named
