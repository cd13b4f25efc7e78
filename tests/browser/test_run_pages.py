"""What a person sees of a run: in the Prefect UI, on the landing page and in its report."""

import json
import subprocess
import sys

from playwright.sync_api import Page, expect

from tests.browser.conftest import Night
from tests.browser.report_view import column, open_report, wait_for_chart

SECONDS = 1000
WAIT = 30 * SECONDS


def test_the_run_shows_its_steps_by_name_and_its_log(night: Night, page: Page) -> None:
    run = night.nightly_run()
    page.goto(f"{night.server}/runs/flow-run/{run['id']}")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=WAIT)
    expect(page.get_by_text("ingest: 1200 rows offered, 1200 new").first).to_be_visible(timeout=WAIT)
    page.get_by_text("Task Runs", exact=True).first.click()
    for step in ("ingest prices", "audit prices", "plan windows", "retrain model", "draw charts", "publish"):
        expect(page.get_by_text(step).first).to_be_visible(timeout=WAIT)


def test_the_summary_shows_the_charts_as_pictures(night: Night, page: Page) -> None:
    artifact = night.first("artifacts", {"key": "forecast-tiny"})
    page.goto(f"{night.server}/artifacts/artifact/{artifact['id']}")
    picture = page.get_by_role("img", name="AAA")
    expect(picture).to_be_visible(timeout=WAIT)
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [1200, 500]
    expect(page.get_by_text("Against the random walk").first).to_be_visible()


def test_the_table_has_every_series(night: Night, page: Page) -> None:
    artifact = night.first("artifacts", {"key": "series-tiny"})
    page.goto(f"{night.server}/artifacts/artifact/{artifact['id']}")
    for unique_id in ("AAA", "BBB", "C/C"):
        expect(page.get_by_text(unique_id, exact=True).first).to_be_visible(timeout=WAIT)


HOSTILE = "![p](http://127.0.0.1:9/a.png) <img src=http://127.0.0.1:9/b.png> http://127.0.0.1:9/c"
SHOW_HOSTILE = """
import sys
from prefect import flow
from forecasting.reports.markdown import escape_markdown
from tasks.artifacts import show_markdown, show_table

@flow
def show(text):
    show_markdown("hostile-markdown", [f"### {escape_markdown(text)}"], text)
    show_table("hostile-table", [{"Series": text}], text)

show(sys.argv[1])
"""


def test_an_id_that_is_a_picture_is_shown_and_asks_for_nothing(night: Night, page: Page) -> None:
    command = [sys.executable, "-c", SHOW_HOSTILE, HOSTILE]
    subprocess.run(command, env=night.environment, check=True, capture_output=True, timeout=240)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for key in ("hostile-markdown", "hostile-table"):
        page.goto(f"{night.server}/artifacts/artifact/{night.first('artifacts', {'key': key})['id']}")
        expect(page.get_by_text(HOSTILE).nth(1)).to_be_visible(timeout=WAIT)
        assert page.locator("a[href*='127.0.0.1:9/']").count() == 0
    assert [address for address in asked if ":9/" in address] == []


def test_a_served_store_is_linked_from_its_runs(night: Night, page: Page) -> None:
    night.environment["NIGHTCAST_PUBLIC_URL"] = "http://127.0.0.1:9/store"
    try:
        night.run()
    finally:
        del night.environment["NIGHTCAST_PUBLIC_URL"]
    for key, ending in (("report-tiny", "/_report.html"), ("landing-page-tiny", "store/index.html")):
        page.goto(f"{night.server}/artifacts/artifact/{night.first('artifacts', {'key': key})['id']}")
        link = page.locator("a[href^='http://127.0.0.1:9/store/']")
        expect(link).to_be_visible(timeout=WAIT)
        assert (link.get_attribute("href") or "").endswith(ending)


def test_a_run_leaves_a_page_with_its_panel(night: Night, page: Page) -> None:
    page.goto((night.store / "index.html").as_uri())
    tiny = page.locator("#panel-tiny")
    expect(tiny.get_by_text("3 series, 5 days ahead")).to_be_visible()
    tiny.get_by_role("link", name="Newest report").click()
    expect(page.get_by_role("heading", name="tiny")).to_be_visible()


def test_a_real_run_has_its_series_charts_and_pictures(night: Night, page: Page) -> None:
    pointer = json.loads((night.store / "latest" / "tiny.json").read_text(encoding="utf-8"))
    report = (night.store / pointer["path"]).parent / "_report.html"
    errors: list[str] = []
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    open_report(page, report, "#series=C%2FC")
    chart = wait_for_chart(page)
    expect(page.get_by_role("heading", level=3)).to_have_text("C/C")
    expect(chart).to_be_visible()
    assert column(page, "Series") == ["AAA", "BBB", "C/C"]
    picture = page.get_by_role("link", name="Picture").get_attribute("href")
    assert picture == "_charts/C%252FC.png"
    assert (report.parent / "_charts" / "C%2FC.png").is_file()
    assert errors == []
