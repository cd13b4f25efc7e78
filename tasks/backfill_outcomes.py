"""Backfill outcomes: the result of each date, as log lines, artifacts, and an error at the end."""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from prefect.client.schemas.objects import State

from forecasting.errors import BackfillError, NightcastError, one_line
from forecasting.operations.missing import MissingAsOfs
from forecasting.panel import Panel
from forecasting.publishing.manifest import Manifest
from tasks.artifacts import artifact_key, show_table
from tasks.progress import ProgressArtifact

_log = logging.getLogger(__name__)

# Artifacts are stored in Prefect's database.
_SHOWN = 300


@dataclass(frozen=True)
class Outcome:
    """The result of one date.

    Attributes:
        as_of: the date, as paths write it.
        published: the forecast's manifest; None if the date failed.
        reason: why the date failed, one line.
    """

    as_of: str
    published: Manifest | None
    reason: str = ""

    @classmethod
    def of(cls, as_of: str, state: State[Any]) -> Self:
        """The outcome of a date, from the final state of its last task."""
        if state.is_completed():
            return cls(as_of, state.result())
        error: Any = state.result(raise_on_failure=False)
        known = isinstance(error, NightcastError)
        reason = one_line(error)
        return cls(as_of, None, reason if known else f"{type(error).__name__}: {reason}")

    @property
    def line(self) -> str:
        """The outcome in one line."""
        if self.published is None:
            return f"{self.as_of} not published: {self.reason}"
        return f"{self.as_of} published by {self.published.model} {self.published.model_version}"


class Outcomes:
    """The outcomes of a backfill, shown as they arrive.

    Args:
        panel: the backfill's panel.
        as_ofs: all dates that the backfill will publish.
    """

    def __init__(self, panel: Panel, as_ofs: Sequence[str]) -> None:
        self._panel = panel
        self._total = len(as_ofs)
        self._all: list[Outcome] = []
        self._began = time.monotonic()
        self._artifact = ProgressArtifact("backfill", panel.name)

    def add(self, outcome: Outcome) -> None:
        """Log an outcome and update the progress artifact."""
        self._all.append(outcome)
        done = len(self._all)
        level = logging.INFO if outcome.published else logging.WARNING
        counts = {"done": done, "total": self._total}  # for a progress bar
        _log.log(level, "backfill: %d of %d, %s", done, self._total, outcome.line, extra=counts)
        self._artifact.move(done, self._total)

    def close(self) -> list[Manifest]:
        """Show all outcomes as a table, and return what was published.

        Raises:
            BackfillError: some dates were not published; the message says why.
        """
        seconds = (time.monotonic() - self._began) / self._total
        _log.info("backfill: %.1f s per date, training included", seconds)
        published = [outcome.published for outcome in self._all if outcome.published is not None]
        failed = [outcome for outcome in self._all if outcome.published is None]
        done = [outcome for outcome in self._all if outcome.published is not None]
        _show(
            self._panel,
            [{"as of": one.as_of, "outcome": one.line} for one in [*failed, *done]],
            f"Backfill of {self._panel.name}: {len(published)} published, {len(failed)} failed, those first",
        )
        if failed:
            raise BackfillError(_why(self._panel, failed, self._total))
        return published


def show_missing(panel: Panel, missing: MissingAsOfs) -> None:
    """Show the dates that a backfill would publish, as a table artifact."""
    _show(panel, [{"as of": as_of} for as_of in missing.as_ofs], f"{panel.name}: {missing.summary}")


def _show(panel: Panel, rows: list[dict[str, str]], description: str) -> None:
    more = f"; {_SHOWN} of {len(rows)} here" if len(rows) > _SHOWN else ""
    show_table(artifact_key("backfilled", panel.name), rows[:_SHOWN], f"{description}{more}")


def _why(panel: Panel, failed: Sequence[Outcome], total: int) -> str:
    """The failed dates, grouped by reason."""
    by_reason = defaultdict(list)
    for outcome in failed:
        by_reason[outcome.reason].append(outcome.as_of)
    reasons = "; ".join(f"{', '.join(as_ofs)}: {reason}" for reason, as_ofs in by_reason.items())
    return (
        f"{len(failed)} of {total} dates of panel {panel.name} not published ({reasons}); "
        "fix that and run the same backfill again: it does only these dates"
    )
