"""Findings as tables: the Parquet file beside the report, and rows for people."""

from collections.abc import Iterable

import pyarrow as pa

from forecasting.findings import Finding, Severity
from forecasting.formats import format_number
from forecasting.parquet import table_to_bytes
from forecasting.prices.audit.rules import RULES

FINDINGS = "_findings.parquet"

_TEXT = ("code", "name", "severity", "action", "unique_id", "detail", "explanation")
_SCHEMA = pa.schema([*((name, pa.string()) for name in _TEXT), ("rows", pa.int64())])
# The columns of `finding_row`.
FINDING_COLUMNS = ("severity", "code", "finding", "series", "rows", "what was done", "detail")
_WORST_FIRST = list(reversed(Severity))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by severity, the worst first, then by code and series."""
    return sorted(findings, key=lambda f: (_WORST_FIRST.index(f.severity), f.code, f.unique_id))


def findings_file(findings: Iterable[Finding]) -> bytes:
    """Return the findings as a Parquet file, the worst first: one row each, with the code's explanation.

    Columns: `code`, `name`, `severity`, `action`, `unique_id` (empty for the panel), `detail`,
    `explanation`, `rows`. The same findings give the same bytes.
    """
    records = [f.to_record() | {"explanation": RULES[f.code].explanation} for f in worst_first(findings)]
    return table_to_bytes(pa.Table.from_pylist(records, _SCHEMA), compression="snappy")


def finding_row(finding: Finding) -> dict[str, str]:
    """Return a finding's row by column heading, the same in the terminal, the report and the Prefect UI."""
    return {
        "severity": finding.severity,
        "code": finding.code,
        "finding": finding.name,
        "series": finding.unique_id or "(panel)",
        "rows": format_number(finding.rows, 0),
        "what was done": finding.action,
        "detail": finding.detail,
    }


def finding_rows(findings: Iterable[Finding], most: int) -> list[dict[str, str]]:
    """Return the rows of the `most` worst findings, each with the code's explanation."""
    worst = worst_first(findings)[:most]
    return [finding_row(one) | {"meaning": RULES[one.code].explanation} for one in worst]
