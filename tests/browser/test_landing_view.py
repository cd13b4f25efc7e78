"""The landing page, opened as a file, as its readers do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from forecasting.operations.landing_page import put_assets, write_index
from forecasting.reports.landing import (
    LatestForecast,
    Moods,
    PanelCard,
    StateChange,
    TrackRecord,
    card_path,
    card_script,
    dates_path,
    dates_script,
)
from forecasting.storage import Storage

NOW = datetime.now(UTC)
LONG_ID = 'A<B>&"C" ![p](http://127.0.0.1:9/x)' + "/very-long" * 12


def at(**ago: float) -> str:
    return (NOW - timedelta(**ago)).isoformat()


def card(panel: str, state: str = "fresh", reason: str = "") -> PanelCard:
    """A card with everything on it; its panel becomes stale in two days."""
    forecast = LatestForecast(
        as_of="2026-10-30",
        published_at=at(hours=7),
        model="stacked_lstm",
        reason="It was better than both walks.",
        next_step="The next challenger is due after 2026-11-06.",
        is_baseline=False,
        series=29,
        left_out=2,
        holdout_skill=0.09,
        holdout_coverage=0.81,
        report=f"forecasts/{panel}/as_of=2026-10-30/id=x/_report.html",
        table=f"latest/{panel}.parquet",
    )
    track = TrackRecord("live", 365, 248, 4, 0.071, 0.012, 0.79, 0.018)
    moods = Moods(29, 5, 8, ((LONG_ID, 99.0), ("EURBRL", 95.0)), (("EURTHB", 3.0),))
    later = StateChange(at(days=-2), "stale", "its forecast is 1 bar behind")
    return PanelCard(
        panel=panel,
        written_at=at(hours=7),
        freq="1D",
        horizon=72,
        states=(StateChange(at(hours=7), state, reason), later),
        due=(at(hours=-17), at(hours=-41)),
        forecast=forecast,
        moods=moods,
        scores=(replace(track, days=90, skill_error=None, coverage_error=None), track),
    )


def write(storage: Storage, *cards: PanelCard, nights: int = 3) -> Path:
    """Write a page over these cards, each with so many past reports; return the page."""
    for one in cards:
        newest = datetime(2026, 10, 30, tzinfo=UTC)
        dates = [f"{newest - timedelta(days=back):%Y-%m-%d}" for back in reversed(range(nights))]
        storage.put(card_path(one.panel), card_script(replace(one, reports=nights)))
        storage.put(dates_path(one.panel), dates_script(one.panel, [(as_of, "x") for as_of in dates]))
        for as_of in dates[-3:]:
            storage.put(f"forecasts/{one.panel}/as_of={as_of}/id=x/_report.html", b"<title>report</title>")
    put_assets(storage, plotly=False)
    write_index(storage)
    return Path(storage.uri) / "index.html"


@pytest.fixture
def few(local_storage: Storage) -> Path:
    """A page over three panels, one of which failed and one of which has a warning."""
    failed = card("broken", "failed", "the run due at 2026-10-31 06:00 UTC ended with: no file")
    warned = replace(card("warned"), warnings=("A price looks split: <b>1 to 10</b>",))
    return write(local_storage, card("calm"), failed, warned)


def names(page: Page) -> list[str]:
    return page.locator("article h2 a").all_inner_texts()


def test_what_needs_attention_comes_first_with_the_reason(few: Path, page: Page) -> None:
    page.clock.set_fixed_time(NOW)
    page.goto(few.as_uri())
    expect(page.locator("#overview")).to_contain_text("3 panels")
    assert names(page) == ["broken", "warned", "calm"]
    broken = page.locator("#panel-broken")
    expect(broken.locator(".pill")).to_have_text("failed")
    expect(broken.get_by_role("note")).to_have_text(
        "The run due at 2026-10-31 06:00 UTC ended with: no file."
    )
    expect(page.locator("#panel-warned").get_by_role("note")).to_contain_text("<b>1 to 10</b>")
    expect(page.locator("#panel-calm").get_by_role("note")).to_be_hidden()
    expect(page.locator("#panel-calm")).to_contain_text("published 7 h")
    expect(page.locator("#panel-calm")).to_contain_text("next run due in 17 h")


def test_ages_and_states_are_those_of_the_time_of_viewing(few: Path, page: Page) -> None:
    page.clock.set_fixed_time(NOW + timedelta(days=3))
    page.goto(few.as_uri())
    calm = page.locator("#panel-calm")
    expect(calm.locator(".pill")).to_have_text("stale")
    expect(calm.get_by_role("note")).to_have_text("Its forecast is 1 bar behind.")
    expect(calm).to_contain_text("published 3 d 7 h ago")
    expect(page.locator("#overview")).to_contain_text("3 stale")


def test_a_word_finds_panels_by_name_and_by_series(local_storage: Storage, page: Page) -> None:
    other = replace(card("metals"), moods=Moods(1, 1, 0, (("XAUUSD", 91.0),), ()))
    page.goto(write(local_storage, card("fx"), other).as_uri())
    page.get_by_role("searchbox", name="Search").fill("xau")
    assert names(page) == ["metals"]
    page.get_by_role("searchbox", name="Search").fill("FX")
    assert names(page) == ["fx"]
    page.get_by_role("searchbox", name="Search").fill("nothing")
    assert names(page) == []
    expect(page.get_by_text("No panel matches.")).to_be_visible()


def test_panels_sort_by_skill(local_storage: Storage, page: Page) -> None:
    best = replace(card("best"), scores=(TrackRecord("live", 365, 9, 1, 0.2, None, 0.8, None),))
    page.goto(write(local_storage, best, card("average"), replace(card("new"), scores=())).as_uri())
    page.get_by_label("Sort by").select_option("skill")
    assert names(page) == ["best", "new", "average"]


def test_its_links_lead_to_the_reports_of_tonight_and_of_the_past(few: Path, page: Page) -> None:
    page.goto(few.as_uri())
    calm = page.locator("#panel-calm")
    calm.get_by_text("Past reports (3)").click()
    links = calm.locator(".links a")
    expect(links).to_have_count(5)
    found = [
        Path(link.evaluate("link => decodeURIComponent(new URL(link.href).pathname)")) for link in links.all()
    ]
    root = few.parent
    assert found[1] == root / "latest" / "calm.parquet"
    wanted = [root / f"forecasts/calm/as_of=2026-10-{day}/id=x/_report.html" for day in (30, 30, 29, 28)]
    assert [found[0], *found[2:]] == wanted
    calm.get_by_role("link", name="29").click()
    expect(page).to_have_title("report")


def test_a_past_report_is_found_by_its_date(local_storage: Storage, page: Page) -> None:
    page.goto(write(local_storage, card("fx"), nights=2500).as_uri())
    page.get_by_text("Past reports (2,500)").click()
    expect(page.get_by_text("2,230 older ones")).to_be_visible()
    page.get_by_role("searchbox", name="Find").fill("2020-02")
    days = page.locator(".month a")
    expect(days).to_have_count(29)
    assert days.last.get_attribute("href") == "forecasts/fx/as_of=2020-02-01/id=x/_report.html"


def test_an_explanation_opens_behind_a_term(few: Path, page: Page) -> None:
    page.goto(few.as_uri())
    meaning = page.get_by_text("than that of a random walk")
    expect(meaning).to_be_hidden()
    page.locator("#panel-calm").get_by_role("button", name="skill", exact=True).first.click()
    expect(meaning).to_be_visible()


def test_a_panel_without_readable_data_does_not_look_fresh(few: Path, page: Page) -> None:
    (few.parent / card_path("calm")).unlink()
    page.goto(few.as_uri())
    expect(page.locator("#panel-calm .pill")).to_have_text("unreadable")
    assert len(page.locator("article").all()) == 3


def test_many_panels_start_folded(local_storage: Storage, page: Page) -> None:
    failed = card("p050", "failed", "no file")
    cards = [failed if number == 50 else card(f"p{number:03d}") for number in range(100)]
    page.goto(write(local_storage, *cards).as_uri())
    expect(page.locator("article")).to_have_count(100)
    assert names(page)[0] == "p050"
    expect(page.locator("details.about[open]")).to_have_count(1)
    expect(page.locator(".body")).to_have_count(1)  # the others are drawn when they are unfolded
    page.get_by_role("searchbox", name="Search").fill("p09")
    assert len(names(page)) == 10
    page.get_by_role("button", name="Show all details").click()
    expect(page.locator("details.about[open]")).to_have_count(10)


def test_nothing_is_off_screen_on_a_phone(few: Path, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(few.as_uri())
    page.locator("#panel-calm").get_by_text("Past reports (3)").click()
    expect(page.locator(".month").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_asks_nothing_of_the_network_and_has_no_errors(few: Path, page: Page) -> None:
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text))
    page.goto(few.as_uri())
    page.locator("#panel-calm").get_by_text("Past reports (3)").click()
    expect(page.locator(".month").first).to_be_visible()
    root = f"{few.parent.as_uri()}/"
    assert [url for url in asked if not url.startswith(root)] == []
    assert errors == []
