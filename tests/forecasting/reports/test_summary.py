from typing import Any

import pytest

from forecasting.evaluation.verdict import Duel, Verdict
from forecasting.publishing.decisions import Decision
from forecasting.reports.summary import gate_lines, skill_line

VERDICT = Verdict(
    publishes="stacked_lstm",
    model="stacked_lstm",
    best="stacked_lstm",
    reason="because",
    gated=True,
    training_end="2026-01-01",
    dates=22,
    windows=506,
    duels=(
        Duel("stacked_lstm", "champion", -0.00314, 0.0042),
        Duel("stacked_lstm", "ewma_walk", 0.02, None),
    ),
    versions={"stacked_lstm": "aaaa", "champion": "bbbb"},
)


def decision(verdict: Verdict | None, **facts: Any) -> Decision:
    at = "2026-10-30T06:00:00+00:00"
    return Decision("2026-10-30", at, "aaaa", "stacked_lstm", "aaaa", "s", "because", verdict, **facts)


def test_gate_lines_have_versions_differences_uncertainty_and_the_next_step() -> None:
    assert gate_lines(decision(VERDICT, next_step="A challenger is due.")) == [
        (
            "The gate compared losses on 506 windows from 22 dates. Differences in percent of the random "
            "walk's loss (below zero is better): stacked_lstm aaaa against champion bbbb "
            "\N{MINUS SIGN}0.31% (uncertainty 0.42%); stacked_lstm aaaa against ewma_walk +2.00%."
        ),
        "A challenger is due.",
    ]


def test_gate_lines_without_a_verdict_have_only_the_next_step() -> None:
    assert gate_lines(decision(None, next_step="A challenger is due.")) == ["A challenger is due."]
    assert gate_lines(decision(None)) == []


@pytest.mark.parametrize(
    ("by_hand", "why"), [(True, "it was chosen by hand"), (False, "there is no holdout")]
)
def test_a_forecast_without_numbers_says_why(by_hand: bool, why: str) -> None:
    assert (
        skill_line(decision(None, by_hand=by_hand))
        == f"stacked_lstm has not been compared with the random walk: {why}."
    )
