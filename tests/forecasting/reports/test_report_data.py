from forecasting.evaluation.scores import Score
from forecasting.evaluation.verdict import Verdict
from forecasting.publishing.decisions import Decision
from forecasting.reports.report_data import contenders


def score(name: str) -> Score:
    return Score(name, 5.0, 6.0, 0.99, 0.99, 1.0, 0.01, 0.0, 0.8, 0.9, series=3, windows=30)


def test_every_contender_has_its_role_and_version() -> None:
    names = ("stacked_lstm", "champion", "best", "ewma_walk", "random_walk")
    verdict = Verdict(
        publishes="champion",
        model="stacked_lstm",
        best="best",
        reason="because",
        gated=True,
        training_end="2026-01-01",
        table=tuple(score(name) for name in names),
        versions={"stacked_lstm": "c", "champion": "b", "best": "a"},
    )
    decision = Decision("2026-10-30", "", "c", "stacked_lstm", "b", "s", "because", verdict)
    found = [(one.role, one.model, one.version, one.publishes) for one in contenders(decision)]
    assert found == [
        ("challenger", "stacked_lstm", "c", False),
        ("champion", "stacked_lstm", "b", True),
        ("best on record", "stacked_lstm", "a", False),
        ("baseline", "ewma_walk", "", False),
        ("baseline", "random_walk", "", False),
    ]
