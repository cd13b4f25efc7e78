from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from forecasting.evaluation.backtest import BacktestPlan, BacktestResult
from forecasting.evaluation.predictions import SCHEMA
from forecasting.panel import Panel
from forecasting.quantiles import COLUMNS
from forecasting.reports.backtest_report import render_backtest

HOSTILE = "<script>alert(1)</script>"
HORIZON = 5
DAY = np.timedelta64(1, "D")


PAGE = "backtests/walks/0a/_report.html"


def render(panel: Panel, result: BacktestResult) -> str:
    return render_backtest(panel, result, PAGE)


def simulate(cutoffs: int, ids: tuple[str, ...]) -> BacktestResult:
    """A model with intervals half as wide as the EWMA walk's, which are half as wide as the random walk's."""
    rng = np.random.default_rng(0)
    first = np.datetime64("2019-11-01", "us")
    times = first + 10 * DAY * np.arange(cutoffs)
    y = 100 + rng.normal(size=(cutoffs, len(ids), HORIZON)).cumsum(axis=2)
    shape = (3, *y.shape)
    width = np.array([1.0, 2.0, 0.5])[:, None, None, None]
    h = np.arange(1, HORIZON + 1)

    def spread_over(values: np.ndarray, axis: int) -> np.ndarray:
        across = values.reshape([-1 if at == axis else 1 for at in range(4)])
        return np.broadcast_to(across, shape).ravel()

    candidate = spread_over(np.array(["ewma_walk", "random_walk", "stacked_lstm"], dtype=object), 0)
    cutoff = spread_over(times, 1)
    fan = {
        name: (100 + width * np.sqrt(h) * z * np.ones(shape)).ravel()
        for name, z in zip(COLUMNS, np.linspace(-1.6, 1.6, 11), strict=True)
    }
    columns = {
        "candidate": candidate,
        "as_of": cutoff,
        "unique_id": spread_over(np.array(ids, dtype=object), 2),
        "cutoff": cutoff,
        "y_cutoff": np.full(candidate.size, 100.0),
        "ds": cutoff + spread_over(h * DAY, 3),
        "h": spread_over(h.astype(np.int16), 3),
        "y_hat": np.full(candidate.size, 100.0),
        **fan,
        "model": candidate,
        "model_version": np.full(candidate.size, "v", dtype=object),
        "forecast_id": np.full(candidate.size, "f", dtype=object),
        "y": np.broadcast_to(y, shape).ravel(),
        "in_sample_change": np.ones(candidate.size),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in SCHEMA]
    table = pa.Table.from_arrays(arrays, schema=SCHEMA)
    return BacktestResult(BacktestPlan(cutoffs, 10), times, "stacked_lstm", table, unscored=2)


@pytest.fixture
def panel() -> Panel:
    return Panel.model_validate(
        {"name": "walks", "source": {"uri": "x"}, "forecast": {"horizon": HORIZON}, "model": {"context": 10}}
    )


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    return simulate(12, ("EURJPY", "EURUSD"))


class Page(HTMLParser):
    """Tags with their attributes, in order, and all text outside style and script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] not in {"style", "script"}:
            self.text += f" {data.strip()}"

    def values(self, attribute: str) -> list[str]:
        return [attributes[attribute] or "" for _, attributes in self.tags if attribute in attributes]


def test_the_page_has_every_part(panel: Panel, result: BacktestResult) -> None:
    page = Page(render(panel, result))
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == [
        *("scores", "tests", "steps", "horizons", "reliability", "years", "series", "worst", "best")
    ]


def test_every_link_leads_somewhere_on_the_page_and_every_picture_is_in_it(
    panel: Panel, result: BacktestResult
) -> None:
    page = Page(render(panel, result))
    links = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert links <= {f"#{anchor}" for anchor in page.values("id")}
    assert len(page.values("id")) == len(set(page.values("id")))
    assert all(
        source.startswith(("data:image/png;base64,", "../../../_assets/")) for source in page.values("src")
    )
    assert all(page.values("alt"))


def test_the_summary_says_what_was_done_and_what_the_tests_say(panel: Panel, result: BacktestResult) -> None:
    text = Page(render(panel, result)).text
    assert (
        "stacked_lstm and both random walks forecast at 12 cutoffs from 2019-11-01 to 2020-02-19, 10 bars "
        "apart: 2 series, 24 windows of 5 bars; 2 more windows have no complete target. "
        "The model was trained once, at the first cutoff."
    ) in text
    for test in result.tests:
        assert f"{test.candidate} against {test.opponent}: {test.verdict}; its loss is " in text


def test_too_few_cutoffs_are_reported(panel: Panel) -> None:
    text = Page(render(panel, simulate(3, ("EURUSD",)))).text
    assert "stacked_lstm against random_walk: too few cutoffs to tell" in text


def test_tables_show_the_scores_of_the_backtest(panel: Panel, result: BacktestResult) -> None:
    page = Page(render(panel, result))
    shown = {float(value) for value in page.values("data-value") if value}
    for score in result.table:
        assert {score.loss_ratio, score.loss_ratio_arithmetic, score.coverage_80} <= shown


def test_years_and_series_have_a_line_each(panel: Panel, result: BacktestResult) -> None:
    html = render(panel, result)
    for heading in ("2019", "2020", "EURJPY", "EURUSD"):
        assert f'<th scope="row">{heading}</th>' in html


def test_windows_are_described(panel: Panel, result: BacktestResult) -> None:
    alts = [
        attributes["alt"] or ""
        for tag, attributes in Page(render(panel, result)).tags
        if tag == "img" and attributes["width"] == "590"
    ]
    assert alts
    assert all(alt.startswith(("EURJPY on ", "EURUSD on ")) for alt in alts)


def test_a_backtest_without_worse_windows_says_so(panel: Panel) -> None:
    calm = simulate(8, ("EURUSD",))
    # Prices never change, so the narrowest forecast, the model's, is the best in every window.
    column = pa.array(np.full(calm.predictions.num_rows, 100.0))
    table = calm.predictions.set_column(SCHEMA.get_field_index("y"), "y", column)
    assert "There are no such windows." in Page(render(panel, replace(calm, predictions=table))).text


def test_hostile_ids_are_escaped(panel: Panel) -> None:
    page = Page(render(panel, simulate(12, ("EURJPY", HOSTILE))))
    harmless = Page(render(panel, simulate(12, ("EURJPY", "EURUSD"))))
    assert sum(tag == "script" for tag, _ in page.tags) == sum(tag == "script" for tag, _ in harmless.tags)
    assert HOSTILE in page.text


def test_the_same_backtest_gives_the_same_page(panel: Panel, result: BacktestResult) -> None:
    assert render(panel, result) == render(panel, result)


def test_the_simulated_predictions_are_in_the_order_of_a_backtest(result: BacktestResult) -> None:
    keys = [(name, "ascending") for name in ("candidate", "as_of", "unique_id", "h")]
    assert pc.sort_indices(result.predictions, keys).to_pylist() == list(range(result.predictions.num_rows))
