"""Sequences of tasks that several flows share."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ParamSpec, TypeVar, cast

from forecasting import night
from forecasting.errors import AuditError, NightcastError, SourceError, first_line
from forecasting.findings import Finding
from forecasting.night import NightResult
from forecasting.operations.deadline import without_late_training
from forecasting.operations.required_series import check_required_series
from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.decisions import Decision
from forecasting.selection.challenger import Mode, WindowPlan, retrain
from forecasting.storage import Storage
from tasks.deadline import (
    can_do_without_source,
    choose_stand_in,
    find_missing_bar,
    is_done_by,
    wait_to_ask_again,
)
from tasks.engine import Engine, open_engine
from tasks.ingest import ingest_prices
from tasks.panel_slot import panel_slot
from tasks.steps import Tasks
from tasks.summarise import summarise

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)


def ingest_until_deadline(
    panel: Panel, store: str, due: datetime, deadline: datetime | None
) -> Sequence[Finding]:
    """Ingest; ask a source that is late or cannot be read again until the deadline.

    The run holds the panel's slot while it ingests, and leaves it to other runs while it waits. Prices that
    trip the breaker end the run at once, so that people hear of it at once.

    Returns:
        the audit's findings on the ingested rows.
    """
    while True:
        try:
            with panel_slot(panel.name, until=deadline):
                ingested = ingest_prices(panel, store)
                missing = find_missing_bar(panel, store, due) if deadline is not None else None
        except (SourceError, AuditError) as error:
            if deadline is None or (isinstance(error, AuditError) and error.findings):
                raise
            if wait_to_ask_again(deadline, str(error)):
                continue
            if not can_do_without_source(panel, store, due):
                raise
            return ()
        if deadline is None or missing is None or not wait_to_ask_again(deadline, f"no bar of {missing} yet"):
            return ingested.findings


def publish_forecast(
    panel: Panel,
    store: str,
    snapshot: Snapshot,
    mode: Mode,
    row_findings: Sequence[Finding] = (),
    deadline: datetime | None = None,
) -> NightResult:
    """Retrain or load, forecast, draw, report and publish the snapshot's `as_of`.

    When a training is not done by the deadline, a stand-in publishes first.

    Raises:
        RequiredSeriesError: the forecast is published, but lacks series that the panel requires.
    """
    with open_engine(panel) as engine:
        run = Tasks(engine)
        if deadline is not None:
            early = without_late_training(snapshot, deadline)

            def publish_early(plan: WindowPlan) -> None:
                _publish_meanwhile(panel, store, early, plan, row_findings)

            run = _TasksUntil(engine, deadline, publish_early)
        decision = night.decide(panel, Storage(store), snapshot, mode, run)
        result = _publish(panel, store, snapshot, decision, row_findings, run)
    check_required_series(panel, snapshot)
    return result


class _TasksUntil(Tasks):
    """Runs the steps as tasks. When a training is not done by the deadline, `publish_early` is called."""

    def __init__(
        self, engine: Engine, deadline: datetime, publish_early: Callable[[WindowPlan], None]
    ) -> None:
        super().__init__(engine)
        self._deadline = deadline
        self._publish_early = publish_early

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        is_training = step is retrain
        if not is_training:
            return super().__call__(step, *args, **kwargs)
        training = self.submit(step, *args, **kwargs)
        if not is_done_by(self._deadline, training):
            self._publish_early(cast("WindowPlan", args[-1]))
        return training.result()


def _publish_meanwhile(
    panel: Panel, store: str, snapshot: Snapshot, plan: WindowPlan, row_findings: Sequence[Finding]
) -> None:
    """Publish with a stand-in. A failure here must not keep the training's forecast from coming."""
    try:
        decision = choose_stand_in(panel, store, snapshot, plan)
        if decision is not None:
            _publish(panel, store, snapshot, decision, row_findings, Tasks(Engine()))
    except Exception as error:  # noqa: BLE001 - whatever fails here, the training goes on
        trace = None if isinstance(error, NightcastError) else error
        _log.warning("deadline: no stand-in is published: %s", first_line(error), exc_info=trace)


def _publish(
    panel: Panel,
    store: str,
    snapshot: Snapshot,
    decision: Decision,
    row_findings: Sequence[Finding],
    run: Tasks,
) -> NightResult:
    result = night.make_forecast(panel, Storage(store), snapshot, decision, row_findings, run)
    summarise(panel, store, result)
    return result
