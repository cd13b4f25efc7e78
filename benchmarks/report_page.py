"""The report of 29 and of 10,000 series: time and bytes to write it, and how long a browser takes.

Needs Chromium for the second part.
"""

import resource
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from forecasting.publishing.address import REPORT
from forecasting.storage import Storage
from tests.big_panel import address_of, big_charts, big_report, put_big_report

SIZES = (29, 10_000)
TIMES = 5
# Each waits until what a reader asked for is on the screen, and returns the milliseconds that it took.
_SEARCH = """async text => {
    const start = performance.now();
    const search = document.querySelector("input[type=search]");
    search.value = text;
    search.dispatchEvent(new Event("input"));
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - start;
}"""
_SORT = """async () => {
    const start = performance.now();
    document.querySelector("table.series thead th:nth-child(3) button").click();
    await new Promise(done => requestAnimationFrame(() => setTimeout(done)));
    return performance.now() - start;
}"""


def write(folder: Path, series: int) -> tuple[Path, float]:
    """Write a report, and return the page and the seconds of processor time that writing took."""
    report, charts, storage = big_report(series), big_charts(series), Storage(str(folder))
    start = time.process_time()
    put_big_report(storage, report, charts)
    return folder / address_of().path(REPORT), time.process_time() - start


def look(page: Page, report: Path, series: int) -> dict[str, float]:
    """Open, search, sort and open another series; return the milliseconds of each."""
    start = time.perf_counter()
    page.goto(report.as_uri())
    page.wait_for_selector("table.series tbody tr")
    found = {"first view": 1000 * (time.perf_counter() - start)}
    page.wait_for_selector("[data-chart] .scatterlayer .trace")
    found["first chart"] = 1000 * (time.perf_counter() - start)
    found["search"] = page.evaluate(_SEARCH, f"S{series - 1:05}")
    page.evaluate(_SEARCH, "")
    found["sort"] = page.evaluate(_SORT)
    last = series - 1
    start = time.perf_counter()
    page.evaluate(f"location.hash = 'series=S{last:05}'")
    page.wait_for_selector(f"[data-chart][data-position='{last}']")
    found["another chart"] = 1000 * (time.perf_counter() - start)
    return found


def measure(reports: dict[int, Path], chromium: str) -> dict[int, dict[str, float]]:
    """Return the fastest of several looks at each report, alternating between them."""
    fastest: dict[int, dict[str, float]] = {series: {} for series in reports}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(TIMES):
            for series, report in reports.items():
                page = browser.new_page()
                for what, took in look(page, report, series).items():
                    fastest[series][what] = min(took, fastest[series].get(what, took))
                page.close()
        browser.close()
    return fastest


def main() -> None:
    """Run the benchmark."""
    chromium = shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder:
        reports = {}
        for series in SIZES:
            reports[series], seconds = write(Path(folder) / str(series), series)
            size = sum(file.stat().st_size for file in reports[series].parent.rglob("*") if file.is_file())
            print(f"{series:6,} series: {size / 1e6:5.1f} MB written in {seconds:5.2f} s of one core")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak memory of this process, with the prices it makes up: {peak:,.0f} MB")
        if chromium is None:
            print("no chromium on this machine: the browser's part is left out")
            return
        small, large = measure(reports, chromium).values()
    for what, took in large.items():
        print(f"  {what:14}{took:7.0f} ms   {took / small[what]:5.2f} x 29 series")


if __name__ == "__main__":
    main()
