"""What `nightcast score` prints."""

from deployments.terminal import print_table
from forecasting.reports.score_summary import COLUMNS, EXPLANATION, ScoreSummary, span_cells
from forecasting.scoring.scorer import ScoreReport


def print_scores(report: ScoreReport, summary: ScoreSummary | None) -> None:
    """What was scored now, and what all scores come to."""
    print(
        f"{report.panel}: {report.scored} scores added; {report.forecasts} forecasts published, "
        f"{report.open} of them waited for bars"
    )
    if summary is None:
        print("Nothing is scored yet: no bar has come since the first forecast.")
        return
    print()
    print_table([column.name for column in COLUMNS], map(span_cells, summary.spans))
    print(f"\n{EXPLANATION}")
    for column in COLUMNS:
        if column.note:
            print(f"  {column.name}: {column.note}")
