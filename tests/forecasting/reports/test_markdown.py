"""Texts as Markdown. What a browser makes of them is tested in `tests/browser/test_run_pages.py`."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forecasting.reports.markdown import escape_markdown, plain_text


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("![p](http://x.org/p.png)", r"!\[p\](http\://x.org/p.png)"),
        ("<img src=x>&amp;", r"\<img src=x\>\&amp;"),
        ("www.x.org", r"www\.x.org"),
        ("a@x.org", r"a\@x.org"),
        ("**b** _i_ `c` ~d~ a|b", r"\*\*b\*\* \_i\_ \`c\` \~d\~ a\|b"),
        ("a\\*b", r"a\\\*b"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("--- ", r"\---"),
        ("1. item", r"1\. item"),
        ("a\n\n    code", "a code"),
    ],
)
def test_what_markdown_would_read_is_escaped(text: str, markdown: str) -> None:
    assert escape_markdown(text) == markdown


@pytest.mark.parametrize(
    "text", ["stacked_lstm", "EUR/USD", "BRK.B", "EUR=X", "+3.1%", "-2.5", "1,234.5 to 2"]
)
def test_common_ids_and_numbers_stay_as_they_are(text: str) -> None:
    assert escape_markdown(text) == text


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_the_terminal_shows_an_escaped_text_as_it_is(text: str) -> None:
    assert plain_text(escape_markdown(text)) == " ".join(text.split())


@given(st.text(st.sampled_from(" ![]()<>`*_hw:/.pa\\")))
@example("w<ww.")
def test_nothing_that_asks_for_an_address_is_left(text: str) -> None:
    # What is escaped stands there as a text, and keeps apart what is on both sides of it.
    escaped = re.sub(r"\\[!-/:-@\[-`{-~]", "\N{BULLET}", escape_markdown(text))
    assert re.search(r"[\[\]<>`*]|://|www\.", escaped) is None


def test_bold_and_code_are_no_text_of_the_terminal() -> None:
    assert plain_text("**Report**: `store/_report.html`") == "Report: store/_report.html"
