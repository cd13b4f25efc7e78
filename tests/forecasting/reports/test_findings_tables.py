import io

import pyarrow.parquet as pq

from forecasting.findings import Finding, Severity
from forecasting.prices.audit import rules
from forecasting.reports.findings_tables import finding_rows, findings_file, worst_first

FINDINGS = [
    Finding.of(rules.GAPS, "B", 3, "3 bars missing"),
    Finding.of(rules.STALE, "Z", 40, "40 bars behind"),
    Finding.of(rules.GAPS, "A", 1, "1 bar missing"),
    Finding.of(rules.SOURCE_BEHIND, "", 12, "12 bars behind"),
]


def test_the_worst_come_first() -> None:
    said = [(finding.severity, finding.code, finding.unique_id) for finding in worst_first(FINDINGS)]
    assert said == [
        *[("error", "P103", "Z"), ("warning", "P202", "")],
        *[("info", "P105", "A"), ("info", "P105", "B")],
    ]


def test_the_file_has_a_row_for_each_with_what_it_means() -> None:
    table = pq.read_table(io.BytesIO(findings_file(FINDINGS)))
    assert table.column_names == [
        *("code", "name", "severity", "action", "unique_id", "detail", "explanation", "rows")
    ]
    assert table.to_pylist()[0] == {
        "code": "P103",
        "name": "stale",
        "severity": Severity.ERROR,
        "action": "leave out",
        "unique_id": "Z",
        "rows": 40,
        "detail": "40 bars behind",
        "explanation": "a series ended: delisted, or its source stopped updating it",
    }


def test_the_same_findings_give_the_same_bytes() -> None:
    assert findings_file(FINDINGS) == findings_file(reversed(FINDINGS))


def test_no_findings_are_a_file_too() -> None:
    assert pq.read_table(io.BytesIO(findings_file([]))).num_rows == 0


def test_rows_for_people_are_the_worst_ones() -> None:
    rows = finding_rows(FINDINGS, most=2)
    assert [(row["code"], row["series"]) for row in rows] == [("P103", "Z"), ("P202", "(panel)")]
