"""Where the time of a night goes, by part, at 29, 1,000 and 10,000 series.

The panel of 29 series is the bundled one, with a new date for the second night; the others are synthetic,
750 bars long. Charts are as a panel has them by default: of every series up to 50, of four in a larger panel.

    .venv/bin/python -m benchmarks.peers.night_parts                  # measures; draws into docs/pictures
    .venv/bin/python -m benchmarks.peers.night_parts --redraw FILE    # draws what a run has printed
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

from benchmarks.peers.night_clock import IMPORTS, MODEL, PAGES, PREFECT, SERVER
from benchmarks.peers.nights import NIGHTS, Night, Runner, write_prices
from benchmarks.peers.usage import ROOT, Usage, load

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZES = (29, 1_000, 10_000)
BUNDLED = 29
PICTURE = ROOT / "docs" / "pictures" / "night_parts.png"
# From the bottom of a stack to its top, with its colour: greys are what a night of any size pays.
COLORS = {
    IMPORTS: "#c4c7ca",
    SERVER: "#9aa0a6",
    PREFECT: "#73777c",
    "ingest": "#1559b3",
    "audit": "#5b8fd6",
    "scores": "#a9c6ec",
    MODEL: "#c5221f",
    "fit the EWMA walk": "#8e1a15",
    "forecast": "#e67c73",
    "join shards": "#f2aca6",
    "charts": "#b06000",
    "report": "#e8a33d",
    PAGES: "#f6d9a8",
}
LEAST_LABELLED = 0.06  # share of a bar that has room for its seconds

Found = dict[int, dict[str, Night]]


def bundled_runner(folder: Path) -> Runner:
    """A runner of the bundled panel, with the panel's folder and its source copied."""
    folder.mkdir()
    text = (ROOT / "deployments" / "panels" / "ecb_fx.toml").read_text()
    (folder / "ecb_fx.toml").write_text(
        text.replace("../../samples/eurofxref-hist.zip", str(folder / "rates.csv"))
    )
    return Runner(folder, folder, "ecb_fx")


def write_rates(folder: Path, night: str) -> None:
    """Write the bundled file, for the first night without its newest date."""
    with ZipFile(ROOT / "samples" / "eurofxref-hist.zip") as archive:
        head, *dates = archive.read(archive.namelist()[0]).decode().splitlines(keepends=True)
    dates.sort(reverse=True)
    (folder / "rates.csv").write_text("".join([head, *(dates[1:] if night == "first" else dates)]))


def measure(series: int, folder: Path) -> dict[str, Night]:
    """Run both nights of a panel."""
    if series == BUNDLED:
        runner = bundled_runner(folder / "nights")
    else:
        (folder / "prices").mkdir()
        runner = Runner.of_prices(folder / "nights", folder / "prices")
    found = {}
    for night in NIGHTS:
        if series == BUNDLED:
            write_rates(runner.folder, night)
        else:
            write_prices(folder / "prices", series, night)
        found[night] = runner.run()
        print(json.dumps({"series": series, "night": night, **asdict(found[night])}), flush=True)
    return found


def read(file: Path) -> Found:
    """The nights that an earlier run has printed."""
    found: Found = {}
    for line in file.read_text().splitlines():
        if line.startswith("{"):
            one = json.loads(line)
            found.setdefault(one["series"], {})[one["night"]] = Night(Usage(**one["usage"]), one["parts"])
    return found


def table(found: Found) -> list[str]:
    """The processor seconds of each part of each night, and the wall seconds in brackets, in Markdown."""
    nights = [(series, night) for series in found for night in found[series]]
    heads = [f"{series:,} {night}" for series, night in nights]
    rows = [["part", *heads], ["---", *["---:"] * len(heads)]]
    for part in COLORS:
        spent = [found[s][n].parts.get(part, (0.0, 0.0)) for s, n in nights]
        rows.append([part, *(f"{processor:.1f} ({wall:.1f})" for wall, processor in spent)])
    used = [found[s][n].usage for s, n in nights]
    rows += [
        ["seconds", *(f"{one.seconds:.1f}" for one in used)],
        ["processor seconds", *(f"{one.processor_seconds:.1f}" for one in used)],
        ["peak MB", *(f"{one.megabytes:,.0f}" for one in used)],
    ]
    return ["| " + " | ".join(row) + " |" for row in rows]


def draw(found: Found, file: Path) -> None:
    """Draw a bar a night: the share of each part, with its processor seconds.

    Wall seconds would depend on what else the machine does.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - the measuring process stays small

    nights = [(series, night) for series in found for night in found[series]]
    figure = Figure(figsize=(11, 5.2), dpi=100, facecolor="white")
    axes = figure.add_axes((0.125, 0.05, 0.8, 0.68))
    for place, (series, night) in enumerate(nights):
        _draw_bar(axes, place + 0.35 * (place // len(NIGHTS)), found[series][night].parts)
    places = [place + 0.35 * (place // len(NIGHTS)) for place in range(len(nights))]
    axes.set_yticks(places, [f"{series:,} series,\n{night} night" for series, night in nights])
    axes.set_ylim(max(places) + 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=10, labelcolor="#202124")
    for side in axes.spines.values():
        side.set_visible(False)
    title = "Where a night's time goes: processor seconds of each part, as a share of the night"
    figure.text(0.02, 0.945, title, fontsize=13, color="#202124", weight="bold")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    figure.legend(
        [unique[part] for part in COLORS if part in unique],
        [part for part in COLORS if part in unique],
        loc="upper left",
        bbox_to_anchor=(0.012, 0.93),
        ncols=6,
        frameon=False,
        fontsize=9,
        handlelength=1,
        handleheight=1,
        columnspacing=1.2,
    )
    figure.savefig(file)


def _draw_bar(axes: "Axes", place: float, parts: Mapping[str, Sequence[float]]) -> None:
    spent = {part: processor for part, (_, processor) in parts.items()}
    total, left = sum(spent.values()), 0.0
    for part, color in COLORS.items():
        share = spent.get(part, 0.0) / total
        axes.barh(
            place, share, left=left, height=0.78, color=color, label=part, edgecolor="white", linewidth=0.8
        )
        if share >= LEAST_LABELLED:
            ink = "white" if color in _DARK else "#202124"
            axes.text(left + share / 2, place, f"{spent[part]:.1f}", ha="center", va="center", color=ink)
        left += share
    axes.text(1.012, place, f"{total:.0f} s", va="center", fontsize=11, color="#202124")


_DARK = {COLORS[part] for part in (PREFECT, "ingest", MODEL, "fit the EWMA walk", "charts")}


def main(words: Sequence[str] | None = None) -> None:
    """Measure, or read what was measured; print the table, and draw the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("series", nargs="*", type=int, default=SIZES)
    parser.add_argument("--redraw", type=Path)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    given = parser.parse_args(words)
    found: Found = {}
    if given.redraw:
        found = read(given.redraw)
    else:
        print(load())
        for series in given.series:
            with tempfile.TemporaryDirectory() as folder:
                found[series] = measure(series, Path(folder))
    print("\n".join(table(found)))
    draw(found, given.picture)


if __name__ == "__main__":
    main(sys.argv[1:])
