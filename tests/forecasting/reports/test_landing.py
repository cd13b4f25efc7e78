"""The text of the landing page and of its data scripts."""

import html
import json
import re

from forecasting.reports.landing import PanelCard, StateChange, card_script, dates_script, render_landing_page


def test_the_page_has_no_inline_script_and_a_policy_that_allows_none() -> None:
    page = render_landing_page(["fx", "stocks"])
    assert "script-src 'self';" in html.unescape(page)
    scripts = re.findall(r"<script([^>]*)>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) >= 4
    assert [content for _, content in scripts if content] == []
    assert re.findall(r"\son\w+=|javascript:", page) == []


def test_the_page_names_the_data_of_each_panel() -> None:
    page = render_landing_page(["fx", "stocks"])
    assert '<script src="_index/fx.js" data-panel="fx" data-dates="_index/dates/fx.js" defer>' in page
    assert '<script src="_index/stocks.js" data-panel="stocks"' in page
    assert page == render_landing_page(["fx", "stocks"])


def test_every_explained_term_of_the_cards_is_on_the_page() -> None:
    page = render_landing_page([])
    for name in ("as-of", "skill", "80-interval", "independent", "nervous", "holdout", "stand-in"):
        assert f'id="term-{name}"' in page


def test_data_survive_as_they_are_whatever_they_say() -> None:
    text = 'ended with: "</script>"\u2028 \N{EURO SIGN} \\'
    card = PanelCard("fx", "2026-10-30T06:00:00+00:00", "1D", 72, (StateChange("x", "failed", text),))
    script = card_script(card).decode("ascii")
    assert script.startswith("nightcast.addPanel({")
    assert json.loads(script[script.index("(") + 1 : script.rindex(")")])["states"][0]["reason"] == text


def test_ten_years_of_nights_are_a_small_script() -> None:
    reports = [(f"2026-10-{day:02d}", "0123456789abcdef") for day in range(1, 26)] * 100
    assert len(dates_script("fx", reports)) < 90_000
