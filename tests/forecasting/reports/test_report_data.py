from forecasting.models.registry import Decision
from forecasting.reports.report_data import contenders

NUMBERS = {"scaled_quantile_loss": 5.0, "skill": 0.01, "mase": 6.0, "coverage_80": 0.8, "coverage_90": 0.9}


def test_every_contender_has_its_role_and_version() -> None:
    names = ("stacked_lstm", "champion", "best", "ewma_walk", "random_walk")
    verdict = {
        "publishes": "champion",
        "table": [{"candidate": name, **NUMBERS} for name in names],
        "versions": {"stacked_lstm": "c", "champion": "b", "best": "a"},
    }
    decision = Decision("2026-10-30", "", "c", "stacked_lstm", "b", "s", "because", verdict)
    found = [(one.role, one.model, one.version, one.publishes) for one in contenders(decision)]
    assert found == [
        ("challenger", "stacked_lstm", "c", False),
        ("champion", "stacked_lstm", "b", True),
        ("best on record", "stacked_lstm", "a", False),
        ("baseline", "ewma_walk", "", False),
        ("baseline", "random_walk", "", False),
    ]
