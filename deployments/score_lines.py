"""The output of `nightcast score`."""

from deployments.terminal import print_table
from forecasting.reports.score_summary import COLUMNS, EXPLANATION, ScoreSummary, span_cells
from forecasting.scoring.scorer import ScoreReport


def print_scores(report: ScoreReport, summary: ScoreSummary | None) -> None:
    """Print what was scored now, and the summary of all scores."""
    print(
        f"{report.panel}: {report.scored} scores added; {report.forecasts} forecasts published, "
        f"{report.open} of them were waiting for bars"
    )
    if summary is None:
        print("Nothing is scored yet: no bar has arrived since the first forecast.")
        return
    print()
    print_table([column.name for column in COLUMNS], map(span_cells, summary.spans))
    print(f"\n{EXPLANATION}")
    for column in COLUMNS:
        if column.note:
            print(f"  {column.name}: {column.note}")
