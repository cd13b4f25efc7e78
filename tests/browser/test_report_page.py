"""The report, opened as a file, as its readers do."""

from pathlib import Path

from playwright.sync_api import Page, expect


def open_report(page: Page, report: Path) -> None:
    page.goto(report.as_uri())


def test_a_heading_sorts_by_its_column_there_and_back(report: Path, page: Page) -> None:
    open_report(page, report)
    table = page.get_by_role("table").first
    first_cells = table.locator("tbody tr > :first-child")
    prices = table.locator("tbody tr > :nth-child(3)")

    table.get_by_role("button", name="Last price").click()
    up = [float(text.replace(",", "")) for text in prices.all_inner_texts()]
    assert up == sorted(up)
    table.get_by_role("button", name="Last price").click()
    down = [float(text.replace(",", "")) for text in prices.all_inner_texts()]
    assert down == sorted(down, reverse=True)
    assert sorted(first_cells.all_inner_texts()) == ["AAA", "BBB", "C/C"]


def test_every_chart_is_in_the_page(report: Path, page: Page) -> None:
    open_report(page, report)
    for unique_id in ("AAA", "BBB", "C/C"):
        picture = page.get_by_role("img", name=f"{unique_id}:")
        picture.scroll_into_view_if_needed()
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") == 1200


def test_the_page_asks_nothing_of_the_network_and_has_no_errors(report: Path, page: Page) -> None:
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    open_report(page, report)
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert errors == []
