"""The landing page: one page over all panels and dates, with its data beside it.

`index.html` names a data script of each panel, and the browser draws the page from them. So a run writes what
concerns its own panel only, and each object with one put. `forecasting.operations.landing_page` gathers the
contents and writes them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

from forecasting.publishing.address import INDEX
from forecasting.reports.moods import SCOPE, WIDTH_RULE
from forecasting.reports.page import render_page

DATA = "_index"

_DATES = f"{DATA}/dates"
_SCRIPT = ".js"

# What a reader may not know, in one or two sentences each.
TERMS = {
    "as of": "The last date whose prices the forecast knows. It is not the time of the run.",
    "skill": (
        "How much lower the loss of the published forecasts was than that of a random walk, on the prices "
        "that have come since. Above zero is better than the random walk."
    ),
    "80% interval": (
        "A range in which the price should end in 8 of 10 cases. The number is how often it did. Near 80% "
        "is right: more means that the ranges are too wide, less that they are too narrow."
    ),
    "independent": (
        "Forecasts made a few bars apart cover almost the same bars. Only windows that do not overlap count "
        "as independent evidence."
    ),
    "nervous": WIDTH_RULE,
    "holdout": "The newest bars, which no model was trained on. Candidates are compared on them.",
    "stand-in": "A random walk that publishes while no model has proved to be better than it.",
}


@dataclass(frozen=True)
class StateChange:
    """The state of a panel from a moment on, as `nightcast status` would tell it.

    Attributes:
        at: the moment, ISO 8601 in UTC.
        state: `fresh`, `stale`, `failed`, `never` or `unreadable`.
        reason: one line that says why; empty if the panel is fresh.
        notes: facts worth knowing that are not faults.
    """

    at: str
    state: str
    reason: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LatestForecast:
    """The newest forecast of a panel.

    Attributes:
        as_of: its `as_of`, as written in paths.
        published_at: when it was published, ISO 8601 in UTC.
        model: the model that made it.
        reason: why that model publishes, in sentences.
        next_step: what happens next, in one sentence.
        is_baseline: whether a baseline stands in.
        series: number of series.
        left_out: number of series without a forecast.
        holdout_skill: skill against the random walk on the holdout; None where untested.
        holdout_coverage: share of holdout prices inside the 80% interval; None where untested.
        report: path of the report in the store.
        table: path of the Parquet file at a path that never changes.
    """

    as_of: str
    published_at: str
    model: str
    reason: str
    next_step: str
    is_baseline: bool
    series: int
    left_out: int
    holdout_skill: float | None
    holdout_coverage: float | None
    report: str
    table: str


@dataclass(frozen=True)
class Moods:
    """What is calm and what is nervous.

    Attributes:
        compared: number of series whose width could be compared with earlier ones.
        nervous: how many are nervous.
        calm: how many are calm.
        most_nervous: the most extreme nervous series with their percentiles.
        calmest: the most extreme calm ones.
    """

    compared: int
    nervous: int
    calm: int
    most_nervous: tuple[tuple[str, float], ...]
    calmest: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class TrackRecord:
    """Realised scores of the forecasts of one origin over one span. Shares and skills are fractions.

    Attributes:
        origin: `live` or `backfill`.
        days: length of the span in days of `as_of`s.
        forecasts: number of forecasts.
        independent: number of their windows that do not overlap.
        skill: skill against the random walk.
        skill_error: its standard error; None with too few independent windows.
        coverage: share of prices inside the 80% interval.
        coverage_error: its standard error.
    """

    origin: str
    days: int
    forecasts: int
    independent: int
    skill: float | None
    skill_error: float | None
    coverage: float | None
    coverage_error: float | None


@dataclass(frozen=True)
class PanelCard:
    """What the landing page shows of one panel.

    Attributes:
        panel: the panel's name.
        written_at: when the card was made, ISO 8601 in UTC.
        freq: frequency of the bars, such as `1D`.
        horizon: steps ahead, in bars.
        states: the state when the card was made, and how it changes if no other run ends.
        due: when the next runs are due, ISO 8601 in UTC.
        last_run: when the last run ended; None if none has.
        warnings: what the reader must know first; one sentence each.
        forecast: the newest forecast; None if there is none, or it cannot be read.
        moods: None if no series was compared.
        scores: the realised scores; empty if there are none.
        reports: number of dates with a report.
    """

    panel: str
    written_at: str
    freq: str
    horizon: int
    states: tuple[StateChange, ...]
    due: tuple[str, ...] = ()
    last_run: str | None = None
    warnings: tuple[str, ...] = ()
    forecast: LatestForecast | None = None
    moods: Moods | None = None
    scores: tuple[TrackRecord, ...] = ()
    reports: int = 0


def card_path(panel: str) -> str:
    """Return the path of a panel's data script in the store."""
    return f"{DATA}/{panel}{_SCRIPT}"


def dates_path(panel: str) -> str:
    """Return the path of the script with all of a panel's reports, which the page loads on demand."""
    return f"{_DATES}/{panel}{_SCRIPT}"


def panel_of_card(name: str) -> str | None:
    """Return the panel of a file in `_index/`; None for any other name.

    >>> panel_of_card("ecb_fx.js"), panel_of_card("dates")
    ('ecb_fx', None)
    """
    return name.removesuffix(_SCRIPT) if name.endswith(_SCRIPT) else None


def card_script(card: PanelCard) -> bytes:
    """Return a panel's data script."""
    return _call("addPanel", asdict(card))


def dates_script(panel: str, reports: Sequence[tuple[str, str]]) -> bytes:
    """Return the script with a panel's reports: each with its `as_of` and its forecast's id."""
    return _call("addDates", panel, reports)


def render_landing_page(panels: Sequence[str]) -> str:
    """Return `index.html` over these panels. The same panels give the same text."""
    scripts = [
        (panel, f"{DATA}/{quote(panel)}{_SCRIPT}", f"{_DATES}/{quote(panel)}{_SCRIPT}") for panel in panels
    ]
    content = {"scripts": scripts, "terms": TERMS, "scope": SCOPE}
    return render_page("landing.html.j2", INDEX, content)


def _call(function: str, *values: Any) -> bytes:
    """A script that hands values to the page. ASCII only, so that it is read right under any encoding."""
    texts = [json.dumps(value, separators=(",", ":"), allow_nan=False) for value in values]
    return f"nightcast.{function}({','.join(texts)});\n".encode()
