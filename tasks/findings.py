"""Show findings: a table of the audit's findings in the Prefect UI, also for a run that they stop."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from forecasting.errors import AuditError
from forecasting.findings import Finding
from forecasting.panel import Panel
from forecasting.reports.findings_tables import finding_rows
from tasks.artifacts import artifact_key, show_table

# Artifacts are stored in Prefect's database. The report and its Parquet file have all findings.
_SHOWN = 300


def show_findings(panel: Panel, findings: Sequence[Finding], when: str) -> None:
    """Create a table artifact of the worst findings; `when` says of which date or run."""
    show_table(
        artifact_key("findings", panel.name),
        finding_rows(findings, _SHOWN),
        f"What the audit of {panel.name} found {when}, the worst first: "
        f"{len(findings)} findings, of which at most {_SHOWN} here and all in the report",
    )


@contextmanager
def findings_shown_on_stop(panel: Panel) -> Iterator[None]:
    """Show the findings that stop a run: a stopped run has no summary. The error goes on."""
    try:
        yield
    except AuditError as error:
        if error.findings:
            show_findings(panel, error.findings, "when it stopped the run")
        raise
