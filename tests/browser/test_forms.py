"""Every deployment's form in the Prefect UI, filled and run as someone would who never read the code."""

import re
import time
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Night

WAIT = 30_000  # ms
ENDS = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class Form:
    """The form of a flow's deployment, opened from the deployment's page."""

    def __init__(self, page: Page, served: Night, flow: str) -> None:
        self._page, self._served = page, served
        flow_id = served.first("flows", {"name": flow})["id"]
        self._deployment = served.first("deployments", {"flow_id": flow_id})["id"]
        page.goto(f"{served.server}/deployments/deployment/{self._deployment}")
        page.get_by_role("button", name="Run", exact=True).click(timeout=WAIT)
        page.get_by_text("Custom run").click()
        expect(page.get_by_text("Validate parameters")).to_be_visible(timeout=WAIT)
        # The buttons are there before the fields; a form submitted in between is lost.
        expect(page.locator(".schema-form-property__label").first).to_be_visible(timeout=WAIT)

    def field(self, title: str) -> Locator:
        """The field of that title: its help text, and what it is filled with."""
        label = self._page.locator(".schema-form-property__label", has_text=re.compile(rf"^{title}\b"))
        return self._page.locator(".schema-form-property").filter(has=label)

    def titles(self) -> list[str]:
        return [
            text.removesuffix(" (Optional)")
            for text in self._page.locator(".schema-form-property__label").all_inner_texts()
        ]

    def fill(self, title: str, value: str) -> None:
        """Write a number; empty it first."""
        self.field(title).locator("input, textarea").first.fill(value)

    def choose_date(self, title: str, day: str) -> None:
        """By the calendar that opens."""
        may_be_empty = self.field(title).get_by_role("button", name="date", exact=True)
        if may_be_empty.count():
            may_be_empty.click()
        self.field(title).get_by_text("Select date").click()
        self._page.locator("input[type=date]").fill(day)
        self._page.get_by_role("button", name="Apply").click()

    def name(self, text: str) -> None:
        """Give the run a name, in place of the one that the form fills in."""
        self._page.locator(".flow-run-name-input input").fill(text)

    def submit(self) -> None:
        self._page.get_by_role("button", name="Submit").click()

    def run(self) -> dict[str, Any]:
        """Submit it, and wait until its run is completed."""
        before = {run["id"] for run in self.runs()}
        self.submit()
        for _ in range(240):
            for run in self.runs():
                if run["id"] not in before and run["state_type"] in ENDS:
                    assert run["state_type"] == "COMPLETED", run["state"]["message"]
                    return run
            time.sleep(0.5)
        raise TimeoutError("no run ended within two minutes")

    def runs(self) -> list[dict[str, Any]]:
        return self._served.records("flow_runs", deployments={"id": {"any_": [self._deployment]}})


def open_artifact(page: Page, served: Night, run: dict[str, Any], key: str) -> None:
    """From the run's page."""
    page.goto(f"{served.server}/runs/flow-run/{run['id']}")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=WAIT)
    page.get_by_text("Artifacts", exact=True).last.click()
    card = re.compile(rf"^(markdown|table) {key} Created")
    page.get_by_role("link", name=card).first.click(timeout=WAIT)


def pixels(page: Page) -> list[int]:
    """Width and height of the first chart, once it is there."""
    picture = page.locator("img[src^='data:image/png']").first
    expect(picture).to_be_visible(timeout=WAIT)
    found: list[int] = picture.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    return found


def test_a_night_for_a_past_date(served: Night, page: Page) -> None:
    form = Form(page, served, "nightly")
    form.choose_date("As of", "2026-10-20")
    run = form.run()
    assert run["parameters"]["as_of"] == "2026-10-20"
    assert run["name"] == "tiny 2026-10-20"
    open_artifact(page, served, run, "forecast-tiny")
    expect(page.get_by_text("tiny as of 2026-10-20").first).to_be_visible(timeout=WAIT)
    assert pixels(page) == [1200, 500]


@pytest.mark.parametrize(
    ("flow", "titles"),
    [
        ("nightly", ["Panel", "As of", "As of time", "Mode"]),
        ("retrain", ["Panel", "Publish"]),
        ("backfill", ["Panel", "Start", "End", "Force", "Dry run", "Parallel"]),
        ("backtest", ["Panel", "Cutoffs", "Stride", "Refit"]),
        ("score", ["Panel"]),
        ("freshness", ["Max age hours"]),
        ("maintenance", ["Only panel", "Dry run", "Keep runs days"]),
    ],
)
def test_a_form_asks_what_a_person_can_answer(
    served: Night, page: Page, flow: str, titles: list[str]
) -> None:
    assert Form(page, served, flow).titles() == titles


def test_a_model_is_retrained(served: Night, page: Page) -> None:
    run = Form(page, served, "retrain").run()
    open_artifact(page, served, run, "forecast-tiny")
    expect(page.get_by_text("The next challenger is due after").first).to_be_visible(timeout=WAIT)


def test_a_backfill_of_two_dates(served: Night, page: Page) -> None:
    form = Form(page, served, "backfill")
    form.choose_date("Start", "2026-10-22")
    form.choose_date("End", "2026-10-23")
    run = form.run()
    open_artifact(page, served, run, "backfilled-tiny")
    for day in ("2026-10-22", "2026-10-23"):
        expect(page.get_by_text(day, exact=True).first).to_be_visible(timeout=WAIT)


def test_a_backtest(served: Night, page: Page) -> None:
    form = Form(page, served, "backtest")
    form.fill("Cutoffs", "2")
    form.fill("Stride", "5")
    run = form.run()
    assert (run["parameters"]["cutoffs"], run["parameters"]["stride"]) == (2, 5)
    open_artifact(page, served, run, "backtest-tiny")
    expect(page.get_by_text("and both random walks forecast at 2 cutoffs").first).to_be_visible(timeout=WAIT)
    assert min(pixels(page)) > 300


def test_past_forecasts_are_scored_under_the_name_that_a_person_gives(served: Night, page: Page) -> None:
    served.run("--as-of", "2026-10-20")
    form = Form(page, served, "score")
    form.name("Scores for Ana")
    run = form.run()
    assert run["name"] == "Scores for Ana"
    open_artifact(page, served, run, "scores-tiny")
    assert min(pixels(page)) > 300


def test_maintenance_lists_what_it_would_remove(served: Night, page: Page) -> None:
    form = Form(page, served, "maintenance")
    form.field("Dry run").get_by_role("switch").click()
    run = form.run()
    assert run["parameters"]["dry_run"] is True
    open_artifact(page, served, run, "maintenance")


@pytest.mark.parametrize(
    ("flow", "field", "value", "words"),
    [
        ("backtest", "Cutoffs", "0", "0 is less than the minimum of 1"),
        ("maintenance", "Keep runs days", "3", "3 is less than the minimum of 7"),
    ],
)
def test_a_bad_number_is_refused_before_a_run_exists(
    served: Night, page: Page, flow: str, field: str, value: str, words: str
) -> None:
    form = Form(page, served, flow)
    before = form.runs()
    form.fill(field, value)
    form.submit()
    expect(page.get_by_text(words).first).to_be_visible(timeout=WAIT)
    assert form.runs() == before


def test_a_date_that_is_left_empty_is_asked_for(served: Night, page: Page) -> None:
    form = Form(page, served, "backfill")
    before = form.runs()
    form.choose_date("Start", "2026-10-22")
    form.submit()
    expect(form.field("End").get_by_text("'end' is a required property")).to_be_visible(timeout=WAIT)
    assert form.runs() == before
