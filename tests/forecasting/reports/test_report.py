import base64
import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from forecasting.evaluation.verdict import SeriesScore
from forecasting.findings import Action, Finding
from forecasting.reports.moods import SCOPE
from forecasting.reports.outlook import Outlook
from forecasting.reports.report import (
    MAX_EMBEDDED_CHARTS,
    Contender,
    LeftOut,
    ReportData,
    SeriesResult,
    render_report,
)

PNG = b"\x89PNG not really"
VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = ["<script>alert(1)</script>", "../x", "\"><img src=x onerror='alert(1)'>", "{{ 7 * 7 }}", "A&B"]


class Page(HTMLParser):
    """The parsed page: its tags in order, and the text inside each kind of element; fails when ill-formed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self._open[-1] if self._open else "", data.strip()))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def values(self, attribute: str) -> Iterator[str]:
        return (attributes[attribute] or "" for _, attributes in self.tags if attribute in attributes)

    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in {"style", "script"})


PAGE = "forecasts/ecb_fx/as_of=2026-10-30/id=9f02b3ac41d7e655/_report.html"


def render(report: ReportData) -> str:
    return render_report(report, PAGE)


def _result(unique_id: str = "EURUSD", **changes: object) -> SeriesResult:
    result = SeriesResult(
        unique_id=unique_id,
        cutoff=datetime(2026, 10, 30, tzinfo=UTC),
        y_cutoff=1.1172,
        median=1.1187,
        low=1.0817,
        high=1.1569,
        model="stacked_lstm",
        outlook=Outlook(93.0, "nervous", {"below_5pct": 0.052, "above_5pct": 0.0004}),
        score=SeriesScore(0.017, 0.816, 0.907, 30),
        chart_file=f"{unique_id}.png",
        chart=PNG,
    )
    return replace(result, **changes)


def _report(**changes: object) -> ReportData:
    report = ReportData(
        panel="ecb_fx",
        as_of="2026-10-30",
        known_at=datetime(2026, 10, 30, 16, 5, tzinfo=UTC),
        freq="1D",
        horizon=72,
        model="stacked_lstm",
        model_version="3f2a9c1d77e0b412",
        verdict="It beat the best baseline on the holdout.",
        series=[_result("EURUSD"), _result("EURJPY", score=SeriesScore(None, 0.816, 0.907, 30))],
        contenders=[
            Contender(
                role="challenger",
                model="stacked_lstm",
                version="3f2a9c1d77e0b412",
                publishes=True,
                scaled_quantile_loss=3.2145,
                skill=0.013,
                mase=4.213,
                coverage_80=0.812,
                coverage_90=0.904,
            ),
            Contender(role="baseline", model="random_walk", version="", publishes=False, skill=0.0),
        ],
        findings=[Finding("P104", "gap", Action.NOTE, "EURISK", 2305, "2305 bars are missing.")],
        left_out=[LeftOut("EURRUB", "stale since 2022-03-01")],
        warnings=["Prices are a day late."],
        facts={"Forecast id": "9f02b3ac41d7e655"},
        loss_curve=PNG,
    )
    return replace(report, **changes)


BARE = {"contenders": [], "findings": [], "left_out": [], "warnings": [], "facts": {}, "loss_curve": None}


def test_the_page_is_well_formed_and_has_every_part() -> None:
    page = Page(render(_report()))
    sections = [attributes["id"] for attributes in page.all("section")]
    assert sections == ["series", "charts", "findings", "left-out", "gate", "training", "run"]


def test_a_report_without_optional_parts_says_so() -> None:
    page = Page(render(_report(series=[_result(chart=None, chart_file="")], **BARE)))
    assert page.all("img") == []
    assert "The audit found nothing wrong with the prices." in page.text()
    assert "stacked_lstm has not been compared with the random walk." in page.text()


@pytest.mark.parametrize("changes", [{}, BARE], ids=["whole", "bare"])
def test_every_link_on_the_page_leads_somewhere(changes: dict[str, object]) -> None:
    page = Page(render(_report(**changes)))
    targets = {link["href"] for link in page.all("a")}
    assert targets <= {f"#{anchor}" for anchor in page.values("id")}


def test_the_page_loads_nothing_from_the_network() -> None:
    html = render(_report())
    page = Page(html)
    assert "http://" not in html
    assert "https://" not in html
    assert all(
        source.startswith(("data:image/png;base64,", "../../../../_assets/")) for source in page.values("src")
    )
    assert all((link["href"] or "").startswith("../../../../_assets/") for link in page.all("link"))
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'self';")


def test_the_page_has_no_script_of_its_own() -> None:
    page = Page(render(_report()))
    assert [tag for tag, _ in page.texts if tag == "script"] == []
    assert not any(attribute.startswith("on") for _, attributes in page.tags for attribute in attributes)


def test_pictures_are_embedded_as_they_are_and_described() -> None:
    picture = Page(render(_report())).all("img")[0]
    assert base64.b64decode((picture["src"] or "").partition(",")[2]) == PNG
    assert (picture["alt"] or "").startswith(
        "EURJPY: 1.1172 on 2026-10-30, median forecast 1.1187 in 72 bars"
    )
    assert picture["loading"] == "lazy"


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_escaped(text: str) -> None:
    harmless = Page(render(_report()))
    report = _report(
        panel=text,
        verdict=text,
        series=[_result(text, model=text), _result("EURJPY")],
        left_out=[LeftOut(text, text)],
        findings=[Finding("P104", text, Action.NOTE, text, 1, text)],
        warnings=[text],
        facts={text: text},
    )
    page = Page(render(report))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert page.text().count(text) >= 8


def test_more_charts_than_fit_are_linked() -> None:
    names = [f"S{number:03}" for number in range(MAX_EMBEDDED_CHARTS + 3)]
    page = Page(render(_report(series=[_result(name) for name in reversed(names)], loss_curve=None)))
    assert len(page.all("img")) == MAX_EMBEDDED_CHARTS
    links = [href for href in page.values("href") if href.startswith("_charts/")]
    assert links == [f"_charts/{name}.png" for name in names[MAX_EMBEDDED_CHARTS:]]
    assert "3 more are in _charts/" in page.text()


def test_a_link_to_an_encoded_file_name_is_encoded_again() -> None:
    report = _report(series=[_result("../x", chart=None, chart_file="..%2Fx.png")])
    assert "_charts/..%252Fx.png" in Page(render(report)).values("href")


def test_warnings_come_first() -> None:
    text = Page(render(_report())).text()
    assert text.index("Prices are a day late.") < text.index("It beat the best baseline")


def test_cells_carry_the_numbers_they_sort_by() -> None:
    cells = [a["data-value"] for a in Page(render(_report())).all("td") if "data-value" in a]
    price, width, percentile, below, above, median, change, skill, *_ = cells
    assert (percentile, below, above) == ("93.0", "0.052", "0.0004")
    assert (price, median, skill) == ("1.1172", "1.1187", "")
    assert float(change or "") == pytest.approx(0.0015 / 1.1172)
    assert float(width or "") == pytest.approx(0.0752 / 1.1172)


def test_a_price_of_zero_has_no_relative_width() -> None:
    report = _report(series=[_result(y_cutoff=0.0, median=0.5, low=-2.0, high=3.0)])
    cells = [a["data-value"] for a in Page(render(report)).all("td") if "data-value" in a]
    price, width, _, _, _, median, change, *_ = cells
    assert (price, width, median, change) == ("0.0", "", "0.5", "")


@pytest.mark.parametrize(
    ("skill", "sentence"),
    [
        (0.0132, "On the holdout, the loss of ewma_walk was 1.3% lower than the random walk's."),
        (-0.02, "On the holdout, the loss of ewma_walk was 2.0% higher than the random walk's."),
        (0.0, "On the holdout, the loss of ewma_walk was the same as the random walk's."),
    ],
)
def test_skill_is_put_in_words(skill: float, sentence: str) -> None:
    report = _report(contenders=[Contender("baseline", "ewma_walk", "", publishes=True, skill=skill)])
    assert sentence in Page(render(report)).text()


def test_the_summary_says_what_who_and_from_when() -> None:
    text = Page(render(_report())).text()
    assert (
        "2 series, 72 daily bars ahead, forecast by stacked_lstm, version 3f2a9c1d "
        "from prices up to 2026-10-30, as known at 2026-10-30 16:05 UTC."
    ) in text


def test_the_page_leads_with_what_is_nervous_and_what_is_calm() -> None:
    calm = Outlook(8.0, "calm", {"below_5pct": 0.0, "above_5pct": 0.0})
    page = Page(render(_report(series=[_result("EURUSD"), _result("EURJPY", outlook=calm)])))
    text = page.text()
    tiles = ("1 nervous series: EURUSD 93rd percentile", "1 calm series: EURJPY 8th percentile")
    places = [
        text.index(part) for part in (*tiles, "2 series forecast, 1 left out", SCOPE, "2 series, 72 daily")
    ]
    assert places == sorted(places)


def test_the_series_table_shows_width_and_odds() -> None:
    page = Page(render(_report()))
    headings = [text for tag, text in page.texts if tag == "button"][:9]
    assert headings[3:8] == ["80% range", "Width", "< \N{MINUS SIGN}5%", "> +5%", "Median"]
    assert "1.0817 to 1.1569 93rd, nervous 5.2% <0.1% 1.1187" in page.text()


def test_a_report_without_percentiles_says_why_and_has_no_tile_for_them() -> None:
    text = Page(render(_report(series=[_result(outlook=Outlook())]))).text()
    assert "No series is called calm or nervous: too few earlier ranges are known" in text
    assert "nervous series" not in text
    assert "1.0817 to 1.1569 \N{EN DASH} 1.1187" in text


def test_the_gate_table_shows_each_contenders_scores() -> None:
    text = Page(render(_report())).text()
    assert "stacked_lstm 3f2a9c1d challenger 3.2145 +1.3% 4.213 81.2% 90.4% yes" in text


def test_intraday_bars_are_shown_with_their_time() -> None:
    report = _report(freq="1h", series=[_result(cutoff=datetime(2026, 10, 30, 14, tzinfo=UTC))])
    assert "2026-10-30 14:00" in Page(render(report)).text()


def test_every_table_has_a_caption_and_headings_for_columns_and_rows() -> None:
    page = Page(render(_report()))
    assert len(page.all("caption")) == len(page.all("table")) == 5
    assert {a["scope"] for a in page.all("th")} == {"col", "row"}


def test_the_same_report_gives_the_same_page_in_any_order_of_series() -> None:
    pages = {render(_report(series=list(order))) for order in itertools.permutations(_report().series)}
    assert len(pages) == 1
