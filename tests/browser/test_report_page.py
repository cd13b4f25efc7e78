"""The report of 29 and of 10,000 series, opened as a file, as its readers do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.big_panel import write_big_report
from tests.browser.report_view import column, open_report, wait_for_chart

PHONE = {"width": 390, "height": 844}
SIZES = {"29 series": 29, "10,000 series": 10_000}


@pytest.fixture(scope="module", params=SIZES.values(), ids=SIZES)
def series(request: pytest.FixtureRequest) -> int:
    found: int = request.param
    return found


@pytest.fixture(scope="module")
def small_report(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001 - or skip
    return write_big_report(tmp_path_factory.mktemp("report"), SIZES["29 series"])


@pytest.fixture(scope="module")
def big_report(series: int, chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001 - or skip
    return write_big_report(tmp_path_factory.mktemp("report"), series)


@pytest.fixture
def page(page: Page) -> Iterator[Page]:
    """A page whose scripts must not fail."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    assert errors == []


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    yield context.new_page()
    context.close()


def rows(page: Page) -> Locator:
    return page.locator("table.series tbody tr")


def sort_by(page: Page, heading: str) -> None:
    page.locator("table.series").get_by_role("button", name=heading, exact=True).click()


def test_nothing_is_asked_of_another_place_and_there_is_no_error(big_report: Path, page: Page) -> None:
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    open_report(page, big_report)
    wait_for_chart(page)
    root = big_report.parents[4].as_uri()
    assert [url for url in asked if not url.startswith((root, "data:"))] == []
    assert errors == []


def test_search_leaves_the_series_whose_name_has_the_text(big_report: Path, page: Page, series: int) -> None:
    open_report(page, big_report)
    page.get_by_role("searchbox").fill("s00012")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text("S00012")
    page.get_by_role("searchbox").fill("")
    expect(rows(page)).to_have_count(min(series, 50))


def test_the_first_page_of_the_table_comes_first(big_report: Path, page: Page) -> None:
    open_report(page, big_report)
    wait_for_chart(page)
    assert column(page, "Series")[0] == "S00000"


def test_enter_opens_the_first_series_that_a_search_leaves(small_report: Path, page: Page) -> None:
    open_report(page, small_report)
    page.get_by_role("searchbox").fill("0012")
    page.get_by_role("searchbox").press("Enter")
    title = page.get_by_role("heading", level=3)
    expect(title).to_have_text("S00012")
    expect(title).to_be_focused()


def test_a_link_to_a_section_keeps_its_address(small_report: Path, page: Page) -> None:
    open_report(page, small_report)
    page.get_by_role("link", name="Who publishes").click()
    wait_for_chart(page)
    assert page.url.endswith("#gate")


def test_a_filter_leaves_the_nervous_series(small_report: Path, page: Page) -> None:
    open_report(page, small_report)
    page.get_by_role("combobox").select_option("nervous")
    widths = column(page, "Width")
    assert widths
    assert all(text.endswith("nervous") for text in widths)


def test_a_heading_sorts_all_series_there_and_back(big_report: Path, page: Page, series: int) -> None:
    open_report(page, big_report)
    sort_by(page, "Last price")
    up = [float(text.replace(",", "")) for text in column(page, "Last price")]
    assert up == sorted(up)
    sort_by(page, "Last price")
    down = [float(text.replace(",", "")) for text in column(page, "Last price")]
    assert down == sorted(down, reverse=True)
    assert series > len(up) or down == up[::-1]
    assert down[0] >= up[-1]


def test_pages_of_fifty_rows_are_turned(big_report: Path, page: Page, series: int) -> None:
    open_report(page, big_report)
    turn = page.get_by_role("button", name="Next", exact=True)
    if series <= 50:
        expect(turn).to_be_hidden()
        return
    turn.click()
    assert column(page, "Series")[0] == "S00050"
    expect(page.get_by_text("51 to 100 of 10,000 series")).to_be_visible()


def test_a_series_opens_with_the_keyboard_and_the_next_one_follows(small_report: Path, page: Page) -> None:
    open_report(page, small_report)
    wait_for_chart(page)
    page.get_by_role("button", name="S00002", exact=True).press("Enter")
    title = page.get_by_role("heading", level=3)
    expect(title).to_have_text("S00002")
    expect(page.locator("[data-chart][data-position='2']")).to_be_visible()
    page.get_by_role("button", name="Next series").press("Enter")
    expect(title).to_have_text("S00003")
    assert page.url.endswith("#series=S00003")


def test_an_address_names_the_series_to_open(big_report: Path, page: Page, series: int) -> None:
    last = f"S{series - 1:05}"
    open_report(page, big_report, f"#series={last}")
    expect(page.get_by_role("heading", level=3)).to_have_text(last)
    expect(page.locator("tr[aria-current]")).to_contain_text(last)
    wait_for_chart(page)


