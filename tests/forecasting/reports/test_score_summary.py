"""Realised scores in the chart, the table and the report."""

import io
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from forecasting.reports.report import ReportData, render_report
from forecasting.reports.score_charts import SIZE, draw_realised
from forecasting.reports.score_summary import (
    ScoreSummary,
    score_lines,
    series_score_rows,
    span_cells,
    summarise_scores,
)
from forecasting.scoring.scorer import score_forecasts
from forecasting.scoring.track_record import over_time, read_tally, summarise_span
from forecasting.storage import Storage
from tests.published import NOW, add_prices, publish_walk, small_panel, walks

BLUE, RED, GREY = (21, 89, 179), (197, 34, 31), (115, 119, 124)
PANEL = small_panel()


@pytest.fixture
def storage(local_storage: Storage) -> Storage:
    """Scored forecasts of thirty nights after the hundredth day, published later."""
    add_prices(PANEL, local_storage, walks(130))
    for night in range(0, 30, 3):
        publish_walk(PANEL, local_storage, str(np.datetime64("2026-04-10") + night))
    score_forecasts(PANEL, local_storage, NOW)
    return local_storage


@pytest.fixture
def summary(storage: Storage) -> ScoreSummary:
    found = summarise_scores(PANEL, read_tally(storage, PANEL.name))
    assert found is not None
    return found


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def count(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(picture - color).max(axis=2) < 25).sum())


def history(dates: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "origin": "live",
            "as_of": np.datetime64("2025-01-01", "us") + np.arange(dates) * np.timedelta64(1, "D"),
            "unique_id": "A",
            "rows": 5,
            "loss": 10 + np.sin(np.arange(dates)),
            "random_walk_loss": 10.0,
            "ewma_walk_loss": 10.0,
            "error": 0.0,
            "sign": 0,
            "inside_80": np.where(np.arange(dates) % 3, 3, 5),
            "inside_90": np.where(np.arange(dates) % 4, 5, 4),
            "h": np.where(np.arange(dates) < dates - 4, 5, 1),
        }
    )


@pytest.mark.parametrize("dates", [1, 2, 30, 400])
def test_the_chart_shows_skill_and_both_coverages_in_their_colours(dates: int) -> None:
    tally = history(dates)
    span = summarise_span(PANEL, "live", 365, tally)
    chart = draw_realised(over_time(tally, 365, 5), span, 365, daily=True)
    picture = pixels(chart)
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    left, right = picture[100:380, :560], picture[100:380, 660:1044]
    assert min(count(left, RED), count(right, RED), count(right, BLUE)) > 10
    assert min(count(left, GREY), count(right, GREY)) > 200  # where skill is zero; 80% and 90%
    assert draw_realised(over_time(tally, 365, 5), span, 365, daily=True) == chart


def test_the_table_has_no_uncertainty_where_there_are_too_few_windows(summary: ScoreSummary) -> None:
    assert [(span.origin, span.days) for span in summary.spans] == [
        ("backfill", 90),
        ("backfill", 365),
        ("backfill", None),
    ]
    cells = span_cells(summary.spans[0])
    assert cells[:4] == ("backfilled, 90 days", "10", "5", "3")
    assert "\N{PLUS-MINUS SIGN}" in cells[4]


def test_the_summary_of_a_past_date_ignores_later_bars(storage: Storage) -> None:
    until = np.datetime64("2026-04-12", "us")
    past = summarise_scores(PANEL, read_tally(storage, PANEL.name, until))
    assert past is not None
    assert (past.spans[-1].forecasts, past.spans[-1].steps, past.spans[-1].independent) == (1, 6, 1)
    assert "\N{PLUS-MINUS SIGN}" not in "".join(span_cells(past.spans[-1]))
    assert summarise_scores(PANEL, read_tally(storage, PANEL.name, until - np.timedelta64(2, "D"))) is None


def test_markdown_has_the_table_and_the_chart(summary: ScoreSummary) -> None:
    title, table, explanation, picture = score_lines(summary)
    assert title == "**Realised scores of the forecasts of small up to 7 May 2026**"
    assert len(table.splitlines()) == 5
    assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "is missing where there are too few of them" in explanation
    assert picture.startswith("![Realised skill and coverage over time, backfilled.](data:image/png;base64,")


def test_every_series_has_its_row(summary: ScoreSummary) -> None:
    rows = series_score_rows(summary)
    assert [row["unique_id"] for row in rows] == ["AAA", "B/B", "CCC"]
    assert {row["forecasts"] for row in rows} == {"10"}


def report(scores: ScoreSummary | None) -> str:
    return render_report(
        ReportData(
            panel="small",
            as_of="2026-05-09",
            known_at=datetime(2026, 5, 10, tzinfo=UTC),
            freq="1D",
            horizon=5,
            model="stacked_lstm",
            model_version="v",
            verdict="Because.",
            series=[],
            scores=scores,
        ),
        "forecasts/small/as_of=2026-05-09/id=0a/_report.html",
    )


def test_the_report_has_a_section_only_where_there_are_scores(summary: ScoreSummary) -> None:
    page, without = report(summary), report(None)
    assert '<section id="scores">' in page
    assert '<a href="#scores">Realised scores</a>' in page
    assert '<figure id="scores-backfill" class="halves">' in page
    assert "scores" not in without.split("<main>")[1].split("</main>")[0]
