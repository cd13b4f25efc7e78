"""The output of the commands."""

import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import Any

from rich.cells import cell_len, set_cell_size

from forecasting.commands import command
from forecasting.evaluation.backtest import BacktestResult
from forecasting.evaluation.diebold_mariano import DieboldMariano
from forecasting.evaluation.scores import Score
from forecasting.findings import Finding
from forecasting.formats import format_number, format_p_value, format_percent
from forecasting.night import NightResult
from forecasting.operations.freshness import Freshness, freshness_rows
from forecasting.panel import Panel
from forecasting.prices.audit.rules import RULES
from forecasting.prices.ingest import IngestReport
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.decisions import Decision
from forecasting.reports.findings_tables import FINDING_COLUMNS, finding_row, worst_first
from forecasting.reports.markdown import plain_text
from forecasting.reports.summary import summary_lines
from forecasting.selection.promotion import Version
from forecasting.storage import Storage

_SECONDS_BETWEEN_LINES = 2.0

_GAP = "  "


class ProgressLines:
    """A `forecasting.progress.Progress` that prints a line at most every two seconds.

    Args:
        title: the name of the work, one word.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._printed = 0.0

    def __call__(self, done: int, total: int, message: str) -> None:
        """Print `message`, unless a line was just printed and the work is not done."""
        if done == total or time.monotonic() - self._printed >= _SECONDS_BETWEEN_LINES:
            print(f"{datetime.now(UTC).astimezone():%H:%M:%S}  {self._title}: {message}", flush=True)
            self._printed = time.monotonic()


def print_run(storage: Storage, result: NightResult) -> None:
    """Print what was published, how good it is, and which files to open."""
    print()
    for line in summary_lines(storage, result.manifest, stands=not result.is_new):
        print(plain_text(line))


def print_ingest(report: IngestReport) -> None:
    """Print how many rows of a source were new, stored already, refused or not closed yet."""
    print(
        f"{report.panel}: {report.offered} rows offered; "
        f"{report.appended} new, of which {report.revised} revise a bar; "
        f"{report.identical} already stored, {report.repaired} repeated, {report.quarantined} refused, "
        f"{report.pending} of bars that are not closed yet"
    )
    if report.readjusted:
        print(f"{report.readjusted} older bars changed too, because the source re-adjusted those series")
    print_findings(report.findings)


def print_models(
    panel: Panel, storage: Storage, versions: Sequence[Version], decisions: Sequence[Decision]
) -> None:
    """Print every version, then every decision, oldest first."""
    if not versions and not decisions:
        print(f"{panel.name} has no model yet; run: {command('run', panel, store=storage.uri)}")
        return
    columns = ("version", "", "trained to", "trained at", "skill", "in 80%", "in 90%", "judged as of")
    print_table(columns, [_version_row(version) for version in versions])
    print("\nDecisions:")
    print_table(("as of", "decided at", "publishes", "detail"), [_decision_row(one) for one in decisions])
    for standing in decisions[-1:]:
        print(f"\nNow {standing.model} {standing.version} publishes. {standing.next_step}")


def print_decision(decision: Decision) -> None:
    """Print a decision by hand, and what happens next."""
    print(f"From {decision.as_of} on, {decision.model} {decision.version} publishes. {decision.reason}")
    print(f"The next run publishes with it. {decision.next_step}")


def _version_row(version: Version) -> tuple[str, ...]:
    marks = {
        "publishes": version.publishes,
        "best on record": version.is_best,
        "damaged": not version.is_whole,
        "other settings": version.is_whole and not version.has_settings,
    }
    return (
        version.version,
        ", ".join(mark for mark, holds in marks.items() if holds),
        version.training_end[:16].removesuffix("T00:00"),
        version.trained_at[:16],
        format_percent(version.skill, signed=True),
        format_percent(version.coverage_80),
        format_percent(version.coverage_90),
        version.judged_as_of,
    )


def _decision_row(decision: Decision) -> tuple[str, ...]:
    return (
        decision.as_of,
        decision.decided_at[:19],
        f"{decision.model} {decision.version}",
        decision.reason,
    )


def print_audit(snapshot: Snapshot, row_findings: Sequence[Finding]) -> None:
    """Print what the audit found in rows and series."""
    print(
        f"As of {snapshot.as_of}: {len(snapshot.network_ids)} series for the model, "
        f"{len(snapshot.baseline_ids)} for a baseline, {len(snapshot.left_out)} left out"
    )
    print_findings([*row_findings, *snapshot.findings])


def print_freshness(found: Sequence[Freshness]) -> None:
    """Print a row per panel. Times are UTC."""
    rows = freshness_rows(found)
    print_table(list(rows[0]), [list(row.values()) for row in rows])


def print_json(record: dict[str, Any]) -> None:
    """Print a record as JSON, for machines."""
    print(json.dumps(record, indent=1, allow_nan=False))


def print_findings(findings: Iterable[Finding]) -> None:
    """Print a table of findings, worst first, and what their codes mean. No findings print nothing."""
    found = worst_first(findings)
    if found:
        print_table(FINDING_COLUMNS, [tuple(finding_row(one).values()) for one in found])
        print("\nWhat they mean:")
        for code in sorted({f.code for f in found}):
            print(f"  {code} {RULES[code].name}: {RULES[code].explanation}")


def print_backtest(panel: Panel, result: BacktestResult) -> None:
    """Print a line per candidate. All are scored on the same windows."""
    first, last = (panel.label(cutoff) for cutoff in result.cutoffs[[0, -1]])
    series, windows = result.table[0].series, result.table[0].windows
    print(
        f"\n{panel.name}: {len(result.cutoffs)} cutoffs from {first} to {last}, {series} series, "
        f"{windows} windows of {panel.forecast.horizon} bars; {result.unscored} more have no complete target"
    )
    columns = (
        *("", "MASE", "MASE ratio", "SQL", "SQL ratio", "arithmetic", "skill", "skill to EWMA walk"),
        *("in 80%", "in 90%"),
    )
    print_table(columns, [_score_row(score) for score in result.table])
    print(
        "SQL: scaled quantile loss. Ratios, and skill = 1 - SQL ratio, are to the random walk: geometric\n"
        "means over series, and for SQL also the arithmetic one. Skill above zero is better.\n"
    )
    _print_tests(result)


def _score_row(score: Score) -> tuple[str, ...]:
    return (
        score.candidate,
        format_number(score.mase, 3),
        format_number(score.mase_ratio, 3),
        format_number(score.scaled_quantile_loss, 4),
        format_number(score.loss_ratio, 4),
        format_number(score.loss_ratio_arithmetic, 4),
        format_percent(score.skill, signed=True),
        format_percent(score.skill_to_ewma_walk, signed=True),
        format_percent(score.coverage_80),
        format_percent(score.coverage_90),
    )


def _print_tests(result: BacktestResult) -> None:
    columns = ("", "against", "difference", "standard error", "Diebold-Mariano", "p", "verdict")
    print_table(columns, [_test_row(test) for test in result.tests])
    print(
        "Difference: of the losses, as a share of the series' random-walk loss, mean over series and then\n"
        f"over {len(result.cutoffs)} cutoffs. Below zero is better; p is the probability of a difference\n"
        "this large by chance."
    )


def _test_row(test: DieboldMariano) -> tuple[str, ...]:
    return (
        test.candidate,
        test.opponent,
        format_percent(test.difference, 2, signed=True),
        format_percent(test.standard_error, 2),
        format_number(test.statistic, 2),
        format_p_value(test.p_value),
        test.verdict,
    )


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings, without rules, each on one line.

    If the terminal is too narrow, the details stand below their rows. No line is folded here: a terminal does
    that itself, and lets paths and commands be copied whole.
    """
    table, details = list(rows), []
    lines = _table_lines(columns, table)
    if (
        columns[-1] == "detail"
        and sys.stdout.isatty()
        and max(map(cell_len, lines)) > get_terminal_size().columns
    ):
        details = [row[-1] for row in table]
        lines = _table_lines(columns[:-1], [row[:-1] for row in table])
    for number, line in enumerate(lines):
        print(f"\033[1m{line}\033[0m" if number == 0 and sys.stdout.isatty() else line)
        if number and details and details[number - 1]:
            print(f"  {details[number - 1]}")


def _table_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The heading and the rows as lines, with aligned columns."""
    cells = [[" ".join(cell.splitlines()) for cell in row] for row in (columns, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    return [
        _GAP.join(set_cell_size(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
