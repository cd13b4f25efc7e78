"""What a reader must know before using a forecast: one sentence each, the most important first.

The sentences are kept beside the forecast, so that the report, the summary, the artifact and the webhook say
the same.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from forecasting.errors import StoreError
from forecasting.findings import Action, Finding, name_some
from forecasting.formats import format_number, format_percent
from forecasting.panel_settings import Scoring
from forecasting.prices.audit.rules import ADJUSTED, SPLIT
from forecasting.publishing.address import ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.manifest import Manifest
from forecasting.storage import Storage

WARNINGS = "_warnings.json"

_NAMED = 3
# A series' holdout has few independent windows, so that only a share far below 80% says something.
_POOR_SERIES = 0.5


@dataclass(frozen=True)
class Concerns:
    """The facts that may need a warning.

    Attributes:
        provisional: why the forecast is published early; empty if it is not.
        decision: who publishes, and why; None if that is not known.
        findings: the audit's findings.
        late: series whose last bar is older than the forecast's `as_of`.
        poor_scores: which limit the realised scores exceed, in words; empty if they exceed none.
        max_coverage_gap: how far the coverage on the holdout may be from 80% and 90%.
    """

    provisional: str
    decision: Decision | None
    findings: Sequence[Finding]
    late: Sequence[str] = ()
    poor_scores: str = ""
    max_coverage_gap: float = Scoring().max_coverage_gap


def make_warnings(known: Concerns) -> list[str]:
    """Return the warnings, the most important first."""
    return [
        *([provisional_line(known.provisional)] if known.provisional else []),
        *(finding.detail for finding in known.findings if finding.is_of_panel),
        *(_of_decision(known.decision) if known.decision else []),
        *_of_splits(known.findings),
        *_of_coverage(known),
        *_of_late(known.late),
        *_of_refused(known.findings),
    ]


def warnings_file(warnings: Sequence[str]) -> bytes:
    """Return the warnings as JSON, a list of sentences."""
    return json.dumps(list(warnings), indent=1, ensure_ascii=False).encode()


def find_warnings(storage: Storage, manifest: Manifest) -> list[str]:
    """Return the warnings of a published forecast; of an older one, those that its manifest tells.

    Raises:
        StoreError: the file is damaged.
    """
    address = manifest.address
    data = storage.find(address.path(WARNINGS))
    if data is None:
        return make_warnings(Concerns(manifest.provisional or "", manifest.decision, manifest.findings))
    return _read(data, storage, address)


def _read(data: bytes, storage: Storage, address: ForecastAddress) -> list[str]:
    try:
        return [str(sentence) for sentence in json.loads(data)]
    except (ValueError, TypeError) as error:
        where = storage.display(address.path(WARNINGS))
        raise StoreError(f"{where} is damaged ({error}); delete it") from error


def provisional_line(reason: str) -> str:
    """Return why a forecast is provisional, for people."""
    return f"Provisional: {reason}. The final forecast for this as_of will replace it."


def _of_decision(decision: Decision) -> list[str]:
    warnings = []
    if decision.is_baseline:
        warnings.append(f"A baseline publishes instead of a model: {decision.reason}")
    if decision.by_hand:
        warnings.append(f"A person decided who publishes, not the gate: {decision.reason}")
    elif not decision.is_baseline and (decision.verdict is None or decision.verdict.score is None):
        warnings.append(f"{decision.model} publishes untested: there is no holdout to test it on.")
    return warnings


def _of_splits(findings: Sequence[Finding]) -> list[str]:
    likely, adjusted = (_series_with(findings, rule.code) for rule in (SPLIT, ADJUSTED))
    warnings = []
    if likely:
        warnings.append(
            f"{_counted(likely)} may have an unadjusted split in the prices, so that the forecast may be "
            "wrong: see the findings."
        )
    if adjusted:
        warnings.append(f"{_counted(adjusted)} had a split, and the prices before it were adjusted.")
    return warnings


def _of_coverage(known: Concerns) -> list[str]:
    warnings = [f"The published forecasts were poor: {known.poor_scores}."] if known.poor_scores else []
    verdict = known.decision.verdict if known.decision else None
    if verdict is None:
        return warnings
    score = verdict.score
    shares = {} if score is None else {80: score.coverage_80, 90: score.coverage_90}
    warnings += [
        f"On the holdout, the {percent}% interval contained {format_percent(share)} of the prices."
        for percent, share in shares.items()
        if abs(share - percent / 100) > known.max_coverage_gap
    ]
    poor = {
        unique_id: one.coverage_80
        for unique_id, one in verdict.series.items()
        if one.coverage_80 is not None and one.coverage_80 < _POOR_SERIES
    }
    if poor:
        worst = sorted(poor, key=lambda unique_id: (poor[unique_id], unique_id))
        warnings.append(
            f"{_counted(worst)} had less than half of the holdout's prices inside the 80% interval."
        )
    return warnings


def _of_late(late: Sequence[str]) -> list[str]:
    return [f"{_counted(late)} lacked the newest bar and are forecast from an older one."] if late else []


def _of_refused(findings: Sequence[Finding]) -> list[str]:
    refused = sum(finding.rows for finding in findings if finding.action == Action.REFUSE)
    if not refused:
        return []
    return [
        f"{format_number(refused, 0)} rows of the source were refused; see the findings for which and why."
    ]


def _series_with(findings: Sequence[Finding], code: str) -> list[str]:
    return sorted({finding.unique_id for finding in findings if finding.code == code})


def _counted(names: Sequence[str]) -> str:
    return f"{format_number(len(names), 0)} series ({name_some(names, _NAMED)})"
