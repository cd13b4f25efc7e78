"""The summary of a published forecast for the Prefect UI: a few lines, numbers and charts."""

from datetime import UTC

from forecasting.evaluation.verdict import Duel, Verdict
from forecasting.formats import format_percent
from forecasting.publishing.address import CHARTS, FORECAST, INDEX, REPORT
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import read_written
from forecasting.publishing.manifest import Manifest
from forecasting.publishing.public_links import public_link
from forecasting.records import instant_of
from forecasting.reports.chart_choice import worth_seeing
from forecasting.reports.markdown import escape_markdown
from forecasting.reports.moods import mood_line
from forecasting.reports.outlook import find_outlooks
from forecasting.reports.report_warnings import find_warnings
from forecasting.reports.series_table import SeriesResult, series_results, series_row
from forecasting.storage import Storage


def summary_lines(storage: Storage, manifest: Manifest, *, stands: bool = False) -> list[str]:
    """Return Markdown lines: what was published, by which model and why, and where it is.

    `stands` says that the run found this forecast published already.
    """
    address, decision = manifest.address, manifest.decision
    series, left_out = manifest.series, len(manifest.left_out)
    reason = decision.reason if decision else ""
    return [
        *([f"**{standing_line(manifest)}**"] if stands else []),
        f"**{manifest.panel} as of {manifest.as_of}**: {series} series forecast, {left_out} left out",
        *(f"**Warning:** {escape_markdown(warning)}" for warning in find_warnings(storage, manifest)),
        escape_markdown(mood_line(find_outlooks(storage, address))),
        f"**Published by {manifest.model}** (`{manifest.model_version}`): {escape_markdown(reason)}",
        *(map(escape_markdown, [skill_line(decision), *gate_lines(decision)]) if decision else []),
        f"Forecast: `{storage.display(address.path(FORECAST))}`",
        f"Report: {_where(storage, address.path(REPORT))}",
        f"Charts: `{storage.display(address.path(CHARTS))}/`",
        f"All panels and dates: {_where(storage, INDEX)}",
    ]


def _where(storage: Storage, path: str) -> str:
    """The web address of a page. Where the store is not served, its place: a link to it would not work."""
    return public_link(path) or f"`{storage.display(path)}`"


def standing_line(manifest: Manifest) -> str:
    """Return one sentence that names the published forecast that a run found."""
    published = instant_of(manifest.published_at).astimezone(UTC)
    return (
        f"Nothing new: forecast {manifest.forecast_id}, published {published:%Y-%m-%d %H:%M} UTC, was made "
        f"from the same prices up to {manifest.as_of} with the same model."
    )


def skill_line(decision: Decision) -> str:
    """Return how the publisher compares with the random walk, in one sentence."""
    score = decision.verdict.score if decision.verdict else None
    if score is None:
        why = "it was chosen by hand" if decision.by_hand else "there is no holdout"
        return f"{decision.model} has not been compared with the random walk: {why}."
    return (
        f"On {score.windows} windows that {decision.model} was not trained on: "
        f"skill {format_percent(score.skill, signed=True)} against the random walk; "
        f"{format_percent(score.coverage_80)} of prices inside the 80% interval, "
        f"{format_percent(score.coverage_90)} inside the 90% interval"
    )


def gate_lines(decision: Decision) -> list[str]:
    """Return one sentence each on what the gate measured and on what happens next."""
    verdict, lines = decision.verdict, []
    if verdict is not None and verdict.duels:
        duels = "; ".join(_duel(one, verdict) for one in verdict.duels)
        lines.append(
            f"The gate compared losses on {verdict.windows} windows from {verdict.dates} dates. "
            f"Differences in percent of the random walk's loss (below zero is better): {duels}."
        )
    return lines + [line for line in (decision.next_step,) if line]


def _duel(duel: Duel, verdict: Verdict) -> str:
    difference = format_percent(duel.difference, 2, signed=True)
    error = duel.standard_error
    noise = "" if error is None else f" (uncertainty {format_percent(error, 2)})"
    return f"{verdict.name_of(duel.candidate)} against {verdict.name_of(duel.opponent)} {difference}{noise}"


def series_rows(storage: Storage, manifest: Manifest) -> list[dict[str, str]]:
    """Return the series table of a published forecast: one row for each series, by column heading."""
    daily = "T" not in manifest.as_of
    return [series_row(result, daily=daily) for result in _results(storage, manifest)]


def charts_worth_seeing(storage: Storage, manifest: Manifest) -> list[tuple[str, bytes]]:
    """Return the pictures of the most nervous series; of the first ones if no width was compared."""
    results = {result.unique_id: result.outlook for result in _results(storage, manifest)}
    names = worth_seeing(list(results), results)
    return [(name, storage.get(manifest.address.chart(name))) for name in names]


def _results(storage: Storage, manifest: Manifest) -> list[SeriesResult]:
    verdict = manifest.decision.verdict if manifest.decision else None
    table = read_written(storage, manifest.address)
    return series_results(table, verdict, find_outlooks(storage, manifest.address))
