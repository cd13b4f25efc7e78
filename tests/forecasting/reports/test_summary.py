import pytest

from forecasting.reports.summary import gate_lines, skill_line

DUELS = [
    {"candidate": "stacked_lstm", "opponent": "champion", "difference": -0.00314, "standard_error": 0.0042},
    {"candidate": "stacked_lstm", "opponent": "ewma_walk", "difference": 0.02, "standard_error": None},
]
VERDICT = {
    "publishes": "stacked_lstm",
    "windows": 506,
    "dates": 22,
    "versions": {"stacked_lstm": "aaaa", "champion": "bbbb"},
    "duels": DUELS,
}


def test_the_gates_numbers_are_told_with_versions_and_noise_and_what_comes_next() -> None:
    assert gate_lines({"verdict": VERDICT, "next_step": "A challenger is due."}) == [
        (
            "The gate, on 506 windows from 22 dates, in differences of loss as shares of the random walk's, "
            "below zero being better: stacked_lstm aaaa to champion bbbb \N{MINUS SIGN}0.31%, give or take "
            "0.42%; stacked_lstm aaaa to ewma_walk +2.00%."
        ),
        "A challenger is due.",
    ]


def test_where_nothing_was_measured_only_what_comes_next_is_told() -> None:
    assert gate_lines({"verdict": {}, "next_step": "A challenger is due."}) == ["A challenger is due."]
    assert gate_lines({"verdict": {}}) == []


@pytest.mark.parametrize(
    ("by_hand", "why"), [(True, "it was chosen by hand"), (False, "there is no holdout to do it on")]
)
def test_a_forecast_without_numbers_says_why(by_hand: bool, why: str) -> None:
    manifest = {"decision": {"verdict": {}, "by_hand": by_hand}}
    assert skill_line(manifest) == f"It has not been compared with the random walk: {why}."
