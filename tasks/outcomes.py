"""Outcomes: what became of each date of a backfill, as log lines, artifacts, and an error at the end."""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State

from forecasting.errors import BackfillError, NightcastError, one_line
from forecasting.operations.missing import MissingAsOfs
from forecasting.panel import Panel
from forecasting.publishing.manifest import Manifest
from tasks.progress import ProgressArtifact, artifact_key

_log = logging.getLogger(__name__)

# Artifacts live in Prefect's database.
_SHOWN = 300


@dataclass(frozen=True)
class Outcome:
    """What became of one date.

    Attributes:
        as_of: which, as written in paths.
        published: the forecast's manifest; None where the date failed.
        reason: why it failed, one line.
    """

    as_of: str
    published: Manifest | None
    reason: str = ""

    @classmethod
    def of(cls, as_of: str, state: State[Any]) -> Self:
        """By the final state of the task that ended it."""
        if state.is_completed():
            return cls(as_of, state.result())
        error: Any = state.result(raise_on_failure=False)
        known = isinstance(error, NightcastError)
        reason = one_line(error)
        return cls(as_of, None, reason if known else f"{type(error).__name__}: {reason}")

    @property
    def line(self) -> str:
        """In a few words."""
        if self.published is None:
            return f"{self.as_of} not published: {self.reason}"
        return f"{self.as_of} published by {self.published.model} {self.published.model_version}"


class Outcomes:
    """Those of a backfill so far, shown as they come.

    Args:
        panel: its panel.
        as_ofs: all that it is about to do.
    """

    def __init__(self, panel: Panel, as_ofs: Sequence[str]) -> None:
        self._panel = panel
        self._total = len(as_ofs)
        self._all: list[Outcome] = []
        self._began = time.monotonic()
        self._artifact = ProgressArtifact("backfill", panel.name)

    def add(self, outcome: Outcome) -> None:
        """Log it and move the progress artifact."""
        self._all.append(outcome)
        done = len(self._all)
        level = logging.INFO if outcome.published else logging.WARNING
        counts = {"done": done, "total": self._total}  # for whoever shows a bar
        _log.log(level, "backfill: %d of %d, %s", done, self._total, outcome.line, extra=counts)
        self._artifact.move(done, self._total)

    def close(self) -> list[Manifest]:
        """Show them as a table; what was published.

        Raises:
            BackfillError: some were not, and why.
        """
        seconds = (time.monotonic() - self._began) / self._total
        _log.info("backfill: %.1f s a date, trainings and all", seconds)
        published = [outcome.published for outcome in self._all if outcome.published is not None]
        failed = [outcome for outcome in self._all if outcome.published is None]
        done = [outcome for outcome in self._all if outcome.published is not None]
        _show(
            self._panel,
            [{"as of": one.as_of, "outcome": one.line} for one in [*failed, *done]],
            f"A backfill of {self._panel.name}: {len(published)} published, {len(failed)} not, those first",
        )
        if failed:
            raise BackfillError(_why(self._panel, failed, self._total))
        return published


def show_missing(panel: Panel, missing: MissingAsOfs) -> None:
    """What a backfill would do, as a table artifact."""
    _show(panel, [{"as of": as_of} for as_of in missing.as_ofs], f"Of {panel.name}, {missing.summary}")


def _show(panel: Panel, rows: list[dict[str, str]], description: str) -> None:
    more = f"; {_SHOWN} of {len(rows)} here" if len(rows) > _SHOWN else ""
    create_table_artifact(
        key=artifact_key("backfilled", panel.name), table=rows[:_SHOWN], description=f"{description}{more}"
    )


def _why(panel: Panel, failed: Sequence[Outcome], total: int) -> str:
    """Which dates failed, those with the same reason together."""
    by_reason = defaultdict(list)
    for outcome in failed:
        by_reason[outcome.reason].append(outcome.as_of)
    reasons = "; ".join(f"{', '.join(as_ofs)}: {reason}" for reason, as_ofs in by_reason.items())
    return (
        f"{len(failed)} of {total} dates of panel {panel.name} not published ({reasons}); "
        "mend that and run the same backfill again: it does only these"
    )
