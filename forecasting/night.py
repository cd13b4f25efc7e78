"""A night: the order of the work, from a panel's source to its published forecast.

The order stands here once. A notebook calls `run_night`; flows and backfills call `decide` and
`make_forecast` with a `run` of their own, which runs each step as a Prefect task.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ParamSpec, Protocol, TypeVar

from forecasting.as_of import to_instant
from forecasting.findings import Finding
from forecasting.night_shards import forecast_shard, join_shards
from forecasting.operations.landing_page import try_update_landing_page
from forecasting.operations.required_series import check_required_series
from forecasting.panel import Panel
from forecasting.prices.ingest import ingest
from forecasting.prices.snapshot import Snapshot, take_snapshot
from forecasting.publishing.address import ForecastAddress
from forecasting.publishing.decisions import Decision
from forecasting.publishing.forecast import address_of, fit_walk
from forecasting.publishing.manifest import Manifest, describe_forecast
from forecasting.publishing.publish import commit, find_whole, point_latest
from forecasting.reports.chart_choice import choose_pictures
from forecasting.reports.report_data import write_report
from forecasting.selection.challenger import (
    Mode,
    is_training_due,
    load_decision,
    plan_training,
    retrain,
)
from forecasting.shards import Shard, make_shards
from forecasting.storage import Storage

P = ParamSpec("P")
T = TypeVar("T")


class Run(Protocol):
    """Runs the steps of a night."""

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `step`, or something that does the same."""
        ...

    def each(self, step: Callable[..., None], shards: Sequence[Shard], /, *args: object) -> None:
        """Call `step` with `args` and each of `shards`, in any order."""
        ...


class RunInTurn:
    """Calls the steps of a night in this process, and shards one after the other."""

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `step`."""
        return step(*args, **kwargs)

    def each(self, step: Callable[..., None], shards: Sequence[Shard], /, *args: object) -> None:
        """Call `step` with `args` and each of `shards`."""
        for shard in shards:
            self(step, *args, shard)


RUN_DIRECTLY: Run = RunInTurn()


@dataclass(frozen=True)
class NightResult:
    """What a night published.

    Attributes:
        manifest: the forecast's manifest.
        is_new: False where the forecast was published already, and the night changed nothing.
    """

    manifest: Manifest
    is_new: bool


def run_night(panel: Panel, storage: Storage, as_of: str | None = None, mode: Mode = "auto") -> NightResult:
    """Forecast a panel once: ingest, audit, retrain or load, forecast, draw, report and publish.

    Args:
        panel: the panel.
        storage: where prices, models and forecasts are kept.
        as_of: the last date whose bars may be used, as written in paths; None: the newest one.
        mode: `auto` retrains when it is due, `retrain` now, `load` never.

    Raises:
        RequiredSeriesError: the forecast is published, but lacks series that the panel requires.
        NightcastError: the night could not publish, and why.
    """
    now = datetime.now(UTC)
    ingested = ingest(panel, storage, to_instant(now))
    snapshot = take_snapshot(panel, storage, as_of, now)
    decision = decide(panel, storage, snapshot, mode)
    result = make_forecast(panel, storage, snapshot, decision, ingested.findings)
    try_update_landing_page(panel, storage, now)
    check_required_series(panel, snapshot)
    return result


def decide(
    panel: Panel, storage: Storage, snapshot: Snapshot, mode: Mode = "auto", run: Run = RUN_DIRECTLY
) -> Decision:
    """Decide who publishes: retrain a challenger and let the gate choose, or load the standing decision.

    Raises:
        ModelError: the training fails, or there is no model to load.
    """
    plan = run(plan_training, panel, storage, snapshot)
    if run(is_training_due, panel, storage, snapshot, plan, mode):
        return run(retrain, panel, storage, snapshot, plan)
    return run(load_decision, panel, storage, snapshot.as_of)


def make_forecast(
    panel: Panel,
    storage: Storage,
    snapshot: Snapshot,
    decision: Decision,
    row_findings: Sequence[Finding] = (),
    run: Run = RUN_DIRECTLY,
) -> NightResult:
    """Make, draw, report and publish a forecast, unless it is published already.

    The series are forecast shard by shard (`night_shards`). `row_findings` are the ingest's findings.

    Raises:
        ModelError: the model is not in the store, is damaged, or does not fit the panel.
        ContractError: the forecast breaks the contract.
    """
    standing = run(find_forecast, panel, storage, snapshot, decision)
    if standing is not None:
        return NightResult(standing, is_new=False)
    address, shards = address_of(panel, snapshot, decision), make_shards(snapshot.ids)
    walk = run(fit_walk, panel, storage, snapshot)
    run.each(forecast_shard, shards, panel, storage, snapshot, decision, walk)
    if len(shards) > 1:
        run(join_shards, storage, address, len(shards))
    pictures = make_shards(choose_pictures(panel, storage, snapshot, address))
    run.each(draw_charts, pictures, panel, storage, snapshot, decision)
    run(write_report, panel, storage, snapshot, decision, address, row_findings)
    return NightResult(run(publish, panel, storage, address, snapshot, decision, row_findings), is_new=True)


def find_forecast(panel: Panel, storage: Storage, snapshot: Snapshot, decision: Decision) -> Manifest | None:
    """Return the manifest of the very forecast that these make, where it is published.

    `latest/` then shows that forecast, unless it shows a later one.
    """
    manifest = find_whole(storage, address_of(panel, snapshot, decision))
    if manifest is not None:
        point_latest(storage, manifest, panel)
    return manifest


def draw_charts(panel: Panel, storage: Storage, snapshot: Snapshot, decision: Decision, shard: Shard) -> None:
    """Draw the pictures of a shard of the series that get one into the forecast's folder."""
    from forecasting.reports.gallery import draw_gallery  # noqa: PLC0415 - matplotlib takes a second

    draw_gallery(panel, storage, snapshot, decision, shard)


def publish(
    panel: Panel,
    storage: Storage,
    address: ForecastAddress,
    snapshot: Snapshot,
    decision: Decision,
    row_findings: Sequence[Finding],
) -> Manifest:
    """Commit the forecast and make `latest/` show it; return its manifest."""
    manifest = commit(storage, describe_forecast(panel, snapshot, decision, address, row_findings), panel)
    point_latest(storage, manifest, panel)
    return manifest
