"""What a person sees of a run in the Prefect UI."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import Night

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
