"""Findings as tables: the file beside the report, and the rows that a person looks at first."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from forecasting.findings import Finding, Severity
from forecasting.parquet import table_to_bytes
from forecasting.prices.audit.rules import RULES

FINDINGS = "_findings.parquet"

_TEXT = ("code", "name", "severity", "action", "unique_id", "detail", "explanation")
_SCHEMA = pa.schema([*((name, pa.string()) for name in _TEXT), ("rows", pa.int64())])
_WORST_FIRST = list(reversed(Severity))


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by severity, the worst first, then by code and series."""
    return sorted(findings, key=lambda f: (_WORST_FIRST.index(f.severity), f.code, f.unique_id))


def findings_file(findings: Iterable[Finding]) -> bytes:
    """The findings as Parquet, the worst first: one row each, with what its code means.

    Columns: `code`, `name`, `severity`, `action`, `unique_id` (empty for the panel), `detail`,
    `explanation`, `rows`. The same findings give the same bytes.
    """
    records = [f.to_record() | {"explanation": RULES[f.code].explanation} for f in worst_first(findings)]
    return table_to_bytes(pa.Table.from_pylist(records, _SCHEMA), compression="snappy")


def finding_rows(findings: Iterable[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """The `most` worst of a manifest's findings, as rows with headings for people."""
    rows = [
        {
            "severity": RULES[f["code"]].severity,  # which manifests of older versions do not say
            "code": f["code"],
            "finding": f["name"],
            "series": f["unique_id"] or "(panel)",
            "rows": f["rows"],
            "what was done": f["action"],
            "detail": f["detail"],
            "meaning": RULES[f["code"]].explanation,
        }
        for f in findings
    ]
    rows.sort(key=lambda row: (_WORST_FIRST.index(row["severity"]), row["code"], row["series"]))
    return rows[:most]
