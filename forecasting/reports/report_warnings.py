"""Warnings: what a reader must know before using a published forecast."""

from forecasting.findings import Action
from forecasting.publishing.manifest import Manifest
from forecasting.reports.summary import provisional_line


def find_warnings(manifest: Manifest) -> list[str]:
    """Return the warnings of a published forecast; one sentence each."""
    decision, findings = manifest.decision, manifest.findings
    warnings = [provisional_line(manifest.provisional)] if manifest.provisional else []
    warnings += [finding.detail for finding in findings if finding.is_of_panel]
    if decision is not None and decision.is_baseline:
        warnings.append(f"A baseline publishes instead of a model: {decision.reason}")
    if decision is not None and decision.by_hand:
        warnings.append(f"A person decided who publishes: {decision.reason}")
    refused = sum(finding.rows for finding in findings if finding.action == Action.REFUSE)
    if refused:
        warnings.append(f"{refused} rows of the source were refused; the report says which and why.")
    return warnings