def test_values_appear_under_the_pointer(big_report: Path, page: Page) -> None:
    open_report(page, big_report, "#series=S00000")
    chart = wait_for_chart(page)
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    hover = chart.locator(".hoverlayer .legend")
    expect(hover).to_contain_text("median")
    for interval in ("60%", "80%", "90%"):
        expect(hover).to_contain_text(f"{interval}: ")
    page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.5 * box["height"])
    expect(hover).to_contain_text("close ")
    expect(hover).to_contain_text("as of 2026-")


def test_bands_past_forecasts_and_log_scale_are_chosen(small_report: Path, page: Page) -> None:
    open_report(page, small_report, "#series=S00000")
    chart = wait_for_chart(page)
    traces = chart.locator(".scatterlayer .trace")
    every = traces.count()
    page.get_by_label("90%").uncheck()
    expect(traces).to_have_count(every - 1)
    page.get_by_role("checkbox", name="Past forecasts").uncheck()
    expect(traces).to_have_count(every - 5)  # two forecasts, each a band and a median
    page.get_by_label("Log scale").check()
    expect(page.locator("[data-chart]")).to_have_js_property("layout.yaxis.type", "log")
    before = page.locator("[data-chart]").evaluate("chart => chart.layout.xaxis.range[0]")
    page.get_by_text("All", exact=True).click()
    page.wait_for_function(
        "before => document.querySelector('[data-chart]').layout.xaxis.range[0] < before", arg=before
    )


def test_a_drag_zooms_and_a_double_click_goes_back(small_report: Path, page: Page) -> None:
    open_report(page, small_report, "#series=S00000")
    chart = wait_for_chart(page)
    chart.scroll_into_view_if_needed()
    ends = "document.querySelector('[data-chart]').layout.xaxis.range.join()"
    whole = page.evaluate(ends)
    box = chart.bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.5 * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], middle, steps=5)
    page.mouse.up()
    page.wait_for_function(f"whole => {ends} !== whole", arg=whole)
    page.mouse.dblclick(box["x"] + 0.6 * box["width"], middle)
    page.wait_for_function(f"whole => {ends} === whole", arg=whole)


def test_a_phone_shows_median_range_and_the_whole_chart(big_report: Path, phone: Page) -> None:
    open_report(phone, big_report)
    chart = wait_for_chart(phone)
    assert phone.evaluate("document.scrollingElement.scrollWidth") == PHONE["width"]
    for part in phone.locator(".scroll").all():
        assert part.evaluate("part => part.scrollWidth - part.clientWidth") == 0
    shown = [text.strip() for text in phone.locator("table.series thead th:visible").all_inner_texts()]
    assert shown == ["Series", "Median", "80% range", "Width"]
    for place in (chart, rows(phone).first):
        box = place.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]


def test_on_a_phone_an_open_series_has_every_value_and_the_columns_are_explained(
    small_report: Path, phone: Page
) -> None:
    open_report(phone, small_report)
    facts = phone.locator("[data-facts] dt").all_inner_texts()
    headings = [text.strip() for text in phone.locator("table.series thead th").all_text_contents()]
    assert facts == headings[1:]
    explained = phone.get_by_text("The price at the last bar.", exact=True)
    expect(explained).to_be_hidden()
    phone.get_by_text("What the columns mean").first.tap()
    expect(explained).to_be_visible()


def test_a_chart_is_redrawn_for_the_dark_and_for_paper(small_report: Path, page: Page) -> None:
    open_report(page, small_report)
    wait_for_chart(page)
    colour = "document.querySelector('[data-chart]').data.at(-1).line.color"
    light = page.evaluate(colour)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"light => {colour} !== light", arg=light)
    page.emulate_media(color_scheme="dark", media="print")
    page.wait_for_function(f"light => {colour} === light", arg=light)


def test_hours_follow_each_other_in_their_order(chromium: str, page: Page, tmp_path: Path) -> None:  # noqa: ARG001 - or skip
    open_report(page, write_big_report(tmp_path, 3, "1h"), "#series=S00000")
    chart = wait_for_chart(page)
    hours = chart.evaluate("chart => chart._fullLayout.xaxis._categories")
    assert hours == sorted(hours)
    assert hours[-1] == "2026-11-02 00:00"
    assert column(page, "Last bar") == ["2026-10-30 00:00", "2026-10-29 21:00", "2026-10-30 00:00"]


def test_a_page_without_its_data_says_so(small_report: Path, page: Page, tmp_path: Path) -> None:
    alone = tmp_path / small_report.name
    alone.write_bytes(small_report.read_bytes())
    page.goto(alone.as_uri())
    expect(page.get_by_text("this page needs the folder", exact=False)).to_be_attached()
