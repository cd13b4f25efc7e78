"""How the tests of a report open it and read it."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect


def open_report(page: Page, report: Path, fragment: str = "") -> None:
    page.goto(report.as_uri() + fragment)
    expect(page.get_by_role("searchbox")).to_be_visible()


def column(page: Page, heading: str) -> list[str]:
    """The texts of a column of the table of series."""
    headings = page.locator("table.series thead th").all_inner_texts()
    at = [text.strip() for text in headings].index(heading) + 1
    return page.locator(f"table.series tbody tr > :nth-child({at})").all_inner_texts()


def wait_for_chart(page: Page) -> Locator:
    chart = page.locator("[data-chart]")
    expect(chart.locator(".scatterlayer .trace").first).to_be_attached(timeout=60_000)
    return chart
