from dataclasses import replace

import pytest

from forecasting.errors import StoreError
from forecasting.evaluation.scores import Score
from forecasting.evaluation.verdict import SeriesScore, Verdict
from forecasting.findings import Finding
from forecasting.prices.audit.rules import ADJUSTED, CONFLICT, SOURCE_BEHIND, SPIKES, SPLIT
from forecasting.publishing.address import ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.manifest import Manifest
from forecasting.reports.report_warnings import (
    WARNINGS,
    Concerns,
    find_warnings,
    make_warnings,
    warnings_file,
)
from forecasting.storage import Storage

ADDRESS = ForecastAddress("small", "2026-10-30", "0a")


def decision(coverage: float = 0.8, model: str = "stacked_lstm", *, by_hand: bool = False) -> Decision:
    score = Score(model, 5.0, 6.0, 0.99, 0.99, 1.0, 0.01, 0.0, coverage, 0.9, series=3, windows=30)
    verdict = Verdict(model, model, model, "because", gated=True, training_end="2026-01-01", table=(score,))
    at = "2026-10-30T06:00:00+00:00"
    return Decision("2026-10-30", at, "v", model, "v", "s", "It is best.", verdict, by_hand=by_hand)


CALM = Concerns("", decision(), ())


def finding(rule: object, unique_id: str = "AAA", rows: int = 1) -> Finding:
    return Finding.of(rule, unique_id, rows, "Something was found.")  # type: ignore[arg-type]


def test_a_forecast_without_concerns_has_no_warning() -> None:
    assert make_warnings(replace(CALM, findings=(finding(SPIKES),))) == []


@pytest.mark.parametrize(
    ("concerns", "begin"),
    [
        (replace(CALM, provisional="the source was late"), "Provisional: the source was late."),
        (replace(CALM, findings=(finding(SOURCE_BEHIND, ""),)), "Something was found."),
        (replace(CALM, decision=decision(model="ewma_walk")), "A baseline publishes instead of a model"),
        (replace(CALM, decision=decision(by_hand=True)), "A person decided who publishes"),
        (replace(CALM, decision=replace(decision(), verdict=None)), "stacked_lstm publishes untested"),
        (replace(CALM, findings=(finding(SPLIT),)), "1 series (AAA) may have an unadjusted split"),
        (replace(CALM, findings=(finding(ADJUSTED),)), "1 series (AAA) had a split"),
        (replace(CALM, poor_scores="it was bad"), "The published forecasts were poor: it was bad."),
        (replace(CALM, decision=decision(0.65)), "On the holdout, the 80% interval contained 65.0%"),
        (replace(CALM, late=("AAA", "BBB")), "2 series (AAA, BBB) lacked the newest bar"),
        (replace(CALM, findings=(finding(CONFLICT, rows=1200),)), "1,200 rows of the source were refused"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_each_concern_is_one_warning(concerns: Concerns, begin: str) -> None:
    (warning,) = make_warnings(concerns)
    assert warning.startswith(begin)


def test_series_with_few_prices_inside_their_interval_are_named_the_worst_first() -> None:
    known = decision()
    assert known.verdict is not None
    shares = {"AAA": 0.45, "BBB": 0.2, "CCC": 0.6, "DDD": None}
    series = {name: SeriesScore(coverage_80=share) for name, share in shares.items()}
    poor = replace(known, verdict=replace(known.verdict, series=series))
    (warning,) = make_warnings(replace(CALM, decision=poor))
    assert warning.startswith("2 series (BBB, AAA) had less than half of the holdout's prices inside")


def test_how_far_coverage_may_be_off_is_the_panels() -> None:
    assert make_warnings(replace(CALM, decision=decision(0.65), max_coverage_gap=0.2)) == []


def test_what_concerns_all_series_comes_before_what_concerns_some() -> None:
    concerns = Concerns(
        "late", decision(0.5, by_hand=True), (finding(SPLIT), finding(SOURCE_BEHIND, "")), late=("AAA",)
    )
    starts = [warning.split()[0] for warning in make_warnings(concerns)]
    assert starts == ["Provisional:", "Something", "A", "1", "On", "1"]


def test_the_warnings_beside_a_forecast_are_found(local_storage: Storage) -> None:
    local_storage.put(ADDRESS.path(WARNINGS), warnings_file(["One.", "Zwölf."]))
    assert find_warnings(local_storage, Manifest.of(ADDRESS, known_at="2026-10-30T16:00:00Z")) == [
        "One.",
        "Zwölf.",
    ]


def test_of_an_older_forecast_the_manifest_tells(local_storage: Storage) -> None:
    manifest = Manifest.of(ADDRESS, known_at="2026-10-30T16:00:00Z", findings=(finding(SPLIT),))
    (warning,) = find_warnings(local_storage, manifest)
    assert "unadjusted split" in warning


def test_a_damaged_file_is_named(local_storage: Storage) -> None:
    local_storage.put(ADDRESS.path(WARNINGS), b"{")
    with pytest.raises(StoreError, match=r"_warnings.json is damaged .*; delete it"):
        find_warnings(local_storage, Manifest.of(ADDRESS, known_at="2026-10-30T16:00:00Z"))
