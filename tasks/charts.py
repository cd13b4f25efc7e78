"""Draw charts: pictures of series, in the forecast's folder."""

from prefect import task

from forecasting.panel import Panel
from forecasting.prices.snapshot import Snapshot
from forecasting.publishing.decisions import Decision
from forecasting.shards import Shard
from forecasting.storage import Storage
from tasks.options import STEP
from tasks.progress import TaskProgress


@task(name="draw charts", task_run_name="draw charts {shard}", **STEP)
def draw_charts(panel: Panel, store: str, snapshot: Snapshot, decision: Decision, shard: Shard) -> None:
    """Draw series' forecasts, each beside an earlier forecast with the prices that followed."""
    from forecasting.reports.gallery import draw_gallery  # noqa: PLC0415 - matplotlib takes a second

    draw_gallery(panel, Storage(store), snapshot, decision, shard, TaskProgress("charts", panel.name))
