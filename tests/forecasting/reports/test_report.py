from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from forecasting.evaluation.verdict import SeriesScore
from forecasting.findings import Action, Finding
from forecasting.reports.moods import SCOPE
from forecasting.reports.outlook import Outlook
from forecasting.reports.report import render_report, report_pictures
from forecasting.reports.report_contents import Contender, LeftOut, ReportData
from forecasting.reports.series_table import SeriesResult

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
    assert sections == ["series", "gate", "training", "findings", "run", "left-out"]


def test_a_report_without_optional_parts_says_so() -> None:
    page = Page(render(_report(series=[_result(chart_file="")], **BARE)))
    assert page.all("img") == []
    assert "The audit found nothing wrong with the prices." in page.text()
    assert "stacked_lstm has not been compared with the random walk." in page.text()


@pytest.mark.parametrize("changes", [{}, BARE], ids=["whole", "bare"])
def test_every_link_on_the_page_leads_somewhere(changes: dict[str, object]) -> None:
    page = Page(render(_report(**changes)))
    targets = {link["href"] or "" for link in page.all("a") if "href" in link}
    beside = {
        *("forecast.parquet", "_outlook.parquet", "_findings.parquet", "_walks.parquet"),
        *("_warnings.json", "_manifest.json"),
    }
    above = "../../../../index.html"  # the page over all panels, at the root of the store
    assert above in targets
    assert targets - beside - {above} <= {f"#{anchor}" for anchor in page.values("id")}


def test_the_page_loads_nothing_from_the_network() -> None:
    html = render(_report())
    page = Page(html)
    assert "http://" not in html
    assert "https://" not in html
    assert all(source.startswith(("_report/", "../../../../_assets/")) for source in page.values("src"))
    assert all((link["href"] or "").startswith("../../../../_assets/") for link in page.all("link"))
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'self';")


def test_the_page_has_no_script_of_its_own() -> None:
    page = Page(render(_report()))
    assert [tag for tag, _ in page.texts if tag == "script"] == []
    assert not any(attribute.startswith("on") for _, attributes in page.tags for attribute in attributes)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_escaped(text: str) -> None:
    harmless = Page(render(_report()))
    report = _report(
        panel=text,
        verdict=text,
        series=[_result(text, model=text), _result("EURJPY", model=text)],
        left_out=[LeftOut(text, text)],
        findings=[Finding("P104", text, Action.NOTE, text, 1, text)],
        warnings=[text],
        facts={text: text},
    )
    page = Page(render(report))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert page.text().count(text) >= 7


def test_the_pictures_of_the_page_are_files_of_its_data() -> None:
    report = _report()
    shown = {source for source in Page(render(report)).values("src") if source.endswith(".png")}
    assert shown == {f"_report/{name}" for name in report_pictures(report)} == {"_report/loss.png"}


def test_series_left_out_come_last_and_folded() -> None:
    page = Page(render(_report()))
    tags = [(tag, attributes.get("id")) for tag, attributes in page.tags if tag in {"section", "details"}]
    assert tags[tags.index(("section", "left-out")) :] == [("section", "left-out"), ("details", None)]


def test_every_column_with_a_note_is_explained_where_a_finger_reaches_it() -> None:
    page = Page(render(_report()))
    headings = {attributes["title"] for attributes in page.all("th") if "title" in attributes}
    assert headings
    assert headings <= {text for tag, text in page.texts if tag == "dd"}


def test_warnings_come_first() -> None:
    text = Page(render(_report())).text()
    assert text.index("Prices are a day late.") < text.index("It beat the best baseline")


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


def test_a_report_without_percentiles_says_why_and_has_no_tile_for_them() -> None:
    text = Page(render(_report(series=[_result(outlook=Outlook())]))).text()
    assert "No series is called calm or nervous: too few earlier ranges are known" in text
    assert "nervous series" not in text


def test_the_gate_table_shows_each_contenders_scores() -> None:
    text = Page(render(_report())).text()
    assert "stacked_lstm 3f2a9c1d challenger 3.2145 +1.3% 4.213 81.2% 90.4% yes" in text


def test_every_table_has_a_caption_and_headings_for_columns_and_rows() -> None:
    page = Page(render(_report()))
    assert len(page.all("caption")) == len(page.all("table")) == 5
    assert {a["scope"] for a in page.all("th")} == {"col", "row"}
